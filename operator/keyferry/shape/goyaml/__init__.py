"""YAML as Kubernetes tools of Go read and write it: sigs.k8s.io/yaml 1.6 upon go.yaml.in/yaml/v2, a YAML 1.1.

What is read takes the way over JSON: all numbers are floats, keys are strings. Only the first document of a stream is
read. Everything is bounded: depth, aliases, and the number of nodes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final, TypeAlias

from keyferry.shape.gofloat import format_float, format_float32
from keyferry.shape.gojson import dumps
from keyferry.shape.goyaml.decoder import Decoded, Decoder
from keyferry.shape.goyaml.emitter import emit
from keyferry.shape.goyaml.errors import TooDeep, YamlError, converting, unmarshaling
from keyferry.shape.goyaml.parser import parse

__all__ = ["JSON", "TooDeep", "YamlError", "marshal", "unmarshal", "unmarshal_map", "unmarshal_string_map"]

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

DEPTH: Final = 100
COUNT: Final = 1_000_000
"""How many tokens and values there may be: a document of a mebibyte with short lines."""

_NOT_READ_BACK = re.compile("[\x7f-\x84\x86-\x9f\ufffe\uffff]|\x85(?:---|\\.\\.\\.)[ \x85]")
# The lookbehind keeps this linear: a run of blanks is looked at from its start only.
_NEXT_LINE = re.compile("(?<! ) *\x85[ \x85]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_KEY: Final = 1024
"""Characters of a key's JSON, its quotes included, that YAML still takes for a key."""
_LONGEST_ESCAPE: Final = 6
_EXPONENT: Final = 1e21
"""From here on JSON writes numbers with an exponent."""
_KINDS: Final = {bool: "bool", float: "number", str: "string", list: "array"}


def unmarshal(document: bytes, *, depth: int = DEPTH, count: Callable[[], None] | None = None) -> JSON:
    """What ``Unmarshal`` makes of the first document of a stream; None where there is none.

    ``depth`` bounds the nesting. ``count`` is called for every token and every value, and may raise; where it is left
    out, there may be ``COUNT`` of them. Raises ``YamlError``.
    """
    return _json(_decoded(document, depth, count))


def unmarshal_map(document: bytes, *, depth: int = DEPTH, count: Callable[[], None] | None = None) -> dict[str, JSON]:
    """``unmarshal`` into a ``map[string]any``; empty where there is no document, or it is null."""
    value = unmarshal(document, depth=depth, count=count)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _no_map(value, "map[string]interface {}")
    return value


def unmarshal_string_map(document: bytes, *, depth: int = DEPTH) -> dict[str, str]:
    """What ``Unmarshal`` makes of a document for a ``map[string]string``.

    Numbers and booleans become strings, and numbers with a fraction lose what a float32 does not hold; null becomes
    the empty string. Raises ``YamlError``, which is a ``BadValue``, for mappings and lists as values.
    """
    value = _decoded(document, depth, None)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _no_map(_json(value), "map[string]string")
    texts: dict[str, str] = {}
    for key in sorted(value):
        each = value[key]
        if isinstance(each, list | dict):
            _json(each)
            kind = "mapping" if isinstance(each, dict) else "list"
            raise unmarshaling(
                "object" if kind == "mapping" else "array",
                "string",
                message=f'"{_valid(key)}" holds a {kind}, but a string, number or boolean is needed',
                key=_valid(key),
            )
        texts[_valid(key)] = _text(each)
    return texts


def marshal(value: JSON, make: Callable[[int], None] = lambda _: None) -> str:
    """What ``Marshal`` writes, with a line break at the end. The value must not be nested without bounds.

    ``make`` is told how many characters are about to be written, and may raise.

    Raises ``YamlError`` for what Go writes as JSON and fails to read back on the way: most control characters from
    U+007F on, and keys of more than 1,022 characters.
    """
    return emit(_reread(value), make)


def _decoded(document: bytes, depth: int, count: Callable[[], None] | None) -> Decoded:
    count = count or _counter()
    node = parse(document, depth, count)
    return None if node is None else Decoder(depth, count).decode(node)


def _counter() -> Callable[[], None]:
    left = COUNT

    def count() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise YamlError("the document is too long to be read as YAML: split it")

    return count


def _json(value: Decoded) -> JSON:
    """The value after a journey to JSON and back."""
    match value:
        case str():
            return _valid(value)
        case None | bool():
            return value
        case list():
            return [_json(each) for each in value]
        case dict():
            return {_valid(key): _json(each) for key, each in value.items()}
        case _:
            if not math.isfinite(value):
                raise YamlError(
                    "NaN and infinity have no place in JSON, over which YAML is read",
                    detail=f"error converting YAML to JSON: json: unsupported value: {format_float(value)}",
                )
            return float(value)


def _text(value: Decoded) -> str:
    match value:
        case str():
            return _valid(value)
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return format_float32(value)
        case _:
            return str(value)


def _valid(text: str) -> str:
    """Bytes that are no UTF-8, which binary values may hold, are lost in JSON."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _no_map(value: JSON, go_type: str) -> YamlError:
    kind = _KINDS[type(value)]
    return unmarshaling(kind, go_type, message=f"the document is of type {kind}, but a mapping is needed")


def _reread(value: JSON) -> Decoded:
    """The value as it is after it was written as JSON and read as YAML."""
    match value:
        case str():
            return _reread_text(value)
        case None | bool():
            return value
        case list():
            return [_reread(each) for each in value]
        case dict():
            return {_reread_key(key): _reread(each) for key, each in value.items()}
        case float():
            return _reread_float(value)
        case _:
            return int(value)


def _reread_text(text: str) -> str:
    if text.isascii() and "\x7f" not in text:
        return text
    text = _SURROGATE.sub("\ufffd", text)
    if _NOT_READ_BACK.search(text):
        raise converting("control characters are not allowed")
    # JSON leaves U+0085 as it is, and YAML takes it for a line break.
    return _NEXT_LINE.sub(lambda found: "\n" * (found[0].count("\x85") - 1) or " ", text)


def _reread_key(key: str) -> str:
    text = _reread_text(key)
    if "\x85" in key or (len(key) * _LONGEST_ESCAPE >= _LONGEST_KEY - 1 and len(dumps(key).decode()) > _LONGEST_KEY):
        raise converting("did not find expected ',' or '}'", message="a key is longer than 1,022 characters")
    return text


def _reread_float(number: float) -> int | float:
    """Whole numbers come back as integers if 64 bits hold them: those of the shortest digits, not of the float."""
    if abs(number) < _EXPONENT and number.is_integer():
        whole = int(format_float(number, "f"))
        if -(1 << 63) <= whole < 1 << 64:
            return whole
    return number
