"""Whether work gets done, and what is being worked on: for the liveness probe, for metrics, for people.

Work that ends in an error has ended: a store or an API server that is down never gets this process restarted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from keyferry.app.bells import Lane
from keyferry.kits.workqueue import Work, WorkQueue
from keyferry.kube.client import ObjectKey
from keyferry.telemetry import get_logger

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Busy:
    worker: str
    lane: int
    since: float


class Watchdog:
    """Knows what each worker works on, and when work last ended. All times are in seconds of the loop's clock."""

    def __init__(self, queue: WorkQueue[ObjectKey], *, timeout: float) -> None:
        """``timeout``: how long no work may end while some is due or under way; 0 for ever."""
        self._queue = queue
        self._timeout = timeout
        self._clock = asyncio.get_running_loop().time
        self._ended = self._clock()
        self._busy: dict[ObjectKey, _Busy] = {}

    @contextmanager
    def working(self, work: Work[ObjectKey]) -> Iterator[None]:
        """The current task works on a key while the block runs."""
        task = asyncio.current_task()
        self._busy[work.key] = _Busy(task.get_name() if task else "none", work.lane, self._clock())
        try:
            yield
        finally:
            self._ended = self._clock()
            del self._busy[work.key]

    def longest(self) -> float:
        """For how long the key that has been in work longest has been; 0 where none is."""
        return max((self._clock() - busy.since for busy in self._busy.values()), default=0.0)

    def wrong(self) -> str | None:
        """Why the process should be restarted; None where it should not."""
        idle = self._clock() - self._ended
        if 0 < self._timeout < min(idle, max(self._queue.overdue(), self.longest())):
            return f"work is due and none has ended for {self._timeout:g} s"
        return None

    def dump(self) -> None:
        """Log what each worker works on, the longest first, and how much waits for one."""
        now = self._clock()
        for key, busy in sorted(self._busy.items(), key=lambda item: item[1].since):
            seconds = round(now - busy.since, 3)
            _log.info(
                "at work", worker=busy.worker, object=str(key), lane=Lane(busy.lane).name.lower(), seconds=seconds
            )
        due = sum(1 for _ in self._queue.waiting())
        overdue, idle = round(self._queue.overdue(), 3), round(now - self._ended, 3)
        _log.info("waiting for a worker", due=due, oldest_seconds=overdue, last_work_ended_seconds_ago=idle)
