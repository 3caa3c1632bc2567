"""Every metric of Keyferry: its name, type, labels and meaning. The reference page is made from this table.

The first part is ESO's, name by name (eso-facts 2.1), with what its dashboards take from controller-runtime. The
second part, ``keyferry_``, is ours.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

KINDS = (
    "ExternalSecret",
    "ClusterExternalSecret",
    "PushSecret",
    "ClusterPushSecret",
    "SecretStore",
    "ClusterSecretStore",
)
"""Kinds that have a condition and a duration."""

EXTENDED = ("name", "instance", "version", "component", "part-of", "managed-by")
"""The ``app.kubernetes.io/`` labels of an object that its series carry with --enable-extended-metric-labels."""
EXTENDED_LABELS = tuple("app_kubernetes_io_" + label.replace("-", "_") for label in EXTENDED)

# Those of controller-runtime and client-go, so that recorded histograms stay comparable.
_RECONCILE = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    *(1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60),
)
_QUEUE = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0)
_SYNC = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_LAG = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


Life = Literal["process", "work", "event", "object", "state", "election", "unserved"]
LIVES: dict[Life, str] = {
    "process": "there from the first scrape on",
    "work": "there while the process works, not while it waits for the Lease or the API server",
    "event": "comes with the first event of its kind, and stays until the process ends",
    "object": "comes with the object's first sync in this process, and goes with the object",
    "state": "there only while what it tells of is so, and goes with the object",
    "election": "there where leader election is on",
    "unserved": "of a kind that is not served yet: no series",
}
"""When a series is there."""


class Described(NamedTuple):
    """One metric.

    ``extended`` says that the series carry the object's own labels where that is switched on, ``life`` when a series
    is there, ``eso`` what of ESO's tells the same: None for the metric of the same name, "" for nothing.
    """

    name: str
    type: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    extended: bool = False
    buckets: tuple[float, ...] = ()
    life: Life = "event"
    eso: str | None = None

    @property
    def unit(self) -> str:
        """What is counted or measured, as the name tells; ESO's durations are of another unit than their like."""
        if self.name.endswith("_timestamp_seconds"):
            return "Unix time in seconds"
        if self.name.endswith("_seconds"):
            return "seconds"
        return "nanoseconds" if self.name.endswith("_reconcile_duration") else "1"


_OBJECT = ("name", "namespace")
_STORE = ("kind", "namespace", "name")
_QUEUE_LABELS = ("name", "controller")
_SERVED = frozenset({"ExternalSecret", "SecretStore", "ClusterSecretStore"})


def _of_kind(kind: str) -> tuple[Described, Described]:
    prefix = kind.lower()
    condition = f"1 for the status that a condition of the {kind} has, 0 for its opposite"
    duration = f"How long the last reconcile of the {kind} took"
    life: Life = "object" if kind in _SERVED else "unserved"
    labels = (*_OBJECT, "condition", "status")
    return (
        Described(f"{prefix}_status_condition", "gauge", labels, condition, extended=True, life=life),
        Described(f"{prefix}_reconcile_duration", "gauge", _OBJECT, duration, extended=True, life=life),
    )


_ESO: tuple[Described, ...] = (
    Described(
        "externalsecret_sync_calls_total",
        "counter",
        _OBJECT,
        "Reconciles of the ExternalSecret",
        extended=True,
        life="object",
    ),
    Described(
        "externalsecret_sync_calls_error",
        "counter",
        _OBJECT,
        "Failed reconciles of the ExternalSecret",
        extended=True,
        life="object",
    ),
    *(described for kind in KINDS for described in _of_kind(kind)),
    Described(
        "externalsecret_provider_api_calls_count", "counter", ("provider", "call", "status"), "API calls to providers"
    ),
    Described("controller_runtime_reconcile_total", "counter", ("controller", "result"), "Reconciles per kind"),
    Described("controller_runtime_reconcile_errors_total", "counter", ("controller",), "Failed reconciles per kind"),
    Described(
        "controller_runtime_reconcile_time_seconds",
        "histogram",
        ("controller",),
        "How long reconciles took",
        buckets=_RECONCILE,
    ),
    Described(
        "controller_runtime_max_concurrent_reconciles", "gauge", ("controller",), "Workers there are", life="work"
    ),
    Described("controller_runtime_active_workers", "gauge", ("controller",), "Workers that are busy", life="work"),
    Described("workqueue_depth", "gauge", _QUEUE_LABELS, "Keys that are due and wait for a worker", life="work"),
    Described("workqueue_adds_total", "counter", _QUEUE_LABELS, "Keys added to the queue"),
    Described("workqueue_retries_total", "counter", _QUEUE_LABELS, "Keys added again after a failure"),
    Described(
        "workqueue_queue_duration_seconds",
        "histogram",
        _QUEUE_LABELS,
        "How long a key that was due waited for a worker",
        buckets=_QUEUE,
    ),
    Described(
        "workqueue_work_duration_seconds", "histogram", _QUEUE_LABELS, "How long a worker had a key", buckets=_QUEUE
    ),
    Described(
        "workqueue_longest_running_processor_seconds",
        "gauge",
        _QUEUE_LABELS,
        "For how long the key that has been in work longest has been",
        life="work",
    ),
    Described("rest_client_requests_total", "counter", ("code", "method", "host"), "Requests to the API server"),
    Described(
        "leader_election_master_status", "gauge", ("name",), "1 while this process holds the Lease", life="election"
    ),
)

_OURS: tuple[Described, ...] = (
    Described(
        "keyferry_build_info", "gauge", ("version", "python"), "Always 1; the labels tell the build", life="process"
    ),
    Described("keyferry_queue_depth", "gauge", ("lane",), "Keys that are due, by lane of the queue", life="work"),
    Described(
        "keyferry_oldest_overdue_seconds", "gauge", (), "How long the oldest due key has been waiting", life="work"
    ),
    Described(
        "keyferry_hot_loops",
        "gauge",
        (),
        "ExternalSecrets held back because they were synced over and over although their spec does not change",
        life="work",
    ),
    Described(
        "keyferry_time_to_first_sync_seconds",
        "histogram",
        (),
        "From an ExternalSecret's creation to its first Secret",
        buckets=_SYNC,
        life="process",
    ),
    Described(
        "keyferry_refresh_lag_seconds",
        "histogram",
        (),
        "How late periodic refreshes began",
        buckets=_LAG,
        life="process",
    ),
    Described(
        "keyferry_sync_errors_total",
        "counter",
        ("controller", "reason"),
        "Reconciles that failed, by what went wrong: the kinds of error of the troubleshooting page",
    ),
    Described(
        "keyferry_provider_calls_total",
        "counter",
        (*_STORE, "result"),
        "Documents and listings asked of a store; result is success or error",
        life="object",
    ),
    Described(
        "keyferry_reads_saved_total",
        "counter",
        (*_STORE, "how"),
        "Reads of a store that were not necessary: one was under way (flight), its answer was still fresh (cache; "
        "negative for errors, listing for searches), or reading went well (check, for checks of the store). Or they "
        "were made, and the store said that nothing has changed instead of sending it (unchanged)",
        life="object",
    ),
    Described(
        "keyferry_store_resting",
        "gauge",
        _STORE,
        "1 while the store is left alone because it asked for fewer calls or did not answer several times in a row",
        life="object",
    ),
    Described(
        "keyferry_store_credential_expiry_timestamp_seconds",
        "gauge",
        (*_STORE, "caller"),
        "When the credential that the store was given ends, where the backend tells and it cannot be renewed: tokens "
        "of Vault and OpenBao so far; caller is the namespace that it comes from, where a ClusterSecretStore takes it "
        "from those that use it",
        life="state",
    ),
    Described(
        "keyferry_last_success_timestamp_seconds",
        "gauge",
        _OBJECT,
        "When the ExternalSecret last succeeded; after a restart, when its status says so",
        life="object",
    ),
    Described(
        "keyferry_refresh_interval_seconds",
        "gauge",
        _OBJECT,
        "How often the ExternalSecret is refreshed; no series for one that is not refreshed by itself, or only within "
        "its sync windows",
        life="object",
    ),
    Described(
        "keyferry_target_missing",
        "gauge",
        _OBJECT,
        "1 while the Secret of the ExternalSecret is not there although its policies ask for one",
        life="state",
    ),
    Described("keyferry_objects_skipped", "gauge", ("reason",), "Objects left alone on purpose: controller-class"),
    Described(
        "keyferry_watch_restarts_total", "counter", ("resource", "reason"), "Watches that had to be opened again"
    ),
    Described(
        "keyferry_event_loop_lag_seconds", "gauge", (), "How late the event loop last woke a sleeper", life="process"
    ),
)

_LIKE = {
    "keyferry_queue_depth": "workqueue_depth",
    "keyferry_sync_errors_total": "controller_runtime_reconcile_errors_total",
    "keyferry_provider_calls_total": "externalsecret_provider_api_calls_count",
}
"""What of ESO's comes nearest, without the labels that ours have."""

CATALOGUE: tuple[Described, ...] = (*_ESO, *(each._replace(eso=_LIKE.get(each.name, "")) for each in _OURS))
