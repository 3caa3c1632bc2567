"""Table columns: what `kubectl get` shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from .registry import Resource
from .status import Json
from .store import Bucket

_NAME: Json = {
    "name": "Name",
    "type": "string",
    "format": "name",
    "description": "Name must be unique within a namespace. Is required when creating resources, "
    "although some resources may allow a client to request the generation of an appropriate name "
    "automatically. Name is primarily intended for creation idempotence and configuration "
    "definition. Cannot be updated. More info: "
    "https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names",
    "priority": 0,
}


def age(stamp: Any) -> str:
    if not isinstance(stamp, str):
        return "<unknown>"
    try:
        then = datetime.fromisoformat(stamp)
    except ValueError:
        return "<invalid>"
    seconds = int((datetime.now(UTC) - then).total_seconds())
    if seconds < -1:
        return "<invalid>"
    seconds = max(seconds, 0)
    if seconds < 120:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = minutes // 60
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if hours < 192:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 730:
        return f"{days}d"
    return f"{days // 365}y{days % 365}d"


def _created(obj: Json) -> str:
    return age(obj["metadata"].get("creationTimestamp"))


def _at(obj: Any, *path: str) -> Any:
    for part in path:
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj


Cell = Callable[[Json], Any]
Columns = list[tuple[str, str, Cell]]
_AGE: tuple[str, str, Cell] = ("Age", "string", _created)
_CREATED: tuple[str, str, Cell] = ("Created At", "string", lambda o: o["metadata"].get("creationTimestamp"))
_ROLE: tuple[str, str, Cell] = ("Role", "string", lambda o: f"{o['roleRef']['kind']}/{o['roleRef']['name']}")

_BUILTIN: dict[Bucket, Columns] = {
    ("", "namespaces"): [("Status", "string", lambda o: _at(o, "status", "phase")), _AGE],
    ("", "secrets"): [
        ("Type", "string", lambda o: o.get("type", "")),
        ("Data", "string", lambda o: len(o.get("data") or ())),
        _AGE,
    ],
    ("", "configmaps"): [
        ("Data", "string", lambda o: len(o.get("data") or ()) + len(o.get("binaryData") or ())),
        _AGE,
    ],
    ("", "serviceaccounts"): [("Secrets", "string", lambda o: len(o.get("secrets") or ())), _AGE],
    ("", "pods"): [
        ("Ready", "string", lambda o: f"0/{len(_at(o, 'spec', 'containers') or ())}"),
        ("Status", "string", lambda o: _at(o, "status", "phase") or ""),
        ("Restarts", "string", lambda o: "0"),
        _AGE,
    ],
    ("", "events"): [
        (
            "Last Seen",
            "string",
            lambda o: age(o.get("lastTimestamp") or o.get("eventTime") or o["metadata"].get("creationTimestamp")),
        ),
        ("Type", "string", lambda o: o.get("type", "")),
        ("Reason", "string", lambda o: o.get("reason", "")),
        (
            "Object",
            "string",
            lambda o: "{}/{}".format(
                (_at(o, "involvedObject", "kind") or _at(o, "regarding", "kind") or "").lower(),
                _at(o, "involvedObject", "name") or _at(o, "regarding", "name") or "",
            ),
        ),
        ("Message", "string", lambda o: (o.get("message") or o.get("note") or "").strip()),
    ],
    ("apps", "deployments"): [
        (
            "Ready",
            "string",
            lambda o: "{}/{}".format(_at(o, "status", "readyReplicas") or 0, _at(o, "spec", "replicas") or 0),
        ),
        ("Up-to-date", "string", lambda o: _at(o, "status", "updatedReplicas") or 0),
        ("Available", "string", lambda o: _at(o, "status", "availableReplicas") or 0),
        _AGE,
    ],
    ("coordination.k8s.io", "leases"): [
        ("Holder", "string", lambda o: _at(o, "spec", "holderIdentity") or ""),
        _AGE,
    ],
    ("rbac.authorization.k8s.io", "roles"): [_CREATED],
    ("rbac.authorization.k8s.io", "clusterroles"): [_CREATED],
    ("rbac.authorization.k8s.io", "rolebindings"): [_ROLE, _AGE],
    ("rbac.authorization.k8s.io", "clusterrolebindings"): [_ROLE, _AGE],
    ("apiextensions.k8s.io", "customresourcedefinitions"): [_CREATED],
}


def _definition(column: Json) -> Json:
    path = "Custom resource definition column (in JSONPath format): " + column["jsonPath"]
    return {
        "name": column["name"],
        "type": column["type"],
        "format": column.get("format", ""),
        "description": column.get("description") or path,
        "priority": column.get("priority", 0),
    }


def columns_of(resource: Resource) -> list[Json]:
    found = [_NAME]
    if resource.custom:
        found += [_definition(column) for column in resource.columns]
        return found
    for name, kind, _ in _BUILTIN.get(resource.bucket, [_AGE]):
        found.append({"name": name, "type": kind, "format": "", "description": "", "priority": 0})
    return found


def row_of(resource: Resource, obj: Json) -> list[Any]:
    name = obj["metadata"].get("name", "")
    if resource.custom:
        return [name, *(_custom(column, obj) for column in resource.columns)]
    return [name, *(cell(obj) for _, _, cell in _BUILTIN.get(resource.bucket, [_AGE]))]


_STEP = re.compile(
    r"\.(?:\\\.|[^.\[\]])+|\[\?\(@\.([\w.]+)\s*==\s*(?:\"([^\"]*)\"|'([^']*)')\)\]|\[(\d+|\*)\]"
    r"|\['([^']+)'\]"
)


def jsonpath(obj: Any, path: str) -> list[Any]:
    """The part of JSONPath that printer columns use."""
    found: list[Any] = [obj]
    for match in _STEP.finditer(path):
        step = match[0]
        if match[1] is not None:
            wanted = match[2] if match[2] is not None else match[3]
            found = [
                item
                for values in found
                if isinstance(values, list)
                for item in values
                if str(_at(item, *match[1].split("."))) == wanted
            ]
        elif match[4] is not None:
            lists = [v for v in found if isinstance(v, list)]
            if match[4] == "*":
                found = [item for values in lists for item in values]
            else:
                at = int(match[4])
                found = [values[at] for values in lists if at < len(values)]
        else:
            key = match[5] if match[5] is not None else step[1:].replace("\\.", ".")
            found = [v[key] for v in found if isinstance(v, dict) and key in v]
    return found


def _custom(column: Json, obj: Json) -> Any:
    values = [v for v in jsonpath(obj, column["jsonPath"]) if v is not None]
    if not values:
        return None
    first, kind = values[0], column["type"]
    if kind == "date":
        return age(first)
    if kind == "string":
        if isinstance(first, dict | list):
            import json

            return json.dumps(first, separators=(",", ":"))
        if isinstance(first, bool):
            return "true" if first else "false"
        return str(first)
    if kind == "integer":
        return int(first) if isinstance(first, int | float) else None
    if kind == "boolean":
        return first if isinstance(first, bool) else None
    return first
