"""How a store does, as its traffic tells: whether it may be asked, how often, and what is told where it may not.

A store has one ``Health`` for all generations of its manifest and for all callers, whatever credentials they bring: to
ask for fewer calls, or not to answer, is the server's doing. That somebody is denied rests nobody.

A store that answers, but not everything, is asked less often: its calls wait for their turn. One that asks for a rest,
that answers nothing but "too often", or that does not answer several times in a row, is given a rest that all share.
While it lasts nobody asks it; afterwards one call finds out how it is.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Protocol

from keyferry.errors import BadSpec, BadValue, Broken, Busy, ClusterUnavailable, KeyferryError, Unreachable
from keyferry.kits.breaker import Breaker
from keyferry.kits.pace import Pace
from keyferry.ports import StoreIdentity, Validation

_THRESHOLD, _FIRST_REST, _LONGEST_REST = 3, 2.0, 30.0
"""Calls in a row without an answer that have a store rested; for how many seconds at first, and at the longest."""
_LONGEST_ASKED = 900.0
"""Seconds of rest that a store's Retry-After is believed for; then it is asked once whether it still holds."""
_PAUSE = 5.0
"""Seconds that a store may ask for without a rest: calls wait so long for their turn, and nobody is told."""
_LATELY = 2.0
"""Seconds for which an answer shows that a store refuses some calls and not all."""
_SOONEST = 0.001
"""Seconds between two looks at whether it is somebody's turn."""
_NO_WORD = (Busy, Unreachable, Broken, BadSpec, BadValue, Validation)
"""What does not show that the store gives out secrets: adapters find out by themselves what a manifest has wrong."""


class Counter(Protocol):
    """Where is counted what stores are asked, and what they are not."""

    def provider_calls(self, store: StoreIdentity, result: str) -> None:
        """One document or listing was asked of the store: ``success`` or ``error``."""
        ...

    def reads_saved(self, store: StoreIdentity, how: str) -> None:
        """The store was not asked: ``flight``, ``cache``, ``negative``, ``listing`` or ``check``.

        Or it was, and called the document ``unchanged`` instead of sending it.
        """
        ...

    def resting(self, store: StoreIdentity, *, now: bool) -> None:
        """Whether the store is left alone for a while."""
        ...


class Health:
    """Of one store."""

    def __init__(
        self, store: StoreIdentity, counter: Counter, recovered: Callable[[StoreIdentity], None], *, most: float
    ) -> None:
        """``recovered`` hears when a store that was rested answers again.

        ``most``: documents and listings per second; 0 leaves it to the store.
        """
        self._store = store
        self._counter = counter
        self._recovered = recovered
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._breaker = Breaker(threshold=_THRESHOLD, first=_FIRST_REST, longest=_LONGEST_REST, clock=self._clock)
        self._pace = Pace(most=most, clock=self._clock)
        self._is_busy = False
        self._answered_at = float("-inf")
        self._queue: OrderedDict[Callable[[], None], None] = OrderedDict()
        self._served: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.users = 0
        """Lines that are open."""
        self.left_at = self._clock()
        """When the last line left."""
        counter.resting(store, now=False)

    @property
    def is_resting(self) -> bool:
        """Whether a call would be refused now."""
        return not self._breaker.is_passable

    @property
    def is_probing(self) -> bool:
        """Whether the one call is under way that finds out how the store is after its rest."""
        return self._breaker.state == "half-open"

    def join(self) -> None:
        """A line opens."""
        self.users += 1

    def leave(self, flush: Callable[[], None]) -> None:
        """A line closes, and wants no turn any more."""
        self.users -= 1
        self.left_at = self._clock()
        self._queue.pop(flush, None)

    def turn(self, flush: Callable[[], None]) -> int:
        """How many documents and listings may go now. With 0, ``flush`` is called when it is its turn.

        Turns go round between those who wait, so that a caller who wants much does not hold up the others.
        """
        # The turn of one that is refused anyway takes nothing away from others.
        mine = self.is_resting or self._served == flush or not self._queue
        room = 1.0 if self.is_resting else self._pace.room()
        if mine and room >= 1:
            self._served = None
            return int(min(room, 1 << 30)) // (len(self._queue) + 1) or 1
        self._queue[flush] = None
        self._arm()
        return 0

    def spend(self, count: int) -> None:
        """So many documents or listings are asked for."""
        self._pace.spend(count)

    def wait(self, count: int) -> float:
        """Seconds until so many could have gone, as far as can be told now."""
        return self._pace.wait(count * max(1, len(self._queue)))

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
        well = sum(not isinstance(each, _NO_WORD) for each in answers)
        if well:
            self._answered_at = self._clock()
            self._pace.went_well(well)
        if busy:
            self._refused(ticket, max(each.retry_after or 0.0 for each in busy), began)
        elif not all(isinstance(each, Unreachable | Broken) for each in answers):
            # A check may be answered by a server that has no secret to give.
            if well or Validation.READY in answers:
                self._breaker.succeeded(ticket, proven=bool(well))
            else:
                self._breaker.undecided(ticket)
        elif silent:
            self._is_busy = False
            self._breaker.failed(ticket)
        else:
            # It tells of us, or of the cluster.
            self._breaker.undecided(ticket)
        self._tell(before)

    def changed(self) -> None:
        """The store's manifest or what it refers to was edited: whether it still has to rest, the next call finds out.

        How often it may be asked is kept in mind.
        """
        self._breaker.retry()

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

    def _refused(self, ticket: int, asked: float, began: float) -> None:
        """The store asked for fewer calls, and for none in so many seconds."""
        self._is_busy = True
        now = self._clock()
        if asked <= _PAUSE and self._breaker.state == "closed" and now - self._answered_at < _LATELY:
            self._pace.refused(began, hold=asked)
            return
        self._pace.refused(began)
        self._breaker.failed(ticket, at_once=True, rest=min(asked, _LONGEST_ASKED))

    def _tell(self, before: str) -> None:
        after = self._breaker.state
        if (before == "closed") != (after == "closed"):
            self._counter.resting(self._store, now=after != "closed")
            if after == "closed":
                self._recovered(self._store)
            elif self._queue:
                # Who waits for a turn is told of the rest.
                self._arm(at_once=True)

    def _arm(self, *, at_once: bool = False) -> None:
        if at_once and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._timer is None and self._queue:
            wait = 0.0 if at_once else max(_SOONEST, self._pace.wait())
            self._timer = self._loop.call_later(wait, self._serve)

    def _serve(self) -> None:
        self._timer = None
        for _ in range(len(self._queue)):
            if not self.is_resting and self._pace.room() < 1:
                break
            self._served, _ = self._queue.popitem(last=False)
            self._served()
        self._served = None
        self._arm()


class Standing:
    """What is known of a store as one adapter sees it: with its rights, and as the manifest was when it was opened."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._fault: KeyferryError | None = None
        self._fine_at = float("-inf")

    def judge(self, answers: Collection[object], began: float) -> None:
        """The call that began at this moment was answered so."""
        if any(isinstance(each, Busy | Unreachable) and not isinstance(each, ClusterUnavailable) for each in answers):
            self._fine_at = float("-inf")
        elif not all(isinstance(each, KeyferryError | Validation) for each in answers):
            self._fine_at = max(self._fine_at, began)

    def is_fine(self, within: float) -> bool:
        """Whether something was read in the last so many seconds, no answer is missing since, and no check failed."""
        return self._fault is None and self._fine_at > self._clock() - within

    def checked(self, error: KeyferryError | None) -> None:
        """The store's own check failed so, or found nothing. What it found is told of the store while it rests."""
        self._fault = None if error is None else error.copy()

    @property
    def fault(self) -> KeyferryError | None:
        """What the last check found, if that failed."""
        return None if self._fault is None else self._fault.copy()
