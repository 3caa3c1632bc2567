from __future__ import annotations

from typing import Any

import pytest

from keyferry.app.bells import Lane
from keyferry.kube.client import ObjectKey
from keyferry.shape.hashes import synced_resource_version
from tests.support.objects import es_body, store_body
from tests.support.rig import KEY, STORE, Rig
from tests.support.virtual import virtual


def waiting(rig: Rig) -> dict[str, Lane]:
    """Who waits in which lane; asking empties the queue."""
    found = {}
    while work := rig.queue._pick():
        found[work.key.name] = Lane(work.lane)
    return found


@virtual
async def test_new_objects_and_edits_go_first_and_echoes_of_statuses_nowhere() -> None:
    rig = Rig()
    body = rig.apply()
    assert waiting(rig) == {"app": Lane.FIRST}
    rig.apply({**body, "status": {"refreshTime": "2030-01-01T00:00:00Z"}}, event="MODIFIED")
    assert waiting(rig) == {}
    for metadata in ({"generation": 2}, {"labels": {"a": "b"}}, {"annotations": {"force-sync": "1"}}):
        rig.apply(es_body(metadata=metadata), event="MODIFIED")
        assert waiting(rig) == {"app": Lane.FIRST}


@virtual
async def test_what_is_in_step_at_the_start_does_not_stand_in_the_way_of_what_is_not() -> None:
    rig = Rig()
    synced = {"refreshTime": "2030-01-01T00:00:00Z", "syncedResourceVersion": synced_resource_version(1, None, None)}
    rig.apply(es_body("old", status=synced), event=None)
    rig.apply(es_body("edited", status=synced, metadata={"generation": 2}), event=None)
    rig.apply(es_body("new"), event=None)
    assert waiting(rig) == {"new": Lane.FIRST, "edited": Lane.FIRST, "old": Lane.REFRESH}


@virtual
@pytest.mark.parametrize(
    ("changed", "woken"),
    [
        (store_body(generation=2), {"store": Lane.FIRST, "app": Lane.RETRY}),
        (store_body(ready="False"), {"app": Lane.RETRY}),
        (store_body(), {}),
    ],
)
async def test_a_store_wakes_its_users_when_it_changes_for_them(changed: Any, woken: dict[str, Lane]) -> None:
    rig = Rig()
    rig.apply_store()
    rig.apply()
    rig.apply(es_body("stranger", secretStoreRef={"name": "other"}))
    waiting(rig)
    rig.apply_store(changed)
    assert waiting(rig) == woken


@virtual
async def test_a_store_that_goes_wakes_its_users() -> None:
    rig = Rig()
    rig.apply_store()
    rig.apply()
    waiting(rig)
    rig.bells.store("SecretStore", "DELETED", store_body())
    assert waiting(rig) == {"store": Lane.FIRST, "app": Lane.RETRY}
    assert rig.world.store(*STORE) is None


@virtual
async def test_an_event_that_is_older_than_what_is_known_rings_nobody() -> None:
    rig = Rig()
    old_store, old = rig.apply_store(store_body(generation=1)), rig.apply(es_body())
    rig.apply_store(store_body(generation=2))
    rig.apply(es_body(metadata={"generation": 2}))
    waiting(rig)
    rig.bells.external_secret("MODIFIED", old)
    rig.bells.store("SecretStore", "MODIFIED", old_store)
    assert waiting(rig) == {}
    store = rig.world.store(*STORE)
    assert store is not None
    assert store.metadata.generation == 2


@virtual
async def test_the_answer_to_a_write_tells_of_an_edit_and_raises_no_dead() -> None:
    rig = Rig()
    body = rig.apply()
    waiting(rig)
    edited = {**body, "metadata": {**body["metadata"], "generation": 2, "resourceVersion": "900"}}
    rig.bells.written(KEY, edited)
    assert waiting(rig) == {"app": Lane.FIRST}
    rig.bells.gone(KEY)
    waiting(rig)
    rig.bells.written(KEY, edited)
    rig.bells.written(STORE, store_body())
    assert waiting(rig) == {}
    assert tuple(rig.world.keys()) == ()


@virtual
async def test_a_change_of_a_credential_checks_the_store_and_wakes_its_users() -> None:
    rig = Rig()
    rig.apply_store()
    rig.apply()
    waiting(rig)
    rig.bells.dependency(STORE)
    assert waiting(rig) == {"store": Lane.FIRST, "app": Lane.RETRY}
    rig.bells.dependency(ObjectKey("SecretStore", "team", "gone"))
    assert waiting(rig) == {}


@virtual
async def test_a_secret_wakes_those_who_aim_at_it() -> None:
    rig = Rig()
    rig.apply(es_body("one", target={"name": "shared"}))
    rig.apply(es_body("two", target={"name": "shared"}))
    rig.apply(es_body("three"))
    waiting(rig)
    rig.bells.secret(ObjectKey("Secret", "team", "shared"))
    assert waiting(rig) == {"one": Lane.FIRST, "two": Lane.FIRST}


@virtual
async def test_a_namespace_wakes_its_objects_when_it_comes_or_changes() -> None:
    rig = Rig()
    rig.apply()
    waiting(rig)
    for metadata, woken in (
        ({"labels": {"a": "1"}}, {"app": Lane.RETRY}),
        ({"labels": {"a": "1"}, "resourceVersion": "9"}, {}),
        ({"labels": {"a": "2"}}, {"app": Lane.RETRY}),
        ({"labels": {"a": "2"}, "deletionTimestamp": "2030-01-01T00:00:00Z"}, {"app": Lane.RETRY}),
    ):
        rig.bells.namespace("MODIFIED", {"metadata": {"name": "team", **metadata}})
        assert waiting(rig) == woken
    assert rig.world.is_terminating("team")
    rig.bells.namespace("DELETED", {"metadata": {"name": "team"}})
    assert rig.world.namespace_labels("team") is None


@virtual
async def test_stores_that_this_process_does_not_check_are_only_looked_up() -> None:
    rig = Rig()
    body = store_body("store", "")
    rig.bells.store("ClusterSecretStore", "ADDED", body)
    rig.bells.suspect(ObjectKey("ClusterSecretStore", "", "store"))
    assert waiting(rig) == {}
    rig.bells.suspect(STORE)
    assert waiting(rig) == {"store": Lane.RETRY}


@virtual
async def test_a_store_that_cannot_be_read_does_not_stop_the_watch() -> None:
    rig = Rig()
    rig.apply_store({**store_body(), "spec": {"provider": "canary-c0ffee"}})
    assert waiting(rig) == {}
