"""Does an element match a query, does a key match a pattern. Text holds one byte per character."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import re2

from keyferry.shape.gjson.paths import Query
from keyferry.shape.gjson.values import kind_of, number, truth
from keyferry.shape.jsontext import GO_UTF8, bytes_of, unquote

__all__ = ["like", "matches"]

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WILD = re.compile(r"(\\.)|([*?])|(\\$)|([^*?\\]+)", re.DOTALL)


def matches(query: Query, raw: str | None) -> bool:
    """Whether the raw value that the query's path leads to (None: it leads nowhere) is one that the query wants.

    Without an operator any value will do. Objects, arrays and null compare with nothing; ``~true``, ``~false``,
    ``~null`` and ``~*`` turn the value into a boolean first.
    """
    wanted = query.value
    if wanted.startswith("~"):
        raw, wanted = _as_boolean(wanted[1:], raw), "true"
    if raw is None:
        return False
    if not query.operator:
        return True
    match kind_of(raw):
        case "string":
            text = unquote(raw)
            if query.operator in {"%", "!%"}:
                return like(text, wanted) == (query.operator == "%")
            return bool(_COMPARE[query.operator](text, wanted)) if query.operator in _COMPARE else False
        case "number" if query.operator in _COMPARE:
            return bool(_COMPARE[query.operator](float(raw), number(wanted)))
        case "true" | "false" as kind if query.operator in _COMPARE:
            return _compare_booleans(query.operator, kind, wanted)
        case _:
            return False


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> Callable[[bytes], object]:
    parts = []
    for escaped, wild, dangling, plain in _WILD.findall(pattern):
        if dangling:
            # An escape without a character matches nothing.
            return lambda _: None
        parts.append({"*": ".*", "?": "."}[wild] if wild else re2.escape(_utf8(escaped[1:] or plain)))
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    compiled = re2.compile("".join(parts), options)
    match: Callable[[bytes], object] = compiled.fullmatch
    return match


def like(text: str, pattern: str) -> bool:
    r"""Whether ``text`` matches a pattern of ``*`` (anything), ``?`` (one character) and ``\`` (escape)."""
    return _pattern(pattern)(_utf8(text).encode()) is not None


def _utf8(text: str) -> str:
    return bytes_of(text).decode("utf-8", GO_UTF8)


def _as_boolean(test: str, raw: str | None) -> str | None:
    """``true`` or ``false`` as the test behind a tilde finds it, None for an unknown test."""
    kind = None if raw is None else kind_of(raw)
    match test:
        case "*":
            found = raw is not None
        case "null":
            found = kind in {None, "null"}
        case "true" | "false":
            found = _truth(raw) is (test == "true")
        case _:
            return None
    return "true" if found else "false"


def _truth(raw: str | None) -> bool | None:
    if raw is None:
        return False
    match kind_of(raw):
        case "true":
            return True
        case "null" | "false":
            return False
        case "string":
            return truth(unquote(raw))
        case "number":
            return float(raw) != 0
        case _:
            return None


def _compare_booleans(sign: str, kind: str, wanted: str) -> bool:
    if sign in {"=", "!="}:
        return (wanted == kind) is (sign == "=")
    if sign == (">=" if kind == "true" else "<="):
        return True
    return (sign, kind, wanted) in {(">", "true", "false"), ("<", "false", "true")}
