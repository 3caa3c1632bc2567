"""What ``String`` methods of Go's types say."""

from __future__ import annotations

from keyferry.shape.gotmpl.types import DURATION, MONTH, WEEKDAY
from keyferry.shape.gotmpl.values import Number, Struct, Value

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_SECOND = 1_000_000_000
_UNITS = (("ns", 1), ("µs", 1_000), ("ms", 1_000_000))


def string_method(value: Value) -> str | None:
    """What the ``String`` method of the value's type says; None where the type has none."""
    if isinstance(value, Struct):
        return value.go_string()
    if isinstance(value, Number):
        if value.go_type is DURATION:
            return duration(value)
        if value.go_type is MONTH:
            return _MONTHS[value - 1] if 1 <= value <= len(_MONTHS) else f"%!Month({_unsigned(value)})"
        if value.go_type is WEEKDAY:
            return _WEEKDAYS[value] if 0 <= value < len(_WEEKDAYS) else f"%!Weekday({_unsigned(value)})"
    return None


def duration(nanoseconds: int) -> str:
    """``time.Duration.String``: ``1h0m0s``, ``1.5s``, ``20ms``."""
    size = abs(nanoseconds)
    sign = "-" if nanoseconds < 0 else ""
    if not size:
        return "0s"
    if size < _SECOND:
        unit, each = next((unit, each) for unit, each in reversed(_UNITS) if size >= each)
        return f"{sign}{_decimal(size, each)}{unit}"
    minutes, rest = divmod(size, 60 * _SECOND)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, _SECOND)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    if hours:
        text = f"{hours}h{text}"
    return sign + text


def _decimal(size: int, unit: int) -> str:
    whole, rest = divmod(size, unit)
    if not rest:
        return str(whole)
    return f"{whole}." + f"{rest:0{len(str(unit)) - 1}d}".rstrip("0")


def _unsigned(number: int) -> int:
    return int(number) & 0xFFFF_FFFF_FFFF_FFFF
