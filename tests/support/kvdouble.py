"""The HTTP side of a KV version 2 engine with a token: what doubles of it have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Self

import orjson
from aiohttp import web


class KvDouble(ABC):
    """``async with`` serves every mount at ``url``, a free port of the loopback interface, until it is left."""

    def __init__(self, token: str) -> None:
        self.url = ""
        self.version = 1
        """Of every secret."""
        self._token = token
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=0.0)

    @abstractmethod
    async def arrived(self, request: web.BaseRequest, mount: str, path: str, key: str) -> web.Response | None:
        """A request came; an answer, where it gets another than the engine's. ``key`` is "" for what is no secret."""

    @abstractmethod
    def properties(self, key: str) -> Mapping[str, str] | None:
        """What a secret holds; None where it does not exist."""

    def beside(self, path: str) -> object:
        """The data of what is no secret, by the path below ``/v1/``; None where there is nothing."""
        if path.startswith("auth/"):
            return {"id": self._token, "type": "service", "ttl": 0, "expire_time": None}
        return None

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.removeprefix("/v1/")
        mount, _, rest = path.partition("/")
        key = rest.removeprefix("data/") if rest.startswith("data/") else ""
        other = await self.arrived(request, mount, rest, key)
        if other is not None:
            return other
        if request.headers.get("X-Vault-Token") != self._token:
            return answer(403, {"errors": ["permission denied"]})
        found = self.beside(path)
        if found is None and key:
            properties = self.properties(key)
            found = None if properties is None else {"data": dict(properties), "metadata": {"version": self.version}}
        return answer(404, {"errors": []}) if found is None else answer(200, {"data": found})

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


def answer(status: int, body: object, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON as the engine sends it."""
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json", headers=headers)
