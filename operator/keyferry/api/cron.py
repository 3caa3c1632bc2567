"""Cron schedules as the standard parser of robfig/cron v3 reads them, which is the one that ESO uses.

Accepted are five fields (minute, hour, day of month, month, day of week), the names ``@yearly``, ``@annually``,
``@monthly``, ``@weekly``, ``@daily``, ``@midnight``, ``@hourly``, and ``@every <duration>``; nothing else: no seconds,
no ``L``, ``W`` or ``#``, no Sunday as 7. ``?`` means ``*``. All times are UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple, Protocol

from keyferry.api.duration import parse_duration

_MONTHS = dict(
    zip(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), range(1, 13), strict=True)
)
_WEEKDAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# robfig/cron gives up after five years too: what does not fire in that time never fires.
_HORIZON = 5 * 366


class Schedule(Protocol):
    """When something fires. Times are aware, in UTC."""

    def next(self, after: datetime) -> datetime | None:
        """The first firing after a time; ``None`` where there is none within five years."""
        ...

    def last(self, since: datetime, until: datetime) -> datetime | None:
        """The last firing in a span of time, both ends included; ``None`` where there is none within five years."""
        ...


@dataclass(frozen=True, slots=True)
class Every:
    """``@every``: fires at multiples of the period, counted from the start of 1970."""

    period: timedelta

    def next(self, after: datetime) -> datetime | None:
        return _EPOCH + ((after - _EPOCH) // self.period + 1) * self.period

    def last(self, since: datetime, until: datetime) -> datetime | None:
        firing = _EPOCH + (until - _EPOCH) // self.period * self.period
        return firing if firing >= since else None


@dataclass(frozen=True, slots=True)
class Cron:
    """Five cron fields."""

    times: tuple[time, ...]
    """Times of the day, in order."""
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    either_day: bool
    """A day fits by its number or by its weekday, because neither field is a star; else it has to fit by both."""

    def next(self, after: datetime) -> datetime | None:
        firings = self._firings(after, timedelta(days=1), self.times)
        return next((firing for firing in firings if firing > after), None)

    def last(self, since: datetime, until: datetime) -> datetime | None:
        firings = self._firings(
            until, timedelta(days=-1), self.times[::-1], days=(until.date() - since.date()).days + 1
        )
        firing = next((firing for firing in firings if firing <= until), None)
        return firing if firing is not None and firing >= since else None

    def _firings(
        self, start: datetime, step: timedelta, times: tuple[time, ...], days: int = _HORIZON
    ) -> Iterator[datetime]:
        """Firings from the day of ``start`` on, day by day in the direction of ``step``."""
        for number in range(min(days, _HORIZON)):
            day = (start + number * step).date()
            if self._fits(day):
                yield from (datetime.combine(day, at, tzinfo=UTC) for at in times)

    def _fits(self, day: date) -> bool:
        by_number, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        either = by_number or by_weekday if self.either_day else by_number and by_weekday
        return day.month in self.months and either


def parse_schedule(text: str) -> Schedule:
    """Raises ``ValueError`` whose text names the fault."""
    if text.startswith("@every "):
        seconds = parse_duration(text.removeprefix("@every "))
        # As in robfig/cron: whole seconds, and at least one.
        return Every(timedelta(seconds=max(1, int(seconds))))
    if text.startswith("@") and text not in _NAMED:
        raise ValueError(f'"{text}" is no schedule: use @every or one of {", ".join(sorted(_NAMED))}')
    fields = _NAMED.get(text, text).split()
    if len(fields) != 5:
        raise ValueError(f'"{text}" is no schedule: it has {len(fields)} cron fields in place of 5')
    minutes, hours, days, months, weekdays = (
        _Field(name, low, high, names).parse(value)
        for value, (name, low, high, names) in zip(
            fields,
            (
                ("minute", 0, 59, {}),
                ("hour", 0, 23, {}),
                ("day of month", 1, 31, {}),
                ("month", 1, 12, _MONTHS),
                ("day of week", 0, 6, _WEEKDAYS),
            ),
            strict=True,
        )
    )
    return Cron(
        times=tuple(time(hour, minute) for hour in sorted(hours.values) for minute in sorted(minutes.values)),
        days=days.values,
        months=months.values,
        weekdays=weekdays.values,
        either_day=not (days.star or weekdays.star),
    )


class _Choice(NamedTuple):
    """The values of one field, and whether it is a star."""

    values: frozenset[int]
    star: bool


class _Field(NamedTuple):
    """One field of a cron schedule: its bounds, and names for its values."""

    name: str
    low: int
    high: int
    names: Mapping[str, int]

    def parse(self, text: str) -> _Choice:
        """A list of ranges. Empty entries are skipped, as in robfig/cron."""
        choices = [self._range(entry) for entry in text.split(",") if entry]
        return _Choice(
            frozenset(value for choice in choices for value in choice.values), any(choice.star for choice in choices)
        )

    def _range(self, entry: str) -> _Choice:
        """``*``, ``5``, ``1-5``, each with a step such as ``/2`` behind; ``5/2`` runs to the field's end."""
        span, slash, step_text = entry.partition("/")
        step = self._number(step_text, entry) if slash else 1
        ends = span.split("-")
        if ends[0] in {"*", "?"}:
            low, high = self.low, self.high
        elif len(ends) > 2:
            raise ValueError(f'{self.name} "{entry}" has too many hyphens')
        else:
            low = self._value(ends[0], entry)
            high = self._value(ends[1], entry) if len(ends) == 2 else self.high if slash else low
        if step == 0 or not self.low <= low <= high <= self.high:
            raise ValueError(f'{self.name} "{entry}" is not within {self.low} to {self.high}')
        # A star with a step is no star: it restricts the days.
        return _Choice(frozenset(range(low, high + 1, step)), star=ends[0] in {"*", "?"} and step == 1)

    def _value(self, text: str, entry: str) -> int:
        number = self.names.get(text.lower())
        return self._number(text, entry) if number is None else number

    def _number(self, text: str, entry: str) -> int:
        if not re.fullmatch(r"\+?[0-9]{1,9}", text):
            raise ValueError(f'{self.name} "{entry}" is no number, range or list')
        return int(text)
