"""Objects for unit tests, as the API server holds them or typed."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from keyferry.api.externalsecret import ExternalSecret
from keyferry.api.store import SecretStore

Json = dict[str, Any]


def es_body(
    name: str = "app", namespace: str = "team", *, status: Mapping[str, Any] | None = None, **spec: Any
) -> Json:
    """An ExternalSecret that reads "k" into "key" from the store "store"; ``metadata`` adds to its metadata."""
    metadata = spec.pop("metadata", {})
    wanted: Json = {
        "secretStoreRef": {"name": "store"},
        "data": [{"secretKey": "key", "remoteRef": {"key": "k"}}],
        **spec,
    }
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-of-{name}",
            "generation": 1,
            "resourceVersion": "5",
            **metadata,
        },
        "spec": wanted,
        **({"status": dict(status)} if status is not None else {}),
    }


def es(name: str = "app", namespace: str = "team", **spec: Any) -> ExternalSecret:
    return ExternalSecret.parse(es_body(name, namespace, **spec))


def store_body(
    name: str = "store", namespace: str = "team", *, ready: str | None = "True", generation: int = 1, **spec: Any
) -> Json:
    """A store; with namespace "" a ClusterSecretStore."""
    conditions = [] if ready is None else [{"type": "Ready", "status": ready, "message": "as checked"}]
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "SecretStore" if namespace else "ClusterSecretStore",
        "metadata": {
            "name": name,
            **({"namespace": namespace} if namespace else {}),
            "uid": f"uid-of-{namespace or 'cluster'}-{name}",
            "generation": generation,
            "resourceVersion": "5",
        },
        "spec": {"provider": {"fake": {"data": [{"key": "k", "value": "v"}]}}, **spec},
        "status": {"conditions": conditions},
    }


def store(name: str = "store", namespace: str = "team", **given: Any) -> SecretStore:
    return SecretStore.parse(store_body(name, namespace, **given))


def secret_body(
    name: str = "app", namespace: str = "team", data: Mapping[str, bytes] | None = None, **metadata: Any
) -> Json:
    """A Secret; ``metadata`` adds to its metadata."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-of-secret-{name}",
            "resourceVersion": "5",
            **metadata,
        },
        "type": "Opaque",
        "data": {key: base64.b64encode(value).decode() for key, value in (data or {}).items()},
    }


def managed_fields(manager: str, *keys: str, labels: tuple[str, ...] = ()) -> list[Json]:
    """``metadata.managedFields`` of a Secret whose ``data`` keys and labels this manager has set."""
    return [
        {
            "manager": manager,
            "operation": "Update",
            "fieldsV1": {
                "f:data": {f"f:{key}": {} for key in keys},
                "f:metadata": {"f:labels": {f"f:{label}": {} for label in labels}},
            },
        }
    ]
