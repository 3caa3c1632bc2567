"""An account, a cluster's objects, and the adapters opened in one test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keyferry.errors import KeyferryError
from keyferry.ports import Fetched, Ref
from keyferry.providers.aws import Aws
from tests.sandbox.aws import REGION, AwsSandbox, Principal, Rights
from tests.support.credentials import Calls, DictCredentials, make_context

MANAGER, STORE = "SecretsManager", "ParameterStore"
DEADLINE_SECONDS = 20.0


@dataclass
class World:
    """One account of the sandbox, with a user whose rights can be changed. Closes what it opened."""

    aws: AwsSandbox
    account: str = field(init=False)
    rights: Rights = field(default_factory=Rights)
    user: Principal = field(init=False)
    credentials: DictCredentials = field(default_factory=DictCredentials)
    calls: Calls = field(default_factory=Calls)
    context: dict[str, Any] = field(default_factory=dict)
    opened: list[Aws] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.account = self.aws.account()
        self.user = self.aws.directory.user(self.account, self.rights)
        self.plant("keys", self.user)

    def plant(self, name: str, who: Principal) -> None:
        """A Secret with somebody's keys, in the namespace of the store."""
        given = {"id": who.access_key, "key": who.secret_key, "token": who.token}
        self.credentials.secrets["default", name] = {key: value.encode() for key, value in given.items()}

    async def open(self, service: str = MANAGER, **changes: Any) -> Aws:
        """An adapter with the user's keys. A change to None takes a field out."""
        spec: dict[str, Any] = {"service": service, "region": REGION, "auth": keys_in("keys")}
        given = {name: value for name, value in (spec | changes).items() if value is not None}
        context = make_context(self.credentials, **{"observe": self.calls, **self.context})
        adapter = await Aws.open(Aws.Config.parse(given), context)
        self.opened.append(adapter)
        return adapter

    def asked(self, account: str = "") -> dict[str, int]:
        """How often each action was called since the last question."""
        found = dict(self.aws.calls(account or self.account))
        self.aws.forget_calls(account or self.account)
        return found

    async def aclose(self) -> None:
        """Close what was opened."""
        for adapter in self.opened:
            await adapter.aclose()


def keys_in(name: str, *, token: bool = False) -> dict[str, Any]:
    """``auth`` with the keys of a planted Secret."""
    refs = {
        "accessKeyIDSecretRef": {"name": name, "key": "id"},
        "secretAccessKeySecretRef": {"name": name, "key": "key"},
    }
    return {"secretRef": refs | ({"sessionTokenSecretRef": {"name": name, "key": "token"}} if token else {})}


async def fetched(adapter: Aws, ref: Ref | str) -> Fetched:
    """What a ref is answered with. Raises where that is an error."""
    asked = Ref(ref) if isinstance(ref, str) else ref
    answer = (await adapter.read([asked]))[asked]
    if isinstance(answer, KeyferryError):
        raise answer
    return answer


async def value(adapter: Aws, ref: Ref | str) -> bytes:
    """The document of a ref."""
    return content(await fetched(adapter, ref))


def content(answer: object) -> bytes:
    """The document of an answer that is one."""
    assert isinstance(answer, Fetched), repr(answer)
    assert isinstance(answer.document, bytes)
    return answer.document


def contents(found: Mapping[Ref, Fetched | KeyferryError]) -> list[bytes]:
    """The documents of answers that all are."""
    return [content(answer) for answer in found.values()]


async def until(met: Callable[[], bool]) -> None:
    """Wait for a condition that another thread brings about."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not met():
        assert time.monotonic() < deadline, "the condition is not met in time"
        await asyncio.sleep(0.01)
