"""Times read by a layout: ``time.ParseInLocation`` with UTC as the local zone."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import takewhile
from typing import Final

from keyferry.shape.gotmpl.goduration import quoted
from keyferry.shape.gotmpl.golayout import DAYS, MONTHS, chunks
from keyferry.shape.gotmpl.gotime import LOCAL, UTC, Time, fixed, unix_of

__all__ = ["TimeError", "parse_time"]

_MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_LEAP_DAY: Final = 31 + 29
_NO_OFFSET: Final = -1
"""Go takes an offset of a second west for none."""
_NUMBER: Final = re.compile("[0-9]{1,2}")
_TWO_DIGITS: Final = re.compile("[0-9]{2}")
_YEAR_DAY: Final = re.compile("[0-9]{1,3}")
_FULL_YEAR_DAY: Final = re.compile("[0-9]{3}")
_LONG_YEAR: Final = re.compile("[0-9]{4}")
_SHORT_YEAR: Final = re.compile("[-+0-9][0-9]")
_FRACTION: Final = re.compile("[.,][0-9]+")
# "GMT" may have an offset in hours; names have three letters, or four or five with a T at the end.
_ZONE: Final = re.compile("(?P<gmt>GMT)(?P<hours>[-+][0-9]+)?|ChST|MeST|(?P<offset>[-+][0-9]+)|(?P<name>[A-Z]{3,6})")
_PIVOT: Final = 69
"""Two-digit years from here on are in the 20th century."""


class TimeError(Exception):
    """Text that does not fit its layout. The message holds nothing of it; ``detail`` is what Go says."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def parse_time(layout: str, text: str) -> Time:
    """The time that the text tells. Raises ``TimeError``."""
    return _Reader(layout, text).read()


class _Mismatch(Exception):
    """The text is not what the element asks for."""


class _OutOfRange(Exception):
    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class _Reader:
    def __init__(self, layout: str, text: str) -> None:
        self._layout = layout
        self._text = text
        self._rest = text
        self._next_element = ""
        self._year = 0
        self._month: int | None = None
        self._day: int | None = None
        self._year_day: int | None = None
        self._hour = self._minute = self._second = self._nanosecond = 0
        self._half = ""
        self._is_utc = False
        self._offset = _NO_OFFSET
        self._zone = ""

    def read(self) -> Time:
        pieces = chunks(self._layout)
        for at, (literal, element) in enumerate(pieces):
            self._skip(literal)
            if not element:
                if self._rest:
                    raise self._wrong("there is more text than the layout has", f": extra text: {quoted(self._rest)}")
                break
            self._next_element = pieces[at + 1].element
            held = self._rest
            try:
                _READERS.get(element, _read_other)(self, element)
            except _OutOfRange as error:
                raise self._wrong(f"{error.what} is out of range", f": {error.what} out of range") from None
            except _Mismatch:
                raise self._unlike(held, element, f'the text has nothing for "{element}"') from None
        self._settle_hour()
        self._settle_date()
        return self._time()

    def _wrong(self, reason: str, message: str) -> TimeError:
        return TimeError(f"the text is no time of this layout: {reason}", f"parsing time {quoted(self._text)}{message}")

    def _unlike(self, held: str, element: str, reason: str) -> TimeError:
        return self._wrong(reason, f" as {quoted(self._layout)}: cannot parse {quoted(held)} as {quoted(element)}")

    def _skip(self, literal: str) -> None:
        """Pass over text that the layout has too. Runs of blanks are as good as one, and as none at the text's end."""
        left = literal
        while left:
            if left[0] == " ":
                if self._rest and self._rest[0] != " ":
                    break
                left, self._rest = left.lstrip(" "), self._rest.lstrip(" ")
            elif self._rest[:1] == left[0]:
                left, self._rest = left[1:], self._rest[1:]
            else:
                break
        if left:
            raise self._unlike(self._rest, literal, "the text between the elements differs")

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._rest)
        if match is None:
            raise _Mismatch
        self._rest = self._rest[match.end() :]
        return match[0]

    def _number(self, element: str) -> int:
        return int(self._take(_TWO_DIGITS if element[0] == "0" else _NUMBER))

    def long_year(self, _element: str) -> None:
        self._year = int(self._take(_LONG_YEAR))

    def short_year(self, _element: str) -> None:
        year = int(self._take(_SHORT_YEAR))
        self._year = year + (1900 if year >= _PIVOT else 2000)

    def month_name(self, element: str) -> None:
        self._month = self._name(MONTHS, element) + 1

    def day_name(self, element: str) -> None:
        self._name(DAYS, element)

    def _name(self, names: tuple[str, ...], element: str) -> int:
        short = len(element) == 3
        for index, name in enumerate(names):
            wanted = name[:3] if short else name
            found = self._rest[: len(wanted)]
            if found.isascii() and found.lower() == wanted.lower():
                self._rest = self._rest[len(wanted) :]
                return index
        raise _Mismatch

    def month(self, element: str) -> None:
        self._month = self._number(element)
        if not 1 <= self._month <= 12:
            raise _OutOfRange("month")

    def day(self, element: str) -> None:
        if element == "_2":
            self._rest = self._rest.removeprefix(" ")
        self._day = self._number(element)

    def year_day(self, element: str) -> None:
        if element == "__2":
            self._rest = self._rest.removeprefix(" ").removeprefix(" ")
        self._year_day = int(self._take(_FULL_YEAR_DAY if element == "002" else _YEAR_DAY))

    def hour(self, element: str) -> None:
        self._hour = int(self._take(_NUMBER)) if element == "15" else self._number(element)
        if self._hour > (23 if element == "15" else 12):
            raise _OutOfRange("hour")

    def minute(self, element: str) -> None:
        self._minute = self._number(element)
        if self._minute >= 60:
            raise _OutOfRange("minute")

    def second(self, element: str) -> None:
        self._second = self._number(element)
        if self._second >= 60:
            raise _OutOfRange("second")
        if self._next_element[:1] not in (".", ",") and (match := _FRACTION.match(self._rest)):
            # A fraction is read behind seconds though the layout has none.
            self._rest = self._rest[match.end() :]
            self._nanosecond = _nanoseconds(match[0])

    def half(self, element: str) -> None:
        found = self._rest[:2]
        if found not in (("AM", "PM") if element == "PM" else ("am", "pm")):
            raise _Mismatch
        self._rest = self._rest[2:]
        self._half = found.upper()

    def fraction(self, element: str) -> None:
        if element[1] == "9":
            match = _FRACTION.match(self._rest)
            if match is None:
                return
            found = match[0]
        else:
            found = self._rest[: len(element)]
            if len(found) < len(element) or found[0] not in ".,":
                raise _Mismatch
        self._rest = self._rest[len(found) :]
        self._nanosecond = _nanoseconds(found)

    def numeric_zone(self, element: str) -> None:
        if element[0] == "Z" and self._rest[:1] == "Z":
            self._rest = self._rest[1:]
            self._is_utc = True
            return
        found = self._rest[: len(element)]
        if len(found) < len(element):
            raise _Mismatch
        self._rest = self._rest[len(found) :]
        parts = [found[1:3], found[3:5], found[5:7]]
        if ":" in element:
            parts = found[1:].split(":") if all(found[at] == ":" for at in range(3, len(element), 3)) else [""]
        count = sum(map(str.isdigit, element)) // 2
        digits = list(takewhile(_TWO_DIGITS.fullmatch, parts[:count]))
        hours, minutes, seconds = (*map(int, digits), 0, 0, 0)[:3]
        # Go looks at the ranges first, and takes 24:60:60 for an offset.
        for number, most, what in ((hours, 24, "hour"), (minutes, 60, "minute"), (seconds, 60, "second")):
            if number > most:
                raise _OutOfRange(f"time zone offset {what}")
        if len(digits) < count or found[0] not in "+-":
            raise _Mismatch
        offset = (hours * 60 + minutes) * 60 + seconds
        self._offset = -offset if found[0] == "-" else offset

    def named_zone(self, _element: str) -> None:
        if self._rest.startswith("UTC"):
            self._rest = self._rest[3:]
            self._is_utc = True
            return
        length = _zone_length(self._rest)
        if not length:
            raise _Mismatch
        self._zone, self._rest = self._rest[:length], self._rest[length:]

    def _settle_hour(self) -> None:
        if self._half == "PM" and self._hour < 12:
            self._hour += 12
        elif self._half == "AM" and self._hour == 12:
            self._hour = 0

    def _settle_date(self) -> None:
        if self._year_day is not None:
            month, day = self._of_year_day(self._year_day)
            if self._month not in (None, month):
                raise self._wrong("the day of the year is not in the month", ": day-of-year does not match month")
            if self._day not in (None, day):
                raise self._wrong("the day of the year is another day", ": day-of-year does not match day")
            self._month, self._day = month, day
        self._month = self._month or 1
        self._day = 1 if self._day is None else self._day
        days = _MONTH_DAYS[self._month - 1] + (self._month == 2 and _is_leap(self._year))
        if not 1 <= self._day <= days:
            raise self._wrong("the day is out of range", ": day out of range")

    def _of_year_day(self, year_day: int) -> tuple[int, int]:
        if _is_leap(self._year) and year_day >= _LEAP_DAY:
            if year_day == _LEAP_DAY:
                return 2, 29
            year_day -= 1
        if not 1 <= year_day <= 365:
            raise self._wrong("the day of the year is out of range", ": day-of-year out of range")
        month = 0
        while year_day > _MONTH_DAYS[month]:
            year_day -= _MONTH_DAYS[month]
            month += 1
        return month + 1, year_day

    def _time(self) -> Time:
        unix = unix_of(self._year, self._month or 1, self._day or 1)
        unix += self._hour * 3600 + self._minute * 60 + self._second
        if self._is_utc:
            return Time(unix, self._nanosecond, UTC)
        if self._offset != _NO_OFFSET:
            # An offset of zero without another name is the local zone.
            place = fixed(self._zone, self._offset) if self._offset or self._zone else LOCAL
            return Time(unix - self._offset, self._nanosecond, place)
        if self._zone:
            hours = int(self._zone[3:] or "0") if self._zone.startswith("GMT") else 0
            return Time(unix, self._nanosecond, fixed(self._zone, hours * 3600))
        return Time(unix, self._nanosecond, LOCAL)


def _read_other(reader: _Reader, element: str) -> None:
    """Elements of more forms than a table lists."""
    if element[0] in ".,":
        reader.fraction(element)
    else:
        reader.numeric_zone(element)


_READERS: Final[dict[str, Callable[[_Reader, str], None]]] = {
    "2006": _Reader.long_year,
    "06": _Reader.short_year,
    "January": _Reader.month_name,
    "Jan": _Reader.month_name,
    "1": _Reader.month,
    "01": _Reader.month,
    "Monday": _Reader.day_name,
    "Mon": _Reader.day_name,
    "2": _Reader.day,
    "_2": _Reader.day,
    "02": _Reader.day,
    "__2": _Reader.year_day,
    "002": _Reader.year_day,
    "15": _Reader.hour,
    "3": _Reader.hour,
    "03": _Reader.hour,
    "4": _Reader.minute,
    "04": _Reader.minute,
    "5": _Reader.second,
    "05": _Reader.second,
    "PM": _Reader.half,
    "pm": _Reader.half,
    "MST": _Reader.named_zone,
}


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _nanoseconds(fraction: str) -> int:
    """``.25`` in nanoseconds; digits beyond them are cut off. Go lets a sign stand behind the point."""
    text = fraction[1:10]
    digits = text[1:] if text[:1] in ("+", "-") else text
    if digits and not (digits.isascii() and digits.isdigit()):
        raise _Mismatch
    number = int(digits.ljust(9 - len(text) + len(digits), "0") or "0")
    if number and text[0] == "-":
        raise _OutOfRange("fractional second")
    return number


def _zone_length(text: str) -> int:
    """How much of the text is an abbreviation of a zone; 0 where there is none."""
    match = _ZONE.match(text)
    if match is None:
        return 0
    hours = (match["hours"] or match["offset"] or "")[1:].lstrip("0")
    valid = len(hours) <= 2 and int(hours or "0") <= 23
    if match["gmt"]:
        return match.end() if valid else len("GMT")
    if match["offset"]:
        return match.end() if valid else 0
    name = match["name"]
    if name is None or len(name) == 3 or (len(name) < 6 and name.endswith("T")) or name == "WITA":
        return match.end()
    return 0
