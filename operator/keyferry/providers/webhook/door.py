"""Requests to the server of one store: redirects, proxies, a deadline, and the words for a way that fails."""

from __future__ import annotations

import asyncio
import contextlib
import ssl as tls
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Final, Protocol
from urllib.parse import quote, urljoin, urlsplit

import aiohttp
from yarl import URL

from keyferry import transport
from keyferry.addresses import Addresses
from keyferry.errors import BadSpec, KeyferryError, Unreachable
from keyferry.providers.webhook.requests import Request, Server
from keyferry.providers.webhook.wire import Answer, Guard, Lane

PARALLEL: Final = 8
"""Requests to one server at a time."""
_REDIRECTS: Final = 5
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_IN_URL: Final = "/%:@!$&'()*+,;=~-._[]|?#"


class Login(Protocol):
    """A login that takes several requests over one connection."""

    async def ask(self, request: Request, send: Callable[[Request], Awaitable[Answer]], address: str) -> Answer:
        """The answer to a request."""
        ...


class Door:
    """See the module. Connections are opened on first use; close it."""

    def __init__(
        self,
        server: Server,
        addresses: Addresses,
        ssl: tls.SSLContext | None,
        *,
        timeout: float,
        login: Login | None = None,
    ) -> None:
        """``timeout`` is in seconds, from the first byte sent to the last one read, all redirects included."""
        self.address = server.address
        self._name = server.name
        self._everything = addresses.everything
        self._timeout = timeout
        self._login = login
        self._guard = Guard(addresses, server.name)
        # A login is of its connection: who needs several requests for one must have it to himself meanwhile.
        self._lanes = (
            [Lane(self._guard, ssl, limit=1) for _ in range(PARALLEL)]
            if login
            else [Lane(self._guard, ssl, limit=PARALLEL)] * PARALLEL
        )
        self._free = list(self._lanes)
        self._places = asyncio.Semaphore(PARALLEL)

    async def send(self, request: Request) -> Answer:
        """The answer, of any status. A redirect is followed within the same origin only.

        Raises ``Denied`` for an address that the store may not reach, ``BadValue`` for an answer that is too large and
        ``Unreachable`` where there is none.
        """
        async with self._lane() as lane:
            with self._told():
                async with asyncio.timeout(self._timeout):
                    for _ in range(_REDIRECTS + 1):
                        answer = await self._ask(lane, request)
                        following = self._redirected(request, answer)
                        if following is None:
                            return answer
                        request = following
        raise Unreachable(f"{self.address} redirects again and again", remedy="check url")

    async def dial(self, url: URL) -> None:
        """Connect to the server, or to the proxy on the way to it, and hang up. Raises as ``send``."""
        with self._told():
            async with asyncio.timeout(self._timeout):
                proxy = await self._proxy(url)
                if proxy is None:
                    found = await self._guard.resolve(url.host or "", url.port or 0)
                    await _knock([each["host"] for each in found], url.port or 0)
                else:
                    between = URL(proxy)
                    await _knock([between.host or ""], between.port or 0)

    async def aclose(self) -> None:
        """Close the connections. Idempotent."""
        for lane in dict.fromkeys(self._lanes):
            await lane.aclose()

    async def _ask(self, lane: Lane, request: Request) -> Answer:
        proxy = await self._proxy(request.url)

        async def once(each: Request) -> Answer:
            return await lane.once(each, proxy)

        return await (self._login.ask(request, once, self.address) if self._login else once(request))

    async def _proxy(self, url: URL) -> str | None:
        """The proxy for an address, if there is one.

        A proxy resolves names by itself, out of our sight. Where addresses are judged, a name has to resolve here too,
        and to nothing that is refused.
        """
        proxy = transport.proxy_for(urlsplit(str(url)))
        if proxy is not None and not self._everything:
            try:
                await self._guard.resolve(url.host or "", url.port or 0)
            except OSError:
                raise Unreachable(
                    f'"{self._name}" is behind a proxy and cannot be resolved here: where it leads cannot be judged',
                    remedy="let the operator resolve the name, or use a ClusterSecretStore",
                ) from None
        return proxy

    def _redirected(self, request: Request, answer: Answer) -> Request | None:
        """The request that a redirect leads to. A method that sends something becomes GET where browsers do that."""
        location = answer.headers.get("Location")
        if answer.status not in _MOVED or location is None:
            return None
        here = request.url.origin()
        try:
            there = URL(quote(urljoin(str(request.url), location), safe=_IN_URL), encoded=True)
            same = there.origin() == here
        except ValueError:
            same = False
        if not same:
            raise Unreachable(
                f"{self.address} redirects to another address",
                remedy="give the address that it ends at, and look at what stands between it and the operator",
            )
        url = URL(f"{here}{there.raw_path_qs}", encoded=True)
        if answer.status in {307, 308} or request.method in {"GET", "HEAD"}:
            return replace(request, url=url)
        return replace(request, url=url, method="GET", body=b"")

    @contextlib.asynccontextmanager
    async def _lane(self) -> AsyncIterator[Lane]:
        async with self._places:
            lane = self._free.pop()
            try:
                yield lane
            finally:
                self._free.append(lane)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the way in our words. Those of aiohttp hold addresses and headers, and are dropped."""
        try:
            yield
        except KeyferryError as error:
            raise error.copy() from None
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError):
            raise transport.unreachable(ConnectionResetError(), self.address) from None
        except aiohttp.ClientHttpProxyError as error:
            raise Unreachable(
                f"the proxy does not connect to {self.address} (HTTP {error.status})",
                remedy="check what it allows, and the credentials in HTTPS_PROXY",
            ) from None
        except aiohttp.ClientProxyConnectionError as error:
            raise transport.unreachable(error, f"the proxy before {self.address}") from None
        except aiohttp.InvalidURL:
            raise BadSpec(f"{self.address} is no address that can be asked", remedy="check url") from None
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            raise transport.unreachable(error, self.address) from None


async def _knock(hosts: list[str], port: int) -> None:
    """Connect to one of these. Raises ``OSError`` where none listens."""
    failure = OSError()
    for host in hosts:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            failure = error
            continue
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return
    raise failure
