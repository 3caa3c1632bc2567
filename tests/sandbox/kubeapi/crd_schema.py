"""Is a CRD's schema structural, and do its defaults and rules hold together?"""

from __future__ import annotations

import re
from typing import Any

from .cel_rules import check_compiles
from .schema import Node, parse, prune
from .schema import clone as clone_json
from .status import (
    FieldError,
    Json,
    forbidden_field,
    invalid,
    required,
    type_invalid,
    unsupported,
)
from .validate import check as check_value
from .validate import pattern

_UNSUPPORTED = frozenset(
    {"$ref", "definitions", "dependencies", "patternProperties", "id", "$schema", "additionalItems"}
)
_TYPES = ["array", "boolean", "integer", "number", "object", "string"]


def check_schema(raw: Json, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if raw.get("type") != "object":
        errors.append(invalid(f"{path}.type", raw.get("type", ""), "must be object at the root"))
    if raw.get("nullable"):
        errors.append(forbidden_field(f"{path}.nullable", "nullable cannot be true at the root"))
    errors += _structural(raw, path)
    if not errors:
        node = parse(raw)
        errors += _rules(node, path, True)
        errors += _defaults(node, path)
    return errors


def _structural(raw: Any, path: str, item: bool = False) -> list[FieldError]:
    errors: list[FieldError] = []
    if not isinstance(raw, dict):
        return [invalid(path, "", "must be a schema object")]
    errors += [forbidden_field(f"{path}.{w}", f"{w} is not supported") for w in raw if w in _UNSUPPORTED]
    either = raw.get("x-kubernetes-int-or-string")
    loose = raw.get("x-kubernetes-preserve-unknown-fields")
    kind = raw.get("type", "")
    if not kind and not either and not loose:
        text = "must not be empty for specified " + ("array items" if item else "object fields")
        errors.append(required(f"{path}.type", text))
    elif kind and kind not in _TYPES:
        errors.append(unsupported(f"{path}.type", kind, _TYPES))
    if loose is False:
        errors.append(invalid(f"{path}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined"))
    if raw.get("uniqueItems"):
        errors.append(
            forbidden_field(
                f"{path}.uniqueItems",
                "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
            )
        )
    if "properties" in raw and raw.get("additionalProperties") is not None:
        errors.append(
            forbidden_field(
                f"{path}.additionalProperties",
                "additionalProperties and properties are mutual exclusive",
            )
        )
    if kind == "array" and "items" not in raw:
        errors.append(required(f"{path}.items", "must be specified"))
    if "pattern" in raw:
        try:
            pattern(raw["pattern"])
        except re.error as exc:
            text = f"must be a valid regular expression, but isn't: {exc}"
            errors.append(invalid(f"{path}.pattern", raw["pattern"], text))
    errors += _lists(raw, path)
    for word in ("allOf", "anyOf", "oneOf"):
        for index, branch in enumerate(raw.get(word) or ()):
            errors += _logical(branch, raw, f"{path}.{word}[{index}]", bool(either))
    if isinstance(raw.get("not"), dict):
        errors += _logical(raw["not"], raw, f"{path}.not", False)
    for name, sub in (raw.get("properties") or {}).items():
        errors += _structural(sub, f"{path}.properties[{name}]")
    if isinstance(raw.get("additionalProperties"), dict):
        errors += _structural(raw["additionalProperties"], f"{path}.additionalProperties")
    if isinstance(raw.get("items"), dict):
        errors += _structural(raw["items"], f"{path}.items", item=True)
    elif isinstance(raw.get("items"), list):
        errors.append(forbidden_field(f"{path}.items", "items must be a schema object and not an array"))
    return errors


def _logical(branch: Json, outer: Json, path: str, either: bool) -> list[FieldError]:
    """Inside junctors only value checks may stand, and only on fields declared outside."""
    errors = []
    for word in ("description", "default", "additionalProperties", "nullable", "title"):
        if branch.get(word):
            text = f"must be empty to be structural: {word}"
            errors.append(forbidden_field(f"{path}.{word}", text.split(":", maxsplit=1)[0]))
    if branch.get("type") and not either:
        errors.append(forbidden_field(f"{path}.type", "must be empty to be structural"))
    for name, sub in (branch.get("properties") or {}).items():
        at = f"{path}.properties[{name}]"
        inner = (outer.get("properties") or {}).get(name)
        if inner is None:
            continue
        errors += _logical(sub, inner, at, False)
    return errors


def _lists(raw: Json, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    style, keys = raw.get("x-kubernetes-list-type"), raw.get("x-kubernetes-list-map-keys") or ()
    if style is not None and style not in ("atomic", "set", "map"):
        at = f"{path}.x-kubernetes-list-type"
        errors.append(unsupported(at, style, ["atomic", "map", "set"]))
    if style is not None and raw.get("type") != "array":
        errors.append(
            invalid(f"{path}.type", raw.get("type", ""), "must be array if x-kubernetes-list-type is specified")
        )
    items = raw.get("items") or {}
    if style == "map":
        if not keys:
            errors.append(
                required(f"{path}.x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map")
            )
        for key in keys:
            prop = (items.get("properties") or {}).get(key)
            if prop is None:
                errors.append(
                    invalid(f"{path}.x-kubernetes-list-map-keys", key, "entries must all be names of item properties")
                )
            elif key not in (items.get("required") or ()) and "default" not in prop:
                errors.append(
                    required(
                        f"{path}.items.properties[{key}].default",
                        "this property is in x-kubernetes-list-map-keys, so it must have a default "
                        "or be a required property",
                    )
                )
    elif keys:
        errors.append(
            forbidden_field(f"{path}.x-kubernetes-list-map-keys", "may only be set if x-kubernetes-list-type is map")
        )
    if style == "set" and items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
        errors.append(
            invalid(
                f"{path}.items.x-kubernetes-map-type",
                items.get("x-kubernetes-map-type", "granular"),
                "must be atomic as item of a list with x-kubernetes-list-type=set",
            )
        )
    return errors


def _rules(node: Node, path: str, root: bool = False) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, rule in enumerate(node.rules):
        at = f"{path}.x-kubernetes-validations[{index}]"
        if not str(rule.get("rule", "")).strip():
            errors.append(required(f"{at}.rule", "rule is not specified"))
            continue
        errors += check_compiles(rule, node, at, root)
        if "\n" in rule["rule"] and not rule.get("message"):
            errors.append(required(f"{at}.message", "message must be specified if rule contains line breaks"))
        if "\n" in str(rule.get("message", "")).strip():
            errors.append(invalid(f"{at}.message", rule["message"], "must not contain line breaks"))
        if "message" in rule and rule["message"] and not str(rule["message"]).strip():
            errors.append(invalid(f"{at}.message", rule["message"], "must be non-empty if specified"))
        reasons = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"]
        if rule.get("reason") is not None and rule["reason"] not in reasons:
            errors.append(unsupported(f"{at}.reason", rule["reason"], reasons))
        where = rule.get("fieldPath")
        if where and not _is_path(where, node):
            errors.append(invalid(f"{at}.fieldPath", where, "must be a valid path"))
    for name, sub in node.props.items():
        errors += _rules(sub, f"{path}.properties[{name}]")
    if node.extra is not None:
        errors += _rules(node.extra, f"{path}.additionalProperties")
    if node.items is not None:
        errors += _rules(node.items, f"{path}.items")
    return errors


def _is_path(text: str, node: Node) -> bool:
    """Fields and map keys only; lists cannot be pointed into."""
    current: Node | None = node
    steps = re.findall(r"\.([^.\[\]]+)|\['([^']*)'\]", text)
    if "".join(f".{a}" if a else f"['{b}']" for a, b in steps) != text:
        return False
    for dotted, quoted in steps:
        current = current.child(dotted or quoted) if current is not None else None
        if current is None:
            return False
    return True


def _defaults(node: Node, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, sub in node.props.items():
        at = f"{path}.properties[{name}]"
        if "default" in sub.raw:
            value = clone_json(sub.default)
            if value is None and not sub.nullable:
                errors.append(type_invalid(f"{at}.default", "null", "must not be null"))
            elif prune(value, sub):
                errors.append(invalid(f"{at}.default", sub.default, "must not have unknown fields"))
            else:
                for error in check_value(sub.default, sub, f"{at}.default"):
                    text = error.text.replace(f"{error.field} in body", " in body")
                    errors.append(FieldError(error.field, error.reason, text))
        errors += _defaults(sub, at)
    if node.items is not None:
        errors += _defaults(node.items, f"{path}.items")
    if node.extra is not None:
        errors += _defaults(node.extra, f"{path}.additionalProperties")
    return errors
