"""How requests of the SDKs travel: one HTTP session of ours for all of them.

The SDKs make requests and read answers; connections, TLS, proxies, time-outs and the words for a connection that
failed are ours. azure-core's own session would build a TLS context for every request that is given a CA, and with it a
connection.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import zlib
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import ResolveResult
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import AioHttpTransport, AsyncHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest

from keyferry.addresses import Addresses
from keyferry.errors import Broken, Unreachable
from keyferry.providers.azurekv.places import host_of
from keyferry.transport import proxy_for, ssl_context, unreachable

CONNECTIONS: Final = 16
"""Connections of one store, and so the requests that are under way at a time."""
_TURNS: Final = 3


class Session:
    """The connections of one store. Build it on the event loop; close it.

    ``timeout`` is in seconds, for one request and its answer. ``addresses`` judges what names resolve to.
    """

    def __init__(self, *, timeout: float, addresses: Addresses) -> None:
        self._resolver = _Resolver(addresses)
        connector = aiohttp.TCPConnector(ssl=ssl_context(), limit=CONNECTIONS, resolver=self._resolver)
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
        )
        self._inner: AsyncHttpTransport[HttpRequest, AsyncHttpResponse] = AioHttpTransport(
            session=self._session, session_owner=False, use_env_settings=False
        )
        self._timeout = timeout

    async def send(self, request: HttpRequest, options: dict[str, Any]) -> AsyncHttpResponse:
        """The whole answer to a request.

        Raises ``Unreachable`` where there is none, or a redirect; ``Denied`` where the store may not reach the address.
        """
        if self._session.closed:
            raise Broken("a store's adapter was used after it was closed")
        address = host_of(request.url)
        if proxy := _proxy(request.url):
            options["proxy"] = proxy
            self._resolver.trusted.add(urlsplit(proxy).hostname or "")
        # Time-outs of the SDKs are per socket operation, so that a slow answer could take for ever.
        options["connection_timeout"] = options["read_timeout"] = self._timeout
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._inner.send(request, **options)
        except (AzureError, aiohttp.ClientError, OSError) as error:
            raise unreachable(error, address) from None
        except (ValueError, zlib.error):
            # Headers that are no headers, a body that is not compressed as it says.
            raise Unreachable(f"{address} does not answer as HTTP servers do", remedy="check the address") from None
        if 300 <= response.status_code < 400:
            raise Unreachable(
                f"{address} redirects to another address, which is not followed",
                remedy="check the address, and what stands between it and the operator",
            )
        return response

    async def aclose(self) -> None:
        """Close all connections. Idempotent."""
        await self._session.close()
        # A TLS connection that was closed lets go of its socket a turn of the loop later, its transport another.
        for _ in range(_TURNS):
            await asyncio.sleep(0)


class Wire(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    """The session as the SDKs want it. ``host`` is the only one that is reached over it; "" lets any be."""

    def __init__(self, session: Session, *, host: str = "") -> None:
        self._session = session
        self._host = host

    async def send(self, request: HttpRequest, **kwargs: Any) -> AsyncHttpResponse:
        """See ``Session.send``. Raises ``Unreachable`` also where a page of a listing leads to another host."""
        if self._host and _origin(request.url) != self._host:
            raise Unreachable(f"{self._host} leads to another host, which is not followed", remedy="check vaultUrl")
        return await self._session.send(request, kwargs)

    async def open(self) -> None:
        """Nothing to do: the session is open."""

    async def close(self) -> None:
        """Nothing to do: the session closes with the adapter."""

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """See ``close``."""


class _Resolver(aiohttp.ThreadedResolver):
    """Resolves names, and judges what they stand for. ``trusted`` are proxies, which an administrator names."""

    def __init__(self, addresses: Addresses) -> None:
        super().__init__()
        self._addresses = addresses
        self.trusted: set[str] = set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See ``AbstractResolver``. Raises ``Denied``."""
        found = await super().resolve(host, port, family)
        for each in found if host not in self.trusted else ():
            self._addresses.check(host, each["host"])
        return found


def _proxy(url: str) -> str | None:
    parts = urlsplit(url)
    try:
        if ipaddress.ip_address(parts.hostname or "").is_link_local:
            # The metadata service of the node: no proxy can reach it, and tokens come from it in clear.
            return None
    except ValueError:
        pass
    return proxy_for(parts)


def _origin(url: str) -> str:
    # Key Vault's links to further pages name the default port.
    return host_of(url).lower().removesuffix(":443")
