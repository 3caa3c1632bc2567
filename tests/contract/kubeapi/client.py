"""A bare HTTP client: the contract is about bytes and statuses, not about a library's view."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml

Json = dict[str, Any]
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Answer:
    code: int
    body: Any
    warnings: list[str] = field(default_factory=list)

    @property
    def meta(self) -> Json:
        found: Json = self.body["metadata"]
        return found

    @property
    def version(self) -> str:
        return str(self.meta["resourceVersion"])

    @property
    def message(self) -> str:
        return str(self.body.get("message", "")) if isinstance(self.body, dict) else str(self.body)

    def causes(self) -> list[tuple[str, str]]:
        found = (self.body.get("details") or {}).get("causes") or []
        return [(c.get("field", ""), c.get("reason", "")) for c in found]

    def managers(self) -> dict[tuple[str, str, str], Json]:
        """(manager, operation, subresource) to its fields."""
        return {
            (e["manager"], e["operation"], e.get("subresource", "")): e["fieldsV1"]
            for e in self.meta.get("managedFields", ())
        }

    def expect(self, code: int) -> Self:
        assert self.code == code, f"{self.code} instead of {code}: {self.message}"
        return self


class Client:
    def __init__(self, url: str, context: ssl.SSLContext, token: str = "") -> None:
        self.url = url
        self.context = context
        self.token = token
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self.context, force_close=False),
            headers={"User-Agent": "contract/1.0"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session

    @asynccontextmanager
    async def as_token(self, token: str) -> AsyncIterator[Client]:
        """The same server, met as somebody else (an empty token is nobody)."""
        bare = ssl.create_default_context()
        bare.check_hostname = False
        bare.verify_mode = ssl.CERT_NONE
        async with Client(self.url, bare, token) as other:
            yield other

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        media: str = "application/json",
        accept: str = "application/json",
        raw: bytes | None = None,
        **query: str,
    ) -> Answer:
        sent = raw if raw is not None else None if body is None else json.dumps(body).encode()
        data = None if sent is None else io.BytesIO(sent)
        headers = {"Content-Type": media, "Accept": accept}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        async with self.session.request(method, self.url + path, data=data, headers=headers, params=query) as response:
            text = await response.text()
            try:
                parsed = json.loads(text)
            except ValueError:
                parsed = text
            return Answer(response.status, parsed, response.headers.getall("Warning", []))

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.call("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self.call("POST", path, body, **options)

    async def put(self, path: str, body: Any, **options: Any) -> Answer:
        return await self.call("PUT", path, body, **options)

    async def delete(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self.call("DELETE", path, body, **options)

    async def merge(self, path: str, body: Any, **options: Any) -> Answer:
        return await self.call("PATCH", path, body, media=MERGE, **options)

    async def apply(self, path: str, body: Any, manager: str, **options: Any) -> Answer:
        return await self.call("PATCH", path, body, media=APPLY, fieldManager=manager, **options)

    @asynccontextmanager
    async def watch(self, path: str, accept: str = "application/json", **query: str) -> AsyncIterator[Watch]:
        headers = {"Accept": accept}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        query = {"watch": "true", "timeoutSeconds": "60", **query}
        async with self.session.get(self.url + path, headers=headers, params=query) as response:
            yield Watch(response)

    async def until(self, path: str, code: int, seconds: float = 20.0, **options: Any) -> Answer:
        """For what a server does in its own time; ends as soon as it has happened."""
        return await self.eventually(path, lambda a: a.code == code, seconds, **options)

    async def eventually(
        self, path: str, wanted: Callable[[Answer], bool], seconds: float = 20.0, **options: Any
    ) -> Answer:
        async with asyncio.timeout(seconds):
            while True:
                answer = await self.get(path, **options)
                if wanted(answer):
                    return answer
                await asyncio.sleep(0.05)


class Watch:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self, seconds: float = 15.0) -> Json | None:
        """The next event, or None at the end of the stream."""
        async with asyncio.timeout(seconds):
            line = await self.response.content.readline()
        return json.loads(line) if line else None

    async def events(self, count: int) -> list[tuple[str, str]]:
        """So many events as (type, name), bookmarks left out."""
        found: list[tuple[str, str]] = []
        while len(found) < count:
            event = await self.next()
            assert event is not None, f"the stream ended after {found}"
            if event["type"] != "BOOKMARK":
                found.append((event["type"], event["object"]["metadata"]["name"]))
        return found


def fresh(prefix: str = "t") -> str:
    return f"{prefix}{next(_NUMBERS)}"


def secret(name: str, **more: Any) -> Json:
    meta = {"name": name, **more.pop("meta", {})}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, **more}


def configmap(name: str, **more: Any) -> Json:
    return {**secret(name, **more), "kind": "ConfigMap"}


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def from_kubeconfig(path: Path) -> tuple[str, ssl.SSLContext, str]:
    """Server, TLS context (with the client's certificate, if any) and token."""
    config = yaml.safe_load(path.read_text())
    current = next(c for c in config["contexts"] if c["name"] == config["current-context"])
    cluster = next(c for c in config["clusters"] if c["name"] == current["context"]["cluster"])
    user = next(u for u in config["users"] if u["name"] == current["context"]["user"])
    cluster, user = cluster["cluster"], user.get("user") or {}
    authority = cluster.get("certificate-authority-data")
    context = ssl.create_default_context(
        cafile=cluster.get("certificate-authority"),
        cadata=base64.b64decode(authority).decode() if authority else None,
    )
    if "client-certificate-data" in user:
        with tempfile.TemporaryDirectory() as folder:
            pair = Path(folder, "pair.pem")
            pair.touch(mode=0o600)
            pair.write_bytes(
                base64.b64decode(user["client-key-data"]) + b"\n" + base64.b64decode(user["client-certificate-data"])
            )
            context.load_cert_chain(pair)
    return cluster["server"], context, user.get("token", "")
