"""The cluster of ``tests/contract/kubeapi``, with our CRDs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio

from keyferry.app.crds import GROUP, KINDS, VERSIONS, definitions
from tests.contract.kubeapi.client import Client
from tests.contract.kubeapi.conftest import CRDS, cluster, has_controllers, plane
from tests.sandbox.controlplane import ControlPlane
from tests.sandbox.kubeapi import KubeApi

__all__ = ["cluster", "has_controllers", "plane"]


@dataclass
class Api:
    """What the tests ask of an API server."""

    client: Client
    plane: KubeApi | ControlPlane | None

    async def create(self, manifest: dict[str, Any], *, validation: str = "Strict") -> dict[str, Any]:
        """What comes back for a POST that stores nothing: the object, or a Status."""
        kind, version = manifest["kind"], manifest["apiVersion"]
        plural = next(entry.plural for entry in KINDS if entry.name == kind)
        namespace = "" if kind.startswith("Cluster") else "/namespaces/default"
        path = f"/apis/{version}{namespace}/{plural}"
        answer = await self.client.post(path, manifest, dryRun="All", fieldValidation=validation)
        found: dict[str, Any] = answer.body
        return found

    def kubeconfig(self, folder: Path) -> Path:
        """An admin's, in a folder of the test's own."""
        if self.plane is None:
            return Path(os.environ["KEYFERRY_TEST_KUBECONFIG"])
        return self.plane.kubeconfig_path(folder)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def api(
    cluster: Client,
    plane: KubeApi | ControlPlane | None,
) -> Api:
    """An API server that serves every version of every kind. The CRDs stay: objects of a user may hang on them."""
    for crd in definitions().values():
        name = crd["metadata"]["name"]
        applied = await cluster.apply(f"{CRDS}/{name}", crd, "contract", force="true")
        assert applied.code in {200, 201}, applied.message
    for kind in KINDS:
        for version in VERSIONS:
            await cluster.until(f"/apis/{GROUP}/{version}/{kind.plural}", 200)
    return Api(cluster, plane)
