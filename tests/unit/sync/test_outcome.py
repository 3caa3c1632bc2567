from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.errors import BadSpec, Broken, Busy, ClusterUnavailable, Conflict, KeyferryError, NotReady, Unreachable
from keyferry.sync.outcome import Outcome, retry_delay, shortened, stamp, status_patch

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
READY = Outcome("success", ready="True", reason="SecretSynced", message="secret synced")
FAILED = Outcome.failed(BadSpec("no"), reason="SecretSyncedError", event="UpdateFailed", delay=5)


def after(outcome: Outcome, status: dict[str, Any], **given_: Any) -> dict[str, Any]:
    """The status once the patch is written."""
    options = {"generation": 1, "now": NOW, **given_}
    return {**status, **(status_patch(outcome, status, **options) or {})}


@given(
    st.sampled_from([READY, FAILED, READY.with_status({"binding": {"name": "app"}})]),
    st.integers(1, 3),
    st.sampled_from([None, NOW, NOW - dt.timedelta(days=1)]),
    st.booleans(),
)
def test_what_was_written_is_not_written_again(
    outcome: Outcome, generation: int, refreshed: dt.datetime | None, foreign: bool
) -> None:
    if refreshed is not None:
        outcome = outcome.refreshed_at(refreshed, "1-x", delay=None, notes=())
    status = {"conditions": [{"type": "Deleted", "status": "False"}]} if foreign else {}
    once = after(outcome, status, generation=generation)
    later = NOW + dt.timedelta(days=9)
    assert status_patch(outcome, once, generation=generation, now=later, refresh_every=1.0) is None
    assert [each["type"] for each in once["conditions"]][1:] == (["Deleted"] if foreign else [])


def test_the_time_of_a_refresh_alone_is_written_at_a_bounded_rate() -> None:
    status = after(READY.refreshed_at(NOW, "1-x", delay=None, notes=()), {})
    for seconds, expected in ((299, None), (300, {"refreshTime": "2030-01-01T00:05:00Z"})):
        again = READY.refreshed_at(NOW + dt.timedelta(seconds=seconds), "1-x", delay=None, notes=())
        assert status_patch(again, status, generation=1, now=NOW, refresh_every=300) == expected


def test_any_other_change_takes_the_time_of_the_refresh_along() -> None:
    status = after(READY.refreshed_at(NOW, "1-x", delay=None, notes=()), {})
    again = READY.refreshed_at(NOW + dt.timedelta(seconds=1), "2-x", delay=None, notes=())
    patch = status_patch(again, status, generation=2, now=NOW, refresh_every=300)
    assert patch is not None
    assert {"syncedResourceVersion", "observedGeneration", "refreshTime"} <= set(patch)


def test_the_time_of_transition_changes_with_the_condition_and_not_with_its_words() -> None:
    later = NOW + dt.timedelta(hours=1)
    status = after(FAILED, {})
    reworded = after(Outcome.failed(BadSpec("else"), reason="R", event="E", delay=None), status, now=later)
    assert reworded["conditions"][0]["lastTransitionTime"] == stamp(NOW)
    assert reworded["conditions"][0]["message"] == "else"
    assert after(READY, reworded, now=later)["conditions"][0]["lastTransitionTime"] == stamp(later)


def test_an_outcome_that_tells_nothing_leaves_any_status_alone() -> None:
    assert not Outcome.skipped(delay=1.0).tells
    assert READY.tells
    assert status_patch(Outcome.skipped(), {}, generation=9, now=NOW) is None


def test_a_failure_keeps_what_was_last_synced() -> None:
    status = after(READY.refreshed_at(NOW, "1-x", delay=None, notes=()), {})
    failed = after(FAILED, status, generation=2)
    assert (failed["refreshTime"], failed["syncedResourceVersion"]) == (stamp(NOW), "1-x")
    assert failed["observedGeneration"] == 2


def test_a_conflict_is_told_to_nobody_and_tried_again_at_once() -> None:
    outcome = Outcome.failed(Conflict("newer"), reason="R", event="E", delay=retry_delay(Conflict("newer"), 1, 60))
    assert (outcome.ready, outcome.notes, outcome.retry, outcome.delay) == (None, (), True, 0.05)


ERRORS = st.sampled_from([BadSpec("x"), Unreachable("x"), Broken("x"), Busy("x"), Busy("x", retry_after=30)])


@given(ERRORS, st.integers(1, 10_000), st.floats(60, 1e7))
def test_in_the_long_run_a_broken_object_asks_no_more_often_than_a_healthy_one(
    error: KeyferryError, failures: int, interval: float
) -> None:
    delay = retry_delay(error, failures, interval)
    assert delay is not None
    assert 5.0 <= delay <= max(interval, 60.0)
    assert retry_delay(error, 10_000, interval) == max(interval, delay)


@pytest.mark.parametrize(
    ("error", "failures", "expected"),
    [
        (Unreachable("x"), 1, 5.0),
        (Unreachable("x"), 3, 20.0),
        (Busy("x", retry_after=99), 1, 99),
        (Broken("x"), 1, 60.0),
        (NotReady("x"), 1, None),
        (Conflict("x"), 99, 1.0),
        (ClusterUnavailable("x"), 99, 60.0),
        (ClusterUnavailable("x", retry_after=120), 1, 120),
    ],
)
def test_the_error_says_when_to_try_again(error: KeyferryError, failures: int, expected: float | None) -> None:
    assert retry_delay(error, failures, 3600) == expected


def test_a_long_text_is_shortened_to_what_people_read() -> None:
    assert len(shortened("x" * 9999)) == 4096
    assert shortened("short") == "short"
