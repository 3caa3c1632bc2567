from __future__ import annotations

import asyncio
from typing import Any

import pytest

from keyferry.app.hotloops import AT_ONCE, STEP, HotLoops
from keyferry.kube.client import SECRETS, ObjectKey
from keyferry.kubehttp import KubeError
from keyferry.shape.hashes import field_manager
from tests.support.objects import es_body
from tests.support.rig import KEY, Rig
from tests.support.virtual import elapsed, virtual

SECRET = ObjectKey("Secret", "team", "app")


async def in_step(**spec: Any) -> Rig:
    rig = Rig()
    rig.apply_store()
    rig.apply(es_body(refreshInterval="1h", **spec))
    await rig.work()
    return rig


def rewrite(rig: Rig, manager: str = "other-operator") -> None:
    """Another writer puts its own value into the Secret, and the watch tells."""
    assert rig.secret is not None
    fields = [
        {"manager": field_manager("app"), "time": "2030-01-01T00:00:00Z"},
        {"manager": "first-hand", "time": "2029-01-01T00:00:00Z"},
        {"manager": manager, "time": "2030-01-01T00:00:01Z"},
    ]
    metadata = {**rig.secret["metadata"], "managedFields": fields}
    rig.managed.seen(SECRET, rig.server.put(SECRETS, {**rig.secret, "metadata": metadata, "data": {"key": "b3RoZXI="}}))


def repaired(rig: Rig) -> bool:
    return rig.secret is not None and rig.secret["data"] == {"key": "dg=="}


def events(rig: Rig) -> list[str]:
    found = []
    while not rig.recorder._queue.empty():
        _, _, note = rig.recorder._queue.get_nowait()
        found.append(note.message if note.reason == "HotLoop" else "")
    return [each for each in found if each]


async def fight(rig: Rig, seconds: float, *, pause: float = 0.5) -> int:
    """Another writer answers each repair after a pause; how often the Secret was repaired."""
    end = elapsed() + seconds
    repairs = 0
    while elapsed() < end:
        if repaired(rig):
            rewrite(rig)
        await rig.work()
        repairs += repaired(rig)
        await asyncio.sleep(pause)
    return repairs


@virtual
async def test_two_writers_of_one_secret_are_held_back_and_the_other_is_named() -> None:
    rig = await in_step()
    repairs = await fight(rig, 600)
    assert AT_ONCE <= repairs <= AT_ONCE + 600 / STEP + 1
    [text] = events(rig)
    assert text == (
        'synced over and over although its spec does not change: "other-operator" writes Secret "app" as well; until '
        "that ends, it is synced at most every 30s: leave each key of the Secret, each label and annotation, and what "
        "its templates are made from to one writer"
    )
    rig.metrics.refresh()
    assert rig.metrics.value("keyferry_hot_loops") == 1
    await rig.aclose()


@virtual
async def test_a_loop_that_goes_on_is_told_again_before_its_event_is_forgotten() -> None:
    rig = await in_step()
    await fight(rig, 3 * 2700, pause=5.0)
    assert len(events(rig)) == 3
    await rig.aclose()


@virtual
async def test_when_the_other_writer_rests_the_secret_is_repaired_and_drift_is_mended_at_once_again() -> None:
    rig = await in_step()
    await fight(rig, 60)
    if repaired(rig):
        rewrite(rig)
    await rig.work()
    await asyncio.sleep(STEP)
    await rig.work()
    assert repaired(rig)
    await asyncio.sleep(AT_ONCE * STEP)
    rig.metrics.refresh()
    assert rig.metrics.value("keyferry_hot_loops") == 0
    for _ in range(AT_ONCE - 1):
        rewrite(rig)
        await rig.work()
        assert repaired(rig)
    await rig.aclose()


@virtual
async def test_an_edit_of_the_spec_is_synced_at_once_although_the_object_was_held() -> None:
    rig = await in_step()
    await fight(rig, 60)
    reads = rig.counter.reads
    rewrite(rig)
    rig.apply(es_body(refreshInterval="1h", metadata={"generation": 2}), event="MODIFIED")
    await rig.work()
    assert repaired(rig)
    assert rig.counter.reads == reads + 1
    await rig.aclose()


@virtual
async def test_refreshes_by_the_interval_are_not_taken_for_a_loop() -> None:
    rig = Rig()
    rig.apply_store()
    rig.apply(es_body(refreshInterval="1s"))
    await rig.work()
    while elapsed() < 200:
        await asyncio.sleep(1)
        await rig.work()
    assert rig.counter.reads >= 200
    assert len(rig.loop._hot_loops._seen) <= 1
    assert not events(rig)
    await rig.aclose()


@virtual
async def test_retries_of_a_failing_object_are_not_taken_for_a_loop() -> None:
    rig = Rig()
    rig.apply_store()
    rig.apply(es_body(refreshInterval="2s", data=[{"secretKey": "x", "remoteRef": {"key": "absent"}}]))
    while elapsed() < 300:
        await rig.work()
        await asyncio.sleep(1)
    assert not events(rig)
    rig.metrics.refresh()
    assert rig.metrics.value("keyferry_hot_loops") == 0
    await rig.aclose()


@virtual
async def test_a_flapping_annotation_is_held_back_without_naming_anybody() -> None:
    rig = await in_step()
    reads = rig.counter.reads
    for number in range(100):
        rig.apply(es_body(refreshInterval="1h", metadata={"annotations": {"flap": str(number % 2)}}), event="MODIFIED")
        await rig.work()
        await asyncio.sleep(0.1)
    assert rig.counter.reads - reads < AT_ONCE
    [text] = events(rig)
    assert text.startswith("synced over and over although its spec does not change; until that ends")
    await asyncio.sleep(STEP)
    await rig.work()
    assert rig.status["syncedResourceVersion"].startswith("1-")
    await rig.aclose()


@virtual
async def test_an_api_server_that_does_not_answer_leaves_the_other_writer_unnamed() -> None:
    rig = await in_step()
    loops = HotLoops(rig.server.kube)
    for _ in range(AT_ONCE):
        loops.synced(KEY, ("uid", 1), rung=True)
    assert loops.wait(KEY, ("uid", 1), rung=True) == pytest.approx(STEP)

    def refuse(_method: str, _path: str) -> None:
        raise KubeError(500, "InternalError", "canary")

    rig.server.before = refuse
    es = rig.world.outline(KEY)
    assert es is not None
    note = await loops.note(KEY, es)
    assert note is not None
    assert "canary" not in note.message
    assert "as well" not in note.message
    assert await loops.note(KEY, es) is None
    await rig.aclose()


@virtual
async def test_what_rests_and_what_is_gone_is_forgotten() -> None:
    rig = await in_step()
    loops = HotLoops(rig.server.kube)
    for number in range(1000):
        loops.synced(ObjectKey("ExternalSecret", "team", str(number)), ("uid", 1), rung=True)
        await asyncio.sleep(1)
    assert len(loops._seen) <= 128
    loops.forget(ObjectKey("ExternalSecret", "team", "999"))
    await asyncio.sleep(STEP)
    assert loops.hot() == 0
    assert not loops._seen
    await rig.aclose()
