"""A GitLab, what it holds, and the adapters opened in one test."""

from __future__ import annotations

from typing import Any

import re2

from keyferry.errors import KeyferryError
from keyferry.ports import Fetched, Query, Ref
from keyferry.providers.gitlab import GitLab
from tests.sandbox import gitlab
from tests.support.credentials import Calls, DictCredentials, make_context


class World:
    """``company`` is above ``shop``, which is above the project ``shop/web``."""

    def __init__(self, server: gitlab.GitLab) -> None:
        self.server = server
        # Made in this order, numbers do not follow the tree.
        self.shop = server.group("company/shop")
        self.company = server.group("company")
        self.project = server.project("company/shop/web", groups=["company", "company/shop"])
        self.token = server.token({self.project: "Maintainer", self.shop: "Owner", self.company: "Owner"})
        self.credentials = DictCredentials(secrets={("default", "gitlab"): {"token": f"{self.token}\n".encode()}})
        self.calls = Calls()
        self._opened: list[GitLab] = []

    def spec(self, **changes: Any) -> dict[str, Any]:
        """The provider's part of a store that reads the project; None takes a field away."""
        spec: dict[str, Any] = {
            "url": self.server.url,
            "projectID": str(self.project),
            "auth": {"SecretRef": {"accessToken": {"name": "gitlab", "key": "token"}}},
        }
        return {name: value for name, value in (spec | changes).items() if value is not None}

    async def open(self, *, context: dict[str, Any] | None = None, **changes: Any) -> GitLab:
        """An adapter. What was asked of the server before is forgotten."""
        made = make_context(self.credentials, observe=self.calls, **(context or {}))
        adapter = await GitLab.open(GitLab.Config.parse(self.spec(**changes)), made)
        self._opened.append(adapter)
        self.server.requests.clear()
        return adapter

    async def aclose(self) -> None:
        for adapter in self._opened:
            await adapter.aclose()

    def asked(self) -> list[str]:
        """Paths of the requests so far, below the API, without their queries."""
        return [request.partition("?")[0].removeprefix("/api/v4") for request in self.server.requests]


async def value(adapter: GitLab, key: str) -> str:
    """The value of a key. Raises the error that it is answered with."""
    answer = (await adapter.read([Ref(key)]))[Ref(key)]
    if isinstance(answer, KeyferryError):
        raise answer
    return text(answer)


async def found(adapter: GitLab, pattern: str = ".", **more: Any) -> dict[str, str]:
    """What a search by name finds, with values."""
    compiled = re2.compile(pattern)
    query = Query(name=pattern, matches=lambda name: bool(compiled.search(name)), **more)
    return {name: text(answer) for name, answer in (await adapter.find(query)).items()}


def text(answer: object) -> str:
    assert isinstance(answer, Fetched)
    assert isinstance(answer.document, bytes)
    return answer.document.decode()
