from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from keyferry.errors import ClusterUnavailable, Denied, KeyferryError, NotThere
from keyferry.ports import CallerNeeded
from keyferry.telemetry import Metrics
from keyferry.telemetry.catalogue import CATALOGUE, KINDS, LIVES

CANARY = "c4n4ry-hunter2"


def scraped(metrics: Metrics) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(metrics.render().decode())}


def test_the_names_of_eso_are_scraped_exactly() -> None:
    metrics = Metrics(version="1")
    metrics.reconciled("ExternalSecret", "ns", "n", seconds=0.5, result="error")
    metrics.provider_call("HashiCorp/Vault", "GetSecret", "success")
    metrics.condition("ExternalSecret", "ns", "n", "Ready", "False")
    text = metrics.render().decode()
    for line in (
        'externalsecret_sync_calls_total{name="n",namespace="ns"} 1.0',
        'externalsecret_sync_calls_error{name="n",namespace="ns"} 1.0',
        "# TYPE externalsecret_sync_calls_error counter",
        'externalsecret_reconcile_duration{name="n",namespace="ns"} 500000000.0',
        'externalsecret_provider_api_calls_count{provider="HashiCorp/Vault",call="GetSecret",status="success"} 1.0',
        "# TYPE externalsecret_provider_api_calls_count counter",
        'externalsecret_status_condition{name="n",namespace="ns",condition="Ready",status="False"} 1.0',
        'externalsecret_status_condition{name="n",namespace="ns",condition="Ready",status="True"} 0.0',
        'controller_runtime_reconcile_total{controller="externalsecret",result="error"} 1.0',
        'controller_runtime_reconcile_errors_total{controller="externalsecret"} 1.0',
        'controller_runtime_reconcile_time_seconds_bucket{controller="externalsecret",le="0.5"} 1.0',
        'controller_runtime_reconcile_time_seconds_count{controller="externalsecret"} 1.0',
    ):
        assert line in text.splitlines()
    assert "_created" not in text


def test_the_text_is_what_prometheus_parses() -> None:
    metrics = Metrics(version='1 "\\')
    metrics.provider_call('odd"\\\n', "call", "error")
    families = scraped(metrics)
    [sample] = families["externalsecret_provider_api_calls_count"].samples
    assert sample.labels["provider"] == 'odd"\\\n'
    assert families["keyferry_build_info"].samples[0].labels["version"] == '1 "\\'
    assert any(name.startswith("process_") for name in families)
    assert any(name.startswith("python_gc_") for name in families)


def test_a_success_counts_no_error_but_opens_the_series() -> None:
    metrics = Metrics()
    metrics.reconciled("ExternalSecret", "ns", "n", seconds=0.1, result="success")
    assert metrics.value("externalsecret_sync_calls_total", name="n", namespace="ns") == 1
    assert metrics.value("externalsecret_sync_calls_error", name="n", namespace="ns") == 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_condition_and_a_duration_and_leaves_nothing_behind(kind: str) -> None:
    metrics = Metrics()
    empty = object_lines(metrics)
    metrics.condition(kind, "ns", "n", "Ready", "True")
    metrics.reconciled(kind, "ns", "n", seconds=1, result="success")
    metrics.condition(kind, "ns", "other", "Ready", "Unknown")
    assert (
        metrics.value(f"{kind.lower()}_status_condition", name="n", namespace="ns", condition="Ready", status="True")
        == 1
    )
    assert metrics.value(f"{kind.lower()}_reconcile_duration", name="n", namespace="ns") == 1e9
    metrics.forget(kind, "ns", "n")
    assert 'name="n"' not in metrics.render().decode()
    assert 'name="other"' in metrics.render().decode()
    metrics.forget(kind, "ns", "other")
    assert object_lines(metrics) == empty


def object_lines(metrics: Metrics) -> list[str]:
    return [line for line in metrics.render().decode().splitlines() if 'namespace="' in line]


def test_forgetting_a_store_forgets_its_calls_and_saved_reads() -> None:
    metrics = Metrics()
    metrics.store_call("ClusterSecretStore", "", "vault", "success")
    metrics.read_saved("ClusterSecretStore", "", "vault", "cache", 3)
    store = {"kind": "ClusterSecretStore", "namespace": "", "name": "vault"}
    assert metrics.value("keyferry_reads_saved_total", **store, how="cache") == 3
    metrics.forget("ClusterSecretStore", "", "vault")
    assert metrics.value("keyferry_reads_saved_total", **store, how="cache") is None
    assert metrics.value("keyferry_provider_calls_total", **store, result="success") is None


def test_an_object_is_skipped_for_one_reason_at_a_time() -> None:
    metrics = Metrics()
    for _ in range(2):
        metrics.skipped("SecretStore", "ns", "a", "controller-class")
    metrics.skipped("SecretStore", "ns", "b", "controller-class")
    assert metrics.value("keyferry_objects_skipped", reason="controller-class") == 2
    metrics.skipped("SecretStore", "ns", "a", None)
    metrics.forget("SecretStore", "ns", "b")
    assert metrics.value("keyferry_objects_skipped", reason="controller-class") == 0


def test_extended_labels_move_with_the_object_and_keep_its_counts() -> None:
    metrics = Metrics(extended_labels=True)
    metrics.reconciled("ExternalSecret", "ns", "n", seconds=1, result="success")
    metrics.labelled("ExternalSecret", "ns", "n", {"app.kubernetes.io/part-of": "shop", "other": "x"})
    metrics.reconciled("ExternalSecret", "ns", "n", seconds=1, result="success")
    metrics.labelled("ExternalSecret", "ns", "n", {"app.kubernetes.io/part-of": "bank"})
    [sample] = scraped(metrics)["externalsecret_sync_calls"].samples
    assert sample.value == 2
    assert sample.labels["app_kubernetes_io_part_of"] == "bank"
    assert sample.labels["app_kubernetes_io_managed_by"] == ""
    metrics.forget("ExternalSecret", "ns", "n")
    assert "bank" not in metrics.render().decode()


def test_without_extended_labels_an_object_s_labels_are_ignored() -> None:
    metrics = Metrics()
    metrics.labelled("ExternalSecret", "ns", "n", {"app.kubernetes.io/name": "x"})
    metrics.reconciled("ExternalSecret", "ns", "n", seconds=1, result="success")
    assert "app_kubernetes_io" not in metrics.render().decode()


def test_a_block_that_raises_is_a_failed_call() -> None:
    metrics = Metrics()
    with metrics.observe("p", "c"):
        pass
    with pytest.raises(ValueError, match="x"), metrics.observe("p", "c"):
        raise ValueError("x")
    call = {"provider": "p", "call": "c"}
    assert metrics.value("externalsecret_provider_api_calls_count", **call, status="success") == 1
    assert metrics.value("externalsecret_provider_api_calls_count", **call, status="error") == 1


def test_everything_in_the_catalogue_can_be_brought_about_and_has_the_labels_it_says() -> None:
    metrics = Metrics(version="1")
    for kind in KINDS:
        metrics.reconciled(kind, "ns", "n", seconds=1, result="error")
        metrics.condition(kind, "ns", "n", "Ready", "True")
    metrics.provider_call("p", "c", "success")
    metrics.succeeded("ns", "n", at=1.0)
    metrics.refreshed_every("ns", "n", 60)
    metrics.target_missing("ns", "n", now=True)
    metrics.failed("ExternalSecret", Denied("no"))
    metrics.credential_expires("SecretStore", "ns", "n", "", 1.0)
    metrics.skipped("SecretStore", "ns", "n", "r")
    metrics.first_sync(1)
    metrics.refresh_lag(1)
    metrics.store_call("SecretStore", "ns", "n", "busy")
    metrics.read_saved("SecretStore", "ns", "n", "flight")
    metrics.store_resting("SecretStore", "ns", "n", now=True)
    metrics.queue_added("q")
    metrics.queue_retried("q")
    metrics.queue_waited("q", 1)
    metrics.queue_worked("q", 1)
    metrics.queue_depth("q", 1)
    metrics.lane_depth("new", 1)
    metrics.oldest_overdue(1)
    metrics.longest_work("q", 1)
    metrics.hot_loops(1)
    metrics.workers("c", busy=1, limit=2)
    metrics.api_request("GET", 200, "host")
    metrics.watch_restarted("r", "gone")
    metrics.leader("lease", leading=True)
    metrics.loop_lag(0.1)
    families = scraped(metrics)
    for described in CATALOGUE:
        # The parser takes _total off the names of counters.
        family = families[described.name.removesuffix("_total") if described.type == "counter" else described.name]
        assert family.type == described.type
        assert family.documentation == described.help
        assert set(family.samples[-1].labels) - {"le"} == set(described.labels)


def test_what_an_object_no_longer_has_is_no_longer_shown() -> None:
    metrics = Metrics()
    metrics.refreshed_every("ns", "n", 60)
    metrics.target_missing("ns", "n", now=True)
    metrics.credential_expires("ClusterSecretStore", "", "n", "team-a", 5.0)
    assert metrics.value("keyferry_target_missing", name="n", namespace="ns") == 1
    metrics.refreshed_every("ns", "n", None)
    metrics.target_missing("ns", "n", now=False)
    metrics.credential_expires("ClusterSecretStore", "", "n", "team-a", None)
    assert 'name="n"' not in metrics.render().decode()


def test_the_credentials_of_every_caller_go_with_the_store() -> None:
    metrics = Metrics()
    metrics.credential_expires("ClusterSecretStore", "", "n", "team-a", 5.0)
    metrics.credential_expires("ClusterSecretStore", "", "n", "shop", 6.0)
    assert metrics.render().decode().count('name="n"') == 2
    metrics.forget("ClusterSecretStore", "", "n")
    assert 'name="n"' not in metrics.render().decode()


def test_what_a_status_says_does_not_replace_what_this_process_has_seen() -> None:
    metrics = Metrics()
    metrics.succeeded("ns", "n", at=5.0, recalled=True)
    assert metrics.value("keyferry_last_success_timestamp_seconds", name="n", namespace="ns") == 5
    metrics.succeeded("ns", "n", at=9.0)
    metrics.succeeded("ns", "n", at=5.0, recalled=True)
    assert metrics.value("keyferry_last_success_timestamp_seconds", name="n", namespace="ns") == 9


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotThere("x"), "not-there"),
        (ClusterUnavailable("x"), "cluster-unavailable"),
        (CallerNeeded("x"), "keyferry-error"),
        (None, "pending"),
    ],
)
def test_an_error_is_counted_under_the_name_of_its_kind(error: KeyferryError | None, reason: str) -> None:
    metrics = Metrics()
    metrics.failed("ExternalSecret", error)
    assert metrics.value("keyferry_sync_errors_total", controller="externalsecret", reason=reason) == 1


def test_every_metric_says_its_unit_and_when_it_is_there() -> None:
    by_name = {each.name: each for each in CATALOGUE}
    assert len(by_name) == len(CATALOGUE)
    assert by_name["externalsecret_reconcile_duration"].unit == "nanoseconds"
    assert by_name["keyferry_last_success_timestamp_seconds"].unit == "Unix time in seconds"
    assert by_name["keyferry_refresh_lag_seconds"].unit == "seconds"
    assert by_name["keyferry_hot_loops"].unit == "1"
    assert {each.life for each in CATALOGUE} == set(LIVES)


def test_callbacks_run_before_a_scrape() -> None:
    metrics = Metrics()
    metrics.before_scrape(lambda: metrics.oldest_overdue(7))
    assert metrics.value("keyferry_oldest_overdue_seconds") is None
    metrics.refresh()
    assert metrics.value("keyferry_oldest_overdue_seconds") == 7


def test_a_series_with_the_wrong_number_of_labels_is_a_defect() -> None:
    metrics = Metrics()
    with pytest.raises(ValueError, match="keyferry_queue_depth has the labels lane"):
        metrics._families["keyferry_queue_depth"].set(("a", "b"), 1)
