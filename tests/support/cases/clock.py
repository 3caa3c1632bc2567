"""Time that stands still until a case moves it: one clock for the loop's timers and for the operator's wall clock."""

from __future__ import annotations

import asyncio
import datetime as dt
import math

START = dt.datetime(2030, 1, 7, 12, 0, 0, tzinfo=dt.UTC)
"""A Monday."""


class StillLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock moves by ``move_to`` only. Sockets work; time-outs never strike by themselves."""

    def __init__(self) -> None:
        self._moment = 0.0
        super().__init__()

    def time(self) -> float:
        return self._moment

    def now(self) -> dt.datetime:
        """The wall clock that belongs to ``time``, never behind it."""
        return START + dt.timedelta(microseconds=math.ceil(self._moment * 1e6 - 1e-3))

    async def move_to(self, moment: float) -> None:
        """Set the clock forward and let what is due ring."""
        self._moment = max(self._moment, moment)
        # One turn for the loop to see its timers, one for what they call.
        for _ in range(3):
            await asyncio.sleep(0)
