"""Google Secret Manager's backend: our double, which lives on the loop of the test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from keyferry.ports import Fetched, Provider
from keyferry.providers.gcpsm import Gcpsm
from keyferry.providers.gcpsm.sites import Sites
from tests.contract.providers.backends import Backend
from tests.sandbox.gcp import PROJECT, Gcp
from tests.support.credentials import make_context


class GcpsmBackend(Backend):
    name: ClassVar[str] = "gcpsm"
    cannot: ClassVar[Mapping[str, str]] = {
        "large": "Google takes 64 KiB; its own tests read that many",
        "unicode": "Google takes letters, digits, hyphens and underscores in names",
    }

    async def start(self) -> None:
        self._gcp = await self._life.enter_async_context(Gcp())
        self.proxy = self._gcp.front
        self._gcp.accounts.issued = self.secrets
        self._login()

    async def put(self, key: str, value: bytes, *, tags: Mapping[str, str] | None = None) -> str:
        return self._gcp.store.put(f"projects/{PROJECT}/secrets/{key}", value, labels=tags)

    async def delete(self, key: str) -> None:
        self._gcp.store.delete(f"projects/{PROJECT}/secrets/{key}")

    def config(self) -> Mapping[str, Any]:
        return {
            "projectID": PROJECT,
            "auth": {"secretRef": {"secretAccessKeySecretRef": {"name": "login", "key": "key.json"}}},
        }

    def value(self, found: object) -> bytes:
        assert isinstance(found, Fetched), repr(found)
        assert isinstance(found.document, bytes)
        return found.document

    async def rotate(self) -> None:
        old = self._key
        self._login()
        self._gcp.accounts.delete_key(old)
        self._gcp.accounts.revoke(old["client_email"])

    async def deny(self) -> None:
        self._gcp.store.granted.clear()

    async def open(self, *, patience: float = 10.0) -> Provider:
        config = Gcpsm.Config.model_validate(self.config())
        sites = Sites(self._gcp.hosts, self._gcp.ca_pem)
        adapter = await Gcpsm.open(config, make_context(self.credentials, timeout=patience), sites=sites)
        self._life.push_async_callback(adapter.aclose)
        return adapter

    def _login(self) -> None:
        self._key = self._gcp.key("reader")
        self.secrets.append(self._key["private_key"])
        self.credentials.secrets["default", "login"] = {"key.json": json.dumps(self._key).encode()}
