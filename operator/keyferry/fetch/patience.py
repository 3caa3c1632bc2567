"""Who may wait for a slow store: its share of the workers, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any

from keyferry.errors import Pending

_SLOW = 1.0
"""Seconds after which a store that has not answered keeps no more than its share of the workers waiting."""


class Patience:
    """Of one line."""

    def __init__(self, waiters: int, *, turn: Callable[[], float]) -> None:
        """``waiters`` may wait at the same time, however long it takes.

        ``turn``: seconds until all that is wanted of the store will have been asked for.
        """
        self._most = waiters
        self._turn = turn
        self._clock = asyncio.get_running_loop().time
        self._calls: dict[asyncio.Task[None], float] = {}
        self._waiting = 0
        self._pace = 0.0
        self._heard_at = 0.0

    @property
    def under_way(self) -> int:
        """Calls that have begun and not ended."""
        return len(self._calls)

    def begun(self, call: asyncio.Task[None]) -> None:
        """A call to the store begins."""
        self._calls[call] = self._clock()

    def ended(self, call: asyncio.Task[None]) -> None:
        """A call to the store has ended."""
        self._heard_at = self._clock()
        self._pace = self._heard_at - self._calls.pop(call)

    def is_late(self, began: float) -> bool:
        """Whether a call that began at this moment takes long by now."""
        return began <= self._clock() - _SLOW

    async def wait(self, awaited: Collection[asyncio.Future[Any]], *, is_late: bool) -> None:
        """Until all are done. Raises ``Pending`` once that takes long and others wait already.

        ``is_late``: one of them has taken long by now.
        """
        pending = {each for each in awaited if not each.done()}
        self._waiting += 1
        try:
            if pending and self._waiting > self._most and (is_late or self._is_slow()):
                raise self._pending()
            while pending:
                _, pending = await asyncio.wait(pending, timeout=_SLOW)
                if pending and self._waiting > self._most:
                    raise self._pending()
        finally:
            self._waiting -= 1

    def _pending(self) -> Pending:
        return Pending("the store takes its time", retry_after=self._turn())

    def _is_slow(self) -> bool:
        """Whether the last call that ended took long; or one does that is under way, and none has ended meanwhile.

        Or it will take long until it is the turn of all that is wanted.
        """
        oldest = next(iter(self._calls.values()), self._clock())
        return max(self._pace, self._clock() - max(oldest, self._heard_at), self._turn()) > _SLOW
