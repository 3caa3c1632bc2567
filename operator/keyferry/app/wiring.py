"""Starts, runs and ends the operator; there are no globals.

The order of a start: the API server serves our kinds; the Lease is ours, where there is an election; stores and
namespaces are listed, managed Secrets are listed; then workers and kopf's watches. So no sync ever takes something for
absent that has merely not been listed yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import kopf

from keyferry.app import handlers
from keyferry.app.house import build, end, prime, resources
from keyferry.app.kopfrun import run_kopf, wait_until_served
from keyferry.app.kopfsession import Watched
from keyferry.app.leader import Elector, KubeLease, lease_namespace, while_leading
from keyferry.app.loop import ramp_up
from keyferry.app.process import dump_on_signal, installed_version, listen_to_signals, watch_loop_lag
from keyferry.app.server import serving
from keyferry.app.watchdog import Watchdog
from keyferry.kubehttp import KubeHttp
from keyferry.kubehttp.config import Endpoint, from_environment
from keyferry.settings import Settings
from keyferry.telemetry import Metrics, get_logger

log = get_logger(__name__)


@dataclass(slots=True)
class State:
    """What the probes look at."""

    standby: bool = False
    primed: bool = False
    listed: asyncio.Event = field(default_factory=asyncio.Event)
    watchdog: Watchdog | None = None

    def ready(self) -> str | None:
        """Why the process is not ready; a replica that stands by is."""
        if self.standby or (self.primed and self.listed.is_set()):
            return None
        return "waiting for the API server" if not self.primed else "listing objects"

    def healthy(self) -> str | None:
        """Why the process should be restarted."""
        return self.watchdog.wrong() if self.watchdog else None

    def dump(self) -> None:
        """Log what is being worked on."""
        if self.watchdog:
            self.watchdog.dump()


async def run(settings: Settings) -> int:
    """Serve until asked to stop; the exit status. Raises a KeyferryError where it cannot go on."""
    stop = asyncio.Event()
    listen_to_signals(stop)
    version = installed_version()
    log.info("starting", version=version)
    metrics = Metrics(version=version, extended_labels=settings.servers.extended_metric_labels)
    endpoint = await from_environment(settings.kube.kubeconfig or None, None)
    http = KubeHttp(endpoint, limit=settings.work.concurrent + 4, user_agent=f"keyferry/{version}")
    state = State(standby=settings.election.enabled)
    dump_on_signal(state.dump)
    lag = asyncio.create_task(watch_loop_lag(metrics), name="loop lag")
    try:
        async with serving(settings.servers, metrics, ready=state.ready, healthy=state.healthy):
            if settings.election.enabled:
                await _elected(settings, http, endpoint, metrics, state, stop)
            else:
                await _serve(settings, http, endpoint, metrics, state, stop)
    finally:
        lag.cancel()
        await http.aclose()
    log.info("stopped")
    return 0


async def _elected(
    settings: Settings, http: KubeHttp, endpoint: Endpoint, metrics: Metrics, state: State, stop: asyncio.Event
) -> None:
    """Serve while the Lease is ours. Raises ``LeaseLost``."""
    client = KubeLease(
        http,
        namespace=lease_namespace(settings.election),
        name=settings.election.id,
        timeout=settings.election.renew_deadline,
    )

    def leading(now: bool) -> None:
        state.standby = not now
        metrics.leader(settings.election.id, leading=now)

    metrics.leader(settings.election.id, leading=False)
    elector = Elector(client, settings.election, leading=leading)
    leader = asyncio.create_task(
        while_leading(elector, lambda: _serve(settings, http, endpoint, metrics, state, stop)), name="leader"
    )
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({leader, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if state.standby:
            # There is no work that would have to end first.
            leader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await leader
    finally:
        stopping.cancel()


async def _serve(
    settings: Settings, http: KubeHttp, endpoint: Endpoint, metrics: Metrics, state: State, stop: asyncio.Event
) -> None:
    """Watch and work until ``stop``; then let what is under way end."""
    served = resources(settings)
    watched = [Watched(each.group, each.version, each.plural, each.namespaced) for each in served]
    if not await _unless_stopped(wait_until_served(http, watched), stop):
        return
    async with build(settings, http, metrics, now=_now) as house:
        primed = prime(house, settings, served)
        if not await _unless_stopped(primed, stop):
            return
        state.watchdog, state.primed = house.watchdog, True
        registry = kopf.OperatorRegistry()
        handlers.register(registry, house.bells, settings)
        workers = [
            asyncio.create_task(house.loop.work(), name=f"worker {number}")
            for number in range(settings.work.concurrent)
        ]
        ramp = asyncio.create_task(
            ramp_up(house.queue, workers=settings.work.concurrent, seconds=settings.work.ramp_up), name="ramp-up"
        )
        log.info("working", workers=len(workers), secrets=len(house.managed))
        try:
            await run_kopf(
                registry,
                settings,
                endpoint,
                http,
                watched=watched,
                stop=stop,
                metrics=metrics,
                listed=state.listed.set,
            )
        finally:
            house.queue.close()
            # Without the Lease there is no time to be given: another process may be at work already.
            ramp.cancel()
            await end(workers, settings.work.shutdown_grace if stop.is_set() else 0.0)
            state.watchdog = None
    log.info("all work has ended")


async def _unless_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Wait for the work, or for ``stop``. Whether the work was done."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return False
        await working
        return True
    finally:
        await end([working, stopping], 0.0)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
