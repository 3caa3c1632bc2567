"""An endpoint as people write them for the webhook provider, on loopback.

    async with Hooks() as hooks:
        hooks.put("db", "s3cr3t")
        token = hooks.token()
        url = f"{hooks.url}/secret?key=db"      # {"value": "s3cr3t", "version": "1"}, with an ETag

``/secret`` serves what was ``put``, to bearers of a token. Any other path is what ``routes`` makes of it; without a
route it is 404. ``requests`` keeps everything that arrived.
"""

from __future__ import annotations

import hashlib
import secrets
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import NamedTuple, Self

from aiohttp import web

from tests.sandbox.certificates import Pair

Route = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Seen(NamedTuple):
    """A request as it arrived. ``target`` is path and query as they stood; names of ``headers`` are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


class Hooks:
    """See the module."""

    url: str
    port: int

    def __init__(self, *, host: str = "127.0.0.1", pair: Pair | None = None) -> None:
        """``pair``: serve over TLS, with this certificate."""
        self.requests: list[Seen] = []
        self.routes: dict[str, Route] = {}
        self.tokens: dict[str, bool] = {}
        """Token → whether it may read."""
        self._host = host
        self._pair = pair
        self._values: dict[str, list[str]] = {}
        self._connections: list[object] = []

    def put(self, key: str, value: str) -> str:
        """A new version of a secret; the result is its number."""
        self._values.setdefault(key, []).append(value)
        return str(len(self._values[key]))

    def delete(self, key: str) -> None:
        """Remove a secret and all its versions."""
        del self._values[key]

    def token(self) -> str:
        """A new token that may read."""
        text = secrets.token_hex(20)
        self.tokens[text] = True
        return text

    def route(self, path: str, body: str | bytes = "", *, status: int = 200, **headers: str) -> None:
        """Answer a path with this."""
        content = body.encode() if isinstance(body, str) else body

        async def answer(_: web.Request) -> web.Response:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return web.Response(status=status, body=content, headers=named)

        self.routes[path] = answer

    async def __aenter__(self) -> Self:
        context = None
        if self._pair is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            with tempfile.NamedTemporaryFile() as file:
                file.write(self._pair.cert + self._pair.key)
                file.flush()
                context.load_cert_chain(file.name)
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, 0, ssl_context=context).start()
        self.port = self._runner.addresses[0][1]
        shown = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"{'https' if context else 'http'}://{shown}:{self.port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.protocol not in self._connections:
            self._connections.append(request.protocol)
        self.requests.append(
            Seen(
                method=request.method,
                target=request.raw_path,
                headers={name.lower(): value for name, value in request.headers.items()},
                body=await request.read(),
                connection=self._connections.index(request.protocol),
            )
        )
        route = self.routes.get(request.path)
        if route is not None:
            return await route(request)
        if request.path != "/secret":
            return web.Response(status=404, text="no such path")
        return self._secret(request)

    def _secret(self, request: web.Request) -> web.Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.tokens:
            return web.json_response({"error": f"token {token} is not known"}, status=401)
        if not self.tokens[token]:
            return web.json_response({"error": f"token {token} may not read"}, status=403)
        versions = self._values.get(request.query["key"], [])
        wanted = request.query.get("version") or str(len(versions))
        if not wanted.isdigit() or not 1 <= int(wanted) <= len(versions):
            return web.json_response({"error": f"no {request.query['key']} for token {token}"}, status=404)
        value = versions[int(wanted) - 1]
        tag = f'"{hashlib.sha256(value.encode()).hexdigest()}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={"ETag": tag})
        return web.json_response({"value": value, "version": wanted}, headers={"ETag": tag})
