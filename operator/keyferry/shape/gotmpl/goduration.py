"""Go's ``time.Duration``: a number of nanoseconds in an int64. How it is printed is the business of ``fmt``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

from keyferry.shape.gotmpl.fmt import string_method
from keyferry.shape.gotmpl.gostrconv import MAX_INT64, MIN_INT64, wrap
from keyferry.shape.gotmpl.registry import Function, declare
from keyferry.shape.gotmpl.types import DURATION, INT64, MONTH, WEEKDAY, GoType
from keyferry.shape.gotmpl.values import Number

__all__ = [
    "HOUR",
    "MINUTE",
    "NUMBER_METHODS",
    "SECOND",
    "DurationError",
    "duration",
    "parse_duration",
    "quoted",
    "rounded",
]

SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE

# U+00B5 is the micro sign, U+03BC the Greek letter.
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
}
_PART: Final = re.compile(r"([0-9]*)(\.[0-9]*)?([^.0-9]*)")
_LIMIT: Final = 1 << 63
_DIGITS: Final = len(str(_LIMIT))


class DurationError(Exception):
    """Text that is no duration. The message holds none of it; ``detail`` is what Go says."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = f"time: {detail}"


def duration(nanoseconds: int) -> Number:
    """A duration; one that no int64 holds becomes the longest or shortest that there is."""
    return Number(max(MIN_INT64, min(nanoseconds, MAX_INT64)), DURATION)


def parse_duration(text: str) -> int:
    """``time.ParseDuration``: nanoseconds of ``-1.5h``, ``2h45m``, ``300ms``. Raises ``DurationError``."""
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    invalid = DurationError("it is no number with a unit, such as 1h30m or 90s", f"invalid duration {quoted(text)}")
    if not rest:
        raise invalid
    total = at = 0
    while at < len(rest):
        part = _PART.match(rest, at)
        if part is None:
            raise invalid
        size = _size(part, text, invalid)
        total = (total + size) % (2 * _LIMIT)
        if total > _LIMIT:
            raise invalid
        at = part.end()
    if text[0] == "-":
        return -total
    if total == _LIMIT:
        raise invalid
    return total


def _size(part: re.Match[str], text: str, invalid: DurationError) -> int:
    """One number with its unit, in nanoseconds."""
    digits = part[1].lstrip("0")
    # There are neither digits nor a point, or no digits around the point.
    if (not part[1] and len(part[2] or "") < 2) or len(digits) > _DIGITS or int(digits or "0") > _LIMIT:
        raise invalid
    if not part[3]:
        raise DurationError("a unit is missing", f"missing unit in duration {quoted(text)}")
    unit = _UNITS.get(part[3])
    if unit is None:
        raise DurationError(
            "it has an unknown unit; there are ns, us, ms, s, m and h",
            f"unknown unit {quoted(part[3])} in duration {quoted(text)}",
        )
    whole = int(digits or "0") * unit
    size = whole + _fraction(part[2] or ".", unit)
    if max(whole, size) > _LIMIT:
        raise invalid
    return size


def _fraction(text: str, unit: int) -> int:
    """``.25`` of a unit. Go computes in float64 here, in this order."""
    number, scale = 0, 1.0
    for digit in text[1:]:
        # Digits that do not fit an int64 are left out, and so is what float64 cannot tell from nothing.
        if number > MAX_INT64 // 10 or number * 10 + int(digit) > _LIMIT or scale == math.inf:
            break
        number = number * 10 + int(digit)
        scale *= 10
    return int(float(number) * (float(unit) / scale))


def quoted(text: str) -> str:
    """Text in quotes as errors of Go's package ``time`` show it: everything beyond ASCII byte by byte."""
    out = ['"']
    for byte in text.encode("utf-8", "surrogateescape"):
        character = chr(byte)
        if character in '"\\':
            out.append("\\")
        out.append(character if " " <= character <= "\x7f" else f"\\x{byte:02x}")
    return "".join(out) + '"'


def rounded(size: int, step: int) -> Number:
    """``Duration.Round``: to the nearest multiple of ``step``, halves away from zero."""
    if step <= 0:
        return duration(size)
    rest = abs(size) % step
    away = step - rest if 2 * rest >= step else -rest
    return duration((abs(size) + away) * (-1 if size < 0 else 1))


def _truncated(size: int, step: int) -> Number:
    rest = abs(size) % step if step > 0 else 0
    return duration(size + rest if size < 0 else size - rest)


def _quotient(size: int, unit: int) -> Number:
    return Number(abs(size) // unit * (-1 if size < 0 else 1), INT64)


def _ratio(size: int, unit: int) -> float:
    # Go adds the whole units and the fraction as floats.
    whole, rest = divmod(abs(size), unit)
    ratio = float(whole) + float(rest) / float(unit)
    return -ratio if size < 0 else ratio


def _string(value: Number) -> str:
    return string_method(value) or ""


_STRING: Final = declare("String", "func() string", _string)

NUMBER_METHODS: Final[Mapping[GoType, Mapping[str, Function]]] = {
    DURATION: {
        "Abs": declare("Abs", "func() time.Duration", lambda size: duration(abs(size))),
        "Hours": declare("Hours", "func() float64", lambda size: _ratio(size, HOUR)),
        "Microseconds": declare("Microseconds", "func() int64", lambda size: _quotient(size, 1_000)),
        "Milliseconds": declare("Milliseconds", "func() int64", lambda size: _quotient(size, 1_000_000)),
        "Minutes": declare("Minutes", "func() float64", lambda size: _ratio(size, MINUTE)),
        "Nanoseconds": declare("Nanoseconds", "func() int64", lambda size: Number(wrap(size), INT64)),
        "Round": declare("Round", "func(time.Duration) time.Duration", rounded),
        "Seconds": declare("Seconds", "func() float64", lambda size: _ratio(size, SECOND)),
        "String": _STRING,
        "Truncate": declare("Truncate", "func(time.Duration) time.Duration", _truncated),
    },
    MONTH: {"String": _STRING},
    WEEKDAY: {"String": _STRING},
}
"""Methods of numbers, as ``Struct.methods`` has those of structs."""
