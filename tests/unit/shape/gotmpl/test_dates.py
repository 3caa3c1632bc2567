"""Dates beyond the vectors: the clock comes from outside, and the pod's time zone does not matter."""

from __future__ import annotations

import datetime as dt
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.shape.gotmpl import Limits, World
from keyferry.shape.gotmpl.functions.dates import REGISTRY
from keyferry.shape.gotmpl.goduration import DurationError, parse_duration
from keyferry.shape.gotmpl.gotime import UTC, Place, Time, in_zone, unix_of
from keyferry.shape.gotmpl.gotimeparse import TimeError, parse_time
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.types import INT32, INT64
from keyferry.shape.gotmpl.values import Number, Value

CANARY = "canary-" + "0c9d1e"
NOW = dt.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=dt.timezone(dt.timedelta(hours=2)))
FULL = "2006-01-02T15:04:05.999999999Z07:00"
LAYOUTS = (
    FULL,
    "Mon Jan _2 15:04:05.000000000 2006",
    "2006-002 3:04:05.999999999PM",
    "January 2, 2006 15:04:05,000000000",
)

seconds = st.integers(min_value=-62_167_219_200, max_value=253_402_300_799)
nanoseconds = st.integers(min_value=0, max_value=999_999_999)


@pytest.fixture
def run() -> Run:
    return Run(World(now=lambda: NOW, monotonic=lambda: 0.0, entropy=bytes), Limits())


def call(run: Run, name: str, *args: Value) -> object:
    function = REGISTRY.functions[name]
    return function.call(run, *args) if function.wants_run else function.call(*args)


def test_now_is_the_clock_of_the_world_in_utc(run: Run) -> None:
    assert str(call(run, "now").go_string()) == "2024-05-06 05:08:09.123456 +0000 UTC"  # type: ignore[attr-defined] # a Time
    assert run.unrepeatable == {"now"}


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("date", ("2006-01-02 15:04", "no date")),
        ("dateInZone", ("2006-01-02 15:04", None, "UTC")),
        ("date_in_zone", ("2006-01-02 15:04", 1.5, "UTC")),
    ],
)
def test_what_is_no_date_asks_the_clock_and_says_so(run: Run, name: str, args: tuple[Value, ...]) -> None:
    assert call(run, name, *args) == "2024-05-06 05:08"
    assert len(run.unrepeatable) == 1


@pytest.mark.parametrize("value", [5, Number(5, INT64), Number(5, INT32), Time(5)])
def test_a_date_asks_no_clock(run: Run, value: Value) -> None:
    assert call(run, "date", "15:04:05", value) == "00:00:05"
    assert call(run, "htmlDate", value) == "1970-01-01"
    assert not run.unrepeatable


def test_ages_are_measured_by_the_clock_of_the_world(run: Run) -> None:
    then = Time.of(NOW - dt.timedelta(hours=49, seconds=5))
    assert call(run, "ago", then) == "49h0m5s"
    assert call(run, "durationRound", then) == "2d"
    assert call(run, "ago", Number(5, INT32)) == "0s"
    assert run.unrepeatable == {"ago", "durationRound"}


def test_the_time_zone_of_the_process_does_not_matter(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert call(run, "date", "15:04 MST", 0) == "00:00 UTC"
        assert call(run, "dateInZone", "15:04 MST", 0, "Local") == "00:00 UTC"
        assert parse_time("15:04", "12:00").go_string() == "0000-01-01 12:00:00 +0000 UTC"
    finally:
        monkeypatch.undo()
        time.tzset()


@given(seconds, nanoseconds, st.sampled_from(LAYOUTS))
def test_what_is_written_is_read_again(unix: int, nanosecond: int, layout: str) -> None:
    moment = Time(unix, nanosecond)
    assert parse_time(layout, moment.format(layout)).nanoseconds() == moment.nanoseconds()


@given(seconds, nanoseconds, st.integers(min_value=-86_399, max_value=86_399))
def test_an_offset_is_read_again_with_its_seconds(unix: int, nanosecond: int, offset: int) -> None:
    layout = "2006-01-02T15:04:05.999999999-07:00:00"
    moment = Time(unix, nanosecond, Place("", offset))
    year = moment.moment().year
    if 0 <= year <= 9999 and not -60 < offset < 0:
        assert parse_time(layout, moment.format(layout)).nanoseconds() == moment.nanoseconds()


@given(st.datetimes(min_value=dt.datetime(1, 1, 2), max_value=dt.datetime(9999, 12, 30)))  # noqa: DTZ001 -- made aware
def test_the_calendar_is_that_of_the_standard_library(naive: dt.datetime) -> None:
    aware = naive.replace(tzinfo=dt.UTC)
    moment = Time.of(aware).moment()
    assert (moment.year, moment.month, moment.day) == (aware.year, aware.month, aware.day)
    assert (moment.hour, moment.minute, moment.second) == (aware.hour, aware.minute, aware.second)
    assert moment.year_day == aware.timetuple().tm_yday
    assert moment.weekday == aware.isoweekday() % 7
    midnight = unix_of(aware.year, aware.month, aware.day)
    assert midnight == int(aware.replace(hour=0, minute=0, second=0, microsecond=0).timestamp())


@given(st.integers(min_value=-(1 << 63), max_value=(1 << 63) - 1))
def test_the_calendar_repeats_itself_every_400_years(unix: int) -> None:
    shift = 146_097 * 86_400
    here, there = Time(unix // 2).moment(), Time(unix // 2 + shift).moment()
    assert there == here._replace(year=here.year + 400)


@given(st.integers(min_value=-(1 << 62), max_value=1 << 62), st.integers(min_value=1, max_value=1 << 62))
def test_rounding_goes_to_the_nearest_multiple(unix: int, step: int) -> None:
    moment = Time(unix // 1_000_000_000, unix % 1_000_000_000)
    down, near = moment.truncated(step), moment.rounded(step)
    assert 0 <= moment.nanoseconds() - down.nanoseconds() < step
    assert near in (down, down.add(step))
    assert abs(near.nanoseconds() - moment.nanoseconds()) * 2 <= step


@given(st.integers(min_value=0, max_value=(1 << 63) - 1))
def test_whole_nanoseconds_are_read_exactly(size: int) -> None:
    assert parse_duration(f"{size}ns") == size
    assert parse_duration(f"-{size}ns") == -size


@pytest.mark.parametrize("text", [CANARY, f"1{CANARY}", f"1h{CANARY}", "9" * 5000 + "h", f"-{CANARY}"])
def test_an_error_does_not_show_what_is_no_duration(text: str) -> None:
    with pytest.raises(DurationError) as caught:
        parse_duration(text)
    assert text not in str(caught.value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("layout", ["2006", "Jan", "15:04", "MST", "-0700", f"{CANARY} 2006", ".000", "PM", "002", ""])
def test_an_error_does_not_show_what_is_no_time(layout: str) -> None:
    with pytest.raises(TimeError) as caught:
        parse_time(layout, f"{CANARY} {CANARY}")
    assert CANARY not in str(caught.value)
    assert CANARY in caught.value.detail


@pytest.mark.parametrize(
    "name", ["..", "../UTC", "/etc/localtime", "a\0b", "é", "", "Local", "Europe", "x" * 5000, "."]
)
def test_a_place_that_there_is_not_is_utc(name: str) -> None:
    assert in_zone(Time(0), name) == Time(0, place=UTC)


def test_a_long_layout_is_not_kept() -> None:
    layout = "2006 " * 100_000
    assert Time(0).format(layout) == "1970 " * 100_000
