"""Workers: a key from the queue, its use case, and one place that writes what came of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from keyferry.api.externalsecret import ExternalSecret
from keyferry.api.store import SecretStore
from keyferry.app.bells import Bells, Lane
from keyferry.app.world import World
from keyferry.errors import Broken, KeyferryError, NotThere
from keyferry.kits.workqueue import Closed, Work, WorkQueue
from keyferry.kube.client import BY_KIND, Kube, ObjectKey
from keyferry.kube.record import Recorder
from keyferry.sync.externalsecret import ExternalSecrets
from keyferry.sync.outcome import Outcome, retry_delay, status_patch
from keyferry.sync.store import Stores
from keyferry.telemetry import Metrics
from keyferry.telemetry.metrics import Result

_log = structlog.get_logger(__name__)
_STATUS_RETRY = 60.0
"""Seconds at the most until a status that could not be written is written again."""


@dataclass(slots=True)
class Progress:
    """When work last ended, in seconds of the loop's clock: what the liveness probe looks at."""

    ended: float


class Loop:
    """Works on keys until the queue is closed."""

    def __init__(
        self,
        queue: WorkQueue[ObjectKey],
        world: World,
        bells: Bells,
        kube: Kube,
        recorder: Recorder,
        external_secrets: ExternalSecrets,
        stores: Stores,
        metrics: Metrics,
        *,
        now: Callable[[], dt.datetime],
        refresh_every: float,
    ) -> None:
        self._queue = queue
        self._world = world
        self._bells = bells
        self._kube = kube
        self._recorder = recorder
        self._external_secrets = external_secrets
        self._stores = stores
        self._metrics = metrics
        self._now = now
        self._refresh_every = refresh_every
        self._failures: dict[ObjectKey, int] = {}
        self._clock = asyncio.get_running_loop().time
        self.progress = Progress(self._clock())

    async def work(self) -> None:
        """One worker; ends when the queue is closed."""
        while True:
            try:
                await self.step()
            except Closed:
                return

    async def step(self) -> None:
        """Work on the next key, once there is one that is due. Raises ``Closed`` when the queue is closed."""
        work = await self._queue.get()
        try:
            await self._one(work)
        finally:
            self.progress.ended = self._clock()
            self._queue.done(work.key)

    async def _one(self, work: Work[ObjectKey]) -> None:
        key = work.key
        controller = key.kind.lower()
        self._metrics.queue_waited(controller, self._clock() - work.due)
        if work.lane == Lane.REFRESH:
            self._metrics.refresh_lag(self._clock() - work.due)
        started = self._clock()
        try:
            item = self._find(key)
            if item is None:
                self._failures.pop(key, None)
                return
            outcome = await self._sync(key, item)
            await self._tell(key, item, outcome)
        except NotThere:
            # The object went while it was worked on; no watch event may ever tell, after a gap.
            self._bells.gone(key)
            return
        except KeyferryError as error:
            _log.warning("status not written", object=str(key), error=str(error))
            self._failures[key] = self._failures.get(key, 0) + 1
            delay = retry_delay(error, self._failures[key], _STATUS_RETRY)
            outcome = Outcome("error", delay=delay or _STATUS_RETRY, retry=True, error=error)
        except Exception as error:  # noqa: BLE001 -- one object's defect must not end a worker
            _log.exception("sync failed", object=str(key))
            broken = Broken(f"Keyferry met a defect of its own ({type(error).__name__})", remedy="see its log")
            outcome = Outcome("error", delay=retry_delay(broken, 1, 3600.0), retry=True, error=broken)
        self._metrics.reconciled(*key, seconds=self._clock() - started, result=_result(outcome))
        self._schedule(key, outcome)

    def _find(self, key: ObjectKey) -> ExternalSecret | SecretStore | None:
        if key.kind == "ExternalSecret":
            return self._world.external_secret(key)
        return self._world.store(*key)

    async def _sync(self, key: ObjectKey, item: ExternalSecret | SecretStore) -> Outcome:
        failures = self._failures.get(key, 0)
        serves: bool
        if isinstance(item, ExternalSecret):
            outcome = await self._external_secrets.sync(key, item, failures)
            serves = self._external_secrets.serves(item)
        else:
            outcome = await self._stores.sync(item, failures)
            serves = self._stores.serves(item)
        self._metrics.skipped(*key, None if serves else "controller-class")
        if outcome.result == "error":
            self._failures[key] = failures + 1
        else:
            self._failures.pop(key, None)
        for store in outcome.suspects:
            self._bells.suspect(store)
        return outcome

    async def _tell(self, key: ObjectKey, item: ExternalSecret | SecretStore, outcome: Outcome) -> None:
        """Write the status if it has changed, then the rest."""
        body = self._world.body(key) if key.kind == "ExternalSecret" else None
        status: dict[str, Any] = (body or {}).get("status") or {} if body is not None else _status_of(item)
        patch = status_patch(
            outcome,
            status,
            generation=item.metadata.generation,
            now=self._now(),
            refresh_every=self._refresh_every,
        )
        if patch is not None:
            resource = BY_KIND[key.kind]
            # A status must not reach another object that has taken the name meanwhile.
            document = {"metadata": {"uid": item.metadata.uid}, "status": patch}
            written = await self._kube.merge(resource, key.namespace, key.name, document, subresource="status")
            # The answer may be ahead of the watch, and tell of an edit that the watch will then pass over as known.
            if key.kind == "ExternalSecret":
                self._bells.external_secret("MODIFIED", written)
            else:
                self._bells.store(key.kind, "MODIFIED", written)
        for note in outcome.notes:
            self._recorder.note(key, _reference(item), note)
        self._count(key, item, outcome)

    def _count(self, key: ObjectKey, item: ExternalSecret | SecretStore, outcome: Outcome) -> None:
        if outcome.ready is not None:
            self._metrics.labelled(*key, item.metadata.labels)
            self._metrics.condition(*key, "Ready", outcome.ready)
        if isinstance(item, ExternalSecret) and outcome.result == "success" and outcome.refreshed is not None:
            self._metrics.succeeded(key.namespace, key.name, at=outcome.refreshed.timestamp())
            created = item.metadata.creation_timestamp
            if item.status.refresh_time is None and created is not None:
                self._metrics.first_sync(max(0.0, (self._now() - created).total_seconds()))
        if outcome.error is not None:
            _log.info("not in step", object=str(key), reason=outcome.reason, error=str(outcome.error))
        elif outcome.refreshed is not None:
            _log.info(
                "in step", object=str(key), reason=outcome.reason, changed=[note.reason for note in outcome.notes]
            )

    def _schedule(self, key: ObjectKey, outcome: Outcome) -> None:
        if outcome.delay is None:
            return
        delay = outcome.delay
        if outcome.retry:
            # Objects that failed together must not come back together.
            delay *= random.uniform(1.0, 1.2)  # noqa: S311 -- jitter
            self._metrics.queue_retried(key.kind.lower())
        lane = Lane.RETRY if outcome.retry or key.kind != "ExternalSecret" else Lane.REFRESH
        self._queue.schedule(key, self._clock() + delay, lane)


def _result(outcome: Outcome) -> Result:
    """controller-runtime's word for how a reconcile ended."""
    if outcome.result == "error":
        return "error"
    return "success" if outcome.delay is None else "requeue_after"


def _status_of(item: ExternalSecret | SecretStore) -> dict[str, Any]:
    return item.status.model_dump(mode="json", by_alias=True, exclude_none=True)


def _reference(item: ExternalSecret | SecretStore) -> dict[str, Any]:
    metadata = item.metadata
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": item.kind,
        "name": metadata.name,
        **({"namespace": metadata.namespace} if metadata.namespace else {}),
        "uid": metadata.uid,
        "resourceVersion": metadata.resource_version,
    }
