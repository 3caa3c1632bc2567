from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from keyferry.api.externalsecret import ExternalSecret, SecretStoreRef
from keyferry.api.store import SecretStore
from keyferry.errors import BadSpec, ClusterUnavailable, Denied, KeyferryError, NotReady, NotThere, Unreachable
from keyferry.kube.client import ObjectKey
from keyferry.ports import Fetched, Layout, Query, Reading, Ref
from keyferry.sync.gather import Gathered, GatherFailed, gather
from tests.support.objects import es, store
from tests.support.templates import rename
from tests.support.virtual import virtual

CANARY = "canary-c0ffee"


class Reader:
    """Documents by key; an error stands for itself. ``down`` fails the store as a whole."""

    def __init__(self, *, down: Mapping[str, KeyferryError] | None = None, **documents: bytes | KeyferryError) -> None:
        self.documents = documents
        self.down = down or {}
        self.asked: list[tuple[str, str, tuple[str, ...]]] = []

    async def layout(self, store: SecretStore) -> Layout:
        if store.metadata.name in self.down:
            raise self.down[store.metadata.name]
        return Layout("text", "literal-first", "not-there")

    async def read(self, store: SecretStore, caller: str, refs: Sequence[Ref], after: float) -> Reading[Ref]:
        self.asked.append((store.metadata.name, caller, tuple(ref.key for ref in refs)))
        found = {ref: self.documents.get(ref.key, NotThere(f'"{ref.key}" does not exist')) for ref in refs}
        return Reading({ref: Fetched(each) if isinstance(each, bytes) else each for ref, each in found.items()}, after)

    async def find(self, store: SecretStore, caller: str, query: Query, after: float) -> Reading[str]:
        named = {name: each for name, each in self.documents.items() if query.matches(name)}
        return Reading(
            {name: Fetched(each) if isinstance(each, bytes) else each for name, each in named.items()}, after + 1
        )


def lookup(ref: SecretStoreRef) -> SecretStore:
    if ref.name == "denied":
        raise Denied("not for you")
    return store(ref.name or "")


async def gathered(one: ExternalSecret, reader: Reader) -> Gathered:
    return await gather(one, lookup, reader, rename, after=7.0)


def entry(secret_key: str, key: str, store_name: str = "", **ref: Any) -> dict[str, Any]:
    source = {"sourceRef": {"storeRef": {"name": store_name}}} if store_name else {}
    return {"secretKey": secret_key, "remoteRef": {"key": key, **ref}, **source}


@virtual
async def test_later_entries_win_and_data_wins_over_data_from() -> None:
    reader = Reader(one=b'{"a":"1","b":"1"}', two=b'{"b":"2","c":"2"}', three=b"3")
    one = es(dataFrom=[{"extract": {"key": "one"}}, {"extract": {"key": "two"}}], data=[entry("c", "three")])
    assert (await gathered(one, reader)).data == {"a": b"1", "b": b"2", "c": b"3"}


@virtual
async def test_each_store_is_asked_once_on_behalf_of_the_objects_namespace() -> None:
    reader = Reader(x=b'{"p":"1","q":"2"}')
    one = es(data=[entry("p", "x", property="p"), entry("q", "x", property="q"), entry("o", "x", "other")])
    await gathered(one, reader)
    assert sorted(reader.asked) == [("other", "team", ("x",)), ("store", "team", ("x",))]


@virtual
async def test_a_search_takes_what_matches_and_passes_over_what_went_meanwhile() -> None:
    reader = Reader(db_a=b"1", db_b=NotThere("gone"), web=b"3")
    one = es(data=[], dataFrom=[{"find": {"name": {"regexp": "^db"}}}])
    assert (await gathered(one, reader)).data == {"db_a": b"1"}


async def failure(one: ExternalSecret, reader: Reader) -> GatherFailed:
    with pytest.raises(GatherFailed) as failed:
        await gathered(one, reader)
    assert CANARY not in str(failed.value) + repr(failed.value.error.__dict__)
    return failed.value


@virtual
async def test_an_absent_secret_fails_under_retain_and_is_noted_otherwise() -> None:
    failed = await failure(es(), Reader())
    assert str(failed.error) == ('error processing spec.data[0] (key: k), err: SecretStore "store": "k" does not exist')
    assert failed.suspects == ()
    for policy in ("Delete", "Merge"):
        found = await gathered(es(target={"deletionPolicy": policy}), Reader())
        assert (found.data, found.absent) == ({}, ["spec.data[0] (key: k)"])


@virtual
async def test_an_error_is_never_taken_for_absence_whatever_the_policy() -> None:
    for error in (Denied("x"), Unreachable("x"), BadSpec("x"), NotReady("x")):
        for policy in ("Delete", "Merge", "Retain"):
            assert type((await failure(es(target={"deletionPolicy": policy}), Reader(k=error))).error) is type(error)


@virtual
async def test_only_stores_that_did_not_answer_are_suspects() -> None:
    suspects = (await failure(es(), Reader(down={"store": Unreachable("x")}))).suspects
    assert suspects == (ObjectKey("SecretStore", "team", "store"),)
    assert (await failure(es(), Reader(down={"store": ClusterUnavailable("x")}))).suspects == ()
    assert (await failure(es(), Reader(k=Denied("x")))).suspects == ()


@virtual
async def test_nothing_is_read_where_a_store_may_not_be_used() -> None:
    reader = Reader(x=b"1")
    failed = await failure(es(data=[entry("a", "x"), entry("b", "y", "denied")]), reader)
    assert "spec.data[1] (key: y), err: not for you" in str(failed.error)
    assert reader.asked == []


@virtual
async def test_the_first_of_several_failures_is_told_with_the_number_of_the_others() -> None:
    one = es(data=[entry("a", "x"), entry("b", "y"), entry("c", "z")])
    assert str((await failure(one, Reader())).error).endswith("2 more entries fail")


@virtual
@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"data": [entry("a", "x", property="p.q", decodingStrategy="Base64")]}, "spec.data[0]"),
        ({"data": [entry("a", "x", decodingStrategy="Base64")]}, "base64"),
        ({"data": [entry("a", "nul", nullBytePolicy="Fail")]}, "null byte"),
        ({"data": [], "dataFrom": [{"extract": {"key": "x"}}]}, "JSON"),
        ({"data": [], "dataFrom": [{"find": {"name": {"regexp": "("}}}]}, "does not compile"),
        (
            {"data": [], "dataFrom": [{"find": {}, "rewrite": [{"regexp": {"source": "(", "target": "b"}}]}]},
            "rewrite[0]: the regular expression",
        ),
        ({"data": [], "dataFrom": [{"sourceRef": {"storeRef": {"name": "s"}}}]}, "neither extract nor find"),
        (
            {"data": [], "dataFrom": [{"sourceRef": {"generatorRef": {"kind": "UUID", "name": "u"}}}]},
            "generators are not served",
        ),
    ],
)
async def test_an_entry_that_cannot_be_served_is_told_and_shows_no_value(spec: dict[str, Any], text: str) -> None:
    reader = Reader(x=f"{CANARY} !".encode(), nul=f"{CANARY}\0".encode())
    assert text in str((await failure(es(**spec), reader)).error)


def test_what_was_gathered_shows_no_value() -> None:
    assert CANARY not in repr(Gathered({"a": CANARY.encode()}))
