"""How fresh answers are, how many of them are kept, what goes out together, and who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.errors import BadSpec, Denied, NotThere, Pending, PropertyNotThere
from keyferry.ports import Fetched, Query, Ref
from tests.support.virtual import elapsed, run, settle, virtual
from tests.unit.fetch.adapters import Searching, giving, make_fetcher, raising, silent, stub_store

CANARY = "canary-c0ffee"


@virtual
async def test_what_was_read_is_given_out_again_while_it_is_fresh_enough_for_who_asks() -> None:
    stub, desk = make_fetcher(window=0)
    first = await desk.read(stub_store(), "team", [Ref("a")], -1)
    assert first.as_of == pytest.approx(0.1)
    await asyncio.sleep(100)
    again = await desk.read(stub_store(), "team", [Ref("a")], after=elapsed() - 150)
    assert again.as_of == first.as_of
    fresher = await desk.read(stub_store(), "team", [Ref("a")], after=elapsed() - 50)
    assert fresher.as_of == pytest.approx(100.2)
    assert len(stub.opened[0].reads) == 2
    assert desk.counter.how == ["cache"]


@virtual
async def test_who_asks_for_something_newer_does_not_join_a_read_that_is_under_way() -> None:
    stub, desk = make_fetcher()
    early = asyncio.create_task(desk.read(stub_store(), "team", [Ref("a")], -1))
    await asyncio.sleep(0.15)
    late = [asyncio.create_task(desk.read(stub_store(), "team", [Ref("a")], elapsed())) for _ in range(3)]
    assert (await early).as_of < 0.15 < (await late[0]).as_of
    assert len(stub.opened[0].reads) == 2


@virtual
async def test_a_thousand_edits_of_one_moment_share_the_reads_that_began_after_it() -> None:
    stub, desk = make_fetcher()
    await desk.ask(*(f"k{number}" for number in range(50)))
    await asyncio.sleep(10)
    edited, most = elapsed(), asyncio.Semaphore(32)

    async def work(number: int) -> float:
        async with most:
            return (await desk.read(stub_store(), "team", [Ref(f"k{number % 50}")], edited)).as_of

    assert min(await asyncio.gather(*map(work, range(1000)))) > edited
    assert len(desk.counter.calls) == 100
    assert sum(map(len, stub.opened[0].reads)) == 100


@virtual
async def test_the_age_told_is_that_of_the_oldest_answer() -> None:
    _, desk = make_fetcher(Searching)
    await desk.ask("b")
    await asyncio.sleep(10)
    both = await desk.read(stub_store(), "team", [Ref("a"), Ref("b")], -1)
    found = await desk.find(stub_store(), "team", Query(), -1)
    assert both.as_of == found.as_of < 1
    assert (await desk.read(stub_store(), "team", [], -1)).as_of == float("inf")


@virtual
async def test_nothing_is_given_out_after_its_time_whoever_would_take_it() -> None:
    stub, desk = make_fetcher(ttl=60, window=0)
    await desk.ask("a")
    await asyncio.sleep(59)
    await desk.ask("a")
    await asyncio.sleep(1)
    await desk.ask("a")
    assert len(stub.opened[0].reads) == 2
    await asyncio.sleep(60)
    desk.pool.sweep()
    assert desk.kept == 0


@virtual
async def test_with_a_time_of_nothing_nothing_is_kept() -> None:
    stub, desk = make_fetcher(ttl=0)
    stub.answering = giving({Ref("a"): Fetched(b"1"), Ref("b"): NotThere("no")})
    for _ in range(2):
        await desk.ask("a", "b")
    assert (len(stub.opened[0].reads), desk.kept, desk.counter.how) == (2, 0, [])


@virtual
@pytest.mark.parametrize("error", [NotThere("x"), PropertyNotThere("x"), Denied("x"), BadSpec("x")])
async def test_what_the_store_says_of_a_secret_is_remembered_for_less_than_the_first_retry(error: Any) -> None:
    stub, desk = make_fetcher()
    stub.answering = giving({Ref("a"): error})
    for _ in range(3):
        assert await desk.ask("a") == {"a": type(error)}
    assert desk.counter.how == ["negative", "negative"]
    assert await desk.ask("a", after=elapsed()) == {"a": type(error)}
    await asyncio.sleep(5)
    stub.answering = giving({Ref("a"): Fetched(b"1")})
    assert await desk.ask("a") == {"a": b"1"}


@virtual
async def test_an_error_that_is_remembered_keeps_no_frames_and_no_values() -> None:
    stub, desk = make_fetcher()

    async def answering(refs: Sequence[Ref]) -> Mapping[Ref, Any]:
        value = CANARY
        try:
            raise NotThere("none")
        except NotThere as error:
            return dict.fromkeys(refs, error) if value else {}

    stub.answering = answering
    await desk.ask("a")
    found = (await desk.read(stub_store(), "team", [Ref("a")], -1)).answers[Ref("a")]
    assert desk.counter.how == ["negative"]
    assert isinstance(found, NotThere)
    assert (found.__traceback__, found.__context__) == (None, None)


@virtual
async def test_refs_of_many_objects_go_out_together_when_the_window_ends() -> None:
    stub, desk = make_fetcher(window=0.005)
    await desk.ask("warm")

    async def ask(number: int) -> None:
        await asyncio.sleep(number / 1000)
        await desk.ask(f"k{number}")

    await asyncio.gather(*map(ask, range(8)))
    assert len(stub.opened[0].reads) == 3
    assert min(len(each) for each in stub.opened[0].reads[1:]) > 1


@virtual
async def test_a_provider_says_how_many_refs_it_takes_at_once() -> None:
    stub, desk = make_fetcher(waiters=1000)
    stub.batch = 20  # type: ignore[attr-defined] # what a provider may say
    await asyncio.gather(*(desk.ask(f"k{number}") for number in range(50)))
    assert [len(each) for each in stub.opened[0].reads] == [20, 20, 10]


@virtual
async def test_what_is_kept_is_bounded_for_each_store_and_for_all() -> None:
    stub, desk = make_fetcher(most=5000)
    big = Fetched(b"x" * 900)
    stub.answering = giving({Ref(f"k{number}"): big for number in range(20)})
    small = stub_store(namespace="small")
    await desk.ask("k0", store=small, caller="small")
    await desk.ask(*(f"k{number}" for number in range(20)))
    assert 3000 < desk.kept <= 5000
    # The store with most gave way, and its latest are those that are left.
    assert await desk.ask("k0", store=small, caller="small") == {"k0": b"x" * 900}
    assert desk.counter.how == ["cache"]

    stub, desk = make_fetcher()
    stub.answering = giving({Ref("a"): Fetched({"key": b"x" * (1 << 21)}), Ref("b"): Fetched(b"1")})
    await desk.ask("a", "b")
    assert desk.kept < 2000


@virtual
async def test_no_text_of_what_is_kept_shows_a_value() -> None:
    stub, desk = make_fetcher(Searching)
    stub.answering = giving({Ref("b"): Fetched(CANARY.encode()), Ref("a"): Fetched({CANARY: CANARY.encode()})})
    await desk.ask("a", "b")
    await desk.search(Query())
    entry = next(iter(desk.pool._entries.values()))
    assert entry.line is not None
    line = entry.line
    shown = f"{entry!r}{line!r}{line._kept!r}{vars(line._kept)!r}{vars(line._kept._kept)!r}{line._flying!r}"
    assert CANARY not in shown
    assert "Kept" in shown


@virtual
async def test_a_slow_store_keeps_its_share_of_callers_and_answers_the_others_when_they_come_back() -> None:
    stub, desk = make_fetcher(waiters=2)

    async def slow(refs: Sequence[Ref]) -> Mapping[Ref, Any]:
        await asyncio.sleep(10)
        return {ref: Fetched(ref.key.encode()) for ref in refs}

    stub.answering = slow
    callers = [asyncio.create_task(desk.ask(f"k{number}")) for number in range(6)]
    await asyncio.sleep(2)
    left = [each for each in callers if each.done()]
    assert [type(each.exception()) for each in left] == [Pending] * 4
    with pytest.raises(Pending):
        await desk.ask("late")
    assert elapsed() == pytest.approx(2.0)
    await asyncio.sleep(20)
    assert all([len(await each) == 1 for each in callers if each not in left])
    # Nothing is asked twice: those who left find what has come meanwhile.
    asked = len(desk.counter.calls)
    assert await desk.ask(*(f"k{number}" for number in range(6)), "late") != {}
    assert len(desk.counter.calls) == asked == 7
    await settle()


@virtual
async def test_where_nothing_is_kept_an_answer_waits_for_those_who_were_sent_away_and_for_nobody_else() -> None:
    stub, desk = make_fetcher(ttl=0, waiters=1)

    async def slow(refs: Sequence[Ref]) -> Mapping[Ref, Any]:
        await asyncio.sleep(3)
        return {ref: Fetched(b"1") for ref in refs}

    stub.answering = slow
    patient = asyncio.create_task(desk.ask("b"))
    with pytest.raises(Pending):
        await desk.ask("a")
    assert await patient == {"b": b"1"}
    await asyncio.sleep(10)
    assert await desk.ask("a") == {"a": b"1"}
    assert len(desk.counter.calls) == 2
    await asyncio.sleep(100)
    desk.sweep()
    stub.answering = giving({Ref("a"): Fetched(b"2")})
    assert (await desk.ask("a"), await desk.ask("a"), desk.kept) == ({"a": b"2"}, {"a": b"2"}, 0)
    assert len(desk.counter.calls) == 4


@virtual
async def test_one_silent_secret_does_not_make_its_store_slow_for_the_others() -> None:
    stub, desk = make_fetcher(waiters=2)

    async def answering(refs: Sequence[Ref]) -> Any:
        await (silent(refs) if refs[0].key == "silent" else asyncio.sleep(0.02))
        return {ref: Fetched(b"1") for ref in refs}

    stub.answering = answering
    stuck = asyncio.create_task(desk.ask("silent"))
    await asyncio.sleep(5)
    assert await desk.ask("first") == {"first": b"1"}
    found = await asyncio.gather(*(desk.ask(f"k{each}") for each in range(10)))
    assert len(found) == 10
    stuck.cancel()
    await asyncio.gather(stuck, return_exceptions=True)


@virtual
async def test_a_defect_of_an_adapter_leaves_nothing_behind() -> None:
    stub, desk = make_fetcher()
    stub.answering = raising(ValueError(CANARY))
    await desk.ask("a")
    entry = next(iter(desk.pool._entries.values()))
    assert entry.line is not None
    patience = entry.line._patience
    assert (entry.line._flying, entry.line._wanted, patience.under_way, patience._waiting) == ({}, {}, 0, 0)
    assert (entry.users, desk.kept) == (0, 0)


@given(
    intervals=st.lists(st.floats(10, 100), min_size=1, max_size=4),
    latency=st.floats(0.0, 1.0),
    ttl=st.floats(0.0, 100.0),
)
def test_what_an_object_holds_is_never_older_than_its_interval_however_it_is_shared(
    intervals: list[float], latency: float, ttl: float
) -> None:
    """Objects that count their next refresh from the reading that they were given, as ``sync`` does."""

    async def play() -> None:
        stub, desk = make_fetcher(ttl=ttl)

        async def answering(refs: Sequence[Ref]) -> Mapping[Ref, Any]:
            began = elapsed()
            await asyncio.sleep(latency)
            return {ref: Fetched(repr(began).encode()) for ref in refs}

        stub.answering = answering
        end = 3 * max(intervals)

        async def refresh(interval: float) -> None:
            held = None
            while elapsed() < end:
                found = await desk.read(stub_store(), "team", [Ref("a")], elapsed() - interval / 2)
                fetched = found.answers[Ref("a")]
                assert isinstance(fetched, Fetched)
                assert isinstance(fetched.document, bytes)
                assert float(fetched.document) == pytest.approx(found.as_of)
                # What was held until now, just before it was replaced.
                assert held is None or elapsed() - held <= interval + latency + 0.2
                held = found.as_of
                await asyncio.sleep(max(0.0, held + interval - elapsed()))

        await asyncio.gather(*map(refresh, intervals))
        most = sum(end / each + 2 for each in intervals)
        assert len(desk.counter.calls) <= most

    run(play())
