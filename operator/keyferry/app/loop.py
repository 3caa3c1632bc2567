"""Workers: a key from the queue, its use case, and one place that writes what came of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from collections.abc import Callable
from typing import Any

from keyferry.api.externalsecret import ExternalSecret
from keyferry.api.store import SecretStore
from keyferry.app.bells import Bells, Lane
from keyferry.app.hotloops import HotLoops
from keyferry.app.watchdog import Watchdog
from keyferry.app.world import World
from keyferry.errors import BadSpec, Broken, Conflict, KeyferryError, NotThere
from keyferry.kits.workqueue import Closed, Work, WorkQueue
from keyferry.kube.client import BY_KIND, Kube, ObjectKey
from keyferry.kube.record import Recorder
from keyferry.sync import schedule
from keyferry.sync.externalsecret import ExternalSecrets
from keyferry.sync.outcome import Outcome, retry_delay, status_patch
from keyferry.sync.store import Stores
from keyferry.telemetry import Metrics, get_logger
from keyferry.telemetry.metrics import Result

_log = get_logger(__name__)
_RAMP_STEPS = 16
_STATUS_RETRY = 60.0
"""Seconds at the most until a status that could not be written is written again."""


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
        watchdog: Watchdog,
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
        self._watchdog = watchdog
        self._hot_loops = HotLoops(kube)
        self._now = now
        self._refresh_every = refresh_every
        self._failures: dict[ObjectKey, int] = {}
        self._clock = asyncio.get_running_loop().time
        metrics.before_scrape(lambda: metrics.hot_loops(self._hot_loops.hot()))

    async def work(self) -> None:
        """One worker; ends when the queue is closed."""
        while True:
            try:
                await self.step()
            except Closed:
                return
            except Exception:  # noqa: BLE001 -- a worker that ended would not be missed until all have
                _log.exception("work failed because of a defect")
            # Thousands of keys that need nothing are worked on without a wait; probes and watches have their turn.
            await asyncio.sleep(0)

    async def step(self) -> None:
        """Work on the next key, once there is one that is due. Raises ``Closed`` when the queue is closed."""
        work = await self._queue.get()
        try:
            with self._watchdog.working(work):
                await self._one(work)
        finally:
            self._queue.done(work.key)

    async def _one(self, work: Work[ObjectKey]) -> None:
        key = work.key
        controller = key.kind.lower()
        self._metrics.queue_waited(controller, self._clock() - work.due)
        if work.lane == Lane.REFRESH:
            self._metrics.refresh_lag(self._clock() - work.due)
        started = self._clock()
        uid = self._world.uid(key)
        if uid is None:
            self._forget(key)
            return
        edition = self._world.edition(key)
        if edition is not None and (wait := self._hot_loops.wait(key, edition, rung=work.rung)):
            self._queue.schedule(key, self._clock() + wait, Lane.RETRY)
            await self._tell_hot(key)
            return
        try:
            outcome = await self._sync(key)
        except NotThere:
            # The object went while it was worked on; no watch event may ever tell, after a gap.
            if self._world.uid(key) == uid:
                self._bells.gone(key)
            return
        except KeyferryError as error:
            _log.warning("status not written", object=str(key), error=str(error))
            self._failures[key] = self._failures.get(key, 0) + 1
            delay = retry_delay(error, self._failures[key], _STATUS_RETRY)
            outcome = Outcome("error", delay=delay or _STATUS_RETRY, retry=True, error=error)
        except Exception as error:  # noqa: BLE001 -- one object's defect must not end a worker
            broken = _broken(key, error)
            outcome = Outcome("error", delay=60.0, retry=True, error=broken)
        if edition is not None and outcome.result != "skipped":
            self._hot_loops.synced(key, edition, rung=work.rung)
        self._metrics.queue_worked(controller, self._clock() - started)
        self._metrics.reconciled(*key, seconds=self._clock() - started, result=_result(outcome))
        if outcome.result == "error":
            self._metrics.failed(key.kind, outcome.error)
        self._schedule(key, outcome)

    def _forget(self, key: ObjectKey) -> None:
        """The object is gone: so is what work that was under way when it went has left behind."""
        self._failures.pop(key, None)
        self._recorder.settled(key)
        self._metrics.forget(*key)
        self._hot_loops.forget(key)
        if key.kind == "ExternalSecret":
            self._external_secrets.forget(key)

    async def _tell_hot(self, key: ObjectKey) -> None:
        """Tell of an object that is held back, once."""
        try:
            es = self._world.outline(key)
        except BadSpec:
            return
        note = await self._hot_loops.note(key, es) if es is not None else None
        if es is not None and note is not None:
            _log.warning("held back", object=str(key), reason=note.reason, why=note.message)
            self._recorder.note(key, _reference(es), note)

    async def _sync(self, key: ObjectKey) -> Outcome:
        """Work on the object and tell what came of it."""
        failures = self._failures.get(key, 0)
        item: ExternalSecret | SecretStore | None
        if key.kind == "ExternalSecret":
            item, outcome = await self._external_secret(key, failures)
            serves = item is None or self._external_secrets.serves(item)
        else:
            item, outcome = await self._store(key, failures)
            serves = item is None or self._stores.serves(item)
        if item is None:
            return outcome
        self._metrics.skipped(*key, None if serves else "controller-class")
        if serves and outcome.ready is None:
            self._recall(key, item)
        if outcome.result == "error":
            self._failures[key] = failures + 1
        else:
            self._failures.pop(key, None)
        for store in outcome.suspects:
            self._bells.suspect(store)
        await self._tell(key, item, outcome)
        return outcome

    async def _external_secret(self, key: ObjectKey, failures: int) -> tuple[ExternalSecret | None, Outcome]:
        try:
            es = self._world.external_secret(key)
        except BadSpec as error:
            # Its CRD let through what cannot be read, as another version's may; that has to be told as well.
            es = self._world.outline(key)
            return es, Outcome.skipped() if es is None else self._external_secrets.failed(es, error, failures)
        if es is None:
            return None, Outcome.skipped()
        try:
            return es, await self._external_secrets.sync(key, es, failures)
        except Exception as error:  # noqa: BLE001 -- one object's defect must not end a worker
            return es, self._external_secrets.failed(es, _broken(key, error), failures)

    async def _store(self, key: ObjectKey, failures: int) -> tuple[SecretStore | None, Outcome]:
        store = self._world.store(*key)
        if store is None:
            return None, Outcome.skipped()
        try:
            return store, await self._stores.sync(store, failures)
        except Exception as error:  # noqa: BLE001 -- one object's defect must not end a worker
            return store, self._stores.failed(_broken(key, error), failures)

    async def _tell(self, key: ObjectKey, item: ExternalSecret | SecretStore, outcome: Outcome) -> None:
        """Write the status if it has changed, then the rest; nothing for an object that is gone."""
        standing = self._standing(key) if outcome.tells else None
        if standing is not None:
            await self._write_status(key, item, outcome, standing)
        if self._world.uid(key) != item.metadata.uid:
            return
        if outcome.result == "success":
            self._recorder.settled(key, outcome.notes)
        for note in outcome.notes:
            self._recorder.note(key, _reference(item), note)
        self._count(key, item, outcome)

    async def _write_status(
        self, key: ObjectKey, item: ExternalSecret | SecretStore, outcome: Outcome, standing: dict[str, Any]
    ) -> None:
        """Write what has changed of the status, over the object as it stands."""
        for tries_left in (1, 0):
            if self._world.uid(key) != item.metadata.uid:
                # It is gone, and what has its name now is another object: there is nobody left to tell.
                return
            patch = status_patch(
                outcome,
                standing.get("status") or {},
                generation=item.metadata.generation,
                now=self._now(),
                refresh_every=self._refresh_every,
            )
            if patch is None:
                return
            # To the status, the API server accepts a patch for any uid. The version keeps it from reaching another
            # object that has taken the name meanwhile.
            document = {"metadata": {"resourceVersion": standing["metadata"]["resourceVersion"]}, "status": patch}
            resource = BY_KIND[key.kind]
            try:
                written = await self._kube.merge(resource, key.namespace, key.name, document, subresource="status")
            except Conflict:
                if not tries_left:
                    raise
                found = await self._kube.get(resource, key.namespace, key.name)
                if found is None or found["metadata"]["uid"] != item.metadata.uid:
                    raise NotThere(f"{key} does not exist") from None
                standing = found
            else:
                self._bells.written(key, written)
                return

    def _standing(self, key: ObjectKey) -> dict[str, Any] | None:
        """The object as last seen, in the API's spelling."""
        if key.kind == "ExternalSecret":
            return self._world.body(key)
        store = self._world.store(*key)
        return None if store is None else store.model_dump(mode="json", by_alias=True, exclude_none=True)

    def _count(self, key: ObjectKey, item: ExternalSecret | SecretStore, outcome: Outcome) -> None:
        if outcome.ready is not None:
            self._show(key, item, outcome.ready, outcome.reason)
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

    def _recall(self, key: ObjectKey, item: ExternalSecret | SecretStore) -> None:
        """Show what the status says of an object that nothing was found out about: after a restart, of most."""
        ready = next((each for each in item.status.conditions if each.type == "Ready"), None)
        if ready is None or self._world.uid(key) != item.metadata.uid:
            return
        self._show(key, item, ready.status, ready.reason or "")
        if isinstance(item, ExternalSecret) and item.status.refresh_time is not None:
            refreshed = item.status.refresh_time.timestamp()
            self._metrics.succeeded(key.namespace, key.name, at=refreshed, recalled=True)

    def _show(self, key: ObjectKey, item: ExternalSecret | SecretStore, ready: str, reason: str) -> None:
        self._metrics.labelled(*key, item.metadata.labels)
        self._metrics.condition(*key, "Ready", ready)
        if isinstance(item, ExternalSecret):
            self._metrics.refreshed_every(key.namespace, key.name, schedule.steady_interval(item))
            missing = self._external_secrets.lacks_target(item, reason)
            self._metrics.target_missing(key.namespace, key.name, now=missing)

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


async def ramp_up(queue: WorkQueue[ObjectKey], *, workers: int, seconds: float) -> None:
    """Let periodic refreshes have few workers first, and all after so many seconds.

    After an outage of ours everything is due at once, and the stores may just have come back as well. What is new or
    was edited is not held up.
    """
    start, clock = asyncio.get_running_loop().time(), asyncio.get_running_loop().time
    while (gone := clock() - start) < seconds:
        queue.limit(Lane.REFRESH, max(1, int(workers * gone / seconds)))
        await asyncio.sleep(seconds / _RAMP_STEPS)
    queue.limit(Lane.REFRESH, None)


def _result(outcome: Outcome) -> Result:
    """controller-runtime's word for how a reconcile ended."""
    if outcome.result == "error":
        return "error"
    return "success" if outcome.delay is None else "requeue_after"


def _broken(key: ObjectKey, error: Exception) -> Broken:
    """What is told of a defect. Called while the error is handled, so that the log has its traceback."""
    _log.exception("sync failed", object=str(key))
    return Broken(f"Keyferry met a defect of its own ({type(error).__name__})", remedy="see its log")


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
