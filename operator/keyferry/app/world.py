"""What is known of the cluster without asking it: the custom resources as last seen, and who refers to whom.

Fed by watch events, read by use cases. ExternalSecrets are kept as their JSON text, since there may be tens of
thousands; stores are few and are kept parsed. No Secret is kept here.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from keyferry.api.externalsecret import ExternalSecret
from keyferry.api.store import SecretStore
from keyferry.kube.client import ObjectKey
from keyferry.kube.watch import newer

_CHECKS = frozenset({ObjectKey("SecretStore", "", "")})


@dataclass(slots=True)
class _Kept:
    """An ExternalSecret: its text, what of it matters for a sync, and what it refers to."""

    text: bytes
    uid: str
    generation: int
    version: str
    intent: bytes
    stores: frozenset[ObjectKey]
    target: ObjectKey


@dataclass(frozen=True, slots=True)
class _Namespace:
    labels: Mapping[str, str]
    terminating: bool


class World:
    """``sync.stores.Cluster``, and the indexes behind the bells that handlers ring."""

    def __init__(self) -> None:
        self._objects: dict[ObjectKey, _Kept] = {}
        self._by_store: dict[ObjectKey, set[ObjectKey]] = defaultdict(set)
        # As good as always there is one: a set would take four times the room.
        self._by_target: dict[ObjectKey, tuple[ObjectKey, ...]] = {}
        self._by_namespace: dict[str, set[ObjectKey]] = defaultdict(set)
        self._stores: dict[ObjectKey, tuple[str, SecretStore]] = {}
        self._namespaces: dict[str, _Namespace] = {}

    # -- ExternalSecrets

    def take(self, key: ObjectKey, body: Mapping[str, Any]) -> bool:
        """Take in an ExternalSecret. Whether something has changed that a sync would look at."""
        before = self._objects.get(key)
        metadata = body["metadata"]
        version: str = metadata["resourceVersion"]
        if before is not None and not newer(version, before.version) and version != before.version:
            return False
        kept = _Kept(
            text=_fitted(orjson.dumps({**body, "metadata": {**metadata, "managedFields": None}})),
            uid=metadata["uid"],
            generation=metadata.get("generation", 0),
            version=version,
            intent=_intent(metadata),
            stores=self._shared(_stores_of(key.namespace, body.get("spec") or {})),
            target=ObjectKey("Secret", key.namespace, _target_of(key, body.get("spec") or {})),
        )
        if before is not None and (before.stores != kept.stores or before.target != kept.target):
            self._unlink(key, before)
        self._objects[key] = kept
        for store in kept.stores:
            self._by_store[store].add(key)
        aiming = self._by_target.get(kept.target, ())
        if key not in aiming:
            self._by_target[kept.target] = (*aiming, key)
        self._by_namespace[key.namespace].add(key)
        return before is None or before.intent != kept.intent

    def drop(self, key: ObjectKey) -> None:
        """An ExternalSecret is gone."""
        kept = self._objects.pop(key, None)
        if kept is not None:
            self._unlink(key, kept)
            _discard(self._by_namespace, key.namespace, key)

    def uid(self, key: ObjectKey) -> str | None:
        """Which object has this name, ExternalSecret or store; None where there is none."""
        kept, store = self._objects.get(key), self._stores.get(key)
        return kept.uid if kept else store[1].metadata.uid if store else None

    def edition(self, key: ObjectKey) -> tuple[str, int] | None:
        """Uid and generation of an ExternalSecret: another one is another object, or another spec."""
        kept = self._objects.get(key)
        return (kept.uid, kept.generation) if kept else None

    def used_by(self, key: ObjectKey) -> frozenset[ObjectKey]:
        """What work on an object waits for: the stores of an ExternalSecret; checks of stores are one such thing."""
        kept = self._objects.get(key)
        return kept.stores if kept else frozenset() if key.kind == "ExternalSecret" else _CHECKS

    def body(self, key: ObjectKey) -> dict[str, Any] | None:
        """The ExternalSecret as last seen."""
        kept = self._objects.get(key)
        if kept is None:
            return None
        body: dict[str, Any] = orjson.loads(kept.text)
        return body

    def external_secret(self, key: ObjectKey) -> ExternalSecret | None:
        """The ExternalSecret, typed. Raises ``BadSpec`` for one that cannot be read."""
        body = self.body(key)
        return None if body is None else ExternalSecret.parse(body)

    def outline(self, key: ObjectKey) -> ExternalSecret | None:
        """The ExternalSecret without most of its spec, for one that cannot be read. Raises ``BadSpec``."""
        body = self.body(key)
        if body is None:
            return None
        spec = body.get("spec") or {}
        return ExternalSecret.parse({**body, "spec": {"secretStoreRef": spec.get("secretStoreRef")}})

    def users(self, store: ObjectKey) -> tuple[ObjectKey, ...]:
        """The ExternalSecrets that refer to a store."""
        return tuple(self._by_store.get(store, ()))

    def aiming_at(self, secret: ObjectKey) -> tuple[ObjectKey, ...]:
        """The ExternalSecrets whose target is this Secret."""
        return self._by_target.get(secret, ())

    def within(self, namespace: str) -> tuple[ObjectKey, ...]:
        """The ExternalSecrets of a namespace."""
        return tuple(self._by_namespace.get(namespace, ()))

    def keys(self) -> Iterable[ObjectKey]:
        """All ExternalSecrets and stores."""
        return (*self._objects, *self._stores)

    # -- stores

    def take_store(self, key: ObjectKey, body: Mapping[str, Any]) -> tuple[SecretStore | None, SecretStore | None]:
        """Take in a store: as it was before and as it is now. Equal ones tell of an event that is older than ours."""
        before = self._stores.get(key)
        old = before[1] if before else None
        version: str = body["metadata"]["resourceVersion"]
        if before is not None and not newer(version, before[0]) and version != before[0]:
            return old, old
        # What a store may reach hangs on its kind: the resource that was watched tells it, not the body.
        store = SecretStore.parse({**body, "kind": key.kind, "metadata": {**body["metadata"], "managedFields": None}})
        self._stores[key] = (version, store)
        return old, store

    def drop_store(self, key: ObjectKey) -> SecretStore | None:
        """A store is gone; the store that it was."""
        before = self._stores.pop(key, None)
        return before[1] if before else None

    def store(self, kind: str, namespace: str, name: str) -> SecretStore | None:
        """See ``sync.stores.Cluster``."""
        found = self._stores.get(ObjectKey(kind, namespace, name))
        return found[1] if found else None

    # -- namespaces

    def take_namespace(self, body: Mapping[str, Any]) -> bool:
        """Take in a namespace. Whether it is new, or its labels or its phase changed."""
        metadata = body["metadata"]
        taken = _Namespace(dict(metadata.get("labels") or {}), bool(metadata.get("deletionTimestamp")))
        before = self._namespaces.get(metadata["name"])
        self._namespaces[metadata["name"]] = taken
        return before != taken

    def drop_namespace(self, name: str) -> None:
        """A namespace is gone."""
        self._namespaces.pop(name, None)

    def namespace_labels(self, name: str) -> Mapping[str, str] | None:
        """See ``sync.stores.Cluster``."""
        found = self._namespaces.get(name)
        return found.labels if found else None

    def is_terminating(self, namespace: str) -> bool:
        """See ``sync.stores.Cluster``."""
        found = self._namespaces.get(namespace)
        return found is not None and found.terminating

    def _unlink(self, key: ObjectKey, kept: _Kept) -> None:
        for store in kept.stores:
            _discard(self._by_store, store, key)
        aiming = tuple(each for each in self._by_target.pop(kept.target, ()) if each != key)
        if aiming:
            self._by_target[kept.target] = aiming

    def _shared(self, stores: frozenset[ObjectKey]) -> frozenset[ObjectKey]:
        """An equal set that another object has already, if there is one: most objects use what others use."""
        for store in stores:
            other = next(iter(self._by_store.get(store, ())), None)
            if other is not None and self._objects[other].stores == stores:
                return self._objects[other].stores
        return stores


def _discard(index: dict[Any, set[ObjectKey]], place: Any, key: ObjectKey) -> None:
    members = index.get(place)
    if members is not None:
        members.discard(key)
        if not members:
            del index[place]


def _intent(metadata: Mapping[str, Any]) -> bytes:
    """A digest of what in an object's metadata tells that a sync has something to look at; the status does not."""
    looked_at = ("uid", "generation", "labels", "annotations", "deletionTimestamp", "finalizers")
    told = orjson.dumps([metadata.get(name) for name in looked_at], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(told, digest_size=16).digest()


def _fitted(text: bytes) -> bytes:
    """A copy that takes the room that it needs: orjson's own results keep a buffer of 16 KiB."""
    return bytes(memoryview(text))


def _target_of(key: ObjectKey, spec: Mapping[str, Any]) -> str:
    name: str = (spec.get("target") or {}).get("name") or key.name
    return name


def _stores_of(namespace: str, spec: Mapping[str, Any]) -> frozenset[ObjectKey]:
    references = [spec.get("secretStoreRef")]
    references += [
        (entry.get("sourceRef") or {}).get("storeRef")
        for entry in (*(spec.get("data") or ()), *(spec.get("dataFrom") or ()))
    ]
    found = set()
    for reference in references:
        if reference and reference.get("name"):
            kind = reference.get("kind") or "SecretStore"
            found.add(ObjectKey(kind, namespace if kind == "SecretStore" else "", reference["name"]))
    return frozenset(found)
