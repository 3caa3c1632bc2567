"""The operator's objects over an API server in memory: what ``app.house`` builds, without tasks beside the workers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from keyferry.addresses import Addresses
from keyferry.app.bells import Bells, Lane
from keyferry.app.loop import Loop
from keyferry.app.sweep import Sweep
from keyferry.app.watchdog import Watchdog
from keyferry.app.world import World
from keyferry.fetch.fetcher import Fetcher
from keyferry.fetch.line import Limits
from keyferry.fetch.pool import Pool
from keyferry.kits.workqueue import WorkQueue
from keyferry.kube.client import EXTERNAL_SECRETS, NAMESPACES, SECRET_STORES, SECRETS, ObjectKey
from keyferry.kube.dependencies import Dependencies
from keyferry.kube.managed import ManagedSecrets
from keyferry.kube.record import Recorder
from keyferry.kube.target import Targets
from keyferry.ports import Credentials, Provider, StoreIdentity
from keyferry.providers import load
from keyferry.sync.externalsecret import ExternalSecrets
from keyferry.sync.store import Stores
from keyferry.sync.stores import Gate
from keyferry.sync.template import Templates
from keyferry.telemetry import Metrics
from tests.support.credentials import DictCredentials
from tests.support.memorykube import MemoryKube
from tests.support.objects import Json, es_body, store_body
from tests.support.templates import Inline, renderer
from tests.support.virtual import elapsed

KEY = ObjectKey("ExternalSecret", "team", "app")
STORE = ObjectKey("SecretStore", "team", "store")
WORKERS = 8


class _Opener:
    def credentials(self, identity: StoreIdentity) -> Credentials:
        return DictCredentials()

    async def provider(self, name: str) -> type[Provider]:
        return load(name)

    def observe(self, label: str) -> Callable[[str], AbstractContextManager[None]]:
        return lambda _call: nullcontext()

    def fill(self, template: str, values: Mapping[str, Mapping[str, str]]) -> str:
        return renderer().fill(template, values)

    def addresses(self, identity: StoreIdentity) -> Addresses:
        return Addresses(everything=True)

    def expires(self, identity: StoreIdentity) -> Callable[[float | None], None]:
        return lambda _at: None


class _Counter:
    def __init__(self) -> None:
        self.reads = 0

    def provider_calls(self, store: StoreIdentity, result: str) -> None:
        self.reads += 1

    def reads_saved(self, store: StoreIdentity, how: str) -> None:
        """Nothing is counted of what was saved."""

    def resting(self, store: StoreIdentity, *, now: bool) -> None:
        """Nothing is counted of rests."""


def now() -> dt.datetime:
    """2030 began with the test."""
    return dt.datetime(2030, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=elapsed())


class Rig:
    """Built inside a loop. The API server's watches are played by ``tell`` and ``tell_store``."""

    def __init__(self) -> None:
        self.server = MemoryKube()
        kube = self.server.kube
        self.world = World()
        self.queue: WorkQueue[ObjectKey] = WorkQueue(
            lanes=len(Lane), tenant=lambda key: key.namespace, uses=self.world.used_by, workers=WORKERS
        )
        self.watchdog = Watchdog(self.queue, timeout=300)
        self.metrics = Metrics()
        self.dependencies = Dependencies(
            kube,
            self._dependency,
            namespaces=("nowhere",),
            idle_timeout=70,
            restarted=lambda _resource, _reason: None,
        )
        self.managed = ManagedSecrets(self._secret)
        self.pool = Pool(_Opener(), timeout=30)
        self.counter = _Counter()
        self.fetcher = Fetcher(
            self.pool, self.counter, Limits(timeout=30, waiters=WORKERS // 4), recovered=self._recovered
        )
        gate = Gate(self.world, "default", flood_gate=True, cluster_stores=True)
        self.targets = Targets(kube, self.managed, adopt=False)
        self.templates = Templates(kube, self.dependencies, renderer(now=now), Inline())
        self.external_secrets = ExternalSecrets(
            gate, self.world, self.fetcher, self.targets, self.managed, self.dependencies, self.templates, now=now
        )
        self.stores = Stores(gate, self.fetcher, interval=300)
        self.bells = Bells(
            self.world,
            self.queue,
            self.pool,
            self.dependencies,
            self.external_secrets,
            self.metrics,
            checked=["SecretStore"],
        )
        self.recorder = Recorder(kube, now=now, instance="rig")
        self.loop = Loop(
            self.queue,
            self.world,
            self.bells,
            kube,
            self.recorder,
            self.external_secrets,
            self.stores,
            self.metrics,
            self.watchdog,
            now=now,
            refresh_every=300,
        )
        self.sweep = Sweep(kube, self.world, self.bells, (EXTERNAL_SECRETS, SECRET_STORES, NAMESPACES), ())

    def apply(self, body: Mapping[str, Any] | None = None, *, event: str | None = "ADDED") -> Json:
        """The user writes an ExternalSecret, which leaves its status as it was, and the watch tells."""
        body = body or es_body()
        there = self.server.objects.get(EXTERNAL_SECRETS.path("team", body["metadata"]["name"]), {})
        kept = {"status": there["status"]} if "status" in there else {}
        stored = self.server.put(EXTERNAL_SECRETS, {**kept, **body})
        self.bells.external_secret(event, stored)
        return stored

    def apply_store(self, body: Mapping[str, Any] | None = None) -> Json:
        stored = self.server.put(SECRET_STORES, body or store_body())
        self.bells.store("SecretStore", "MODIFIED", stored)
        return stored

    async def work(self) -> int:
        """Work until nothing is due; how many keys that took."""
        for count in range(1000):
            if not any(self.queue.depth(lane) for lane in Lane):
                return count
            await self.loop.step()
        raise AssertionError("there is no end to the work")

    @property
    def status(self) -> Json:
        found: Json = self.server.objects[EXTERNAL_SECRETS.path("team", "app")].get("status") or {}
        return found

    @property
    def ready(self) -> tuple[str, str, str]:
        condition: Json = next((each for each in self.status.get("conditions") or () if each["type"] == "Ready"), {})
        return condition.get("status", ""), condition.get("reason", ""), condition.get("message", "")

    @property
    def secret(self) -> Json | None:
        return self.server.objects.get(SECRETS.path("team", "app"))

    def _dependency(self, key: ObjectKey) -> None:
        self.bells.dependency(key)

    def _recovered(self, store: StoreIdentity) -> None:
        self.bells.recovered(ObjectKey(store.kind, store.namespace, store.name))

    def _secret(self, key: ObjectKey) -> None:
        self.bells.secret(key)

    async def aclose(self) -> None:
        await self.dependencies.aclose()
        await self.pool.aclose()
