"""From what happened in the cluster to the keys that have work: the only place that decides who is woken by what."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Collection, Mapping
from typing import Any

from keyferry.api.store import SecretStore
from keyferry.app.world import World
from keyferry.errors import KeyferryError
from keyferry.fetch.pool import Pool
from keyferry.kits.workqueue import WorkQueue
from keyferry.kube.client import ObjectKey
from keyferry.kube.dependencies import Dependencies
from keyferry.shape.hashes import synced_resource_version
from keyferry.sync.externalsecret import ExternalSecrets
from keyferry.telemetry import Metrics, get_logger

_log = get_logger(__name__)
_BETWEEN, _LONGEST_RETURN = 0.02, 30.0
"""Seconds between two users of a store that has recovered, and until the last of them comes: no new flood for it."""
_LISTING = 30.0
"""Seconds within which objects that are listed are taken for objects of one list."""


class Lane(enum.IntEnum):
    """Lanes of the queue, the most urgent first."""

    FIRST = 0
    """New, edited, drifted: somebody waits for it."""
    RETRY = 1
    """Failed before, or something that it depends on changed."""
    REFRESH = 2
    """Due by its interval."""


class Bells:
    """Takes in events of the watches and adds keys to the queue."""

    def __init__(
        self,
        world: World,
        queue: WorkQueue[ObjectKey],
        pool: Pool,
        dependencies: Dependencies,
        external_secrets: ExternalSecrets,
        metrics: Metrics,
        *,
        checked: Collection[str],
    ) -> None:
        """``checked``: the kinds of store that this process checks; others are only looked up."""
        self._checked = frozenset(checked)
        self._world = world
        self._queue = queue
        self._pool = pool
        self._dependencies = dependencies
        self._external_secrets = external_secrets
        self._metrics = metrics
        self._clock = asyncio.get_running_loop().time
        self._listing = float("-inf")

    def external_secret(self, event: str | None, body: Mapping[str, Any]) -> None:
        """An ExternalSecret was listed, changed or deleted."""
        key = _key("ExternalSecret", body)
        if event == "DELETED":
            self.gone(key)
            return
        if self._world.take(key, body):
            self._external_secrets.ask(key, self._there_since(event))
            # Listed at the start: most are in step, and must not stand in the way of those that are not.
            self._queue.add(key, Lane.REFRESH if event is None and _was_synced(body) else Lane.FIRST)

    def store(self, kind: str, event: str | None, body: Mapping[str, Any]) -> None:
        """A SecretStore or ClusterSecretStore was listed, changed or deleted."""
        key = _key(kind, body)
        if event == "DELETED":
            self.gone(key)
            return
        try:
            old, new = self._world.take_store(key, body)
        except KeyferryError as error:
            _log.warning("store cannot be read", object=str(key), error=str(error))
            return
        if new is None or old is new:
            return
        if old is None or old.metadata.uid != new.metadata.uid or old.metadata.generation != new.metadata.generation:
            if old is not None:
                self._pool.retire(old.metadata.uid)
            self._check(key)
            self._wake_users(key)
        elif _usability(old) != _usability(new):
            self._wake_users(key)

    def namespace(self, event: str | None, body: Mapping[str, Any]) -> None:
        """A namespace was listed, changed or deleted."""
        name = body["metadata"]["name"]
        if event == "DELETED":
            self._world.drop_namespace(name)
        elif self._world.take_namespace(body):
            for key in self._world.within(name):
                self._queue.add(key, Lane.RETRY)

    def secret(self, secret: ObjectKey) -> None:
        """A managed Secret came, changed by somebody else's hand, or went."""
        for key in self._world.aiming_at(secret):
            self._queue.add(key, Lane.FIRST)

    def dependency(self, dependent: ObjectKey) -> None:
        """An object that a store was built from, or a target that was missing, has changed."""
        if dependent.kind == "ExternalSecret":
            self._queue.add(dependent, Lane.FIRST)
            return
        store = self._world.store(*dependent)
        if store is not None:
            self._pool.retire(store.metadata.uid)
            self._check(dependent)
            self._wake_users(dependent)

    def written(self, key: ObjectKey, body: Mapping[str, Any]) -> None:
        """A write of ours to the object's status answered this."""
        # The answer may be ahead of the watch, and tell of an edit that the watch will then pass over as known. It
        # may also be behind, and must not bring an object back to life.
        if self._world.uid(key) is None:
            return
        if key.kind == "ExternalSecret":
            self.external_secret("MODIFIED", body)
        else:
            self.store(key.kind, "MODIFIED", body)

    def gone(self, key: ObjectKey) -> None:
        """An ExternalSecret or a store is gone."""
        # Work on it may be going on and leave traces; the loop forgets them when it comes by and finds nothing.
        self._queue.add(key, Lane.FIRST)
        self._metrics.forget(*key)
        if key.kind == "ExternalSecret":
            self._world.drop(key)
            self._external_secrets.forget(key)
            return
        store = self._world.drop_store(key)
        self._dependencies.forget(key)
        if store is not None:
            self._pool.retire(store.metadata.uid)
        self._wake_users(key)

    def _there_since(self, event: str | None) -> float:
        """The moment by which what an event tells of was there; a list was when the first object of it came.

        So what is read for that object will do for all others of the list.
        """
        now = self._clock()
        if event is not None:
            return now
        if now - self._listing > _LISTING:
            self._listing = now
        return self._listing

    def _check(self, store: ObjectKey) -> None:
        if store.kind in self._checked:
            self._queue.add(store, Lane.FIRST)

    def suspect(self, store: ObjectKey) -> None:
        """Somebody had no answer from the store."""
        if store.kind in self._checked:
            self._queue.add(store, Lane.RETRY)

    def recovered(self, store: ObjectKey) -> None:
        """A store that was given a rest answers again: its users come back one after the other."""
        self.suspect(store)
        users = self._world.users(store)
        step = min(_BETWEEN, _LONGEST_RETURN / max(1, len(users)))
        now = self._clock()
        for number, key in enumerate(users):
            self._queue.schedule(key, now + number * step, Lane.RETRY)

    def _wake_users(self, store: ObjectKey) -> None:
        for key in self._world.users(store):
            self._queue.add(key, Lane.RETRY)


def _usability(store: SecretStore) -> tuple[Any, ...]:
    ready = next((each.status for each in store.status.conditions if each.type == "Ready"), "")
    return ready, store.metadata.deletion_timestamp


def _was_synced(body: Mapping[str, Any]) -> bool:
    """Whether the object was synced as it stands."""
    metadata = body["metadata"]
    current = synced_resource_version(metadata["generation"], metadata.get("annotations"), metadata.get("labels"))
    return bool((body.get("status") or {}).get("syncedResourceVersion") == current)


def _key(kind: str, body: Mapping[str, Any]) -> ObjectKey:
    metadata = body["metadata"]
    return ObjectKey(kind, metadata.get("namespace", ""), metadata["name"])
