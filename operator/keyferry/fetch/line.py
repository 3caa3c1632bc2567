"""Everything that is asked of one adapter goes through its line: joined, batched, remembered.

A line lives and ends with its adapter, which is one store generation seen with one credential. So nothing that is
remembered here can reach anybody whom the store has not answered with the same rights.

How fresh an answer has to be, the caller says: ``after`` is a moment of the loop's clock, and an answer counts whose
reading *began* later. So an edit can ask for what was read after it was seen, and a thousand edits at once still share
their readings.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from keyferry.errors import (
    BadSpec,
    BadValue,
    Broken,
    Busy,
    Denied,
    KeyferryError,
    NotThere,
    Pending,
    PropertyNotThere,
    Unreachable,
)
from keyferry.fetch.guard import guarded
from keyferry.fetch.health import Counter, Health
from keyferry.kits.ttlcache import Budget, TtlCache
from keyferry.ports import Fetched, Finder, Provider, Query, Reading, Ref, StoreIdentity, Validation

_AT_ONCE = 16
"""Batches that one adapter works on at once; more wait, so that one busy store cannot take all connections."""
_BATCH = 100
"""Refs that go to an adapter together, unless its class says another number in ``batch``."""
_SLOW = 1.0
"""Seconds after which a store that has not answered keeps no more than its share of the workers waiting."""
_NEGATIVE = 4.0
"""Seconds that an error of the store's own is remembered: shorter than the first retry, so that this one asks anew."""
_ITS_OWN = (NotThere, PropertyNotThere, Denied, BadSpec, BadValue)
"""What a store says of one secret. Other errors tell of the store as a whole, which ``Health`` looks after."""
_MARGIN = 1.25
"""A batch may take so much longer than a call, so that one silent secret fails by itself and not with all others."""
_OVERHEAD = 600
"""Bytes that a kept answer takes besides its document: objects, keys and their places in the indexes."""

Listing = Mapping[str, Ref | Fetched]
Item = Ref | Query
Told = Fetched | KeyferryError | Listing
Dated = tuple[Told, float]
"""An answer, and when its reading began."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for every line of the process."""

    timeout: float
    """Seconds that one call to a store may take."""
    window: float = 0.005
    """Seconds to wait for further refs before the first of them are asked for."""
    ttl: float = 600.0
    """Seconds that an answer may be given out again; 0 remembers nothing."""
    most: int = 8 << 20
    """Bytes of answers that one line keeps."""
    waiters: int = 8
    """Callers that may wait for a slow store at the same time."""


@dataclass(frozen=True, slots=True, eq=False)
class _Flight:
    began: float
    future: asyncio.Future[Dated]


class Line:
    """See the module."""

    def __init__(
        self,
        adapter: Provider,
        store: StoreIdentity,
        limits: Limits,
        budget: Budget,
        counter: Counter,
        *,
        hold: Callable[[], None],
        release: Callable[[], None],
        recovered: Callable[[StoreIdentity], None],
    ) -> None:
        """``hold`` and ``release`` keep the adapter open while it works, even where all callers have left."""
        self._adapter = adapter
        self._store = store
        self._limits = limits
        self._counter = counter
        self._hold = hold
        self._release = release
        self._loop = asyncio.get_running_loop()
        self._batch: int = getattr(adapter, "batch", _BATCH)
        self._kept: TtlCache[Item, Told] = TtlCache(most=limits.most, budget=budget, clock=self._loop.time)
        self._health = Health(store, counter, recovered)
        self._wanted: dict[Item, asyncio.Future[Dated]] = {}
        self._flying: dict[Item, _Flight] = {}
        self._running: dict[asyncio.Task[None], float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_waiting_for_room = False
        self._waiting = 0
        self._pace = 0.0
        self._heard_at = 0.0

    async def read(self, refs: Iterable[Ref], after: float) -> Reading[Ref]:
        """A document or an error for every ref. Raises ``Pending`` where too many wait for a slow store already."""
        told = await self._ask(dict.fromkeys(refs), after)
        answers = {item: _answer(each, self._adapter) for item, (each, _) in told.items() if isinstance(item, Ref)}
        return Reading(answers, min((moment for _, moment in told.values()), default=float("inf")))

    async def find(self, query: Query, after: float) -> Reading[str]:
        """A document or an error for every name that matches. Raises a KeyferryError where the listing fails."""
        if not isinstance(self._adapter, Finder):
            raise BadSpec(
                f"provider {self._adapter.name} cannot search", remedy="name what to read, with extract or data"
            )
        listing, moment = (await self._ask([query], after))[query]
        if isinstance(listing, KeyferryError):
            raise listing.copy()
        if not isinstance(listing, Mapping):
            raise Broken(f"provider {self._adapter.name} gave no answer")
        documents = await self.read([each for each in listing.values() if isinstance(each, Ref)], after)
        found = {name: documents.answers[each] if isinstance(each, Ref) else each for name, each in listing.items()}
        return Reading(dict(sorted(found.items())), min(moment, documents.as_of))

    async def validate(self, within: float) -> Validation:
        """The store's own check, unless reading went well in the last ``within`` seconds. Raises what it finds."""
        if self._health.is_fine(within):
            self._counter.reads_saved(self._store, "check")
            return Validation.READY
        ticket = self._health.admit()
        if ticket is None:
            raise self._health.fault()
        began = self._loop.time()
        try:
            found = await self._guarded(self._adapter.validate)
        except KeyferryError as error:
            self._health.checked(error)
            self._health.judge(ticket, [error], began)
            raise
        except asyncio.CancelledError:
            self._health.undecided(ticket)
            raise
        self._health.checked(None)
        self._health.judge(ticket, [found], began)
        return found

    def sweep(self) -> None:
        """Forget what is too old to be given out."""
        self._kept.sweep()

    def close(self) -> None:
        """The adapter closes: forget everything."""
        if self._timer is not None:
            self._timer.cancel()
        self._wanted.clear()
        self._kept.clear()

    async def _ask(self, items: Collection[Item], after: float) -> dict[Item, Dated]:
        told: dict[Item, Dated] = {}
        awaited: dict[Item, asyncio.Future[Dated]] = {}
        is_late = False
        for item in items:
            kept, flight = self._kept.get(item), self._flying.get(item)
            if kept is not None and kept[1] > after:
                told[item] = kept
                self._save(_how(item, kept[0]))
            elif flight is not None and flight.began > after:
                awaited[item] = flight.future
                is_late = is_late or flight.began <= self._loop.time() - _SLOW
                self._save("flight")
            elif item in self._wanted:
                awaited[item] = self._wanted[item]
                self._save("flight")
            elif self._health.is_resting:
                told[item] = self._health.rest(), self._loop.time()
            else:
                awaited[item] = self._want(item)
        await self._wait(awaited.values(), is_late=is_late)
        return told | {item: future.result() for item, future in awaited.items()}

    async def _wait(self, awaited: Collection[asyncio.Future[Dated]], *, is_late: bool) -> None:
        """Until all are done. Raises ``Pending`` once that takes long and others wait already.

        ``is_late``: one of them has taken long by now.
        """
        pending = {each for each in awaited if not each.done()}
        self._waiting += 1
        try:
            if pending and self._waiting > self._limits.waiters and (is_late or self._is_slow()):
                raise Pending("the store takes its time")
            while pending:
                _, pending = await asyncio.wait(pending, timeout=_SLOW)
                if pending and self._waiting > self._limits.waiters:
                    raise Pending("the store takes its time")
        finally:
            self._waiting -= 1

    def _is_slow(self) -> bool:
        """Whether the last call that ended took long; or one does that is under way, and none has ended meanwhile."""
        oldest = next(iter(self._running.values()), self._loop.time())
        return max(self._pace, self._loop.time() - max(oldest, self._heard_at)) > _SLOW

    def _want(self, item: Item) -> asyncio.Future[Dated]:
        future = self._wanted[item] = self._loop.create_future()
        if self._timer is None:
            self._timer = self._loop.call_later(self._limits.window, self._flush)
        return future

    def _flush(self) -> None:
        """The window is over, or there is room again: begin what is wanted, as much as there is room for."""
        self._timer = None
        while self._wanted and len(self._running) < _AT_ONCE:
            ticket = self._health.admit()
            if ticket is None:
                now = self._loop.time()
                wanted, self._wanted = self._wanted, {}
                for future in wanted.values():
                    future.set_result((self._health.rest(), now))
                break
            self._begin(self._next(), ticket)
        self._is_waiting_for_room = bool(self._wanted)

    def _next(self) -> list[Item]:
        """What goes to the adapter together: one listing, or as many refs as it takes; after a rest one alone."""
        first = next(iter(self._wanted))
        if isinstance(first, Query) or self._health.is_probing:
            return [first]
        refs = (item for item in self._wanted if isinstance(item, Ref))
        return list(itertools.islice(refs, self._batch))

    def _begin(self, items: list[Item], ticket: int) -> None:
        began = self._loop.time()
        flights = {item: _Flight(began, self._wanted.pop(item)) for item in items}
        self._flying.update(flights)
        self._hold()
        task = asyncio.create_task(self._work(flights, ticket, began), name=f"read {self._store}")
        self._running[task] = began
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._heard_at = self._loop.time()
        self._pace = self._heard_at - self._running.pop(task)
        if self._is_waiting_for_room:
            self._flush()
        self._release()

    async def _work(self, flights: Mapping[Item, _Flight], ticket: int, began: float) -> None:
        answers: Mapping[Item, Told] | None = None
        try:
            answers = await self._answers(list(flights))
        finally:
            # However this ends, nobody may be left waiting for an answer that never comes.
            self._land(flights, answers, ticket, began)

    async def _answers(self, items: list[Item]) -> Mapping[Item, Told]:
        adapter = self._adapter
        refs = [item for item in items if isinstance(item, Ref)]

        async def listing() -> Mapping[Item, Told]:
            return {item: await adapter.find(item) for item in items if isinstance(item, Query)}  # type: ignore[attr-defined] # only a Finder is asked for a Query

        async def documents() -> Mapping[Item, Told]:
            given = dict(await adapter.read(refs))
            return {ref: _answer(given.get(ref), adapter) for ref in refs}

        margin = _MARGIN if len(refs) > 1 else 1.0
        try:
            return await self._guarded(documents if refs else listing, margin=margin)
        except KeyferryError as error:
            return dict.fromkeys(items, error.copy())

    def _land(
        self, flights: Mapping[Item, _Flight], answers: Mapping[Item, Told] | None, ticket: int, began: float
    ) -> None:
        if answers is None:
            self._health.undecided(ticket)
            answers = dict.fromkeys(flights, Broken(f"provider {self._adapter.name} broke off"))
        else:
            self._health.judge(ticket, answers.values(), began)
        for item, flight in flights.items():
            answer = answers[item]
            self._counter.provider_calls(self._store, "error" if isinstance(answer, KeyferryError) else "success")
            self._keep(item, answer, began)
            if isinstance(answer, Busy | Unreachable) and self._health.is_resting:
                # The same text for all who are refused, whoever of them it was that asked.
                answer = self._health.rest()
            if self._flying.get(item) is flight:
                del self._flying[item]
            flight.future.set_result((answer, began))

    def _keep(self, item: Item, answer: Told, began: float) -> None:
        if isinstance(answer, KeyferryError):
            if isinstance(answer, _ITS_OWN):
                # Without its traceback, whose frames may hold values.
                kept, seconds = answer.copy(), min(_NEGATIVE, self._limits.ttl)
                self._kept.put(item, kept, moment=began, seconds=seconds, size=_OVERHEAD)
            return
        self._kept.put(item, answer, moment=began, seconds=self._limits.ttl, size=_size(answer))

    def _save(self, how: str) -> None:
        self._counter.reads_saved(self._store, how)

    async def _guarded(self, call: Callable[[], Awaitable[T]], *, margin: float = 1.0) -> T:
        timeout = self._limits.timeout
        return await guarded(call, self._adapter.name, timeout=timeout * margin, told=timeout)


def _answer(given: object, adapter: Provider) -> Fetched | KeyferryError:
    return given if isinstance(given, Fetched | KeyferryError) else Broken(f"provider {adapter.name} gave no answer")


def _how(item: Item, kept: Told) -> str:
    return "negative" if isinstance(kept, KeyferryError) else "listing" if isinstance(item, Query) else "cache"


def _size(answer: Fetched | Listing) -> int:
    """Bytes that it takes to keep an answer."""
    if isinstance(answer, Fetched):
        document = answer.document
        if isinstance(document, bytes):
            return _OVERHEAD + len(document)
        return _OVERHEAD + sum(_OVERHEAD // 4 + len(key) + len(value) for key, value in document.items())
    return _OVERHEAD + sum(
        _OVERHEAD + len(name) + (_size(each) if isinstance(each, Fetched) else 0) for name, each in answer.items()
    )
