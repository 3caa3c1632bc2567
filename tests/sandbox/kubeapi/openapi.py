"""OpenAPI documents: enough for `kubectl apply`, `kubectl explain` and schema-aware clients."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from .builtin_schemas import META, SCHEMAS
from .registry import Registry, Resource
from .status import Json

_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def _definition(resource: Resource) -> str:
    if resource.custom:
        return ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind])
    short = resource.group.split(".")[0] or "core"
    return f"io.k8s.api.{short}.{resource.version}.{resource.kind}"


def _clean(raw: Any) -> Any:
    if isinstance(raw, dict):
        return {k: _clean(v) for k, v in raw.items() if not str(k).startswith("x-sandbox-")}
    return [_clean(v) for v in raw] if isinstance(raw, list) else raw


def _schema(resource: Resource) -> Json:
    raw = _clean(resource.node.raw if resource.custom else SCHEMAS[(resource.group, resource.plural)])
    found: Json = dict(raw)
    found["properties"] = {
        **raw.get("properties", {}),
        "metadata": {
            "description": "Standard object's metadata.",
            "default": {},
            "allOf": [{"$ref": f"#/components/schemas/{_META}"}],
        },
    }
    found["x-kubernetes-group-version-kind"] = [_gvk(resource)]
    return found


def _gvk(resource: Resource) -> Json:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _base(resource: Resource) -> str:
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else "/api/v1"
    return f"{root}/namespaces/{{namespace}}" if resource.namespaced else root


def _operation(resource: Resource, action: str, ref: str, query: list[str]) -> Json:
    answer = {"application/json": {"schema": {"$ref": f"#/components/schemas/{ref}"}}}
    return {
        "operationId": f"{action}{resource.version}{resource.group}{resource.kind}",
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(resource),
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}} for name in query
        ],
        "responses": {"200": {"description": "OK", "content": answer}},
    }


_WRITE = ["dryRun", "fieldManager", "fieldValidation"]


def document(registry: Registry, group: str, version: str) -> Json | None:
    schemas: Json = {}
    paths: Json = {}
    for resource in registry.in_version(group, version):
        name = _definition(resource)
        schemas[name] = _schema(resource)
        base = f"{_base(resource)}/{resource.plural}"
        paths[base] = {
            "get": _operation(resource, "list", name, ["labelSelector", "fieldSelector"]),
            "post": _operation(resource, "post", name, _WRITE),
        }
        paths[base + "/{name}"] = {
            "get": _operation(resource, "get", name, []),
            "put": _operation(resource, "put", name, _WRITE),
            "patch": _operation(resource, "patch", name, [*_WRITE, "force"]),
            "delete": _operation(resource, "delete", name, ["dryRun"]),
        }
    if not schemas:
        return None
    schemas[_META] = {
        **_clean(META),
        "description": "ObjectMeta is metadata that all persisted resources must have.",
    }
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "sandbox"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def index(registry: Registry) -> Json:
    versions = [("", "v1")] + [(g, v) for g, all_ in registry.groups().items() for v in all_]
    found = {}
    for group, version in versions:
        path = f"apis/{group}/{version}" if group else f"api/{version}"
        body = orjson.dumps(document(registry, group, version))
        # The digest lets clients cache a document for as long as it stays the same.
        digest = hashlib.sha256(body).hexdigest().upper()
        found[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return {"paths": found}


def v2() -> Json:
    return {"swagger": "2.0", "info": {"title": "Kubernetes", "version": "sandbox"}, "paths": {}, "definitions": {}}
