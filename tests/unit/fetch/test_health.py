"""What a store's failures cost it: rests, probes, and what is told meanwhile."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from keyferry.errors import Broken, Busy, ClusterUnavailable, Denied, KeyferryError, NotThere, Unreachable
from keyferry.ports import Fetched, Ref, Validation
from tests.support.virtual import elapsed, virtual
from tests.unit.fetch.adapters import Desk, Stub, answer_all, giving, make_fetcher, raising, stub_store


async def failure(desk: Desk, key: str) -> KeyferryError:
    found = (await desk.read(stub_store(), "team", [Ref(key)], -1)).answers[Ref(key)]
    assert isinstance(found, KeyferryError)
    return found


def reads(stub: type[Stub]) -> int:
    return sum(len(each.reads) for each in stub.opened)


@virtual
async def test_a_store_that_asks_for_fewer_calls_is_left_alone_as_long_as_it_says() -> None:
    stub, desk = make_fetcher()
    stub.answering = raising(Busy("slow down, secret-of-another", retry_after=120))
    first = await failure(desk, "a")
    await asyncio.sleep(60)
    second = await failure(desk, "b")
    assert reads(stub) == 1
    assert isinstance(second, Busy)
    assert second.retry_after == pytest.approx(60)
    assert str(first) == str(second)
    assert "another" not in str(second)
    assert "given a rest" in str(second)
    stub.answering = answer_all
    await asyncio.sleep(61)
    assert await desk.ask("b") == {"b": b"b"}
    assert (desk.recoveries, desk.counter.rests) == (["store"], [False, True, False])


@virtual
async def test_a_store_is_not_believed_to_want_a_rest_of_a_day() -> None:
    stub, desk = make_fetcher()
    stub.answering = raising(Busy("slow down", retry_after=86400))
    await failure(desk, "a")
    await asyncio.sleep(901)
    await failure(desk, "a")
    assert reads(stub) == 2


@virtual
async def test_a_store_that_does_not_answer_is_rested_after_three_calls_in_a_row() -> None:
    stub, desk = make_fetcher()
    stub.answering = raising(Unreachable("no route, secret-of-another"))
    told = [str(await failure(desk, f"k{number}")) for number in range(5)]
    assert reads(stub) == 3
    assert told[0] == told[1] == "no route, secret-of-another"
    assert told[2] == told[3] == told[4] != told[0]
    assert "another" not in told[2]


@virtual
async def test_rests_grow_and_each_is_followed_by_one_read() -> None:
    stub, desk = make_fetcher()
    stub.answering = raising(Unreachable("no route"))
    moments: list[float] = []
    while elapsed() < 200:
        before = reads(stub)
        await asyncio.gather(*(desk.ask(f"k{number}") for number in range(10)))
        if reads(stub) > before:
            moments.append(elapsed())
            assert before < 3 or (reads(stub) - before, len(stub.opened[0].reads[-1])) == (1, 1)
        await asyncio.sleep(0.5)
    gaps = [late - early for early, late in itertools.pairwise(moments[2:])]
    assert gaps == pytest.approx([2, 4, 8, 16, 30, 30, 30, 30, 30], abs=1)


@virtual
async def test_a_search_and_a_check_are_calls_like_others() -> None:
    stub, desk = make_fetcher()
    stub.answering = raising(Unreachable("its certificate is from another"))
    for _ in range(3):
        with pytest.raises(Unreachable, match="certificate"):
            await desk.validate(stub_store(), within=300)
    before = await failure(desk, "a")
    assert "given a rest" in str(before)
    # Of itself the store is told what its check has found, rest or no rest.
    with pytest.raises(Unreachable, match="certificate"):
        await desk.validate(stub_store(), within=300)
    assert reads(stub) == 0
    stub.answering = answer_all
    await asyncio.sleep(2.1)
    assert await desk.validate(stub_store(), within=300) is Validation.READY
    assert desk.recoveries == ["store"]


@virtual
async def test_an_answer_in_between_has_the_count_begin_anew() -> None:
    stub, desk = make_fetcher(ttl=0)
    for round_number in range(4):
        stub.answering = raising(Unreachable("no route"))
        for _ in range(2):
            assert "given a rest" not in str(await failure(desk, f"k{round_number}"))
        stub.answering = giving({Ref("a"): NotThere("none")})
        await failure(desk, "a")
    assert desk.counter.rests == [False]


@virtual
@pytest.mark.parametrize("error", [Denied("x"), Broken("x"), ClusterUnavailable("x"), NotThere("x")])
async def test_what_tells_of_something_else_rests_no_store(error: KeyferryError) -> None:
    stub, desk = make_fetcher(ttl=0)
    stub.answering = raising(error)
    for _ in range(10):
        assert type(await failure(desk, "a")) is type(error)
    assert reads(stub) == 10


@virtual
async def test_a_store_of_which_one_secret_fails_is_not_rested() -> None:
    stub, desk = make_fetcher(ttl=0)
    stub.answering = giving({Ref("a"): Unreachable("500"), Ref("b"): Fetched(b"1")})
    for _ in range(10):
        assert await desk.ask("a", "b") == {"a": Unreachable, "b": b"1"}


@virtual
async def test_what_is_remembered_is_given_out_while_the_store_rests() -> None:
    stub, desk = make_fetcher()
    await desk.ask("a")
    stub.answering = raising(Busy("slow down"))
    await failure(desk, "b")
    assert await desk.ask("a", "b") == {"a": b"a", "b": Busy}


@virtual
async def test_a_probe_that_is_broken_off_leaves_the_next_caller_to_try() -> None:
    stub, desk = make_fetcher()
    stub.answering = raising(Busy("slow down"))
    await failure(desk, "a")
    await asyncio.sleep(3)

    async def never(_refs: Sequence[Ref]) -> Any:
        await asyncio.Event().wait()

    stub.answering = never
    check = asyncio.create_task(desk.validate(stub_store(), within=300))
    await asyncio.sleep(1)
    assert await desk.ask("b") == {"b": Busy}
    check.cancel()
    await asyncio.gather(check, return_exceptions=True)
    stub.answering = answer_all
    assert await desk.ask("b") == {"b": b"b"}


@virtual
async def test_two_stores_and_two_generations_rest_by_themselves() -> None:
    stub, desk = make_fetcher()
    stub.answering = raising(Busy("slow down", retry_after=600))
    await failure(desk, "a")
    stub.answering = answer_all
    assert await desk.ask("a") == {"a": Busy}
    assert await desk.ask("a", store=stub_store(namespace="other"), caller="other") == {"a": b"a"}
    assert await desk.ask("a", store=stub_store(generation=2)) == {"a": b"a"}


@virtual
async def test_a_store_that_is_read_from_is_not_checked_besides() -> None:
    stub, desk = make_fetcher()
    checks = 0

    async def answering(refs: Sequence[Ref]) -> Mapping[Ref, Any]:
        nonlocal checks
        checks += not refs
        return {ref: Fetched(b"1") for ref in refs}

    stub.answering = answering
    await desk.validate(stub_store(), within=300)
    assert checks == 1
    await desk.ask("a")
    await asyncio.sleep(299)
    await desk.validate(stub_store(), within=300)
    assert (checks, desk.counter.how) == (1, ["check"])
    await asyncio.sleep(2)
    # What was remembered tells nothing of the store as it is now.
    await desk.ask("a")
    await desk.validate(stub_store(), within=300)
    assert checks == 2


@virtual
async def test_a_store_whose_check_failed_is_checked_again_whatever_is_read() -> None:
    stub, desk = make_fetcher()
    stub.answering = raising(Denied("no"))
    with pytest.raises(Denied):
        await desk.validate(stub_store(), within=300)
    stub.answering = answer_all
    await desk.ask("a")
    stub.answering = raising(Denied("no"))
    with pytest.raises(Denied):
        await desk.validate(stub_store(), within=300)
