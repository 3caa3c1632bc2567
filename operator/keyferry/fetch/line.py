"""Everything that is asked of one adapter goes through its line: joined, batched, remembered.

A line lives and ends with its adapter, which is one store generation seen with one credential. So nothing that is
remembered here can reach anybody whom the store has not answered with the same rights.

A store that is asked for too much has its calls wait here for their turn (``Health``), and no caller for long.

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

from keyferry.errors import BadSpec, Broken, Busy, KeyferryError, Pending, Unreachable
from keyferry.fetch.guard import guarded
from keyferry.fetch.health import Counter, Health, Standing
from keyferry.fetch.memory import Item, Memory, Told, how
from keyferry.fetch.patience import Patience
from keyferry.kits.ttlcache import Budget
from keyferry.ports import Comparer, Fetched, Finder, Provider, Query, Reading, Ref, StoreIdentity, Validation

_AT_ONCE = 16
"""Batches that one adapter works on at once; more wait, so that one busy store cannot take all connections."""
_BATCH = 100
"""Refs that go to an adapter together, unless its class says another number in ``batch``."""
_TRIES = 3
"""Calls that may be refused by a store that is asked too often, before it is told to who waits for the document."""
_MARGIN = 1.25
"""A batch may take so much longer than a call, so that one silent secret fails by itself and not with all others."""
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
    rate: float = 0.0
    """Documents and listings per second that a store is asked for at the most; 0 leaves it to the store."""


@dataclass(frozen=True, slots=True, eq=False)
class _Flight:
    began: float
    future: asyncio.Future[Dated]
    tries_left: int


@dataclass(frozen=True, slots=True, eq=False)
class _Wish:
    future: asyncio.Future[Dated]
    tries_left: int = _TRIES


class Line:
    """See the module."""

    def __init__(
        self,
        adapter: Provider,
        store: StoreIdentity,
        limits: Limits,
        budget: Budget,
        counter: Counter,
        health: Health,
        *,
        hold: Callable[[], None],
        release: Callable[[], None],
    ) -> None:
        """``health`` is the store's, whoever calls; close the line to leave it.

        ``hold`` and ``release`` keep the adapter open while it works, even where all callers have left.
        """
        self._adapter = adapter
        self._store = store
        self._limits = limits
        self._counter = counter
        self._hold = hold
        self._release = release
        self._loop = asyncio.get_running_loop()
        self._batch: int = getattr(adapter, "batch", _BATCH)
        self._kept = Memory(
            ttl=limits.ttl,
            most=limits.most,
            compares=isinstance(adapter, Comparer),
            budget=budget,
            clock=self._loop.time,
        )
        self._health = health
        self._health.join()
        self._standing = Standing()
        self._wanted: dict[Item, _Wish] = {}
        self._flying: dict[Item, _Flight] = {}
        self._patience = Patience(limits.waiters, turn=lambda: health.wait(len(self._wanted)))
        self._sent_away: set[Item] = set()
        """What somebody will come back for."""
        self._timer: asyncio.TimerHandle | None = None
        self._is_waiting_for_room = False

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
        if self._standing.is_fine(within):
            self._counter.reads_saved(self._store, "check")
            return Validation.READY
        ticket = self._health.admit()
        if ticket is None:
            raise self._standing.fault or self._health.rest()
        began = self._loop.time()
        self._health.spend(1)
        try:
            found = await self._guarded(self._adapter.validate)
        except KeyferryError as error:
            self._standing.checked(error)
            self._judge(ticket, [error], began)
            raise
        except asyncio.CancelledError:
            self._health.undecided(ticket)
            raise
        self._standing.checked(None)
        self._judge(ticket, [found], began)
        return found

    def sweep(self) -> None:
        """Forget what is too old."""
        self._kept.sweep()

    def changed(self) -> None:
        """What the adapter was made from has changed: another one takes its place."""
        self._health.changed()

    def close(self) -> None:
        """The adapter closes: forget everything."""
        if self._timer is not None:
            self._timer.cancel()
        self._health.leave(self._flush)
        self._wanted.clear()
        self._sent_away.clear()
        self._kept.clear()

    async def _ask(self, items: Collection[Item], after: float) -> dict[Item, Dated]:
        told: dict[Item, Dated] = {}
        awaited: dict[Item, asyncio.Future[Dated]] = {}
        is_late = False
        for item in items:
            kept, flight = self._kept.get(item), self._flying.get(item)
            if kept is not None and kept[1] > after:
                told[item] = kept
                self._save(how(item, kept[0]))
            elif flight is not None and flight.began > after:
                awaited[item] = flight.future
                is_late = is_late or self._patience.is_late(flight.began)
                self._save("flight")
            elif item in self._wanted:
                awaited[item] = self._wanted[item].future
                self._save("flight")
            elif self._health.is_resting:
                told[item] = self._health.rest(), self._loop.time()
            else:
                awaited[item] = self._want(item)
        try:
            await self._patience.wait(awaited.values(), is_late=is_late)
        except Pending:
            self._sent_away.update(item for item, future in awaited.items() if not future.done())
            raise
        return told | {item: future.result() for item, future in awaited.items()}

    def _want(self, item: Item) -> asyncio.Future[Dated]:
        wish = self._wanted[item] = _Wish(self._loop.create_future())
        self._set_out()
        return wish.future

    def _set_out(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(self._limits.window, self._flush)

    def _flush(self) -> None:
        """The window is over, there is room again or it is our turn: begin what is wanted, as much as may be."""
        self._timer = None
        while self._wanted and self._patience.under_way < _AT_ONCE:
            most = self._health.turn(self._flush)
            if not most:
                # We are called when it is our turn.
                return
            ticket = self._health.admit()
            if ticket is None:
                now = self._loop.time()
                wanted, self._wanted = self._wanted, {}
                self._sent_away.difference_update(wanted)
                for wish in wanted.values():
                    wish.future.set_result((self._health.rest(), now))
                break
            self._begin(self._next(most), ticket)
        self._is_waiting_for_room = bool(self._wanted)

    def _next(self, most: int) -> list[Item]:
        """What goes to the adapter together: one listing, or as many refs as it takes; after a rest one alone."""
        first = next(iter(self._wanted))
        if isinstance(first, Query) or self._health.is_probing:
            return [first]
        refs = (item for item in self._wanted if isinstance(item, Ref))
        return list(itertools.islice(refs, min(self._batch, most)))

    def _begin(self, items: list[Item], ticket: int) -> None:
        began = self._loop.time()
        wishes = {item: self._wanted.pop(item) for item in items}
        flights = {item: _Flight(began, wish.future, wish.tries_left - 1) for item, wish in wishes.items()}
        self._flying.update(flights)
        self._health.spend(len(items))
        self._hold()
        task = asyncio.create_task(self._work(flights, ticket, began), name=f"read {self._store}")
        self._patience.begun(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._patience.ended(task)
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
            known = {ref: last for ref in refs if (last := self._kept.known(ref)) is not None}
            # Only what a Comparer has read is known.
            reading = adapter.reread(refs, known) if known else adapter.read(refs)  # type: ignore[attr-defined] # see above
            given = dict(await reading)
            unchanged = [ref for ref, last in known.items() if given.get(ref) is last]
            for _ in unchanged:
                self._save("unchanged")
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
            self._judge(ticket, answers.values(), began)
        for item, flight in flights.items():
            answer = answers[item]
            self._counter.provider_calls(self._store, "error" if isinstance(answer, KeyferryError) else "success")
            self._kept.keep(item, answer, began, fetched_later=item in self._sent_away)
            if self._flying.get(item) is flight:
                del self._flying[item]
            if isinstance(answer, Busy | Unreachable) and self._health.is_resting:
                # The same text for all who are refused, whoever of them it was that asked.
                answer = self._health.rest()
            elif isinstance(answer, Busy) and flight.tries_left:
                self._ask_again(item, flight)
                continue
            self._sent_away.discard(item)
            flight.future.set_result((answer, began))

    def _ask_again(self, item: Item, flight: _Flight) -> None:
        """The store is asked less often from now on: the item waits for its turn, and who waits for it is not told."""
        later = self._wanted.get(item)
        if later is None:
            self._wanted[item] = _Wish(flight.future, flight.tries_left)
            self._set_out()
        else:
            later.future.add_done_callback(lambda done: flight.future.set_result(done.result()))

    def _judge(self, ticket: int, answers: Collection[object], began: float) -> None:
        self._standing.judge(answers, began)
        self._health.judge(ticket, answers, began)

    def _save(self, how: str) -> None:
        self._counter.reads_saved(self._store, how)

    async def _guarded(self, call: Callable[[], Awaitable[T]], *, margin: float = 1.0) -> T:
        timeout = self._limits.timeout
        return await guarded(call, self._adapter.name, timeout=timeout * margin, told=timeout)


def _answer(given: object, adapter: Provider) -> Fetched | KeyferryError:
    return given if isinstance(given, Fetched | KeyferryError) else Broken(f"provider {adapter.name} gave no answer")
