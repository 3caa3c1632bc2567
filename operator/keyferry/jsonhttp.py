"""A door to one HTTP API, for stores whose API is called without a library: a request in, an answer out.

TLS context, proxy, deadline and closing are taken care of, and a way that fails is told in the words of ``transport``.
Knows no store: what a status means, and what an answer holds, is its provider's to say. Tries nothing again.
"""

from __future__ import annotations

import asyncio
import ssl as tls
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode, urljoin

import aiohttp
import orjson
from yarl import URL

from keyferry import transport
from keyferry.errors import Broken, Unreachable

_REDIRECTS: Final = 5
_TURNS: Final = 3


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """An answer of any status. Names of ``headers`` are in lower case. The repr shows no content."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def __repr__(self) -> str:
        return f"Answer(status={self.status})"

    def json(self) -> Any:
        """The decoded content; None where it is no JSON. Numbers beyond 64 bits become floats."""
        try:
            return orjson.loads(self.content)
        except orjson.JSONDecodeError:
            # The decoder's error holds the document.
            return None


class JsonHttp:
    """Requests to one API. Connections are opened on first use, ``limit`` at most; close it.

    No cookies, no environment but the proxy's variables. A redirect is followed for reads, and within the same
    origin only: headers carry credentials.
    """

    def __init__(
        self,
        url: str,
        *,
        where: str,
        ssl: tls.SSLContext | None,
        timeout: float,
        headers: Mapping[str, str],
        limit: int,
    ) -> None:
        """Raises ``BadSpec`` for a bad URL.

        Args:
            url: scheme, host, port and the path that all requests begin with.
            where: the manifest's field that holds it.
            ssl: None for plain http, which it would be ignored for.
            timeout: seconds that one request may take, from waiting for a connection to the end of the answer.
            headers: of every request.
            limit: requests at the same time.
        """
        parts = transport.server_url(url, where=where)
        self.address = url.strip().rstrip("/")
        """As the manifest has it, without a final slash."""
        self._origin = URL(self.address).origin()
        self._options: dict[str, Any] = {"ssl": ssl or True, "proxy": transport.proxy_for(parts)}
        self._headers = {"User-Agent": "keyferry", **headers}
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._limit = limit
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Answer:
        """The answer. Raises ``Unreachable`` where there is none.

        ``path`` is percent-encoded already (see ``part``); ``query`` is not. ``body`` is sent as JSON.
        """
        target = f"{self.address}{path}?{urlencode(query)}" if query else f"{self.address}{path}"
        sent = dict(headers or {})
        data = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            data = orjson.dumps(body)
        try:
            async with asyncio.timeout(self._timeout.total):
                for _ in range(_REDIRECTS):
                    answer = await self._once(method, target, sent, data)
                    if answer.status not in {301, 302, 307, 308} or method not in {"GET", "HEAD"}:
                        return answer
                    target = self._redirected(target, answer.headers.get("location", ""))
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError):
            raise transport.unreachable(ConnectionResetError(), self.address) from None
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            raise transport.unreachable(error, self.address) from None
        raise Unreachable(f"{self.address} redirects again and again", remedy="check the address")

    async def aclose(self) -> None:
        """Close the connections; requests under way fail. Idempotent."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()
            # A TLS connection that was closed lets go of its socket a turn of the loop later, its transport another.
            for _ in range(_TURNS):
                await asyncio.sleep(0)

    async def _once(self, method: str, target: str, headers: Mapping[str, str], data: bytes | None) -> Answer:
        if self._closed:
            raise Broken("a store's adapter was used after it was closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._limit),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
                timeout=self._timeout,
            )
        url = URL(target, encoded=True)
        async with self._session.request(
            method, url, headers=headers, data=data, allow_redirects=False, **self._options
        ) as response:
            content = await response.read()
            return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, content)

    def _redirected(self, target: str, location: str) -> str:
        where = URL(urljoin(target, location), encoded=True)
        if where.origin() != self._origin:
            raise Unreachable(
                f"{self.address} redirects to another address",
                remedy="give the address that it ends at, and look at what stands between it and the operator",
            )
        return str(where)


def part(text: str) -> str:
    """A text as one part of a path: dots are encoded too, so that it cannot lead elsewhere."""
    return quote(text, safe="").replace(".", "%2E")
