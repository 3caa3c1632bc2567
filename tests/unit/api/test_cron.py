from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from croniter import croniter
from hypothesis import given
from hypothesis import strategies as st

from keyferry.api.cron import parse_schedule

NOW = datetime(2026, 3, 4, 10, 30, 15, tzinfo=UTC)  # a Wednesday
LONG_AGO = datetime(2015, 1, 1, tzinfo=UTC)


def firings(text: str, count: int, start: datetime = NOW) -> list[str]:
    schedule, found = parse_schedule(text), []
    at: datetime | None = start
    for _ in range(count):
        assert at is not None
        at = schedule.next(at)
        found.append(at.strftime("%a %Y-%m-%d %H:%M:%S") if at else "never")
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 10 * * *", ["Thu 2026-03-05 10:30:00", "Fri 2026-03-06 10:30:00"]),
        ("31 10 * * *", ["Wed 2026-03-04 10:31:00", "Thu 2026-03-05 10:31:00"]),
        ("0 22 * * 1-5", ["Wed 2026-03-04 22:00:00", "Thu 2026-03-05 22:00:00", "Fri 2026-03-06 22:00:00"]),
        ("*/20 * * * *", ["Wed 2026-03-04 10:40:00", "Wed 2026-03-04 11:00:00"]),
        ("5/20 * * * *", ["Wed 2026-03-04 10:45:00", "Wed 2026-03-04 11:05:00"]),
        ("10-30/10 11 * * *", ["Wed 2026-03-04 11:10:00", "Wed 2026-03-04 11:20:00", "Wed 2026-03-04 11:30:00"]),
        ("0 0 ? JAN,mar Sun", ["Sun 2026-03-08 00:00:00", "Sun 2026-03-15 00:00:00"]),
        ("0 0 29 2 *", ["Tue 2028-02-29 00:00:00"]),
        ("0 0 1,,2 * *", ["Wed 2026-04-01 00:00:00", "Thu 2026-04-02 00:00:00"]),
        ("0 0 *-5 * *", ["Thu 2026-03-05 00:00:00"]),
        ("+5 0 * * *", ["Thu 2026-03-05 00:05:00"]),
        ("@hourly", ["Wed 2026-03-04 11:00:00"]),
        ("@daily", ["Thu 2026-03-05 00:00:00"]),
        ("@midnight", ["Thu 2026-03-05 00:00:00"]),
        ("@weekly", ["Sun 2026-03-08 00:00:00"]),
        ("@monthly", ["Wed 2026-04-01 00:00:00"]),
        ("@yearly", ["Fri 2027-01-01 00:00:00"]),
        ("@annually", ["Fri 2027-01-01 00:00:00"]),
    ],
)
def test_schedules_fire_when_they_say(text: str, expected: list[str]) -> None:
    assert firings(text, len(expected)) == expected


def test_a_day_fits_by_number_or_weekday_where_both_are_given() -> None:
    assert firings("0 0 6 * sat", 3) == [
        "Fri 2026-03-06 00:00:00",
        "Sat 2026-03-07 00:00:00",
        "Sat 2026-03-14 00:00:00",
    ]


def test_a_star_with_a_step_is_no_star() -> None:
    """The second day of month or a Saturday, as in robfig/cron; not a Saturday with an odd number."""
    assert firings("0 0 */30 * sat", 2) == ["Sat 2026-03-07 00:00:00", "Sat 2026-03-14 00:00:00"]
    assert firings("0 0 */30 * sat", 1, datetime(2026, 3, 30, tzinfo=UTC)) == ["Tue 2026-03-31 00:00:00"]


@pytest.mark.parametrize("text", ["0 0 30 2 *", ", * * * *"])
def test_what_never_fires_has_no_next_and_no_last(text: str) -> None:
    assert parse_schedule(text).next(NOW) is None
    assert parse_schedule(text).last(LONG_AGO, NOW) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 7",
        "* * L * *",
        "* * 15W * *",
        "* * * * 5#2",
        "5-1 * * * *",
        "1-2-3 * * * *",
        "*/0 * * * *",
        "*/2/2 * * * *",
        "*/-2 * * * *",
        "1.5 * * * *",
        "jan * * * *",
        "* * * * monday",
        "@Daily",
        "@reboot",
        "@every",
        "@every 1d",
        "@every  1h",
        "TZ=UTC 0 0 * * *",
        "H * * * *",
    ],
)
def test_what_robfig_cron_refuses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_schedule(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("* * * *", '"* * * *" is no schedule: it has 4 cron fields in place of 5'),
        ("* * * * 7", 'day of week "7" is not within 0 to 6'),
        ("* x * * *", 'hour "x" is no number, range or list'),
        ("@every 1d", '"1d" has the unknown unit "d"'),
        ("@noon", '"@noon" is no schedule: use @every or one of @annually, @daily'),
    ],
)
def test_the_error_names_the_field(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        parse_schedule(text)
    assert str(caught.value).startswith(fault)


def test_every_counts_from_the_start_of_1970_whoever_asks_and_when() -> None:
    assert firings("@every 6h", 2) == ["Wed 2026-03-04 12:00:00", "Wed 2026-03-04 18:00:00"]
    assert firings("@every 6h", 1, NOW + timedelta(minutes=7)) == ["Wed 2026-03-04 12:00:00"]
    assert parse_schedule("@every 6h").last(LONG_AGO, NOW) == datetime(2026, 3, 4, 6, tzinfo=UTC)


def test_every_takes_whole_seconds_and_at_least_one() -> None:
    assert firings("@every 1.9s", 1) == ["Wed 2026-03-04 10:30:16"]
    assert firings("@every 0s", 1) == ["Wed 2026-03-04 10:30:16"]


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    # croniter takes a range of one number, such as 3-3, for all numbers; robfig/cron takes it for that number.
    ends = st.lists(number, min_size=2, max_size=2, unique=True).map(sorted)
    entry = st.one_of(
        number.map(str),
        ends.map(lambda pair: f"{pair[0]}-{pair[1]}"),
        st.tuples(ends, st.integers(1, 9)).map(lambda given: f"{given[0][0]}-{given[0][1]}/{given[1]}"),
    )
    return st.one_of(st.just("*"), st.lists(entry, min_size=1, max_size=3).map(",".join))


SCHEDULES = st.tuples(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)).map(" ".join)
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001 - made aware


@given(SCHEDULES, TIMES)
def test_plain_schedules_fire_as_croniter_has_them(text: str, now: datetime) -> None:
    assert parse_schedule(text).next(now) == croniter(text, now).get_next(datetime)


@given(SCHEDULES, TIMES)
def test_last_and_next_enclose_a_time_and_nothing_fires_between_them(text: str, now: datetime) -> None:
    schedule = parse_schedule(text)
    last, after = schedule.last(LONG_AGO, now), schedule.next(now)

    assert last is not None
    assert after is not None
    assert last <= now < after
    assert schedule.next(last) == after
    assert schedule.last(LONG_AGO, after) == after
    assert schedule.last(last, after - timedelta.resolution) == last
    assert schedule.last(last + timedelta.resolution, after - timedelta.resolution) is None
