"""Reads documents: each once for all who ask for it, as long as its age allows.

``Fetcher`` is what the use cases know of stores. It turns every failure into an error per ref, told with the store, so
that one bad ref or one silent store sinks nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from keyferry.api.store import SecretStore
from keyferry.fetch.health import Counter, Health
from keyferry.fetch.line import Limits, Line
from keyferry.fetch.pool import Entry, Pool, identify
from keyferry.kits.ttlcache import Budget
from keyferry.ports import Capabilities, Layout, Query, Reading, Ref, StoreIdentity, Validation

_LEFT = 30 * 60.0
"""Seconds that is remembered how a store does that nobody uses."""


class Fetcher:
    """Reads through the pool's adapters."""

    def __init__(
        self,
        pool: Pool,
        counter: Counter,
        limits: Limits,
        *,
        most: int = 32 << 20,
        recovered: Callable[[StoreIdentity], None] = lambda _: None,
    ) -> None:
        """``most``: bytes of answers that are remembered of all stores together.

        ``recovered`` hears of stores that were rested and answer again.
        """
        self._pool = pool
        self._counter = counter
        self._limits = limits
        self._budget = Budget(most)
        self._recovered = recovered
        self._health: dict[str, Health] = {}
        """By the store's UID, so that it outlives edits."""

    async def layout(self, store: SecretStore) -> Layout:
        """How documents of the store's provider answer a property. Raises ``BadSpec`` for one that is not served."""
        return await self._pool.layout(store)

    async def read(self, store: SecretStore, caller: str, refs: Collection[Ref], after: float) -> Reading[Ref]:
        """A document or an error for every ref, each read later than ``after``, a moment of the loop's clock.

        Raises a KeyferryError where the store cannot be used at all, ``Pending`` where its answer is on its way.
        """
        async with self._pool.lease(store, caller) as entry:
            return await self._line(entry, store).read(refs, after)

    async def find(self, store: SecretStore, caller: str, query: Query, after: float) -> Reading[str]:
        """A document or an error for every name that matches, as for ``read``. Raises where the listing fails."""
        async with self._pool.lease(store, caller) as entry:
            return await self._line(entry, store).find(query, after)

    async def capabilities(self, store: SecretStore) -> Capabilities:
        """What the store's provider can do. Raises ``BadSpec`` where its configuration is wrong."""
        return (await self._pool.provider(store)).capabilities

    async def open(self, store: SecretStore) -> None:
        """Open the store's adapter, if it is not. Raises a KeyferryError."""
        async with self._pool.lease(store, store.metadata.namespace):
            pass

    async def validate(self, store: SecretStore, *, within: float) -> Validation:
        """The store's own check, unless reading went well in the last ``within`` seconds. Raises a KeyferryError.

        It is checked on its own behalf: in its own namespace, and a ClusterSecretStore in nobody's.
        """
        async with self._pool.lease(store, store.metadata.namespace) as entry:
            return await self._line(entry, store).validate(within)

    @property
    def kept(self) -> int:
        """Bytes of answers that are remembered."""
        return self._budget.used

    def sweep(self) -> None:
        """Close what has been idle for long, and forget what is too old."""
        self._pool.sweep()
        before = asyncio.get_running_loop().time() - _LEFT
        for uid in [uid for uid, each in self._health.items() if not each.users and each.left_at < before]:
            del self._health[uid]

    def _line(self, entry: Entry, store: SecretStore) -> Line:
        if entry.line is None:
            identity = identify(store, entry.key.caller)
            health = self._health.get(entry.key.uid)
            if health is None:
                health = Health(identity, self._counter, self._recovered, most=self._limits.rate)
                self._health[entry.key.uid] = health
            entry.line = Line(
                entry.adapter,
                identity,
                self._limits,
                self._budget,
                self._counter,
                health,
                hold=lambda: self._pool.hold(entry),
                release=lambda: self._pool.release(entry),
            )
        return entry.line
