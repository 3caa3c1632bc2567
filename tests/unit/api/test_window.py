from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from keyferry.api.externalsecret import SyncWindow, SyncWindows
from keyferry.api.window import is_open, next_change, problems

MOMENT = timedelta.resolution


def windows(text: str) -> SyncWindows:
    return SyncWindows.parse(yaml.safe_load(text))


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


NIGHTS = windows("{kind: allow, windows: [{schedule: 0 22 * * 1-5, duration: 8h}]}")


@pytest.mark.parametrize(
    ("now", "opened"),
    [
        ("2026-03-04 21:59:59.999999", False),
        ("2026-03-04 22:00:00", True),
        ("2026-03-05 03:00:00", True),
        ("2026-03-05 06:00:00", True),
        ("2026-03-05 06:00:00.000001", False),
        ("2026-03-07 05:00:00", True),
        ("2026-03-07 23:00:00", False),
    ],
)
def test_a_window_is_open_from_its_firing_to_its_end_both_included(now: str, opened: bool) -> None:
    assert is_open(NIGHTS, at(now)) is opened
    denied = NIGHTS.model_copy(update={"kind": "deny"})
    assert is_open(denied, at(now)) is not opened


def test_without_windows_a_refresh_may_always_happen() -> None:
    assert is_open(None, at("2026-03-04 12:00:00"))
    assert next_change(None, at("2026-03-04 12:00:00")) is None


def test_one_open_window_of_several_is_enough() -> None:
    both = windows(
        "{kind: allow, windows: [{schedule: 0 1 * * *, duration: 1h}, {schedule: 0 12 * * *, duration: 1h}]}"
    )

    assert is_open(both, at("2026-03-04 12:30:00"))
    assert not is_open(both, at("2026-03-04 03:30:00"))


def test_windows_are_kept_in_utc_whatever_the_clock_says() -> None:
    east = timezone(timedelta(hours=9))

    assert is_open(NIGHTS, datetime(2026, 3, 5, 7, 30, tzinfo=east))
    assert next_change(NIGHTS, datetime(2026, 3, 5, 6, 30, tzinfo=east)) == at("2026-03-04 22:00:00")


def test_a_window_longer_than_its_period_is_always_open() -> None:
    always = windows("{kind: deny, windows: [{schedule: '@hourly', duration: 90m}]}")

    assert not is_open(always, at("2026-03-04 12:59:59"))
    later = next_change(always, at("2026-03-04 12:59:59"))
    assert later is not None
    assert later > at("2026-03-06 00:00:00")


def test_every_opens_at_the_same_times_whenever_it_is_asked() -> None:
    halves = windows("{kind: allow, windows: [{schedule: '@every 6h', duration: 30m}]}")

    assert [is_open(halves, at(f"2026-03-04 {time}")) for time in ("06:00:00", "06:30:00", "06:30:01", "11:59:59")] == [
        True,
        True,
        False,
        False,
    ]
    assert next_change(halves, at("2026-03-04 06:31:00")) == at("2026-03-04 12:00:00")


def test_a_window_of_no_length_is_open_for_its_firing_and_a_negative_one_never() -> None:
    instant = windows("{kind: allow, windows: [{schedule: '@daily', duration: '0'}]}")
    negative = windows("{kind: allow, windows: [{schedule: '@daily', duration: -1h}]}")

    assert is_open(instant, at("2026-03-04 00:00:00"))
    assert not is_open(instant, at("2026-03-04 00:00:01"))
    assert not is_open(negative, at("2026-03-04 00:00:00"))
    assert next_change(negative, at("2026-03-04 00:00:00")) is None


BROKEN = """
kind: {kind}
windows:
  - {{schedule: 0 25 * * *, duration: 1h}}
  - {{schedule: 0 12 * * *, duration: 1h}}
  - {{schedule: 0 13 * * *, duration: 1d}}
"""


@pytest.mark.parametrize(("kind", "inside"), [("allow", True), ("deny", False)])
def test_an_entry_that_cannot_be_read_is_ignored_and_named(kind: str, inside: bool) -> None:
    broken = windows(BROKEN.format(kind=kind))

    assert is_open(broken, at("2026-03-04 12:30:00")) is inside
    assert is_open(broken, at("2026-03-04 13:30:00")) is not inside
    assert list(problems(broken)) == [
        'spec.syncWindows.windows[0].schedule: hour "25" is not within 0 to 23',
        (
            'spec.syncWindows.windows[2].duration: "1d" has the unknown unit "d":'
            ' use a number with a unit (ns, us, ms, s, m, h), such as "1h30m"'
        ),
    ]


def test_good_windows_have_no_problems() -> None:
    assert problems(NIGHTS) == ()
    assert problems(None) == ()


@pytest.mark.parametrize(
    ("now", "change"),
    [
        ("2026-03-04 12:00:00", "2026-03-04 22:00:00"),
        ("2026-03-04 22:00:00", "2026-03-05 06:00:00.000001"),
        ("2026-03-07 06:00:01", "2026-03-09 22:00:00"),
    ],
)
def test_the_next_change_is_an_opening_or_the_moment_after_an_end(now: str, change: str) -> None:
    assert next_change(NIGHTS, at(now)) == at(change)


def test_windows_that_follow_each_other_close_with_the_last() -> None:
    joined = windows(
        "{kind: deny, windows: [{schedule: 0 1 * * *, duration: 1h}, {schedule: 30 1 * * *, duration: 2h}]}"
    )

    assert next_change(joined, at("2026-03-04 01:10:00")) == at("2026-03-04 03:30:00.000001")


ENTRIES = st.builds(
    SyncWindow,
    schedule=st.sampled_from(
        ["0 * * * *", "30 1 * * *", "0 2 1-7 * *", "15 */6 * * 1", "@every 7h", "@weekly", "0 0 30 2 *"]
    ),
    duration=st.sampled_from(["0", "10m", "59m59s", "1h30m", "30h"]),
)


@given(
    st.builds(SyncWindows, kind=st.sampled_from(["allow", "deny"]), windows=st.lists(ENTRIES, min_size=1, max_size=3)),
    st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1)).map(lambda now: now.replace(tzinfo=UTC)),  # noqa: DTZ001 - made aware
)
def test_the_answer_is_another_at_the_next_change_and_not_before(given_windows: SyncWindows, now: datetime) -> None:
    change = next_change(given_windows, now)
    before = is_open(given_windows, now)

    if change is None:
        assert is_open(given_windows, now + timedelta(days=30)) is before
        return
    assert change > now
    assert is_open(given_windows, change - MOMENT) is before
    assert is_open(given_windows, now + (change - now) / 3) is before
    if change - now < timedelta(days=2):  # else it may be where the joining of windows was given up
        assert is_open(given_windows, change) is not before
