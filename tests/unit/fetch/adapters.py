"""Adapters whose every move the test decides, and a pool of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Self

from keyferry.addresses import Addresses
from keyferry.api.common import Model, SecretKeySelector
from keyferry.api.store import SecretStore
from keyferry.errors import KeyferryError
from keyferry.fetch.fetcher import Fetcher
from keyferry.fetch.line import Limits
from keyferry.fetch.pool import Pool
from keyferry.ports import (
    Capabilities,
    Context,
    Credentials,
    Fetched,
    Layout,
    Provider,
    Query,
    Ref,
    StoreIdentity,
    Validation,
)
from tests.support.credentials import DictCredentials
from tests.support.objects import store_body


class StubConfig(Model):
    token: SecretKeySelector | None = None


class Stub:
    """An adapter. Class attributes are set anew for each test by ``make``."""

    name: ClassVar[str] = "stub"
    label: ClassVar[str] = "Stub"
    capabilities: ClassVar[Capabilities] = Capabilities.READ_ONLY
    layout: ClassVar[Layout] = Layout()
    Config: ClassVar[type[Model]] = StubConfig
    opened: ClassVar[list[Stub]]
    opening: ClassVar[Callable[[], Any]]
    answering: ClassVar[Callable[[Sequence[Ref]], Any]]

    def __init__(self, context: Context) -> None:
        self.context = context
        self.closed = False
        self.reads: list[tuple[Ref, ...]] = []
        self.opened.append(self)

    @classmethod
    async def open(cls, config: Model, context: Context) -> Self:
        await cls.opening()
        return cls(context)

    async def read(self, refs: Sequence[Ref]) -> Mapping[Ref, Any]:
        assert not self.closed, "read from a closed adapter"
        self.reads.append(tuple(refs))
        answers: Mapping[Ref, Any] = await type(self).answering(refs)
        assert not self.closed, "closed while it was read from"
        return answers

    async def validate(self) -> Validation:
        await type(self).answering(())
        return Validation.READY

    async def aclose(self) -> None:
        self.closed = True


class Searching(Stub):
    """One that can search: every query finds "b" by reference and "a" with its document."""

    async def find(self, query: Query) -> Mapping[str, Ref | Fetched]:
        self.reads.append(())
        await type(self).answering(())
        return {"b": Ref("b"), "a": Fetched(b"1")}


class Counter:
    """``fetch.health.Counter``."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.how: list[str] = []
        self.rests: list[bool] = []

    def provider_calls(self, store: StoreIdentity, result: str) -> None:
        self.calls.append(result)

    def reads_saved(self, store: StoreIdentity, how: str) -> None:
        self.how.append(how)

    def resting(self, store: StoreIdentity, *, now: bool) -> None:
        self.rests.append(now)


class Opener:
    """``fetch.pool.Opener``."""

    def __init__(self, provider: type[Provider]) -> None:
        self._provider = provider

    def credentials(self, identity: StoreIdentity) -> Credentials:
        return DictCredentials()

    async def provider(self, name: str) -> type[Provider]:
        return self._provider

    def observe(self, label: str) -> Callable[[str], AbstractContextManager[None]]:
        return lambda _call: nullcontext()

    def fill(self, template: str, values: Mapping[str, Mapping[str, str]]) -> str:
        return template

    def addresses(self, identity: StoreIdentity) -> Addresses:
        return Addresses(everything=True)

    def expires(self, identity: StoreIdentity) -> Callable[[float | None], None]:
        return lambda _at: None


async def answer_all(refs: Sequence[Ref]) -> Mapping[Ref, Any]:
    await asyncio.sleep(0.1)
    return {ref: Fetched(ref.key.encode()) for ref in refs}


async def open_slowly() -> None:
    await asyncio.sleep(0.1)


def make(provider: type[Stub] = Stub) -> tuple[type[Stub], Pool]:
    """A class of adapters of this test's own, and a pool of them."""
    fresh = type(
        provider.__name__,
        (provider,),
        {"opened": [], "opening": staticmethod(open_slowly), "answering": staticmethod(answer_all)},
    )
    return fresh, Pool(Opener(fresh), timeout=30)


def stub_store(*, generation: int = 1, namespace: str = "team", borrowed: bool = False) -> SecretStore:
    """``borrowed``: a ClusterSecretStore that takes its token from each caller's namespace."""
    token = {"token": {"name": "t", "key": "k"}} if borrowed else {}
    body = store_body("store", "" if borrowed else namespace, generation=generation, provider={"stub": token})
    return SecretStore.parse(body)


def make_fetcher(provider: type[Stub] = Stub, *, most: int = 1 << 20, **limits: Any) -> tuple[type[Stub], Desk]:
    """A class of adapters of this test's own, and a fetcher that reads by them."""
    fresh, pool = make(provider)
    return fresh, Desk(pool, Limits(**{"timeout": 30, "window": 0.005, **limits}), most)


class Desk(Fetcher):
    """A fetcher with what is said to it most often left out, and what it tells at hand."""

    def __init__(self, pool: Pool, limits: Limits, most: int) -> None:
        self.counter = Counter()
        self.recoveries: list[str] = []
        self.pool = pool
        super().__init__(
            pool, self.counter, limits, most=most, recovered=lambda store: self.recoveries.append(store.name)
        )

    async def ask(
        self, *keys: str, after: float = -1.0, store: SecretStore | None = None, caller: str = "team"
    ) -> dict[str, Any]:
        """By key: documents as bytes, and the types of errors."""
        found = await self.read(store or stub_store(), caller, [Ref(key) for key in keys], after)
        return {ref.key: plain(each) for ref, each in found.answers.items()}

    async def search(self, query: Query, after: float = -1.0) -> dict[str, Any]:
        """By name, as ``ask`` gives it."""
        found = await self.find(stub_store(), "team", query, after)
        return {name: plain(each) for name, each in found.answers.items()}


def plain(answer: Fetched | KeyferryError) -> Any:
    """A document as bytes, an error by its type."""
    return answer.document if isinstance(answer, Fetched) else type(answer)


def raising(error: BaseException) -> Callable[[Sequence[Ref]], Any]:
    """An ``answering`` that fails."""

    async def answering(_refs: Sequence[Ref]) -> Any:
        raise error

    return answering


def giving(answer: Any) -> Callable[[Sequence[Ref]], Any]:
    """An ``answering`` that gives this, whatever it is."""

    async def answering(_refs: Sequence[Ref]) -> Any:
        return answer

    return answering


async def silent(_refs: Sequence[Ref]) -> Any:
    """An ``answering`` that never comes to an end."""
    await asyncio.Event().wait()
