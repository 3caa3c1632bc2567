"""Go's ``time.Time`` in templates.

"Local" shows what UTC shows: a template's result must not depend on the time zone of the pod. A time knows its offset
from UTC and the zone's abbreviation; places of the tz database ("Europe/Berlin") are known to ``in_zone`` only, since a
template cannot give one to a time. Readings of a monotonic clock, which Go prints behind the result of ``now``
(``m=+0.01``), do not exist here.
"""

from __future__ import annotations

import datetime as dt
import posixpath
import re
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Final

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.goduration import SECOND, duration
from keyferry.shape.gotmpl.golayout import Moment, formatted
from keyferry.shape.gotmpl.gostrconv import wrap
from keyferry.shape.gotmpl.registry import Function, declare
from keyferry.shape.gotmpl.types import INT64, MONTH, TIME, WEEKDAY, GoType
from keyferry.shape.gotmpl.values import Number, Struct, Value

__all__ = ["LOCAL", "UTC", "ZERO", "Place", "Time", "fixed", "in_zone", "unix_of"]

_DAY: Final = 86_400
_CYCLE_YEARS: Final = 400
_CYCLE: Final = 146_097 * _DAY
"""Seconds of 400 years, after which the calendar, weekdays included, repeats itself."""
_YEAR_ONE: Final = -62_135_596_800
# Go computes dates from unsigned seconds since this many before 1970.
_BEFORE_1970: Final = (292_277_022_400 * 146_097 // 400 + 306) * _DAY - _YEAR_ONE
_UNSIGNED: Final = 1 << 64
_WEST_MOST: Final = -12
_EAST_MOST: Final = 14
"""Hours of the zones without a name of which Go keeps one each."""
_STRING: Final = "2006-01-02 15:04:05.999999999 -0700 MST"
_TEXT: Final = "2006-01-02T15:04:05.999999999Z07:00"
_ZONE: Final = re.compile(r"(?!/)(?!.*(?:\.\.|/$))[A-Za-z0-9_.+/-]{1,64}")
# zoneinfo answers for the years that datetime has, save the edges.
_FIRST_ASKED: Final = _YEAR_ONE + 2 * _DAY
_LAST_ASKED: Final = 253_402_300_800 - 2 * _DAY


@dataclass(frozen=True, slots=True)
class Place:
    """Go's ``time.Location``: an abbreviation, and the seconds that clocks are ahead of UTC."""

    zone: str
    offset: int = 0
    is_local: bool = False


UTC: Final = Place("UTC")
LOCAL: Final = Place("UTC", is_local=True)


def fixed(zone: str, offset: int) -> Place:
    """``time.FixedZone``: another one each time, except for whole hours without a name."""
    hours, rest = divmod(offset, 3600)
    whole = not zone and not rest and _WEST_MOST <= hours <= _EAST_MOST
    return _whole_hours(hours) if whole else Place(zone, offset)


@cache
def _whole_hours(hours: int) -> Place:
    return Place("", hours * 3600)


class Time(Struct):
    """An instant: ``unix`` seconds since 1970 as an int64, nanoseconds beyond, and the place whose clocks show it.

    ``==`` is that of Go, which holds at the same place only; ``eq`` finds no two places the same that were made by
    themselves.
    """

    go_type: ClassVar[GoType] = TIME

    def __init__(self, unix: int, nanosecond: int = 0, place: Place = LOCAL) -> None:
        self.unix = wrap(unix + nanosecond // SECOND)
        self.nanosecond = nanosecond % SECOND
        self.place = place

    @classmethod
    def of(cls, moment: dt.datetime) -> Time:
        """A time zone aware datetime, shown in UTC."""
        since = moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        return cls(since.days * _DAY + since.seconds, since.microseconds * 1000)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Time)
            and (self.unix, self.nanosecond) == (other.unix, other.nanosecond)
            and self.place is other.place
        )

    def __hash__(self) -> int:
        return hash((self.unix, self.nanosecond))

    def fields(self) -> Mapping[str, Value]:
        return {}

    def deep_equals(self, other: Struct) -> bool:
        return vars(self) == vars(other)

    def go_string(self) -> str:
        return self.format(_STRING)

    def moment(self) -> Moment:
        """Date and clock, in the time's zone."""
        seconds = (self.unix + self.place.offset + _BEFORE_1970) % _UNSIGNED - _BEFORE_1970 - _YEAR_ONE
        cycles, seconds = divmod(seconds, _CYCLE)
        days, seconds = divmod(seconds, _DAY)
        date = dt.date.fromordinal(days + 1)
        return Moment(
            year=date.year + cycles * _CYCLE_YEARS,
            month=date.month,
            day=date.day,
            year_day=days + 2 - dt.date(date.year, 1, 1).toordinal(),
            weekday=date.isoweekday() % 7,
            hour=seconds // 3600,
            minute=seconds // 60 % 60,
            second=seconds % 60,
            nanosecond=self.nanosecond,
            zone=self.place.zone,
            offset=self.place.offset,
        )

    def format(self, layout: str) -> str:
        return formatted(self.moment(), layout)

    def text(self) -> bytes:
        """RFC 3339, as the time is told in JSON. Raises ``FunctionError`` where that has no room for it."""
        if not 0 <= self.moment().year <= 9999:
            raise FunctionError("the year is not within 0 and 9999", detail="year outside of range [0,9999]")
        if abs(self.place.offset) >= _DAY:
            raise FunctionError("the zone is a day or more off", detail="timezone hour outside of range [0,23]")
        return self.format(_TEXT).encode()

    def json_text(self) -> str | None:
        """What the time is in JSON; None where Go refuses it."""
        try:
            return f'"{self.text().decode()}"'
        except FunctionError:
            return None

    def nanoseconds(self) -> int:
        """Nanoseconds since 1970, as large as they are."""
        return self.unix * SECOND + self.nanosecond

    def add(self, nanoseconds: int) -> Time:
        seconds, nanosecond = divmod(self.nanosecond + nanoseconds, SECOND)
        return Time(wrap(self.unix + seconds), nanosecond, self.place)

    def add_date(self, years: int, months: int, days: int) -> Time:
        """The date moved, then brought into the calendar: a month after January 31 is in March."""
        now = self.moment()
        unix = unix_of(now.year + years, now.month + months, now.day + days)
        clock = now.hour * 3600 + now.minute * 60 + now.second
        return Time(unix + clock - self.place.offset, self.nanosecond, self.place)

    def since(self, other: Time) -> Number:
        """The duration from ``other`` until this time."""
        return duration(self.nanoseconds() - other.nanoseconds())

    def at(self, place: Place) -> Time:
        """The same instant, shown elsewhere."""
        return Time(self.unix, self.nanosecond, place)

    def truncated(self, step: int) -> Time:
        """Rounded down to a multiple of ``step`` nanoseconds since the year 1."""
        return self.add(-self._beyond(step)) if step > 0 else self

    def rounded(self, step: int) -> Time:
        """Rounded to the nearest multiple of ``step`` nanoseconds since the year 1, halves up."""
        if step <= 0:
            return self
        beyond = self._beyond(step)
        return self.add(-beyond if 2 * beyond < step else step - beyond)

    def _beyond(self, step: int) -> int:
        return (self.nanoseconds() - _YEAR_ONE * SECOND) % step


ZERO: Final = Time(_YEAR_ONE, place=UTC)
"""Go's zero time, which begins the year 1."""


def _compared(one: Time, other: Time) -> int:
    left, right = one.nanoseconds(), other.nanoseconds()
    return (left > right) - (left < right)


def _methods() -> dict[str, Function]:
    table: dict[str, Callable[..., Any]] = {
        "Add func(time.Duration) time.Time": Time.add,
        "AddDate func(int, int, int) time.Time": Time.add_date,
        "After func(time.Time) bool": lambda one, other: _compared(one, other) > 0,
        "Before func(time.Time) bool": lambda one, other: _compared(one, other) < 0,
        "Compare func(time.Time) int": _compared,
        "Day func() int": lambda time: time.moment().day,
        "Equal func(time.Time) bool": lambda one, other: _compared(one, other) == 0,
        "Format func(string) string": Time.format,
        "Hour func() int": lambda time: time.moment().hour,
        "IsDST func() bool": lambda _: False,
        "IsZero func() bool": lambda time: _compared(time, ZERO) == 0,
        "Local func() time.Time": lambda time: time.at(LOCAL),
        "MarshalJSON func() ([]uint8, error)": lambda time: b'"%s"' % time.text(),
        "MarshalText func() ([]uint8, error)": Time.text,
        "Minute func() int": lambda time: time.moment().minute,
        "Month func() time.Month": lambda time: Number(time.moment().month, MONTH),
        "Nanosecond func() int": lambda time: time.nanosecond,
        "Round func(time.Duration) time.Time": Time.rounded,
        "Second func() int": lambda time: time.moment().second,
        "String func() string": Time.go_string,
        "Sub func(time.Time) time.Duration": Time.since,
        "Truncate func(time.Duration) time.Time": Time.truncated,
        "UTC func() time.Time": lambda time: time.at(UTC),
        "Unix func() int64": lambda time: Number(time.unix, INT64),
        "UnixMicro func() int64": lambda time: Number(wrap(time.nanoseconds() // 1_000), INT64),
        "UnixMilli func() int64": lambda time: Number(wrap(time.nanoseconds() // 1_000_000), INT64),
        "UnixNano func() int64": lambda time: Number(wrap(time.nanoseconds()), INT64),
        "Weekday func() time.Weekday": lambda time: Number(time.moment().weekday, WEEKDAY),
        "Year func() int": lambda time: time.moment().year,
        "YearDay func() int": lambda time: time.moment().year_day,
    }
    methods: dict[str, Function] = {}
    for key, call in table.items():
        name, signature = key.split(" ", 1)
        methods[name] = declare(name, signature, call)
    return methods


Time.methods = _methods()


def unix_of(year: int, month: int, day: int) -> int:
    """Midnight in UTC. Months and days beyond the year's or the month's count on."""
    years, month = divmod(month - 1, 12)
    cycles, year = divmod(year + years - 1, _CYCLE_YEARS)
    first = dt.date(year + 1, month + 1, 1).toordinal()
    return _YEAR_ONE + cycles * _CYCLE + (first + day - 2) * _DAY


def in_zone(time: Time, name: str) -> Time:
    """The time as clocks at a place of the tz database show it; in UTC where there is no such place."""
    database = _place(name)
    if database is None:
        return time.at(UTC)
    # datetime ends with the year 9999; the rules for the future repeat themselves with the calendar.
    cycles = max(0, -((_LAST_ASKED - time.unix) // _CYCLE))
    asked = max(time.unix - cycles * _CYCLE, _FIRST_ASKED)
    there = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=asked)
    there = there.astimezone(database)
    offset = there.utcoffset() or dt.timedelta()
    return time.at(Place(there.tzname() or "", offset.days * _DAY + offset.seconds))


def _place(name: str) -> zoneinfo.ZoneInfo | None:
    # Names that are no plain path below the database never reach the file system.
    if name == "Local" or not _ZONE.fullmatch(name):
        return None
    try:
        return zoneinfo.ZoneInfo(posixpath.normpath(name))
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        return None
