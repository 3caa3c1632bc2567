"""Layouts of Go's package ``time``: how times are written and read, by the example of Mon Jan 2 15:04:05 MST 2006."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

__all__ = ["DAYS", "MONTHS", "Chunk", "Moment", "chunks", "formatted"]

MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

# The order of alternatives decides where one is the beginning of another.
_ELEMENT: Final = re.compile(
    r"""
      January | Jan(?![a-z]) | Monday | Mon(?![a-z]) | MST
    | 0[1-6] | 002 | 15 | 1 | 2006 | 2 | _2(?!006) | __2 | 3 | 4 | 5 | PM | pm
    | [-Z]070000 | [-Z]07:00:00 | [-Z]0700 | [-Z]07:00 | [-Z]07
    | [.,](?:0+|9+)(?![0-9])
    """,
    re.VERBOSE,
)
_SHORT: Final = 200


class Chunk(NamedTuple):
    """Text as it stands, and the element behind it: ``2006``, ``.000``; empty at the layout's end."""

    literal: str
    element: str


class Moment(NamedTuple):
    """What a layout may show. ``year_day`` counts from 1, ``weekday`` from Sunday as 0; ``offset`` is in seconds."""

    year: int
    month: int
    day: int
    year_day: int
    weekday: int
    hour: int
    minute: int
    second: int
    nanosecond: int
    zone: str
    offset: int


def chunks(layout: str) -> tuple[Chunk, ...]:
    """The layout taken to pieces. The last piece, and no other, is without an element."""
    # A cache of layouts of any length could take any memory.
    return _short(layout) if len(layout) <= _SHORT else _taken_apart(layout)


@lru_cache(maxsize=256)
def _short(layout: str) -> tuple[Chunk, ...]:
    return _taken_apart(layout)


def _taken_apart(layout: str) -> tuple[Chunk, ...]:
    found: list[Chunk] = []
    at = 0
    for match in _ELEMENT.finditer(layout):
        found.append(Chunk(layout[at : match.start()], match[0]))
        at = match.end()
    return *found, Chunk(layout[at:], "")


def formatted(moment: Moment, layout: str) -> str:
    """The moment as the layout has it."""
    return "".join(literal + (_written(moment, element) if element else "") for literal, element in chunks(layout))


def _written(moment: Moment, element: str) -> str:  # noqa: C901, PLR0912 - one line for each element of a layout
    match element:
        case "2006":
            return _padded(moment.year, 4)
        case "06":
            return f"{abs(moment.year) % 100:02}"
        case "January":
            return MONTHS[moment.month - 1]
        case "Jan":
            return MONTHS[moment.month - 1][:3]
        case "1":
            return str(moment.month)
        case "01":
            return f"{moment.month:02}"
        case "Monday":
            return DAYS[moment.weekday]
        case "Mon":
            return DAYS[moment.weekday][:3]
        case "2":
            return str(moment.day)
        case "_2":
            return f"{moment.day:2}"
        case "02":
            return f"{moment.day:02}"
        case "__2":
            return f"{moment.year_day:3}"
        case "002":
            return f"{moment.year_day:03}"
        case "15":
            return f"{moment.hour:02}"
        case "3":
            return str(moment.hour % 12 or 12)
        case "03":
            return f"{moment.hour % 12 or 12:02}"
        case "4":
            return str(moment.minute)
        case "04":
            return f"{moment.minute:02}"
        case "5":
            return str(moment.second)
        case "05":
            return f"{moment.second:02}"
        case "PM":
            return "PM" if moment.hour >= 12 else "AM"
        case "pm":
            return "pm" if moment.hour >= 12 else "am"
        case "MST":
            return moment.zone or _offset(moment.offset, "-0700")
        case _ if element[0] in ".,":
            return _fraction(moment.nanosecond, element)
        case _:
            return "Z" if element[0] == "Z" and not moment.offset else _offset(moment.offset, element)


def _padded(number: int, width: int) -> str:
    return f"-{-number:0{width}}" if number < 0 else f"{number:0{width}}"


def _offset(offset: int, element: str) -> str:
    # The sign is that of the minutes: an offset of less than a minute is positive.
    minutes = abs(offset) // 60
    negative = offset < 0 < minutes
    seconds = abs(offset) % 60
    parts = [
        f"{minutes // 60:02}",
        f"{minutes % 60:02}",
        _padded(-seconds if offset < 0 and not negative else seconds, 2),
    ]
    count = sum(map(str.isdigit, element)) // 2
    return ("-" if negative else "+") + (":" if ":" in element else "").join(parts[:count])


def _fraction(nanosecond: int, element: str) -> str:
    digits = f"{nanosecond:09}"[: len(element) - 1]
    if element[1] == "9":
        digits = digits.rstrip("0")
        if not digits:
            return ""
    return element[0] + digits
