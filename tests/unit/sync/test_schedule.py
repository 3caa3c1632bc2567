from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.api.externalsecret import ExternalSecret
from keyferry.errors import BadSpec
from keyferry.sync.schedule import Cause, due, interval_of, next_refresh, phase, read_after, version_of
from tests.support.objects import es, es_body

NOW = dt.datetime(2030, 1, 1, 12, tzinfo=dt.UTC)


def synced(*, version: Any = None, **spec: Any) -> ExternalSecret:
    """One that was synced as it stands, or at another version."""
    return ExternalSecret.parse(es_body(status={"syncedResourceVersion": version or version_of(es(**spec))}, **spec))


def cause(one: ExternalSecret, *, intact: bool = True, minutes: float | None = 1) -> str:
    refreshed = None if minutes is None else NOW - dt.timedelta(minutes=minutes)
    return due(one, intact=intact, refreshed=refreshed, now=NOW, first=True).cause


POLICIES = {
    "periodic": {"refreshInterval": "1h"},
    "never again": {"refreshInterval": "0"},
    "on change": {"refreshPolicy": "OnChange"},
    "once": {"refreshPolicy": "CreatedOnce"},
}
# eso-facts 10.2, and where we differ on purpose: an edit always syncs.
TABLE = {
    "periodic": ("new", "changed", "due", "drift"),
    "never again": ("new", "changed", "none", "drift"),
    "on change": ("new", "changed", "none", "drift"),
    "once": ("new", "none", "none", "drift"),
}


@pytest.mark.parametrize("policy", POLICIES)
def test_the_table_of_policies_holds(policy: str) -> None:
    spec = POLICIES[policy]
    found = (
        cause(es(**spec), minutes=None),
        cause(synced(version="0-old", **spec)),
        cause(synced(**spec), minutes=61),
        cause(synced(**spec), intact=False),
    )
    assert found == TABLE[policy]
    assert cause(synced(**spec)) == "none"


def test_any_annotation_or_label_is_a_change() -> None:
    before = version_of(es())
    assert version_of(es(metadata={"annotations": {"force-sync": "1"}})) != before
    assert version_of(es(metadata={"labels": {"a": "b"}})) != before
    assert version_of(es(metadata={"generation": 2})) != before


def test_a_refresh_that_lies_in_the_future_is_not_believed() -> None:
    assert cause(synced(refreshInterval="1h"), minutes=-5) == "due"


def test_closed_windows_hold_back_what_is_due_and_nothing_else() -> None:
    windows = {"kind": "deny", "windows": [{"schedule": "0 11 * * *", "duration": "2h"}]}
    spec = {"refreshInterval": "1h", "syncWindows": windows}
    waiting = due(synced(**spec), intact=True, refreshed=NOW - dt.timedelta(hours=3), now=NOW, first=False)
    assert waiting.cause == "closed"
    assert waiting.delay == pytest.approx(3600, abs=2)
    assert cause(synced(version="0-old", **spec)) == "changed"
    assert cause(synced(**spec), intact=False) == "drift"


@given(st.uuids().map(str), st.floats(1, 1e6), st.floats(0, 1e6), st.booleans())
def test_a_refresh_comes_early_by_at_most_a_part_and_never_late(
    uid: str, interval: float, age: float, first: bool
) -> None:
    earliest = 0.9 if first else 0.99
    one = ExternalSecret.parse(
        es_body(
            metadata={"uid": uid},
            refreshInterval=f"{interval:.3f}s",
            status={"syncedResourceVersion": version_of(es())},
        )
    )
    interval = interval_of(one)
    assert 0 <= phase(uid, interval, first=first) <= interval * (1 - earliest) + 1e-6
    told = due(one, intact=True, refreshed=NOW - dt.timedelta(seconds=age), now=NOW, first=first)
    if age >= interval:
        assert told.cause == "due"
    elif age < interval * earliest - 1e-3:
        assert told.cause == "none"
    if told.delay is not None:
        assert 0 < told.delay <= interval - age + 1e-3
    following = next_refresh(one, first=first)
    assert following is not None
    assert interval * earliest - 1e-6 <= following <= interval


def test_objects_made_together_do_not_stay_together() -> None:
    assert len({round(phase(f"uid-{number}", 3600, first=True)) for number in range(100)}) > 60


@pytest.mark.parametrize("spec", [POLICIES["never again"], POLICIES["on change"], POLICIES["once"]])
def test_where_nothing_is_periodic_no_refresh_follows(spec: dict[str, Any]) -> None:
    assert next_refresh(es(**spec), first=True) is None


@pytest.mark.parametrize("interval", ["-1s", "soon", ""])
def test_an_interval_that_is_none_is_refused_by_its_place(interval: str) -> None:
    with pytest.raises(BadSpec, match=r"spec\.refreshInterval"):
        interval_of(es(refreshInterval=interval))


@pytest.mark.parametrize(("given", "seconds"), [("1ms", 1.0), ("999ms", 1.0), ("1.5s", 1.5), ("0", 0.0)])
def test_an_interval_is_at_least_a_second_or_none_at_all(given: str, seconds: float) -> None:
    assert interval_of(es(refreshInterval=given)) == seconds


@pytest.mark.parametrize(
    ("name", "cause", "after"),
    [
        ("periodic", "due", 7840.0),
        ("periodic", "drift", 10000.0),
        ("never again", "changed", 100.0),
        ("on change", "changed", 100.0),
        ("once", "new", 100.0),
        ("once", "drift", 10000.0),
    ],
)
def test_a_refresh_shares_most_of_an_interval_and_what_somebody_asked_for_is_read_after_it(
    name: str, cause: Cause, after: float
) -> None:
    one = es(**POLICIES[name])
    assert read_after(one, cause, asked=100.0, now=10000.0) == after
    assert read_after(one, cause, asked=9999.0, now=10000.0) == max(after, 9999.0)
