"""Everybody but the operator: people, kubectl, other programs."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson

from keyferry.kube.client import BY_KIND, SERVICE_ACCOUNTS, Resource
from keyferry.kubehttp import Endpoint
from tests.support.cases.script import Json

KINDS: Mapping[str, Resource] = {
    **BY_KIND,
    "ServiceAccount": SERVICE_ACCOUNTS,
    "Role": Resource("rbac.authorization.k8s.io", "v1", "roles", "Role"),
    "RoleBinding": Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
    "Event": Resource("", "v1", "events", "Event"),
}


class RefusedError(Exception):
    """What the API server says to what it does not take. The operator's own client would not tell all of it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class Admin:
    """Reads and writes objects of a case; ``namespace`` is where manifests go that name none."""

    def __init__(self, endpoint: Endpoint, namespace: str) -> None:
        self._endpoint = endpoint
        self._session = aiohttp.ClientSession(headers={"User-Agent": "kubectl"})
        self._namespace = namespace
        self.cluster_wide: set[tuple[str, str]] = set()
        """Objects that do not go with their namespace."""

    async def apply(self, manifest: Json, manager: str) -> None:
        """Server-side apply; a manifest of v1beta1 goes to v1beta1."""
        body = _manifest(manifest)
        path = self._path(body, body["metadata"]["name"])
        query = {"fieldManager": manager, "force": "true"}
        await self._request("PATCH", path, body=body, query=query, content_type="application/apply-patch+yaml")

    async def create(self, manifest: Json, manager: str) -> None:
        """The object with its status. An owner without uid is looked up."""
        body = _manifest(manifest)
        for owner in body["metadata"].get("ownerReferences", ()):
            owner.setdefault("uid", (await self.must_get(owner["kind"], owner["name"]))["metadata"]["uid"])
        query = {"fieldManager": manager}
        await self._request("POST", self._path(body), body=body, query=query)
        if "status" in body:
            path = self._path(body, body["metadata"]["name"]) + "/status"
            await self._merge(path, {"status": body["status"]}, manager)

    async def edit(self, change: Json, manager: str) -> None:
        """A merge patch, given as a manifest of what changes."""
        body = _manifest(change)
        await self._merge(self._path(body, body["metadata"]["name"]), body, manager)

    async def delete(self, kind: str, name: str) -> None:
        await self._request("DELETE", self._place(kind, name))

    async def get(self, kind: str, name: str) -> Json | None:
        """The object of that name, or ``namespace/name``."""
        try:
            return await self._request("GET", self._place(kind, name))
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    async def must_get(self, kind: str, name: str) -> Json:
        found = await self.get(kind, name)
        assert found is not None, f"{kind} {name} is not there"
        return found

    async def list(self, kind: str, namespace: str = "", selector: str = "") -> list[Json]:
        query = {"labelSelector": selector} if selector else None
        items: list[Json] = (await self._request("GET", KINDS[kind].path(namespace), query=query))["items"]
        return items

    async def aclose(self) -> None:
        await self._session.close()

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Json:
        headers = {"Content-Type": content_type, "Authorization": await self._endpoint.authorization(None)}
        async with self._session.request(
            method,
            self._endpoint.server + path,
            params=query,
            data=None if body is None else io.BytesIO(orjson.dumps(body)),
            headers=headers,
            ssl=self._endpoint.ssl,
        ) as response:
            answer: Json = orjson.loads(await response.read())
            if response.status >= 300:
                raise RefusedError(response.status, answer["message"])
            return answer

    async def _merge(self, path: str, body: Json, manager: str) -> None:
        query = {"fieldManager": manager}
        await self._request("PATCH", path, body=body, query=query, content_type="application/merge-patch+json")

    def _path(self, body: Json, name: str = "") -> str:
        resource = KINDS[body["kind"]]
        group, _, version = body["apiVersion"].rpartition("/")
        resource = Resource(group, version, resource.plural, resource.kind, resource.namespaced)
        metadata = body["metadata"]
        if not resource.namespaced:
            self.cluster_wide.add((body["kind"], metadata["name"]))
            return resource.path("", name)
        return resource.path(metadata.setdefault("namespace", self._namespace), name)

    def _place(self, kind: str, name: str) -> str:
        namespace, _, bare = name.rpartition("/")
        resource = KINDS[kind]
        return resource.path((namespace or self._namespace) if resource.namespaced else "", bare)


def _manifest(given: Json) -> Json:
    body: dict[str, Any] = {
        "apiVersion": KINDS[given["kind"]].api_version,
        **given,
        "metadata": dict(given["metadata"]),
    }
    if "stringData" in body:
        # The API server does the same, but tells owners of fields by what was sent.
        plain = body.pop("stringData")
        body["data"] = {
            key: None if value is None else base64.b64encode(value.encode()).decode() for key, value in plain.items()
        }
    return body
