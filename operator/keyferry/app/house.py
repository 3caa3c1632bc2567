"""Builds every object of the operator once, and knows the order in which they start and end."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from keyferry.addresses import Addresses, literal, networks
from keyferry.app.bells import Bells, Lane
from keyferry.app.leader import new_identity
from keyferry.app.loop import Loop
from keyferry.app.sweep import Sweep
from keyferry.app.watchdog import Watchdog
from keyferry.app.world import World
from keyferry.errors import KeyferryError
from keyferry.fetch.fetcher import Fetcher
from keyferry.fetch.line import Limits
from keyferry.fetch.pool import Pool
from keyferry.kits.tokenbucket import TokenBucket
from keyferry.kits.workqueue import WorkQueue
from keyferry.kube.client import (
    CLUSTER_SECRET_STORES,
    EXTERNAL_SECRETS,
    METADATA_LIST,
    NAMESPACES,
    SECRET_STORES,
    SECRETS,
    Kube,
    ObjectKey,
    Resource,
)
from keyferry.kube.dependencies import Dependencies
from keyferry.kube.managed import MANAGED, ManagedSecrets
from keyferry.kube.record import Recorder
from keyferry.kube.refs import StoreCredentials
from keyferry.kube.target import Targets
from keyferry.kube.watch import Reflector
from keyferry.kubehttp import KubeError, KubeHttp
from keyferry.ports import Credentials, Provider, StoreIdentity
from keyferry.providers import load
from keyferry.settings import Settings, Work
from keyferry.shape.render import Renderer
from keyferry.shape.render import World as TemplateWorld
from keyferry.sync.externalsecret import ExternalSecrets
from keyferry.sync.store import Stores
from keyferry.sync.stores import Gate
from keyferry.sync.template import Templates
from keyferry.telemetry import Metrics, get_logger

_SWEEP_EVERY = 600.0
_IDLE_EVERY = 60.0
_RENDERERS = 2
"""Threads that render templates: one that takes its time leaves the other to the rest."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Opener:
    """``fetch.pool.Opener``: what adapters are built with."""

    kube: Kube
    dependencies: Dependencies
    metrics: Metrics
    known: Callable[[StoreIdentity], bool]
    lend_own_token: bool
    renderer: Renderer
    tenants: Addresses
    """What namespaced stores may reach."""
    loaded: dict[str, type[Provider]] = field(default_factory=dict)

    def credentials(self, identity: StoreIdentity) -> Credentials:
        return StoreCredentials(self.kube, identity, self.dependencies, lend_own_token=self.lend_own_token)

    async def provider(self, name: str) -> type[Provider]:
        found = self.loaded.get(name)
        if found is None:
            # An SDK takes up to a second to import; others go on meanwhile.
            found = self.loaded[name] = await asyncio.to_thread(load, name)
        return found

    def observe(self, label: str) -> Callable[[str], AbstractContextManager[None]]:
        return lambda call: self.metrics.observe(label, call)

    def fill(self, template: str, values: Mapping[str, Mapping[str, str]]) -> str:
        return self.renderer.fill(template, values)

    def addresses(self, identity: StoreIdentity) -> Addresses:
        return self.tenants if identity.kind == "SecretStore" else Addresses(everything=True)

    def expires(self, identity: StoreIdentity) -> Callable[[float | None], None]:
        caller = identity.caller if identity.kind == "ClusterSecretStore" else ""

        def told(at: float | None) -> None:
            if self.known(identity):
                self.metrics.credential_expires(identity.kind, identity.namespace, identity.name, caller, at)

        return told


@dataclass(frozen=True, slots=True)
class _Counter:
    """``fetch.fetcher.Counter``."""

    metrics: Metrics
    known: Callable[[StoreIdentity], bool]
    """A call may outlive its store, and must not bring its series back."""

    def provider_calls(self, store: StoreIdentity, result: str) -> None:
        if self.known(store):
            self.metrics.store_call(store.kind, store.namespace, store.name, result)

    def reads_saved(self, store: StoreIdentity, how: str) -> None:
        if self.known(store):
            self.metrics.read_saved(store.kind, store.namespace, store.name, how)

    def resting(self, store: StoreIdentity, *, now: bool) -> None:
        if self.known(store):
            self.metrics.store_resting(store.kind, store.namespace, store.name, now=now)


@dataclass(frozen=True, slots=True)
class House:
    """The objects that the process deals with by name."""

    queue: WorkQueue[ObjectKey]
    watchdog: Watchdog
    world: World
    bells: Bells
    loop: Loop
    kube: Kube
    managed: ManagedSecrets
    recorder: Recorder
    reflectors: tuple[Reflector, ...]


@contextlib.asynccontextmanager
async def build(
    settings: Settings, http: KubeHttp, metrics: Metrics, *, now: Callable[[], dt.datetime]
) -> AsyncIterator[House]:
    """All objects, and the tasks that run beside the workers. What adapters hold is released at the end."""
    host = urlsplit(http.server).netloc
    kube = Kube(
        http,
        TokenBucket(rate=settings.kube.qps, burst=settings.kube.burst),
        answered=lambda method, code: metrics.api_request(method, code, host),
    )
    world = World()
    queue: WorkQueue[ObjectKey] = WorkQueue(
        lanes=len(Lane),
        added=lambda key: metrics.queue_added(key.kind.lower()),
        tenant=lambda key: key.namespace,
        uses=world.used_by,
        workers=settings.work.concurrent,
    )
    watchdog = Watchdog(queue, timeout=settings.work.watchdog_timeout)
    served = resources(settings)
    namespaces = settings.scope.namespaces
    idle = settings.kube.watch_idle_timeout

    def known(store: StoreIdentity) -> bool:
        return world.uid(ObjectKey(store.kind, store.namespace, store.name)) is not None

    def dependency(key: ObjectKey) -> None:
        bells.dependency(key)

    def secret(key: ObjectKey) -> None:
        bells.secret(key)

    dependencies = Dependencies(
        kube, dependency, namespaces=namespaces, idle_timeout=idle, restarted=metrics.watch_restarted
    )
    managed = ManagedSecrets(secret)
    renderer = Renderer(
        TemplateWorld(now=now, monotonic=time.monotonic, entropy=os.urandom),
        left=settings.work.template_left_delimiter,
        right=settings.work.template_right_delimiter,
    )
    tenants = Addresses(
        allowed=networks(settings.tenants.allowed_networks),
        # In a pod, the API server is known by its address.
        refused=(*networks(settings.tenants.refused_networks), *literal(urlsplit(http.server).hostname or "")),
    )
    pool = Pool(
        _Opener(kube, dependencies, metrics, known, settings.tenants.lend_own_token, renderer, tenants),
        timeout=settings.work.provider_timeout,
    )

    def recovered(store: StoreIdentity) -> None:
        bells.recovered(ObjectKey(store.kind, store.namespace, store.name))

    fetcher = Fetcher(
        pool, _Counter(metrics, known), _limits(settings.work), most=settings.work.cache_size << 20, recovered=recovered
    )
    gate = Gate(
        world,
        settings.scope.controller_class,
        flood_gate=settings.work.flood_gate,
        cluster_stores=CLUSTER_SECRET_STORES in served,
    )
    targets = Targets(kube, managed, adopt=settings.work.adopt_foreign_secrets)
    executor = ThreadPoolExecutor(_RENDERERS, thread_name_prefix="template")
    templates = Templates(kube, dependencies, renderer, executor)
    external_secrets = ExternalSecrets(gate, world, fetcher, targets, managed, dependencies, templates, now=now)
    stores = Stores(gate, fetcher, interval=settings.work.store_requeue_interval)
    checked = [SECRET_STORES.kind] if settings.reconcilers.secret_store else []
    checked += [CLUSTER_SECRET_STORES.kind] if CLUSTER_SECRET_STORES in served else []
    bells = Bells(world, queue, pool, dependencies, external_secrets, metrics, checked=checked)
    recorder = Recorder(kube, now=now, instance=new_identity())
    loop = Loop(
        queue,
        world,
        bells,
        kube,
        recorder,
        external_secrets,
        stores,
        metrics,
        watchdog,
        now=now,
        refresh_every=settings.work.refresh_time_interval,
    )
    reflectors = tuple(
        Reflector(
            kube,
            SECRETS,
            managed,
            namespace=namespace,
            label_selector=f"{MANAGED}=true",
            idle_timeout=idle,
            restarted=metrics.watch_restarted,
        )
        for namespace in namespaces or ("",)
    )
    sweep = Sweep(kube, world, bells, served, namespaces)
    tasks = [
        *(asyncio.create_task(each.run(), name="watch managed secrets") for each in reflectors),
        asyncio.create_task(recorder.run(), name="events"),
        asyncio.create_task(_every(_SWEEP_EVERY, sweep.run), name="sweep"),
        asyncio.create_task(_every(_IDLE_EVERY, fetcher.sweep), name="close idle adapters"),
    ]
    _set_gauges(metrics, queue, watchdog, {EXTERNAL_SECRETS.kind, *checked}, settings.work.concurrent)
    try:
        yield House(queue, watchdog, world, bells, loop, kube, managed, recorder, reflectors)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                await recorder.flush()
    finally:
        await end(tasks, 0.0)
        executor.shutdown(wait=False, cancel_futures=True)
        await dependencies.aclose()
        await pool.aclose()


async def prime(house: House, settings: Settings, served: Sequence[Resource]) -> None:
    """List stores, namespaces and managed Secrets, so that nothing is taken for absent."""
    for resource in served:
        if resource is EXTERNAL_SECRETS:
            continue
        while True:
            try:
                await _list(house, resource, settings.scope.namespaces)
                break
            except KubeError as error:
                log.warning("cannot list yet", resource=resource.plural, error=str(error))
                await asyncio.sleep(2.0)
    for reflector in house.reflectors:
        await reflector.listed.wait()


async def _list(house: House, resource: Resource, namespaces: tuple[str, ...]) -> None:
    for namespace in namespaces if resource.namespaced and namespaces else ("",):
        if resource is NAMESPACES:
            async for page in house.kube.pages(resource, accept=METADATA_LIST):
                for body in page.get("items") or ():
                    house.bells.namespace(None, body)
            continue
        async for page in house.kube.pages(resource, namespace):
            for body in page.get("items") or ():
                house.bells.store(resource.kind, None, body)


def resources(settings: Settings) -> tuple[Resource, ...]:
    """The kinds that these settings serve."""
    served = [EXTERNAL_SECRETS, SECRET_STORES]
    if not settings.scope.namespaces:
        served.append(NAMESPACES)
        if settings.reconcilers.cluster_store:
            served.append(CLUSTER_SECRET_STORES)
    return tuple(served)


def _limits(work: Work) -> Limits:
    return Limits(
        timeout=work.provider_timeout,
        window=work.provider_batch_window,
        ttl=work.cache_ttl,
        rate=work.provider_qps,
        most=(work.cache_size << 20) // 4,
        # A store that is slow leaves most workers to the rest, even where several are.
        waiters=max(1, work.concurrent // 4),
    )


def _set_gauges(
    metrics: Metrics, queue: WorkQueue[ObjectKey], watchdog: Watchdog, kinds: Collection[str], workers: int
) -> None:
    def measure() -> None:
        for lane in Lane:
            metrics.lane_depth(lane.name.lower(), queue.depth(lane))
        waiting = Counter(key.kind for key in queue.waiting())
        for kind in kinds:
            metrics.queue_depth(kind.lower(), waiting[kind])
        metrics.oldest_overdue(queue.overdue())
        metrics.longest_work("keyferry", watchdog.longest())
        metrics.workers("keyferry", busy=queue.in_work(), limit=workers)

    metrics.before_scrape(measure)


async def _every(seconds: float, act: Callable[[], Coroutine[Any, Any, None] | None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            waiting = act()
            if waiting is not None:
                await waiting
        except KeyferryError as error:
            log.warning("housekeeping failed", error=str(error))
        except Exception:
            log.exception("housekeeping failed because of a defect")


async def end(tasks: list[asyncio.Task[Any]], grace: float) -> None:
    """Let tasks end within the grace, then cancel them."""
    if grace > 0 and tasks:
        await asyncio.wait(tasks, timeout=grace)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
