"""One call for everybody who asks for the same thing while it is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Flight(Generic[K, V]):
    """Calls under way, by key. A caller that is cancelled leaves; the call goes on for the others."""

    def __init__(self) -> None:
        self._calls: dict[K, asyncio.Task[V]] = {}

    async def join(self, key: K, start: Callable[[], Awaitable[V]]) -> V:
        """The result of the call under way for the key, or of one that is started now. Its error reaches everybody."""
        task = self._calls.get(key)
        if task is None:
            task = asyncio.ensure_future(_run(start))
            self._calls[key] = task
            task.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(task)

    def under_way(self, key: K) -> bool:
        """Whether a call for the key is under way."""
        return key in self._calls

    async def drain(self) -> None:
        """Cancel what is under way and wait for its end."""
        tasks = list(self._calls.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _land(self, key: K, task: asyncio.Task[V]) -> None:
        if self._calls.get(key) is task:
            del self._calls[key]
        if not task.cancelled():
            # Mark an error as seen even when every caller has left.
            task.exception()


async def _run(start: Callable[[], Awaitable[V]]) -> V:
    return await start()
