"""GitLab's backend."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar

from keyferry.ports import Fetched
from tests.contract.providers.backends import Backend
from tests.sandbox.gitlab import GitLab
from tests.support.faults import FaultProxy


class GitLabBackend(Backend):
    name = "gitlab"
    cannot: ClassVar[Mapping[str, str]] = {
        "binary": "values are text",
        "large": "GitLab takes 10,000 characters; its own tests read that many",
        "metadata": "metadataPolicy is not looked at, as in ESO",
        "tags": "the environment is all that is searched by, as in ESO; its own tests do",
        "unicode": "GitLab takes letters, digits and underscores in keys",
        "versions": "GitLab keeps the newest value only",
    }

    async def start(self) -> None:
        self._gitlab = await self._life.enter_async_context(GitLab())
        self.proxy = await self._life.enter_async_context(FaultProxy(self._gitlab.url))
        self._project = self._gitlab.project(f"shop/{self.unique}")
        self._login()

    async def put(self, key: str, value: bytes, *, tags: Mapping[str, str] | None = None) -> str:
        self._gitlab.put(self._project, key.replace("-", "_"), value.decode())
        return ""

    async def delete(self, key: str) -> None:
        self._gitlab.delete(self._project, key.replace("-", "_"))

    def config(self) -> Mapping[str, Any]:
        return {
            "url": self.proxy.url,
            "caBundle": base64.b64encode(self.proxy.ca_pem).decode(),
            "projectID": str(self._project),
            "auth": {"SecretRef": {"accessToken": {"name": "login", "key": "token"}}},
        }

    def value(self, found: object) -> bytes:
        assert isinstance(found, Fetched), repr(found)
        assert isinstance(found.document, bytes)
        return found.document

    async def rotate(self) -> None:
        self._gitlab.tokens[self._token].state = "revoked"
        self._login()

    async def deny(self) -> None:
        self._gitlab.tokens[self._token].roles[self._project] = "Developer"

    def _login(self) -> None:
        self._token = self._gitlab.token({self._project: "Maintainer"})
        self.secrets.append(self._token)
        self.credentials.secrets["default", "login"] = {"token": self._token.encode()}
