"""The least of an API server that kopf needs, with odd answers on demand: those that a sound server seldom gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

GROUP = "odd.example.com"
_RESOURCES = {
    "/api/v1": [("namespaces", "Namespace", False), ("events", "Event", True)],
    "/apis/apiextensions.k8s.io/v1": [("customresourcedefinitions", "CustomResourceDefinition", False)],
    f"/apis/{GROUP}/v1": [("widgets", "Widget", True)],
}


@dataclass
class OddApi:
    """``lists`` and ``watches`` hold what the next list or watch of widgets answers instead of the usual.

    An int is an HTTP status, a dict an event that ends the watch, "hang" a watch that stays silent. ``expected`` is the
    Authorization header without which everything is 401.
    """

    url: str = ""
    objects: list[dict[str, Any]] = field(default_factory=list)
    lists: list[int] = field(default_factory=list)
    watches: list[int | str | dict[str, Any]] = field(default_factory=list)
    expected: str = ""
    seen: list[str] = field(default_factory=list)
    later: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to end the silence of every usual watch with an event about ``objects[-1]``."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.expected and request.headers.get("Authorization") != self.expected:
            self.seen.append("401")
            return _status(401)
        if request.path in _RESOURCES:
            return web.json_response({"resources": [_resource(*each) for each in _RESOURCES[request.path]]})
        if request.path == "/api":
            return web.json_response({"versions": ["v1"]})
        if request.path == "/apis":
            return web.json_response({"groups": [_group("apiextensions.k8s.io"), _group(GROUP)]})
        odd = request.path.endswith("/widgets")
        if request.query.get("watch"):
            return await self._watch(request, odd=odd)
        if odd:
            self.seen.append("list")
            if self.lists:
                return _status(self.lists.pop(0))
        items = self.objects if odd else []
        return web.json_response({"metadata": {"resourceVersion": "7"}, "items": items})

    async def _watch(self, request: web.Request, *, odd: bool) -> web.StreamResponse:
        special = None
        if odd:
            self.seen.append("watch")
            special = self.watches.pop(0) if self.watches else None
        if isinstance(special, int):
            return _status(special)
        response = web.StreamResponse()
        await response.prepare(request)
        if isinstance(special, dict):
            await response.write(orjson.dumps(special) + b"\n")
            return response
        if odd and special is None:
            await self.later.wait()
            await response.write(orjson.dumps({"type": "MODIFIED", "object": self.objects[-1]}) + b"\n")
        await asyncio.Event().wait()
        return response


@asynccontextmanager
async def odd_api(**given: Any) -> AsyncIterator[OddApi]:
    api = OddApi(**given)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", api.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield api
    finally:
        await runner.cleanup()


def widget(name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": "5"}
    return {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": metadata}


def _group(name: str) -> dict[str, Any]:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


def _resource(plural: str, kind: str, namespaced: bool) -> dict[str, Any]:
    verbs = ["list", "watch", "patch"]
    return {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": namespaced, "verbs": verbs}


def _status(code: int) -> web.Response:
    return web.json_response({"kind": "Status", "status": "Failure", "code": code, "message": "odd"}, status=code)
