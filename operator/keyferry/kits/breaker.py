"""A circuit breaker: who fails again and again, or asks for it, is left alone for a while, then tried by one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half-open"]


class Breaker:
    """Closed, all calls go. Open, none do, until the rest is over; then one is let through, and what it meets decides.

    A call asks ``admit`` for a ticket and gives it back with its verdict: ``succeeded``, ``failed`` or, where nothing
    was learnt, ``undecided``. Verdicts of calls that began before the state last changed are not listened to, as they
    tell of an older time.
    """

    def __init__(self, *, threshold: int, first: float, longest: float, clock: Callable[[], float]) -> None:
        """``threshold`` failures in a row open it, for ``first`` seconds, then twice as long each time.

        ``longest`` bounds what it grows to, but not what the other side asks for itself.
        """
        if threshold < 1 or not 0 < first <= longest:
            raise ValueError("a breaker needs threshold >= 1 and 0 < first <= longest")
        self._threshold = threshold
        self._first = first
        self._longest = longest
        self._clock = clock
        self._state: State = "closed"
        self._epoch = 0
        self._failures = 0
        self._openings = 0
        self._until = 0.0

    @property
    def state(self) -> State:
        """``open`` also while the rest is over and nobody has come to try."""
        return self._state

    @property
    def remaining(self) -> float:
        """Seconds until somebody may try; 0 where one may now."""
        return max(0.0, self._until - self._clock()) if self._state == "open" else 0.0

    @property
    def is_passable(self) -> bool:
        """Whether ``admit`` would give a ticket now."""
        return self._state == "closed" or (self._state == "open" and self._clock() >= self._until)

    def admit(self) -> int | None:
        """A ticket for one call; None where it may not be made."""
        if not self.is_passable:
            return None
        if self._state == "open":
            self._enter("half-open")
        return self._epoch

    def succeeded(self, ticket: int, *, proven: bool = True) -> None:
        """The call was answered. Unless that is ``proven`` to tell of others, the next rest is as long as if not."""
        if ticket != self._epoch:
            return
        if proven:
            self._failures = self._openings = 0
        if self._state != "closed":
            self._enter("closed")

    def failed(self, ticket: int, *, at_once: bool = False, rest: float = 0.0) -> None:
        """The call failed. ``at_once`` opens whatever the threshold; ``rest`` is the least rest, in seconds."""
        if ticket != self._epoch:
            if self._state == "open":
                self._until = max(self._until, self._clock() + rest)
            return
        self._failures += 1
        if self._state == "closed" and not at_once and self._failures < self._threshold:
            return
        grown = min(self._longest, self._first * 2.0 ** min(self._openings, 30))
        self._openings += 1
        self._until = self._clock() + max(grown, rest)
        self._enter("open")

    def retry(self) -> None:
        """The other side may be another one now: a rest ends, and the next call finds out."""
        if self._state != "closed":
            self._until = self._clock()
            self._enter("open")

    def undecided(self, ticket: int) -> None:
        """The call ended without telling anything: the next may try."""
        if ticket == self._epoch and self._state == "half-open":
            self._until = self._clock()
            self._enter("open")

    def _enter(self, state: State) -> None:
        self._state = state
        self._epoch += 1
        self._failures = 0
