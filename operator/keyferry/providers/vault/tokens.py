"""When to log in, renew and revoke: one token for one adapter.

A token is taken at the first use, renewed in use once two thirds of its life are over, replaced where it cannot be
renewed, and revoked when the adapter closes. Nothing runs in the background: a token that nobody uses expires.

Everybody who needs a token while it is being taken shares one login.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from keyferry.errors import Broken, Busy, Denied, KeyferryError, Unreachable
from keyferry.kits.flight import Flight

_RENEW_AT: Final = 2 / 3
"""The part of its life after which a token is renewed."""
_POLICY_SECONDS: Final = 300.0
"""A valid token that is refused is replaced if it is older: its role may have got other policies since."""
_CONFIRMED_SECONDS: Final = 5.0
"""How long a token found valid counts as valid, so that many refusals at once cost one question."""


@dataclass(frozen=True, slots=True, repr=False)
class Grant:
    """A token and what is known of it. Times are of the monotonic clock; the repr never shows the token."""

    token: str
    since: float
    seconds: float = 0.0
    """Its life from ``since`` on; 0 where it does not end."""
    renewable: bool = False
    revocable: bool = False
    """It was issued for us, and ends when we say so."""
    proven: bool = True
    """The server has vouched for it."""
    postponed: float = 0.0
    """Not to be renewed or replaced before; set when an attempt failed."""

    @property
    def ends(self) -> float:
        """When it expires."""
        return self.since + self.seconds if self.seconds else math.inf

    @property
    def due(self) -> float:
        """When it is to be renewed or replaced."""
        if not self.seconds:
            return math.inf
        return max(self.since + self.seconds * _RENEW_AT, self.postponed)


class Source(Protocol):
    """Where tokens come from."""

    @property
    def fixed(self) -> bool:
        """There is one token and never another one."""
        ...

    @property
    def anonymous(self) -> bool:
        """There is no token at all."""
        ...

    async def login(self) -> Grant:
        """A token."""
        ...


class Server(Protocol):
    """What can be asked of the server about a token."""

    async def look_up(self, token: str) -> None:
        """Raises ``Denied`` where the token is not valid."""
        ...

    async def renew(self, grant: Grant) -> Grant:
        """The same token with a new life."""
        ...

    async def revoke(self, token: str) -> None:
        """End the token."""
        ...


class Tokens:
    """The token of one adapter."""

    def __init__(
        self,
        source: Source,
        server: Server,
        *,
        clock: Callable[[], float] = time.monotonic,
        expires: Callable[[float | None], None] = lambda _at: None,
    ) -> None:
        """``expires`` hears, in Unix time, when the only token that there is ends, and None where it is renewed."""
        self._source = source
        self._expires = expires
        self._server = server
        self._clock = clock
        self._grant: Grant | None = None
        self._retired: list[Grant] = []
        self._confirmed: tuple[Grant | None, float] = (None, -math.inf)
        self._flight: Flight[str, Grant | None] = Flight()
        self._closed = False

    async def current(self) -> Grant:
        """A token to use now. Raises what a login raises."""
        grant = self._grant
        if not self._closed and (grant is None or self._clock() >= grant.due):
            grant = await self._flight.join("token", self._refresh)
        # It may have been closed while we waited.
        if self._closed or grant is None:
            raise Broken("a store's adapter was used after it was closed")
        return grant

    async def after_refusal(self, refused: Grant) -> Grant | None:
        """The token to try again with after a 403, None where another try is in vain.

        Raises ``Denied`` where the token is not valid any more and there cannot be another one.
        """
        if self._grant is not refused:
            return self._grant
        return await self._flight.join("refusal", lambda: self._examine(refused))

    async def verify(self) -> None:
        """Make sure that the token is valid, with one call at most. Raises ``Denied`` where it is not."""
        before = self._grant
        grant = await self.current()
        if grant is not before and grant.proven:
            return
        try:
            await self._server.look_up(grant.token)
        except Denied:
            if self._source.fixed:
                raise
        else:
            return
        # A new login proves more than the old token could.
        await self._flight.join("token", self._replace)

    async def aclose(self) -> None:
        """Revoke what was issued for this adapter. Errors are dropped: the token expires by itself."""
        if self._closed:
            return
        self._closed = True
        for key in ("refusal", "token"):
            if self._flight.under_way(key):
                # A login under way would leave a token behind.
                with contextlib.suppress(KeyferryError):
                    await self._flight.join(key, _nothing)
        for grant in (*self._retired, *([self._grant] if self._grant else [])):
            await self._revoke(grant)
        self._grant, self._retired = None, []

    async def _refresh(self) -> Grant | None:
        grant, now = self._grant, self._clock()
        if grant is None or now >= grant.ends:
            return await self._replace()
        if now < grant.due:
            return grant
        try:
            if grant.renewable:
                renewed = await self._server.renew(grant)
                # Less than half of what it had: it nears the end that no renewal can move, so replace it next time.
                short = 0 < renewed.seconds < grant.seconds / 2
                self._grant = replace(renewed, renewable=renewed.renewable and not short)
                self._tell_end(self._grant)
                return self._grant
        except (Unreachable, Busy):
            return self._postpone(grant)
        except KeyferryError:
            # Not renewable after all, or not by us: a login is left.
            pass
        if self._source.fixed:
            # Refused, or not renewable: whether or not it is tried again, it ends.
            self._tell_end(replace(grant, renewable=False))
            return self._postpone(grant)
        try:
            return await self._replace()
        except (Unreachable, Busy):
            return self._postpone(grant)

    def _postpone(self, grant: Grant) -> Grant:
        """Go on with a token that still lives."""
        now = self._clock()
        self._grant = replace(grant, postponed=now + max(1.0, (grant.ends - now) / 4))
        return self._grant

    async def _replace(self) -> Grant:
        fresh = await self._source.login()
        old, self._grant = self._grant, fresh
        self._tell_end(fresh)
        # The old one may be in use by requests under way; those that it replaced are not any more.
        for grant in self._retired:
            await self._revoke(grant)
        self._retired = [old] if old is not None else []
        return fresh

    def _tell_end(self, grant: Grant) -> None:
        """Of a token that nobody can replace but a person."""
        ends = self._source.fixed and not grant.renewable and grant.seconds > 0
        self._expires(time.time() + grant.ends - self._clock() if ends else None)

    async def _examine(self, refused: Grant) -> Grant | None:
        if self._source.anonymous or self._recently_confirmed(refused):
            return None
        try:
            await self._server.look_up(refused.token)
        except Denied:
            if self._source.fixed:
                if refused.proven:
                    raise
                # It never could look itself up, so nothing follows from that.
                return None
        else:
            self._confirmed = (refused, self._clock())
            if self._source.fixed or self._clock() - refused.since < _POLICY_SECONDS:
                return None
        return await self._flight.join("token", self._replace)

    def _recently_confirmed(self, grant: Grant) -> bool:
        confirmed, when = self._confirmed
        return confirmed is grant and self._clock() - when < _CONFIRMED_SECONDS

    async def _revoke(self, grant: Grant) -> None:
        if grant.revocable and self._clock() < grant.ends:
            with contextlib.suppress(KeyferryError):
                await self._server.revoke(grant.token)


async def _nothing() -> None:
    return None
