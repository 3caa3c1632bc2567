"""Families of counters and gauges under exactly the names they are given, and the text that Prometheus scrapes.

``prometheus_client`` appends ``_total`` to every counter and adds ``_created``; ESO's dashboards ask for
``externalsecret_sync_calls_error``. It also renders a sample in microseconds that count when 5,000 objects have ten
each. Its histograms, and what it knows of the process, are used as they are.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from typing import Literal

from prometheus_client import CollectorRegistry

# OpenMetrics insists on _total; the older text format, which is what ESO serves as well, does not.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


class Family:
    """All series of one counter or gauge. Series are addressed by their label values, in the order of ``labels``.

    Safe to be used from several threads.
    """

    def __init__(self, name: str, kind: Literal["counter", "gauge"], labels: Sequence[str], help_text: str) -> None:
        self.name = name
        self.kind = kind
        self.labels = tuple(labels)
        self.help = help_text
        self._values: dict[tuple[str, ...], float] = {}
        self._lock = threading.Lock()

    def add(self, series: tuple[str, ...], amount: float = 1.0) -> None:
        """Count."""
        self._check(series)
        with self._lock:
            self._values[series] = self._values.get(series, 0.0) + amount

    def set(self, series: tuple[str, ...], value: float) -> None:
        """Set a gauge."""
        self._check(series)
        with self._lock:
            self._values[series] = value

    def drop(self, series: tuple[str, ...]) -> float | None:
        """Forget a series; its last value, or None where there was none."""
        with self._lock:
            return self._values.pop(series, None)

    def get(self, series: tuple[str, ...]) -> float | None:
        """The value of a series, None where there is none."""
        with self._lock:
            return self._values.get(series)

    def items(self) -> list[tuple[tuple[str, ...], float]]:
        """A copy of all series."""
        with self._lock:
            return list(self._values.items())

    def render(self) -> Iterable[str]:
        """The family in Prometheus' text format, line by line; nothing where there is no series."""
        items = self.items()
        if not items:
            return
        yield from _head(self.name, self.kind, self.help)
        for series, value in items:
            yield f"{self.name}{_braces(self.labels, series)} {_number(value)}\n"

    def _check(self, series: tuple[str, ...]) -> None:
        if len(series) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {', '.join(self.labels) or 'none'}")


def render_registry(registry: CollectorRegistry) -> Iterable[str]:
    """What ``prometheus_client`` collects, in the same text format and without its ``_created`` series."""
    for metric in registry.collect():
        counter = metric.type == "counter"
        samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
        if samples:
            yield from _head(metric.name + "_total" if counter else metric.name, metric.type, metric.documentation)
        for sample in samples:
            braces = _braces(tuple(sample.labels), tuple(sample.labels.values()))
            yield f"{sample.name}{braces} {_number(sample.value)}\n"


def _head(name: str, kind: str, help_text: str) -> Iterable[str]:
    yield f"# HELP {name} {help_text.translate(_HELP_ESCAPES)}\n"
    yield f"# TYPE {name} {kind}\n"


def _braces(labels: tuple[str, ...], series: tuple[str, ...]) -> str:
    if not labels:
        return ""
    pairs = ",".join(f'{label}="{value.translate(_ESCAPES)}"' for label, value in zip(labels, series, strict=True))
    return f"{{{pairs}}}"


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(float(value))
