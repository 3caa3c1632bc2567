"""A rate that is found by asking; figures in virtual seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.kits.pace import Pace

STEP = 0.005
LATENCY = 0.02


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def make(most: float = 0.0) -> tuple[Pace, Clock]:
    clock = Clock()
    return Pace(most=most, clock=clock), clock


def bound(rate: int = 10) -> tuple[Pace, Clock]:
    """A pace after a refusal, before which so many went well in a second."""
    pace, clock = make()
    clock.now = 0.9
    pace.went_well(rate)
    pace.refused(0.9)
    return pace, clock


@dataclass
class Server:
    """Takes so many per second: in each second of the clock, or continuously."""

    limit: float
    fixed: bool
    left: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.left = self.limit

    def takes(self, now: float) -> bool:
        if not self.fixed:
            self.left = min(self.limit, self.left + (now - self.at) * self.limit)
        elif int(now) != int(self.at):
            self.left = self.limit
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


def play(server: Server, *, seconds: float, since: float) -> tuple[int, int]:
    """How many are answered and refused after ``since``, where always more is wanted than the server takes."""
    pace, clock = make()
    flying: list[tuple[float, float, bool]] = []
    good = bad = 0
    while clock.now < seconds:
        while flying and flying[0][0] <= clock.now:
            _, began, taken = flying.pop(0)
            if taken:
                pace.went_well(1)
            else:
                pace.refused(began)
            if clock.now >= since:
                good, bad = good + taken, bad + (not taken)
        while len(flying) < 16 and pace.room() >= 1:
            pace.spend(1)
            flying.append((clock.now + LATENCY, clock.now, server.takes(clock.now)))
        clock.now += STEP
    return good, bad


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("limit", [2, 10, 100])
def test_a_limited_server_is_asked_for_nearly_all_that_it_takes_and_refuses_little(limit: int, fixed: bool) -> None:
    good, bad = play(Server(limit, fixed), seconds=150, since=30)
    assert good >= 0.8 * limit * 120
    assert bad <= 0.05 * good


def test_without_a_refusal_nothing_is_counted_or_bound() -> None:
    pace, clock = make()
    for _ in range(1000):
        pace.spend(100)
        clock.now += 0.001
    assert (pace.room(), pace.wait(10**6), pace.is_bound) == (float("inf"), 0, False)


def test_a_refusal_binds_to_less_than_what_went_well_and_lets_go_after_a_while() -> None:
    pace, clock = bound(10)
    assert pace.rate == pytest.approx(7)
    assert pace.room() == 0
    rates = []
    for moment in (10, 20, 40, 80):
        clock.now = 0.9 + moment
        rates.append(pace.rate)
    assert rates == pytest.approx([10 * (1 - 0.3 / 8), 10, 13, 91])
    clock.now = 0.9 + 200
    assert not pace.is_bound


def test_refusals_of_what_went_before_the_cut_do_not_cut_again() -> None:
    pace, clock = bound(10)
    for _ in range(20):
        clock.now += 0.01
        pace.refused(0.5)
    assert pace.rate == pytest.approx(7, rel=0.05)


def test_a_refusal_while_nothing_goes_well_tells_nothing_of_the_rate() -> None:
    pace, clock = make()
    clock.now = 100
    pace.refused(99.9)
    assert not pace.is_bound


def test_the_rate_never_falls_to_nothing() -> None:
    pace, clock = bound(1)
    for _ in range(50):
        clock.now += 1
        pace.went_well(1)
        pace.refused(clock.now)
    assert pace.rate >= 0.5


def test_a_hold_stops_everything_until_it_is_over() -> None:
    pace, clock = make()
    pace.refused(0, hold=3)
    assert (pace.room(), pace.wait()) == (0, 3)
    clock.now = 3
    assert pace.room() > 1


def test_a_bound_of_the_operator_holds_with_a_second_at_once() -> None:
    pace, clock = make(5)
    assert pace.room() == 5
    pace.spend(5)
    assert pace.room() == 0
    assert pace.wait() == pytest.approx(0.2)
    clock.now = 1000
    assert pace.room() == 5
    pace.spend(15)
    assert pace.wait() == pytest.approx(2.2)


def test_nonsense_is_no_pace() -> None:
    with pytest.raises(ValueError, match="most >= 0"):
        make(-1)


@given(
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 50), st.booleans(), st.floats(0, 10)), max_size=50),
    st.sampled_from([0.0, 0.5, 20.0]),
)
def test_it_never_waits_for_ever_whatever_happens(steps: list[tuple[float, int, bool, float]], most: float) -> None:
    pace, clock = make(most)
    for gone, count, well, hold in steps:
        began = clock.now
        clock.now += gone
        if well:
            pace.went_well(count)
        else:
            pace.refused(began, hold=hold)
        clock.now += pace.wait() + 1e-6
        room = pace.room()
        assert room >= 1
        assert pace.rate > 0
        pace.spend(1)
