from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.kits.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make(threshold: int = 3) -> tuple[Breaker, Clock]:
    clock = Clock()
    return Breaker(threshold=threshold, first=2, longest=30, clock=clock), clock


def ticket(breaker: Breaker) -> int:
    given = breaker.admit()
    assert given is not None
    return given


def test_it_opens_after_so_many_failures_in_a_row_and_no_earlier() -> None:
    breaker, _ = make()
    for verdict in (breaker.failed, breaker.failed, breaker.succeeded, breaker.failed, breaker.failed):
        verdict(ticket(breaker))
        assert breaker.state == "closed"
    breaker.failed(ticket(breaker))
    assert (breaker.state, breaker.is_passable, breaker.admit(), breaker.remaining) == ("open", False, None, 2)


def test_after_its_rest_one_call_goes_and_decides() -> None:
    breaker, clock = make()
    breaker.failed(ticket(breaker), at_once=True)
    clock.now = 2
    assert breaker.is_passable
    probe = ticket(breaker)
    assert (breaker.state, breaker.admit()) == ("half-open", None)
    breaker.failed(probe)
    assert (breaker.state, breaker.remaining) == ("open", 4)
    clock.now = 6
    breaker.succeeded(ticket(breaker))
    assert (breaker.state, breaker.remaining) == ("closed", 0)
    breaker.failed(ticket(breaker), at_once=True)
    assert breaker.remaining == 2


def test_the_other_side_may_ask_for_more_than_the_longest_rest() -> None:
    breaker, _ = make()
    breaker.failed(ticket(breaker), at_once=True, rest=300)
    assert breaker.remaining == 300


def test_verdicts_of_an_older_time_decide_nothing_but_may_ask_for_more_rest() -> None:
    breaker, clock = make()
    old, older = ticket(breaker), ticket(breaker)
    breaker.failed(ticket(breaker), at_once=True)
    breaker.succeeded(old)
    assert not breaker.is_passable
    breaker.failed(older, rest=60)
    assert breaker.remaining == 60
    clock.now = 60
    probe = ticket(breaker)
    breaker.failed(old)
    breaker.undecided(old)
    assert not breaker.is_passable
    breaker.undecided(probe)
    assert (breaker.state, breaker.is_passable) == ("open", True)


@pytest.mark.parametrize(("threshold", "first", "longest"), [(0, 1, 1), (1, 0, 1), (1, 2, 1)])
def test_numbers_that_make_no_sense_are_refused(threshold: int, first: float, longest: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        Breaker(threshold=threshold, first=first, longest=longest, clock=Clock())


@given(st.lists(st.tuples(st.sampled_from(["failed", "succeeded", "undecided"]), st.floats(0, 40)), max_size=60))
def test_whatever_happens_it_never_stays_open_for_ever_nor_lets_two_try(steps: list[tuple[str, float]]) -> None:
    breaker, clock = make(threshold=1)
    for verdict, wait in steps:
        held = breaker.admit()
        if breaker.state == "half-open":
            assert breaker.admit() is None
        if held is not None:
            getattr(breaker, verdict)(held)
        assert breaker.state in {"closed", "open"}
        assert breaker.remaining <= 30 + 1e-9
        clock.now += wait
    clock.now += 30
    assert breaker.is_passable
