"""The examples of docs/, as an API server and the providers take them."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyferry.providers import load
from tests.contract.crds.conftest import Api
from tests.support import pages

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXAMPLES = sorted((pages.DOCS / "examples").glob("*.yaml"))
CORE = {
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
}
"""Paths of the kinds that examples hold besides ours."""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_examples_are_accepted_by_a_strict_api_server(api: Api, path: Path) -> None:
    for found in pages.objects(path):
        manifest = {**found, "metadata": {"name": found["metadata"]["name"]}}
        if found["kind"] not in CORE:
            answer = await api.create(manifest)
        else:
            place = CORE[found["kind"]].format(namespace="default")
            answer = (await api.client.post(place, manifest, dryRun="All", fieldValidation="Strict")).body
        assert answer["kind"] == found["kind"], answer
        if found["kind"].endswith("SecretStore"):
            for name, config in found["spec"]["provider"].items():
                load(name).Config.parse(config, at=f"spec.provider.{name}")
