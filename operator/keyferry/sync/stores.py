"""Who may use which store: classes, readiness, namespace conditions (eso-facts 1.7, 1.10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from keyferry.api.externalsecret import ExternalSecret, SecretStoreRef
from keyferry.api.store import SecretStore
from keyferry.errors import BadSpec, Denied, NotReady
from keyferry.shape.keys import compile_name


class Cluster(Protocol):
    """What is known of the cluster without asking it."""

    def store(self, kind: str, namespace: str, name: str) -> SecretStore | None:
        """The store as last seen; namespace "" for a ClusterSecretStore."""
        ...

    def namespace_labels(self, name: str) -> Mapping[str, str] | None:
        """The labels of a namespace; None for one that was not seen."""
        ...

    def is_terminating(self, namespace: str) -> bool:
        """Whether the namespace is going away."""
        ...


@dataclass(frozen=True, slots=True)
class Gate:
    """The rules for using stores, as this process is set up."""

    cluster: Cluster
    controller_class: str
    flood_gate: bool
    cluster_stores: bool
    """Whether this process sees ClusterSecretStores at all."""

    def is_ours(self, es: ExternalSecret) -> bool:
        """Whether every store that the object refers to is of this process's class. Stores that are absent count."""
        found = (self._find(ref, es.metadata.namespace) for ref in references(es))
        return all(store is None or self.serves(store) for store in found)

    def misses_a_store(self, es: ExternalSecret) -> bool:
        """Whether a store that the object refers to is not there, and may come."""
        kinds = {"SecretStore", "ClusterSecretStore"} if self.cluster_stores else {"SecretStore"}
        return any(self._find(ref, es.metadata.namespace) is None for ref in references(es) if ref.kind in kinds)

    def serves(self, store: SecretStore) -> bool:
        """Whether the store is of this process's class."""
        return store.spec.controller in {"", self.controller_class}

    def open(self, ref: SecretStoreRef, namespace: str) -> SecretStore:
        """The store for an object in a namespace.

        Raises ``BadSpec``, ``Denied`` or ``NotReady`` where it may not be used, or not yet.
        """
        if not ref.name:
            raise BadSpec(
                "no store is named", remedy="set spec.secretStoreRef.name, or sourceRef.storeRef of the entry"
            )
        if ref.kind == "ClusterSecretStore" and not self.cluster_stores:
            raise NotReady(
                f'ClusterSecretStore "{ref.name}" cannot be used: this Keyferry serves no ClusterSecretStores',
                remedy="use a SecretStore, or run Keyferry for the whole cluster with its cluster store reconciler on",
            )
        store = self._find(ref, namespace)
        if store is None:
            where = f' in namespace "{namespace}"' if ref.kind == "SecretStore" else ""
            raise NotReady(
                f'{ref.kind} "{ref.name}" does not exist{where}',
                remedy="create it, or correct the reference to it",
            )
        if ref.kind == "ClusterSecretStore" and not self.allows(store, namespace):
            raise Denied(
                f'using cluster store "{ref.name}" is not allowed from namespace "{namespace}": '
                "denied by spec.condition",
                remedy="add the namespace to the store's spec.conditions",
            )
        if self.flood_gate:
            _refuse_unready(store)
        return store

    def allows(self, store: SecretStore, namespace: str) -> bool:
        """Whether a ClusterSecretStore's conditions let a namespace use it. Raises ``BadSpec``, ``NotReady``."""
        if not store.spec.conditions:
            return True
        labels = self.cluster.namespace_labels(namespace)
        selectors = [each.namespace_selector for each in store.spec.conditions if each.namespace_selector is not None]
        for condition in store.spec.conditions:
            if namespace in condition.namespaces:
                return True
            if any(compile_name(pattern)(namespace) for pattern in condition.namespace_regexes):
                return True
        if selectors and labels is None:
            # A demand that a label be absent would be met by a namespace of which nothing is known yet.
            raise NotReady(f'the labels of namespace "{namespace}" are not known yet', pending=True)
        return any(selector.matches(labels or {}) for selector in selectors)

    def _find(self, ref: SecretStoreRef, namespace: str) -> SecretStore | None:
        return self.cluster.store(ref.kind, namespace if ref.kind == "SecretStore" else "", ref.name or "")


def references(es: ExternalSecret) -> tuple[SecretStoreRef, ...]:
    """Every store that the object refers to, each once."""
    found = [es.spec.secret_store_ref]
    sources = [*(entry.source_ref for entry in es.spec.data), *(entry.source_ref for entry in es.spec.data_from)]
    found += [source.store_ref for source in sources if source is not None and source.store_ref is not None]
    return tuple(dict.fromkeys(ref for ref in found if ref.name))


def _refuse_unready(store: SecretStore) -> None:
    ready = next((each for each in store.status.conditions if each.type == "Ready"), None)
    if ready is not None and ready.status == "True":
        return
    raise NotReady(
        f'{store.kind} "{store.metadata.name}" is not ready',
        remedy=(ready.message or "") if ready is not None else "",
        pending=ready is None,
    )
