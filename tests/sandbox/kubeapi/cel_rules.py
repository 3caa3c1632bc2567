"""`x-kubernetes-validations`: where rules apply, what `oldSelf` is, and how failures read."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

from . import cel_parse, cel_types
from .cel_eval import program
from .cel_functions import CelError, Maybe, duration, timestamp
from .cel_signatures import Type
from .fields import item_step
from .schema import MISSING, Node
from .status import (
    FieldError,
    Json,
    duplicate,
    forbidden_field,
    invalid,
    required,
)
from .validate import type_name

_OLD = re.compile(r"\boldSelf\b")


def _shown(value: Any) -> Any:
    """Objects and lists appear in messages as their type alone."""
    return type_name(value) if isinstance(value, dict | list) else value


def check_rules(value: Any, old: Any, node: Node, path: str, root: bool = False) -> list[FieldError]:
    if not node.deep_rules or value is None:
        return []
    errors: list[FieldError] = []
    for rule in node.rules:
        error = _check(rule, value, old, node, path)
        if error is not None:
            errors.append(error)
    if isinstance(value, dict):
        for key, item in value.items():
            if root and key in ("apiVersion", "kind", "metadata"):
                continue
            sub = node.child(key)
            if sub is None or not sub.deep_rules:
                continue
            before = old.get(key, MISSING) if isinstance(old, dict) else MISSING
            dotted = f"{path}.{key}" if path else key
            here = f"{path}[{key}]" if node.is_map else dotted
            errors += check_rules(item, before, sub, here)
    elif isinstance(value, list) and node.items is not None and node.items.deep_rules:
        # Only keyed lists tell which old item an item was.
        earlier: dict[str, Any] = {}
        if node.list_type == "map" and isinstance(old, list):
            earlier = {item_step(item, node): item for item in old}
        for index, item in enumerate(value):
            before = earlier.get(item_step(item, node), MISSING) if earlier else MISSING
            errors += check_rules(item, before, node.items, f"{path}[{index}]")
    return errors


def typed(value: Any, node: Node | None) -> Any:
    """Strings with a format are bytes, times and durations to CEL."""
    if node is None or value is MISSING or value is None:
        return value
    if isinstance(value, dict):
        return {k: typed(v, node.child(k)) for k, v in value.items()}
    if isinstance(value, list):
        return [typed(v, node.items) for v in value]
    maker = _FORMATS.get(node.raw.get("format", "")) if isinstance(value, str) else None
    return value if maker is None else maker(value)


_FORMATS: dict[str, Callable[[str], Any]] = {
    "byte": base64.b64decode,
    "date-time": timestamp,
    "duration": duration,
    "date": lambda text: timestamp(text + "T00:00:00Z"),
}


def _check(rule: Json, value: Any, old: Any, node: Node, path: str) -> FieldError | None:
    text = rule["rule"]
    if node.deep_formats:
        value, old = typed(value, node), typed(old, node)
    scope: dict[str, Any] = {"self": value}
    if _OLD.search(text):
        if rule.get("optionalOldSelf"):
            scope["oldSelf"] = Maybe.none() if old is MISSING else Maybe(old)
        elif old is MISSING:
            return None
        else:
            scope["oldSelf"] = old
    failure = ""
    try:
        if program(text)(scope) is True:
            return None
    except CelError as exc:
        failure = str(exc)
    except (TypeError, ValueError, AttributeError, KeyError):
        failure = "no such overload"
    where = path + (rule.get("fieldPath") or "")
    where = where.lstrip(".") if not path else where
    kind = type_name(value)
    if failure:
        return (
            invalid(path, kind, f"rule evaluation error: {failure} evaluating rule: {text}")
            if rule.get("message") is None
            else invalid(path, kind, f"{failure} evaluating rule: {rule['message']}")
        )
    message = _message(rule, scope)
    return _error(rule.get("reason") or "FieldValueInvalid", where, value, message)


def _message(rule: Json, scope: dict[str, Any]) -> str:
    if rule.get("messageExpression"):
        try:
            made = program(rule["messageExpression"])(scope)
        except (CelError, TypeError, ValueError, AttributeError, KeyError):
            made = ""
        if isinstance(made, str) and made.strip() and "\n" not in made:
            return made
    if rule.get("message"):
        return str(rule["message"]).strip()
    return f"failed rule: {rule['rule'].strip()}"


def _error(reason: str, path: str, value: Any, message: str) -> FieldError:
    if reason == "FieldValueRequired":
        return required(path, message)
    if reason == "FieldValueForbidden":
        return forbidden_field(path, message)
    if reason == "FieldValueDuplicate":
        return duplicate(path, _shown(value))
    if isinstance(value, dict | list):  # objects are left out of the message altogether
        return FieldError(path, "FieldValueInvalid", f"Invalid value: {message}")
    return invalid(path, value, message)


def check_compiles(rule: Json, node: Node, path: str, root: bool) -> list[FieldError]:
    """Mistakes the real server finds when the CRD is created: syntax, unknown names, types."""
    errors: list[FieldError] = []
    kind = cel_types.of_node(node, root)
    uses_old = bool(_OLD.search(rule["rule"]))
    scope: dict[str, Type] = {"self": kind}
    if uses_old:
        scope["oldSelf"] = ("optional", kind) if rule.get("optionalOldSelf") else kind
    shown = {
        "Rule": rule["rule"],
        "Message": rule.get("message", ""),
        "MessageExpression": rule.get("messageExpression", ""),
        "Reason": rule.get("reason"),
        "FieldPath": rule.get("fieldPath", ""),
        "OptionalOldSelf": rule.get("optionalOldSelf"),
    }
    for word, wanted in (("rule", "bool"), ("messageExpression", "string")):
        text = rule.get(word)
        if not text:
            continue
        prefix = "" if word == "rule" else "messageExpression "
        problem = ""
        try:
            program(text)
            found = cel_types.check(cel_parse.parse(text), scope)
            if not cel_types.fits(found, wanted):
                problem = (
                    "cel expression must evaluate to a bool"
                    if word == "rule"
                    else "messageExpression must evaluate to a string"
                )
        except cel_parse.CelSyntaxError as exc:
            problem = f"{prefix}compilation failed: ERROR: <input>:1:1: {exc}"
        if problem:
            errors.append(invalid(f"{path}.{word}", shown, problem))
    if rule.get("optionalOldSelf") is not None and not uses_old:
        errors.append(
            invalid(f"{path}.optionalOldSelf", rule["optionalOldSelf"], "may not be set if oldSelf is not used in rule")
        )
    return errors


__all__ = ["check_compiles", "check_rules"]
