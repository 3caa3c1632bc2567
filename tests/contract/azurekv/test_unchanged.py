"""A version that has not changed is not downloaded again; one that has is."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence

import pytest

from keyferry.errors import Denied, NotThere, Unreachable
from keyferry.ports import Fetched, Query, Ref
from keyferry.providers.azurekv import AzureKeyVault
from keyferry.providers.azurekv.objects import About, Item, Target
from keyferry.providers.azurekv.shelf import PROOF_SECONDS, Shelf
from tests.contract.azurekv.support import CLIENT, World, failure, read, text
from tests.sandbox.azure import Fault

SETTLED = 10.0
"""Seconds after which a change counts as over."""


async def settled(world: World, *names: str) -> AzureKeyVault:
    """An adapter that has read these secrets, long enough after they were written."""
    world.cloud.advance(SETTLED)
    adapter = await world.open()
    for answer in (await adapter.read([Ref(name) for name in names])).values():
        text(answer)
    return adapter


def fill(world: World, count: int) -> list[str]:
    names = [f"s-{number:03}" for number in range(count)]
    for name in names:
        world.vault.put(name, f"value of {name}")
    return names


def downloads(world: World) -> int:
    return world.vault.count("GET /secrets/")


def listings(world: World) -> int:
    return world.vault.count("GET /secrets") - downloads(world)


async def values(adapter: AzureKeyVault, names: Sequence[str]) -> list[bytes]:
    return [text(answer) for answer in (await adapter.read([Ref(name) for name in names])).values()]


class TestCurrent:
    async def test_one_listing_stands_for_many_downloads(self, world: World) -> None:
        names = fill(world, 12)
        adapter = await settled(world, *names)
        for _ in range(3):
            assert await values(adapter, names) == [f"value of {name}".encode() for name in names]
        assert (downloads(world), listings(world)) == (12, 3)

    async def test_who_has_read_it_before_is_given_the_very_document_back(self, world: World) -> None:
        names = fill(world, 12)
        adapter = await settled(world, *names)
        refs = [Ref(name) for name in names]
        known = {ref: each for ref, each in (await adapter.read(refs)).items() if isinstance(each, Fetched)}
        world.vault.put("s-003", "new")
        world.vault.put("s-new", "new")
        again = await adapter.reread([*refs, Ref("s-new")], known)
        assert [again[ref] is known[ref] for ref in refs] == [name != "s-003" for name in names]
        assert [text(again[refs[3]]), text(again[Ref("s-new")])] == [b"new", b"new"]
        assert (downloads(world), listings(world)) == (12 + 2, 2)

    async def test_only_what_changed_is_downloaded(self, world: World) -> None:
        names = fill(world, 12)
        adapter = await settled(world, *names)
        world.vault.put("s-003", "new")
        assert (await values(adapter, names))[3] == b"new"
        assert (downloads(world), listings(world)) == (13, 1)

    async def test_a_single_secret_in_a_small_vault_is_looked_up_in_the_listing(self, world: World) -> None:
        adapter = await settled(world, *fill(world, 1))
        assert await read(adapter, "s-000") == b"value of s-000"
        assert (downloads(world), listings(world)) == (1, 1)

    async def test_a_listing_is_not_made_where_it_takes_more_calls_than_it_saves(self, world: World) -> None:
        names = fill(world, 80)
        adapter = await settled(world, *names)
        for _ in range(3):
            await values(adapter, names[:3])
        # The first attempt learns that there are more than three pages.
        assert (downloads(world), listings(world)) == (80 + 9, 3)
        await values(adapter, names[:4])
        assert (downloads(world), listings(world)) == (80 + 9, 7)

    async def test_a_search_downloads_what_changed_only(self, world: World) -> None:
        names = fill(world, 60)
        adapter = await settled(world, *names)
        world.vault.put("s-007", "new")
        found = await adapter.find(Query())
        assert [ref for ref in found.values() if isinstance(ref, Ref)] == [Ref("s-007")]
        known = found["s-008"]
        assert isinstance(known, Fetched)
        assert known.document == b"value of s-008"
        assert await values(adapter, ["s-007"]) == [b"new"]
        assert downloads(world) == 61

    async def test_a_change_in_the_second_of_the_download_is_not_overlooked(self, world: World) -> None:
        world.vault.clock = lambda: 1_800_000_000.9
        world.cloud.advance(1_800_000_000.9 - world.cloud.now())
        world.vault.put("db", "first")
        adapter = await world.open()
        assert await read(adapter, "db") == b"first"
        world.vault.put("db", "second")
        world.cloud.advance(SETTLED)
        assert await read(adapter, "db") == b"second"

    async def test_an_answer_without_a_date_is_not_kept(self, world: World) -> None:
        item = Item(b"x", "v", about(), None)
        shelf = Shelf()
        shelf.keep(Target("secret", "db"), item)
        assert shelf.get(Target("secret", "db")) is None

    async def test_a_secret_that_is_gone_or_disabled_is_not_given_from_memory(self, world: World) -> None:
        names = fill(world, 4)
        adapter = await settled(world, *names)
        world.vault.delete("secrets", "s-001")
        world.vault.newest("secrets", "s-002").enabled = False
        found = [(await adapter.read([Ref(name) for name in names]))[Ref(name)] for name in names]
        assert [type(each) for each in found] == [Fetched, NotThere, Denied, Fetched]

    async def test_a_change_of_tags_is_seen(self, world: World) -> None:
        version = world.vault.put("db", "x", tags={"team": "red"})
        adapter = await settled(world, "db")
        world.cloud.advance(SETTLED)
        version.tags = {"team": "blue"}
        world.vault.touch(version)
        assert b'"team":"blue"' in await read(adapter, "db", metadata=True)

    async def test_metadata_come_from_the_listing_without_the_value(self, world: World) -> None:
        names = fill(world, 3)
        adapter = await world.open()
        found = await adapter.read([Ref(name, metadata=True) for name in names])
        assert all(b"attribute.created" in text(each) for each in found.values())
        assert (downloads(world), listings(world)) == (0, 1)

    async def test_without_the_right_to_list_everything_is_downloaded(self, world: World) -> None:
        world.vault.rights[CLIENT] = frozenset({"secrets/get"})
        names = fill(world, 5)
        adapter = await settled(world, *names)
        for _ in range(3):
            await values(adapter, names)
        assert downloads(world) == 20
        assert world.calls.counts["GetSecrets", "error"] == 1

    async def test_trouble_with_the_listing_is_told_and_not_answered_from_memory(self, world: World) -> None:
        names = fill(world, 2)
        adapter = await settled(world, *names)
        world.cloud.faults[world.vault.host] = Fault(status=503)
        assert type(await failure(adapter, "s-000")) is Unreachable
        world.cloud.clear(world.vault.host)
        assert await read(adapter, "s-000") == b"value of s-000"

    async def test_adapters_share_nothing(self, world: World) -> None:
        names = fill(world, 3)
        await settled(world, *names)
        await values(await world.open(), names)
        assert (downloads(world), listings(world)) == (6, 0)


class TestPinned:
    async def test_a_pinned_version_is_downloaded_once(self, world: World) -> None:
        version = world.vault.put("db", "first").id
        world.vault.put("db", "second")
        adapter = await world.open()
        for _ in range(3):
            assert await read(adapter, "db", version) == b"first"
        assert (downloads(world), listings(world)) == (1, 0)

    async def test_its_metadata_are_read_anew(self, world: World) -> None:
        version = world.vault.put("db", "x", tags={"team": "red"})
        adapter = await world.open()
        assert b"red" in await read(adapter, "db", version.id, metadata=True)
        version.tags = {"team": "blue"}
        assert b"blue" in await read(adapter, "db", version.id, metadata=True)


def about(**changes: object) -> About:
    at = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    return dataclasses.replace(About({}, True, at, at, None, None), **changes)  # type: ignore[arg-type] # fields of About


def item(document: bytes = b"x") -> Item:
    return Item(document, "v", about(), dt.datetime(2025, 1, 2, tzinfo=dt.UTC))


class TestShelf:
    def test_rights_are_proven_again_after_an_hour(self) -> None:
        now = 1000.0
        shelf = Shelf(clock=lambda: now)
        shelf.keep(Target("secret", "db", "1"), item())
        now += PROOF_SECONDS - 1
        assert shelf.get(Target("secret", "db", "1")) is not None
        now += 1
        assert shelf.get(Target("secret", "db", "1")) is None

    def test_it_holds_a_bounded_number_of_bytes_and_lets_go_of_what_was_not_used(self) -> None:
        shelf = Shelf(limit=10_000)
        targets = [Target("secret", f"s-{number}") for number in range(5)]
        for target in targets[:4]:
            shelf.keep(target, item(b"x" * 1000))
        assert shelf.get(targets[0]) is not None
        shelf.keep(targets[4], item(b"x" * 1000))
        assert [shelf.get(target) is not None for target in targets] == [True, False, True, True, True]
        shelf.keep(Target("secret", "huge"), item(b"x" * 10_000))
        assert shelf.get(Target("secret", "huge")) is None
        assert shelf._size <= 10_000

    def test_what_is_kept_again_is_counted_once(self) -> None:
        shelf = Shelf()
        for _ in range(3):
            shelf.keep(Target("secret", "db"), item(b"x" * 100))
        before = shelf._size
        shelf.drop(Target("secret", "db"))
        assert (before > 100, shelf._size) == (True, 0)

    @pytest.mark.parametrize(
        "change",
        [
            {"updated": dt.datetime(2025, 1, 1, 0, 0, 1, tzinfo=dt.UTC)},
            {"created": dt.datetime(2025, 1, 1, 0, 0, 1, tzinfo=dt.UTC)},
            {"enabled": False},
            {"updated": None},
        ],
    )
    def test_what_a_listing_shows_differently_is_forgotten(self, change: dict[str, object]) -> None:
        shelf = Shelf()
        target = Target("secret", "db")
        shelf.keep(target, item())
        assert shelf.unchanged(target, about()) is not None
        assert shelf.unchanged(target, about(**change)) is None
        assert shelf.get(target) is None

    def test_nothing_of_it_shows_a_value(self) -> None:
        shelf = Shelf()
        shelf.keep(Target("secret", "db"), item(b"canary"))
        assert "canary" not in repr(vars(shelf))
