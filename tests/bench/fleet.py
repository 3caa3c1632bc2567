"""What is applied: namespaces, stores and ExternalSecrets; and what is seen of them while an operator works.

Nothing but the manifests' own API is used, so that any operator that serves them can be driven. An object is *in step*
when its Secret is there and its condition Ready is True.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from tests.bench.cluster import Cluster
from tests.bench.double import TOKEN
from tests.support.cluster import external_secret, one_key, opaque, store, vault

_GROUP = "/apis/external-secrets.io/v1"
_AT_ONCE = 16
"""Objects that are created at the same time."""
_LOOK_EVERY = 0.02

Name = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class Load:
    """ExternalSecrets of one make. They read ``keys`` secrets of ``mount`` in turn; 0 gives each its own."""

    objects: int
    name: str = "app"
    mount: str = "secret"
    interval: str = "1h"
    keys: int = 0
    entries: int = 1
    namespaces: int = 10

    def key(self, number: int) -> str:
        """What the object of this number reads."""
        return f"{self.name}/{number % self.keys if self.keys else number}"

    def manifest(self, number: int, namespace: str) -> dict[str, Any]:
        """The ExternalSecret of this number."""
        data = [one_key(f"k{each}", self.key(number), f"p{each}") for each in range(self.entries)]
        return external_secret(
            f"{self.name}-{number:05d}",
            namespace,
            secretStoreRef={"name": self.mount},
            refreshInterval=self.interval,
            data=data,
        )


@dataclass(slots=True)
class Seen:
    """Moments of the monotonic clock, in seconds, by object."""

    created: dict[Name, float] = field(default_factory=dict)
    """When the ExternalSecret was sent to the API server."""
    secret: dict[Name, float] = field(default_factory=dict)
    """When its Secret was first seen."""
    ready: dict[Name, float] = field(default_factory=dict)
    """When its condition Ready was first seen to be True."""
    updated: dict[Name, float] = field(default_factory=dict)
    """When its Secret was last seen to change."""
    events: int = 0
    """Changes of ExternalSecrets and Secrets after their first, and deletions."""


class Fleet:
    """``async with Fleet(...) as fleet``: what is applied goes again at the end."""

    def __init__(self, cluster: Cluster, url: str, prefix: str) -> None:
        """``url``: of the provider; ``prefix``: of the namespaces that are made."""
        self._cluster = cluster
        self._url = url
        self._prefix = prefix
        self._namespaces: list[str] = []
        self._stores: set[Name] = set()
        self._watches: list[asyncio.Task[None]] = []
        self.seen = Seen()

    async def apply(self, load: Load, *, first: int = 0) -> None:
        """Create the objects of a load, with stores for them; numbers begin at ``first``."""
        for number in range(load.namespaces):
            await self._prepare(f"{self._prefix}-{number}", load.mount)
        numbers = iter(range(first, first + load.objects))

        async def create() -> None:
            for number in numbers:
                await self.create(load, number)

        await asyncio.gather(*(create() for _ in range(_AT_ONCE)))

    async def create(self, load: Load, number: int) -> Name:
        """Create one object of a load that was applied."""
        namespace = f"{self._prefix}-{number % load.namespaces}"
        body = load.manifest(number, namespace)
        name = (namespace, body["metadata"]["name"])
        self.seen.created[name] = time.monotonic()
        await self._cluster.request("POST", f"{_GROUP}/namespaces/{namespace}/externalsecrets", body)
        return name

    async def in_step(self, names: Iterable[Name] | None = None, *, seconds: float = 600.0) -> None:
        """Wait until these objects, or all, are in step. Raises ``TimeoutError`` with how many are not."""
        wanted = None if names is None else set(names)

        def missing() -> int:
            if wanted is None:
                return len(self.seen.created) - min(len(self.seen.ready), len(self.seen.secret))
            return sum(name not in self.seen.ready or name not in self.seen.secret for name in wanted)

        await self.until(missing, seconds=seconds, what="in step")

    async def until(self, missing: Callable[[], int], *, seconds: float, what: str) -> None:
        """Wait until nothing is missing. Raises ``TimeoutError`` with the number that still is, or a watch's error."""
        deadline = time.monotonic() + seconds
        while missing():
            for watch in self._watches:
                if watch.done():
                    watch.result()
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {seconds:g} s, {missing()} of {len(self.seen.created)} are not {what}")
            await asyncio.sleep(_LOOK_EVERY)

    async def _prepare(self, namespace: str, mount: str) -> None:
        if namespace not in self._namespaces:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            with suppress(RuntimeError):  # One that is left from an earlier run will do.
                await self._cluster.request("POST", "/api/v1/namespaces", body)
            self._namespaces.append(namespace)
            token = opaque("bench-token", namespace, token=TOKEN)
            await self._cluster.request("POST", f"/api/v1/namespaces/{namespace}/secrets", token)
        if (namespace, mount) not in self._stores:
            self._stores.add((namespace, mount))
            body = store(namespace, vault(self._url, mount, secret="bench-token"), name=mount)
            await self._cluster.request("POST", f"{_GROUP}/namespaces/{namespace}/secretstores", body)

    async def _see_secrets(self, version: str) -> None:
        watch = self._cluster.watch("/api/v1/secrets", version=version, metadata=True)
        async for kind, body in watch:
            name = _name(body)
            if name not in self.seen.created:
                continue
            if name in self.seen.secret:
                self.seen.events += 1
            elif kind != "DELETED":
                self.seen.secret[name] = time.monotonic()
            self.seen.updated[name] = time.monotonic()

    async def _see_objects(self, version: str) -> None:
        watch = self._cluster.watch(f"{_GROUP}/externalsecrets", version=version, metadata=False)
        async for _, body in watch:
            name = _name(body)
            if name not in self.seen.created:
                continue
            if name in self.seen.ready:
                self.seen.events += 1
            elif _is_ready(body):
                self.seen.ready[name] = time.monotonic()

    async def __aenter__(self) -> Self:
        secrets = await self._cluster.version_of_list("/api/v1/secrets")
        objects = await self._cluster.version_of_list(f"{_GROUP}/externalsecrets")
        self._watches = [
            asyncio.create_task(self._see_secrets(secrets)),
            asyncio.create_task(self._see_objects(objects)),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        for namespace in self._namespaces:
            for path in (
                f"{_GROUP}/namespaces/{namespace}/externalsecrets",
                f"{_GROUP}/namespaces/{namespace}/secretstores",
                f"/api/v1/namespaces/{namespace}/secrets",
            ):
                await self._cluster.request("DELETE", path)


def _name(body: Mapping[str, Any]) -> Name:
    return body["metadata"]["namespace"], body["metadata"]["name"]


def _is_ready(body: Mapping[str, Any]) -> bool:
    conditions = (body.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
