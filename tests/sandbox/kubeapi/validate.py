"""Values against a structural schema, with the real server's field errors."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlparse

import orjson

from .fields import item_step
from .schema import Node
from .status import (
    FieldError,
    Json,
    duplicate,
    invalid,
    quote,
    required,
    too_many,
    type_invalid,
    unsupported,
)


@lru_cache(maxsize=1000)
def pattern(text: str) -> re.Pattern[str]:
    """Go's syntax to Python's, for the little that differs."""
    text = text.replace("(?i)", "(?i)").replace("\\z", "\\Z")
    text = re.sub(r"\[:alnum:\]", "a-zA-Z0-9", text)
    text = re.sub(r"\[:alpha:\]", "a-zA-Z", text)
    text = re.sub(r"\[:digit:\]", "0-9", text)
    # Python's $ also matches before a final newline, Go's does not.
    text = re.sub(r"(?<!\\)\$", r"\\Z", text) if "[" not in text else _dollar(text)
    return re.compile(text)


def _dollar(text: str) -> str:
    """Replace $ outside character classes."""
    out, inside, index = [], False, 0
    while index < len(text):
        char = text[index]
        if char == "\\":
            out.append(text[index : index + 2])
            index += 2
            continue
        if char == "[" and not inside:
            inside = True
        elif char == "]" and inside:
            inside = False
        out.append("\\Z" if char == "$" and not inside else char)
        index += 1
    return "".join(out)


def type_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _has_type(value: Any, wanted: str) -> bool:
    actual = type_name(value)
    if wanted == "number":
        return actual in ("integer", "number")
    if wanted == "integer" and actual == "number":
        return bool(value == int(value))
    return actual == wanted


_FORMATS = {"date-time", "date", "byte", "ipv4", "ipv6", "uuid", "uri", "email", "duration"}
_UUID = re.compile(r"^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$", re.IGNORECASE)
_DURATION = re.compile(r"^[-+]?((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w))+$|^0$")


def _format_ok(value: str, name: str) -> bool:
    try:
        if name == "date-time":
            datetime.fromisoformat(value.replace("Z", "+00:00").replace("z", "+00:00"))
            return "T" in value.upper()
        if name == "date":
            date.fromisoformat(value)
        elif name == "byte":
            base64.b64decode(value, validate=True)
        elif name == "ipv4":
            ipaddress.IPv4Address(value)
        elif name == "ipv6":
            ipaddress.IPv6Address(value)
        elif name == "uri":
            return bool(urlparse(value).scheme) or value.startswith("/")
    except (ValueError, binascii.Error):
        return False
    if name == "uuid":
        return bool(_UUID.match(value))
    if name == "duration":
        return bool(_DURATION.match(value))
    if name == "email":
        return "@" in value
    return True


def check(value: Any, node: Node, path: str, root: bool = False) -> list[FieldError]:
    """All schema errors below a value (not lists' uniqueness, not CEL)."""
    errors: list[FieldError] = []
    if value is None:
        if not node.nullable and (node.type or node.int_or_string):
            wanted = "integer,string" if node.int_or_string else node.type
            text = f"{path} in body must be of type {wanted}: {quote('null')}"
            errors.append(type_invalid(path, "null", text))
        return errors
    if node.int_or_string:
        if isinstance(value, bool) or not isinstance(value, int | str):
            text = f"{path} in body must be of type integer,string: {quote(type_name(value))}"
            errors.append(type_invalid(path, type_name(value), text))
            return errors
    elif node.type and not _has_type(value, node.type):
        actual = type_name(value)
        text = f"{path} in body must be of type {node.type}: {quote(actual)}"
        errors.append(type_invalid(path, actual, text))
        return errors
    raw = node.raw
    if isinstance(value, str):
        errors += _check_string(value, raw, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        errors += _check_number(value, raw, path)
    elif isinstance(value, list):
        errors += _check_list(value, node, path)
    elif isinstance(value, dict):
        errors += _check_object(value, node, path, root)
    choices = raw.get("enum")
    if choices is not None and value not in choices:
        shown = [c if isinstance(c, str) else orjson.dumps(c).decode() for c in choices]
        errors.append(unsupported(path, value, shown))
    for word in ("allOf", "anyOf", "oneOf"):
        errors += _check_combined(value, raw, word, path)
    if "not" in raw and not check(value, _plain(raw["not"]), path):
        errors.append(invalid(path, value, f"{path} in body must not validate the schema (not)"))
    return errors


def _plain(raw: Json) -> Node:
    from .schema import parse

    return parse(raw)


def _check_combined(value: Any, raw: Json, word: str, path: str) -> list[FieldError]:
    branches = raw.get(word)
    if not branches or raw.get("x-kubernetes-int-or-string"):
        return []
    results = [check(value, _plain(b), path) for b in branches]
    good = sum(not r for r in results)
    if word == "allOf":
        return [e for r in results for e in r]
    if (word == "anyOf" and good == 0) or (word == "oneOf" and good != 1):
        wanted = "one and only one" if word == "oneOf" else "at least one"
        text = f'"{path}" must validate {wanted} schema ({word})'
        if word == "oneOf":
            text += f". Found {good} valid alternatives" if good else ". Found none valid"
        return [_unplaced(text), *(results[0] if good == 0 else [])]
    return []


def _check_string(value: str, raw: Json, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    longest, shortest = raw.get("maxLength"), raw.get("minLength")
    if longest is not None and len(value) > longest:
        text = f"Too long: may not be more than {longest} bytes"
        return [FieldError(path, "FieldValueTooLong", text)]
    if shortest is not None and len(value) < shortest:
        text = f"{path} in body should be at least {shortest} chars long"
        return [invalid(path, value, text)]
    if "pattern" in raw and not pattern(raw["pattern"]).search(value):
        text = f"{path} in body should match '{raw['pattern']}'"
        errors.append(invalid(path, value, text))
    name = raw.get("format")
    if name in _FORMATS and not _format_ok(value, name):
        text = f"{path} in body must be of type {name}: {quote(value)}"
        errors.append(type_invalid(path, value, text))
    return errors


def _check_number(value: float, raw: Json, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    least, most, step = raw.get("minimum"), raw.get("maximum"), raw.get("multipleOf")
    if least is not None:
        strict = raw.get("exclusiveMinimum")
        if value < least or (strict and value == least):
            word = "greater than" if strict else "greater than or equal to"
            errors.append(invalid(path, value, f"{path} in body should be {word} {least}"))
    if most is not None:
        strict = raw.get("exclusiveMaximum")
        if value > most or (strict and value == most):
            word = "less than" if strict else "less than or equal to"
            errors.append(invalid(path, value, f"{path} in body should be {word} {most}"))
    if step and value % step:
        errors.append(invalid(path, value, f"{path} in body should be a multiple of {step}"))
    size = {"int32": 2**31, "int64": 2**63}.get(raw.get("format", ""))
    if size is not None and not -size <= value < size:
        name = raw["format"]
        text = f"Checked value must be of type {raw.get('type')} with format {name} in {path}"
        errors.insert(0, _unplaced(text))
    return errors


def _unplaced(text: str) -> FieldError:
    """The real validators lose the place of these errors on the way out."""
    return FieldError("<nil>", "FieldValueInvalid", f'Invalid value: "": {text}')


def _check_list(value: list[Any], node: Node, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    raw = node.raw
    most, least = raw.get("maxItems"), raw.get("minItems")
    if most is not None and len(value) > most:
        errors.append(too_many(path, len(value), most))
    if least is not None and len(value) < least:
        text = f"{path} in body should have at least {least} items"
        errors.append(invalid(path, len(value), text))
    if node.items is not None:
        for index, item in enumerate(value):
            errors += check(item, node.items, f"{path}[{index}]")
    return errors


def _check_object(value: Json, node: Node, path: str, root: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    raw = node.raw
    most, least = raw.get("maxProperties"), raw.get("minProperties")
    if most is not None and len(value) > most:
        errors.append(too_many(path, len(value), most))
    if least is not None and len(value) < least:
        text = f"{path} in body should have at least {least} properties"
        errors.append(invalid(path, len(value), text))
    missing = [key for key in raw.get("required") or () if key not in value]
    errors += [required(f"{path}.{key}" if path else key) for key in missing]
    for key, item in value.items():
        if root and key in ("apiVersion", "kind", "metadata"):
            continue
        sub = node.child(key)
        if sub is not None:
            here = f"{path}.{key}" if path else key
            errors += check(item, sub, here)
    return errors


def check_lists(value: Any, node: Node, path: str) -> list[FieldError]:
    """Duplicates in lists that are maps or sets, and missing map keys."""
    errors: list[FieldError] = []
    if isinstance(value, dict):
        for key, item in value.items():
            sub = node.child(key)
            if sub is not None:
                errors += check_lists(item, sub, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        if node.list_type in ("set", "map"):
            seen: set[str] = set()
            for index, item in enumerate(value):
                step = item_step(item, node)
                if step in seen:
                    shown = orjson.loads(step[2:])
                    errors.append(duplicate(f"{path}[{index}]", shown))
                seen.add(step)
        if node.items is not None:
            for index, item in enumerate(value):
                errors += check_lists(item, node.items, f"{path}[{index}]")
    return errors
