"""A URL that gives tokens of elsewhere, named by the author of a store.

Not left to google-auth: whoever names the URL may reach less of the network than Keyferry does. Names are judged by
what they stand for at the moment of the connection; there are no redirects; and nothing of an answer is repeated.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import ResolveResult

from keyferry import transport
from keyferry.addresses import Addresses
from keyferry.errors import Denied, Unreachable
from keyferry.providers.gcpsm.door import shared_tls

_LONGEST: Final = 64 * 1024
"""Bytes that an answer may have."""
_TURNS: Final = 3


@dataclass(frozen=True, slots=True, repr=False)
class Endpoint:
    """``field`` is the member of a JSON object that holds the token, "" where the token is the answer."""

    url: str
    headers: Mapping[str, str]
    field: str
    where: str
    """The place in the manifest, for error texts."""
    seconds: float
    """What one request may take."""

    async def token(self, addresses: Addresses) -> str:
        """A token.

        Raises:
            BadSpec: the URL is none.
            Denied: the store's author may not reach it, or it refuses.
            Unreachable: it does not answer, or not with a token.
        """
        parts = transport.server_url(self.url.partition("?")[0], where=self.where)
        host = parts.hostname or ""
        address = f"{parts.scheme}://{parts.netloc}"
        # Plain HTTP is what metadata servers of a machine speak: no proxy reaches them.
        proxy = transport.proxy_for(parts) if parts.scheme == "https" else None
        addresses.check_literal(host)
        resolver = _Resolver(addresses, trusted=urlsplit(proxy).hostname if proxy else None)
        connector = aiohttp.TCPConnector(ssl=shared_tls(None), resolver=resolver)
        try:
            async with (
                asyncio.timeout(self.seconds),
                aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.get(self.url, headers=self.headers, proxy=proxy, allow_redirects=False) as response,
            ):
                status, data = response.status, await _start_of(response)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise transport.unreachable(error, address) from None
        finally:
            # A TLS connection that was closed lets go of its socket some turns of the loop later.
            for _ in range(_TURNS):
                await asyncio.sleep(0)
        return self._judged(status, data, address)

    def _judged(self, status: int, data: bytes, address: str) -> str:
        if status in {400, 401, 403, 404}:
            raise Denied(f"{address} refuses to give a token (HTTP {status})", remedy=f"check {self.where}")
        token = self._found(data) if status == 200 else None
        if not token:
            raise Unreachable(f"{address} gives no token (HTTP {status})", remedy=f"check {self.where}")
        return token

    def _found(self, data: bytes) -> str | None:
        try:
            content: Any = json.loads(data) if self.field else data.decode()
        except ValueError:
            return None
        if self.field:
            content = content.get(self.field) if isinstance(content, dict) else None
        return content if isinstance(content, str) else None


class _Resolver(aiohttp.ThreadedResolver):
    """Resolves names and judges what they stand for. ``trusted`` is the proxy, which an administrator names."""

    def __init__(self, addresses: Addresses, *, trusted: str | None) -> None:
        super().__init__()
        self._addresses = addresses
        self._trusted = trusted

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See ``AbstractResolver``. Raises ``Denied``."""
        found = await super().resolve(host, port, family)
        for each in found if host != self._trusted else ():
            self._addresses.check(host, each["host"])
        return found


async def _start_of(response: aiohttp.ClientResponse) -> bytes:
    found = b""
    async for chunk in response.content.iter_any():
        found += chunk
        if len(found) > _LONGEST:
            return b""
    return found
