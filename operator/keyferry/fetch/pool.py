"""One adapter per store generation and credential; opened on first use, closed when the last user has left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from keyferry.addresses import Addresses
from keyferry.api.common import CallersReference, Model
from keyferry.api.duration import parse_duration
from keyferry.api.store import SecretStore
from keyferry.errors import BadSpec, Broken, KeyferryError, Unreachable
from keyferry.fetch.line import Line
from keyferry.kits.flight import Flight
from keyferry.ports import Context, Credentials, Layout, Provider, Retries, StoreIdentity
from keyferry.telemetry import get_logger

_log = get_logger(__name__)
_IDLE = 30 * 60.0
"""Seconds after which an adapter that nobody uses is closed, and what it holds is revoked."""


@dataclass(frozen=True, slots=True)
class AdapterKey:
    """Whose view of which store. ``caller`` is "" unless the store takes credentials from its callers' namespaces."""

    uid: str
    generation: int
    caller: str


class Opener(Protocol):
    """What the pool needs of the rest: credentials bound to a store, and the providers."""

    def credentials(self, identity: StoreIdentity) -> Credentials:
        """The door for this store and caller."""
        ...

    async def provider(self, name: str) -> type[Provider]:
        """The provider's class. Raises ``BadSpec``."""
        ...

    def observe(self, label: str) -> Callable[[str], AbstractContextManager[None]]:
        """Counts API calls of a provider."""
        ...

    def fill(self, template: str, values: Mapping[str, Mapping[str, str]]) -> str:
        """Renders a template of a store's manifest: see ``ports.Context``."""
        ...

    def addresses(self, identity: StoreIdentity) -> Addresses:
        """Where a server that the store names may be."""
        ...

    def expires(self, identity: StoreIdentity) -> Callable[[float | None], None]:
        """Hears when the store's credential ends: see ``ports.Context``."""
        ...


@dataclass(slots=True, eq=False)
class Entry:
    """An open adapter and its users."""

    key: AdapterKey
    adapter: Provider
    users: int = 0
    retired: bool = False
    closed: bool = False
    last_used: float = 0.0
    line: Line | None = None
    """What is under way and what is remembered; the ``Fetcher`` gives it one."""


@dataclass(slots=True, eq=False)
class _Birth:
    """An adapter that is being opened. ``stale``: what it is made from has changed meanwhile."""

    uid: str
    stale: bool = False


class Pool:
    """Adapters by ``AdapterKey``."""

    def __init__(self, opener: Opener, *, timeout: float) -> None:
        self._opener = opener
        self._timeout = timeout
        self._entries: dict[AdapterKey, Entry] = {}
        self._opening: Flight[AdapterKey, Entry] = Flight()
        self._births: set[_Birth] = set()
        self._strays: set[Entry] = set()
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lease(self, store: SecretStore, caller: str) -> AsyncIterator[Entry]:
        """The adapter for a store on behalf of an object in namespace ``caller`` ("" for the store itself).

        Raises what opening it raises: ``BadSpec``, ``CallerNeeded``, ``Unreachable``, ``Denied``.
        """
        entry = await self._entry(store, caller)
        self.hold(entry)
        try:
            yield entry
        finally:
            self.release(entry)

    def hold(self, entry: Entry) -> None:
        """Keep the adapter open until ``release``."""
        entry.users += 1

    def release(self, entry: Entry) -> None:
        """One user less; the last one of a retired adapter closes it."""
        entry.users -= 1
        entry.last_used = asyncio.get_running_loop().time()
        if entry.retired and entry.users == 0:
            self._close(entry)

    async def provider(self, store: SecretStore) -> type[Provider]:
        """The provider's class. Raises ``BadSpec`` where the store's configuration is wrong."""
        return (await configure(store, self._opener))[1]

    async def layout(self, store: SecretStore) -> Layout:
        """How documents of the store's provider answer a property; known without its configuration."""
        return (await self._opener.provider(store.spec.provider_name)).layout

    def retire(self, uid: str) -> None:
        """The store, or something that it refers to, changed: its adapters serve no new reads."""
        for birth in self._births:
            birth.stale = birth.stale or birth.uid == uid
        for key in [key for key in self._entries if key.uid == uid]:
            self._retire(key, changed=True)

    def sweep(self) -> None:
        """Close adapters that have been idle for long, and let the others forget what is too old."""
        before = asyncio.get_running_loop().time() - _IDLE
        for entry in list(self._entries.values()):
            if entry.line is not None:
                entry.line.sweep()
            if entry.users == 0 and entry.last_used < before:
                self._retire(entry.key)
        self._close_strays()

    def __len__(self) -> int:
        return len(self._entries)

    async def aclose(self) -> None:
        """Close every adapter. No lease may be held."""
        await self._opening.drain()
        for key in list(self._entries):
            self._retire(key)
        self._close_strays()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _entry(self, store: SecretStore, caller: str) -> Entry:
        config, provider = await configure(store, self._opener)
        borrowed = store.kind == "ClusterSecretStore" and needs_caller(config)
        key = AdapterKey(store.metadata.uid, store.metadata.generation, caller if borrowed else "")
        while True:
            found = self._entries.get(key)
            if found is None:
                found = await self._opening.join(key, lambda: self._open(key, store, config, provider))
            # Between its opening and our turn it may have been retired and, without users yet, closed.
            if not found.closed:
                return found

    async def _open(self, key: AdapterKey, store: SecretStore, config: Model, provider: type[Provider]) -> Entry:
        identity = identify(store, key.caller)
        context = Context(
            store=identity,
            credentials=self._opener.credentials(identity),
            retries=retries(store),
            timeout=self._timeout,
            # A provider of several services has a label for each.
            observe=self._opener.observe(getattr(config, "metrics_label", provider.label)),
            fill=self._opener.fill,
            addresses=self._opener.addresses(identity),
            expires=self._opener.expires(identity),
        )
        birth = _Birth(key.uid)
        self._births.add(birth)
        try:
            async with asyncio.timeout(self._timeout):
                adapter = await provider.open(config, context)
        except TimeoutError:
            raise Unreachable("its credentials could not be gathered in time") from None
        except KeyferryError:
            raise
        except Exception as error:  # noqa: BLE001 -- an adapter may raise anything
            _log.exception("provider failed to open", store=str(identity))
            raise Broken(f"provider {provider.name} failed to open ({type(error).__name__})") from None
        finally:
            self._births.discard(birth)
        entry = Entry(key, adapter, last_used=asyncio.get_running_loop().time())
        for old in [k for k in self._entries if k.uid == key.uid and k.generation < key.generation]:
            self._retire(old, changed=True)
        if not birth.stale:
            self._entries[key] = entry
        else:
            # What it was built from changed while it was being built: good for those who asked, not for the next.
            entry.retired = True
            self._strays.add(entry)
        return entry

    def _retire(self, key: AdapterKey, *, changed: bool = False) -> None:
        entry = self._entries.pop(key)
        if changed and entry.line is not None:
            entry.line.changed()
        entry.retired = True
        if entry.users == 0:
            self._close(entry)

    def _close_strays(self) -> None:
        """Close what was opened for callers who all left before they could use it."""
        for entry in [each for each in self._strays if each.users == 0]:
            self._close(entry)

    def _close(self, entry: Entry) -> None:
        entry.closed = True
        self._strays.discard(entry)
        if entry.line is not None:
            entry.line.close()
        task = asyncio.create_task(self._aclose(entry.adapter), name="close adapter")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _aclose(self, adapter: Provider) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await adapter.aclose()
        except Exception as error:  # noqa: BLE001 -- nothing hangs on it; the store's own expiry cleans up
            _log.warning("adapter did not close", provider=adapter.name, error=type(error).__name__)


async def configure(store: SecretStore, opener: Opener) -> tuple[Model, type[Provider]]:
    """The typed configuration of the store's provider. Raises ``BadSpec``, naming fields and never their content."""
    name = store.spec.provider_name
    provider = await opener.provider(name)
    return provider.Config.parse(store.spec.provider[name], at=f"spec.provider.{name}"), provider


def identify(store: SecretStore, caller: str) -> StoreIdentity:
    """The store's identity for one caller."""
    cluster = store.kind == "ClusterSecretStore"
    return StoreIdentity(
        kind="ClusterSecretStore" if cluster else "SecretStore",
        name=store.metadata.name,
        namespace="" if cluster else store.metadata.namespace,
        caller=caller if cluster else store.metadata.namespace,
    )


def retries(store: SecretStore) -> Retries:
    """``spec.retrySettings``, with ESO's defaults for the half that is missing: 3 times, 5 s apart (eso-facts 1.10)."""
    given = store.spec.retry_settings
    if given is None or (given.max_retries is None and given.retry_interval is None):
        return Retries()
    attempts = 3 if given.max_retries is None else given.max_retries
    interval = 5.0
    if given.retry_interval is not None:
        try:
            interval = parse_duration(given.retry_interval)
        except ValueError as error:
            raise BadSpec(f"spec.retrySettings.retryInterval: {error}", remedy='give it as "5s" or "1m30s"') from None
    if attempts < 0 or interval < 0:
        raise BadSpec("spec.retrySettings is negative", remedy="give maxRetries and retryInterval of at least 0")
    return Retries(attempts=attempts, interval=interval)


def needs_caller(config: BaseModel) -> bool:
    """Whether a ClusterSecretStore's configuration takes something from the namespace of each caller."""
    return any(part.of_caller for part in _parts(config) if isinstance(part, CallersReference))


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, BaseModel):
        yield value
        for name in type(value).model_fields:
            yield from _parts(getattr(value, name))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _parts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _parts(inner)
