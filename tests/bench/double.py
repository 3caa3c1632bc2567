"""A provider double: KV version 2 with a token, over HTTP, as far as operators of External Secrets manifests read it.

It counts what it is asked, adds latency, and fails as it is told, each mount by itself: ``/v1/<mount>/data/<key>``.
The values follow from seed, key and version, so that two runs with one seed serve the same.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, Self

import orjson
from aiohttp import web

TOKEN = "bench-token"
PROPERTIES = 20
"""Properties of every secret: ``p0``, ``p1``, ..."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a mount answers. ``latency`` and ``retry_after`` are in seconds.

    ``busy`` answers 429 with Retry-After, ``gone`` cuts the connection without an answer.
    """

    latency: float = 0.02
    fault: Literal["", "busy", "gone"] = ""
    retry_after: int = 10


@dataclass(frozen=True, slots=True)
class Call:
    """One request. ``at`` is a moment of the loop's clock; ``key`` is "" for what is no secret."""

    at: float
    mount: str
    key: str


class Double:
    """``async with Double(seed=1, manner=Manner()) as double`` serves at ``double.url`` until it is left."""

    def __init__(self, *, seed: int, manner: Manner) -> None:
        """``manner``: of every mount that is told nothing else."""
        self._seed = seed
        self._manner = manner
        self._manners: dict[str, Manner] = {}
        self._version = 1
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=0.0)
        self.url = ""
        self.calls: list[Call] = []
        """Every request since the start, in order."""

    def behave(self, mount: str, manner: Manner | None) -> None:
        """From now on the mount answers so; None for as all others do."""
        self._manners[mount] = manner or self._manner

    def rotate(self) -> None:
        """Every secret has a new version, with new values."""
        self._version += 1

    def reads(self, since: int = 0) -> list[Call]:
        """Requests for secrets, leaving out the first so many of ``calls``."""
        return [call for call in self.calls[since:] if call.key]

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        mount, _, rest = request.path.removeprefix("/v1/").partition("/")
        key = rest.removeprefix("data/") if rest.startswith("data/") else ""
        self.calls.append(Call(asyncio.get_running_loop().time(), mount, key))
        manner = self._manners.get(mount, self._manner)
        await asyncio.sleep(manner.latency)
        if manner.fault == "gone" and request.transport is not None:
            request.transport.abort()
        if manner.fault == "busy":
            return _answer(429, {"errors": ["rate limited"]}, {"Retry-After": str(manner.retry_after)})
        if request.headers.get("X-Vault-Token") != TOKEN:
            return _answer(403, {"errors": ["permission denied"]})
        if mount == "auth":
            return _answer(200, {"data": {"id": TOKEN, "type": "service", "ttl": 0, "expire_time": None}})
        if not key:
            return _answer(404, {"errors": []})
        return _answer(200, {"data": {"data": self._values(key), "metadata": {"version": self._version}}})

    def _values(self, key: str) -> dict[str, str]:
        text = f"{self._seed}:{key}:{self._version}:"
        return {f"p{number}": hashlib.sha256(f"{text}{number}".encode()).hexdigest() for number in range(PROPERTIES)}

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


def busiest(calls: Collection[Call], window: float) -> int:
    """Most calls that fall into one window of so many seconds."""
    moments = sorted(call.at for call in calls)
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] > window:
            first += 1
        most = max(most, last - first + 1)
    return most


def _answer(status: int, body: object, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json", headers=headers)
