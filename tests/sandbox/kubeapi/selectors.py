"""Label and field selectors, parsed into predicates."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .status import Json, bad_request, quote

Predicate = Callable[[Json], bool]

_SET = re.compile(r"^\s*(\S+)\s+(in|notin)\s*\(([^)]*)\)\s*$")
_KEY = re.compile(
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
_VALUE = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")


def _split(text: str) -> list[str]:
    """Split at commas outside parentheses."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return [p.strip() for p in parts]


def _requirement(part: str) -> tuple[str, str, list[str]]:
    match = _SET.match(part)
    if match:
        return match[1], match[2], [v.strip() for v in match[3].split(",")]
    for sign, op in (("!=", "!="), ("==", "="), ("=", "="), (">", ">"), ("<", "<")):
        if sign in part:
            key, _, value = part.partition(sign)
            return key.strip(), op, [value.strip()]
    if part.startswith("!"):
        return part[1:].strip(), "absent", []
    return part, "present", []


def label_selector(text: str) -> Predicate | None:
    if not text.strip():
        return None
    checks: list[tuple[str, str, list[str]]] = []
    for part in _split(text):
        key, op, values = _requirement(part)
        if not _KEY.match(key) or not all(_VALUE.match(v) for v in values):
            raise bad_request(f"unable to parse requirement: invalid label selector: {quote(part)}")
        checks.append((key, op, values))

    def matches(obj: Json) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(_holds(labels, *check) for check in checks)

    return matches


def _holds(labels: dict[str, str], key: str, op: str, values: list[str]) -> bool:
    actual = labels.get(key)
    if op in ("=", "in"):
        return actual is not None and actual in values
    if op in ("!=", "notin"):
        return actual is None or actual not in values
    if op == "present":
        return actual is not None
    if op == "absent":
        return actual is None
    try:
        left, right = int(actual or ""), int(values[0])
    except ValueError:
        return False
    return left > right if op == ">" else left < right


def label_selector_object(selector: Json) -> Predicate:
    """The structured form (matchLabels, matchExpressions)."""
    ops = {"In": "in", "NotIn": "notin", "Exists": "present", "DoesNotExist": "absent"}
    checks = [(k, "=", [v]) for k, v in (selector.get("matchLabels") or {}).items()]
    checks += [
        (e["key"], ops[e["operator"]], list(e.get("values") or ())) for e in selector.get("matchExpressions") or ()
    ]
    return lambda obj: all(_holds(obj["metadata"].get("labels") or {}, *check) for check in checks)


def lookup(obj: Json, path: str) -> str:
    value: Any = obj
    for part in path.lstrip(".").split("."):
        if not isinstance(value, dict) or part not in value:
            return ""
        value = value[part]
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def parse_fields(text: str) -> list[tuple[str, str, str]]:
    found = []
    for part in re.split(r"(?<!\\),", text):
        if not part.strip():
            continue
        for sign, op in (("!=", "!="), ("==", "="), ("=", "=")):
            if sign in part:
                key, _, value = part.partition(sign)
                plain = re.sub(r"\\(.)", r"\1", value.strip())
                found.append((key.strip(), op, plain))
                break
        else:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
    return found


def field_selector(text: str, supported: frozenset[str]) -> Predicate | None:
    checks = parse_fields(text)
    if not checks:
        return None
    for key, _, _ in checks:
        if key not in supported:
            raise bad_request(f"field label not supported: {key}")
    return lambda obj: all((lookup(obj, k) == v) == (op == "=") for k, op, v in checks)
