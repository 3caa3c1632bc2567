"""Reads documents: each once for all who ask at the same time, the rest of a store's refs in one go.

``Fetcher`` is what the use cases know of stores. It turns every failure into an error per ref, told with the store, so
that one bad ref or one silent store sinks nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol, TypeVar

from keyferry.api.store import SecretStore
from keyferry.errors import BadSpec, Broken, KeyferryError, Unreachable
from keyferry.fetch.pool import Entry, Pool, identify
from keyferry.kits.flight import Flight
from keyferry.ports import Capabilities, Fetched, Finder, Layout, Query, Ref, StoreIdentity, Validation
from keyferry.telemetry import get_logger

_log = get_logger(__name__)


class Counter(Protocol):
    """Where reads are counted."""

    def provider_calls(self, store: StoreIdentity, result: str) -> None:
        """One document or listing was asked of the store: ``success`` or ``error``."""
        ...

    def reads_saved(self, store: StoreIdentity, how: str) -> None:
        """One document or listing was answered without asking the store."""
        ...


Answer = Fetched | KeyferryError
T = TypeVar("T")


class Fetcher:
    """Reads through the pool's adapters."""

    def __init__(self, pool: Pool, counter: Counter, *, timeout: float) -> None:
        self._pool = pool
        self._counter = counter
        self._timeout = timeout
        self._reads: dict[tuple[int, Ref], asyncio.Future[Answer]] = {}
        self._batches: set[asyncio.Task[None]] = set()
        self._finds: Flight[tuple[int, Query], Mapping[str, Ref | Fetched]] = Flight()

    async def layout(self, store: SecretStore) -> Layout:
        """How the store's documents answer a property. Raises ``BadSpec`` for a provider that is not served."""
        return await self._pool.layout(store)

    async def read(self, store: SecretStore, caller: str, refs: Collection[Ref]) -> dict[Ref, Answer]:
        """A document or an error for every ref. Raises a KeyferryError where the store cannot be used at all."""
        identity = identify(store, caller)
        async with self._pool.lease(store, caller) as entry:
            mine: list[Ref] = []
            waiting: dict[Ref, asyncio.Future[Answer]] = {}
            loop = asyncio.get_running_loop()
            for ref in dict.fromkeys(refs):
                key = (id(entry), ref)
                if key in self._reads:
                    self._counter.reads_saved(identity, "flight")
                else:
                    self._reads[key] = loop.create_future()
                    mine.append(ref)
                waiting[ref] = self._reads[key]
            if mine:
                # A task of its own: a caller that is cancelled must not leave the others waiting.
                task = asyncio.create_task(self._batch(entry, identity, mine), name=f"read {identity}")
                self._batches.add(task)
                task.add_done_callback(self._batches.discard)
            return {ref: await asyncio.shield(future) for ref, future in waiting.items()}

    async def find(self, store: SecretStore, caller: str, query: Query) -> dict[str, Answer]:
        """A document or an error for every name that matches. Raises where the listing fails."""
        identity = identify(store, caller)
        async with self._pool.lease(store, caller) as entry:
            adapter = entry.adapter
            if not isinstance(adapter, Finder):
                raise BadSpec(f"provider {adapter.name} cannot search", remedy="name the keys in data or extract")
            if self._finds.under_way((id(entry), query)):
                self._counter.reads_saved(identity, "flight")
            found = await self._finds.join((id(entry), query), lambda: self._find(entry, identity, adapter, query))
        refs = {ref for ref in found.values() if isinstance(ref, Ref)}
        documents = await self.read(store, caller, refs) if refs else {}
        return {name: documents[item] if isinstance(item, Ref) else item for name, item in sorted(found.items())}

    async def capabilities(self, store: SecretStore) -> Capabilities:
        """What the store's provider can do. Raises ``BadSpec`` where its configuration is wrong."""
        return (await self._pool.provider(store)).capabilities

    async def open(self, store: SecretStore) -> None:
        """Open the store's adapter, if it is not. Raises a KeyferryError."""
        async with self._pool.lease(store, _own_caller(store)):
            pass

    async def validate(self, store: SecretStore) -> Validation:
        """The store's own check. Raises a KeyferryError where it fails."""
        async with self._pool.lease(store, _own_caller(store)) as entry:
            return await self._guarded(entry, entry.adapter.validate)

    async def _find(
        self, entry: Entry, identity: StoreIdentity, adapter: Finder, query: Query
    ) -> Mapping[str, Ref | Fetched]:
        try:
            found = await self._guarded(entry, lambda: adapter.find(query))
        except KeyferryError:
            self._counter.provider_calls(identity, "error")
            raise
        self._counter.provider_calls(identity, "success")
        return found

    async def _batch(self, entry: Entry, identity: StoreIdentity, refs: list[Ref]) -> None:
        async def ask() -> Mapping[Ref, Answer]:
            return dict(await entry.adapter.read(refs))

        answers: Mapping[Ref, Answer] = {}
        try:
            answers = await self._guarded(entry, ask)
        except KeyferryError as error:
            answers = dict.fromkeys(refs, error)
        finally:
            # However this ends, nobody may be left waiting for an answer that never comes.
            told = {ref: _answer(answers.get(ref), entry.adapter.name) for ref in refs}
            for ref, answer in told.items():
                future = self._reads.pop((id(entry), ref))
                if not future.done():
                    future.set_result(answer)
        for answer in told.values():
            self._counter.provider_calls(identity, "error" if isinstance(answer, KeyferryError) else "success")

    async def _guarded(self, entry: Entry, call: Callable[[], Awaitable[T]]) -> T:
        async with entry.slots:
            try:
                async with asyncio.timeout(self._timeout):
                    return await call()
            except TimeoutError:
                raise Unreachable(f"no answer within {self._timeout:g} s") from None
            except KeyferryError:
                raise
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                # Nobody asked for it: something inside the adapter was cancelled, and that must not end its caller.
                raise Broken(f"provider {entry.adapter.name} broke off") from None
            except Exception as error:  # noqa: BLE001 -- an adapter may raise anything
                _log.exception("provider failed", provider=entry.adapter.name)
                raise Broken(f"provider {entry.adapter.name} failed ({type(error).__name__})") from None


def _answer(given: object, provider: str) -> Answer:
    return given if isinstance(given, Fetched | KeyferryError) else Broken(f"provider {provider} gave no answer")


def _own_caller(store: SecretStore) -> str:
    """On whose behalf a store is checked: its own namespace; nobody for a ClusterSecretStore."""
    return store.metadata.namespace
