"""Built-in kinds: decoding as Go types do it, and what each kind checks and fills in."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from . import meta, secrets
from .schema import Node
from .status import ApiError, FieldError, Json, bad_request, invalid, required, unsupported
from .store import Bucket
from .validate import type_name


def decode(obj: Json, node: Node, kind: str, version: str) -> list[str]:
    """Coerce in place the way a Go struct would; returns the unknown fields' paths."""
    unknown: list[str] = []
    for key in list(obj):
        if key in ("apiVersion", "kind", "metadata"):
            continue
        sub = node.props.get(key)
        if sub is None:
            unknown.append(key)
            del obj[key]
            continue
        value = _decode(obj[key], sub, key, unknown, _Context(kind, version))
        if _vanishes(value, sub):
            del obj[key]
        else:
            obj[key] = value
    for key, sub in node.props.items():
        if sub.keep_empty and key not in obj:
            obj[key] = _zero(sub)
    return unknown


@dataclass(frozen=True, slots=True)
class _Context:
    kind: str
    version: str

    def fail(self, why: str) -> ApiError:
        return bad_request(f'{self.kind} in version "{self.version}" cannot be handled as a {self.kind}: {why}')


def _vanishes(value: Any, node: Node) -> bool:
    if node.keep_empty or (node.pointer and value is not None):
        return False
    return value is None or value in ("", {}, [])


def _zero(node: Node) -> Any:
    if node.type == "object":
        return {k: _zero(s) for k, s in node.props.items() if s.keep_empty}
    if node.type == "string":
        return None if node.raw.get("format") == "date-time" else ""
    return {"integer": 0, "boolean": False}.get(node.type)


_GO = {"string": "string", "integer": "int32", "boolean": "bool", "array": "[]", "object": "struct"}


def _go(node: Node) -> str:
    if node.type == "string" and node.raw.get("format") == "byte":
        return "[]uint8"
    if node.is_map and node.extra is not None:
        return f"map[string]{_go(node.extra)}"
    return _GO.get(node.type, node.type)


def blank(node: Node) -> Json:
    """The fields a new Go object of this kind always shows."""
    return {key: _zero(sub) for key, sub in node.props.items() if sub.keep_empty}


def _decode(value: Any, node: Node | None, path: str, unknown: list[str], at: _Context) -> Any:
    if node is None:
        return value
    if value is None:
        return _zero(node) if node.keep_empty else None
    wanted = node.type
    actual = type_name(value)
    if wanted and actual != wanted and not (wanted == "number" and actual == "integer"):
        word = {"boolean": "bool", "integer": "number"}.get(actual, actual)
        raise at.fail(f"json: cannot unmarshal {word} into Go struct field {at.kind}.{path} of type {_go(node)}")
    if wanted == "string":
        style = node.raw.get("format")
        if style == "byte":
            return canonical_base64(value, at)
        if style == "date-time":
            return _time(value, bool(node.raw.get("x-sandbox-micro")), at)
        return value
    if wanted == "array":
        return [_decode(v, node.items, f"{path}[{i}]", unknown, at) for i, v in enumerate(value)]
    if wanted != "object":
        return value
    if node.is_map:
        blank = "" if node.extra is not None and node.extra.type == "string" else None
        return {k: blank if v is None else _decode(v, node.extra, path, unknown, at) for k, v in value.items()}
    result: Json = {}
    for key, item in value.items():
        sub = node.props.get(key)
        if sub is None:
            if node.preserve:
                result[key] = item
            else:
                unknown.append(f"{path}.{key}")
            continue
        decoded = _decode(item, sub, f"{path}.{key}", unknown, at)
        if not _vanishes(decoded, sub):
            result[key] = decoded
    for key, sub in node.props.items():
        if sub.keep_empty and key not in result:
            result[key] = _zero(sub)
    return result


_ALPHABET = re.compile(r"[A-Za-z0-9+/]")


def canonical_base64(text: str, at: _Context) -> str:
    """Strict base64; Go skips line breaks and nothing else."""
    plain = text.replace("\n", "").replace("\r", "")
    try:
        return base64.b64encode(base64.b64decode(plain, validate=True)).decode()
    except (binascii.Error, ValueError):
        position = next(
            (i for i, c in enumerate(text) if not _ALPHABET.match(c) and c not in "\r\n"),
            len(text) // 4 * 4,
        )
        raise at.fail(f"illegal base64 data at input byte {position}") from None


def _time(text: str, micro: bool, at: _Context) -> str:
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
        if "T" not in text or (not text.endswith("Z") and text[-6:-5] not in ("+", "-")):
            raise ValueError
        if micro and not re.search(r"T\d\d:\d\d:\d\d\.\d{6}(Z|[-+])", text):
            raise ValueError  # Go's layout asks for exactly six digits
    except ValueError:
        layout = "2006-01-02T15:04:05.000000Z07:00" if micro else "2006-01-02T15:04:05Z07:00"
        raise at.fail(f'parsing time "{text}" as "{layout}": cannot parse "{text}" as "2006"') from None
    pattern = "%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ"
    return moment.strftime(pattern)


@dataclass(frozen=True, slots=True)
class Hooks:
    """What one kind does beyond the common path. `old` is None on create."""

    prepare: Callable[[Json, Json | None], None] = lambda new, old: None
    # After ownership is recorded: what the server sets belongs to nobody.
    late: Callable[[Json, Json | None], None] = lambda new, old: None
    check: Callable[[Json, Json | None], list[FieldError]] = lambda new, old: []


def _prepare_namespace(new: Json, old: Json | None) -> None:
    labels = new["metadata"].setdefault("labels", {})
    labels["kubernetes.io/metadata.name"] = new["metadata"].get("name", "")


def _finish_namespace(new: Json, old: Json | None) -> None:
    if old is None:
        new["spec"] = {"finalizers": ["kubernetes"]}
        new["status"] = {"phase": "Active"}
    else:
        new["spec"] = old["spec"]


def _check_lease(new: Json, old: Json | None) -> list[FieldError]:
    spec = new.get("spec") or {}
    errors = []
    seconds = spec.get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        errors.append(invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    if (spec.get("leaseTransitions") or 0) < 0:
        errors.append(invalid("spec.leaseTransitions", spec["leaseTransitions"], "must be greater than or equal to 0"))
    return errors


def _prepare_binding(new: Json, old: Json | None) -> None:
    ref = new["roleRef"]
    ref["apiGroup"] = ref.get("apiGroup") or "rbac.authorization.k8s.io"
    for subject in new.get("subjects") or ():
        if subject["kind"] in ("User", "Group") and not subject.get("apiGroup"):
            subject["apiGroup"] = "rbac.authorization.k8s.io"
        if subject["kind"] == "ServiceAccount" and not subject.get("namespace"):
            subject["namespace"] = new["metadata"].get("namespace", "")


def _check_binding(new: Json, old: Json | None) -> list[FieldError]:
    errors: list[FieldError] = []
    ref = new["roleRef"]
    kinds = ["ClusterRole"] if "namespace" not in new["metadata"] else ["Role", "ClusterRole"]
    if ref["kind"] not in kinds:
        errors.append(unsupported("roleRef.kind", ref["kind"], kinds))
    if not ref["name"]:
        errors.append(required("roleRef.name"))
    if old is not None and old["roleRef"] != ref:
        errors.append(invalid("roleRef", ref, "cannot change roleRef"))
    for index, subject in enumerate(new.get("subjects") or ()):
        at = f"subjects[{index}]"
        if not subject["name"]:
            errors.append(required(f"{at}.name"))
        if subject["kind"] == "ServiceAccount":
            if not subject.get("namespace"):
                errors.append(required(f"{at}.namespace"))
        elif subject["kind"] not in ("User", "Group"):
            errors.append(unsupported(f"{at}.kind", subject["kind"], ["ServiceAccount", "User", "Group"]))
    return errors


def _check_role(new: Json, old: Json | None) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, rule in enumerate(new.get("rules") or ()):
        at = f"rules[{index}]"
        if not rule.get("verbs"):
            errors.append(required(f"{at}.verbs", "verbs must contain at least one value"))
        if rule.get("nonResourceURLs"):
            if new["metadata"].get("namespace"):
                errors.append(
                    invalid(
                        f"{at}.nonResourceURLs",
                        rule["nonResourceURLs"],
                        "namespaced rules cannot apply to non-resource URLs",
                    )
                )
            continue
        if not rule.get("apiGroups"):
            text = "resource rules must supply at least one api group"
            errors.append(required(f"{at}.apiGroups", text))
        if not rule.get("resources"):
            text = "resource rules must supply at least one resource"
            errors.append(required(f"{at}.resources", text))
    return errors


def _check_event(new: Json, old: Json | None) -> list[FieldError]:
    about = new.get("involvedObject") or {}
    space = about.get("namespace") or "default"
    if new["metadata"].get("namespace") != space:
        return [invalid("involvedObject.namespace", about.get("namespace", ""), "does not match event.namespace")]
    return _check_new_event(new) if new.get("eventTime") else []


def _check_new_event(new: Json) -> list[FieldError]:
    """Events that carry eventTime follow the rules of events.k8s.io."""
    errors: list[FieldError] = []
    component = new.get("reportingComponent") or ""
    if not component:
        errors.append(required("reportingComponent"))
    errors += meta.qualified_errors(component, "reportingComponent")
    for key in ("reportingInstance", "action", "reason"):
        value = new.get(key) or ""
        if not value:
            errors.append(required(key))
        if len(value) > 128:
            errors.append(invalid(key, "", "can have at most 128 characters"))
    if len(new.get("message") or "") > 1024:
        errors.append(invalid("message", "", "can have at most 1024 characters"))
    if new.get("type") not in ("Normal", "Warning"):
        shown = new.get("type") or ""
        errors.append(invalid("type", shown, f"has invalid value: {shown}"))
    return errors


def _prepare_pod(new: Json, old: Json | None) -> None:
    if old is None:
        new["status"] = {"phase": "Pending", "qosClass": "BestEffort"}


HOOKS: dict[Bucket, Hooks] = {
    ("", "secrets"): Hooks(secrets.prepare, check=secrets.check),
    ("", "configmaps"): Hooks(check=secrets.check_configmap),
    ("", "namespaces"): Hooks(_prepare_namespace, _finish_namespace),
    ("", "events"): Hooks(check=_check_event),
    ("", "pods"): Hooks(late=_prepare_pod),
    ("coordination.k8s.io", "leases"): Hooks(check=_check_lease),
    ("rbac.authorization.k8s.io", "roles"): Hooks(check=_check_role),
    ("rbac.authorization.k8s.io", "clusterroles"): Hooks(check=_check_role),
    ("rbac.authorization.k8s.io", "rolebindings"): Hooks(_prepare_binding, check=_check_binding),
    ("rbac.authorization.k8s.io", "clusterrolebindings"): Hooks(_prepare_binding, check=_check_binding),
}
