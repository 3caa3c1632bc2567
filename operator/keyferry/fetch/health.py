"""How a store does, as its traffic tells: whether it may be asked, and what is told where it may not.

A store that asks for fewer calls, or that does not answer several times in a row, is given a rest that all its objects
share. While it lasts nobody asks it; afterwards one call finds out how it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol

from keyferry.errors import Broken, Busy, ClusterUnavailable, KeyferryError, Unreachable
from keyferry.kits.breaker import Breaker
from keyferry.ports import StoreIdentity, Validation

_THRESHOLD, _FIRST_REST, _LONGEST_REST = 3, 2.0, 30.0
"""Calls in a row without an answer that have a store rested; for how many seconds at first, and at the longest."""
_LONGEST_ASKED = 900.0
"""Seconds of rest that a store's Retry-After is believed for; then it is asked once whether it still holds."""


class Counter(Protocol):
    """Where is counted what stores are asked, and what they are not."""

    def provider_calls(self, store: StoreIdentity, result: str) -> None:
        """One document or listing was asked of the store: ``success`` or ``error``."""
        ...

    def reads_saved(self, store: StoreIdentity, how: str) -> None:
        """The store was not asked: ``flight``, ``cache``, ``negative``, ``listing`` or ``check``."""
        ...

    def resting(self, store: StoreIdentity, *, now: bool) -> None:
        """Whether the store is left alone for a while."""
        ...


class Health:
    """Of one adapter."""

    def __init__(self, store: StoreIdentity, counter: Counter, recovered: Callable[[StoreIdentity], None]) -> None:
        """``recovered`` hears when a store that was rested answers again."""
        self._store = store
        self._counter = counter
        self._recovered = recovered
        self._clock = asyncio.get_running_loop().time
        self._breaker = Breaker(threshold=_THRESHOLD, first=_FIRST_REST, longest=_LONGEST_REST, clock=self._clock)
        self._is_busy = False
        self._fault: KeyferryError | None = None
        self._fine_at = float("-inf")
        counter.resting(store, now=False)

    @property
    def is_resting(self) -> bool:
        """Whether a call would be refused now."""
        return not self._breaker.is_passable

    @property
    def is_probing(self) -> bool:
        """Whether the one call is under way that finds out how the store is after its rest."""
        return self._breaker.state == "half-open"

    def admit(self) -> int | None:
        """A ticket for one call, to be given to ``judge`` or ``undecided``; None while the store rests."""
        return self._breaker.admit()

    def undecided(self, ticket: int) -> None:
        """The call was broken off."""
        self._breaker.undecided(ticket)

    def judge(self, ticket: int, answers: Collection[object], began: float) -> None:
        """The call that began at this moment was answered so."""
        before = self._breaker.state
        busy = [each for each in answers if isinstance(each, Busy)]
        silent = any(isinstance(each, Unreachable) and not isinstance(each, ClusterUnavailable) for each in answers)
        if busy:
            self._is_busy = True
            asked = max(each.retry_after or 0.0 for each in busy)
            self._breaker.failed(ticket, at_once=True, rest=min(asked, _LONGEST_ASKED))
        elif not all(isinstance(each, Unreachable | Broken) for each in answers):
            self._breaker.succeeded(ticket)
        elif silent:
            self._is_busy = False
            self._breaker.failed(ticket)
        else:
            # It tells of us, or of the cluster.
            self._breaker.undecided(ticket)
        if busy or silent:
            self._fine_at = float("-inf")
        elif not all(isinstance(each, KeyferryError | Validation) for each in answers):
            self._fine_at = max(self._fine_at, began)
        self._tell(before)

    def is_fine(self, within: float) -> bool:
        """Whether something was read in the last so many seconds, no answer is missing since, and no check failed."""
        return self._fault is None and self._fine_at > self._clock() - within

    def checked(self, error: KeyferryError | None) -> None:
        """The store's own check failed so, or found nothing. What it found is told of the store while it rests."""
        self._fault = None if error is None else error.copy()

    def fault(self) -> KeyferryError:
        """What is told of a store that rests: what its last check found, if that failed."""
        return self.rest() if self._fault is None else self._fault.copy()

    def rest(self) -> KeyferryError:
        """What is told to an object whose store rests. It names no key: that may be somebody else's."""
        if self._is_busy:
            return Busy(
                "the store asked for fewer calls, and is given a rest that all who use it share",
                remedy="it is asked again by itself; if it stays so, have its limit raised or refresh less often",
                retry_after=self._breaker.remaining,
            )
        return Unreachable(
            "the store did not answer several times in a row, and is given a rest that all who use it share",
            remedy="it is asked again by itself; the store's own condition may tell more",
        )

    def _tell(self, before: str) -> None:
        after = self._breaker.state
        if (before == "closed") != (after == "closed"):
            self._counter.resting(self._store, now=after != "closed")
            if after == "closed":
                self._recovered(self._store)
