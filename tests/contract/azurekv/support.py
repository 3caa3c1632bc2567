"""A cloud, a vault in it, a cluster's objects, and the adapters opened in one test."""

from __future__ import annotations

import math
import traceback
from dataclasses import dataclass, field
from typing import Any

from keyferry.errors import KeyferryError
from keyferry.ports import Fetched, Ref
from keyferry.providers.azurekv import AzureKeyVault
from tests.sandbox.azure import READ, TENANT, AzureCloud, Vault
from tests.support.credentials import Calls, DictCredentials, make_context

CANARY = "canary-71d0be"
CLIENT = "0a1b2c3d-reader"
SECRET = f"{CANARY}-client-secret"
LOGIN = "login.microsoftonline.com"


@dataclass
class World:
    """``vault`` may be read by the service principal ``CLIENT``, whose secret is in the Secret ``login``."""

    cloud: AzureCloud
    vault: Vault
    credentials: DictCredentials = field(default_factory=DictCredentials)
    calls: Calls = field(default_factory=Calls)
    opened: list[AzureKeyVault] = field(default_factory=list)

    @classmethod
    def of(cls, cloud: AzureCloud, name: str) -> World:
        world = cls(cloud, cloud.vault(name))
        cloud.entra.register(CLIENT).secrets[SECRET] = math.inf
        world.vault.rights[CLIENT] = READ
        world.plant("login", id=CLIENT, secret=SECRET)
        return world

    def plant(self, name: str, **keys: str | bytes) -> None:
        """A Secret in the namespace of the store."""
        data = {key: value.encode() if isinstance(value, str) else value for key, value in keys.items()}
        self.credentials.secrets["default", name] = data

    def spec(self, **changes: Any) -> dict[str, Any]:
        """The provider's part of a store; a change to None takes a field away."""
        spec: dict[str, Any] = {
            "vaultUrl": self.vault.url,
            "tenantId": TENANT,
            "authSecretRef": {"clientId": selector("login", "id"), "clientSecret": selector("login", "secret")},
        }
        return {name: value for name, value in (spec | changes).items() if value is not None}

    async def open(self, *, context: dict[str, Any] | None = None, **changes: Any) -> AzureKeyVault:
        """An adapter, closed with the test."""
        given = make_context(self.credentials, **({"observe": self.calls} | (context or {})))
        adapter = await AzureKeyVault.open(AzureKeyVault.Config.parse(self.spec(**changes)), given)
        self.opened.append(adapter)
        return adapter

    async def aclose(self) -> None:
        for adapter in self.opened:
            await adapter.aclose()

    def logins(self) -> int:
        """Requests for a token so far."""
        return len(self.cloud.entra.calls)


def selector(name: str, key: str) -> dict[str, str]:
    """A reference to a key of a Secret."""
    return {"name": name, "key": key}


async def read(adapter: AzureKeyVault, key: str, version: str = "", *, metadata: bool = False) -> bytes:
    """The document of a key. Raises the error that it is answered with."""
    ref = Ref(key, version, metadata)
    return text((await adapter.read([ref]))[ref])


def text(answer: Fetched | KeyferryError) -> bytes:
    """The document of an answer. Raises where it is an error."""
    if isinstance(answer, KeyferryError):
        raise answer
    assert isinstance(answer.document, bytes)
    return answer.document


async def failure(adapter: AzureKeyVault, key: str = "db", version: str = "") -> KeyferryError:
    """The error that a key is answered with, proven to show no secret."""
    ref = Ref(key, version)
    found = (await adapter.read([ref]))[ref]
    assert isinstance(found, KeyferryError), found
    assert CANARY not in everything_of(found)
    return found


def everything_of(error: BaseException) -> str:
    """All that an error could show."""
    return "\n".join([str(error), repr(error), repr(vars(error)), *traceback.format_exception(error)])
