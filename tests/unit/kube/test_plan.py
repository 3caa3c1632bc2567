from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.errors import BadSpec
from keyferry.kube.managed import CREATED_BY, DATA_HASH, MANAGED, data_of, is_intact
from keyferry.kube.plan import ADOPT, INPUTS, Desired, plan
from keyferry.shape.hashes import created_by, field_manager
from tests.support.objects import es, managed_fields, secret_body

MANAGER = field_manager("app")
KEYS = st.sampled_from(["a", "b", "c", "d"])
DATA = st.dictionaries(KEYS, st.sampled_from([b"1", b"2", b""]), max_size=4)
KEEPING = ("Merge", "CreateOrMerge")
TAKING = ("Owner", "Orphan")


def wanted(**data: bytes) -> Desired:
    return Desired(data=data, labels={}, annotations={})


@st.composite
def existing(draw: st.DrawFn) -> dict[str, Any]:
    """A Secret that may have been touched by anybody: by us, by others, by both."""
    data = draw(DATA)
    ours = draw(st.sets(KEYS))
    labels = draw(st.dictionaries(st.sampled_from(["x", "y", MANAGED]), st.sampled_from(["1", "true"]), max_size=3))
    fields = managed_fields(MANAGER, *(ours & set(data)), labels=tuple(draw(st.sets(st.sampled_from(["x", "y"])))))
    fields += managed_fields("kubectl", *(set(data) - ours))
    body = secret_body(
        data=data, labels=labels, managedFields=fields, annotations=draw(st.sampled_from([{}, {"n": "1"}]))
    )
    if draw(st.booleans()):
        body["immutable"] = True
    return body


def foreign(body: Mapping[str, Any]) -> dict[str, bytes]:
    """What in the Secret is not by our field manager."""
    ours = {
        key.removeprefix("f:")
        for entry in body["metadata"]["managedFields"]
        if entry["manager"] == MANAGER
        for key in entry["fieldsV1"]["f:data"]
    }
    return {key: value for key, value in data_of(body).items() if key not in ours}


@given(existing(), DATA, st.sampled_from(KEEPING), st.booleans())
def test_merging_never_drops_a_foreign_key_and_changes_one_only_to_what_was_asked_for(
    body: dict[str, Any], data: dict[str, bytes], policy: str, immutable: bool
) -> None:
    steps = plan(
        es(target={"creationPolicy": policy, "immutable": immutable}), Desired(data, {}, {}), body, adopt=False
    )
    assert steps.body is not None
    after = data_of(steps.body)
    for key, value in foreign(body).items():
        assert after[key] in {value, data.get(key)}


@given(existing(), DATA, st.sampled_from(TAKING), st.booleans())
def test_taking_a_secret_never_drops_a_foreign_key_without_an_error(
    body: dict[str, Any], data: dict[str, bytes], policy: str, immutable: bool
) -> None:
    asked = es(target={"creationPolicy": policy, "immutable": immutable})
    refused = ""
    after = {}
    try:
        after = data_of(plan(asked, Desired(data, {}, {}), body, adopt=False).body or {})
    except BadSpec as error:
        refused = str(error)
    if refused:
        assert any(key in refused for key in foreign(body))
    else:
        assert foreign(body).items() <= after.items()


@given(existing(), DATA, st.sampled_from((*KEEPING, *TAKING)), st.booleans(), st.booleans())
def test_planning_on_the_result_of_a_plan_finds_nothing_to_do(
    body: dict[str, Any], data: dict[str, bytes], policy: str, immutable: bool, made: bool
) -> None:
    asked = es(target={"creationPolicy": policy, "immutable": immutable})
    desired = Desired(data, {"x": "es"}, {"note": "es"})
    first = plan(asked, desired, None if made and policy != "Merge" else body, adopt=True)
    assert first.body is not None
    again = plan(asked, desired, first.body, adopt=True)
    assert again.action == "keep"
    assert is_intact(first.body)


@pytest.mark.parametrize("policy", TAKING)
def test_a_foreign_secret_is_taken_over_where_somebody_agrees(policy: str) -> None:
    body = secret_body(data={"old": b"1"}, managedFields=managed_fields("kubectl", "old"))
    agreed = es(target={"creationPolicy": policy}, metadata={"annotations": {ADOPT: "true"}})
    there = secret_body(data={"old": b"1"}, annotations={ADOPT: "true"}, managedFields=managed_fields("kubectl", "old"))
    for asked, found, adopt in (
        (agreed, body, False),
        (es(target={"creationPolicy": policy}), there, False),
        (es(target={"creationPolicy": policy}), body, True),
    ):
        steps = plan(asked, wanted(new=b"2"), found, adopt=adopt)
        assert steps.body is not None
        assert data_of(steps.body) == {"new": b"2"}


def test_an_immutable_target_does_not_slip_under_the_owner_with_foreign_keys() -> None:
    body = secret_body(data={"old": b"1"}, managedFields=managed_fields("kubectl", "old"))
    with pytest.raises(BadSpec, match="old"):
        plan(es(target={"immutable": True}), wanted(new=b"2"), body, adopt=False)


def test_an_immutable_secret_keeps_its_data_and_says_so() -> None:
    body = {**secret_body(data={"key": b"1"}, labels={CREATED_BY: created_by("team", "app")}), "immutable": True}
    steps = plan(es(), wanted(key=b"2"), body, adopt=False)
    assert steps.body is not None
    assert data_of(steps.body) == {"key": b"1"}
    assert "immutable" in str(steps.blocked)


def test_an_owner_makes_a_secret_that_says_whose_it_is() -> None:
    steps = plan(es(), Desired({"key": b"v"}, {"l": "1"}, {"a": "1"}), None, adopt=False)
    assert steps.body is not None
    metadata = steps.body["metadata"]
    assert metadata["labels"] == {"l": "1", MANAGED: "true", CREATED_BY: created_by("team", "app")}
    assert set(metadata["annotations"]) == {"a", DATA_HASH}
    assert [(each["kind"], each["uid"], each["controller"]) for each in metadata["ownerReferences"]] == [
        ("ExternalSecret", "uid-of-app", True)
    ]
    assert steps.body["data"] == {"key": base64.b64encode(b"v").decode()}


@pytest.mark.parametrize("policy", ["Orphan", "CreateOrMerge"])
def test_labels_of_the_external_secret_cannot_pretend_that_the_secret_is_somebody_elses(policy: str) -> None:
    tricky = Desired({"key": b"v"}, {CREATED_BY: created_by("team", "victim"), MANAGED: "no"}, {DATA_HASH: "x"})
    steps = plan(es(target={"creationPolicy": policy}), tricky, None, adopt=False)
    assert steps.body is not None
    assert steps.body["metadata"]["labels"] == {MANAGED: "true"}
    assert is_intact(steps.body)


def owned(kind: str = "ExternalSecret", name: str = "other", api: str = "external-secrets.io/v1") -> dict[str, Any]:
    return secret_body(
        ownerReferences=[{"apiVersion": api, "kind": kind, "name": name, "uid": "u", "controller": True}]
    )


@pytest.mark.parametrize("policy", [*KEEPING, *TAKING])
@pytest.mark.parametrize("api", ["external-secrets.io/v1", "external-secrets.io/v1beta1"])
def test_a_target_of_another_external_secret_is_left_alone_under_every_policy(policy: str, api: str) -> None:
    with pytest.raises(BadSpec, match="target is owned by another ExternalSecret"):
        plan(es(target={"creationPolicy": policy}), wanted(key=b"v"), owned(api=api), adopt=True)


def test_a_target_of_another_controller_cannot_be_owned_but_can_be_merged_into() -> None:
    body = owned("Certificate", "tls", "cert-manager.io/v1")
    with pytest.raises(BadSpec, match="failed to take ownership"):
        plan(es(), wanted(key=b"v"), body, adopt=True)
    merged = plan(es(target={"creationPolicy": "Merge"}), wanted(key=b"v"), body, adopt=False).body
    assert merged is not None
    assert merged["metadata"]["ownerReferences"] == body["metadata"]["ownerReferences"]


def test_a_restored_owner_is_recognised_by_its_name_and_gets_its_new_uid() -> None:
    steps = plan(es(), wanted(key=b"v"), owned(name="app"), adopt=False)
    assert steps.body is not None
    assert [each["uid"] for each in steps.body["metadata"]["ownerReferences"]] == ["uid-of-app"]


def test_orphan_gives_up_ownership() -> None:
    steps = plan(es(target={"creationPolicy": "Orphan"}), wanted(key=b"v"), owned(name="app"), adopt=False)
    assert steps.body is not None
    assert "ownerReferences" not in steps.body["metadata"]


def test_keys_that_were_ours_go_when_they_are_asked_for_no_longer() -> None:
    body = secret_body(
        data={"ours": b"1", "theirs": b"2"},
        labels={"was": "es", "stays": "1"},
        managedFields=managed_fields(MANAGER, "ours", labels=("was",)) + managed_fields("kubectl", "theirs"),
    )
    steps = plan(es(target={"creationPolicy": "Merge"}), wanted(new=b"3"), body, adopt=False)
    assert steps.body is not None
    assert data_of(steps.body) == {"theirs": b"2", "new": b"3"}
    assert steps.body["metadata"]["labels"] == {"stays": "1", MANAGED: "true"}


def test_merge_does_not_make_a_secret() -> None:
    assert plan(es(target={"creationPolicy": "Merge"}), wanted(key=b"v"), None, adopt=False).action == "missing"


def test_a_secret_over_a_mebibyte_is_refused_by_the_names_of_its_largest_keys() -> None:
    with pytest.raises(BadSpec, match="largest keys are big, small") as refused:
        plan(es(), wanted(small=b"canary-c0ffee", big=b"x" * 1024 * 1024), None, adopt=False)
    assert "canary" not in str(refused.value)


def test_neither_a_plan_nor_what_is_desired_shows_a_value() -> None:
    desired = wanted(key=b"canary-c0ffee")
    assert "canary" not in repr(desired) + repr(plan(es(), desired, None, adopt=False))


def test_a_type_is_set_once_and_never_changed() -> None:
    typed = Desired({"key": b"v"}, {}, {}, type="example.org/token")
    made = plan(es(), typed, None, adopt=False).body
    assert made is not None
    assert made["type"] == "example.org/token"
    assert plan(es(), typed, {**secret_body(), "type": "example.org/token"}, adopt=False).action == "replace"
    with pytest.raises(BadSpec, match="is of type Opaque, and the type of a Secret cannot be changed"):
        plan(es(), typed, secret_body(), adopt=False)
    kept = plan(es(), wanted(key=b"v"), {**secret_body(), "type": "example.org/token"}, adopt=False).body
    assert kept is not None
    assert kept["type"] == "example.org/token"


def test_finalizers_are_added_and_none_is_taken_away() -> None:
    desired = Desired({"key": b"v"}, {}, {}, finalizers=("example.org/a", "example.org/b"))
    made = plan(es(), desired, None, adopt=False).body
    assert made is not None
    assert made["metadata"]["finalizers"] == ["example.org/a", "example.org/b"]
    body = secret_body(finalizers=["example.org/z", "example.org/a"])
    after = plan(es(), desired, body, adopt=False).body
    assert after is not None
    assert after["metadata"]["finalizers"] == ["example.org/z", "example.org/a", "example.org/b"]
    again = plan(es(), wanted(key=b"v"), after, adopt=False).body
    assert again is not None
    assert again["metadata"]["finalizers"] == after["metadata"]["finalizers"]
    leaving = plan(es(), desired, secret_body(deletionTimestamp="2030-01-01T00:00:00Z"), adopt=False).body
    assert leaving is not None
    assert "finalizers" not in leaving["metadata"]


def test_what_was_made_from_the_same_inputs_stays_until_somebody_touches_it() -> None:
    def drawn(value: bytes, inputs: str, **more: bytes) -> Desired:
        return Desired({"key": value, **more}, {"l": value.decode()}, {"a": value.decode()}, inputs=inputs)

    first = plan(es(), drawn(b"1", "x"), None, adopt=False).body
    assert first is not None
    assert first["metadata"]["annotations"][INPUTS] == "x"
    assert plan(es(), drawn(b"2", "x"), first, adopt=False).action == "keep"
    for other in (drawn(b"2", "y"), drawn(b"2", "x", more=b"3"), wanted(key=b"2")):
        after = plan(es(), other, first, adopt=True).body
        assert after is not None
        assert data_of(after)["key"] == b"2"
        assert after["metadata"]["annotations"].get(INPUTS, "") in {other.inputs, "x"}
    touched = {**first, "data": {"key": "OQ=="}}
    mended = plan(es(), drawn(b"2", "x"), touched, adopt=True).body
    assert mended is not None
    assert data_of(mended)["key"] == b"2"
