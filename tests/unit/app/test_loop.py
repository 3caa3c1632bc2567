from __future__ import annotations

import asyncio
from typing import Any

import pytest

from keyferry.app.bells import Lane
from keyferry.kits.workqueue import Closed
from keyferry.kube.client import EXTERNAL_SECRETS, SECRET_STORES, SECRETS
from keyferry.kubehttp import KubeError
from tests.support.objects import es_body, store_body
from tests.support.rig import KEY, STORE, Rig
from tests.support.virtual import virtual

PATH = EXTERNAL_SECRETS.path("team", "app")


async def started(body: dict[str, Any] | None = None) -> Rig:
    rig = Rig()
    rig.apply_store()
    rig.apply(body)
    return rig


@virtual
async def test_an_external_secret_becomes_a_secret_and_then_costs_nothing() -> None:
    rig = await started()
    await rig.work()
    assert rig.secret is not None
    assert rig.secret["data"] == {"key": "dg=="}
    assert rig.ready == ("True", "SecretSynced", "secret synced")
    assert (rig.status["observedGeneration"], rig.status["binding"]) == (1, {"name": "app"})
    requests = len(rig.server.requests)
    rig.queue.add(KEY, Lane.FIRST)
    await rig.work()
    assert (len(rig.server.requests), rig.counter.reads) == (requests, 1)
    await rig.aclose()


@virtual
async def test_a_refresh_that_finds_nothing_new_reads_and_writes_nothing_but_the_time_at_a_bounded_rate() -> None:
    rig = await started(es_body(refreshInterval="100s"))
    await rig.work()
    writes = [method for method, _ in rig.server.requests if method != "GET"]
    for _ in range(2):
        await asyncio.sleep(100)
        await rig.work()
    assert rig.counter.reads == 3
    assert [method for method, _ in rig.server.requests if method != "GET"] == writes
    await rig.aclose()


@virtual
async def test_a_status_never_reaches_another_object_that_took_the_name() -> None:
    rig = await started()

    def before(method: str, path: str) -> None:
        if method == "PATCH":
            rig.server.before = lambda _method, _path: None
            rig.server.put(EXTERNAL_SECRETS, es_body(metadata={"uid": "another"}))

    rig.server.before = before
    await rig.work()
    assert "status" not in rig.server.objects[PATH]
    await rig.aclose()


@virtual
async def test_a_status_is_written_although_somebody_else_wrote_the_object_meanwhile() -> None:
    rig = await started()

    def before(method: str, path: str) -> None:
        if method == "PATCH":
            rig.server.before = lambda _method, _path: None
            rig.server.put(EXTERNAL_SECRETS, es_body(metadata={"labels": {"late": "1"}}))

    rig.server.before = before
    await rig.work()
    assert rig.ready[0] == "True"
    # The answer told of the label, which is a change of its own.
    assert rig.counter.reads == 2
    await rig.aclose()


@virtual
async def test_the_answer_to_a_status_does_not_bring_an_object_back_to_life() -> None:
    rig = await started()

    def before(method: str, path: str) -> None:
        if method == "PATCH" and path.endswith("externalsecrets/app/status"):
            rig.bells.gone(KEY)

    rig.server.before = before
    await rig.work()
    assert rig.world.uid(KEY) is None
    await rig.aclose()


@virtual
async def test_an_object_that_went_unnoticed_is_dropped_with_all_that_was_remembered() -> None:
    rig = await started()

    def before(method: str, path: str) -> None:
        if method == "POST":
            rig.server.objects.pop(PATH, None)

    rig.server.before = before
    await rig.work()
    assert rig.world.uid(KEY) is None
    assert not _traces(rig)
    await rig.aclose()


def _traces(rig: Rig) -> list[object]:
    held = (
        rig.loop._failures,
        rig.external_secrets._refreshed,
        rig.targets._last,
        rig.dependencies._of,
        rig.loop._hot_loops._seen,
        [line for line in rig.metrics.render().decode().splitlines() if 'name="app"' in line],
    )
    return [each for each in held if any("app" in str(key) for key in each)]


@virtual
async def test_nothing_is_left_of_an_object_that_goes_while_it_is_worked_on() -> None:
    for body in (es_body(), es_body(target={"creationPolicy": "Merge"}), es_body(data=[], dataFrom=[])):
        rig = await started(body)
        working = asyncio.create_task(rig.work())
        for _ in range(6):
            await asyncio.sleep(0)
        rig.server.objects.pop(PATH)
        rig.bells.gone(KEY)
        await working
        await rig.work()
        assert not _traces(rig)
        await rig.aclose()


@virtual
async def test_a_recreated_object_does_not_inherit_failures() -> None:
    rig = await started(es_body(data=[{"secretKey": "x", "remoteRef": {"key": "absent"}}]))
    for _ in range(5):
        await rig.work()
        await asyncio.sleep(200)
    assert rig.loop._failures[KEY] > 2
    rig.bells.gone(KEY)
    await rig.work()
    assert KEY not in rig.loop._failures
    await rig.aclose()


@virtual
async def test_a_defect_is_told_on_the_object_and_does_not_end_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = await started()
    await rig.work()

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("canary-c0ffee")

    monkeypatch.setattr(rig.fetcher, "read", broken)
    rig.apply(es_body(metadata={"generation": 2}))
    worker = asyncio.create_task(rig.loop.work())
    await asyncio.sleep(1)
    told = "Keyferry met a defect of its own (RuntimeError): see its log"
    assert rig.ready == ("False", "SecretSyncedError", told)
    monkeypatch.setattr(rig.fetcher, "validate", broken)
    rig.queue.add(STORE, Lane.FIRST)
    await asyncio.sleep(1)
    store = rig.server.objects[SECRET_STORES.path("team", "store")]["status"]["conditions"][0]
    assert (store["status"], store["message"]) == ("False", told)
    assert not worker.done()
    rig.queue.close()
    await worker
    await rig.aclose()


@virtual
async def test_an_object_that_cannot_be_read_says_so_and_keeps_its_secret() -> None:
    rig = await started()
    await rig.work()
    secret = rig.secret
    rig.apply(es_body(metadata={"generation": 2}, target={"creationPolicy": "canary-c0ffee"}))
    await rig.work()
    status, reason, message = rig.ready
    assert (status, reason) == ("False", "SecretSyncedError")
    assert "spec.target.creationPolicy" in message
    assert "canary" not in message
    assert rig.secret == secret
    await rig.aclose()


@virtual
async def test_a_status_that_cannot_be_written_is_tried_again() -> None:
    rig = await started()
    await rig.work()
    path = PATH + "/status"

    def before(method: str, asked: str) -> None:
        if (method, asked) == ("PATCH", path):
            raise KubeError(503, "ServiceUnavailable", "no")

    rig.server.before = before
    rig.apply(es_body(metadata={"generation": 2}))
    await rig.work()
    assert rig.status["observedGeneration"] == 1
    rig.server.before = lambda _method, _path: None
    await asyncio.sleep(13)
    await rig.work()
    assert rig.status["observedGeneration"] == 2
    await rig.aclose()


@virtual
async def test_an_outage_of_the_store_keeps_the_secret_and_ends_with_it() -> None:
    rig = await started(es_body(refreshInterval="60s"))
    await rig.work()
    secret = rig.secret
    broken = store_body(generation=2, provider={"fake": {"data": [{"key": "k", "value": "v"}], "validationResult": 2}})
    rig.apply_store(broken)
    await rig.work()
    assert rig.ready[0] == "False"
    assert 'SecretStore "store" is not ready' in rig.ready[2]
    assert rig.secret == secret
    rig.apply_store(store_body(generation=3))
    await rig.work()
    assert rig.ready[0] == "True"
    assert rig.secret == secret
    await rig.aclose()


@virtual
async def test_an_object_that_is_applied_with_its_store_says_nothing_of_the_first_moments() -> None:
    rig = Rig()
    rig.apply_store(store_body(ready=None))
    rig.apply()
    await rig.work()
    assert rig.ready[0] == "True"
    assert [path for method, path in rig.server.requests if method == "PATCH"].count(PATH + "/status") == 1
    await rig.aclose()


@virtual
async def test_drift_and_deletion_are_repaired() -> None:
    rig = await started()
    await rig.work()
    assert rig.secret is not None
    good = rig.secret["data"]
    drifted = rig.server.put(SECRETS, {**rig.secret, "data": {"key": "", "more": ""}})
    rig.managed.seen(KEY._replace(kind="Secret"), drifted)
    await rig.work()
    assert rig.secret["data"] == good
    rig.server.objects.pop(SECRETS.path("team", "app"))
    rig.managed.gone(KEY._replace(kind="Secret"))
    await rig.work()
    assert rig.secret is not None
    assert rig.secret["data"] == good
    await rig.aclose()


@virtual
async def test_a_closed_queue_ends_the_workers() -> None:
    rig = Rig()
    rig.queue.close()
    await rig.loop.work()
    with pytest.raises(Closed):
        await rig.loop.step()
    await rig.aclose()
