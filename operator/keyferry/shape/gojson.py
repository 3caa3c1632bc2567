"""JSON as Go's ``encoding/json`` writes it, which is what Secrets made by ESO hold."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from keyferry.errors import BadValue

__all__ = ["Number", "dumps", "float_text"]

MAX_DEPTH = 256
"""How deep objects and arrays may be nested. Go goes to 10,000, which no secret needs and no Python stack holds."""

_SHORT = {"\\": "\\\\", '"': '\\"', "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED = re.compile(r'[\x00-\x1f"\\\u2028\u2029\ud800-\udfff]')
_ESCAPED_FOR_HTML = re.compile(r'[\x00-\x1f"\\\u2028\u2029\ud800-\udfff<>&]')


class Number(str):
    """The text of a JSON number, written as it stands: Go's ``json.Number``."""

    __slots__ = ()


def dumps(value: Any, *, html: bool = True, sort: bool = True) -> bytes:
    r"""What Go's ``json.Marshal`` writes for a value of strings, numbers, booleans, None, lists, tuples and mappings.

    ``html`` escapes ``<``, ``>`` and ``&``, as Marshal does; ``sort`` orders keys by their bytes. There is no white
    space. A float64 has the fewest digits that give it back, as ``2.5e-7`` below 1e-6 and ``1e+21`` from 1e21 on.

    Strings from ``bytes.decode("utf-8", "surrogateescape")`` are welcome: a byte that is not UTF-8 becomes ``\ufffd``.

    Raises ``BadValue`` for NaN, infinity, any other type, or more than ``MAX_DEPTH`` levels.
    """
    out: list[str] = []
    _write(value, out, _ESCAPED_FOR_HTML if html else _ESCAPED, sort, 0)
    return "".join(out).encode()


def float_text(number: float) -> str:
    """Go's ``strconv.FormatFloat(number, 'f', -1, 64)``: the fewest digits that give it back, never an exponent."""
    text = format(Decimal(repr(number)), "f")
    return text.removesuffix(".0")


def _write(value: Any, out: list[str], escaped: re.Pattern[str], sort: bool, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise BadValue(f"the value is nested more than {MAX_DEPTH} levels deep")
    match value:
        case list() | tuple():
            out.append("[")
            for position, each in enumerate(value):
                out.append("," if position else "")
                _write(each, out, escaped, sort, depth + 1)
            out.append("]")
        case Mapping():
            out.append("{")
            for position, key in enumerate(sorted(value) if sort else value):
                out.append(f"{',' if position else ''}{_quoted(key, escaped)}:")
                _write(value[key], out, escaped, sort, depth + 1)
            out.append("}")
        case _:
            out.append(_scalar(value, escaped))


def _scalar(value: Any, escaped: re.Pattern[str]) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case Number() | int():
            return str(value)
        case str():
            return _quoted(value, escaped)
        case float():
            return _number(value)
        case _:
            raise BadValue(f"a value of type {type(value).__name__} has no place in JSON")


def _quoted(text: str, escaped: re.Pattern[str]) -> str:
    return f'"{escaped.sub(_escape, text)}"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if "\ud800" <= character <= "\udfff":
        return "\\ufffd"
    return _SHORT.get(character) or f"\\u{ord(character):04x}"


def _number(number: float) -> str:
    if not math.isfinite(number):
        raise BadValue("NaN and infinity have no place in JSON")
    if number and not 1e-6 <= abs(number) < 1e21:
        mantissa, _, exponent = format(Decimal(repr(number)).normalize(), "e").partition("e")
        return f"{mantissa}e{exponent}"
    return float_text(number)
