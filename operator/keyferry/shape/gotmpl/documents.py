"""Values to JSON and back, by the rules of Go's ``encoding/json``; YAML takes the same way."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final

from keyferry.shape import gojson, jsontext
from keyferry.shape.gotmpl.errors import FunctionError, LimitError
from keyferry.shape.gotmpl.fmt import sorted_keys
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.values import Struct, TypedMap, TypedSlice, Value, runes, type_of

__all__ = ["Unfit", "dumps", "indented", "loads", "plain", "too_deep"]

_NODE: Final = 32
"""Bytes that a value takes beside its text."""
_PER_STEP: Final = 64
"""Characters of JSON that are read in one step."""
_TOKEN = re.compile(r'[\[{]\s*[\]}]|[\[\]{},:]|[^\[\]{},:"]+|"[^"\\]*(?:\\.[^"\\]*)*"')
_STEP: Final = "  "


class Unfit(FunctionError):
    """A value that cannot be written, or a text that cannot be read. ``kept`` is what was read of it nevertheless."""

    def __init__(self, message: str, *, detail: str = "", kept: Value = None) -> None:
        super().__init__(message, detail=detail)
        self.kept = kept


def plain(run: Run, value: Value, depth: int = 0) -> Any:
    """The value in terms of JSON: None, booleans, numbers, strings, lists, and dicts in the order of their writing.

    Raises ``Unfit`` for what JSON cannot hold, and ``LimitError``, which is also what a map that holds itself meets.
    """
    run.spend()
    if isinstance(value, list | dict):
        if isinstance(value, TypedSlice | TypedMap) and value.is_nil:
            return None
        if depth >= run.limits.depth:
            raise too_deep(run)
        run.make(_NODE * len(value))
        if isinstance(value, dict):
            return {key: plain(run, value[key], depth + 1) for key in sorted_keys(value)}
        return [plain(run, each, depth + 1) for each in value]
    if isinstance(value, Struct):
        return _struct(run, value, depth)
    return _scalar(run, value)


def dumps(run: Run, value: Value, *, html: bool = True) -> str:
    """What ``json.Marshal`` writes. Raises what ``plain`` raises."""
    return gojson.dumps(plain(run, value), html=html, sort=False).decode()


def indented(run: Run, text: str) -> str:
    """JSON without white space, with each member and each element in a line of its own."""
    return "".join(_indented(run, text))


def loads(run: Run, text: str) -> Value:
    """What ``json.Unmarshal`` makes of a document: all numbers are floats.

    Raises ``Unfit`` where it is no JSON, or holds a number that is too large, which stands as nil in what is kept; and
    ``LimitError``.
    """
    run.spend(len(text) // _PER_STEP)
    run.make(len(text) + _NODE * (text.count(",") + text.count(":")))
    text = runes(text)
    if text.count("[") + text.count("{") > run.limits.depth and jsontext.depth_of(text.encode()) > run.limits.depth:
        raise too_deep(run)
    wrong = ""
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        wrong = f"line {error.lineno}, column {error.colno}"
    except ValueError:
        wrong = "NaN and infinity have no place in it"
    # The library's error carries the document: it must not become this error's context.
    if wrong:
        raise Unfit(f"this is not JSON: {wrong}")
    large: list[str] = []
    read = _read(run, value, large)
    if large:
        raise Unfit(
            "a number is too large for a float",
            detail=f"json: cannot unmarshal number {large[0]} into Go value of type float64",
            kept=read,
        )
    return read


def too_deep(run: Run) -> LimitError:
    """The error of a value that is nested too deep."""
    return LimitError(f"a value is nested more than {run.limits.depth} levels deep")


def _scalar(run: Run, value: Value) -> Any:
    match value:
        case None | bool() | int():
            return value
        case str():
            run.make(len(value))
            return value
        case bytes():
            run.make(2 * len(value))
            return base64.b64encode(value).decode()
        case float() if math.isfinite(value):
            return value
        case float():
            told = "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
            raise Unfit("NaN and infinity have no place in JSON", detail=f"json: unsupported value: {told}")
        case _:
            kind = type_of(value)
            raise Unfit(f"a value of type {kind} has no place in JSON", detail=f"json: unsupported type: {kind}")


def _struct(run: Run, value: Struct, depth: int) -> Any:
    marshal = value.methods.get("MarshalJSON")
    if marshal is None:
        return {name: plain(run, each, depth + 1) for name, each in value.fields().items()}
    try:
        return json.loads(marshal.call(value))
    except FunctionError as error:
        raise Unfit(
            error.message, detail=f"json: error calling MarshalJSON for type {value.go_type}: {error.detail}"
        ) from None


def _indented(run: Run, text: str) -> Iterator[str]:
    depth = 0
    for found in _TOKEN.finditer(text):
        part = found[0]
        depth += (part in {"[", "{"}) - (part in {"]", "}"})
        line = "\n" + _STEP * depth
        run.make(len(line))
        match part:
            case "[" | "{" | ",":
                yield part + line
            case "]" | "}":
                yield line + part
            case _:
                yield ": " if part == ":" else part


class _TooLarge(str):
    """The text of a number that no float64 holds."""

    __slots__ = ()


def _number(text: str) -> float | _TooLarge:
    number = float(text)
    return number if math.isfinite(number) else _TooLarge(text)


def _refuse(name: str) -> None:
    raise ValueError(name)


_DECODER: Final = json.JSONDecoder(parse_float=_number, parse_int=_number, parse_constant=_refuse)


def _read(run: Run, value: Any, large: list[str]) -> Value:
    """The decoded document, with U+FFFD for halves of surrogate pairs."""
    run.spend()
    match value:
        case _TooLarge():
            large.append(value)
            return None
        case str():
            return runes(value)
        case list():
            return [_read(run, each, large) for each in value]
        case dict():
            return {runes(key): _read(run, each, large) for key, each in value.items()}
        case _:
            number: float | bool | None = value
            return number
