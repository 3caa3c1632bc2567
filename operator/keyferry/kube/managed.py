"""What is known of managed Secrets between syncs: never their values, only whether they are as they were written.

The watch selects by ESO's ``managed`` label, so that other people's Secrets never reach this process. Of each Secret
its data are hashed once as it passes by; kept are its resourceVersion and whether the hash agrees with the annotation.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keyferry.kube.client import ObjectKey
from keyferry.kube.watch import newer
from keyferry.shape.hashes import object_hash

MANAGED = "reconcile.external-secrets.io/managed"
CREATED_BY = "reconcile.external-secrets.io/created-by"
DATA_HASH = "reconcile.external-secrets.io/data-hash"


@dataclass(frozen=True, slots=True)
class Seen:
    """A managed Secret as last seen. ``intact``: its data are those of its ``data-hash`` annotation."""

    uid: str
    version: str
    intact: bool
    created_by: str
    owner: str
    """Name of the ExternalSecret that the owner references name as controller; "" where they name none."""


class ManagedSecrets:
    """A ``watch.Sink`` for managed Secrets."""

    def __init__(self, changed: Callable[[ObjectKey], None]) -> None:
        self._changed = changed
        self._seen: dict[ObjectKey, Seen] = {}
        self._by_creator: dict[str, set[ObjectKey]] = defaultdict(set)

    def get(self, namespace: str, name: str) -> Seen | None:
        """The Secret of this name, if it is there and managed."""
        return self._seen.get(ObjectKey("Secret", namespace, name))

    def created_by(self, creator: str, namespace: str, owner: str) -> list[tuple[str, Seen]]:
        """The Secrets of a namespace that carry this ``created-by`` hash and are controlled by this ExternalSecret."""
        keys = (key for key in self._by_creator.get(creator, ()) if key.namespace == namespace)
        found = ((key.name, self._seen[key]) for key in sorted(keys))
        return [(name, seen) for name, seen in found if seen.owner == owner]

    def note(self, body: Mapping[str, Any]) -> None:
        """Take in what a write of ours answered, ahead of the watch."""
        metadata = body["metadata"]
        key = ObjectKey("Secret", metadata["namespace"], metadata["name"])
        if MANAGED in (metadata.get("labels") or {}):
            self._take(key, body)

    def seen(self, key: ObjectKey, body: Mapping[str, Any]) -> None:
        """See ``watch.Sink``."""
        if self._take(key, body):
            self._changed(key)

    def known(self, kind: str, namespace: str) -> set[ObjectKey]:
        """See ``watch.Sink``."""
        return {key for key in self._seen if key.kind == kind and namespace in {"", key.namespace}}

    def gone(self, key: ObjectKey) -> None:
        """See ``watch.Sink``."""
        old = self._seen.pop(key, None)
        if old is not None:
            self._by_creator[old.created_by].discard(key)
            if not self._by_creator[old.created_by]:
                del self._by_creator[old.created_by]
        self._changed(key)

    def __len__(self) -> int:
        return len(self._seen)

    def _take(self, key: ObjectKey, body: Mapping[str, Any]) -> bool:
        metadata = body["metadata"]
        old = self._seen.get(key)
        version: str = metadata["resourceVersion"]
        if old is not None and old.uid == metadata["uid"] and not newer(version, old.version):
            return False
        labels = metadata.get("labels") or {}
        new = Seen(
            uid=metadata["uid"],
            version=version,
            intact=labels.get(MANAGED) == "true" and is_intact(body),
            created_by=labels.get(CREATED_BY, ""),
            owner=_owner(metadata),
        )
        if old is not None and old.created_by != new.created_by:
            self._by_creator[old.created_by].discard(key)
        self._by_creator[new.created_by].add(key)
        self._seen[key] = new
        return True


def is_external_secret(reference: Mapping[str, Any]) -> bool:
    """Whether an owner reference names an ExternalSecret, of whatever version."""
    group = str(reference.get("apiVersion", "")).partition("/")[0]
    return group == "external-secrets.io" and reference.get("kind") == "ExternalSecret"


def _owner(metadata: Mapping[str, Any]) -> str:
    owners = (each for each in metadata.get("ownerReferences") or () if each.get("controller"))
    return next((str(each.get("name")) for each in owners if is_external_secret(each)), "")


def is_intact(body: Mapping[str, Any]) -> bool:
    """Whether the Secret's data are those that its ``data-hash`` annotation tells of."""
    annotations = body["metadata"].get("annotations") or {}
    return bool(annotations.get(DATA_HASH) == object_hash(data_of(body)))


def data_of(body: Mapping[str, Any]) -> dict[str, bytes]:
    """The Secret's data, decoded."""
    return {key: base64.b64decode(value or "") for key, value in (body.get("data") or {}).items()}
