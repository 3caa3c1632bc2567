from __future__ import annotations

import asyncio

import looptime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from keyferry.kits.workqueue import Closed, WorkQueue
from tests.support.virtual import elapsed, run, settle, virtual

KEYS = st.sampled_from("abcde")
LANES = st.integers(0, 2)


class Model(RuleBasedStateMachine):
    """Beside the queue stands what it must hold: due keys with their lane, keys that come later, keys in work."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=looptime.new_event_loop)
        self.queue = self.call(self._make())
        self.due: dict[str, int] = {}
        self.later: dict[str, tuple[float, int]] = {}
        self.work: set[str] = set()
        self.again: dict[str, int] = {}
        self.now = 0.0

    async def _make(self) -> WorkQueue[str]:
        return WorkQueue(lanes=3)

    def call(self, main: object) -> WorkQueue[str]:
        return self.runner.run(main)  # type: ignore[arg-type] # any awaitable will do

    def teardown(self) -> None:
        self.queue.close()
        self.runner.close()

    def become_due(self, key: str, lane: int) -> None:
        if key in self.work:
            self.again[key] = min(lane, self.again.get(key, lane))
        else:
            self.later.pop(key, None)
            self.due[key] = min(lane, self.due.get(key, lane))

    @rule(key=KEYS, lane=LANES)
    def add(self, key: str, lane: int) -> None:
        self.queue.add(key, lane)
        self.become_due(key, lane)

    @rule(key=KEYS, lane=LANES, delay=st.integers(1, 9))
    def schedule(self, key: str, lane: int, delay: int) -> None:
        self.queue.schedule(key, self.now + delay, lane)
        if key not in self.due and key not in self.again:
            self.later[key] = (self.now + delay, lane)

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        self.queue.forget(key)
        for held in (self.due, self.later, self.again):
            held.pop(key, None)

    @rule(seconds=st.integers(1, 5))
    def wait(self, seconds: int) -> None:
        async def pause() -> None:
            await asyncio.sleep(self.now + seconds + 0.5 - elapsed())

        self.runner.run(pause())
        self.now += seconds
        for key in [key for key, (when, _) in self.later.items() if when <= self.now]:
            lane = self.later.pop(key)[1]
            if key in self.work:
                self.again[key] = min(lane, self.again.get(key, lane))
            else:
                self.due[key] = lane

    @rule()
    def take(self) -> None:
        if not self.due:
            return
        work = self.runner.run(self.queue.get())
        assert work.key not in self.work, "one key in work twice"
        assert self.due.pop(work.key) == work.lane
        self.work.add(work.key)

    @rule(key=KEYS)
    def finish(self, key: str) -> None:
        if key not in self.work:
            return
        self.queue.done(key)
        self.work.discard(key)
        lane = self.again.pop(key, None)
        if lane is not None:
            self.become_due(key, lane)

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        assert [self.queue.depth(lane) for lane in range(3)] == [
            sum(1 for held in self.due.values() if held == lane) for lane in range(3)
        ]
        assert self.queue.in_work() == len(self.work)


TestQueueKeepsToTheModel = Model.TestCase
TestQueueKeepsToTheModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@virtual
async def test_urgent_keys_go_first_and_equal_ones_in_the_order_in_which_they_came() -> None:
    queue: WorkQueue[str] = WorkQueue(lanes=3)
    for key, lane in (("late", 2), ("b", 1), ("a", 1), ("first", 0)):
        queue.add(key, lane)
    assert [(await queue.get()).key for _ in range(4)] == ["first", "b", "a", "late"]


@virtual
async def test_a_flood_of_urgent_keys_cannot_stop_the_others() -> None:
    queue: WorkQueue[str] = WorkQueue(lanes=3)
    queue.add("refresh", 2)
    queue.add("retry", 1)
    for number in range(100):
        queue.add(f"new-{number}", 0)
    picked = [(await queue.get()).key for _ in range(20)]
    assert {"refresh", "retry"} <= set(picked)


@virtual
async def test_a_key_that_is_added_while_in_work_is_handed_out_once_more_and_not_before() -> None:
    queue: WorkQueue[str] = WorkQueue(lanes=1)
    queue.add("a", 0)
    await queue.get()
    queue.add("a", 0)
    queue.add("a", 0)
    assert queue.depth(0) == 0
    queue.done("a")
    await queue.get()
    queue.done("a")
    assert queue.depth(0) == 0


@virtual
async def test_a_worker_waits_until_a_key_is_due_and_is_told_when_it_was() -> None:
    queue: WorkQueue[str] = WorkQueue(lanes=1)
    queue.schedule("a", 10.0, 0)
    queue.schedule("a", 30.0, 0)
    work = await queue.get()
    assert (work.due, elapsed()) == (30.0, 30.0)


@virtual
async def test_a_wake_up_of_a_cancelled_worker_goes_to_another() -> None:
    queue: WorkQueue[str] = WorkQueue(lanes=1)
    workers = [asyncio.create_task(queue.get()) for _ in range(2)]
    await settle()
    queue.add("a", 0)
    workers[0].cancel()
    assert (await workers[1]).key == "a"
    with pytest.raises(asyncio.CancelledError):
        await workers[0]


@virtual
async def test_a_closed_queue_ends_those_who_wait_and_those_who_come() -> None:
    queue: WorkQueue[str] = WorkQueue(lanes=1)
    waiting = asyncio.create_task(queue.get())
    queue.schedule("a", 5.0, 0)
    await settle()
    queue.close()
    queue.add("b", 0)
    for attempt in (waiting, asyncio.create_task(queue.get())):
        with pytest.raises(Closed):
            await attempt


def test_scheduling_again_and_again_does_not_pile_up() -> None:
    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue(lanes=1)
        for number in range(10_000):
            queue.schedule(f"key-{number % 10}", 1000.0 + number, 0)
        assert len(queue._heap) <= 64

    run(main())


@virtual
async def test_the_oldest_due_key_tells_for_how_long_it_has_been_waiting() -> None:
    queue: WorkQueue[str] = WorkQueue(lanes=2)
    assert queue.overdue() == 0.0
    queue.schedule("a", 3.0, 1)
    await asyncio.sleep(10)
    queue.add("b", 0)
    assert queue.overdue() == pytest.approx(7.0)


@virtual
async def test_a_tenant_with_thousands_of_due_keys_keeps_no_other_waiting() -> None:
    queue: WorkQueue[str] = WorkQueue(lanes=1, tenant=lambda key: key[0])
    for number in range(5000):
        queue.add(f"a-{number}", 0)
    queue.add("b-0", 0)
    assert "b-0" in [(await queue.get()).key for _ in range(2)]


@virtual
async def test_a_store_that_does_not_answer_leaves_half_of_the_workers_to_the_rest() -> None:
    queue: WorkQueue[str] = WorkQueue(lanes=1, uses=lambda key: frozenset(key.split("-")[:1]), workers=8)
    held = asyncio.Event()
    ended: list[str] = []

    async def work() -> None:
        while True:
            key = (await queue.get()).key
            if key.startswith("slow"):
                await held.wait()
            ended.append(key)
            queue.done(key)

    workers = [asyncio.create_task(work()) for _ in range(8)]
    for number in range(100):
        queue.add(f"slow-{number}", 0)
    await settle()
    assert queue.in_work() == 4
    for number in range(100):
        queue.add(f"fast-{number}", 0)
    await settle()
    assert sorted(ended) == sorted(f"fast-{number}" for number in range(100))
    held.set()
    await settle()
    assert len(ended) == 200
    for worker in workers:
        worker.cancel()


@virtual
async def test_a_limit_of_a_lane_holds_for_that_lane_and_wakes_workers_when_it_is_raised() -> None:
    queue: WorkQueue[str] = WorkQueue(lanes=2)
    queue.limit(1, 1)
    for key, lane in (("a", 1), ("b", 1), ("c", 1), ("new", 0)):
        queue.add(key, lane)
    waiting = [asyncio.create_task(queue.get()) for _ in range(4)]
    await settle()
    assert {task.result().key for task in waiting if task.done()} == {"new", "a"}
    queue.limit(1, 2)
    await settle()
    assert {task.result().key for task in waiting if task.done()} == {"new", "a", "b"}
    queue.limit(1, None)
    assert {work.key for work in await asyncio.gather(*waiting)} == {"new", "a", "b", "c"}


@virtual
async def test_a_key_tells_whether_something_happened_or_its_time_has_come() -> None:
    queue: WorkQueue[str] = WorkQueue(lanes=1)
    queue.schedule("timed", 1.0, 0)
    queue.schedule("both", 2.0, 0)
    await asyncio.sleep(1.5)
    queue.add("both", 0)
    queue.add("timed", 0)
    assert {work.key: work.rung for work in [await queue.get(), await queue.get()]} == {"timed": False, "both": True}


@settings(max_examples=60, deadline=None)
@given(
    keys=st.lists(
        st.tuples(st.integers(0, 999), st.frozensets(st.sampled_from("xyz")), st.integers(0, 1), st.integers(0, 5)),
        unique_by=lambda key: key[0],
        max_size=40,
    ),
    workers=st.integers(1, 6),
)
def test_no_store_has_more_than_its_share_and_no_worker_is_idle_while_a_key_may_go(
    keys: list[tuple[int, frozenset[str], int, int]], workers: int
) -> None:
    """A key: its number, its stores, its lane, how long it takes."""
    share = (workers + 1) // 2

    async def main() -> None:
        queue: WorkQueue[tuple[int, frozenset[str], int, int]] = WorkQueue(
            lanes=2, tenant=lambda key: key[0] % 3, uses=lambda key: key[1], workers=workers
        )
        now: set[tuple[int, frozenset[str], int, int]] = set()
        ended: list[int] = []

        async def work() -> None:
            while True:
                key = (await queue.get()).key
                now.add(key)
                assert all(sum(store in each[1] for each in now) <= share for store in key[1])
                await asyncio.sleep(key[3])
                now.discard(key)
                ended.append(key[0])
                queue.done(key)

        tasks = [asyncio.create_task(work()) for _ in range(workers)]
        for key in keys:
            queue.add(key, key[2])
        while len(ended) < len(keys):
            await settle()
            if len(now) < workers:
                for key in queue.waiting():
                    assert any(sum(store in each[1] for each in now) >= share for store in key[1])
            await asyncio.sleep(0.5)
            assert not any(task.done() for task in tasks)
        assert not queue._of_use
        for task in tasks:
            task.cancel()

    run(main())
