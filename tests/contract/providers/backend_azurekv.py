"""Azure Key Vault: a vault on loopback under its real name, with the proxy for trouble on the way to it."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Mapping
from typing import Any, ClassVar
from unittest import mock

from keyferry.ports import Fetched
from tests.contract.providers.backends import Backend
from tests.sandbox.azure import READ, TENANT, AzureCloud
from tests.support.faults import FaultProxy


class AzureKVBackend(Backend):
    name = "azurekv"
    cannot: ClassVar[Mapping[str, str]] = {
        "binary": "values are text in JSON",
        "large": "a secret has 25 KB at most; tests/contract/azurekv reads one",
        "unicode": "names are letters, digits and hyphens",
    }

    async def start(self) -> None:
        self._cloud = await self._life.enter_async_context(AzureCloud())
        self._vault = self._cloud.vault(self.unique)
        self._vault.rights["reader"] = READ
        self._application = self._cloud.entra.register("reader")
        self.proxy = FaultProxy(await self._cloud.listen(self._vault.host), ca=self._cloud.ca_pem)
        # The proxy stands where the vault is expected, under its name.
        self.proxy._pair, self.proxy.ca_pem = self._cloud.pair(self._vault.host), self._cloud.ca_pem
        await self._life.enter_async_context(self.proxy)
        self._cloud.routes[self._vault.host] = int(self.proxy.url.rpartition(":")[2])
        self._life.enter_context(mock.patch.dict(os.environ, self._cloud.environment))
        self._login()

    async def put(self, key: str, value: bytes, *, tags: Mapping[str, str] | None = None) -> str:
        return self._vault.put(key, value.decode(), tags=tags).id

    async def delete(self, key: str) -> None:
        self._vault.delete("secrets", key)

    def config(self) -> Mapping[str, Any]:
        return {
            "vaultUrl": self._vault.url,
            "tenantId": TENANT,
            "authSecretRef": {
                "clientId": {"name": "login", "key": "id"},
                "clientSecret": {"name": "login", "key": "secret"},
            },
        }

    def value(self, found: object) -> bytes:
        assert isinstance(found, Fetched), repr(found)
        assert isinstance(found.document, bytes)
        return found.document

    async def rotate(self) -> None:
        self._application.secrets.clear()
        self._cloud.entra.revoke("reader")
        self._login()

    async def deny(self) -> None:
        self._vault.rights["reader"] = frozenset()

    def _login(self) -> None:
        secret = secrets.token_urlsafe(24)
        self._application.secrets[secret] = math.inf
        self.secrets.append(secret)
        self.credentials.secrets["default", "login"] = {"id": b"reader", "secret": secret.encode()}
