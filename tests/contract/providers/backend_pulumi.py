"""Pulumi's backend. Its API has no field for authorities, so the proxy before it speaks plain http."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from keyferry.ports import Fetched
from tests.contract.providers.backends import Backend
from tests.sandbox.pulumi import Pulumi
from tests.support.faults import FaultProxy


class PulumiBackend(Backend):
    name = "pulumi"
    cannot: ClassVar[Mapping[str, str]] = {
        "binary": "values are text",
        "metadata": "metadataPolicy is not looked at, as in ESO",
        "names": "an environment is not searched, as in ESO",
        "tags": "an environment is not searched, as in ESO",
    }

    async def start(self) -> None:
        self._pulumi = await self._life.enter_async_context(Pulumi())
        self.proxy = await self._life.enter_async_context(FaultProxy(self._pulumi.url, tls=False))
        self._environment = f"acme/shop/{self.unique}"
        self._values: dict[str, str] = {}
        self._pulumi.put(self._environment, {})
        self._login()

    async def put(self, key: str, value: bytes, *, tags: Mapping[str, str] | None = None) -> str:
        self._values[key] = value.decode()
        return str(self._pulumi.put(self._environment, self._values))

    async def delete(self, key: str) -> None:
        del self._values[key]
        self._pulumi.put(self._environment, self._values)

    def config(self) -> Mapping[str, Any]:
        organization, project, environment = self._environment.split("/")
        return {
            "apiUrl": f"{self.proxy.url}/api/esc",
            "organization": organization,
            "project": project,
            "environment": environment,
            "auth": {"accessToken": {"secretRef": {"name": "login", "key": "token"}}},
        }

    def value(self, found: object) -> bytes:
        assert isinstance(found, Fetched), repr(found)
        assert isinstance(found.document, bytes)
        return found.document

    async def rotate(self) -> None:
        del self._pulumi.tokens[self._token]
        self._login()

    async def deny(self) -> None:
        self._pulumi.tokens[self._token][self._environment] = "read"

    def _login(self) -> None:
        self._token = self._pulumi.token({self._environment: "open"})
        self.secrets.append(self._token)
        self.credentials.secrets["default", "login"] = {"token": self._token.encode()}
