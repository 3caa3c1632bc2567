"""What the contract suite needs of every backend: fill it, take away rights, turn credentials over.

A backend says what it ``cannot`` do, with the reason. A test that needs an ability runs on every backend that has it,
and ``test_guards.py`` sees to it that no ability is missing without a reason.
"""

from __future__ import annotations

import asyncio
import base64
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Self

import hvac
import hvac.exceptions

from keyferry.kubehttp import KubeHttp
from keyferry.ports import Fetched, Provider
from keyferry.providers import load
from keyferry.transport import ssl_context
from tests.support.credentials import DictCredentials, make_context
from tests.support.faults import FaultProxy, Faults

ABILITIES = {
    "binary": "a value may be any bytes",
    "check": "the store's own check asks the backend with the credential",
    "credential": "there is a credential that can be replaced or lose its rights",
    "empty": "a value may be empty",
    "large": "a value may have 900 KiB",
    "metadata": "secrets have metadata of their own",
    "names": "secrets are found by their names",
    "network": "the backend is reached over HTTP",
    "tags": "secrets are found by tags",
    "unicode": "names may have any letter",
    "versions": "earlier versions of a secret can be read",
}
FIELD = "value"
"""The field of a secret that holds the value, where secrets have fields."""


@dataclass(frozen=True)
class Servers:
    """What runs once for all tests."""

    kube_url: str
    kube_ca: str
    kube_token: str
    bao_url: str
    bao_ca: str
    bao_ca_file: str
    bao_token: str


class Backend(ABC):
    """One backend for one test. ``unique`` keeps tests apart that share a server."""

    name: ClassVar[str]
    """The provider's name in the registry."""
    variant: ClassVar[str] = ""
    """Put behind the name, where a provider has several services."""
    cannot: ClassVar[Mapping[str, str]]
    """Ability → why this backend does not have it."""
    proxy: Faults

    def __init__(self, servers: Servers, unique: str) -> None:
        self.servers = servers
        self.unique = unique
        self.credentials = DictCredentials()
        self.secrets: list[str] = []
        """Credentials that must not be shown, besides values."""
        self._life = AsyncExitStack()

    @abstractmethod
    async def put(self, key: str, value: bytes, *, tags: Mapping[str, str] | None = None) -> str:
        """Store a value; the result is how a Ref asks for exactly this version, "" where it cannot."""

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Remove a secret and all its versions."""

    @abstractmethod
    def config(self) -> Mapping[str, Any]:
        """The store's ``spec.provider.<name>``."""

    def value(self, found: object) -> bytes:
        """The value that was ``put``, out of what the adapter answers."""
        assert isinstance(found, Fetched), repr(found)
        assert isinstance(found.document, bytes)
        fields = json.loads(found.document)
        assert isinstance(fields, dict)
        text: str = fields[FIELD]
        return text.encode()

    async def rotate(self) -> None:
        """Replace the credential; the old one is worth nothing any more."""
        raise NotImplementedError

    async def deny(self) -> None:
        """Take the credential's rights away."""
        raise NotImplementedError

    @abstractmethod
    async def start(self) -> None:
        """Make ready; what has to be undone goes onto ``self._life``."""

    async def open(self, *, patience: float = 10.0) -> Provider:
        """A new adapter with the credential of now. It is closed with the backend, if not before."""
        provider = load(self.name)
        config = provider.Config.model_validate(self.config())
        adapter = await provider.open(config, make_context(self.credentials, timeout=patience))
        self._life.push_async_callback(adapter.aclose)
        return adapter

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self._life.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._life.aclose()


class FakeBackend(Backend):
    name = "fake"
    cannot: ClassVar[Mapping[str, str]] = {
        "binary": "values stand in a manifest, as text",
        "credential": "there is no login",
        "empty": "a value has to be set, as in ESO",
        "metadata": "values have no metadata; metadataPolicy is not looked at, as in ESO",
        "network": "nothing leaves the process",
        "tags": "only names are searched, as in ESO",
    }

    async def start(self) -> None:
        self._items: list[dict[str, str]] = []

    async def put(self, key: str, value: bytes, *, tags: Mapping[str, str] | None = None) -> str:
        version = f"{sum(item['key'] == key for item in self._items):03}"
        text = value.decode()
        self._items = [item for item in self._items if (item["key"], item["version"]) != (key, "")]
        self._items += [{"key": key, "value": text, "version": found} for found in (version, "")]
        return version

    async def delete(self, key: str) -> None:
        self._items = [item for item in self._items if item["key"] != key]

    def config(self) -> Mapping[str, Any]:
        return {"data": list(self._items)}

    def value(self, found: object) -> bytes:
        assert isinstance(found, Fetched), repr(found)
        assert isinstance(found.document, bytes)
        return found.document


class KubernetesBackend(Backend):
    name = "kubernetes"
    cannot: ClassVar[Mapping[str, str]] = {
        "unicode": "the API server takes DNS names only",
        "versions": "the API server keeps the newest version only",
    }

    async def start(self) -> None:
        context = ssl_context(self.servers.kube_ca.encode())
        self._admin = KubeHttp.direct(
            server=self.servers.kube_url, ssl=context, token=self.servers.kube_token, user_agent="contract"
        )
        self._life.push_async_callback(self._admin.aclose)
        self.proxy = await self._life.enter_async_context(FaultProxy(self.servers.kube_url, ca=self.servers.kube_ca))
        self._account = 0
        await self._create("/api/v1/namespaces", "v1", "Namespace", self.unique)
        rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}]
        await self._create(f"{self._rbac}/roles", "rbac.authorization.k8s.io/v1", "Role", "reader", rules=rules)
        await self._login()

    async def put(self, key: str, value: bytes, *, tags: Mapping[str, str] | None = None) -> str:
        secret = {
            "metadata": {"name": key, "labels": dict(tags or {})},
            "data": {FIELD: base64.b64encode(value).decode()},
        }
        await self._admin.request(
            "PATCH",
            f"{self._secrets}/{key}",
            query={"fieldManager": "contract", "force": "true"},
            body={"apiVersion": "v1", "kind": "Secret", **secret},
            content_type="application/apply-patch+yaml",
        )
        return ""

    async def delete(self, key: str) -> None:
        await self._admin.request("DELETE", f"{self._secrets}/{key}")

    def config(self) -> Mapping[str, Any]:
        return {
            "server": {"url": self.proxy.url, "caBundle": base64.b64encode(self.proxy.ca_pem).decode()},
            "auth": {"token": {"bearerToken": {"name": "login", "key": "token"}}},
            "remoteNamespace": self.unique,
        }

    def value(self, found: object) -> bytes:
        assert isinstance(found, Fetched), repr(found)
        assert not isinstance(found.document, bytes)
        return found.document[FIELD]

    async def rotate(self) -> None:
        old = self._account
        await self._login()
        await self._admin.request("DELETE", f"/api/v1/namespaces/{self.unique}/serviceaccounts/account-{old}")

    async def deny(self) -> None:
        await self._admin.request("DELETE", f"{self._rbac}/rolebindings/account-{self._account}")

    async def _login(self) -> None:
        self._account += 1
        name = f"account-{self._account}"
        await self._create(f"/api/v1/namespaces/{self.unique}/serviceaccounts", "v1", "ServiceAccount", name)
        await self._create(
            f"{self._rbac}/rolebindings",
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            name,
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            subjects=[{"kind": "ServiceAccount", "name": name, "namespace": self.unique}],
        )
        answer = await self._admin.request(
            "POST",
            f"/api/v1/namespaces/{self.unique}/serviceaccounts/{name}/token",
            body={
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"expirationSeconds": 3600},
            },
        )
        token = answer["status"]["token"]
        self.secrets.append(token)
        self.credentials.secrets["default", "login"] = {"token": token.encode()}

    async def _create(self, path: str, version: str, kind: str, name: str, **more: Any) -> None:
        body = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **more}
        await self._admin.request("POST", path, body=body)

    @property
    def _secrets(self) -> str:
        return f"/api/v1/namespaces/{self.unique}/secrets"

    @property
    def _rbac(self) -> str:
        return f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.unique}"


class VaultBackend(Backend):
    name = "vault"
    cannot: ClassVar[Mapping[str, str]] = {"binary": "values are strings of JSON documents"}

    async def start(self) -> None:
        self._admin = self._client(self.servers.bao_token)
        self._life.callback(self._admin.adapter.close)
        self._admin.sys.enable_secrets_engine("kv", path=self.unique, options={"version": "2"})
        async with asyncio.timeout(20):
            while not self._mounted():  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
        self.proxy = await self._life.enter_async_context(FaultProxy(self.servers.bao_url, ca=self.servers.bao_ca))
        self._admin.sys.create_or_update_policy(
            self.unique, f'path "{self.unique}/*" {{ capabilities = ["read", "list"] }}'
        )
        self._login()

    async def put(self, key: str, value: bytes, *, tags: Mapping[str, str] | None = None) -> str:
        kv = self._admin.secrets.kv.v2
        answer = kv.create_or_update_secret(key, {FIELD: value.decode()}, mount_point=self.unique)
        if tags:
            kv.update_metadata(key, mount_point=self.unique, custom_metadata=dict(tags))
        return str(answer["data"]["version"])

    async def delete(self, key: str) -> None:
        self._admin.secrets.kv.v2.delete_metadata_and_all_versions(key, mount_point=self.unique)

    def config(self) -> Mapping[str, Any]:
        return {
            "server": self.proxy.url,
            "path": self.unique,
            "version": "v2",
            "caBundle": base64.b64encode(self.proxy.ca_pem).decode(),
            "auth": {"tokenSecretRef": {"name": "login", "key": "token"}},
        }

    async def rotate(self) -> None:
        old = self._token
        self._login()
        self._admin.auth.token.revoke(old)

    async def deny(self) -> None:
        self._admin.sys.create_or_update_policy(self.unique, f'path "{self.unique}/nothing" {{ capabilities = [] }}')

    def _mounted(self) -> bool:
        """Whether the new mount serves: for a moment it says that it is being upgraded."""
        try:
            self._admin.secrets.kv.v2.list_secrets("", mount_point=self.unique)
        except hvac.exceptions.InvalidPath:
            return True
        except hvac.exceptions.InvalidRequest:
            return False
        return True

    def _login(self) -> None:
        self._token = self._admin.auth.token.create(policies=[self.unique], ttl="1h")["auth"]["client_token"]
        self.secrets.append(self._token)
        self.credentials.secrets["default", "login"] = {"token": self._token.encode()}

    def _client(self, token: str) -> Any:
        return hvac.Client(url=self.servers.bao_url, token=token, verify=self.servers.bao_ca_file, cert=(), timeout=10)


class OpenBaoBackend(VaultBackend):
    name = "openBao"
    cannot: ClassVar[Mapping[str, str]] = {
        **VaultBackend.cannot,
        "metadata": "metadataPolicy is not looked at, as in ESO",
        "tags": "only names are searched, as in ESO",
    }


# They are made of what stands above.
from tests.contract.providers.backend_aws import AWS  # noqa: E402 -- see above
from tests.contract.providers.backend_azurekv import AzureKVBackend  # noqa: E402 -- see above
from tests.contract.providers.backend_gcpsm import GcpsmBackend  # noqa: E402 -- see above
from tests.contract.providers.backend_gitlab import GitLabBackend  # noqa: E402 -- see above
from tests.contract.providers.backend_pulumi import PulumiBackend  # noqa: E402 -- see above
from tests.contract.providers.backend_webhook import WebhookBackend  # noqa: E402 -- see above

_KINDS: tuple[type[Backend], ...] = (*AWS, AzureKVBackend, FakeBackend, GcpsmBackend, GitLabBackend, KubernetesBackend)
_KINDS += (OpenBaoBackend, PulumiBackend, VaultBackend, WebhookBackend)
BACKENDS: Mapping[str, type[Backend]] = {f"{kind.name}{kind.variant}": kind for kind in _KINDS}
