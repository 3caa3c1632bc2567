from __future__ import annotations

import asyncio
from typing import Any

import pytest

from keyferry.kube.client import EXTERNAL_SECRETS, SECRETS, ObjectKey
from keyferry.kubehttp import KubeError
from keyferry.sync.externalsecret import FINALIZER
from tests.support.objects import es_body, managed_fields, secret_body, store_body
from tests.support.rig import KEY, Rig
from tests.support.virtual import virtual

TARGET = ObjectKey("Secret", "team", "app")
PATH = SECRETS.path("team", "app")
ABSENT = [{"secretKey": "key", "remoteRef": {"key": "absent"}}]


async def started(**spec: Any) -> Rig:
    rig = Rig()
    rig.apply_store()
    rig.apply(es_body(**spec))
    return rig


@virtual
async def test_a_merge_target_that_comes_in_the_very_moment_is_not_missed() -> None:
    rig = await started(target={"creationPolicy": "Merge"})
    looked = 0

    def before(method: str, path: str) -> None:
        nonlocal looked
        if (method, path) == ("GET", PATH):
            looked += 1
            if looked == 2:
                rig.server.put(SECRETS, secret_body(data={"theirs": b"1"}))

    rig.server.before = before
    await rig.work()
    assert rig.secret is not None
    assert set(rig.secret["data"]) == {"theirs", "key"}
    assert rig.ready[1] == "SecretSynced"
    await rig.aclose()


@virtual
async def test_a_merge_target_that_is_missing_is_waited_for_without_asking_the_store_again() -> None:
    rig = await started(target={"creationPolicy": "Merge"})
    await rig.work()
    assert rig.ready == ("True", "SecretMissing", "secret will not be created due to CreationPolicy=Merge")
    reads = rig.counter.reads
    rig.bells.secret(TARGET)
    await rig.work()
    assert rig.counter.reads == reads
    rig.dependencies.seen(TARGET, rig.server.put(SECRETS, secret_body(data={"theirs": b"1"})))
    await rig.work()
    assert rig.ready[1] == "SecretSynced"
    assert rig.dependencies._of == {}
    await rig.aclose()


@virtual
@pytest.mark.parametrize(("policy", "kept"), [("Retain", {"key": "b2xk"}), ("Merge", {}), ("Delete", None)])
async def test_what_is_gone_from_the_store_is_what_the_deletion_policy_says(policy: str, kept: Any) -> None:
    rig = await started(target={"deletionPolicy": policy}, data=[])
    rig.apply_store(store_body(generation=2, provider={"fake": {"data": [{"key": "k", "value": "old"}]}}))
    rig.apply(es_body(target={"deletionPolicy": policy}, metadata={"generation": 2}))
    await rig.work()
    rig.apply(es_body(target={"deletionPolicy": policy}, data=ABSENT, metadata={"generation": 3}))
    await rig.work()
    assert (None if rig.secret is None else rig.secret["data"]) == kept
    assert (
        rig.ready[:2]
        == {
            "Retain": ("False", "SecretSyncedError"),
            "Merge": ("True", "SecretSynced"),
            "Delete": ("True", "SecretDeleted"),
        }[policy]
    )
    await rig.aclose()


@virtual
@pytest.mark.parametrize("trouble", [KubeError(503, "ServiceUnavailable", "no"), KubeError(403, "Forbidden", "no")])
async def test_no_refusal_of_the_api_server_leaves_a_secret_other_than_it_was(trouble: KubeError) -> None:
    rig = await started()
    await rig.work()
    before = rig.secret

    def refuse(method: str, path: str) -> None:
        if "/secrets" in path:
            raise trouble

    rig.server.before = refuse
    rig.apply(es_body(metadata={"generation": 2}, data=[{"secretKey": "new", "remoteRef": {"key": "k"}}]))
    await rig.work()
    assert rig.secret == before
    assert rig.ready[0] == "False"
    await rig.aclose()


@virtual
async def test_a_foreign_secret_is_left_alone_and_the_remedy_is_told() -> None:
    rig = await started()
    rig.server.put(
        SECRETS, secret_body(data={"theirs": b"canary-c0ffee"}, managedFields=managed_fields("kubectl", "theirs"))
    )
    await rig.work()
    assert rig.secret is not None
    assert set(rig.secret["data"]) == {"theirs"}
    assert rig.ready[0] == "False"
    assert "creationPolicy Merge" in rig.ready[2]
    assert "canary" not in rig.ready[2]
    await rig.aclose()


@virtual
async def test_an_immutable_target_that_would_have_to_change_never_counts_as_in_step() -> None:
    rig = await started()
    await rig.work()
    assert rig.secret is not None
    rig.managed.note(rig.server.put(SECRETS, {**rig.secret, "immutable": True}))
    rig.apply_store(store_body(generation=2, provider={"fake": {"data": [{"key": "k", "value": "new"}]}}))
    for _ in range(3):
        await rig.work()
        assert rig.ready[0] == "False"
        assert "immutable" in rig.ready[2]
        await asyncio.sleep(100)
    await rig.aclose()


@virtual
async def test_a_renamed_target_leaves_no_moment_without_a_secret() -> None:
    rig = await started()
    await rig.work()
    rig.apply(es_body(target={"name": "renamed"}, metadata={"generation": 2}))
    await rig.work()
    assert set(rig.server.objects) & {PATH, SECRETS.path("team", "renamed")} == {SECRETS.path("team", "renamed")}
    writes = [path.rsplit("/", 1)[1] + method for method, path in rig.server.requests if method in {"POST", "DELETE"}]
    assert writes[-2:] == ["secretsPOST", "appDELETE"]
    await rig.aclose()


@virtual
@pytest.mark.parametrize(("policy", "left"), [("Delete", False), ("Retain", True)])
async def test_the_finalizer_of_a_predecessor_is_honoured_and_taken_off(policy: str, left: bool) -> None:
    spec: dict[str, Any] = {"target": {"deletionPolicy": policy}}
    rig = await started(**spec)
    await rig.work()
    metadata = {"finalizers": [FINALIZER], "deletionTimestamp": "2030-01-01T00:00:00Z"}
    rig.apply(es_body(metadata=metadata, **spec))
    await rig.work()
    assert (rig.secret is not None) is left
    assert rig.server.objects[EXTERNAL_SECRETS.path("team", "app")]["metadata"]["finalizers"] == []
    await rig.aclose()


@virtual
async def test_a_finalizer_that_somebody_else_is_faster_with_is_not_fought_over() -> None:
    rig = await started()
    metadata = {"finalizers": [FINALIZER], "deletionTimestamp": "2030-01-01T00:00:00Z"}
    rig.apply(es_body(metadata=metadata))
    rig.server.put(EXTERNAL_SECRETS, es_body(metadata=metadata))
    rig.server.requests.clear()
    for _ in range(60):
        await rig.work()
        await asyncio.sleep(1)
    assert len(rig.server.requests) < 70
    await rig.aclose()


@virtual
async def test_a_namespace_that_goes_away_is_told_and_waited_for() -> None:
    rig = await started()
    rig.bells.namespace("ADDED", {"metadata": {"name": "team", "deletionTimestamp": "2030-01-01T00:00:00Z"}})
    await rig.work()
    assert 'namespace "team" is being deleted' in rig.ready[2]
    assert rig.counter.reads == 0
    await rig.aclose()


@virtual
async def test_after_a_restart_what_is_fresh_is_neither_read_nor_written() -> None:
    rig = await started()
    await rig.work()
    assert rig.secret is not None
    again = Rig()
    again.server.objects = rig.server.objects
    again.server.version = rig.server.version
    again.apply_store()
    await again.work()
    again.managed.seen(TARGET, rig.secret)
    again.server.requests.clear()
    again.bells.external_secret(None, rig.server.objects[EXTERNAL_SECRETS.path("team", "app")])
    await again.work()
    assert (again.server.requests, again.counter.reads) == ([], 0)
    assert again.queue._later[KEY][0] <= 3600
    await rig.aclose()
    await again.aclose()


@virtual
@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"target": {"template": {"type": "bootstrap.kubernetes.io/token"}}}, "is not allowed"),
        ({"target": {"manifest": {"apiVersion": "v1", "kind": "ConfigMap"}}}, "manifest is not served"),
        ({"data": [{"secretKey": "a", "remoteRef": {"key": "k"}}] * 2}, "duplicate secretKey found: a"),
        ({"refreshInterval": "-5m"}, "negative"),
        ({"secretStoreRef": {}}, "no store is named"),
    ],
)
async def test_what_cannot_be_served_is_told_and_nothing_is_written(spec: dict[str, Any], text: str) -> None:
    rig = await started(**spec)
    await rig.work()
    assert rig.ready[0] == "False"
    assert text in rig.ready[2]
    assert rig.secret is None
    await rig.aclose()


@virtual
async def test_a_sync_window_that_cannot_be_read_is_reported_once() -> None:
    windows = {"kind": "allow", "windows": [{"schedule": "61 * * * *", "duration": "1h"}]}
    rig = await started(syncWindows=windows)
    await rig.work()
    notes = []
    while not rig.recorder._queue.empty():
        notes.append(rig.recorder._queue.get_nowait()[2].reason)
    assert notes.count("InvalidSyncWindow") == 1
    await rig.aclose()


@virtual
async def test_an_object_of_another_class_stays_untouched() -> None:
    rig = Rig()
    rig.apply_store(store_body(controller="another"))
    rig.apply()
    await rig.work()
    assert (rig.status, rig.secret) == ({}, None)
    await rig.aclose()
