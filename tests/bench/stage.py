"""What every scenario stands on: the cluster, the provider double, one contender; and windows to measure in."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.cluster import Cluster
from tests.bench.contender import Contender, Usage
from tests.bench.double import Call, Double
from tests.bench.fleet import Fleet

Figures = dict[str, float]
"""Figures by name, each with its unit, in the order in which they are shown."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a scenario is run. ``seconds``: how long it is looked at where nothing ends by itself."""

    objects: int
    interval: float
    """Seconds between two refreshes of one object."""
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One contender's turn in one scenario."""

    cluster: Cluster
    double: Double
    command: str
    folder: Path
    size: Size
    seed: int
    prefix: str = field(default_factory=lambda: f"bench-{next(_numbers)}")

    def fleet(self) -> Fleet:
        """Nothing yet, to be entered."""
        return Fleet(self.cluster, self.double.url, self.prefix)

    def contender(self) -> Contender:
        """The operator, to be started by entering it."""
        return Contender(self.command, kubeconfig=self.cluster.kubeconfig, log=self.folder / f"{self.prefix}.log")

    async def window(self, fleet: Fleet, contender: Contender | None = None) -> Window:
        """A window that begins now; without a contender, one whose CPU counts from the start of the next."""
        usage = contender.usage() if contender else Usage(0.0, 0.0, 0.0)
        requests = await self.cluster.requests()
        return Window(self, fleet, usage, requests, len(self.double.calls), fleet.seen.events, time.monotonic())


@dataclass(frozen=True, slots=True)
class Window:
    """What has happened since a moment."""

    stage: Stage
    fleet: Fleet
    usage: Usage
    before: Counter[str]
    calls: int
    events: int
    began: float

    @property
    def seconds(self) -> float:
        """How long it has been open."""
        return time.monotonic() - self.began

    def reads(self) -> list[Call]:
        """Secrets that the provider was asked for."""
        return self.stage.double.reads(self.calls)

    def all_calls(self) -> list[Call]:
        """Everything that the provider was asked."""
        return self.stage.double.calls[self.calls :]

    def rewritten(self) -> int:
        """Changes of Secrets and ExternalSecrets that were in step before."""
        return self.fleet.seen.events - self.events

    def cpu(self, contender: Contender) -> float:
        """CPU seconds of the contender."""
        return contender.usage().cpu - self.usage.cpu

    async def requests(self) -> Mapping[str, int]:
        """``reads`` and ``writes`` at the API server."""
        now = await self.stage.cluster.requests()
        return {name: now[name] - self.before[name] for name in ("reads", "writes")}


def percentiles(values: Iterable[float], unit: str, *, what: str, scale: float = 1.0) -> Figures:
    """The 50th and 99th percentile and the greatest, by nearest rank."""
    ordered = sorted(value * scale for value in values)
    if not ordered:
        return {}

    def at(part: float) -> float:
        return ordered[math.ceil(part * len(ordered)) - 1]

    return {
        f"{what} p50, {unit}": at(0.5),
        f"{what} p99, {unit}": at(0.99),
        f"{what} max, {unit}": ordered[-1],
    }
