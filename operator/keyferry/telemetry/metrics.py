"""The metrics of one process. See ``catalogue`` for what there is.

Callers say what happened in words of the domain; names of metrics and labels are known in here only. ``forget`` leaves
nothing behind of an object that is deleted; so that no object has to be remembered with its series, what is remembered
is which series objects of its kind have.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar, Literal, NamedTuple

from prometheus_client import CollectorRegistry, GCCollector, Histogram, ProcessCollector

from keyferry.errors import KeyferryError
from keyferry.telemetry.catalogue import CATALOGUE, EXTENDED, EXTENDED_LABELS, KINDS, Described
from keyferry.telemetry.exposition import Family, render_registry

Result = Literal["success", "error", "requeue", "requeue_after"]


class _Object(NamedTuple):
    kind: str
    namespace: str
    name: str


class Metrics:
    """All metrics of one process; nothing global, so that two of them can live in one test.

    ``kind`` is an object's kind as in its manifest ("ExternalSecret"), ``namespace`` is "" for cluster-scoped kinds.
    All times are in seconds.
    """

    catalogue: ClassVar[tuple[Described, ...]] = CATALOGUE

    def __init__(self, *, version: str = "", extended_labels: bool = False) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._extended_on = extended_labels
        self._families: dict[str, Family] = {}
        self._histograms: dict[str, Histogram] = {}
        for described in CATALOGUE:
            self._declare(described)
        self._extended: dict[_Object, tuple[str, ...]] = {}
        self._tails: dict[str, dict[tuple[str, tuple[str, ...]], None]] = {}
        """By kind: metrics, and the labels that follow those that name the object."""
        self._skipped: dict[_Object, str] = {}
        self._before_scrape: list[Callable[[], None]] = []
        self._families["keyferry_build_info"].set((version, platform.python_version()), 1)

    # -- objects

    def reconciled(self, kind: str, namespace: str, name: str, *, seconds: float, result: Result) -> None:
        """A reconcile of the object ended."""
        controller = kind.lower()
        failed = result == "error"
        self._families["controller_runtime_reconcile_total"].add((controller, result))
        if failed:
            self._families["controller_runtime_reconcile_errors_total"].add((controller,))
        self._histograms["controller_runtime_reconcile_time_seconds"].labels(controller).observe(seconds)
        if kind not in KINDS:
            return
        of = _Object(kind, namespace, name)
        self._set(f"{controller}_reconcile_duration", of, round(seconds * 1e9))
        if kind == "ExternalSecret":
            self._add("externalsecret_sync_calls_total", of, 1)
            # Counted from zero, so that the first failure is an increase that rate() sees.
            self._add("externalsecret_sync_calls_error", of, 1 if failed else 0)

    def condition(self, kind: str, namespace: str, name: str, condition: str, status: str) -> None:
        """The object has a condition, such as ``("Ready", "False")``. With "Unknown" both series are 0."""
        for each in ("True", "False"):
            self._set(
                f"{kind.lower()}_status_condition",
                _Object(kind, namespace, name),
                1 if status == each else 0,
                condition,
                each,
            )

    def succeeded(self, namespace: str, name: str, *, at: float, recalled: bool = False) -> None:
        """The ExternalSecret and its Secret are in step, as of ``at`` (Unix time).

        ``recalled`` from its status, which may be older than what this process has seen.
        """
        metric, of = "keyferry_last_success_timestamp_seconds", _Object("ExternalSecret", namespace, name)
        if not (recalled and self.value(metric, name=name, namespace=namespace)):
            self._set(metric, of, at)

    def refreshed_every(self, namespace: str, name: str, seconds: float | None) -> None:
        """The ExternalSecret is refreshed so often; None where nothing follows from its last refresh being old."""
        of = _Object("ExternalSecret", namespace, name)
        self._set_or_drop("keyferry_refresh_interval_seconds", of, seconds or None)

    def target_missing(self, namespace: str, name: str, *, now: bool) -> None:
        """Whether the Secret that the ExternalSecret asks for is not there."""
        of = _Object("ExternalSecret", namespace, name)
        self._set_or_drop("keyferry_target_missing", of, 1 if now else None)

    def failed(self, kind: str, error: KeyferryError | None) -> None:
        """A reconcile ended in this error, or in none that is worth telling yet."""
        self._families["keyferry_sync_errors_total"].add((kind.lower(), _word(error)))

    def skipped(self, kind: str, namespace: str, name: str, reason: str | None) -> None:
        """The object is left alone for ``reason`` ("controller-class"), or no longer (None)."""
        of = _Object(kind, namespace, name)
        gauge = self._families["keyferry_objects_skipped"]
        before = self._skipped.pop(of, None)
        if before is not None:
            gauge.add((before,), -1)
        if reason is not None:
            self._skipped[of] = reason
            gauge.add((reason,), 1)

    def labelled(self, kind: str, namespace: str, name: str, labels: Mapping[str, str]) -> None:
        """The object's own labels. Series move when they change; without ``extended_labels`` nothing happens."""
        if not self._extended_on:
            return
        of = _Object(kind, namespace, name)
        new = tuple(labels.get(f"app.kubernetes.io/{label}", "") for label in EXTENDED)
        old = self._labels_of(of)
        if new == old:
            return
        for family, series in self._all_of(of):
            if family.labels[-len(old) :] == EXTENDED_LABELS and (value := family.drop(series)) is not None:
                family.set((*series[: -len(old)], *new), value)
        self._extended[of] = new

    def forget(self, kind: str, namespace: str, name: str) -> None:
        """The object is gone: so are all its series."""
        of = _Object(kind, namespace, name)
        for family, series in self._all_of(of):
            family.drop(series)
        self._extended.pop(of, None)
        self.skipped(kind, namespace, name, None)

    def first_sync(self, seconds: float) -> None:
        """An ExternalSecret got its first Secret, so long after its creation."""
        self._histograms["keyferry_time_to_first_sync_seconds"].observe(seconds)

    def refresh_lag(self, seconds: float) -> None:
        """A periodic refresh began so long after it was due."""
        self._histograms["keyferry_refresh_lag_seconds"].observe(seconds)

    # -- stores

    def provider_call(self, provider: str, call: str, status: Literal["success", "error"]) -> None:
        """One API call; ``provider`` and ``call`` as ESO spells them ("HashiCorp/Vault", "ReadSecretData")."""
        self._families["externalsecret_provider_api_calls_count"].add((provider, call, status))

    @contextmanager
    def observe(self, provider: str, call: str) -> Iterator[None]:
        """``with metrics.observe(provider, call):`` is a ``provider_call`` that fails when the block raises."""
        try:
            yield
        except BaseException:
            self.provider_call(provider, call, "error")
            raise
        self.provider_call(provider, call, "success")

    def store_call(self, kind: str, namespace: str, name: str, result: str) -> None:
        """One document or listing was asked of a store; ``result`` is "success" or "error"."""
        self._add("keyferry_provider_calls_total", _Object(kind, namespace, name), 1, result)

    def read_saved(self, kind: str, namespace: str, name: str, how: str, count: int = 1) -> None:
        """Reads of a store that were not necessary; ``how`` is one of the words of ``fetch.health.Counter``."""
        self._add("keyferry_reads_saved_total", _Object(kind, namespace, name), count, how)

    def store_resting(self, kind: str, namespace: str, name: str, *, now: bool) -> None:
        """Whether the store is left alone for a while, because it asked for that or did not answer."""
        self._set("keyferry_store_resting", _Object(kind, namespace, name), 1 if now else 0)

    def credential_expires(self, kind: str, namespace: str, name: str, caller: str, at: float | None) -> None:
        """When the store's credential ends (Unix time); None where it does not, or gets a new life by itself."""
        of = _Object(kind, namespace, name)
        self._set_or_drop("keyferry_store_credential_expiry_timestamp_seconds", of, at, caller)

    # -- the queue and its workers; ``queue`` is the name of a queue, as a rule the kind in lower case

    def queue_added(self, queue: str) -> None:
        """A key came into the queue."""
        self._families["workqueue_adds_total"].add((queue, queue))

    def queue_retried(self, queue: str) -> None:
        """A key came back after a failure."""
        self._families["workqueue_retries_total"].add((queue, queue))

    def queue_waited(self, queue: str, seconds: float) -> None:
        """A worker took a key that had waited so long since it was due."""
        self._histograms["workqueue_queue_duration_seconds"].labels(queue, queue).observe(seconds)

    def queue_worked(self, queue: str, seconds: float) -> None:
        """A worker is done with a key after so long."""
        self._histograms["workqueue_work_duration_seconds"].labels(queue, queue).observe(seconds)

    def queue_depth(self, queue: str, due: int) -> None:
        """Keys that wait for a worker now."""
        self._families["workqueue_depth"].set((queue, queue), due)

    def lane_depth(self, lane: str, due: int) -> None:
        """Keys that wait for a worker now, in one lane."""
        self._families["keyferry_queue_depth"].set((lane,), due)

    def oldest_overdue(self, seconds: float) -> None:
        """How long the oldest due key has been waiting; 0 where none is due."""
        self._families["keyferry_oldest_overdue_seconds"].set((), seconds)

    def longest_work(self, queue: str, seconds: float) -> None:
        """For how long the key that has been in work longest has been."""
        self._families["workqueue_longest_running_processor_seconds"].set((queue, queue), seconds)

    def hot_loops(self, count: int) -> None:
        """ExternalSecrets that are held back because events called for syncs over and over."""
        self._families["keyferry_hot_loops"].set((), count)

    def workers(self, controller: str, *, busy: int, limit: int) -> None:
        """Workers at work, and how many there are."""
        self._families["controller_runtime_active_workers"].set((controller,), busy)
        self._families["controller_runtime_max_concurrent_reconciles"].set((controller,), limit)

    # -- the process

    def api_request(self, method: str, code: int | str, host: str) -> None:
        """One request to the API server; ``code`` is the HTTP status, or "<error>" where there was no answer."""
        self._families["rest_client_requests_total"].add((str(code), method, host))

    def watch_restarted(self, resource: str, reason: str) -> None:
        """A watch had to be opened again; ``reason`` is one of a few words."""
        self._families["keyferry_watch_restarts_total"].add((resource, reason))

    def leader(self, lease: str, *, leading: bool) -> None:
        """Whether this process holds the Lease."""
        self._families["leader_election_master_status"].set((lease,), 1 if leading else 0)

    def loop_lag(self, seconds: float) -> None:
        """How late the event loop woke a sleeper."""
        self._families["keyferry_event_loop_lag_seconds"].set((), seconds)

    # -- reading

    def before_scrape(self, callback: Callable[[], None]) -> None:
        """Call this before every scrape, in the event loop's thread: the place to set gauges of the moment."""
        self._before_scrape.append(callback)

    def refresh(self) -> None:
        """Run the callbacks of ``before_scrape``."""
        for callback in self._before_scrape:
            callback()

    def render(self) -> bytes:
        """All metrics in Prometheus' text format 0.0.4. May run in another thread than the writers."""
        lines = [line for family in self._families.values() for line in family.render()]
        lines.extend(render_registry(self.registry))
        return "".join(lines).encode()

    def value(self, metric: str, **labels: str) -> float | None:
        """One sample, None where there is none; histograms by ``<name>_count``, ``<name>_sum``, ``<name>_bucket``."""
        family = self._families.get(metric)
        if family is None:
            return self.registry.get_sample_value(metric, labels)
        return family.get(tuple(labels.get(label, "") for label in family.labels))

    # -- inside

    def _declare(self, described: Described) -> None:
        if described.type == "histogram":
            self._histograms[described.name] = Histogram(
                described.name, described.help, described.labels, buckets=described.buckets, registry=self.registry
            )
            return
        labels = described.labels + (EXTENDED_LABELS if described.extended and self._extended_on else ())
        self._families[described.name] = Family(described.name, described.type, labels, described.help)

    def _labels_of(self, of: _Object) -> tuple[str, ...]:
        return self._extended.get(of, ("",) * len(EXTENDED))

    def _series_of(self, metric: str, of: _Object, *more: str) -> tuple[Family, tuple[str, ...]]:
        self._tails.setdefault(of.kind, {})[metric, more] = None
        family = self._families[metric]
        named = of if family.labels[0] == "kind" else (of.name, of.namespace)
        series = (*named, *more)
        if len(family.labels) > len(series):
            series += self._labels_of(of)
        return family, series

    def _all_of(self, of: _Object) -> list[tuple[Family, tuple[str, ...]]]:
        """Every series that the object may have."""
        return [self._series_of(metric, of, *more) for metric, more in tuple(self._tails.get(of.kind, ()))]

    def _set(self, metric: str, of: _Object, value: float, *more: str) -> None:
        family, series = self._series_of(metric, of, *more)
        family.set(series, value)

    def _set_or_drop(self, metric: str, of: _Object, value: float | None, *more: str) -> None:
        if value is not None:
            self._set(metric, of, value, *more)
            return
        family, series = self._series_of(metric, of, *more)
        family.drop(series)

    def _add(self, metric: str, of: _Object, amount: float, *more: str) -> None:
        family, series = self._series_of(metric, of, *more)
        family.add(series, amount)


def _word(error: KeyferryError | None) -> str:
    """The kind of error as a label: "not-there". Of a kind of its own, it is the nearest of ``keyferry.errors``."""
    if error is None:
        return "pending"
    known = next(each for each in type(error).__mro__ if each.__module__ == KeyferryError.__module__)
    return re.sub(r"(?<!^)(?=[A-Z])", "-", known.__name__).lower()
