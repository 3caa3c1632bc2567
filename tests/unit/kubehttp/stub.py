"""A stub API server, and answers for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

CANARY = "canary-7b1f"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Api:
    """A stub API server: ``answer`` is called for every request, ``seen`` keeps them."""

    def __init__(self) -> None:
        self.seen: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.url = ""
        self.answer: Handler = self.echo

    async def echo(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"path": request.rel_url.raw_path_qs})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        self.bodies.append(await request.read())
        return await self.answer(request)

    def answers(self, handler: Handler) -> None:
        self.answer = handler

    @property
    def authorizations(self) -> list[str | None]:
        return [request.headers.get("Authorization") for request in self.seen]


def status(code: int, reason: str, message: str, **details: Any) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        body = {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details}
        return web.json_response(body, status=code)

    return answer


def text(code: int, body: str, **headers: str) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=code, text=body, headers=headers)

    return answer


def lines(*chunks: bytes, hang: asyncio.Event | None = None) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if hang:
            await hang.wait()
        return response

    return answer


def accepting(token: str) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") == token:
            return web.json_response({})
        return await status(401, "Unauthorized", "Unauthorized")(request)

    return answer


def kubeconfig(path: Path, server: str, user: dict[str, Any], **cluster: Any) -> str:
    """Write a kubeconfig with one context; the result is its path."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(content))
    return str(path)
