from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.app.world import World
from keyferry.errors import BadSpec
from keyferry.kube.client import ObjectKey
from tests.support.objects import es_body, store_body

KEY = ObjectKey("ExternalSecret", "team", "app")
STORE = ObjectKey("SecretStore", "team", "store")


def with_version(body: dict[str, Any], version: int, **metadata: Any) -> dict[str, Any]:
    return {**body, "metadata": {**body["metadata"], "resourceVersion": str(version), **metadata}}


def test_every_reference_of_an_object_leads_back_to_it() -> None:
    world = World()
    entry = {"secretKey": "x", "remoteRef": {"key": "x"}}
    cluster = {"storeRef": {"name": "shared", "kind": "ClusterSecretStore"}}
    world.take(KEY, es_body(data=[{**entry, "sourceRef": cluster}], target={"name": "other"}))
    assert world.users(STORE) == (KEY,)
    assert world.users(ObjectKey("ClusterSecretStore", "", "shared")) == (KEY,)
    assert world.aiming_at(ObjectKey("Secret", "team", "other")) == (KEY,)
    assert world.within("team") == (KEY,)


def test_a_changed_reference_leads_back_no_longer() -> None:
    world = World()
    world.take(KEY, es_body())
    world.take(KEY, with_version(es_body(secretStoreRef={"name": "b"}, target={"name": "t"}), 6))
    assert world.users(STORE) == world.aiming_at(ObjectKey("Secret", "team", "app")) == ()
    assert world.users(ObjectKey("SecretStore", "team", "b")) == (KEY,)


NAMES = st.sampled_from(["a", "b"])
STEPS = st.lists(st.tuples(st.sampled_from(["take", "drop"]), NAMES, NAMES, NAMES), max_size=30)


@given(STEPS)
def test_indexes_hold_what_the_objects_say_and_nothing_is_left_at_the_end(
    steps: list[tuple[str, str, str, str]],
) -> None:
    world = World()
    model: dict[str, tuple[str, str]] = {}
    for version, (step, name, store, target) in enumerate(steps, 10):
        key = ObjectKey("ExternalSecret", "team", name)
        if step == "take":
            world.take(
                key, with_version(es_body(name, secretStoreRef={"name": store}, target={"name": target}), version)
            )
            model[name] = (store, target)
        else:
            world.drop(key)
            model.pop(name, None)
        for place in ("a", "b"):
            users = {each.name for each in world.users(ObjectKey("SecretStore", "team", place))}
            aiming = {each.name for each in world.aiming_at(ObjectKey("Secret", "team", place))}
            assert users == {each for each, (used, _) in model.items() if used == place}
            assert aiming == {each for each, (_, aimed) in model.items() if aimed == place}
    for name in list(model):
        world.drop(ObjectKey("ExternalSecret", "team", name))
    for held in (world._objects, world._by_store, world._by_target, world._by_namespace):
        assert not held


def test_an_older_version_is_passed_over_and_the_newest_is_what_is_known() -> None:
    world = World()
    assert world.take(KEY, with_version(es_body(), 10, generation=2))
    assert not world.take(KEY, with_version(es_body(), 9, generation=1))
    found = world.external_secret(KEY)
    assert found is not None
    assert found.metadata.generation == 2


@pytest.mark.parametrize(
    ("metadata", "matters"),
    [
        ({"generation": 2}, True),
        ({"uid": "another"}, True),
        ({"labels": {"a": "b"}}, True),
        ({"finalizers": ["x"]}, True),
        ({"deletionTimestamp": "2030-01-01T00:00:00Z"}, True),
        ({"managedFields": [{"manager": "m"}]}, False),
        ({}, False),
    ],
)
def test_only_what_a_sync_looks_at_counts_as_a_change(metadata: dict[str, Any], matters: bool) -> None:
    world = World()
    world.take(KEY, es_body())
    assert world.take(KEY, with_version(es_body(status={"a": "b"}), 6, **metadata)) is matters


def test_the_kind_of_a_store_is_that_of_the_resource_and_not_what_its_body_says() -> None:
    world = World()
    body = {**store_body("store", ""), "kind": "SecretStore"}
    key = ObjectKey("ClusterSecretStore", "", "store")
    _, store = world.take_store(key, body)
    assert store is not None
    assert store.kind == "ClusterSecretStore"
    assert world.uid(key) == "uid-of-cluster-store"


def test_an_object_that_cannot_be_read_has_an_outline() -> None:
    world = World()
    world.take(KEY, es_body(refreshPolicy="Sometimes"))
    with pytest.raises(BadSpec, match=r"spec\.refreshPolicy"):
        world.external_secret(KEY)
    outline = world.outline(KEY)
    assert outline is not None
    assert (outline.metadata.name, outline.spec.secret_store_ref.name) == ("app", "store")


def test_the_unknown_is_none() -> None:
    world = World()
    for unknown in (world.uid(KEY), world.body(KEY), world.external_secret(KEY), world.outline(KEY)):
        assert unknown is None
    for other in (world.drop_store(STORE), world.store(*STORE), world.namespace_labels("team")):
        assert other is None
    assert not world.is_terminating("team")
    world.drop(KEY)
    world.drop_namespace("team")


def test_an_object_takes_little_more_room_than_its_text() -> None:
    world = World()
    body = es_body(metadata={"annotations": {"note": "x" * 1000}})
    count = 200
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(count):
            world.take(ObjectKey("ExternalSecret", "team", f"app-{number}"), body)
        each = (tracemalloc.get_traced_memory()[0] - before) / count
    finally:
        tracemalloc.stop()
    assert each < 4096
