"""A keyed work queue with lanes: no key twice, one key in work at a time, urgent keys first, fair, due times.

The queue is level-triggered: it holds keys, not events. A key that is added while it is in work is handed out again
once that work is done, so that no change is missed and none is worked on twice at once.

Within a lane, the things that keys use (their stores) take turns, and of each the tenants (namespaces): whoever has
thousands of keys due does not keep another waiting for longer than a turn. And no thing takes more than half of the
workers, so that one that does not answer leaves the other half to the rest.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from keyferry.kits.turns import Turns, Uses, Waiting

K = TypeVar("K", bound=Hashable)

_PATIENCE = 8
"""After so many picks from the lanes above it, a waiting lane gets one: a flood of new keys cannot stop refreshes."""


class Closed(Exception):
    """The queue was closed; there is nothing left to hand out."""


@dataclass(frozen=True, slots=True)
class Work(Generic[K]):
    """A key handed out to a worker. ``due`` is the loop time, in seconds, at which it should have started.

    ``rung``: it was added because something happened, and did not come because its time had come.
    """

    key: K
    lane: int
    due: float
    rung: bool


class WorkQueue(Generic[K]):
    """Lane 0 is the most urgent. All times are those of ``loop.time()``, in seconds."""

    def __init__(
        self,
        *,
        lanes: int,
        added: Callable[[K], None] = lambda _: None,
        tenant: Callable[[K], Hashable] = lambda _: None,
        uses: Callable[[K], Uses] = lambda _: frozenset(),
        workers: int = 0,
    ) -> None:
        """``added`` is called with each key that becomes due; ``tenant`` and ``uses`` tell who takes turns with whom.

        ``workers``: how many there are, to share them out among what keys use; with 0 they are not shared out.
        """
        self._added = added
        self._uses = uses
        self._loop = asyncio.get_running_loop()
        self._ready: list[Turns[K]] = [Turns(tenant, uses) for _ in range(lanes)]
        self._passed_over = [0] * lanes
        self._most: list[int | None] = [None] * lanes
        self._share = (workers + 1) // 2
        self._later: dict[K, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._in_work: dict[K, tuple[int, Uses]] = {}
        self._of_lane = [0] * lanes
        self._of_use: Counter[Hashable] = Counter()
        self._again: dict[K, int] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def add(self, key: K, lane: int) -> None:
        """Make the key due now. Added again, it keeps its age and takes the more urgent of both lanes."""
        if self._closed:
            return
        if key in self._in_work:
            self._again[key] = min(lane, self._again.get(key, lane))
            return
        self._later.pop(key, None)
        if any(key in waiting for waiting in self._ready[: lane + 1]):
            return
        before = [found for waiting in self._ready if (found := waiting.drop(key))]
        self._line_up(key, lane, Waiting(before[0].due if before else self._loop.time(), rung=True))

    def schedule(self, key: K, due: float, lane: int) -> None:
        """Make the key due at a later time, in place of any later time it had. A key that is due already stays so."""
        if self._closed or any(key in waiting for waiting in self._ready) or key in self._again:
            return
        self._later[key] = (due, lane)
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, key))
        if len(self._heap) > 64 and len(self._heap) > 4 * len(self._later):
            self._heap = [(when, number, k) for number, (k, (when, _)) in enumerate(self._later.items())]
            heapq.heapify(self._heap)
            self._count = len(self._heap)
        self._set_timer()

    def forget(self, key: K) -> None:
        """Drop the key wherever it waits. Work that goes on is not touched."""
        self._later.pop(key, None)
        self._again.pop(key, None)
        for waiting in self._ready:
            waiting.drop(key)

    def limit(self, lane: int, most: int | None) -> None:
        """Hand out at most so many keys of a lane at the same time; None takes the limit away."""
        self._most[lane] = most
        self._wake()

    async def get(self) -> Work[K]:
        """The next key. Raises ``Closed`` when the queue is closed. Every ``get`` is followed by a ``done``."""
        while True:
            if self._closed:
                raise Closed
            work = self._pick()
            if work is not None:
                self._begin(work)
                # There may be another key for another worker: what held both back has gone.
                self._wake()
                return work
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    # The wake-up was meant for a worker: hand it on.
                    self._wake()
                raise
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)

    def done(self, key: K) -> None:
        """The work on the key has ended; if it was added meanwhile, it is due again."""
        held = self._in_work.pop(key, None)
        if held is not None:
            self._of_lane[held[0]] -= 1
            for each in held[1]:
                self._of_use[each] -= 1
                if not self._of_use[each]:
                    del self._of_use[each]
        lane = self._again.pop(key, None)
        if lane is not None:
            self.add(key, lane)
        self._wake()

    def close(self) -> None:
        """Hand out nothing more. Work that goes on may end."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def depth(self, lane: int) -> int:
        """How many keys are due in a lane and wait for a worker."""
        return len(self._ready[lane])

    def waiting(self) -> Iterator[K]:
        """The keys that are due and wait for a worker."""
        return itertools.chain.from_iterable(self._ready)

    def in_work(self) -> int:
        """How many keys are in work."""
        return len(self._in_work)

    def overdue(self) -> float:
        """For how many seconds the oldest due key has been waiting for a worker; 0 with none."""
        firsts = [first for waiting in self._ready if (first := waiting.oldest()) is not None]
        return max(0.0, self._loop.time() - min(firsts)) if firsts else 0.0

    def _line_up(self, key: K, lane: int, waiting: Waiting) -> None:
        self._ready[lane].put(key, waiting)
        self._added(key)
        self._wake()

    def _pick(self) -> Work[K] | None:
        for lane in self._order():
            most = self._most[lane]
            if most is not None and self._of_lane[lane] >= most:
                continue
            taken = self._ready[lane].take(self._is_free)
            if taken is None:
                continue
            for less_urgent in range(lane + 1, len(self._ready)):
                self._passed_over[less_urgent] += 1
            self._passed_over[lane] = 0
            key, waiting = taken
            return Work(key, lane, waiting.due, waiting.rung)
        return None

    def _order(self) -> list[int]:
        """The lanes that have keys: those that were passed over for too long, then the most urgent."""
        for lane, waiting in enumerate(self._ready):
            if not waiting:
                self._passed_over[lane] = 0
        filled = (lane for lane, waiting in enumerate(self._ready) if waiting)
        return sorted(filled, key=lambda lane: (self._passed_over[lane] < _PATIENCE, lane))

    def _begin(self, work: Work[K]) -> None:
        uses = self._uses(work.key)
        self._in_work[work.key] = (work.lane, uses)
        self._of_lane[work.lane] += 1
        self._of_use.update(uses)

    def _is_free(self, uses: Uses) -> bool:
        return not self._share or all(self._of_use[each] < self._share for each in uses)

    def _wake(self) -> None:
        if not any(self._ready):
            return
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _set_timer(self) -> None:
        while self._heap:
            due, _, key = self._heap[0]
            if self._later.get(key, (None,))[0] == due:
                break
            heapq.heappop(self._heap)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap and not self._closed:
            self._timer = self._loop.call_at(self._heap[0][0], self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            later = self._later.get(key)
            if later is None or later[0] != due:
                continue
            del self._later[key]
            if key in self._in_work:
                self._again[key] = min(later[1], self._again.get(key, later[1]))
            else:
                self._line_up(key, later[1], Waiting(due, rung=False))
        self._set_timer()
