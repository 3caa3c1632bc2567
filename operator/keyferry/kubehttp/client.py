"""Requests and watches: connections, headers, time-outs, JSON."""

from __future__ import annotations

import asyncio
import io
import ssl as tls
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import aiohttp
import orjson
from yarl import URL

from keyferry.errors import BadSpec
from keyferry.kubehttp import config
from keyferry.kubehttp.error import KubeError, from_answer, from_status, from_transport
from keyferry.transport import proxy_for

_TURNS = 3
_LARGE = 2**20


class KubeHttp:
    """Requests and watches to one API server. Build it with ``from_environment`` or ``direct``; close it.

    Requests share ``limit`` connections; each watch has a connection of its own. Connections are opened on first use.
    """

    server: str
    """Scheme, host, port and path prefix, without a final slash."""

    def __init__(self, endpoint: config.Endpoint, *, limit: int, user_agent: str) -> None:
        self.server = endpoint.server.rstrip("/")
        try:
            parts = urlsplit(self.server)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
                raise ValueError
        except ValueError:
            raise BadSpec("the API server's URL is no URL", remedy="give it as https://host:port") from None
        if parts.username or parts.password or parts.query or parts.fragment:
            raise BadSpec("the API server's URL holds credentials or a query", remedy="give it as https://host:port")
        self._authorization = endpoint.authorization
        self._options: dict[str, Any] = {
            "ssl": endpoint.ssl,
            "server_hostname": endpoint.server_hostname,
            "proxy": endpoint.proxy or proxy_for(parts),
            "allow_redirects": False,
        }
        self._user_agent = user_agent
        self._limits = {"request": limit, "watch": 0}
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._closed = False

    @classmethod
    async def from_environment(
        cls, *, kubeconfig: str | None = None, context: str | None = None, limit: int = 36, user_agent: str
    ) -> Self:
        """The cluster that the process is meant for.

        ``kubeconfig`` (a path, or several as in ``KUBECONFIG``) or ``context`` where given; the pod's own service
        account inside a cluster; ``KUBECONFIG`` and ``~/.kube/config`` otherwise. Raises ``BadSpec`` where that
        configuration is absent or cannot be used.
        """
        endpoint = await config.from_environment(kubeconfig, context)
        return cls(endpoint, limit=limit, user_agent=user_agent)

    @classmethod
    def direct(
        cls,
        *,
        server: str,
        ssl: tls.SSLContext | bool,
        token: Callable[[], Awaitable[str]] | str | None,
        limit: int = 8,
        user_agent: str,
        scheme: str = "Bearer",
        proxy: str | None = None,
        server_hostname: str | None = None,
    ) -> Self:
        """An API server whose address and credential are known. Raises ``BadSpec`` for a bad ``server``.

        ``token`` as a function is asked before every request, and again after a 401; it has to remember its answer,
        and what it raises goes to the caller of ``request``.
        """

        async def authorization(_: str | None) -> str:
            value = token if isinstance(token, str) or token is None else await token()
            return f"{scheme} {value}" if value else ""

        endpoint = config.Endpoint(server, ssl, authorization, proxy, server_hostname)
        return cls(endpoint, limit=limit, user_agent=user_agent)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float = 30.0,  # noqa: ASYNC109 - one deadline for waiting, sending and reading
    ) -> Any:
        """The decoded answer, ``None`` where it is empty. Raises ``KubeError``.

        ``path`` is percent-encoded already; ``query`` is not. ``body`` is anything JSON, or bytes that are sent as they
        are. ``timeout`` is in seconds and includes the wait for a free connection.
        """
        headers = {"Accept": accept}
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = body if isinstance(body, bytes) else orjson.dumps(body)
        limits = aiohttp.ClientTimeout(total=timeout)
        async with self._send("request", method, path, query, headers, data, limits) as response:
            raw = await response.read()
        if not raw:
            return None
        return self._decode(raw)

    async def stream(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
        idle_timeout: float,
    ) -> AsyncGenerator[Any]:
        """The decoded lines of a watch, until the server ends it. Close it (``contextlib.aclosing``) to leave early.

        Raises ``KubeError``: for an ``ERROR`` event, what its Status says (410 is ``gone``); with reason ``Timeout``
        where nothing arrives for ``idle_timeout`` seconds.
        """
        limits = aiohttp.ClientTimeout(total=None, sock_connect=idle_timeout, sock_read=idle_timeout)
        async with self._send("watch", "GET", path, query, {"Accept": accept}, None, limits) as response:
            rest: list[bytes] = []
            async for chunk in response.content.iter_any():
                *lines, last = chunk.split(b"\n")
                for line in lines:
                    yield self._event(b"".join((*rest, line)))
                    rest.clear()
                rest.append(last)
            if any(rest):
                yield self._event(b"".join(rest))

    async def aclose(self) -> None:
        """Close all connections; requests under way and later ones fail. Idempotent."""
        self._closed = True
        while self._sessions:
            await self._sessions.popitem()[1].close()
        # A TLS connection that was closed lets go of its socket a turn of the loop later, and its transport another.
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    @asynccontextmanager
    async def _send(
        self,
        use: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        headers: dict[str, str],
        data: bytes | None,
        limits: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer below 300. A 401 is asked once more, where there is another credential by then."""
        target = URL(f"{self.server}{path}?{urlencode(query)}" if query else f"{self.server}{path}", encoded=True)
        try:
            header = await self._authorization(None)
            for last in (False, True):
                sent = headers | ({"Authorization": header} if header else {})
                session = self._session(use)
                # Of more than a megabyte of bytes aiohttp warns; of a file it does not.
                content = data if data is None or len(data) <= _LARGE else io.BytesIO(data)
                async with session.request(
                    method, target, headers=sent, data=content, timeout=limits, **self._options
                ) as response:
                    if response.status < 300:
                        try:
                            yield response
                        finally:
                            _cut(response)
                        return
                    error = from_answer(
                        response.status,
                        await response.read(),
                        retry_after=response.headers.get("Retry-After"),
                        wrote=data is not None,
                    )
                renewed = header if last or not error.unauthorized else await self._authorization(header)
                if renewed == header:
                    raise error
                header = renewed
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            if self._closed:
                raise KubeError(0, "Closed", f"{self.server}: the connection was closed") from None
            raise from_transport(error, self.server) from None

    def _session(self, use: str) -> aiohttp.ClientSession:
        if self._closed:
            raise KubeError(0, "Closed", f"{self.server}: the connection was closed")
        if use not in self._sessions:
            self._sessions[use] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._limits[use]),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": self._user_agent},
                # A watch's line may be several MB; small buffers would stop and start the connection.
                read_bufsize=2**21 if use == "watch" else 2**16,
            )
        return self._sessions[use]

    def _decode(self, raw: bytes) -> Any:
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            # The decoder's error holds the document.
            raise KubeError(0, "Garbage", f"{self.server}: the answer is not JSON") from None

    def _event(self, line: bytes) -> Any:
        event = self._decode(line)
        if isinstance(event, dict) and event.get("type") == "ERROR" and isinstance(event.get("object"), dict):
            raise from_status(event["object"])
        return event


def _cut(response: aiohttp.ClientResponse) -> None:
    """End the connection of an answer that was not read to its end: TLS would wait for the server to say goodbye."""
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()
