from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from keyferry.errors import BadSpec, Broken, Denied, KeyferryError, NotThere, Unreachable
from keyferry.ports import Capabilities, Fetched, Query, Ref, Validation
from tests.support.virtual import elapsed, settle, virtual
from tests.unit.fetch.adapters import (
    Searching,
    answer_all,
    giving,
    make_fetcher,
    raising,
    silent,
    stub_store,
)

REFS = [Ref("a"), Ref("b")]


@virtual
async def test_a_hundred_callers_for_one_document_make_one_read() -> None:
    stub, desk = make_fetcher()
    answers = await asyncio.gather(*(desk.ask("a") for _ in range(100)))
    assert all(each == {"a": b"a"} for each in answers)
    assert stub.opened[0].reads == [(Ref("a"),)]
    assert (desk.counter.calls, desk.counter.how) == (["success"], ["flight"] * 99)


@virtual
async def test_only_what_nobody_reads_yet_is_read() -> None:
    stub, desk = make_fetcher(ttl=0)
    assert await desk.ask() == {}
    one = asyncio.create_task(desk.ask("a"))
    await asyncio.sleep(0.05)
    assert await desk.ask("a", "b", "a") == {"a": b"a", "b": b"b"}
    assert await one == {"a": b"a"}
    assert stub.opened[0].reads == [(Ref("a"),), (Ref("b"),)]


@virtual
async def test_callers_from_different_namespaces_never_share_a_read_or_what_is_remembered() -> None:
    stub, desk = make_fetcher()
    store = stub_store(borrowed=True)
    for _ in range(2):
        await asyncio.gather(*(desk.ask("a", store=store, caller=caller) for caller in ("one", "two")))
    assert [each.reads for each in stub.opened] == [[(Ref("a"),)], [(Ref("a"),)]]
    assert [each.context.store.caller for each in stub.opened] == ["one", "two"]


@virtual
async def test_stores_and_generations_of_a_store_never_share_what_is_remembered() -> None:
    stub, desk = make_fetcher()
    stores = [stub_store(), stub_store(namespace="other"), stub_store(generation=2)]
    for store in stores:
        expected = f"{store.metadata.uid}{store.metadata.generation}".encode()
        stub.answering = giving({Ref("a"): Fetched(expected)})
        assert await desk.ask("a", store=store, caller=store.metadata.namespace) == {"a": expected}
    assert [len(each.reads) for each in stub.opened] == [1, 1, 1]


@virtual
async def test_versions_properties_and_metadata_of_one_key_are_told_apart() -> None:
    stub, desk = make_fetcher()
    refs = [Ref("a"), Ref("a", version="1"), Ref("a", metadata=True), Ref("a", property="p")]
    stub.answering = giving({ref: Fetched(str(number).encode()) for number, ref in enumerate(refs)})
    for _ in range(2):
        found = (await desk.read(stub_store(), "team", refs, -1)).answers
        assert [each.document for each in found.values() if isinstance(each, Fetched)] == [b"0", b"1", b"2", b"3"]
    assert len(stub.opened[0].reads) == 1


@virtual
async def test_a_new_credential_reads_anew() -> None:
    stub, desk = make_fetcher()
    await desk.ask("a")
    desk.pool.retire(stub_store().metadata.uid)
    assert desk.kept == 0
    await desk.ask("a")
    assert [len(each.reads) for each in stub.opened] == [1, 1]


@virtual
async def test_a_caller_that_is_cancelled_does_not_hurt_the_others() -> None:
    stub, desk = make_fetcher()
    first, second = (asyncio.create_task(desk.ask("a", "b")) for _ in range(2))
    await asyncio.sleep(0.15)
    first.cancel()
    assert await second == {"a": b"a", "b": b"b"}
    assert first.cancelled()
    assert len(stub.opened[0].reads) == 1


@virtual
async def test_an_adapter_stays_open_for_a_read_whose_callers_have_all_left() -> None:
    stub, desk = make_fetcher()
    caller = asyncio.create_task(desk.ask("a"))
    await asyncio.sleep(0.15)
    caller.cancel()
    await settle()
    desk.pool.retire(stub_store().metadata.uid)
    await settle()
    assert [each.closed for each in stub.opened] == [False]
    await asyncio.sleep(1)
    assert [each.closed for each in stub.opened] == [True]
    assert desk.counter.calls == ["success"]


@virtual
async def test_one_bad_document_does_not_sink_the_rest() -> None:
    stub, desk = make_fetcher()
    stub.answering = giving({Ref("a"): NotThere("none"), Ref("b"): Fetched(b"1")})
    assert await desk.ask("a", "b") == {"a": NotThere, "b": b"1"}
    assert sorted(desk.counter.calls) == ["error", "success"]


@virtual
@pytest.mark.parametrize(
    ("answering", "expected"),
    [
        (raising(Denied("no")), Denied),
        (raising(ValueError("canary-c0ffee")), Broken),
        (raising(TimeoutError()), Unreachable),
        (raising(asyncio.CancelledError()), Broken),
        (giving(None), Broken),
        (giving({}), Broken),
        (giving(["canary-c0ffee"]), Broken),
        (giving(dict.fromkeys(REFS)), Broken),
        (giving(dict.fromkeys(REFS, b"canary-c0ffee")), Broken),
    ],
)
async def test_whatever_an_adapter_does_everybody_gets_an_answer(
    answering: Callable[[Sequence[Ref]], Any], expected: type[KeyferryError]
) -> None:
    stub, desk = make_fetcher()
    stub.answering = answering
    answers = await asyncio.gather(*(desk.read(stub_store(), "team", REFS, -1) for _ in range(3)))
    for each in answers:
        assert [type(answer) for answer in each.answers.values()] == [expected, expected]
        assert "canary" not in str(each) + repr(each)
    await asyncio.sleep(5)
    stub.answering = answer_all
    assert await desk.ask("a", "b") == {"a": b"a", "b": b"b"}


@virtual
async def test_a_silent_store_is_given_up_after_the_time_out() -> None:
    stub, desk = make_fetcher(window=0)
    stub.answering = silent
    assert await desk.ask("a") == {"a": Unreachable}
    assert elapsed() == pytest.approx(30.1)


@virtual
async def test_a_silent_secret_has_time_to_fail_by_itself() -> None:
    stub, desk = make_fetcher()

    async def answering(refs: Sequence[Ref]) -> Mapping[Ref, Any]:
        await asyncio.sleep(30)
        return {ref: Unreachable("silent") if ref.key == "a" else Fetched(b"1") for ref in refs}

    stub.answering = answering
    assert await desk.ask("a", "b") == {"a": Unreachable, "b": b"1"}


@virtual
async def test_a_store_is_asked_for_so_much_at_once_and_no_more() -> None:
    stub, desk = make_fetcher(waiters=1000)
    stub.batch = 1  # type: ignore[attr-defined] # what a provider may say
    running = most = 0

    async def answering(refs: Sequence[Ref]) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1
        return await answer_all(refs)

    stub.answering = answering
    await asyncio.gather(*(desk.ask(f"k{number}") for number in range(50)))
    assert most == 16


@virtual
async def test_a_read_that_goes_on_keeps_its_adapter_when_the_store_changes() -> None:
    stub, desk = make_fetcher()
    reading = asyncio.create_task(desk.ask("a", "b"))
    await asyncio.sleep(0.15)
    desk.pool.retire(stub_store().metadata.uid)
    await desk.ask("a", "b")
    assert await reading == {"a": b"a", "b": b"b"}
    await settle()
    assert [each.closed for each in stub.opened] == [True, False]


@virtual
async def test_a_search_is_shared_and_its_documents_are_read_in_one_go() -> None:
    stub, desk = make_fetcher(Searching)
    found = await asyncio.gather(*(desk.search(Query(name="x")) for _ in range(10)))
    assert all(list(each) == ["a", "b"] for each in found)
    assert found[0] == {"a": b"1", "b": b"b"}
    assert stub.opened[0].reads == [(), (Ref("b"),)]
    assert desk.counter.how == ["flight"] * 18
    await desk.search(Query(name="x"))
    assert desk.counter.how[18:] == ["listing", "cache"]
    await desk.search(Query(name="y"))
    assert stub.opened[0].reads == [(), (Ref("b"),), ()]


@virtual
async def test_a_search_that_fails_is_told_and_not_remembered() -> None:
    stub, desk = make_fetcher(Searching)
    stub.answering = raising(RuntimeError("canary-c0ffee"))
    with pytest.raises(Broken) as failed:
        await desk.search(Query())
    assert "canary" not in str(failed.value)
    assert desk.counter.calls == ["error"]
    stub.answering = answer_all
    assert len(await desk.search(Query())) == 2


@virtual
async def test_a_provider_that_cannot_search_says_so() -> None:
    _, desk = make_fetcher()
    with pytest.raises(BadSpec, match="provider stub cannot search"):
        await desk.search(Query())


@virtual
async def test_a_store_is_checked_with_its_own_credentials() -> None:
    stub, desk = make_fetcher()
    await desk.open(stub_store())
    assert await desk.validate(stub_store(), within=300) is Validation.READY
    assert await desk.capabilities(stub_store()) is Capabilities.READ_ONLY
    assert (await desk.layout(stub_store())).form == "text"
    assert [each.context.store.caller for each in stub.opened] == ["team"]
    stub.answering = raising(asyncio.CancelledError())
    with pytest.raises(Broken):
        await desk.validate(stub_store(), within=300)
