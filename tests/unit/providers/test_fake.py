from __future__ import annotations

import re
from typing import Any

import pytest

from keyferry.errors import BadSpec, NotThere
from keyferry.ports import Fetched, Finder, Provider, Query, Ref, Validation
from keyferry.providers.fake import Fake, FakeConfig
from tests.support.credentials import make_context

CANARY = "canary-51c0"
ITEMS = [
    {"key": "a", "value": "plain"},
    {"key": "a", "value": "first", "version": "v1"},
    {"key": "a", "value": "tenth", "version": "v10"},
    {"key": "a", "value": "second", "version": "v2"},
    {"key": "b", "value": "ünïcode ✓"},
    {"key": "ab", "value": "other"},
]


async def make(items: list[dict[str, str]] | None = None, **more: Any) -> Fake:
    config = FakeConfig.model_validate({"data": ITEMS if items is None else items, **more})
    return await Fake.open(config, make_context())


def answer(result: object) -> tuple[object, str]:
    assert isinstance(result, Fetched)
    return result.document, result.version


async def test_it_is_a_provider_that_can_be_searched() -> None:
    adapter = await make()
    assert isinstance(adapter, Provider)
    assert isinstance(adapter, Finder)


@pytest.mark.parametrize(
    ("ref", "document"),
    [
        (Ref("a"), b"plain"),
        (Ref("a", "v2"), b"second"),
        (Ref("b"), "ünïcode ✓".encode()),
        (Ref("b", metadata=True), "ünïcode ✓".encode()),
    ],
)
async def test_a_key_and_its_version_are_matched_exactly(ref: Ref, document: bytes) -> None:
    assert answer((await (await make()).read([ref]))[ref]) == (document, ref.version)


async def test_a_key_and_version_that_run_together_stay_apart() -> None:
    adapter = await make([{"key": "a1", "value": "x"}, {"key": "a", "version": "1", "value": "y"}])
    found = await adapter.read([Ref("a1"), Ref("a", "1")])
    assert [answer(result)[0] for result in found.values()] == [b"x", b"y"]


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        (Ref("c"), 'the store has no key "c"'),
        (Ref("b", "v1"), 'key "b" has no version "v1": versions of it: none'),
        (Ref("a", "v3"), 'key "a" has no version "v3": versions of it: none, "v1", "v10", "v2"'),
    ],
)
async def test_what_does_not_match_is_not_there(ref: Ref, message: str) -> None:
    result = (await (await make()).read([Ref("a"), ref]))[ref]
    assert isinstance(result, NotThere)
    assert str(result) == message


async def test_the_last_of_two_equal_items_wins() -> None:
    adapter = await make([{"key": "a", "value": "x"}, {"key": "a", "value": "y"}])
    assert answer((await adapter.read([Ref("a")]))[Ref("a")]) == (b"y", "")


async def test_a_search_by_name_answers_the_highest_version_as_text() -> None:
    found = await (await make()).find(Query(name="^a", matches=re.compile("^a").search))  # type: ignore[arg-type]  # truth is enough
    assert {key: answer(result) for key, result in found.items()} == {"a": (b"second", "v2"), "ab": (b"other", "")}


async def test_a_search_without_name_is_a_bad_spec() -> None:
    with pytest.raises(BadSpec, match=r"by name only: set find\.name\.regexp"):
        await (await make()).find(Query(tags=(("a", "b"),)))


@pytest.mark.parametrize(("result", "validation"), [(None, "READY"), (0, "READY"), (1, "UNKNOWN")])
async def test_validation_says_what_the_manifest_says(result: int | None, validation: str) -> None:
    assert await (await make(validationResult=result)).validate() is Validation[validation]


async def test_validation_fails_when_the_manifest_says_so() -> None:
    with pytest.raises(BadSpec, match="validationResult is 2"):
        await (await make(validationResult=2)).validate()


@pytest.mark.parametrize("field", ["key", "value"])
async def test_an_item_without_key_or_value_is_a_bad_spec(field: str) -> None:
    item = {"key": "k", "value": CANARY} | {field: ""}
    with pytest.raises(BadSpec, match=rf"provider\.fake\.data\[1\]\.{field} must be set") as caught:
        await make([{"key": "k", "value": CANARY}, item])
    assert CANARY not in repr(caught.value)


async def test_no_value_is_shown_by_a_repr() -> None:
    config = FakeConfig.model_validate({"data": [{"key": "k", "value": CANARY}]})
    adapter = await Fake.open(config, make_context())
    assert CANARY not in f"{config!r} {adapter!r} {await adapter.read([Ref('k')])!r}"
    await adapter.aclose()
    await adapter.aclose()
