"""What metrics show of an object: also after a restart, and nothing once it is gone."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from keyferry.app.bells import Lane
from keyferry.app.house import _Counter
from keyferry.kube.client import SECRETS, ObjectKey
from keyferry.ports import StoreIdentity
from keyferry.telemetry import Metrics
from tests.support.objects import Json, es_body, store_body
from tests.support.rig import KEY, STORE, Rig
from tests.support.virtual import virtual

NAMED = {"name": "app", "namespace": "team"}


async def synced(**spec: Any) -> Rig:
    rig = Rig()
    rig.apply_store()
    rig.apply(es_body(**spec))
    await rig.work()
    return rig


async def restarted(rig: Rig) -> Rig:
    """Another process over what the first one left behind."""
    after = Rig()
    after.server.objects.update(copy.deepcopy(rig.server.objects))
    for path, body in rig.server.objects.items():
        if "/secretstores/" in path:
            after.bells.store("SecretStore", None, body)
        elif "/externalsecrets/" in path:
            after.bells.external_secret(None, body)
        elif "/secrets/" in path:
            after.managed.note(body)
    await rig.aclose()
    await after.work()
    return after


@virtual
async def test_a_restarted_process_shows_objects_that_are_not_due() -> None:
    before = await synced(refreshInterval="2h")
    seen = before.metrics.value("keyferry_last_success_timestamp_seconds", **NAMED)
    rig = await restarted(before)
    assert rig.counter.reads == 0
    assert rig.metrics.value("externalsecret_status_condition", **NAMED, condition="Ready", status="True") == 1
    assert rig.metrics.value("keyferry_refresh_interval_seconds", **NAMED) == 7200
    assert seen is not None
    assert rig.metrics.value("keyferry_last_success_timestamp_seconds", **NAMED) == pytest.approx(seen, abs=1)
    await rig.aclose()


@virtual
async def test_objects_of_another_controller_are_not_shown() -> None:
    rig = Rig()
    rig.apply_store(store_body(controller="other"))
    rig.apply(es_body(status={"conditions": [{"type": "Ready", "status": "True"}]}))
    await rig.work()
    assert b'name="app"' not in b"".join(line for line in rig.metrics.render().splitlines() if b"condition" in line)
    await rig.aclose()


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ({"refreshInterval": "30s"}, 30.0),
        ({"refreshInterval": "0"}, None),
        ({"refreshPolicy": "OnChange"}, None),
        (
            {
                "refreshInterval": "1h",
                "syncWindows": {"kind": "deny", "windows": [{"schedule": "@daily", "duration": "1h"}]},
            },
            None,
        ),
    ],
)
@virtual
async def test_an_interval_is_shown_where_refreshes_are_steady(spec: Json, shown: float | None) -> None:
    rig = await synced(**spec)
    assert rig.metrics.value("externalsecret_status_condition", **NAMED, condition="Ready", status="True") == 1
    assert rig.metrics.value("keyferry_refresh_interval_seconds", **NAMED) == shown
    await rig.aclose()


@virtual
async def test_a_secret_that_cannot_be_made_again_is_missing_until_it_is() -> None:
    rig = await synced()
    assert rig.metrics.value("keyferry_target_missing", **NAMED) is None

    rig.server.objects.pop(SECRETS.path("team", "app"))
    rig.apply_store(store_body(generation=2, provider={"fake": {"data": []}}))
    rig.managed.gone(ObjectKey("Secret", "team", "app"))
    await rig.work()
    assert rig.metrics.value("keyferry_target_missing", **NAMED) == 1
    assert rig.metrics.value("keyferry_sync_errors_total", controller="externalsecret", reason="not-there")

    rig.apply_store(store_body(generation=3))
    await rig.work()
    assert rig.secret is not None
    assert rig.metrics.value("keyferry_target_missing", **NAMED) is None
    await rig.aclose()


@pytest.mark.parametrize("target", [{"creationPolicy": "None"}, {"deletionPolicy": "Delete"}])
@virtual
async def test_a_secret_that_is_not_wanted_is_not_missing(target: Json) -> None:
    rig = await synced(target=target, data=[], dataFrom=[{"find": {"name": {"regexp": "^nothing$"}}, "extract": None}])
    assert rig.ready[0] == "True"
    assert rig.secret is None
    assert rig.metrics.value("keyferry_target_missing", **NAMED) is None
    await rig.aclose()


@virtual
async def test_a_secret_to_merge_into_is_missing_while_it_is_not_there() -> None:
    rig = await synced(target={"creationPolicy": "Merge"})
    assert rig.ready[:2] == ("True", "SecretMissing")
    assert rig.metrics.value("keyferry_target_missing", **NAMED) == 1
    await rig.aclose()


@virtual
async def test_nothing_is_shown_of_objects_that_are_gone() -> None:
    rig = await synced()
    text = rig.metrics.render().decode()
    assert 'name="app"' in text
    assert 'name="store"' in text
    for key in (KEY, STORE):
        rig.bells.gone(key)
        rig.queue.add(key, Lane.FIRST)
    await rig.work()
    text = rig.metrics.render().decode()
    assert 'name="app"' not in text
    assert 'name="store"' not in text
    await rig.aclose()


def test_a_call_that_outlives_its_store_does_not_bring_its_series_back() -> None:
    metrics = Metrics()
    store = StoreIdentity(kind="SecretStore", name="store", namespace="team", caller="team")
    there = [True]
    counter = _Counter(metrics, lambda _: there[0])
    counter.provider_calls(store, "success")
    assert b'name="store"' in metrics.render()
    metrics.forget("SecretStore", "team", "store")
    there[0] = False
    counter.provider_calls(store, "success")
    counter.reads_saved(store, "cache")
    counter.resting(store, now=True)
    assert b'name="store"' not in metrics.render()
