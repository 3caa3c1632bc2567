"""A provider double that counts: KV version 2 with a token over HTTP, holding what it is told to hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Self

import orjson
from aiohttp import web

TOKEN = "takeover-token"


class Kv:
    """``async with Kv() as kv`` serves every mount at ``kv.url``; a key that it does not hold is not found."""

    def __init__(self) -> None:
        self.values: dict[str, Mapping[str, str]] = {}
        """Properties by key."""
        self.reads: Counter[str] = Counter()
        """Requests by key."""
        self.others: Counter[str] = Counter()
        """Requests for what is no secret, by path: a token's own, which is how stores are checked, and mounts."""
        self.url = ""
        self._version = 1
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=0.0)

    def rotate(self) -> None:
        """Every secret has a new version, with new values."""
        self._version += 1
        self.values = {
            key: {name: f"{value}-{self._version}" for name, value in properties.items()}
            for key, properties in self.values.items()
        }

    def asked(self) -> Counter[str]:
        """``reads`` since the last call."""
        found, self.reads = self.reads, Counter()
        return found

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        _, _, rest = request.path.removeprefix("/v1/").partition("/")
        key = rest.removeprefix("data/") if rest.startswith("data/") else ""
        if key:
            self.reads[key] += 1
        else:
            self.others[rest] += 1
        if request.headers.get("X-Vault-Token") != TOKEN:
            return _answer(403, {"errors": ["permission denied"]})
        if request.path.startswith("/v1/auth/"):
            return _answer(200, {"data": {"id": TOKEN, "type": "service", "ttl": 0, "expire_time": None}})
        if request.path.startswith("/v1/sys/internal/ui/mounts/"):
            return _answer(200, {"data": {"type": "kv", "options": {"version": "2"}, "path": "kv/"}})
        if key not in self.values:
            return _answer(404, {"errors": []})
        return _answer(200, {"data": {"data": dict(self.values[key]), "metadata": {"version": self._version}}})

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


def _answer(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")
