"""ExternalSecret: is it due, what does it ask for, is its Secret in step? (eso-facts 1.3 to 1.7, 10)"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace

from keyferry.api.externalsecret import ExternalSecret
from keyferry.api.window import problems
from keyferry.errors import BadSpec, KeyferryError, NotReady, Pending
from keyferry.kube.client import ObjectKey
from keyferry.kube.dependencies import Dependencies
from keyferry.kube.managed import ManagedSecrets
from keyferry.kube.record import Note
from keyferry.kube.target import Applied, Order, Targets
from keyferry.sync import schedule
from keyferry.sync.gather import Gathered, GatherFailed, Reader, gather
from keyferry.sync.outcome import Outcome, retry_delay
from keyferry.sync.stores import Cluster, Gate, references
from keyferry.sync.template import Templates

FINALIZER = "externalsecrets.external-secrets.io/externalsecret-cleanup"
"""ESO's finalizer. Keyferry sets none; of objects taken over it does what the finalizer asks for, and takes it off."""
_FAILED = "SecretSyncedError"
_MISSING = "SecretMissing"
_DELETED = "SecretDeleted"
_WRITES_NOTHING = "None"
_PATIENCE = 5.0
"""Seconds that a new store has to come and to be checked before its ExternalSecrets complain."""


@dataclass(frozen=True, slots=True)
class _Refreshed:
    """The last refresh in this process's life: of which object, when, and from which generation of its stores.

    ``periodic``: it came by the interval, and the following one is not the first that does.
    """

    uid: str
    moment: dt.datetime
    stores: tuple[tuple[str, int], ...]
    periodic: bool


class ExternalSecrets:
    """The use case. Remembers per object when it was last refreshed, which the status tells only roughly."""

    def __init__(
        self,
        gate: Gate,
        cluster: Cluster,
        reader: Reader,
        targets: Targets,
        managed: ManagedSecrets,
        dependencies: Dependencies,
        templates: Templates,
        *,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._gate = gate
        self._cluster = cluster
        self._reader = reader
        self._targets = targets
        self._managed = managed
        self._dependencies = dependencies
        self._templates = templates
        self._now = now
        self._refreshed: dict[ObjectKey, _Refreshed] = {}
        self._asked: dict[ObjectKey, float] = {}

    def ask(self, key: ObjectKey, moment: float) -> None:
        """The object was created or edited by this moment of the loop's clock: what it gets has to be read later."""
        self._asked[key] = moment

    def serves(self, es: ExternalSecret) -> bool:
        """Whether the object is this process's to serve; others stay untouched."""
        return self._gate.is_ours(es)

    async def sync(self, key: ObjectKey, es: ExternalSecret, failures: int) -> Outcome:
        """Bring the object's Secret in step, if it is time. ``failures``: how many tries failed in a row before."""
        if es.metadata.deletion_timestamp is not None:
            return await self._finalize(es, failures)
        if not self.serves(es):
            return Outcome.skipped()
        try:
            if _tells(es, _MISSING):
                await self._dependencies.look_for(key, _target(es))
            due = self._due(key, es)
        except KeyferryError as error:
            return _failure(es, error, failures)
        if due.cause in {"none", "closed"} and not (due.cause == "none" and _is_failing(es)):
            return await self._rest(key, es, due, failures)
        notes = tuple(
            Note("Warning", "InvalidSyncWindow", text, lasting=True) for text in problems(es.spec.sync_windows)
        )
        try:
            now = asyncio.get_running_loop().time()
            after = schedule.read_after(es, due.cause, asked=self._asked.get(key, now), now=now)
            outcome = await self._refresh(key, es, after, due.cause)
        except GatherFailed as failed:
            if isinstance(failed.error, Pending):
                return Outcome("skipped", delay=schedule.look_again(es, failed.error.retry_after), retry=True)
            early = not es.status.conditions and self._gate.misses_a_store(es)
            if isinstance(failed.error, NotReady) and (failed.error.pending or early) and not failures:
                # Applied together with its store, which is about to come or to be checked, and will wake it.
                return Outcome("error", delay=_PATIENCE, retry=True)
            return _failure(
                es,
                failed.error,
                failures,
                message="could not get secret data from provider",
                suspects=failed.suspects,
                notes=notes,
            )
        except KeyferryError as error:
            return _failure(es, error, failures, notes=notes)
        return outcome.with_notes(notes)

    def failed(self, es: ExternalSecret, error: KeyferryError, failures: int) -> Outcome:
        """What is told of an object that could not be synced at all."""
        return _failure(es, error, failures) if self.serves(es) else Outcome.skipped()

    def lacks_target(self, es: ExternalSecret, reason: str) -> bool:
        """Whether the Secret that the object asks for is not there; ``reason`` is that of its condition."""
        asks = es.makes_secret and es.spec.target.creation_policy != _WRITES_NOTHING and reason != _DELETED
        # What is known of an object that cannot be read does not tell its target.
        readable = bool(es.spec.data or es.spec.data_from)
        return asks and readable and self._managed.get(es.metadata.namespace, es.target_name) is None

    def forget(self, key: ObjectKey) -> None:
        """The object is gone."""
        self._refreshed.pop(key, None)
        self._asked.pop(key, None)
        self._targets.forget(key)
        self._dependencies.forget(key)

    async def _rest(self, key: ObjectKey, es: ExternalSecret, due: schedule.Due, failures: int) -> Outcome:
        """Nothing is due. After a restart, the objects that hold templates are looked out for again."""
        if es.spec.refresh_policy != "CreatedOnce" and set(self._templates.sources(es)) - self._dependencies.of(key):
            try:
                await self._templates.watch(key, es)
            except KeyferryError as error:
                return _failure(es, error, failures)
        return _confirmed(es, due.delay)

    def _due(self, key: ObjectKey, es: ExternalSecret) -> schedule.Due:
        if es.spec.refresh_policy != "CreatedOnce" and self._dependencies.is_stale(key) and _has_synced(es):
            return schedule.Due("changed")
        last = self._refreshed.get(key)
        refreshed = es.status.refresh_time
        if last is not None and last.uid == es.metadata.uid:
            refreshed = max(last.moment, refreshed) if refreshed and refreshed <= self._now() else last.moment
            if schedule.period_of(es) is not None and last.stores != self._generations(es):
                # Another address or path may mean other values: do not wait for the interval.
                return schedule.Due("changed")
        first = last is None or not last.periodic
        return schedule.due(es, intact=self._is_intact(es), refreshed=refreshed, now=self._now(), first=first)

    def _is_intact(self, es: ExternalSecret) -> bool:
        if es.spec.target.creation_policy in {"Orphan", _WRITES_NOTHING}:
            return True
        seen = self._managed.get(es.metadata.namespace, es.target_name)
        if seen is not None:
            return seen.intact
        # What was deleted as its policy says is nothing to repair, nor is what Merge waits for: its coming wakes us.
        absent = _tells(es, _MISSING) and es.spec.target.creation_policy == "Merge"
        return _tells(es, _DELETED) or (absent and self._dependencies.is_absent(_target(es)))

    def _generations(self, es: ExternalSecret) -> tuple[tuple[str, int], ...]:
        found = []
        for ref in references(es):
            namespace = es.metadata.namespace if ref.kind == "SecretStore" else ""
            store = self._cluster.store(ref.kind, namespace, ref.name or "")
            if store is not None:
                found.append((store.metadata.uid, store.metadata.generation))
        return tuple(found)

    async def _refresh(self, key: ObjectKey, es: ExternalSecret, after: float, cause: schedule.Cause) -> Outcome:
        started, began = self._now(), asyncio.get_running_loop().time()
        if self._cluster.is_terminating(es.metadata.namespace):
            raise NotReady(
                f'namespace "{es.metadata.namespace}" is being deleted', remedy="nothing can be written in it"
            )
        _refuse_unusable(es)
        generations = self._generations(es)
        self._dependencies.renew(key)
        gathered = await gather(
            es,
            lambda ref: self._gate.open(ref, es.metadata.namespace),
            self._reader,
            self._templates.rename,
            after=after,
        )
        age = max(0.0, began - gathered.as_of)
        read = started - dt.timedelta(seconds=age)
        notes = (
            *(_absence(place) for place in gathered.absent),
            *(Note("Warning", "KeysCollide", text, lasting=True) for text in gathered.collisions),
        )
        outcome = await self._bring_about(key, es, gathered)
        self._refreshed[key] = _Refreshed(es.metadata.uid, read, generations, cause == "due")
        following = schedule.next_refresh(es, first=cause != "due")
        delay = None if following is None else following - age
        return outcome.refreshed_at(read, schedule.version_of(es), delay=delay, notes=notes)

    async def _bring_about(self, key: ObjectKey, es: ExternalSecret, gathered: Gathered) -> Outcome:
        policy = es.spec.target.deletion_policy
        if not gathered.data and policy == "Delete":
            return await self._delete(es)
        if not gathered.data and policy == "Retain":
            return _in_step("secret retained due to DeletionPolicy=Retain")
        if es.spec.target.creation_policy == _WRITES_NOTHING:
            return _in_step("secret synced")
        if es.spec.target.creation_policy == "Merge" and self._dependencies.awaits(key, _target(es)):
            applied = Applied("missing")
        else:
            applied = await self._apply(key, es, await self._templates.order(key, es, gathered.data))
        if applied.action == "missing":
            return replace(_in_step("secret will not be created due to CreationPolicy=Merge"), reason=_MISSING)
        if applied.blocked is not None:
            raise applied.blocked
        notes: list[Note] = []
        if applied.action == "created":
            notes.append(Note("Normal", "Created", "secret created"))
        elif applied.action == "updated":
            notes.append(Note("Normal", "Updated", "secret updated"))
        if es.spec.target.creation_policy == "Owner":
            # The new Secret stands before the old one goes, so that no moment is without either.
            orphans = await self._targets.delete_orphans(es)
            notes += [Note("Normal", "Deleted", f'secret "{name}" deleted because it was orphaned') for name in orphans]
        return _in_step("secret synced", notes=tuple(notes)).with_status({"binding": {"name": es.target_name}})

    async def _apply(self, key: ObjectKey, es: ExternalSecret, order: Order) -> Applied:
        applied = await self._targets.apply(key, es, order)
        if applied.action == "missing":
            since = self._dependencies.expect(key, _target(es))
            # It may have come before anybody looked out for it.
            applied = await self._targets.apply(key, es, order)
            if applied.action == "missing":
                self._dependencies.depend(key, _target(es), "", since)
                return applied
            self._dependencies.keep(key, self._templates.sources(es))
        return applied

    async def _delete(self, es: ExternalSecret) -> Outcome:
        policy = es.spec.target.creation_policy
        if policy != "Owner":
            raise BadSpec(
                f"unable to delete secret {es.target_name}: creationPolicy={policy} is not Owner",
                remedy="use creationPolicy Owner with deletionPolicy Delete",
            )
        message = "secret deleted due to DeletionPolicy=Delete"
        deleted = await self._targets.delete(es)
        return Outcome(
            "success",
            ready="True",
            reason=_DELETED,
            message=message,
            notes=(Note("Normal", "Deleted", message),) if deleted else (),
        )

    async def _finalize(self, es: ExternalSecret, failures: int) -> Outcome:
        if FINALIZER not in es.metadata.finalizers or not self.serves(es):
            return Outcome.skipped()
        try:
            if es.spec.target.deletion_policy == "Delete" and es.spec.target.creation_policy == "Owner":
                await self._targets.delete_if_owned(es)
            await self._targets.drop_finalizer(es, FINALIZER)
        except KeyferryError as error:
            return Outcome("error", error=error, delay=retry_delay(error, failures + 1, 60.0), retry=True)
        return Outcome.skipped()


def _target(es: ExternalSecret) -> ObjectKey:
    return ObjectKey("Secret", es.metadata.namespace, es.target_name)


def _refuse_unusable(es: ExternalSecret) -> None:
    if not es.makes_secret:
        raise BadSpec(
            "invalid generic target: spec.target.manifest is not served by this version of Keyferry",
            remedy="leave it out to have a Secret made",
        )
    if es.spec.duplicate_keys:
        raise BadSpec(
            f"duplicate secretKey found: {', '.join(es.spec.duplicate_keys)}",
            remedy="name each key of spec.data once, or choose another deletionPolicy than Retain",
        )


def _in_step(message: str, *, notes: tuple[Note, ...] = ()) -> Outcome:
    return Outcome("success", ready="True", reason="SecretSynced", message=message, notes=notes)


def _absence(place: str) -> Note:
    return Note("Normal", "MissingProviderSecret", f"secret does not exist at provider using {place}", lasting=True)


def _has_synced(es: ExternalSecret) -> bool:
    return bool(es.status.synced_resource_version)


def _tells(es: ExternalSecret, reason: str) -> bool:
    return any(each.reason == reason for each in es.status.conditions)


def _is_failing(es: ExternalSecret) -> bool:
    return any(each.type == "Ready" and each.status == "False" for each in es.status.conditions)


def _confirmed(es: ExternalSecret, delay: float | None) -> Outcome:
    """Nothing is due. A status of an older generation still holds for this one; one of ESO's is left alone."""
    ready = next((each for each in es.status.conditions if each.type == "Ready"), None)
    observed = es.status.observed_generation
    if ready is None or observed is None or observed == es.metadata.generation or ready.status not in {"True", "False"}:
        return Outcome.skipped(delay=delay)
    return Outcome(
        "skipped",
        ready="True" if ready.status == "True" else "False",
        reason=ready.reason or "",
        message=ready.message or "",
        delay=delay,
    )


def _failure(
    es: ExternalSecret,
    error: KeyferryError,
    failures: int,
    *,
    message: str = "",
    suspects: tuple[ObjectKey, ...] = (),
    notes: tuple[Note, ...] = (),
) -> Outcome:
    try:
        longest = schedule.interval_of(es)
    except BadSpec:
        longest = 0.0
    return Outcome.failed(
        error,
        reason=_FAILED,
        event="UpdateFailed",
        message=message,
        delay=retry_delay(error, failures + 1, longest or schedule.DEFAULT_INTERVAL),
        notes=notes,
        suspects=suspects,
    )
