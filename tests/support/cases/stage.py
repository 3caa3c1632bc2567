"""The operator without kopf, one key at a time, on a clock that the case moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from keyferry.app import flags
from keyferry.app.bells import Lane
from keyferry.app.house import House, build, resources
from keyferry.kube.managed import MANAGED
from keyferry.kubehttp import Endpoint, KubeHttp
from keyferry.telemetry import Metrics
from tests.support.cases.admin import Admin
from tests.support.cases.clock import StillLoop
from tests.support.cases.script import Json

_STORES = ("SecretStore", "ClusterSecretStore")
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_MOST_PASSES = 20
_MOST_STEPS = 2000
# Silence is no failure while time stands still, and no window ever ends.
_FLAGS = ("--watch-idle-timeout=100000h", "--provider-batch-window=0s")


class Telltale(KubeHttp):
    """Remembers writes, and tells when something was heard of the API server."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint, limit=8, user_agent="keyferry/case")
        self.writes: list[str] = []
        self.heard = asyncio.Event()

    async def request(self, method: str, path: str, **options: Any) -> Any:
        answer = await super().request(method, path, **options)
        if method in _VERBS and not path.endswith(("/events", "/token")):
            self.writes.append(f"{_VERBS[method]} {_told(path, options.get('body'))}")
        # Once the caller has had its turn with the answer.
        asyncio.get_running_loop().call_soon(self.heard.set)
        return answer

    async def stream(self, path: str, **options: Any) -> AsyncGenerator[Any]:
        async for event in super().stream(path, **options):
            yield event
            self.heard.set()


class Stage:
    """An operator that can be stopped, started, and let work until nothing is left to do."""

    def __init__(self, endpoint: Endpoint, admin: Admin, loop: StillLoop, namespaces: Sequence[str]) -> None:
        self._admin = admin
        self._loop = loop
        self._namespaces = namespaces
        self._http = Telltale(endpoint)
        self._metrics = Metrics()
        self._reads = 0.0
        self._house: House | None = None
        self._open = AsyncExitStack()
        self._fed: dict[tuple[str, str, str], Json] = {}
        self._served: set[str] = set()
        self.terminating: set[str] = set()

    async def start(self, given: Sequence[str] = ()) -> None:
        """Start with these flags and list what is there."""
        settings = flags.parse([*_FLAGS, *given], {}).settings
        self._metrics = Metrics()
        self._reads = 0.0
        self._fed.clear()
        self._served = {each.kind for each in resources(settings)}
        self._house = await self._open.enter_async_context(
            build(settings, self._http, self._metrics, now=self._loop.now)
        )
        for reflector in self._house.reflectors:
            await reflector.listed.wait()
        await self._feed(listed=True)

    async def stop(self) -> None:
        if self._house is not None:
            self._house.queue.close()
            self._house = None
        await self._open.aclose()

    async def aclose(self) -> None:
        await self.stop()
        await self._http.aclose()

    @property
    def is_running(self) -> bool:
        return self._house is not None

    def taken_writes(self) -> list[str]:
        """The writes since the last call."""
        writes, self._http.writes = self._http.writes, []
        return writes

    def taken_reads(self) -> int:
        """The calls to stores since the last call."""
        series = self._metrics._families["keyferry_provider_calls_total"].items()
        total = sum(value for _, value in series)
        # The series of a store that is gone are gone as well.
        reads, self._reads = max(0.0, total - self._reads), total
        return int(reads)

    async def settle(self) -> None:
        """Tell of what has changed and let the operator work, until there is no more of either."""
        if self._house is None:
            return
        for _ in range(_MOST_PASSES):
            await self._feed(listed=False)
            await self._hear(self._house)
            if not await self._work(self._house):
                return
        raise AssertionError("the operator does not come to rest")

    async def advance(self, seconds: float) -> None:
        """Let time pass, stopping at each moment at which something is due."""
        await self.settle()
        target = self._loop.time() + seconds
        house = self._house
        for _ in range(_MOST_STEPS):
            due = min((due for due, _ in house.queue._later.values()), default=None) if house is not None else None
            if house is None or due is None or due > target:
                break
            await self._loop.move_to(due)
            await self._work(house)
        else:
            raise AssertionError(f"work becomes due more than {_MOST_STEPS} times in {seconds:g} s")
        await self._loop.move_to(target)

    async def look_again(self) -> None:
        """Let the operator look at every object once more."""
        if self._house is not None:
            for key in self._house.world.keys():  # noqa: SIM118 -- not a mapping
                self._house.queue.add(key, Lane.FIRST)
            await self._work(self._house)

    async def _work(self, house: House) -> int:
        done = 0
        while any(house.queue.depth(lane) for lane in Lane):
            await house.loop.step()
            done += 1
            assert done < _MOST_STEPS, "the operator never comes to rest"
        await house.recorder.flush()
        return done

    async def _feed(self, *, listed: bool) -> None:
        """What kopf's watches would tell: the first list, or what has changed since."""
        there = {_place(body): body for body in await self._objects() if body["kind"] in self._served}
        for place, body in there.items():
            before = self._fed.get(place)
            if before is None or before["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
                self._tell(place[0], None if listed else "ADDED" if before is None else "MODIFIED", body)
        for place in self._fed.keys() - there.keys():
            self._tell(place[0], "DELETED", self._fed[place])
        self._fed = there

    async def _objects(self) -> list[Json]:
        namespaces = [await self._admin.must_get("Namespace", name) for name in self._namespaces]
        for body in namespaces:
            if body["metadata"]["name"] in self.terminating:
                body["metadata"] |= {"deletionTimestamp": "2030-01-07T12:00:00Z", "resourceVersion": "going"}
        lists = await asyncio.gather(
            self._admin.list("ClusterSecretStore"),
            *(self._admin.list("SecretStore", name) for name in self._namespaces),
            *(self._admin.list("ExternalSecret", name) for name in self._namespaces),
        )
        kinds = ["ClusterSecretStore", *["SecretStore"] * len(namespaces), *["ExternalSecret"] * len(namespaces)]
        found = [{**body, "kind": kind} for kind, items in zip(kinds, lists, strict=True) for body in items]
        return [{**body, "kind": "Namespace"} for body in namespaces] + found

    def _tell(self, kind: str, event: str | None, body: Json) -> None:
        house = self._house
        assert house is not None
        if kind == "Namespace":
            house.bells.namespace(event, body)
        elif kind in _STORES:
            house.bells.store(kind, event, body)
        else:
            house.bells.external_secret(event, body)

    async def _hear(self, house: House) -> None:
        """Wait until the operator's own watches have told of everything that is there."""
        while True:
            # Looked up anew each time: the garbage collector may be at work.
            self._http.heard.clear()
            if await self._has_heard(house):
                return
            await self._http.heard.wait()

    async def _has_heard(self, house: House) -> bool:
        dependencies = house.bells._dependencies
        secrets = {
            (body["metadata"]["namespace"], body["metadata"]["name"]): body["metadata"]["resourceVersion"]
            for name in self._namespaces
            for body in await self._admin.list("Secret", name, f"{MANAGED}=true")
        }
        known = house.managed.known("Secret", "")
        seen = {(key.namespace, key.name): house.managed.get(key.namespace, key.name) for key in known}
        versions = {place: each.version for place, each in seen.items() if each and place[0] in self._namespaces}
        if versions != secrets:
            return False
        for key in tuple(dependencies._versions):
            body = await self._admin.get(key.kind, f"{key.namespace}/{key.name}")
            there = body["metadata"]["resourceVersion"] if body else ""
            if dependencies._versions.get(key) not in {there, "unread", None}:
                return False
        return True


def _place(body: Json) -> tuple[str, str, str]:
    return body["kind"], body["metadata"].get("namespace", ""), body["metadata"]["name"]


def _told(path: str, body: Mapping[str, Any] | None) -> str:
    """Resource, name and subresource, from a path."""
    parts = path.strip("/").split("/")
    parts = parts[3:] if parts[0] == "apis" else parts[2:]
    if parts[0] == "namespaces" and len(parts) > 2:
        parts = parts[2:]
    if len(parts) == 1 and body is not None:
        parts.append(body["metadata"]["name"])
    return " ".join(parts)
