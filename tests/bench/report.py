"""Figures as a table and as JSON, with the machine beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.stage import Figures, Size


@dataclass(frozen=True, slots=True)
class Result:
    """One scenario: what it is, how large it was, and the figures of each contender by its name."""

    scenario: str
    about: str
    size: Size
    figures: Mapping[str, Figures]

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        size = {"objects": self.size.objects, "interval_s": self.size.interval, "seconds": self.size.seconds}
        return {"scenario": self.scenario, "about": self.about, **size, "figures": dict(self.figures)}


def table(result: Result) -> str:
    """One line per figure, one column per contender; beside two, the ratio of the first to the second."""
    contenders = list(result.figures)
    names = list(dict.fromkeys(name for figures in result.figures.values() for name in figures))
    heading = [f"{result.scenario}, {result.size.objects} objects", *contenders]
    if len(contenders) == 2:
        heading.append("ratio")
    rows = [heading]
    for name in names:
        values = [result.figures[each].get(name) for each in contenders]
        row = [f"  {name}", *("-" if value is None else _short(value) for value in values)]
        if len(contenders) == 2:
            first, second = values
            row.append(f"{first / second:.2f}" if first is not None and second else "-")
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
    lines = [_line(row, widths) for row in rows]
    return "\n".join((result.about, *lines, ""))


def document(results: Sequence[Result], beside: Mapping[str, Any]) -> str:
    """Everything of a run, as JSON."""
    return json.dumps({**beside, "results": [each.as_json() for each in results]}, indent=2) + "\n"


def _short(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:.3g}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (
        cell.ljust(width) if number == 0 else cell.rjust(max(width, 10))
        for number, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join((first, *rest)).rstrip()
