"""A limit on how often something may happen, with room for bursts."""

from __future__ import annotations

import asyncio


class TokenBucket:
    """At most ``burst`` at once and ``rate`` per second in the long run; ``rate`` 0 is no limit.

    Waiters go in the order in which they came. One that is cancelled leaves its turn unused.
    """

    def __init__(self, *, rate: float, burst: int) -> None:
        if rate < 0 or burst < 1:
            raise ValueError("a token bucket needs rate >= 0 and burst >= 1")
        self._rate = rate
        self._burst = burst
        self._free_at = -float("inf")

    async def acquire(self) -> None:
        """Wait for one's turn."""
        wait = self._reserve(asyncio.get_running_loop().time())
        if wait > 0:
            await asyncio.sleep(wait)

    def _reserve(self, now: float) -> float:
        if not self._rate:
            return 0.0
        # The time at which the bucket would be full again is all the state there is.
        step = 1 / self._rate
        self._free_at = max(self._free_at, now) + step
        return self._free_at - now - self._burst * step
