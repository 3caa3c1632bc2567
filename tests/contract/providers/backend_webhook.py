"""The webhook's backend: an endpoint that asks for a token."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar

from keyferry.ports import Fetched
from tests.contract.providers.backends import Backend
from tests.sandbox.webhook import Hooks
from tests.support.faults import FaultProxy


class WebhookBackend(Backend):
    name = "webhook"
    cannot: ClassVar[Mapping[str, str]] = {
        "binary": "values are taken from JSON here; its own tests read whole answers of any bytes",
        "check": "a store is checked by a connection, as in ESO: there is no key to ask for",
        "metadata": "metadataPolicy is not looked at, as in ESO",
        "names": "an endpoint cannot be searched, as in ESO",
        "tags": "an endpoint cannot be searched, as in ESO",
    }

    async def start(self) -> None:
        self._hooks = await self._life.enter_async_context(Hooks())
        self.proxy = await self._life.enter_async_context(FaultProxy(self._hooks.url))
        self.credentials.labels["default", "login"] = ("external-secrets.io/type", "webhook")
        self._login()

    async def put(self, key: str, value: bytes, *, tags: Mapping[str, str] | None = None) -> str:
        return self._hooks.put(key, value.decode())

    async def delete(self, key: str) -> None:
        self._hooks.delete(key)

    def config(self) -> Mapping[str, Any]:
        return {
            "url": f"{self.proxy.url}/secret?key={{{{ .remoteRef.key }}}}&version={{{{ .remoteRef.version }}}}",
            "headers": {"Authorization": "Bearer {{ .auth.token }}"},
            "result": {"jsonPath": "$.value"},
            "secrets": [{"name": "auth", "secretRef": {"name": "login"}}],
            "caBundle": base64.b64encode(self.proxy.ca_pem).decode(),
        }

    def value(self, found: object) -> bytes:
        assert isinstance(found, Fetched), repr(found)
        assert isinstance(found.document, bytes)
        return found.document

    async def rotate(self) -> None:
        del self._hooks.tokens[self._token]
        self._login()

    async def deny(self) -> None:
        self._hooks.tokens[self._token] = False

    def _login(self) -> None:
        self._token = self._hooks.token()
        self.secrets.append(self._token)
        self.credentials.secrets["default", "login"] = {"token": f"{self._token}\n".encode()}
