"""kopf as a watcher inside our process: started when it can work, restarted when it gives up, ended cleanly.

kopf ends the whole operator on answers that it does not expect (an ERROR event other than 410, HTTP 404 or 410 to a
list, 5xx or 403 for longer than its patience), and its ``operator()`` cancels every task of the event loop that is
younger than itself when it ends. Both are meant for processes that kopf owns. Ours goes on working through such a
moment, so kopf's tasks are spawned and ended by name here, and a new set is started after a pause: all objects are
listed again then, which costs no write.

What events mean does not belong here; handlers only ring bells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

import kopf

from keyferry.app.kopfsession import SessionMaker, Watched
from keyferry.app.process import listen_to_signals
from keyferry.kits.backoff import Backoff
from keyferry.kubehttp import KubeError, KubeHttp
from keyferry.kubehttp.config import Endpoint
from keyferry.settings import Settings
from keyferry.telemetry import Metrics, get_logger

_TELL_INTERVAL = 30.0
_PREREQUISITES = Backoff(first=0.5, ceiling=5.0)
_RESTARTS = Backoff(first=1.0, ceiling=60.0)
# A run of this length was a good one; its end is not counted with those before it.
_GOOD_RUN = 300.0
# kopf gives its workers 2 s; ours return at once.
_END_TIMEOUT = 5.0
# About two minutes of 5xx or 403, as upgrades of an API server take, and never more than 8 s late when it is back.
_ERROR_BACKOFFS = (1, 1, 2, 3, 5, *([8] * 14))

log = get_logger(__name__)


class NoDiff(kopf.DiffBaseStorage):
    """Keeps no last-handled state: kopf would build one for every event although no handler asks for it."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:  # noqa: ARG002 - kopf's signature
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002 - kopf's signature
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is kept."""


async def run_kopf(
    registry: kopf.OperatorRegistry,
    settings: Settings,
    endpoint: Endpoint,
    http: KubeHttp,
    *,
    watched: Collection[Watched],
    stop: asyncio.Event,
    metrics: Metrics,
    listed: Callable[[], None],
) -> None:
    """Deliver events to the handlers of ``registry`` until ``stop`` is set; return when nothing of kopf is left.

    ``watched`` are the resources that the handlers are registered for. kopf is not started before the API server
    serves all of them. ``listed`` is called once, when all of them have been listed in all namespaces and the
    events about what exists have been handed to the handlers' queues; a restart does not call it again. ``http`` and
    ``endpoint`` lead to the same API server. Cancelling has the effect of ``stop``.
    """
    sessions = SessionMaker(endpoint, watched, settings.scope.namespaces, listed)

    @kopf.on.login(registry=registry, id="login")
    async def login(**_: Any) -> kopf.AiohttpSession:
        return await sessions.login()

    supervising = asyncio.create_task(
        _supervise(registry, settings, http, watched=watched, stop=stop, metrics=metrics), name="kopf supervisor"
    )
    stopping = asyncio.create_task(stop.wait(), name="kopf stop")
    try:
        await asyncio.wait({supervising, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (supervising, stopping):
            task.cancel()
        await asyncio.wait({supervising, stopping})
        await sessions.aclose()
    if not supervising.cancelled():
        # It never returns: what ended it is a defect of ours.
        supervising.result()


def kopf_settings(settings: Settings) -> kopf.OperatorSettings:
    """The settings of kopf: a watcher that writes nothing, keeps nothing and never kills the process."""
    configured = kopf.OperatorSettings()
    configured.posting.enabled = False
    # An idle worker would keep its task for 5 s; without a limit nothing waits for it.
    configured.queueing.idle_timeout = 0.05
    configured.queueing.worker_limit = None
    configured.persistence.diffbase_storage = NoDiff()
    configured.persistence.progress_storage = kopf.StatusProgressStorage(field="status.kopf")
    configured.watching.chunk_size = 500
    # Not every API server allows it, and one that does not ends kopf.
    configured.watching.initial_streaming = False
    configured.watching.server_timeout = 290
    configured.watching.connect_timeout = 10
    configured.watching.inactivity_timeout = settings.kube.watch_idle_timeout
    configured.networking.error_backoffs = _ERROR_BACKOFFS
    configured.networking.request_timeout = 30
    # In chosen namespaces we may not be allowed to list all namespaces and CRDs, and kopf asks for minutes before it
    # believes that. We look for the CRDs ourselves, and a CRD that goes away ends the run.
    configured.scanning.disabled = bool(settings.scope.namespaces)
    # A timer that would kill the process, armed whenever kopf's tasks are cancelled without its stop flag.
    configured.process.ultimate_exiting_timeout = None
    return configured


async def wait_until_served(http: KubeHttp, watched: Collection[Watched]) -> None:
    """Return when the API server serves every resource; what is amiss is logged, at most every 30 s per reason."""
    loop = asyncio.get_running_loop()
    told: tuple[str, float] = ("", 0.0)
    tries = 0
    while (amiss := await _amiss(http, watched)) is not None:
        if amiss != told[0] or loop.time() - told[1] >= _TELL_INTERVAL:
            log.warning("waiting for the API server", reason=amiss)
            told = (amiss, loop.time())
        tries += 1
        await asyncio.sleep(_PREREQUISITES.delay(tries))
    if tries:
        log.info("the API server serves everything that is needed")


async def _amiss(http: KubeHttp, watched: Collection[Watched]) -> str | None:
    for group, version in sorted({(each.group, each.version) for each in watched}):
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        needed = {each.plural for each in watched if (each.group, each.version) == (group, version)}
        try:
            answer = await http.request("GET", path, timeout=10.0)
        except KubeError as error:
            if not error.not_found:
                return str(error)
            answer = {}
        served = {resource["name"] for resource in (answer or {}).get("resources", [])}
        if missing := sorted(needed - served):
            return f"the CRDs of {', '.join(missing)} in {group}/{version} are not installed"
    return None


async def _supervise(
    registry: kopf.OperatorRegistry,
    settings: Settings,
    http: KubeHttp,
    *,
    watched: Collection[Watched],
    stop: asyncio.Event,
    metrics: Metrics,
) -> None:
    loop = asyncio.get_running_loop()
    bad_runs = 0
    while True:
        await wait_until_served(http, watched)
        began = loop.time()
        failures = await _run_once(registry, settings, stop)
        bad_runs = 1 if loop.time() - began >= _GOOD_RUN else bad_runs + 1
        pause = _RESTARTS.delay(bad_runs)
        for failure in failures or [RuntimeError()]:
            resource, reason = _resource_of(failure), _reason_of(failure)
            metrics.watch_restarted(resource, reason)
            # What a server answered needs no traceback.
            trace = None if reason.startswith("http-") or reason == "WatchingError" else failure
            log.warning(
                "kopf ended and is started again",
                error=failure,
                resource=resource,
                reason=reason,
                pause=round(pause, 1),
                exc_info=trace,
            )
        await asyncio.sleep(pause)


async def _run_once(
    registry: kopf.OperatorRegistry, settings: Settings, stop: asyncio.Event
) -> Sequence[BaseException]:
    """Run kopf until it ends by itself; what ended it."""
    namespaces = settings.scope.namespaces
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=kopf_settings(settings),
        clusterwide=not namespaces,
        namespaces=namespaces,
        standalone=True,
        # Asked for nothing, kopf would look up the user's name, and a pod's user has none.
        identity="keyferry",  # type: ignore[arg-type] # a NewType that kopf does not export
    )
    # kopf has just put its own in their place.
    listen_to_signals(stop)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return [failure for task in done if not task.cancelled() and (failure := task.exception()) is not None]
    finally:
        for task in tasks:
            task.cancel()
        _, left = await asyncio.wait(tasks, timeout=_END_TIMEOUT)
        for task in tasks:
            if task in left:
                log.error("a task of kopf does not end", task=task.get_name())
            elif not task.cancelled():
                # Asked for, so that asyncio does not report what we have reported.
                task.exception()


def _reason_of(failure: BaseException) -> str:
    status = getattr(failure, "status", None)
    return f"http-{status}" if isinstance(status, int) else type(failure).__name__


def _resource_of(failure: BaseException) -> str:
    # kopf's errors do not say it; the frame of the watch that raised does.
    trace = failure.__traceback__
    while trace is not None:
        plural = getattr(trace.tb_frame.f_locals.get("resource"), "plural", None)
        if isinstance(plural, str):
            return plural
        trace = trace.tb_next
    return "none"
