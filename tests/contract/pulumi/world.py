"""A Pulumi, what it holds, and the adapters opened in one test."""

from __future__ import annotations

from typing import Any

from keyferry.errors import KeyferryError
from keyferry.ports import Fetched, Ref
from keyferry.providers.pulumi import Pulumi
from tests.sandbox import pulumi
from tests.support.credentials import Calls, DictCredentials, make_context

NAME = "acme/shop/prod"
"""The environment of all stores here."""
OIDC: dict[str, Any] = {"oidcConfig": {"organization": "acme", "serviceAccountRef": {"name": "app"}}}
"""``auth`` by the ServiceAccount ``app``."""


class World:
    """See the module."""

    def __init__(self, server: pulumi.Pulumi) -> None:
        self.server = server
        self.token = server.token({NAME: "open"})
        self.credentials = DictCredentials(secrets={("default", "pulumi"): {"token": f"{self.token}\n".encode()}})
        self.calls = Calls()
        self._opened: list[Pulumi] = []

    def put(self, **values: Any) -> int:
        """A new revision of the environment."""
        return self.server.put(NAME, values)

    async def open(self, *, context: dict[str, Any] | None = None, **changes: Any) -> Pulumi:
        """An adapter; None takes a field of the spec away. What was asked of the server before is forgotten."""
        spec: dict[str, Any] = {
            "apiUrl": f"{self.server.url}/api/esc",
            **dict(zip(("organization", "project", "environment"), NAME.split("/"), strict=True)),
            "auth": {"accessToken": {"secretRef": {"name": "pulumi", "key": "token"}}},
        }
        given = {name: value for name, value in (spec | changes).items() if value is not None}
        made = make_context(self.credentials, observe=self.calls, **(context or {}))
        adapter = await Pulumi.open(Pulumi.Config.parse(given), made)
        self._opened.append(adapter)
        self.server.requests.clear()
        return adapter

    async def aclose(self) -> None:
        for adapter in self._opened:
            await adapter.aclose()


async def value(adapter: Pulumi, key: str, version: str = "") -> str:
    """The value of a key. Raises the error that it is answered with."""
    ref = Ref(key, version)
    answer = (await adapter.read([ref]))[ref]
    if isinstance(answer, KeyferryError):
        raise answer
    return text(answer)


def text(answer: object) -> str:
    assert isinstance(answer, Fetched)
    assert isinstance(answer.document, bytes)
    return answer.document.decode()
