"""ObjectMeta: typed decoding, defaults the server sets, and validation."""

from __future__ import annotations

import random
import re
import uuid
from datetime import UTC, datetime
from typing import Any

from .status import (
    FieldError,
    Json,
    bad_request,
    duplicate,
    forbidden_field,
    invalid,
    required,
    too_long,
)

_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_QUALIFIED = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]\Z")
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[-+]\d\d:\d\d)\Z")
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"

SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_QUALIFIED_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value', "
    " or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_uid() -> str:
    return str(uuid.uuid4())


def generated(prefix: str) -> str:
    return prefix[:58] + "".join(random.choices(_ALPHABET, k=5))


# Field: (expected JSON type, kept when empty). Anything else in metadata is unknown.
FIELDS: dict[str, Any] = {
    "name": str,
    "generateName": str,
    "namespace": str,
    "selfLink": str,
    "uid": str,
    "resourceVersion": str,
    "generation": int,
    "creationTimestamp": str,
    "deletionTimestamp": str,
    "deletionGracePeriodSeconds": int,
    "labels": dict,
    "annotations": dict,
    "ownerReferences": list,
    "finalizers": list,
    "managedFields": list,
}
_OWNER = {
    "apiVersion": str,
    "kind": str,
    "name": str,
    "uid": str,
    "controller": bool,
    "blockOwnerDeletion": bool,
}


def decode(meta: Any, kind: str, version: str) -> tuple[Json, list[str]]:
    """The typed round trip: wrong types are refused, unknown fields and empty values dropped."""

    def wrong(value: Any, where: str, wanted: str) -> Exception:
        found = {str: "string", bool: "bool", int: "number", float: "number", list: "array"}
        got = found.get(type(value), "object")
        return bad_request(
            f'{kind} in version "{version}" cannot be handled as a {kind}: json: cannot '
            f"unmarshal {got} into Go struct field ObjectMeta.metadata.{where} of type {wanted}"
        )

    if meta is None:
        return {}, []
    if not isinstance(meta, dict):
        raise wrong(meta, "", "v1.ObjectMeta")
    clean: Json = {}
    unknown: list[str] = []
    for key, given in meta.items():
        value, wanted = given, FIELDS.get(key)
        if wanted is None:
            unknown.append(f"metadata.{key}")
            continue
        if value is None or value in ("", {}, []) or value is False:
            if value is not None and not isinstance(value, wanted):
                raise wrong(value, key, wanted.__name__)
            continue
        if key.endswith("Timestamp") and isinstance(value, str) and not _TIME.match(value):
            raise bad_request(
                f'{kind} in version "{version}" cannot be handled as a {kind}: parsing time '
                f'"{value}" as "2006-01-02T15:04:05Z07:00": cannot parse "{value}" as "2006"'
            )
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise wrong(value, key, {str: "string", dict: "map[string]string"}.get(wanted, "[]"))
        if key in ("labels", "annotations"):
            value = {k: "" if v is None else v for k, v in value.items()}
            for item in value.values():
                if not isinstance(item, str):
                    raise wrong(item, key, "string")
        elif key == "finalizers":
            for item in value:
                if not isinstance(item, str):
                    raise wrong(item, key, "string")
        elif key == "ownerReferences":
            value = [_owner(ref, unknown, i, wrong) for i, ref in enumerate(value)]
        clean[key] = value
    return clean, unknown


def _owner(ref: Any, unknown: list[str], index: int, wrong: Any) -> Json:
    if not isinstance(ref, dict):
        raise wrong(ref, "ownerReferences", "v1.OwnerReference")
    clean: Json = {"apiVersion": "", "kind": "", "name": "", "uid": ""}
    for key, value in ref.items():
        if key not in _OWNER:
            unknown.append(f"metadata.ownerReferences[{index}].{key}")
        elif value is not None:
            if not isinstance(value, _OWNER[key]):
                raise wrong(value, f"ownerReferences.{key}", _OWNER[key].__name__)
            clean[key] = value
    return clean


def name_errors(name: str, field: str = "metadata.name", style: str = "subdomain") -> list[FieldError]:
    if style == "path":
        if name in (".", ".."):
            return [invalid(field, name, f"may not be '{name}'")]
        return [invalid(field, name, f"may not contain '{c}'") for c in "/%" if c in name]
    limit, rule, text, unit = (
        (63, _LABEL, LABEL_TEXT, "bytes") if style == "label" else (253, _SUBDOMAIN, SUBDOMAIN_TEXT, "characters")
    )
    errors = []
    if len(name) > limit:
        errors.append(invalid(field, name, f"must be no more than {limit} {unit}"))
    if not rule.match(name):
        errors.append(invalid(field, name, text))
    return errors


def qualified_errors(key: str, field: str) -> list[FieldError]:
    prefix, slash, name = key.rpartition("/")
    errors: list[FieldError] = []
    if slash:
        if not prefix:
            errors.append(invalid(field, key, "prefix part must be non-empty"))
        elif len(prefix) > 253 or not _SUBDOMAIN.match(prefix):
            errors.append(invalid(field, key, f"prefix part {SUBDOMAIN_TEXT}"))
    if not name:
        errors.append(invalid(field, key, "name part must be non-empty"))
    elif len(name) > 63:
        errors.append(invalid(field, key, "name part must be no more than 63 bytes"))
    if not _QUALIFIED.match(name):
        errors.append(invalid(field, key, f"name part {_QUALIFIED_TEXT}"))
    return errors


def label_errors(labels: dict[str, str], field: str = "metadata.labels") -> list[FieldError]:
    errors = []
    for key, value in labels.items():
        errors += qualified_errors(key, field)
        if len(value) > 63:
            errors.append(invalid(field, value, "must be no more than 63 bytes"))
        if value and not _QUALIFIED.match(value):
            errors.append(invalid(field, value, _VALUE_TEXT))
    return errors


def check(meta: Json, namespaced: bool, style: str = "subdomain") -> list[FieldError]:
    errors: list[FieldError] = []
    name = meta.get("name", "")
    if not name:
        errors.append(required("metadata.name", "name or generateName is required"))
    else:
        errors += name_errors(name, style=style)
    if not namespaced and meta.get("namespace"):
        errors.append(forbidden_field("metadata.namespace", "not allowed on this type"))
    errors += label_errors(meta.get("labels") or {})
    annotations = meta.get("annotations") or {}
    for key in annotations:
        errors += qualified_errors(key.lower(), "metadata.annotations")
    total = sum(len(k.encode()) + len(v.encode()) for k, v in annotations.items())
    if total > 256 * 1024:
        errors.append(too_long("metadata.annotations", 256 * 1024))
    errors += _owner_errors(meta.get("ownerReferences") or [])
    for index, item in enumerate(meta.get("finalizers") or ()):
        errors += qualified_errors(item, "metadata.finalizers")
        if "/" not in item and item not in ("orphan", "foregroundDeletion", "kubernetes"):
            errors.append(
                invalid(
                    f"metadata.finalizers[{index}]",
                    item,
                    "name is neither a standard finalizer name nor is it fully qualified",
                )
            )
    return errors


def _owner_errors(refs: list[Json]) -> list[FieldError]:
    errors: list[FieldError] = []
    controller = ""
    for ref in refs:
        for key in ("apiVersion", "kind", "name", "uid"):
            if not ref.get(key):
                path = "version" if key == "apiVersion" else key
                path = f"metadata.ownerReferences.{path}"
                errors.append(invalid(path, ref.get(key, ""), "must not be empty"))
        if ref.get("controller"):
            if controller:
                errors.append(
                    invalid(
                        "metadata.ownerReferences",
                        refs,
                        'Only one reference can have Controller set to true. Found "true" in '
                        f"references for {controller} and {ref['kind']}/{ref['name']}",
                    )
                )
            controller = f"{ref['kind']}/{ref['name']}"
        if (ref.get("apiVersion"), ref.get("kind")) in (("v1", "Event"), ("events.k8s.io/v1", "Event")):
            group, _, version = ref["apiVersion"].rpartition("/")
            errors.append(
                invalid(
                    "metadata.ownerReferences",
                    ref,
                    f"{group}/{version}, Kind=Event is disallowed from being an owner",
                )
            )
    return errors


def check_update(new: Json, old: Json) -> list[FieldError]:
    """What may not change once written."""
    errors = [
        invalid(f"metadata.{key}", new.get(key, ""), "field is immutable")
        for key in ("name", "namespace", "uid")
        if new.get(key) != old.get(key)
    ]
    if old.get("deletionTimestamp"):
        extra = [x for x in new.get("finalizers") or () if x not in (old.get("finalizers") or ())]
        if extra:
            shown = ", ".join(f'"{x}"' for x in extra)
            errors.append(
                forbidden_field(
                    "metadata.finalizers",
                    "no new finalizers can be added if the object is being deleted, found new "
                    f"finalizers []string{{{shown}}}",
                )
            )
    return errors


__all__ = ["FIELDS", "check", "check_update", "decode", "duplicate", "generated", "name_errors"]
