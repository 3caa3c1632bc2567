from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from keyferry.errors import Unreachable
from tests.unit.providers.kubecluster import Cluster, document, reads


class TestLogin:
    """Each way to log in, against an API server that checks it."""

    @pytest.fixture(autouse=True)
    async def rights(self, cluster: Cluster) -> None:
        await cluster.allow("get")
        await cluster.secret("db", {"user": b"admin"})

    def kubeconfig(self, cluster: Cluster, user: dict[str, Any], **about: Any) -> dict[str, Any]:
        """Put a kubeconfig into the Secret ``kubeconfig``; the result is the store's configuration."""
        ca = base64.b64encode(cluster.api.ca_pem.encode()).decode()
        content = {
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [
                {"name": "c", "cluster": {"server": cluster.api.url, "certificate-authority-data": ca, **about}}
            ],
            "users": [{"name": "u", "user": user}],
        }
        cluster.credentials.secrets["default", "kubeconfig"] = {"config": json.dumps(content).encode()}
        return {"auth": None, "server": None, "authRef": {"name": "kubeconfig", "key": "config"}}

    async def test_by_a_bearer_token(self, cluster: Cluster) -> None:
        assert document(await reads(await cluster.open())) == {"user": b"admin"}

    async def test_by_a_client_certificate(self, cluster: Cluster) -> None:
        cert, key = cluster.api.authority.issue("reader", ())
        cluster.credentials.secrets["default", "pair"] = {"c": cert.encode(), "k": key.encode()}
        names = {"clientCert": {"name": "pair", "key": "c"}, "clientKey": {"name": "pair", "key": "k"}}
        assert document(await reads(await cluster.open(auth={"cert": names}))) == {"user": b"admin"}

    async def test_by_a_token_in_a_kubeconfig(self, cluster: Cluster) -> None:
        config = self.kubeconfig(cluster, {"token": "reader-token"})
        assert document(await reads(await cluster.open(**config))) == {"user": b"admin"}

    async def test_by_a_certificate_in_a_kubeconfig(self, cluster: Cluster) -> None:
        cert, key = (base64.b64encode(part.encode()).decode() for part in cluster.api.authority.issue("reader", ()))
        config = self.kubeconfig(cluster, {"client-certificate-data": cert, "client-key-data": key})
        assert document(await reads(await cluster.open(**config))) == {"user": b"admin"}

    async def test_to_a_server_that_the_kubeconfig_says_not_to_verify(self, cluster: Cluster) -> None:
        config = self.kubeconfig(
            cluster,
            {"token": "reader-token"},
            **{"certificate-authority-data": None, "insecure-skip-tls-verify": True},
        )
        assert document(await reads(await cluster.open(**config))) == {"user": b"admin"}

    async def test_to_a_server_whose_certificate_has_another_name(self, cluster: Cluster) -> None:
        known = self.kubeconfig(cluster, {"token": "reader-token"}, **{"tls-server-name": "localhost"})
        assert document(await reads(await cluster.open(**known))) == {"user": b"admin"}
        unknown = self.kubeconfig(cluster, {"token": "reader-token"}, **{"tls-server-name": "elsewhere.example"})
        assert isinstance(await reads(await cluster.open(**unknown)), Unreachable)
