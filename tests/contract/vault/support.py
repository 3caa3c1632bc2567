"""A server, a cluster's objects, and the adapters opened in one test."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from keyferry.errors import KeyferryError
from keyferry.ports import Fetched, Ref
from keyferry.providers.vault import OpenBao, Vault
from tests.contract.vault.stub import Reply
from tests.sandbox import openbao
from tests.support.credentials import Calls, DictCredentials, make_context

DEADLINE_SECONDS = 20.0
SECRET = Reply(body={"data": {"data": {"k": "v"}, "metadata": {"version": 1}}})
"""A stub's answer to a read."""
PLAIN: dict[str, Any] = {"path": "secret", "auth": None}
"""The spec of a store without a login."""


@dataclass
class World:
    """Opens adapters for a server; closes them in the end."""

    url: str = ""
    ca_pem: str = ""
    credentials: DictCredentials = field(default_factory=DictCredentials)
    calls: Calls = field(default_factory=Calls)
    opened: list[Vault | OpenBao] = field(default_factory=list)
    context: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, bao: openbao.OpenBao) -> World:
        """A world whose Secret ``root`` holds the server's root token under ``token``."""
        world = cls(url=bao.url, ca_pem=bao.ca_pem)
        world.plant("root", token=bao.root_token)
        return world

    def plant(self, name: str, **keys: str | bytes) -> None:
        """A Secret in the namespace of the store."""
        data = {key: value.encode() if isinstance(value, str) else value for key, value in keys.items()}
        self.credentials.secrets["default", name] = data

    def spec(self, **changes: Any) -> dict[str, Any]:
        """The provider's part of a store that reads ``secret/`` with the root token."""
        spec: dict[str, Any] = {
            "server": self.url,
            "path": "secret",
            "auth": {"tokenSecretRef": {"name": "root", "key": "token"}},
        }
        if self.ca_pem:
            spec["caBundle"] = base64.b64encode(self.ca_pem.encode()).decode()
        return {name: value for name, value in (spec | changes).items() if value is not None}

    async def vault(self, **changes: Any) -> Vault:
        """An adapter of the vault provider."""
        adapter = await Vault.open(Vault.Config.parse(self.spec(**changes)), self._context())
        self.opened.append(adapter)
        return adapter

    async def openbao(self, **changes: Any) -> OpenBao:
        """An adapter of the openBao provider."""
        adapter = await OpenBao.open(OpenBao.Config.parse(self.spec(**changes)), self._context())
        self.opened.append(adapter)
        return adapter

    async def aclose(self) -> None:
        """Close what was opened."""
        for adapter in self.opened:
            await adapter.aclose()

    def made(self, call: str) -> int:
        """How many calls of a name succeeded."""
        return self.calls.counts.get((call, "success"), 0)

    def _context(self) -> Any:
        return make_context(self.credentials, observe=self.calls, **self.context)


async def value(adapter: Vault | OpenBao, key: str, version: str = "") -> Any:
    """The document of a key, parsed. Raises the error that it is answered with."""
    return json.loads(text(await fetched(adapter, Ref(key, version))))


def text(answer: Fetched) -> bytes:
    """The document as it was read."""
    assert isinstance(answer.document, bytes)
    return answer.document


async def fetched(adapter: Vault | OpenBao, ref: Ref) -> Fetched:
    """What a ref is answered with. Raises where that is an error."""
    answer = (await adapter.read([ref]))[ref]
    if isinstance(answer, KeyferryError):
        raise answer
    return answer


async def until(met: Callable[[], bool]) -> None:
    """Wait for a condition that another process brings about."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not await asyncio.to_thread(met):
        assert time.monotonic() < deadline, "the condition is not met in time"
        await asyncio.sleep(0.02)


def token_of(adapter: Vault | OpenBao) -> str:
    """The token that an adapter uses at the moment."""
    grant = adapter._door.tokens._grant
    assert grant is not None
    return grant.token


class Signer:
    """Signs JWTs with a key of its own (RS256)."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.public_pem = (
            self._key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    def sign(self, **claims: Any) -> str:
        """A token with these claims, valid for ten minutes."""
        now = int(time.time())
        given = {"iat": now, "nbf": now - 60, "exp": now + 600} | claims
        head = b".".join(_base64url(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, given))
        return b".".join([head, _base64url(self._key.sign(head, padding.PKCS1v15(), hashes.SHA256()))]).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
