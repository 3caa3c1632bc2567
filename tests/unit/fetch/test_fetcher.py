from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from keyferry.errors import BadSpec, Broken, Denied, KeyferryError, NotThere, Unreachable
from keyferry.fetch.fetcher import Fetcher
from keyferry.ports import Capabilities, Fetched, Query, Ref, StoreIdentity, Validation
from tests.support.virtual import elapsed, settle, virtual
from tests.unit.fetch.adapters import Searching, Stub, answer_all, make, stub_store

REFS = [Ref("a"), Ref("b")]


class Counter:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.saved = 0

    def provider_calls(self, store: StoreIdentity, result: str) -> None:
        self.calls.append(result)

    def reads_saved(self, store: StoreIdentity, how: str) -> None:
        self.saved += 1


def make_fetcher(provider: type[Stub] = Stub) -> tuple[type[Stub], Fetcher, Counter]:
    stub, pool = make(provider)
    counter = Counter()
    return stub, Fetcher(pool, counter, timeout=30), counter


def texts(answers: Mapping[Any, object]) -> dict[str, object]:
    return {
        getattr(ref, "key", ref): each.document if isinstance(each, Fetched) else type(each)
        for ref, each in answers.items()
    }


@virtual
async def test_a_hundred_callers_for_one_document_make_one_read() -> None:
    stub, fetcher, counter = make_fetcher()
    answers = await asyncio.gather(*(fetcher.read(stub_store(), "team", [Ref("a")]) for _ in range(100)))
    assert all(texts(each) == {"a": b"a"} for each in answers)
    assert stub.opened[0].reads == [(Ref("a"),)]
    assert (counter.calls, counter.saved) == (["success"], 99)


@virtual
async def test_only_what_nobody_reads_yet_is_read() -> None:
    stub, fetcher, _ = make_fetcher()
    await fetcher.read(stub_store(), "team", [])
    one = asyncio.create_task(fetcher.read(stub_store(), "team", [Ref("a")]))
    await asyncio.sleep(0.15)
    two = asyncio.create_task(fetcher.read(stub_store(), "team", [*REFS, Ref("a")]))
    await asyncio.gather(one, two)
    assert stub.opened[0].reads[-2:] == [(Ref("a"),), (Ref("b"),)] or stub.opened[0].reads[-1] == tuple(REFS)
    assert texts(await two) == {"a": b"a", "b": b"b"}


@virtual
async def test_callers_from_different_namespaces_never_share_a_read() -> None:
    stub, fetcher, _ = make_fetcher()
    store = stub_store(borrowed=True)
    await asyncio.gather(*(fetcher.read(store, caller, [Ref("a")]) for caller in ("one", "two")))
    assert [each.reads for each in stub.opened] == [[(Ref("a"),)], [(Ref("a"),)]]


@virtual
async def test_a_caller_that_is_cancelled_does_not_hurt_the_others() -> None:
    stub, fetcher, _ = make_fetcher()
    first, second = (asyncio.create_task(fetcher.read(stub_store(), "team", REFS)) for _ in range(2))
    await asyncio.sleep(0.15)
    first.cancel()
    assert texts(await second) == {"a": b"a", "b": b"b"}
    assert first.cancelled()
    assert len(stub.opened[0].reads) == 1


@virtual
async def test_one_bad_document_does_not_sink_the_rest() -> None:
    stub, fetcher, counter = make_fetcher()

    async def answering(refs: Sequence[Ref]) -> Mapping[Ref, Any]:
        return {Ref("a"): NotThere("none"), Ref("b"): Fetched(b"1")}

    stub.answering = answering
    assert texts(await fetcher.read(stub_store(), "team", REFS)) == {"a": NotThere, "b": b"1"}
    assert sorted(counter.calls) == ["error", "success"]


def raising(error: BaseException) -> Callable[[Sequence[Ref]], Any]:
    async def answering(refs: Sequence[Ref]) -> Any:
        raise error

    return answering


def giving(answer: Any) -> Callable[[Sequence[Ref]], Any]:
    async def answering(refs: Sequence[Ref]) -> Any:
        return answer

    return answering


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
    stub, fetcher, _ = make_fetcher()
    stub.answering = answering
    callers = await asyncio.gather(*(fetcher.read(stub_store(), "team", REFS) for _ in range(3)))
    for answers in callers:
        assert texts(answers) == {"a": expected, "b": expected}
        assert "canary" not in str(answers)
    stub.answering = answer_all
    assert texts(await fetcher.read(stub_store(), "team", REFS)) == {"a": b"a", "b": b"b"}
    assert fetcher._reads == {}


@virtual
async def test_a_silent_store_is_given_up_after_the_time_out() -> None:
    stub, fetcher, _ = make_fetcher()

    async def silent(refs: Sequence[Ref]) -> Any:
        await asyncio.Event().wait()

    stub.answering = silent
    assert texts(await fetcher.read(stub_store(), "team", REFS)) == {"a": Unreachable, "b": Unreachable}
    assert elapsed() == pytest.approx(30.1)


@virtual
async def test_a_store_is_asked_for_so_much_at_once_and_no_more() -> None:
    stub, fetcher, _ = make_fetcher()
    running = most = 0

    async def answering(refs: Sequence[Ref]) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1
        return await answer_all(refs)

    stub.answering = answering
    await asyncio.gather(*(fetcher.read(stub_store(), "team", [Ref(f"k{number}")]) for number in range(50)))
    assert most == 16


@virtual
async def test_a_read_that_goes_on_keeps_its_adapter_when_the_store_changes() -> None:
    stub, fetcher, _ = make_fetcher()
    reading = asyncio.create_task(fetcher.read(stub_store(), "team", REFS))
    await asyncio.sleep(0.15)
    fetcher._pool.retire(stub_store().metadata.uid)
    await fetcher.read(stub_store(), "team", REFS)
    assert texts(await reading) == {"a": b"a", "b": b"b"}
    await settle()
    assert [each.closed for each in stub.opened] == [True, False]


@virtual
async def test_a_search_is_shared_and_its_documents_are_read_in_one_go() -> None:
    stub, fetcher, counter = make_fetcher(Searching)
    found = await asyncio.gather(*(fetcher.find(stub_store(), "team", Query(name="x")) for _ in range(10)))
    assert all(list(each) == ["a", "b"] for each in found)
    assert texts(found[0]) == {"a": b"1", "b": b"b"}
    assert stub.opened[0].reads == [(), (Ref("b"),)]
    assert counter.saved == 18


@virtual
async def test_a_search_that_fails_is_told_and_not_remembered() -> None:
    stub, fetcher, counter = make_fetcher(Searching)
    stub.answering = raising(RuntimeError("canary-c0ffee"))
    with pytest.raises(Broken) as failed:
        await fetcher.find(stub_store(), "team", Query())
    assert "canary" not in str(failed.value)
    assert counter.calls == ["error"]
    stub.answering = answer_all
    assert len(await fetcher.find(stub_store(), "team", Query())) == 2


@virtual
async def test_a_provider_that_cannot_search_says_so() -> None:
    _, fetcher, _ = make_fetcher()
    with pytest.raises(BadSpec, match="provider stub cannot search"):
        await fetcher.find(stub_store(), "team", Query())


@virtual
async def test_a_store_is_checked_with_its_own_credentials() -> None:
    stub, fetcher, _ = make_fetcher()
    await fetcher.open(stub_store())
    assert await fetcher.validate(stub_store()) is Validation.READY
    assert await fetcher.capabilities(stub_store()) is Capabilities.READ_ONLY
    assert (await fetcher.layout(stub_store())).form == "text"
    assert [each.context.store.caller for each in stub.opened] == ["team"]
    stub.answering = raising(asyncio.CancelledError())
    with pytest.raises(Broken):
        await fetcher.validate(stub_store())
