"""Calls to one vault, through the SDK's clients: who is let in when, how often, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, Final, TypeVar

from azure.core.exceptions import AzureError, HttpResponseError
from azure.keyvault.certificates.aio import CertificateClient
from azure.keyvault.keys.aio import KeyClient
from azure.keyvault.secrets.aio import SecretClient

from keyferry.errors import KeyferryError
from keyferry.ports import Context
from keyferry.providers.azurekv.answers import Purpose, judge, no_vault
from keyferry.providers.azurekv.login import Login
from keyferry.providers.azurekv.places import Places
from keyferry.providers.azurekv.wire import CONNECTIONS, Session, Wire
from keyferry.transport import retried

T = TypeVar("T")

_API_VERSION: Final = "7.4"
"""A version of the API that Azure's clouds have had for long; the SDK's default is newer with every release."""


class Door:
    """The way to one vault. Build it on the event loop; close it."""

    def __init__(self, places: Places, login: Login, session: Session, context: Context) -> None:
        self.vault = places.vault
        self._login = login
        self._session = session
        self._context = context
        self._options: dict[str, Any] = {
            "credential": login,
            "api_version": _API_VERSION,
            "transport": Wire(session, host=places.vault),
            # Tries again and follows redirects: the operator does the one, nobody does the other.
            "retry_total": 0,
            "permit_redirects": False,
        }
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._first = asyncio.Lock()
        self._visited: set[str] = set()

    @cached_property
    def secrets(self) -> SecretClient:
        """The SDK's client for secrets."""
        return SecretClient(self.vault, **self._options)

    @cached_property
    def keys(self) -> KeyClient:
        """The SDK's client for keys."""
        return KeyClient(self.vault, **self._options)

    @cached_property
    def certificates(self) -> CertificateClient:
        """The SDK's client for certificates."""
        return CertificateClient(self.vault, **self._options)

    async def ask(self, call: str, purpose: Purpose, request: Callable[[], Awaitable[T]]) -> T:
        """The result of ``request``, a call of one of the clients. Raises a KeyferryError.

        Args:
            call: name of the call in metrics.
            purpose: what it is for, for error texts.
            request: makes the call; it may be made several times.
        """
        return await retried(lambda: self._led(call, purpose, request), self._context.retries)

    async def aclose(self) -> None:
        """Forget the token and close the connections. Idempotent."""
        await self._login.aclose()
        await self._session.aclose()

    async def _led(self, call: str, purpose: Purpose, request: Callable[[], Awaitable[T]]) -> T:
        """The first request of a kind goes alone: it learns where to log in, for all that wait behind it."""
        if call not in self._visited:
            async with self._first:
                if call not in self._visited:
                    try:
                        return await self._once(call, purpose, request)
                    finally:
                        self._visited.add(call)
        return await self._once(call, purpose, request)

    async def _once(self, call: str, purpose: Purpose, request: Callable[[], Awaitable[T]]) -> T:
        async with self._places:
            generation = self._login.generation
            try:
                return await self._observed(call, purpose, request)
            except _Refused as error:
                if not self._login.refused(generation):
                    raise error.told from None
            # A token may end before its time: when the vault moves to another tenant, or when it is revoked.
            try:
                return await self._observed(call, purpose, request)
            except _Refused as error:
                raise error.told from None

    async def _observed(self, call: str, purpose: Purpose, request: Callable[[], Awaitable[T]]) -> T:
        with self._context.observe(call):
            try:
                found = await request()
            except HttpResponseError as error:
                told = judge(error, vault=self.vault, purpose=purpose)
                if error.status_code == 401:
                    raise _Refused(told) from None
                self._login.accepted()
                raise told from None
            except (AzureError, ValueError, TypeError, AttributeError, LookupError):
                # What the SDK makes of an answer that it did not expect. It may quote the answer.
                raise no_vault(self.vault) from None
            self._login.accepted()
            return found


class _Refused(Exception):
    """The vault does not accept the token."""

    def __init__(self, told: KeyferryError) -> None:
        super().__init__()
        self.told = told
