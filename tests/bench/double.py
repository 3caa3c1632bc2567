"""A provider double: KV version 2 with a token, over HTTP, as far as operators of External Secrets manifests read it.

It counts what it is asked, adds latency, and fails as it is told, each mount by itself: ``/v1/<mount>/data/<key>``.
The values follow from seed, key and version, so that two runs with one seed serve the same.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from tests.support.kvdouble import KvDouble, answer

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


class Double(KvDouble):
    """``async with Double(seed=1, manner=Manner()) as double`` serves at ``double.url`` until it is left."""

    def __init__(self, *, seed: int, manner: Manner) -> None:
        """``manner``: of every mount that is told nothing else."""
        super().__init__(TOKEN)
        self._seed = seed
        self._manner = manner
        self._manners: dict[str, Manner] = {}
        self.calls: list[Call] = []
        """Every request since the start, in order."""

    def behave(self, mount: str, manner: Manner | None) -> None:
        """From now on the mount answers so; None for as all others do."""
        self._manners[mount] = manner or self._manner

    def rotate(self) -> None:
        """Every secret has a new version, with new values."""
        self.version += 1

    def reads(self, since: int = 0) -> list[Call]:
        """Requests for secrets, leaving out the first so many of ``calls``."""
        return [call for call in self.calls[since:] if call.key]

    async def arrived(self, request: web.BaseRequest, mount: str, path: str, key: str) -> web.Response | None:
        self.calls.append(Call(asyncio.get_running_loop().time(), mount, key))
        manner = self._manners.get(mount, self._manner)
        await asyncio.sleep(manner.latency)
        if manner.fault == "gone" and request.transport is not None:
            request.transport.abort()
        if manner.fault == "busy":
            return answer(429, {"errors": ["rate limited"]}, {"Retry-After": str(manner.retry_after)})
        return None

    def properties(self, key: str) -> Mapping[str, str]:
        text = f"{self._seed}:{key}:{self.version}:"
        return {f"p{number}": hashlib.sha256(f"{text}{number}".encode()).hexdigest() for number in range(PROPERTIES)}


def busiest(calls: Collection[Call], window: float) -> int:
    """Most calls that fall into one window of so many seconds."""
    moments = sorted(call.at for call in calls)
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] > window:
            first += 1
        most = max(most, last - first + 1)
    return most
