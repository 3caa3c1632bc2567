from __future__ import annotations

from typing import Any

import pytest

from tests.contract.kubeapi.client import Client
from tests.contract.kubeapi.things import GROUP, thing

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_defaults_are_filled_and_unknown_fields_pruned(cluster: Client, things: str) -> None:
    body = thing("a", extra=1, target={"nope": 1}, anything={"free": [1, None]}, port="http")
    made = (await cluster.post(things, body)).expect(201)
    assert made.body["spec"] == {
        "size": 1,
        "policy": "Retain",
        "target": {"kind": "Secret"},
        "anything": {"free": [1, None]},
        "port": "http",
    }
    assert sorted(made.warnings) == [
        '299 - "unknown field \\"spec.extra\\""',
        '299 - "unknown field \\"spec.target.nope\\""',
    ]
    strict = await cluster.post(things, thing("b", extra=1), fieldValidation="Strict")
    assert 'strict decoding error: unknown field "spec.extra"' in strict.expect(400).message


@pytest.mark.parametrize(
    ("spec", "field", "reason"),
    [
        ({"size": "1"}, "spec.size", "FieldValueTypeInvalid"),
        ({"size": 0}, "spec.size", "FieldValueInvalid"),
        ({"size": 11}, "spec.size", "FieldValueInvalid"),
        ({"size": None}, "spec.size", "FieldValueRequired"),
        ({"mode": "Other"}, "spec.mode", "FieldValueNotSupported"),
        ({"code": "a"}, "spec.code", "FieldValueInvalid"),
        ({"code": "abcdef"}, "spec.code", "FieldValueTooLong"),
        ({"code": "ABC"}, "spec.code", "FieldValueInvalid"),
        ({"names": ["n", "n"]}, "spec.names[1]", "FieldValueDuplicate"),
        ({"names": ["n"] * 6}, "spec.names", "FieldValueTooMany"),
        ({"names": [1]}, "spec.names[0]", "FieldValueTypeInvalid"),
        ({"items": [{"name": "a"}, {"name": "a"}]}, "spec.items[1]", "FieldValueDuplicate"),
        ({"items": [{}]}, "spec.items[0].name", "FieldValueRequired"),
        ({"labels": {"a": 1}}, "spec.labels.a", "FieldValueTypeInvalid"),
        ({"labels": dict.fromkeys("abcd", "")}, "spec.labels", "FieldValueTooMany"),
        ({"target": "x"}, "spec.target", "FieldValueTypeInvalid"),
        ({"port": 1.5}, "spec.port", "FieldValueTypeInvalid"),
    ],
    ids=str,
)
async def test_the_schema_is_enforced(
    cluster: Client, things: str, spec: dict[str, Any], field: str, reason: str
) -> None:
    answer = (await cluster.post(things, thing("a", **spec))).expect(422)
    assert (field, reason) in answer.causes()
    blocking = reason not in ("FieldValueInvalid", "FieldValueDuplicate")
    assert ("some validation rules were not checked" in answer.message) is blocking
    assert answer.message.startswith(f'Thing.{GROUP} "a" is invalid: ')


async def test_a_missing_required_field_reads_as_it_should(cluster: Client, things: str) -> None:
    body = thing("a")
    del body["spec"]["size"]
    answer = (await cluster.post(things, body)).expect(422)
    assert answer.causes()[0] == ("spec.size", "FieldValueRequired")
    unchecked = "some validation rules were not checked because the object was invalid"
    assert answer.message.startswith(f'Thing.{GROUP} "a" is invalid: [spec.size: Required value, ')
    assert unchecked in answer.message
    assert answer.body["details"]["kind"] == "Thing"
    assert answer.body["details"]["group"] == GROUP


async def test_nulls_vanish_unless_allowed(cluster: Client, things: str) -> None:
    body = thing("a", left=None, maybe=None, policy=None)
    made = (await cluster.post(things, body)).expect(201)
    assert made.body["spec"] == {"size": 1, "maybe": None, "policy": "Retain"}


@pytest.mark.parametrize(
    ("spec", "field", "text"),
    [
        ({"left": "1", "right": "2"}, "spec", "left or right, not both"),
        ({"names": ["x"]}, "spec.names", "bad names for nobody"),
        ({"names": ["x"], "left": "me"}, "spec.names", "bad names for me"),
    ],
)
async def test_rules_are_enforced(cluster: Client, things: str, spec: dict[str, Any], field: str, text: str) -> None:
    answer = (await cluster.post(things, thing("a", **spec))).expect(422)
    assert [f for f, _ in answer.causes()] == [field]
    assert text in answer.message


async def test_transition_rules_look_at_the_old_object(cluster: Client, things: str) -> None:
    (await cluster.post(things, thing("a", size=3, fixed="x"))).expect(201)
    answer = (await cluster.merge(f"{things}/a", {"spec": {"size": 2}})).expect(422)
    assert "size only grows" in answer.message
    answer = (await cluster.merge(f"{things}/a", {"spec": {"fixed": "y"}})).expect(422)
    assert answer.message == (f'Thing.{GROUP} "a" is invalid: spec.fixed: Invalid value: "y": is immutable')
    (await cluster.merge(f"{things}/a", {"spec": {"size": 4}})).expect(200)


async def test_generation_counts_changes_outside_metadata_and_status(cluster: Client, things: str) -> None:
    path = f"{things}/a"
    assert (await cluster.post(things, thing("a"))).meta["generation"] == 1
    labelled = await cluster.merge(path, {"metadata": {"labels": {"a": "b"}}})
    assert labelled.meta["generation"] == 1
    status = await cluster.merge(f"{path}/status", {"status": {"phase": "x"}})
    assert status.expect(200).meta["generation"] == 1
    assert (await cluster.merge(path, {"spec": {"size": 2}})).meta["generation"] == 2
    assert (await cluster.merge(path, {"metadata": {"generation": 9}})).meta["generation"] == 2


async def test_status_and_spec_are_written_apart(cluster: Client, things: str) -> None:
    path = f"{things}/a"
    made = await cluster.post(things, {**thing("a"), "status": {"phase": "no"}})
    assert "status" not in made.expect(201).body
    ignored = await cluster.merge(path, {"status": {"phase": "no"}})
    assert ignored.version == made.version
    patch: Any = {
        "status": {"phase": "yes"},
        "spec": {"size": 9},
        "metadata": {"labels": {"a": "b"}},
    }
    patched = (await cluster.merge(f"{path}/status", patch)).expect(200)
    assert patched.body["status"] == {"phase": "yes"}
    assert patched.body["spec"]["size"] == 1
    assert "labels" not in patched.meta
    body = {**patched.body, "spec": {"size": 2}, "status": {}}
    replaced = (await cluster.put(path, body)).expect(200)
    assert replaced.body["status"] == {"phase": "yes"}
    bad = await cluster.merge(f"{path}/status", {"status": {"phase": 1}})
    assert bad.expect(422).causes()[0] == ("status.phase", "FieldValueTypeInvalid")


async def test_a_put_needs_a_resource_version(cluster: Client, things: str) -> None:
    await cluster.post(things, thing("a"))
    answer = (await cluster.put(f"{things}/a", thing("a", size=2))).expect(422)
    assert answer.causes() == [("metadata.resourceVersion", "FieldValueInvalid")]


async def test_every_served_version_shows_every_object(
    cluster: Client, things: str, space: str, thing_kind: str
) -> None:
    await cluster.post(things, thing("a"))
    old = f"/apis/{GROUP}/v1beta1/namespaces/{space}/{thing_kind}"
    shown = (await cluster.get(f"{old}/a")).expect(200)
    assert shown.body["apiVersion"] == f"{GROUP}/v1beta1"
    listed = await cluster.get(old)
    assert [i["apiVersion"] for i in listed.body["items"]] == [f"{GROUP}/v1beta1"]
    await cluster.post(old, thing("b", version="v1beta1"))
    assert (await cluster.get(f"{things}/b")).body["apiVersion"] == f"{GROUP}/v1"
    wrong = await cluster.post(things, thing("c", version="v1beta1"))
    assert "does not match the expected API version" in wrong.expect(400).message


async def test_wrong_kinds_and_absent_apis(cluster: Client, things: str, space: str) -> None:
    (await cluster.post(things, {**thing("a"), "kind": "Other"})).expect(422)
    (await cluster.post(things, {"metadata": {"name": "a"}})).expect(400)
    (await cluster.get(f"/apis/{GROUP}/v1/namespaces/{space}/nothings")).expect(404)
    (await cluster.get(f"/apis/none.{GROUP}/v1/things")).expect(404)


async def test_selectable_fields_select(cluster: Client, things: str) -> None:
    await cluster.post(things, thing("a", mode="Fast"))
    await cluster.post(things, thing("b", mode="Slow"))
    found = (await cluster.get(things, fieldSelector="spec.mode=Slow")).expect(200)
    assert [i["metadata"]["name"] for i in found.body["items"]] == ["b"]
    answer = (await cluster.get(things, fieldSelector="spec.size=1")).expect(400)
    assert answer.message == "field label not supported: spec.size"
