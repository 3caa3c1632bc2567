"""What changes nothing costs nothing on the API server: counted request by request."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from keyferry.app.bells import Lane
from keyferry.kube.client import CONFIG_MAPS, EXTERNAL_SECRETS, NAMESPACES, SECRETS, ObjectKey
from tests.support.objects import es_body, secret_body, store_body
from tests.support.rig import KEY, Rig
from tests.support.virtual import elapsed, virtual

STATUS = ("PATCH", EXTERNAL_SECRETS.path("team", "app", "status"))
ABSENT: dict[str, Any] = {"data": [{"secretKey": "x", "remoteRef": {"key": "absent"}}]}
SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "template": {"target": {"template": {"data": {"key": "is {{ .key }} at {{ now }} {{ randAlphaNum 5 }}"}}}},
    "template from a ConfigMap": {
        "target": {"template": {"templateFrom": [{"configMap": {"name": "t", "items": [{"key": "key"}]}}]}}
    },
    "Merge": {"target": {"creationPolicy": "Merge"}},
    "CreateOrMerge": {"target": {"creationPolicy": "CreateOrMerge"}},
    "find": {"data": [], "dataFrom": [{"find": {"name": {"regexp": ".*"}}}]},
    "missing under Retain": ABSENT,
    "missing under Delete": {**ABSENT, "target": {"deletionPolicy": "Delete"}},
    "missing under Merge": {**ABSENT, "target": {"deletionPolicy": "Merge"}},
    "Merge into what is not there": {"target": {"creationPolicy": "Merge", "name": "elsewhere"}},
    "no Secret": {"target": {"creationPolicy": "None"}},
}


@virtual
@pytest.mark.parametrize("shape", SHAPES)
async def test_refreshes_that_find_nothing_new_ask_nothing_of_the_api_server_but_for_the_bounded_time(
    shape: str,
) -> None:
    rig = Rig()
    rig.apply_store()
    rig.server.put(
        CONFIG_MAPS,
        {"kind": "ConfigMap", "metadata": {"name": "t", "namespace": "team"}, "data": {"key": "{{ .key }}"}},
    )
    if shape == "Merge":
        rig.managed.note(rig.server.put(SECRETS, secret_body(data={"foreign": b"f"})))
    rig.apply(es_body(refreshInterval="10s", **SHAPES[shape]))
    await _pass(rig, 30)
    standing, asked = rig.ready, len(rig.server.requests)
    reads = rig.metrics.value("externalsecret_sync_calls_total", name="app", namespace="team") or 0
    await _pass(rig, 1200)
    assert (
        rig.metrics.value("externalsecret_sync_calls_total", name="app", namespace="team") or 0
    ) - reads >= 95  # retries are spread
    later = rig.server.requests[asked:]
    assert set(later) <= {STATUS}
    assert len(later) <= 4
    assert rig.ready == standing
    assert all(set(body["status"]) == {"refreshTime"} for body in rig.server.bodies[asked:])
    await rig.aclose()


async def _pass(rig: Rig, seconds: float) -> None:
    end = elapsed() + seconds
    while elapsed() < end:
        await rig.work()
        await asyncio.sleep(1)
        # An Event would be a write as well.
        while not rig.recorder._queue.empty():
            _, _, note = rig.recorder._queue.get_nowait()
            assert elapsed() < 30 or note.lasting, note


@virtual
async def test_after_a_restart_what_is_fresh_is_neither_read_nor_written_and_what_is_old_is_read() -> None:
    before = Rig()
    before.apply_store()
    names = [f"app-{number:03}" for number in range(300)]
    for name in names:
        before.apply(es_body(name, refreshInterval="1h"))
    await before.work()
    await asyncio.sleep(1800)
    old = es_body("old", refreshInterval="20m")
    before.apply(old)
    await before.work()
    await asyncio.sleep(1260)

    after = Rig()
    after.server.objects, after.server.version = before.server.objects, before.server.version
    for path, body in after.server.objects.items():
        if path.startswith(SECRETS.path("team") + "/"):
            after.managed.note(body)
    after.bells.namespace(None, {"metadata": {"name": "team"}})
    after.bells.store("SecretStore", None, _listed(after, "secretstores/store"))
    for name in [*names, "old"]:
        after.bells.external_secret(None, _listed(after, f"externalsecrets/{name}"))
    assert after.queue.depth(Lane.REFRESH) == 301
    await after.work()
    synced = [name for name in [*names, "old"] if _reads(after, name)]
    assert synced == ["old"]
    assert [each for each in after.server.requests if each[0] != "GET"] == [
        ("PATCH", EXTERNAL_SECRETS.path("team", "old", "status"))
    ]
    await before.aclose()
    await after.aclose()


def _listed(rig: Rig, tail: str) -> dict[str, Any]:
    [found] = [body for path, body in rig.server.objects.items() if path.endswith(tail)]
    return found


def _reads(rig: Rig, name: str) -> bool:
    key = ObjectKey("ExternalSecret", "team", name)
    return key in rig.external_secrets._refreshed


@virtual
async def test_events_that_change_nothing_cost_no_request() -> None:
    rig = Rig()
    rig.apply_store()
    rig.apply(es_body(refreshInterval="1h"))
    rig.bells.namespace(None, {"metadata": {"name": "team"}})
    await rig.work()
    asked, reads = len(rig.server.requests), rig.counter.reads
    assert rig.secret is not None
    rig.managed.seen(ObjectKey("Secret", "team", "app"), rig.secret)
    rig.bells.store("SecretStore", "MODIFIED", rig.server.put(NAMESPACES, store_body()))
    rig.bells.namespace("MODIFIED", {"metadata": {"name": "team", "labels": {"a": "b"}}})
    rig.bells.external_secret("MODIFIED", rig.server.objects[EXTERNAL_SECRETS.path("team", "app")])
    rig.queue.add(KEY, Lane.FIRST)
    await rig.work()
    assert (len(rig.server.requests), rig.counter.reads) == (asked, reads)
    await rig.aclose()


@virtual
async def test_a_change_of_what_holds_templates_is_read_although_nothing_is_read_before() -> None:
    rig = Rig()
    rig.apply_store()
    source = ObjectKey("ConfigMap", "team", "t")
    body = {"kind": "ConfigMap", "metadata": {"name": "t", "namespace": "team"}, "data": {"key": "old"}}
    rig.dependencies.seen(source, rig.server.put(CONFIG_MAPS, body))
    rig.apply(es_body(refreshInterval="10s", **SHAPES["template from a ConfigMap"]))
    await _pass(rig, 60)
    reads = ("GET", CONFIG_MAPS.path("team", "t"))
    before = rig.server.requests.count(reads)
    rig.dependencies.seen(source, rig.server.put(CONFIG_MAPS, {**body, "data": {"key": "new"}}))
    await rig.work()
    assert rig.secret is not None
    assert rig.secret["data"] == {"key": "bmV3"}
    assert rig.server.requests.count(reads) == before + 1
    rig.managed.seen(KEY._replace(kind="Secret"), rig.server.put(SECRETS, {**rig.secret, "data": {}}))
    await rig.work()
    assert rig.secret["data"] == {"key": "bmV3"}, "made again from a source that was not read for that"
    await rig.aclose()


@virtual
async def test_templates_whose_sources_were_read_long_ago_are_forgotten() -> None:
    rig = Rig()
    rig.apply_store()
    for number in range(300):
        name = f"t-{number}"
        body = {"kind": "ConfigMap", "metadata": {"name": name, "namespace": "team"}, "data": {"key": "key: old"}}
        rig.server.put(CONFIG_MAPS, body)
        named = {"templateFrom": [{"configMap": {"name": name, "items": [{"key": "key"}]}}]}
        rig.apply(es_body(refreshInterval="1h", target={"template": named}, metadata={"generation": number + 1}))
        await rig.work()
    assert len(rig.templates._digests) <= 64
    assert rig.ready[0] == "True"
    await rig.aclose()


@virtual
async def test_a_secret_that_was_deleted_under_delete_is_deleted_again_when_it_was_made_again() -> None:
    rig = Rig()
    rig.apply_store()
    rig.apply(es_body(refreshInterval="10s", **SHAPES["missing under Delete"]))
    await _pass(rig, 60)
    path = SECRETS.path("team", "app")
    assert path not in rig.server.objects
    found = store_body(generation=2, provider={"fake": {"data": [{"key": "absent", "value": "v"}]}})
    rig.apply_store(found)
    await rig.work()
    assert path in rig.server.objects
    rig.apply_store(store_body(generation=3))
    await rig.work()
    assert path not in rig.server.objects
    rig.managed.gone(KEY._replace(kind="Secret"))
    for _ in range(20):
        await asyncio.sleep(1)
        await rig.work()
    asked = len(rig.server.requests)
    for _ in range(200):
        await asyncio.sleep(1)
        await rig.work()
    assert ("GET", path) not in rig.server.requests[asked:]
    await rig.aclose()
