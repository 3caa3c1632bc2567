"""Scrapes of a running operator, kept as Prometheus keeps them, and the queries of the dashboard."""

from __future__ import annotations

import json
import time

from tests.monitoring.promql import Series, labels_of
from tests.monitoring.ruletest import series_labels
from tests.support.operator import Operator
from tests.support.processes import ROOT

DASHBOARD = json.loads((ROOT / "charts" / "keyferry" / "dashboards" / "keyferry.json").read_text("utf-8"))
TARGETS = [(panel["title"], target) for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
"""Title of the panel, and one of its queries."""


def concrete(expression: str, namespace: str, *, window: str = "5m") -> str:
    """A query of the dashboard as Grafana sends it with one namespace chosen."""
    return expression.replace("$namespace", namespace).replace("$__rate_interval", window)


class Scrapes:
    """What Prometheus would have kept of a process: samples with the labels of the target."""

    def __init__(self, operator: Operator, namespace: str) -> None:
        self._operator = operator
        self.namespace = namespace
        self.series: Series = {}
        self.at = 0.0

    def scrape(self) -> str:
        """Take a scrape at this moment; its text."""
        text = self._operator.get("metrics", "/metrics")[1]
        self.at = time.time()
        fresh = {}
        for line in text.splitlines():
            if not line.startswith("#"):
                # The client library's parser renames counters that do not end in _total.
                series, _, sample = line.rpartition(" ")
                own = dict(series_labels(series))
                fresh[labels_of({"job": "keyferry", "instance": "127.0.0.1:8080", **own})] = float(sample)
        for labels, points in self.series.items():
            if labels not in fresh and points[-1][1] is not None:
                points.append((self.at, None))
        for labels, value in fresh.items():
            self.series.setdefault(labels, []).append((self.at, value))
        return text
