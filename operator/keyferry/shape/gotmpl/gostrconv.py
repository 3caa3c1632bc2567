"""Go's ``strconv`` and ``spf13/cast``: numbers out of text and out of values of any type.

Go's integers have 64 bits and wrap around, its conversion of a float that no int64 can hold gives the smallest int64
(as on amd64, where ESO's images are built first; the Go specification leaves it open).
"""

from __future__ import annotations

import math
import re
from typing import Final

from keyferry.shape.gotmpl.values import Value

__all__ = ["MAX_INT64", "MIN_INT64", "parse_float", "parse_int", "to_float64", "to_int64", "wrap"]

MIN_INT64: Final = -(1 << 63)
MAX_INT64: Final = (1 << 63) - 1
_MAX_UINT64: Final = (1 << 64) - 1

_DIGITS: Final = {8: re.compile("([-+]?)([0-7]*)"), 10: re.compile("([-+]?)([0-9]*)")}
# Integer literals of Go, which may have a prefix and underscores between digits.
_LITERAL: Final = re.compile(
    r"""(?P<sign>[-+]?)(?:
        0[bB](?P<binary>(?:_?[01])+)
      | 0[oO]?(?P<octal>(?:_?[0-7])+)
      | 0[xX](?P<hex>(?:_?[0-9a-fA-F])+)
      | (?P<decimal>0|[1-9](?:_?[0-9])*)
    )""",
    re.VERBOSE,
)
_BASES: Final = {"binary": 2, "octal": 8, "hex": 16, "decimal": 10}
_SPECIAL: Final = re.compile("[-+]?inf(?:inity)?|nan", re.IGNORECASE)
_DECIMAL_FLOAT: Final = re.compile(r"[-+]?(?:D(?:\.(?:D)?)?|\.D)(?:[eE][-+]?D)?".replace("D", "[0-9](?:_?[0-9])*"))
_HEX_FLOAT: Final = re.compile(
    r"[-+]?0[xX](?:_?H(?:\.(?:H)?)?|\.H)[pP][-+]?D".replace("D", "[0-9](?:_?[0-9])*").replace(
        "H", "[0-9a-fA-F](?:_?[0-9a-fA-F])*"
    )
)
_WITH_FRACTION: Final = re.compile(r"([-+]?[0-9]*)(?:\.[0-9]*)?")
# More digits than this are decided by their count: Python's int() takes quadratic time, and refuses 4300 digits.
_MANY_DIGITS: Final = 400


def wrap(value: int) -> int:
    """An int64 as arithmetic leaves it: overflow wraps around."""
    return value if MIN_INT64 <= value <= MAX_INT64 else ((value - MIN_INT64) & _MAX_UINT64) + MIN_INT64


def parse_int(text: str, base: int) -> tuple[int, bool]:
    """``strconv.ParseInt`` for base 8 or 10 and 64 bits: the value, and whether there was no error.

    What is out of range gives the nearest int64, and so does what has more after a number that is out of an uint64's
    range; other text that is no number gives 0.
    """
    match = _DIGITS[base].match(text)
    assert match is not None, "the pattern matches the empty text"  # noqa: S101 - for the type checker
    digits = match[2]
    value = _int(digits, base) if digits else 0
    if not digits or (match.end() != len(text) and value <= _MAX_UINT64):
        return 0, False
    if match[1] == "-":
        value = -value
    if MIN_INT64 <= value <= MAX_INT64:
        return value, match.end() == len(text)
    return (MIN_INT64 if value < 0 else MAX_INT64), False


def parse_float(text: str) -> float | None:
    """``strconv.ParseFloat`` for 64 bits; None for text that is no number and for what is out of range."""
    if _SPECIAL.fullmatch(text):
        return float(text)
    try:
        if _DECIMAL_FLOAT.fullmatch(text):
            value = float(text.replace("_", ""))
        elif _HEX_FLOAT.fullmatch(text):
            value = float.fromhex(text.replace("_", ""))
        else:
            return None
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def to_int64(value: Value) -> int:
    """``cast.ToInt64``: 0 for what is no number.

    Text may be a literal of Go (``0x1f``, and ``010`` is 8), or a decimal fraction, whose integer part is taken.
    """
    match value:
        case int():
            return wrap(int(value))
        case float():
            return int(value) if -(2.0**63) <= value < 2.0**63 else MIN_INT64
        case str():
            return _literal(value)
        case _:
            return 0


def to_float64(value: Value) -> float:
    """``cast.ToFloat64``: 0 for what is no number."""
    match value:
        case int() | float():
            return float(value)
        case str():
            parsed = parse_float(value)
            return 0.0 if parsed is None else parsed
        case _:
            return 0.0


def _literal(text: str) -> int:
    if "." in text:
        fraction = _WITH_FRACTION.fullmatch(text)
        if fraction is None:
            return 0
        text = fraction[1] if fraction[1] not in ("", "-", "+") else "0"
    match = _LITERAL.fullmatch(text)
    if match is None or match.lastgroup is None:
        return 0
    value = _int(match[match.lastgroup].replace("_", ""), _BASES[match.lastgroup])
    if match["sign"] == "-":
        value = -value
    return value if MIN_INT64 <= value <= MAX_INT64 else 0


def _int(digits: str, base: int) -> int:
    digits = digits.lstrip("0")
    return int(digits or "0", base) if len(digits) < _MANY_DIGITS else _MAX_UINT64 + 1
