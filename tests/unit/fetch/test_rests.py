"""What all lines of a store share: rests, probes, turns; and what is left when they close."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from keyferry.errors import Busy, Denied, Pending, Unreachable
from keyferry.ports import Fetched, Ref, Validation
from tests.support.virtual import elapsed, virtual
from tests.unit.fetch.adapters import Stub, answer_all, giving, make_fetcher, raising, silent, stub_store


@virtual
async def test_callers_share_the_rest_of_a_store_and_one_call_ends_it_for_a_thousand_who_wait() -> None:
    stub, desk = make_fetcher()
    store = stub_store(borrowed=True)
    callers = [f"caller-{number}" for number in range(1000)]
    await asyncio.gather(*(desk.read(store, caller, [], -1) for caller in callers))
    stub.answering = raising(Busy("slow down", retry_after=60))
    found = await asyncio.gather(*(desk.ask("a", store=store, caller=caller) for caller in callers[:3]))
    assert sum(len(each.reads) for each in stub.opened) <= 3
    assert all(each == {"a": Busy} for each in found)
    before = sum(len(each.reads) for each in stub.opened)
    await asyncio.gather(*(desk.ask("a", store=store, caller=caller) for caller in callers))
    assert sum(len(each.reads) for each in stub.opened) == before
    await asyncio.sleep(61)
    stub.answering = answer_all
    answers = await asyncio.gather(*(desk.ask("a", store=store, caller=caller) for caller in callers))
    assert [each["a"] for each in answers].count(b"a") == 1
    assert sum(len(each.reads) for each in stub.opened) == before + 1
    # The gauge is the store's, and not that of whoever came last.
    assert (desk.recoveries, desk.counter.rests) == (["store"], [False, True, False])


@virtual
async def test_a_caller_whose_credential_is_refused_rests_nobody_else() -> None:
    stub, desk = make_fetcher(ttl=0)
    store = stub_store(borrowed=True)
    stub.answering = raising(Denied("no"))
    for _ in range(20):
        assert await desk.ask("a", store=store, caller="wrong") == {"a": Denied}
    stub.answering = answer_all
    assert await desk.ask("a", store=store, caller="right") == {"a": b"a"}


@virtual
async def test_a_thousand_callers_cost_little_memory_and_one_state_of_the_store() -> None:
    stub, desk = make_fetcher()
    store = stub_store(borrowed=True)
    await desk.ask("a", store=store, caller="warm")
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    await asyncio.gather(*(desk.ask("a", store=store, caller=f"caller-{number}") for number in range(1000)))
    each = (tracemalloc.get_traced_memory()[0] - before) / 1000
    tracemalloc.stop()
    assert len(desk._health) == 1
    assert each < 12_000
    await asyncio.sleep(3700)
    desk.sweep()
    await asyncio.sleep(3700)
    desk.sweep()
    await asyncio.sleep(1)
    assert (len(desk.pool), len(desk._health), desk.kept) == (0, 0, 0)
    assert all(adapter.closed for adapter in stub.opened)


@virtual
async def test_an_edit_has_a_resting_store_tried_once_and_keeps_what_is_known_of_its_limits() -> None:
    stub, desk = make_fetcher()
    stub.answering = raising(Busy("slow down", retry_after=600))
    await desk.ask("a")
    edited = stub_store(generation=2)
    desk.pool.retire(edited.metadata.uid)
    answers = await asyncio.gather(*(desk.ask(f"k{number}", store=edited) for number in range(20)))
    assert len(stub.opened[1].reads) == 1
    assert all(list(each.values()) == [Busy] for each in answers)
    await asyncio.sleep(300)
    assert await desk.ask("a", store=edited) == {"a": Busy}
    assert len(stub.opened[1].reads) == 1

    stub, desk = make_fetcher(rate=1)
    await desk.ask("a", "b", "c")
    desk.pool.retire(edited.metadata.uid)
    began = elapsed()
    await desk.ask("a", "b", "c", store=edited)
    assert elapsed() - began >= 2


@virtual
async def test_a_check_that_passes_does_not_make_the_rests_of_a_store_short_that_reads_nothing() -> None:
    stub, desk = make_fetcher(ttl=0)
    reads: list[float] = []

    async def answering(refs: Sequence[Ref]) -> Mapping[Ref, Any]:
        reads.extend([elapsed()] * bool(refs))
        return dict.fromkeys(refs, Unreachable("503"))

    stub.answering = answering
    while elapsed() < 600:
        await desk.ask("a")
        with contextlib.suppress(Unreachable):
            await desk.validate(stub_store(), within=0)
        await asyncio.sleep(0.5)
    # Three calls after each check that passes, and 30 s of rest after them.
    assert len([each for each in reads if each > 100]) <= 3 * (500 / 30 + 1)


@virtual
async def test_what_says_nothing_of_a_store_does_not_end_its_rest() -> None:
    stub, desk = make_fetcher()
    stub.answering = raising(Busy("slow down"))
    await desk.ask("a")
    await asyncio.sleep(3)

    async def unknown(_self: Stub) -> Validation:
        return Validation.UNKNOWN

    stub.validate = unknown  # type: ignore[method-assign,assignment] # a store that cannot tell
    assert await desk.validate(stub_store(), within=0) is Validation.UNKNOWN
    assert desk.counter.rests == [False, True]
    stub.answering = answer_all
    assert await desk.ask("a", "b") in ({"a": b"a", "b": Busy}, {"a": Busy, "b": b"b"})
    assert desk.counter.rests == [False, True, False]


@virtual
async def test_those_who_wait_for_a_turn_are_told_of_a_rest_at_once() -> None:
    stub, desk = make_fetcher(rate=1, waiters=1000)
    waiting = [asyncio.create_task(desk.ask(f"k{number}")) for number in range(50)]
    await asyncio.sleep(2)
    stub.answering = raising(Busy("slow down", retry_after=100))
    await asyncio.sleep(2)
    assert all(each.done() for each in waiting)
    assert [list((await each).values()) for each in waiting[-3:]] == [[Busy]] * 3


@virtual
async def test_a_line_that_closes_while_it_waits_for_a_turn_leaves_nothing_behind() -> None:
    stub, desk = make_fetcher(rate=1, waiters=0)
    with pytest.raises(Pending):
        await desk.ask(*(f"k{number}" for number in range(50)))
    await asyncio.sleep(0.5)
    desk.pool.retire(stub_store().metadata.uid)
    await asyncio.sleep(100)
    health = desk._health[stub_store().metadata.uid]
    assert (health.users, len(health._queue), health._timer) == (0, 0, None)
    assert len(desk.counter.calls) < 10
    assert [each.closed for each in stub.opened] == [True]


@virtual
async def test_a_silent_document_beside_a_refused_one_leaves_everybody_with_an_answer() -> None:
    stub, desk = make_fetcher()
    await desk.ask("warm")

    async def answering(refs: Sequence[Ref]) -> Any:
        if refs[0].key == "silent":
            await silent(refs)
        return dict.fromkeys(refs, Busy("429"))

    stub.batch = 1  # type: ignore[attr-defined] # what a provider may say
    stub.answering = answering
    found = await asyncio.gather(desk.ask("silent"), desk.ask("busy"))
    assert [type(next(iter(each.values()))) for each in found] == [type, type]
    stub.answering = giving({Ref("busy"): Fetched(b"1")})
    await asyncio.sleep(40)
    assert await desk.ask("busy") == {"busy": b"1"}
