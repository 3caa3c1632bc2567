"""Trouble on the way to an HTTP backend: a proxy on loopback that can be slow, break off, talk nonsense or say 429.

    async with FaultProxy("https://127.0.0.1:8200", ca=pem) as proxy:
        adapter_of(proxy.url, proxy.ca_pem)
        proxy.fail(429, retry_after=7)   # every request, until the next call or proxy.clear()

It terminates TLS with a certificate of its own, so what passes it unharmed is a real conversation with the backend.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Protocol, Self

import aiohttp
from aiohttp import web

from tests.sandbox.certificates import Authority


class Faults(Protocol):
    """What every stand-in for trouble can do; see ``FaultProxy``."""

    ca_pem: bytes

    @property
    def url(self) -> str: ...
    def clear(self) -> None: ...
    def fail(self, status: int, *, retry_after: int | None = None, body: str = "") -> None: ...
    def garbage(self, body: str) -> None: ...
    def hang(self) -> None: ...
    def break_off(self, *, after: bytes | None = None) -> None: ...


Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]
_NOT_PASSED = {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
_MANY_MB = 2**28


class FaultProxy:
    """See the module. ``requests`` lists method and path of everything that arrived."""

    url: str
    ca_pem: bytes

    def __init__(self, target: str, *, ca: str | bytes | None = None, tls: bool = True) -> None:
        """``tls``: off for clients that cannot be told an authority."""
        self.requests: list[str] = []
        self.target = target.rstrip("/")
        pem = ca.decode() if isinstance(ca, bytes) else ca
        self._upstream = ssl.create_default_context(cadata=pem) if pem else True
        authority = Authority("fault proxy")
        self.ca_pem = authority.pem
        self._pair = authority.server()
        self._tls = tls
        self._fault: Fault | None = None
        self._ended = asyncio.Event()

    def clear(self) -> None:
        """All well again."""
        self._fault = None

    def fail(self, status: int, *, retry_after: int | None = None, body: str = "") -> None:
        """Answer by a status, without asking the backend."""

        async def fault(_: web.Request) -> web.Response:
            headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
            return web.Response(status=status, headers=headers, text=body)

        self._fault = fault

    def garbage(self, body: str) -> None:
        """Answer 200 with this body, called JSON."""

        async def fault(_: web.Request) -> web.Response:
            return web.Response(text=body, content_type="application/json")

        self._fault = fault

    def hang(self) -> None:
        """Take requests and never answer."""

        async def fault(_: web.Request) -> web.Response:
            await self._ended.wait()
            return web.Response(status=503)

        self._fault = fault

    def break_off(self, *, after: bytes | None = None) -> None:
        """Cut the connection: at once, or in the middle of an answer that begins with ``after``."""

        async def fault(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Length": str(2**20)})
            if after is not None:
                await response.prepare(request)
                await response.write(after)
            if request.transport is not None:
                request.transport.abort()
            return response

        self._fault = fault

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.rel_url.raw_path}")
        if self._fault:
            return await self._fault(request)
        async with self._session.request(
            request.method,
            f"{self.target}{request.raw_path}",
            headers={name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED},
            data=await request.read(),
            ssl=self._upstream,
            allow_redirects=False,
        ) as answer:
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in _NOT_PASSED}
            return web.Response(status=answer.status, headers=headers, body=await answer.read())

    async def __aenter__(self) -> Self:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(self._pair.cert + self._pair.key)
            file.flush()
            context.load_cert_chain(file.name)
        self._session = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=_MANY_MB)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context if self._tls else None)
        await site.start()
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        # Clients that left without a word keep TLS waiting for one.
        for connection in self._runner.server.connections if self._runner.server else ():
            if connection.transport is not None:
                connection.transport.abort()
        await self._runner.cleanup()
        await self._session.close()
