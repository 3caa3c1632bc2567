"""A keyed work queue with lanes: no key twice, one key in work at a time, urgent keys first, due times.

The queue is level-triggered: it holds keys, not events. A key that is added while it is in work is handed out again
once that work is done, so that no change is missed and none is worked on twice at once.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_PATIENCE = 8
"""After so many picks from the lanes above it, a waiting lane gets one: a flood of new keys cannot stop refreshes."""


class Closed(Exception):
    """The queue was closed; there is nothing left to hand out."""


@dataclass(frozen=True, slots=True)
class Work(Generic[K]):
    """A key handed out to a worker. ``due`` is the loop time, in seconds, at which it should have started."""

    key: K
    lane: int
    due: float


class WorkQueue(Generic[K]):
    """Lane 0 is the most urgent. All times are those of ``loop.time()``, in seconds.

    ``added`` is called with each key that becomes due.
    """

    def __init__(self, *, lanes: int, added: Callable[[K], None] = lambda _: None) -> None:
        self._added = added
        self._loop = asyncio.get_running_loop()
        self._ready: list[dict[K, float]] = [{} for _ in range(lanes)]
        self._passed_over = [0] * lanes
        self._later: dict[K, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._in_work: set[K] = set()
        self._again: dict[K, int] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def add(self, key: K, lane: int) -> None:
        """Make the key due now. Added again, it keeps its place and takes the more urgent of both lanes."""
        if self._closed:
            return
        if key in self._in_work:
            self._again[key] = min(lane, self._again.get(key, lane))
            return
        self._later.pop(key, None)
        due = self._loop.time()
        for number, waiting in enumerate(self._ready):
            if key in waiting:
                if number <= lane:
                    return
                due = waiting.pop(key)
                break
        self._ready[lane][key] = due
        self._added(key)
        self._wake()

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
            waiting.pop(key, None)

    async def get(self) -> Work[K]:
        """The next key. Raises ``Closed`` when the queue is closed. Every ``get`` is followed by a ``done``."""
        while True:
            if self._closed:
                raise Closed
            work = self._pick()
            if work is not None:
                self._in_work.add(work.key)
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
        self._in_work.discard(key)
        lane = self._again.pop(key, None)
        if lane is not None:
            self.add(key, lane)

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
        first = [next(iter(waiting.values())) for waiting in self._ready if waiting]
        return max(0.0, self._loop.time() - min(first)) if first else 0.0

    def _pick(self) -> Work[K] | None:
        chosen: int | None = None
        for lane, waiting in enumerate(self._ready):
            if not waiting:
                self._passed_over[lane] = 0
            elif chosen is None or self._passed_over[lane] >= _PATIENCE:
                chosen = lane
        if chosen is None:
            return None
        for lane, waiting in enumerate(self._ready):
            if waiting and lane > chosen:
                self._passed_over[lane] += 1
        self._passed_over[chosen] = 0
        key = next(iter(self._ready[chosen]))
        return Work(key=key, lane=chosen, due=self._ready[chosen].pop(key))

    def _wake(self) -> None:
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
                self._ready[later[1]][key] = due
                self._added(key)
                self._wake()
        self._set_timer()
