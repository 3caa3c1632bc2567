"""A provider double that counts: KV version 2 with a token over HTTP, holding what it is told to hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from aiohttp import web

from tests.support.kvdouble import KvDouble

TOKEN = "takeover-token"


class Kv(KvDouble):
    """``async with Kv() as kv`` serves every mount at ``kv.url``; a key that it does not hold is not found."""

    def __init__(self) -> None:
        super().__init__(TOKEN)
        self.values: dict[str, Mapping[str, str]] = {}
        """Properties by key."""
        self.reads: Counter[str] = Counter()
        """Requests by key."""
        self.others: Counter[str] = Counter()
        """Requests for what is no secret, by path: a token's own, which is how stores are checked, and mounts."""

    def rotate(self) -> None:
        """Every secret has a new version, with new values."""
        self.version += 1
        self.values = {
            key: {name: f"{value}-{self.version}" for name, value in properties.items()}
            for key, properties in self.values.items()
        }

    def asked(self) -> Counter[str]:
        """``reads`` since the last call."""
        found, self.reads = self.reads, Counter()
        return found

    async def arrived(self, request: web.BaseRequest, mount: str, path: str, key: str) -> None:
        if key:
            self.reads[key] += 1
        else:
            self.others[path] += 1

    def properties(self, key: str) -> Mapping[str, str] | None:
        return self.values.get(key)

    def beside(self, path: str) -> object:
        if path.startswith("sys/internal/ui/mounts/"):
            return {"type": "kv", "options": {"version": "2"}, "path": "kv/"}
        return super().beside(path)
