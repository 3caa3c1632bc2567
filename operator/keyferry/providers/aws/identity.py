"""Whose keys sign a request: given ones, those of Keyferry's own environment, or those of a session that ends.

Keys of a session are taken at the first use, kept, and taken anew before they end; everybody who needs them meanwhile
shares one call. So assuming a role costs one call per life of the session. Nothing runs in the background.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from botocore.credentials import RefreshableCredentials
from botocore.session import Session

from keyferry.errors import Busy, Denied, Unreachable
from keyferry.kits.flight import Flight
from keyferry.providers.aws.answers import Failure
from keyferry.transport import Threads

T = TypeVar("T")

_EARLY_SECONDS: Final = 300.0
"""How long before their end keys are taken anew, unless they live less than three times as long."""
_LEAST_SECONDS: Final = 60.0
"""Keys count as alive for so long, whatever the clocks say: a wrong one must not make every read a login."""
_SETTLED_SECONDS: Final = 300.0
"""A session that is denied something is taken anew if it is older: sessions of before a moment can be revoked."""


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """What a request is signed with. Times are seconds since the epoch; the repr shows nothing."""

    access_key: str
    secret_key: str
    token: str = ""
    since: float = 0.0
    ends: float = math.inf

    @property
    def due(self) -> float:
        """When they are to be taken anew."""
        return self.ends - min(_EARLY_SECONDS, (self.ends - self.since) / 3)


class Identity(Protocol):
    """Somebody whom AWS knows."""

    async def current(self) -> Keys:
        """Keys to sign with now. Raises a KeyferryError where there are none to be had."""
        ...

    async def renewed(self, refused: Keys, *, stale: bool) -> bool:
        """Whether there are other keys now than those that were refused, so that another try makes sense."""
        ...


async def signed(identity: Identity, attempt: Callable[[Keys], Awaitable[T | Failure]]) -> T:
    """What ``attempt`` answers with the identity's keys; with new ones, where the old were refused and there are some.

    Raises the error that it fails with in the end.
    """
    keys = await identity.current()
    outcome = await attempt(keys)
    if (
        isinstance(outcome, Failure)
        and isinstance(outcome.error, Denied)
        and await identity.renewed(keys, stale=outcome.stale)
    ):
        outcome = await attempt(await identity.current())
    if isinstance(outcome, Failure):
        raise outcome.error
    return outcome


class Given:
    """Keys from a Secret. They never change: a changed Secret makes another adapter."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def current(self) -> Keys:
        """See ``Identity``."""
        return self._keys

    async def renewed(self, refused: Keys, *, stale: bool) -> bool:  # noqa: ARG002 - of the protocol
        """See ``Identity``."""
        return False


class Lease:
    """Keys of a session that ``take`` opens, kept until shortly before they end."""

    def __init__(self, take: Callable[[], Awaitable[Keys]], *, clock: Callable[[], float] = time.time) -> None:
        self._take = take
        self._clock = clock
        self._keys: Keys | None = None
        self._not_before = 0.0
        self._flight: Flight[str, Keys] = Flight()

    async def current(self) -> Keys:
        """See ``Identity``. While the old keys live, a failure to reach AWS for new ones is nothing to tell of."""
        keys, now = self._keys, self._clock()
        if keys is None or now >= max(keys.due, self._not_before):
            return await self._flight.join("", self._refresh)
        return keys

    async def renewed(self, refused: Keys, *, stale: bool) -> bool:
        """See ``Identity``."""
        if self._keys is refused:
            if not stale and self._clock() - refused.since < _SETTLED_SECONDS:
                return False
            if stale:
                self._keys = None
            await self._flight.join("", self._replace)
        return True

    async def _refresh(self) -> Keys:
        old = self._keys
        try:
            return await self._replace()
        except (Unreachable, Busy):
            now = self._clock()
            if old is None or now >= old.ends:
                raise
            self._not_before = now + (old.ends - now) / 4
            return old

    async def _replace(self) -> Keys:
        fresh = await self._take()
        self._keys = Keys(
            fresh.access_key,
            fresh.secret_key,
            fresh.token,
            since=self._clock(),
            ends=max(fresh.ends, self._clock() + _LEAST_SECONDS),
        )
        self._not_before = 0.0
        return self._keys


class Own:
    """Keys from Keyferry's own environment, found and refreshed by botocore: the default chain of every AWS SDK."""

    def __init__(
        self, session: Callable[[], Session], threads: Threads, judge: Callable[[BaseException], Failure]
    ) -> None:
        """``session`` makes a botocore session that has looked for nothing yet; ``judge`` says what its errors mean."""
        self._session = session
        self._threads = threads
        self._judge = judge
        self._found: Any = None
        self._flight: Flight[str, Keys] = Flight()

    async def current(self) -> Keys:
        """See ``Identity``."""
        found = self._found
        if found is not None and not isinstance(found, RefreshableCredentials):
            return _frozen(found)
        return await self._flight.join("", self._look)

    async def renewed(self, refused: Keys, *, stale: bool) -> bool:
        """See ``Identity``. What is denied to keys that are good is denied to those that follow, too."""
        if not stale:
            return False
        keys = await self.current()
        if _same(keys, refused):
            self._found = None
            keys = await self.current()
        return not _same(keys, refused)

    async def _look(self) -> Keys:
        outcome = await self._threads.run(self._look_now)
        if isinstance(outcome, Failure):
            raise outcome.error
        return outcome

    def _look_now(self) -> Keys | Failure:
        try:
            if self._found is None:
                self._found = self._session().get_credentials()
            if self._found is not None:
                return _frozen(self._found)
        except Exception as error:  # noqa: BLE001 - files, processes and servers of any kind are asked
            return self._judge(error)
        return Failure(
            Denied(
                "Keyferry's own environment holds no AWS credentials",
                remedy="set auth, or give Keyferry's ServiceAccount a role (IRSA or EKS Pod Identity)",
            )
        )


def _same(one: Keys, other: Keys) -> bool:
    return (one.access_key, one.secret_key, one.token) == (other.access_key, other.secret_key, other.token)


def _frozen(found: Any) -> Keys:
    frozen = found.get_frozen_credentials()
    return Keys(frozen.access_key, frozen.secret_key, frozen.token or "")
