from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any, Self

import pytest

from keyferry.kube.client import SECRETS, ObjectKey
from keyferry.kube.watch import Reflector, newer
from keyferry.kubehttp import KubeError
from tests.support.memorykube import END, MemoryKube
from tests.support.objects import Json, secret_body
from tests.support.virtual import elapsed, settle, virtual


class Sink:
    """What is there, by name."""

    def __init__(self) -> None:
        self.there: dict[ObjectKey, str] = {}
        self.bad: str = ""
        self.went: list[str] = []

    def seen(self, key: ObjectKey, body: Mapping[str, Any]) -> None:
        if key.name == self.bad:
            raise KeyError(key.name)
        self.there[key] = body["metadata"]["resourceVersion"]

    def gone(self, key: ObjectKey) -> None:
        self.went.append(key.name)
        self.there.pop(key, None)

    def known(self, kind: str, namespace: str) -> set[ObjectKey]:
        return set(self.there)

    @property
    def names(self) -> set[str]:
        return {key.name for key in self.there}


class Watching:
    """A Reflector at work on a server."""

    def __init__(self) -> None:
        self.server = MemoryKube()
        self.sink = Sink()
        self.restarts: list[str] = []
        self.reflector = Reflector(
            self.server.kube, SECRETS, self.sink, restarted=lambda _resource, reason: self.restarts.append(reason)
        )

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.reflector.run())
        await settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert not self.task.done()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    @property
    def lists(self) -> int:
        return sum(1 for method, _ in self.server.requests if method == "GET")


def event(kind: str, name: str, version: str) -> Json:
    return {"type": kind, "object": secret_body(name, resourceVersion=version)}


@virtual
async def test_it_lists_all_pages_and_follows_from_there() -> None:
    watching = Watching()
    watching.server.page = 2
    for number in range(5):
        watching.server.put(SECRETS, secret_body(f"s{number}"))
    async with watching:
        assert watching.reflector.listed.is_set()
        assert watching.lists == 3
        assert watching.server.watches[0]["resourceVersion"] == str(watching.server.version)
        watching.server.events.put_nowait(event("ADDED", "new", "900"))
        watching.server.events.put_nowait(event("DELETED", "s0", "901"))
        await settle()
        assert watching.sink.names == {"s1", "s2", "s3", "s4", "new"}


@virtual
async def test_a_broken_stream_is_resumed_where_it_ended() -> None:
    async with Watching() as watching:
        watching.server.events.put_nowait(event("ADDED", "a", "900"))
        watching.server.events.put_nowait({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "950"}}})
        watching.server.events.put_nowait(KubeError(0, "Timeout", "silent"))
        await asyncio.sleep(5)
        assert watching.server.watches[-1]["resourceVersion"] == "950"
        assert (watching.lists, watching.restarts) == (1, ["Timeout"])


@virtual
async def test_after_a_gap_it_tells_what_went_meanwhile() -> None:
    watching = Watching()
    for name in ("stays", "goes"):
        watching.server.put(SECRETS, secret_body(name))
    async with watching:
        watching.server.objects.pop(SECRETS.path("team", "goes"))
        watching.server.events.put_nowait(KubeError(410, "Expired", "too old"))
        await asyncio.sleep(5)
        assert (watching.sink.names, watching.sink.went) == ({"stays"}, ["goes"])
        assert watching.restarts == ["Expired"]


@virtual
async def test_what_is_noted_while_it_lists_is_not_taken_for_gone() -> None:
    watching = Watching()
    own = ObjectKey("Secret", "team", "own-write")

    def before(method: str, path: str) -> None:
        watching.sink.there[own] = "999"

    watching.server.before = before
    async with watching:
        assert watching.sink.went == []
        assert own in watching.sink.there


@virtual
async def test_nothing_that_an_event_holds_ends_it() -> None:
    async with Watching() as watching:
        watching.sink.bad = "poison"
        poisons: list[Any] = [event("ADDED", "poison", "900"), {"type": "ADDED"}, [], None, ValueError("canary")]
        for poison in poisons:
            watching.server.events.put_nowait(poison)
            await asyncio.sleep(60)
        watching.server.put(SECRETS, secret_body("missed"))
        watching.server.events.put_nowait(KeyError("once more"))
        await asyncio.sleep(60)
        assert "missed" in watching.sink.names


@virtual
async def test_a_server_that_is_away_is_asked_ever_more_rarely_and_at_least_every_half_minute() -> None:
    watching = Watching()
    times: list[float] = []

    def before(method: str, path: str) -> None:
        times.append(elapsed())
        raise KubeError(503, "ServiceUnavailable", "no")

    watching.server.before = before
    async with watching:
        await asyncio.sleep(600)
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert max(pauses) <= 30.1
        assert min(pauses[6:]) >= 14.9
        watching.server.before = lambda _method, _path: None
        await asyncio.sleep(31)
        assert watching.reflector.listed.is_set()


@virtual
async def test_a_stream_that_the_server_ends_at_once_is_not_asked_for_in_a_hurry() -> None:
    async with Watching() as watching:
        for _ in range(200):
            watching.server.events.put_nowait(END)
        await asyncio.sleep(60)
        assert len(watching.server.watches) < 12


@virtual
async def test_a_version_that_the_server_refuses_for_ever_is_given_up() -> None:
    async with Watching() as watching:
        for _ in range(7):
            watching.server.events.put_nowait(KubeError(504, "Timeout", "too large resource version"))
        await asyncio.sleep(300)
        assert watching.lists == 2


@pytest.mark.parametrize(
    ("version", "than", "expected"),
    [("10", "9", True), ("9", "10", False), ("9", "9", False), ("a", "b", True), ("a", "a", False)],
)
def test_versions_are_compared_as_numbers_where_they_are_numbers(version: str, than: str, expected: bool) -> None:
    assert newer(version, than) is expected
