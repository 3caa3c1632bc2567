"""Dates and durations. What is no date counts as now, what is no duration as zero, as sprig has it."""

from __future__ import annotations

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.fmt import string_method
from keyferry.shape.gotmpl.goduration import HOUR, MINUTE, SECOND, DurationError, parse_duration, rounded
from keyferry.shape.gotmpl.gostrconv import parse_int, wrap
from keyferry.shape.gotmpl.gotime import LOCAL, ZERO, Time, in_zone
from keyferry.shape.gotmpl.gotimeparse import TimeError, parse_time
from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.types import DURATION, INT32, INT64
from keyferry.shape.gotmpl.values import Number, Value, type_of

REGISTRY = Registry()

_DAY = 24 * HOUR
_UNITS = ((365 * _DAY, "y"), (30 * _DAY, "mo"), (_DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s"))


def _now(run: Run, function: str) -> Time:
    return Time.of(run.now(function))


def _time(run: Run, value: Value, function: str, *, takes_int32: bool = True) -> Time:
    """A time, or the seconds since 1970 in an int, int64 or int32."""
    if isinstance(value, Time):
        return value
    is_int = type(value) is int or type_of(value) in ((INT64, INT32) if takes_int32 else (INT64,))
    return Time(int(value)) if is_int and isinstance(value, int) else _now(run, function)


def _string(nanoseconds: int) -> str:
    return string_method(Number(nanoseconds, DURATION)) or ""


@REGISTRY.add("now", "func() time.Time", run=True)
def now(run: Run) -> Time:
    return _now(run, "now")


@REGISTRY.add("date", "func(string, interface {}) string", run=True)
def date(run: Run, layout: str, value: Value) -> str:
    return _time(run, value, "date").at(LOCAL).format(layout)


@REGISTRY.add("dateInZone date_in_zone", "func(string, interface {}, string) string", run=True)
def date_in_zone(run: Run, layout: str, value: Value, zone: str) -> str:
    return in_zone(_time(run, value, "dateInZone"), zone).format(layout)


@REGISTRY.add("htmlDate", "func(interface {}) string", run=True)
def html_date(run: Run, value: Value) -> str:
    return _time(run, value, "htmlDate").at(LOCAL).format("2006-01-02")


@REGISTRY.add("htmlDateInZone", "func(interface {}, string) string", run=True)
def html_date_in_zone(run: Run, value: Value, zone: str) -> str:
    return in_zone(_time(run, value, "htmlDateInZone"), zone).format("2006-01-02")


@REGISTRY.add("dateModify date_modify", "func(string, time.Time) time.Time")
def date_modify(change: str, time: Time) -> Time:
    try:
        return time.add(parse_duration(change))
    except DurationError:
        return time


@REGISTRY.add("mustDateModify must_date_modify", "func(string, time.Time) (time.Time, error)")
def must_date_modify(change: str, time: Time) -> Time:
    try:
        return time.add(parse_duration(change))
    except DurationError as error:
        reason, detail = error.reason, error.detail
    raise FunctionError(f"the duration cannot be read: {reason}", detail=detail)


@REGISTRY.add("toDate", "func(string, string) time.Time")
def to_date(layout: str, text: str) -> Time:
    try:
        return parse_time(layout, text)
    except TimeError:
        return ZERO


@REGISTRY.add("mustToDate", "func(string, string) (time.Time, error)")
def must_to_date(layout: str, text: str) -> Time:
    try:
        return parse_time(layout, text)
    except TimeError as error:
        reason, detail = error.reason, error.detail
    raise FunctionError(reason, detail=detail)


@REGISTRY.add("unixEpoch", "func(time.Time) string")
def unix_epoch(time: Time) -> str:
    return str(time.unix)


@REGISTRY.add("ago", "func(interface {}) string", run=True)
def ago(run: Run, value: Value) -> str:
    """The duration from a time until now, in whole seconds; ``0s`` for what is no time."""
    time = _time(run, value, "ago", takes_int32=False)
    return _string(rounded(_now(run, "ago").since(time), SECOND))


@REGISTRY.add("duration", "func(interface {}) string")
def duration_of(value: Value) -> str:
    """Seconds, given as a string or an int64, as a duration; an int counts as zero."""
    seconds = 0
    if isinstance(value, str):
        seconds = parse_int(value, 10)[0]
    elif type_of(value) is INT64 and isinstance(value, int):
        seconds = value
    return _string(wrap(seconds * SECOND))


@REGISTRY.add("durationRound", "func(interface {}) string", run=True)
def duration_round(run: Run, value: Value) -> str:
    """The largest unit that a duration, or the time since a time, is longer than: ``3d``."""
    size = 0
    if isinstance(value, str):
        try:
            size = parse_duration(value)
        except DurationError:
            size = 0
    elif isinstance(value, Time):
        size = _now(run, "durationRound").since(value)
    elif type_of(value) is INT64 and isinstance(value, int):
        size = value
    return next((f"{abs(size) // unit}{name}" for unit, name in _UNITS if abs(size) > unit), "0s")
