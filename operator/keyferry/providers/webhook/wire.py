"""Connections to addresses that a store may reach: one request, one answer of bounded size.

No cookies, no redirects, nothing of the environment. An address is judged twice: all that a name resolves to, so that
the verdict does not depend on which is tried first; and the one that a socket is about to be opened to, whatever way
led there.
"""

from __future__ import annotations

import asyncio
import socket
import ssl as tls
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDictProxy

from keyferry.addresses import Addresses
from keyferry.errors import BadValue, Broken
from keyferry.providers.webhook.requests import Request

MOST_BYTES: Final = 4 * 1024 * 1024
"""Size of an answer. A Secret holds a mebibyte; what is around the value may be larger."""
_MOST_OF_A_REFUSAL: Final = 64 * 1024
"""Bytes that are read of what is no value; reading it to its end keeps the connection."""
_TURNS: Final = 3


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """An answer of any status. The repr shows no content."""

    status: int
    headers: CIMultiDictProxy[str]
    content: bytes

    def __repr__(self) -> str:
        return f"Answer(status={self.status})"


class Guard(AbstractResolver):
    """Resolves names, and refuses those that lead where a store may not go."""

    def __init__(self, addresses: Addresses, name: str) -> None:
        """``name`` is how errors call the server."""
        self._addresses = addresses
        self._name = name
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises ``Denied`` where one of them is refused, and ``OSError``."""
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            self._addresses.check(self._name, each["host"])
        return found

    async def close(self) -> None:
        """Nothing is held."""
        await self._resolver.close()

    def opened(self, info: tuple[Any, ...]) -> socket.socket:
        """A socket for an address, as getaddrinfo gives it. Raises ``Denied`` where it is refused."""
        family, kind, protocol, _, address = info
        self._addresses.check(self._name, str(address[0]))
        return socket.socket(family, kind, protocol)


class Lane:
    """Connections of its own to one server, ``limit`` at most; close it."""

    def __init__(self, guard: Guard, ssl: tls.SSLContext | None, *, limit: int) -> None:
        self._guard = guard
        self._ssl = ssl
        self._limit = limit
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._closed = False

    async def once(self, request: Request, proxy: str | None) -> Answer:
        """The answer. Raises ``Denied`` for a refused address, ``BadValue`` for a large answer, and aiohttp's errors.

        A proxy's own address is the administrator's choice, and is not judged.
        """
        async with self._session(direct=proxy is None).request(
            request.method,
            request.url,
            headers=request.headers,
            data=request.body or None,
            proxy=proxy,
            allow_redirects=False,
            skip_auto_headers=("Content-Type",),
        ) as response:
            content = bytearray()
            ok = response.status < 300
            async for chunk in response.content.iter_any():
                content += chunk
                if ok and len(content) > MOST_BYTES:
                    raise BadValue(
                        f"the answer is larger than {MOST_BYTES // 2**20} MiB", remedy="let the server send less"
                    )
                if not ok and len(content) > _MOST_OF_A_REFUSAL:
                    break
            return Answer(response.status, response.headers, bytes(content))

    async def aclose(self) -> None:
        """Close the connections; requests under way fail. Idempotent."""
        self._closed = True
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()
        # A TLS connection that was closed lets go of its socket a turn of the loop later, its transport another.
        for _ in range(_TURNS if sessions else 0):
            await asyncio.sleep(0)

    def _session(self, *, direct: bool) -> aiohttp.ClientSession:
        if self._closed:
            raise Broken("a store's adapter was used after it was closed")
        if direct not in self._sessions:
            guards: dict[str, Any] = {"resolver": self._guard, "socket_factory": self._guard.opened} if direct else {}
            self._sessions[direct] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._limit, ssl=self._ssl or True, **guards),
                cookie_jar=aiohttp.DummyCookieJar(),
                # Nothing that has to be unpacked is asked for: a small answer cannot become a large one.
                headers={"User-Agent": "keyferry", "Accept-Encoding": "identity"},
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._sessions[direct]
