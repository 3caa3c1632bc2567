"""Stores that take so many calls and no more: what they are asked, what of it they refuse, and who waits how long."""

from __future__ import annotations

import asyncio
import itertools
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from keyferry.api.store import SecretStore
from keyferry.errors import Busy, KeyferryError, Pending
from keyferry.ports import Fetched, Query, Ref
from tests.support.virtual import elapsed, virtual
from tests.unit.fetch.adapters import Desk, Searching, answer_all, make_fetcher, stub_store

LATENCY = 0.02


class Limited:
    """Answers so many documents per second, and refuses the rest."""

    def __init__(self, limit: int, *, retry_after: float | None = None) -> None:
        self.limit = limit
        self.retry_after = retry_after
        self.taken: list[float] = []
        self.refused: list[float] = []
        self._left: Counter[int] = Counter()

    async def answering(self, refs: Sequence[Ref]) -> Mapping[Ref, Any]:
        answers = {ref: self._one(ref) for ref in refs}
        await asyncio.sleep(LATENCY)
        return answers

    def _one(self, ref: Ref) -> Fetched | KeyferryError:
        second = int(elapsed())
        if self._left[second] >= self.limit:
            self.refused.append(elapsed())
            return Busy("429", retry_after=self.retry_after)
        self._left[second] += 1
        self.taken.append(elapsed())
        return Fetched(b"1")


class Crowd:
    """Objects that refresh, each a key of its own, and come back when they are told to."""

    def __init__(self, desk: Desk, *, every: float) -> None:
        self.desk = desk
        self.every = every
        self.served: defaultdict[str, list[float]] = defaultdict(list)
        self.failed: list[float] = []

    async def refresh(self, key: str, store: SecretStore, caller: str) -> None:
        while True:
            began = elapsed()
            try:
                found = await self.desk.read(store, caller, [Ref(key)], began - self.every / 2)
            except Pending as pending:
                await asyncio.sleep(max(2.0, min(pending.retry_after, self.every / 4)))
                continue
            if isinstance(found.answers[Ref(key)], Fetched):
                self.served[f"{caller}/{key}"].append(found.as_of)
                await asyncio.sleep(max(0.0, found.as_of + self.every - elapsed()))
            else:
                self.failed.append(elapsed())
                await asyncio.sleep(5)

    async def play(self, seconds: float, keys: Sequence[tuple[str, SecretStore, str]]) -> None:
        async with asyncio.timeout(seconds + 1), asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.refresh(*each)) for each in keys]
            await asyncio.sleep(seconds)
            for task in tasks:
                task.cancel()


def most(moments: Sequence[float], seconds: float) -> int:
    """The most moments that lie within so many seconds."""
    return max((bisect_left(moments, each + seconds) - number for number, each in enumerate(moments)), default=0)


@virtual
@pytest.mark.parametrize("retry_after", [None, 1.0])
async def test_a_store_that_is_asked_for_five_times_what_it_takes_gives_nearly_all_that_it_takes(
    retry_after: float | None,
) -> None:
    stub, desk = make_fetcher()
    server = Limited(2, retry_after=retry_after)
    stub.answering = server.answering
    crowd = Crowd(desk, every=10)
    await crowd.play(150, [(f"k{number}", stub_store(), "team") for number in range(100)])
    late = [each for each in server.taken if each >= 20]
    assert len(late) >= 0.8 * 2 * 130
    assert len([each for each in server.refused if each >= 20]) <= 0.05 * len(late)
    # Nobody starves, where one round takes 50 s; and nobody is told of what is made up for.
    assert len(crowd.served) == 100
    gaps = [late - early for each in crowd.served.values() for early, late in itertools.pairwise([0.0, *each, 150.0])]
    assert max(gaps) <= 2.2 * 50
    assert len([each for each in crowd.failed if each >= 5]) == 0


@virtual
async def test_callers_with_credentials_of_their_own_share_what_the_store_takes() -> None:
    stub, desk = make_fetcher()
    server = Limited(4)
    stub.answering = server.answering
    crowd = Crowd(desk, every=12)
    store = stub_store(borrowed=True)
    # One asks for four times as much as all others together.
    keys = [(f"k{number}", store, f"caller-{number}") for number in range(12)]
    keys += [(f"more-{number}", store, "greedy") for number in range(48)]
    await crowd.play(80, keys)
    late = [each for each in server.taken if each >= 20]
    assert len(late) >= 0.8 * 4 * 60
    assert len([each for each in server.refused if each >= 20]) <= 0.05 * len(late)
    modest = {key: each for key, each in crowd.served.items() if not key.startswith("greedy")}
    assert len(modest) == 12
    # Turns go round: those who ask for little are hardly held up by the one that asks for much.
    gaps = [late - early for each in modest.values() for early, late in itertools.pairwise([20.0, *each, 80.0])]
    assert max(gaps) <= 20


@virtual
async def test_a_bound_of_the_operator_holds_over_all_callers_and_searches() -> None:
    stub, desk = make_fetcher(Searching, rate=5)
    moments: list[float] = []

    async def answering(refs: Sequence[Ref]) -> Mapping[Ref, Any]:
        moments.extend([elapsed()] * max(1, len(refs)))
        return await answer_all(refs)

    stub.answering = answering
    store = stub_store(borrowed=True)
    asked = [desk.ask(*(f"k{n}" for n in range(30)), store=store, caller=caller) for caller in ("a", "b", "c")]
    await asyncio.gather(*asked, *(desk.search(Query(name=str(number))) for number in range(5)))
    assert len(moments) == 96
    shared = [each for each in moments if each > 0]
    assert most(shared, 1.0) <= 2 * (5 + 5)
    assert elapsed() == pytest.approx((90 - 5) / 5, abs=2)


@virtual
async def test_a_store_that_has_never_refused_anything_is_held_up_by_nothing() -> None:
    _, desk = make_fetcher()
    await desk.ask(*(f"k{number}" for number in range(5000)))
    assert elapsed() < 1


@virtual
async def test_whoever_waits_long_for_a_turn_is_sent_away_and_told_when_to_come_back() -> None:
    stub, desk = make_fetcher(rate=2, waiters=2)
    callers = [asyncio.create_task(desk.ask(f"k{number}")) for number in range(40)]
    await asyncio.sleep(1.5)
    sent = [each.exception() for each in callers if each.done() and each.exception()]
    assert len(sent) == 36
    told = [each.retry_after for each in sent if isinstance(each, Pending)]
    assert len(told) == 36
    assert min(told) > 1
    assert max(told) == pytest.approx((40 - 2) / 2, abs=2)
    await asyncio.sleep(30)
    asked = len(desk.counter.calls)
    assert (await desk.ask(*(f"k{number}" for number in range(40))))["k39"] == b"k39"
    assert len(desk.counter.calls) == asked == 40
    assert all(len(each) <= 2 for each in stub.opened[0].reads)


@virtual
async def test_a_refusal_that_is_made_up_for_is_told_to_nobody() -> None:
    stub, desk = make_fetcher()
    await desk.ask("a")
    turns = iter([Busy("429", retry_after=3), Fetched(b"1")])

    async def answering(refs: Sequence[Ref]) -> Mapping[Ref, Any]:
        return dict.fromkeys(refs, next(turns))

    stub.answering = answering
    assert await desk.ask("b") == {"b": b"1"}
    assert elapsed() >= 3
    assert (desk.counter.rests, desk.counter.calls) == ([False], ["success", "error", "success"])


@virtual
async def test_a_document_that_is_refused_again_and_again_is_told_so() -> None:
    stub, desk = make_fetcher()

    async def answering(refs: Sequence[Ref]) -> Mapping[Ref, Any]:
        return {ref: Busy("429") if ref.key == "a" else Fetched(b"1") for ref in refs}

    stub.answering = answering
    busy = asyncio.create_task(desk.ask("a"))
    for number in range(400):
        await asyncio.sleep(0.1)
        await desk.ask(f"k{number}")
    assert await busy == {"a": Busy}
    assert desk.counter.calls.count("error") == 3
