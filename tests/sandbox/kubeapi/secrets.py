"""Secrets and ConfigMaps: keys, sizes, types and immutability."""

from __future__ import annotations

import base64
import re

import orjson

from .status import FieldError, Json, forbidden_field, invalid, required, too_long

_KEY = re.compile(r"^[-._a-zA-Z0-9]+\Z")
_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
    "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
MAX_BYTES = 1024 * 1024
_ACCOUNT = "kubernetes.io/service-account.name"


def prepare(new: Json, old: Json | None) -> None:
    """StringData is write-only; the type has a default, and an update may leave it out."""
    plain = new.pop("stringData", None)
    if plain:
        data = new.setdefault("data", {})
        for key, value in plain.items():
            data[key] = base64.b64encode(value.encode()).decode()
    if not new.get("type"):
        new["type"] = old["type"] if old is not None else "Opaque"


def _decoded_size(text: str) -> int:
    return len(text) * 3 // 4 - text.count("=", -2)


def check(new: Json, old: Json | None) -> list[FieldError]:
    errors: list[FieldError] = []
    data: dict[str, str] = new.get("data") or {}
    for key in sorted(data):
        errors += _key_errors(key, f"data[{key}]")
    if sum(_decoded_size(v) for v in data.values()) > MAX_BYTES:
        errors.append(too_long("data", MAX_BYTES))
    errors += _type_errors(new, data)
    if old is not None:
        if new["type"] != old["type"]:
            errors.append(invalid("type", new["type"], "field is immutable"))
        errors += _immutable_errors(new, old, ("data",))
    return errors


def _key_errors(key: str, field: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if len(key) > 253:
        errors.append(invalid(field, key, "must be no more than 253 bytes"))
    if not _KEY.match(key):
        errors.append(invalid(field, key, _KEY_TEXT))
    elif key == ".":
        errors.append(invalid(field, key, "must not be '.'"))
    elif key == "..":
        errors.append(invalid(field, key, "must not be '..'"))
    elif key.startswith(".."):
        errors.append(invalid(field, key, "must not start with '..'"))
    return errors


def _immutable_errors(new: Json, old: Json, fields: tuple[str, ...]) -> list[FieldError]:
    if not old.get("immutable"):
        return []
    errors = []
    text = "field is immutable when `immutable` is set"
    if not new.get("immutable"):
        errors.append(forbidden_field("immutable", text))
    changed = [name for name in fields if (new.get(name) or {}) != (old.get(name) or {})]
    return errors + [forbidden_field(name, text) for name in changed]


def _type_errors(new: Json, data: dict[str, str]) -> list[FieldError]:
    kind = new["type"]
    if kind == "kubernetes.io/tls":
        return [required(f"data[{k}]") for k in ("tls.crt", "tls.key") if k not in data]
    if kind == "kubernetes.io/ssh-auth":
        return [] if data.get("ssh-privatekey") else [required("data[ssh-privatekey]")]
    if kind == "kubernetes.io/basic-auth":
        if "username" in data or "password" in data:
            return []
        return [required("data[username]"), required("data[password]")]
    if kind == "kubernetes.io/service-account-token":
        name = (new["metadata"].get("annotations") or {}).get(_ACCOUNT)
        return [] if name else [required(f"metadata.annotations[{_ACCOUNT}]")]
    for name, key in (
        ("kubernetes.io/dockerconfigjson", ".dockerconfigjson"),
        ("kubernetes.io/dockercfg", ".dockercfg"),
    ):
        if kind == name:
            if key not in data:
                return [required(f"data[{key}]")]
            problem = _json_problem(base64.b64decode(data[key]))
            if problem:
                return [invalid(f"data[{key}]", "<secret contents redacted>", problem)]
    return []


def warnings(new: Json) -> list[str]:
    data = new.get("data") or {}
    if new.get("type") != "kubernetes.io/tls" or "tls.crt" not in data:
        return []
    if b"-----BEGIN CERTIFICATE-----" in base64.b64decode(data["tls.crt"]):
        return []
    return ["tls: failed to find any PEM data in certificate input"]


def _json_problem(text: bytes) -> str:
    """Go decodes into a map: an array or a string will not do, null will."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        start = text.strip()[:1]
        if not start:
            return "unexpected end of JSON input"
        if start in b'{["':
            return "invalid character in JSON"
        return f"invalid character '{start.decode('latin1')}' looking for beginning of value"
    if value is None or isinstance(value, dict):
        return ""
    word = {list: "array", str: "string", bool: "bool"}.get(type(value), "number")
    return f"json: cannot unmarshal {word} into Go value of type map[string]interface {{}}"


def check_configmap(new: Json, old: Json | None) -> list[FieldError]:
    errors: list[FieldError] = []
    data, binary = new.get("data") or {}, new.get("binaryData") or {}
    for key in sorted(data):
        errors += _key_errors(key, f"data[{key}]")
        if key in binary:
            errors.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    for key in sorted(binary):
        errors += _key_errors(key, f"binaryData[{key}]")
    total = sum(len(v.encode()) for v in data.values())
    total += sum(_decoded_size(v) for v in binary.values())
    if total > MAX_BYTES:
        errors.append(too_long("[]", MAX_BYTES))
    if old is not None:
        errors += _immutable_errors(new, old, ("data", "binaryData"))
    return errors
