"""The kubernetes provider's backend."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from keyferry.kubehttp import KubeHttp
from keyferry.providers.kubernetes import Kubernetes
from keyferry.transport import ssl_context
from tests.sandbox.kubeapi import KubeApi
from tests.unit.providers.kubecluster import Cluster


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with KubeApi(controllers=False) as api:
        api.add_user("reader-token", "reader")
        admin = KubeHttp.direct(
            server=api.url, ssl=ssl_context(api.ca_pem.encode()), token=api.admin_token, user_agent="test"
        )
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "remote"}}
        await admin.request("POST", "/api/v1/namespaces", body=body)
        yield Cluster(api, admin)
        await admin.aclose()
        assert not api.errors


@pytest.fixture
async def adapter(cluster: Cluster) -> AsyncIterator[Kubernetes]:
    await cluster.allow("get", "list")
    opened = await cluster.open()
    cluster.api.requests.clear()
    yield opened
    await opened.aclose()
