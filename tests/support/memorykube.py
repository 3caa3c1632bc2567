"""The API server as a dict behind ``KubeHttp``'s methods: no sockets, watches told by the test."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, cast

from keyferry.kits.tokenbucket import TokenBucket
from keyferry.kube.client import Kube, Resource
from keyferry.kubehttp import KubeError, KubeHttp

Json = dict[str, Any]
END = object()
"""In a watch: the server ends the stream."""


class MemoryKube:
    """``objects`` by path. ``before`` sees every request and may raise or change the world."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.version = 100
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        self.before: Callable[[str, str], None] = lambda _method, _path: None
        self.page = 500
        self.watches: list[Mapping[str, str]] = []
        self.events: asyncio.Queue[Any] = asyncio.Queue()

    @property
    def kube(self) -> Kube:
        return Kube(cast("KubeHttp", self), TokenBucket(rate=0, burst=1))

    def put(self, resource: Resource, body: Mapping[str, Any]) -> Json:
        """The object as stored, with uid and version where it has none."""
        stored = copy.deepcopy(dict(body))
        metadata = stored["metadata"] = dict(stored["metadata"])
        self.version += 1
        metadata.setdefault("uid", f"uid-{self.version}")
        metadata["resourceVersion"] = str(self.version)
        self.objects[resource.path(metadata.get("namespace", ""), metadata["name"])] = stored
        return copy.deepcopy(stored)

    async def request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None, **_: Any
    ) -> Any:
        self.requests.append((method, path))
        self.bodies.append(body)
        self.before(method, path)
        await asyncio.sleep(0)
        subresource = path.endswith("/status")
        answer = getattr(self, f"_{method.lower()}")(path.removesuffix("/status"), query or {}, body, subresource)
        return copy.deepcopy(answer)

    async def stream(self, path: str, *, query: Mapping[str, str], **_: Any) -> AsyncGenerator[Any]:
        self.watches.append(query)
        while True:
            event = await self.events.get()
            if event is END:
                return
            if isinstance(event, Exception):
                raise event
            yield event

    def _get(self, path: str, query: Mapping[str, str], body: Any, subresource: bool) -> Json:
        if path in self.objects:
            return self.objects[path]
        if path.rsplit("/", 1)[1].endswith("s") and "limit" in query:
            items = [found for place, found in sorted(self.objects.items()) if _within(place, path)]
            start = int(query.get("continue") or 0)
            more = start + self.page < len(items)
            return {
                "metadata": {
                    "resourceVersion": str(self.version),
                    **({"continue": str(start + self.page)} if more else {}),
                },
                "items": items[start : start + self.page],
            }
        raise KubeError(404, "NotFound", "not found")

    def _post(self, path: str, query: Mapping[str, str], body: Json, subresource: bool) -> Json:
        if path.endswith("/token"):
            if path.removesuffix("/token") not in self.objects:
                raise KubeError(404, "NotFound", "not found")
            return {"status": {"token": "t0ken", "expirationTimestamp": "2030-01-01T00:00:00Z"}}
        place = f"{path}/{body['metadata']['name']}"
        if place in self.objects:
            raise KubeError(409, "AlreadyExists", "there is one")
        return self._store(place, body)

    def _put(self, path: str, query: Mapping[str, str], body: Json, subresource: bool) -> Json:
        self._check(path, body["metadata"])
        return self._store(path, body)

    def _patch(self, path: str, query: Mapping[str, str], body: Json, subresource: bool) -> Json:
        before = self._check(path, body.get("metadata") or {})
        if subresource:
            # As the real one does: of a patch to the status, nothing else is looked at but the version.
            body = {"status": body.get("status") or {}}
        return self._store(path, _merged(before, body))

    def _delete(self, path: str, query: Mapping[str, str], body: Json, subresource: bool) -> Json:
        wanted = body["preconditions"]
        before = self._check(path, wanted)
        if wanted["uid"] != before["metadata"]["uid"]:
            raise KubeError(409, "Conflict", "another uid")
        return self.objects.pop(path)

    def _check(self, path: str, metadata: Mapping[str, Any]) -> Json:
        if path not in self.objects:
            raise KubeError(404, "NotFound", "not found")
        before = self.objects[path]
        if metadata.get("resourceVersion") not in {None, before["metadata"]["resourceVersion"]}:
            raise KubeError(409, "Conflict", "newer")
        return before

    def _store(self, path: str, body: Mapping[str, Any]) -> Json:
        self.version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.version)}
        metadata.setdefault("uid", f"uid-{self.version}")
        self.objects[path] = {**copy.deepcopy(dict(body)), "metadata": metadata}
        return self.objects[path]


def _within(place: str, collection: str) -> bool:
    head, plural = collection.rsplit("/", 1)
    return place.startswith(f"{head}/") and place.rsplit("/", 2)[1] == plural


def _merged(before: Mapping[str, Any], patch: Mapping[str, Any]) -> Json:
    result = dict(before)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = _merged(result[name], value)
        else:
            result[name] = value
    return result
