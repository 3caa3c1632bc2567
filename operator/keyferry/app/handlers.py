"""kopf's handlers: each rings a bell and does nothing else.

They are coroutines, though they wait for nothing: kopf would run plain functions in threads. Only ``on.event`` is
used, so that kopf writes nothing of its own on users' objects, neither annotations nor finalizers.
"""

from __future__ import annotations

from typing import Any

import kopf

from keyferry.app.bells import Bells
from keyferry.settings import Settings

_GROUP = "external-secrets.io"
_VERSION = "v1"


def register(registry: kopf.OperatorRegistry, bells: Bells, settings: Settings) -> None:
    """Register the handlers of every kind that these settings serve."""

    @kopf.on.event(_GROUP, _VERSION, "externalsecrets", registry=registry)
    async def on_external_secret(event: kopf.RawEvent, **_: Any) -> None:
        bells.external_secret(event["type"], event["object"])

    @kopf.on.event(_GROUP, _VERSION, "secretstores", registry=registry)
    async def on_store(event: kopf.RawEvent, **_: Any) -> None:
        bells.store("SecretStore", event["type"], event["object"])

    if settings.scope.namespaces:
        # A process that serves some namespaces has no rights to what is cluster-wide.
        return

    @kopf.on.event("", "v1", "namespaces", registry=registry)
    async def on_namespace(event: kopf.RawEvent, **_: Any) -> None:
        bells.namespace(event["type"], event["object"])

    if settings.reconcilers.cluster_store:

        @kopf.on.event(_GROUP, _VERSION, "clustersecretstores", registry=registry)
        async def on_cluster_store(event: kopf.RawEvent, **_: Any) -> None:
            bells.store("ClusterSecretStore", event["type"], event["object"])
