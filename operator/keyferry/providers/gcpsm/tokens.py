"""When to log in: one access token for one adapter.

A token is taken at the first use and replaced shortly before it expires, or when Google does not accept it any more.
Nothing runs in the background: a token that nobody uses expires. Everybody who needs a token while it is being taken
shares one login.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

import google.auth.credentials
from google.auth.exceptions import GoogleAuthError

from keyferry import transport
from keyferry.errors import Broken, Busy, KeyferryError, Unreachable
from keyferry.kits.flight import Flight
from keyferry.providers.gcpsm.answers import not_google
from keyferry.providers.gcpsm.door import Door, Failed

_AHEAD_SECONDS: Final = 225.0
"""How long before its end a token is replaced. Metadata servers hand out the same token until four minutes before."""
_FRESH_SECONDS: Final = 60.0
"""How long what was resolved at opening may wait for the first login; tokens that are exchanged live 600 s and more."""
_UNKNOWN_SECONDS: Final = 300.0
"""The life of a token that is given without one."""

Credential = google.auth.credentials.Credentials


Prepare = Callable[[], Awaitable[Credential]]
"""A way to log in: resolves what is needed and gives a credential of google-auth, whose ``refresh`` logs in."""


@dataclass(frozen=True, slots=True, repr=False)
class Grant:
    """An access token. Times are of the monotonic clock; the repr never shows the token."""

    token: str
    due: float
    """When it is to be replaced."""
    ends: float


class Tokens:
    """The token of one adapter."""

    def __init__(
        self, login: Prepare, door: Door, *, timeout: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``timeout`` is what one login may take, in seconds."""
        self.identity = ""
        """The service account that logs in, for remedies; "" where that is not known."""
        self._login = login
        self._door = door
        self._timeout = timeout
        self._clock = clock
        self._threads = transport.Threads(1)
        self._ready: tuple[float, Credential] | None = None
        self._grant: Grant | None = None
        self._flight: Flight[str, Grant] = Flight()
        self._closed = False

    async def prepare(self) -> None:
        """Resolve what the first login needs. Raises ``BadSpec``, ``CallerNeeded`` or ``Unreachable``."""
        self._ready = (self._clock(), await self._resolved())

    async def current(self) -> Grant:
        """A token to use now. Raises what a login raises."""
        grant = self._grant
        if grant is None or self._clock() >= grant.due:
            grant = await self._flight.join("login", self._renew)
        if self._closed:
            raise Broken("a store's adapter was used after it was closed")
        return grant

    async def instead_of(self, refused: Grant) -> Grant:
        """Another token than one that Google does not accept. Raises what a login raises."""
        if self._grant is refused:
            self._grant = None
        return await self.current()

    async def aclose(self) -> None:
        """Forget the token. A login under way is not waited for; its result is dropped."""
        self._closed = True
        await self._flight.drain()
        self._grant, self._ready = None, None

    async def _renew(self) -> Grant:
        try:
            self._grant = await self._log_in()
        except (Unreachable, Busy):
            grant, now = self._grant, self._clock()
            if grant is None or now >= grant.ends:
                raise
            # It is still good: ask again later, and not with every request.
            self._grant = replace(grant, due=now + max(1.0, (grant.ends - now) / 4))
        return self._grant

    async def _log_in(self) -> Grant:
        ready, self._ready = self._ready, None
        if ready is None or self._clock() - ready[0] > _FRESH_SECONDS:
            credential = await self._resolved()
        else:
            credential = ready[1]
        try:
            async with asyncio.timeout(self._timeout):
                outcome = await self._threads.run(lambda: self._refreshed(credential))
        except TimeoutError:
            raise Unreachable(
                "Google did not give an access token in time", remedy="check the network and network policies"
            ) from None
        if isinstance(outcome, KeyferryError):
            raise outcome
        return outcome

    async def _resolved(self) -> Credential:
        credential = await self._login()
        self.identity = getattr(credential, "service_account_email", None) or ""
        return credential

    def _refreshed(self, credential: Credential) -> Grant | KeyferryError:
        # Runs in a thread. An error is returned, not raised: google-auth's exceptions hold requests with tokens and
        # keys, and would hang on to a raised one as its context.
        try:
            credential.refresh(self._door)
        except Failed as failure:
            return failure.told
        except (GoogleAuthError, ValueError, TypeError, KeyError, AttributeError):
            # What google-auth makes of an answer that has not the form it should have.
            return not_google("the server that gives out tokens")
        if not isinstance(credential.token, str) or not credential.token:
            return not_google("the server that gives out tokens")
        now = self._clock()
        seconds = _UNKNOWN_SECONDS
        if credential.expiry is not None:
            # google-auth's times are UTC without saying so.
            seconds = (credential.expiry.replace(tzinfo=dt.UTC) - dt.datetime.now(dt.UTC)).total_seconds()
        return Grant(credential.token, due=now + max(seconds - _AHEAD_SECONDS, seconds / 2), ends=now + seconds)
