"""What is not downloaded again because the store says that it has not changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from keyferry.errors import Busy, KeyferryError, NotThere
from keyferry.ports import Fetched, Ref
from tests.support.virtual import elapsed, virtual
from tests.unit.fetch.adapters import Desk, Stub, make_fetcher, stub_store


class Comparing(Stub):
    """One that knows versions; ``content`` is what its store holds, ``compared`` what was asked about."""

    content: dict[str, tuple[str, str]]
    compared: list[list[str]]

    async def reread(self, refs: Sequence[Ref], known: Mapping[Ref, Fetched]) -> Mapping[Ref, Fetched | KeyferryError]:
        self.compared.append(sorted(ref.key for ref in known))
        same = {ref: last for ref, last in known.items() if self.content.get(ref.key, ("", ""))[1] == last.version}
        return {**await self.read([ref for ref in refs if ref not in same]), **same}


def make(**limits: Any) -> tuple[type[Comparing], Desk]:
    stub, desk = make_fetcher(Comparing, **{"ttl": 60, **limits})
    assert issubclass(stub, Comparing)
    stub.content, stub.compared = {"a": ("1", "v1"), "b": ("1", "v1")}, []

    async def answering(refs: Sequence[Ref]) -> Mapping[Ref, Any]:
        found = {ref: stub.content.get(ref.key) for ref in refs}
        return {ref: Fetched(each[0].encode(), each[1]) if each else NotThere("no") for ref, each in found.items()}

    stub.answering = answering
    return stub, desk


def downloads(stub: type[Stub]) -> list[str]:
    return [ref.key for each in stub.opened for refs in each.reads for ref in refs]


@virtual
async def test_an_unchanged_document_is_downloaded_once_and_is_as_fresh_as_its_last_comparison() -> None:
    stub, desk = make()
    for _ in range(5):
        found = await desk.read(stub_store(), "team", [Ref("a"), Ref("b")], elapsed())
        assert found.as_of >= elapsed() - 0.2
        assert await desk.ask("a") == {"a": b"1"}
        await asyncio.sleep(3600)
    assert downloads(stub) == ["a", "b"]
    assert desk.counter.how.count("unchanged") == 2 * 4
    assert desk.counter.calls == ["success"] * 10


@virtual
async def test_a_document_that_changed_or_went_is_never_taken_for_the_one_before() -> None:
    stub, desk = make()
    await desk.ask("a", "b")
    await asyncio.sleep(100)
    stub.content = {"a": ("2", "v2")}
    assert await desk.ask("a", "b") == {"a": b"2", "b": NotThere}
    stub.content = {"a": ("2", "v2"), "b": ("1", "v1")}
    await asyncio.sleep(100)
    # What was absent in between is not compared any more.
    assert await desk.ask("a", "b") == {"a": b"2", "b": b"1"}
    assert stub.compared == [["a", "b"], ["a"]]


@virtual
async def test_a_comparison_is_made_for_whoever_asks_for_something_newer() -> None:
    stub, desk = make()
    await desk.ask("a")
    stub.content["a"] = ("2", "v2")
    assert await desk.ask("a") == {"a": b"1"}
    assert await desk.ask("a", after=elapsed()) == {"a": b"2"}
    assert stub.compared == [["a"]]


@virtual
async def test_a_comparison_that_fails_leaves_what_there_is_to_be_compared() -> None:
    stub, desk = make()
    await desk.ask("a", "b")
    answering, stub.answering = stub.answering, staticmethod(lambda _refs: _refused())
    stub.content["a"] = ("2", "v2")
    await asyncio.sleep(100)
    assert await desk.ask("a") == {"a": Busy}
    stub.answering, stub.content["a"] = answering, ("1", "v1")
    await asyncio.sleep(100)
    assert await desk.ask("a") == {"a": b"1"}
    assert downloads(stub) == ["a", "b", "a"]


async def _refused() -> Any:
    raise Busy("429")


@virtual
async def test_nothing_is_compared_without_a_version_after_a_change_or_where_nothing_is_kept() -> None:
    stub, desk = make()
    stub.content["a"] = ("1", "")
    await desk.ask("a", "b")
    await asyncio.sleep(100)
    await desk.ask("a", "b")
    assert stub.compared == [["b"]]
    desk.pool.retire(stub_store().metadata.uid)
    await desk.ask("a", "b")
    assert len(stub.compared) == 1

    stub, desk = make(ttl=0)
    for _ in range(2):
        await desk.ask("a")
    assert (stub.compared, desk.kept) == ([], 0)


@virtual
async def test_what_is_kept_to_be_compared_counts_and_has_an_end() -> None:
    stub, desk = make(most=5000)
    stub.content = {f"k{number}": ("x" * 900, "v1") for number in range(20)}
    await desk.ask(*stub.content)
    await asyncio.sleep(100)
    desk.sweep()
    assert 3000 < desk.kept <= 5000
    await desk.ask(*stub.content)
    assert len(stub.compared[0]) == 3
    await asyncio.sleep(60 + 2 * 3600)
    desk.sweep()
    assert desk.kept == 0


@virtual
async def test_a_store_that_cannot_compare_keeps_nothing_longer_than_it_is_given_out() -> None:
    stub, desk = make_fetcher(ttl=60)

    async def answering(refs: Sequence[Ref]) -> Mapping[Ref, Any]:
        return {ref: Fetched(b"1", "v1") for ref in refs}

    stub.answering = answering
    await desk.ask("a")
    await asyncio.sleep(61)
    desk.sweep()
    assert desk.kept == 0
