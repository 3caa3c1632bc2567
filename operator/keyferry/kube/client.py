"""Typed requests to the API server, with its errors told as Keyferry's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from keyferry.errors import BadSpec, ClusterUnavailable, Conflict, Denied, KeyferryError, NotReady, NotThere
from keyferry.kits.tokenbucket import TokenBucket
from keyferry.kubehttp import KubeError, KubeHttp

JSON = "application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_PAGE = 500
_RETRIES = 5
_LONGEST_WAIT = 10.0
"""Seconds that a worker waits where the API server asks to come back later; then the key waits in the queue."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object as the API server's paths name it. ``group`` is "" for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """``apiVersion`` of objects of this kind."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", *tail: str) -> str:
        """The path of the collection, of an object, or of a subresource."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        return "/" + "/".join((*parts, *tail))


SECRETS = Resource("", "v1", "secrets", "Secret")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
EVENTS = Resource("", "v1", "events", "Event")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
EXTERNAL_SECRETS = Resource("external-secrets.io", "v1", "externalsecrets", "ExternalSecret")
SECRET_STORES = Resource("external-secrets.io", "v1", "secretstores", "SecretStore")
CLUSTER_SECRET_STORES = Resource(
    "external-secrets.io", "v1", "clustersecretstores", "ClusterSecretStore", namespaced=False
)
BY_KIND: Mapping[str, Resource] = {
    r.kind: r for r in (SECRETS, CONFIG_MAPS, NAMESPACES, EXTERNAL_SECRETS, SECRET_STORES, CLUSTER_SECRET_STORES)
}


class ObjectKey(NamedTuple):
    """Which object. ``namespace`` is "" for cluster-scoped kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Kube:
    """Requests by kind. Every method raises the errors of ``translated`` unless it says otherwise."""

    def __init__(
        self,
        http: KubeHttp,
        writes: TokenBucket,
        *,
        answered: Callable[[str, int | str], None] = lambda _method, _code: None,
    ) -> None:
        """``writes`` limits how often objects are written; ``answered`` counts requests by method and status."""
        self.http = http
        self._writes = writes
        self._answered = answered

    async def get(self, resource: Resource, namespace: str, name: str, *, accept: str = JSON) -> dict[str, Any] | None:
        """The object, or None where there is none."""
        try:
            found: dict[str, Any] = await self._ask("GET", resource.path(namespace, name), accept=accept)
        except KubeError as error:
            if error.not_found:
                return None
            raise translated(error, "get", resource, namespace, name) from None
        return found

    async def pages(
        self, resource: Resource, namespace: str = "", *, query: Mapping[str, str] | None = None, accept: str = JSON
    ) -> AsyncIterator[dict[str, Any]]:
        """The pages of a list, each a List object. Raises KubeError as it comes: a watcher tells 410 from the rest."""
        token = ""
        while True:
            asked = {**(query or {}), "limit": str(_PAGE), **({"continue": token} if token else {})}
            page: dict[str, Any] = await self.http.request(
                "GET", resource.path(namespace), query=asked, accept=accept, timeout=60.0
            )
            yield page
            token = page.get("metadata", {}).get("continue", "")
            if not token:
                return

    async def create(
        self, resource: Resource, namespace: str, body: Mapping[str, Any], *, manager: str = ""
    ) -> dict[str, Any]:
        """Create the object. One that exists already is a Conflict."""
        query = {"fieldManager": manager} if manager else None
        return await self._send("POST", "create", resource, namespace, _name(body), body=body, query=query)

    async def replace(
        self, resource: Resource, namespace: str, body: Mapping[str, Any], *, manager: str = ""
    ) -> dict[str, Any]:
        """Replace the object; its ``metadata.resourceVersion`` must be the one that it was computed from."""
        query = {"fieldManager": manager} if manager else None
        return await self._send("PUT", "update", resource, namespace, _name(body), body=body, query=query)

    async def merge(
        self, resource: Resource, namespace: str, name: str, patch: Mapping[str, Any], *, subresource: str = ""
    ) -> dict[str, Any]:
        """Apply a JSON merge patch to the object, or to one of its subresources."""
        return await self._send(
            "PATCH",
            "patch",
            resource,
            namespace,
            name,
            *((subresource,) if subresource else ()),
            body=patch,
            content_type="application/merge-patch+json",
        )

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str, version: str = "") -> bool:
        """Delete exactly this object. False where it is gone already, or is another one by now."""
        preconditions = {"uid": uid, **({"resourceVersion": version} if version else {})}
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions}
        await self._writes.acquire()
        try:
            await self._ask("DELETE", resource.path(namespace, name), body=body)
        except KubeError as error:
            if error.not_found or error.conflict:
                return False
            raise translated(error, "delete", resource, namespace, name) from None
        return True

    async def token(self, namespace: str, name: str, audiences: list[str], seconds: int) -> dict[str, Any]:
        """A TokenRequest for a ServiceAccount; its answered ``status``."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": audiences, "expirationSeconds": seconds},
        }
        answer = await self._send("POST", "create", SERVICE_ACCOUNTS, namespace, name, "token", body=body)
        status: dict[str, Any] = answer["status"]
        return status

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        """A request, sent again for as long as the API server says when to come back."""
        tries = 0
        while True:
            try:
                answer = await self.http.request(method, path, **options)
            except KubeError as error:
                self._answered(method, error.status or "<error>")
                tries += 1
                comes_back = error.retry_after is not None and (error.too_many or error.status >= 500)
                if tries > _RETRIES or not comes_back:
                    raise
                await asyncio.sleep(min(error.retry_after or 0.0, _LONGEST_WAIT))
            else:
                self._answered(method, 200)
                return answer

    async def _send(
        self,
        method: str,
        verb: str,
        resource: Resource,
        namespace: str,
        name: str,
        *tail: str,
        body: Mapping[str, Any],
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> dict[str, Any]:
        await self._writes.acquire()
        collection = method == "POST" and not tail
        path = resource.path(namespace, "" if collection else name, *tail)
        try:
            answer: dict[str, Any] = await self._ask(method, path, body=body, query=query, content_type=content_type)
        except KubeError as error:
            raise translated(error, verb, resource, namespace, name) from None
        return answer


def translated(error: KubeError, verb: str, resource: Resource, namespace: str, name: str) -> KeyferryError:
    """What an answer of the API server means for us, told with what was tried."""
    target = ObjectKey(resource.kind, namespace if resource.namespaced else "", name)
    if error.not_found:
        return NotThere(f"{target} does not exist")
    if error.conflict or error.already_exists:
        return Conflict(f"{target} was changed meanwhile")
    if error.forbidden and terminating(error):
        return NotReady(f"namespace {namespace} is being deleted", remedy="nothing can be created in it")
    if error.forbidden or error.unauthorized:
        where = f' in namespace "{namespace}"' if namespace else ""
        group = f" of {resource.group}" if resource.group else ""
        return Denied(
            f"Keyferry may not {verb} {resource.plural}{group}{where}",
            remedy="grant it to Keyferry's ServiceAccount",
        )
    if error.too_many:
        return ClusterUnavailable("the Kubernetes API server asks us to slow down", retry_after=error.retry_after)
    if error.invalid or error.status in {400, 413}:
        return BadSpec(f"the Kubernetes API server refuses {target}: {error.message}")
    return ClusterUnavailable("the Kubernetes API server does not answer", retry_after=error.retry_after)


def terminating(error: KubeError) -> bool:
    """Whether a refusal says that the namespace is going away."""
    causes = error.details.get("causes") or []
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


def _name(body: Mapping[str, Any]) -> str:
    name: str = body["metadata"].get("name", "")
    return name
