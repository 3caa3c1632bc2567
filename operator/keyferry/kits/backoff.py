"""Delays between tries: exponential with a ceiling, and spread so that many do not come back at once."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after the n-th failure in a row.

    The delay is ``first * factor ** (n - 1)``, at most ``ceiling``, all in seconds, and then shortened by a random part
    of up to ``jitter`` (0 to 1) of itself: a delay never exceeds what was promised.
    """

    first: float = 1.0
    ceiling: float = 300.0
    factor: float = 2.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        if not (0 < self.first <= self.ceiling and self.factor >= 1 and 0 <= self.jitter <= 1):
            raise ValueError("a backoff needs 0 < first <= ceiling, factor >= 1 and 0 <= jitter <= 1")

    def steady(self, failures: int) -> float:
        """The delay after so many failures in a row, without jitter; 0 after none."""
        if failures < 1:
            return 0.0
        try:
            return min(self.ceiling, self.first * self.factor ** (failures - 1))
        except OverflowError:
            return self.ceiling

    def delay(self, failures: int, source: random.Random | None = None) -> float:
        """The delay after so many failures in a row; ``source`` makes it repeatable."""
        # Spreads load; nothing depends on nobody guessing it.
        draw = source.random() if source else random.random()  # noqa: S311
        return self.steady(failures) * (1 - self.jitter * draw)
