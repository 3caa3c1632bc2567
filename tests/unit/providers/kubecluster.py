"""An API server as the kubernetes provider's backend, and what tests do with it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from keyferry.errors import KeyferryError
from keyferry.kubehttp import KubeHttp
from keyferry.ports import Fetched, Ref
from keyferry.providers.kubernetes import Kubernetes
from keyferry.providers.kubernetes.config import KubernetesConfig
from tests.sandbox.kubeapi import KubeApi
from tests.support.credentials import Calls, DictCredentials, make_context

CANARY = "canary-93d4"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


class Cluster:
    """A sandbox API server with a namespace ``remote``, and a user ``reader`` whose token is ``reader-token``."""

    def __init__(self, api: KubeApi, admin: KubeHttp) -> None:
        self.api = api
        self.admin = admin
        self.credentials = DictCredentials(secrets={("default", "login"): {"token": b"reader-token\n"}})
        self.calls = Calls()

    async def secret(self, name: str, data: Mapping[str, bytes], **metadata: Any) -> None:
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, **metadata}, "data": encoded}
        await self.admin.request("POST", "/api/v1/namespaces/remote/secrets", body=body)

    async def allow(self, *verbs: str) -> None:
        """Let ``reader`` do this with Secrets of ``remote``, and nothing else."""
        role = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "reader"},
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": list(verbs)}],
        }
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "reader"}],
        }
        await self.admin.request("POST", f"{RBAC}/namespaces/remote/roles", body=role)
        await self.admin.request("POST", f"{RBAC}/namespaces/remote/rolebindings", body=binding)

    @property
    def server(self) -> dict[str, str]:
        return {"url": self.api.url, "caBundle": base64.b64encode(self.api.ca_pem.encode()).decode()}

    async def open(self, **config: Any) -> Kubernetes:
        given = {
            "server": self.server,
            "auth": {"token": {"bearerToken": {"name": "login", "key": "token"}}},
            "remoteNamespace": "remote",
        } | config
        model = KubernetesConfig.model_validate({key: value for key, value in given.items() if value is not None})
        return await Kubernetes.open(model, make_context(self.credentials, observe=self.calls))


def document(result: object) -> Any:
    assert isinstance(result, Fetched), repr(result)
    return result.document


async def reads(adapter: Kubernetes) -> KeyferryError | Fetched:
    """What a read of the Secret ``db`` gives; the adapter is closed."""
    found = await adapter.read([Ref("db")])
    await adapter.aclose()
    return found[Ref("db")]
