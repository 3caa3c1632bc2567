from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from keyferry.app.bells import Lane
from keyferry.app.loop import ramp_up
from keyferry.app.watchdog import Watchdog
from keyferry.errors import Unreachable
from keyferry.kits.workqueue import WorkQueue
from keyferry.kube.client import ObjectKey
from tests.support.objects import es_body
from tests.support.rig import Rig
from tests.support.virtual import elapsed, settle, virtual

STALLED = "work is due and none has ended for 300 s"


def key(name: str) -> ObjectKey:
    return ObjectKey("ExternalSecret", "team", name)


async def stuck(watchdog: Watchdog, queue: WorkQueue[ObjectKey]) -> None:
    work = await queue.get()
    with watchdog.working(work):
        await asyncio.Event().wait()


@virtual
async def test_the_process_is_well_while_nothing_is_due_however_long_that_takes() -> None:
    queue: WorkQueue[ObjectKey] = WorkQueue(lanes=len(Lane))
    watchdog = Watchdog(queue, timeout=300)
    queue.schedule(key("a"), 5000.0, Lane.REFRESH)
    await asyncio.sleep(4999)
    assert watchdog.wrong() is None
    await asyncio.sleep(300)
    assert watchdog.wrong() is None
    await asyncio.sleep(2)
    assert watchdog.wrong() == STALLED


@virtual
async def test_work_that_never_ends_is_told_although_nothing_waits_for_it() -> None:
    queue: WorkQueue[ObjectKey] = WorkQueue(lanes=len(Lane))
    watchdog, patient = Watchdog(queue, timeout=300), Watchdog(queue, timeout=0)
    queue.add(key("a"), Lane.FIRST)
    task = asyncio.create_task(stuck(watchdog, queue))
    await asyncio.sleep(299)
    assert watchdog.wrong() is None
    await asyncio.sleep(2)
    assert watchdog.wrong() == STALLED
    assert watchdog.longest() == pytest.approx(301)
    assert patient.wrong() is None
    task.cancel()
    await settle()
    assert watchdog.wrong() is None
    assert watchdog.longest() == 0.0


@virtual
async def test_one_stuck_worker_among_others_that_get_on_is_no_reason_for_a_restart() -> None:
    queue: WorkQueue[ObjectKey] = WorkQueue(lanes=len(Lane))
    watchdog = Watchdog(queue, timeout=300)
    queue.add(key("stuck"), Lane.FIRST)
    task = asyncio.create_task(stuck(watchdog, queue))
    await settle()
    for number in range(10):
        queue.add(key(f"other-{number}"), Lane.FIRST)
        with watchdog.working(await queue.get()):
            await asyncio.sleep(100)
        assert watchdog.wrong() is None
    task.cancel()


@virtual
async def test_a_store_that_is_down_for_hours_gets_nobody_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    rig.apply_store()
    rig.apply(es_body(refreshInterval="60s"))

    async def down(*_: object) -> None:
        await asyncio.sleep(30)
        raise Unreachable("no answer")

    monkeypatch.setattr(rig.fetcher, "read", down)
    workers = [asyncio.create_task(rig.loop.work()) for _ in range(2)]
    while elapsed() < 7200:
        await asyncio.sleep(10)
        assert rig.watchdog.wrong() is None
    rig.queue.close()
    await asyncio.gather(*workers)
    assert rig.ready[0] == "False"
    await rig.aclose()


@virtual
async def test_a_dump_tells_what_each_worker_works_on_the_longest_first() -> None:
    queue: WorkQueue[ObjectKey] = WorkQueue(lanes=len(Lane))
    watchdog = Watchdog(queue, timeout=300)
    tasks = []
    for name, lane in (("a", Lane.RETRY), ("b", Lane.FIRST)):
        queue.add(key(name), lane)
        tasks.append(asyncio.create_task(stuck(watchdog, queue), name=f"worker of {name}"))
        await asyncio.sleep(10)
    queue.add(key("c"), Lane.REFRESH)
    await asyncio.sleep(1)
    with capture_logs() as said:
        watchdog.dump()
    for task in tasks:
        task.cancel()
    busy = [line for line in said if line["event"] == "at work"]
    assert [(line["worker"], line["object"], line["lane"], line["seconds"]) for line in busy] == [
        ("worker of a", "ExternalSecret team/a", "retry", 21.0),
        ("worker of b", "ExternalSecret team/b", "first", 11.0),
    ]
    [rest] = [line for line in said if line["event"] == "waiting for a worker"]
    assert (rest["due"], rest["oldest_seconds"], rest["last_work_ended_seconds_ago"]) == (1, 1.0, 21.0)


@virtual
async def test_after_a_start_periodic_refreshes_get_their_workers_one_after_the_other_and_new_objects_all() -> None:
    queue: WorkQueue[ObjectKey] = WorkQueue(lanes=len(Lane))
    begun: list[tuple[float, str]] = []

    async def hold() -> None:
        work = await queue.get()
        begun.append((elapsed(), work.key.name))

    ramp = asyncio.create_task(ramp_up(queue, workers=8, seconds=10.0))
    await settle()
    for number in range(8):
        queue.add(key(f"old-{number}"), Lane.REFRESH)
        queue.add(key(f"new-{number}"), Lane.FIRST)
    workers = [asyncio.create_task(hold()) for _ in range(16)]
    await asyncio.gather(ramp, *workers)
    assert {when for when, name in begun if name.startswith("new")} == {0.0}
    old = [when for when, name in begun if name.startswith("old")]
    assert old[:2] == [0.0, 2.5]
    assert old == sorted(old)
    assert 8.0 < old[-1] <= 10.0
