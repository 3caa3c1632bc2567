"""Which metrics and labels an expression names, held against the catalogue."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import promql_parser as pp

from keyferry.telemetry.catalogue import CATALOGUE, EXTENDED_LABELS

_OF_TARGET = frozenset({"job", "instance"})
"""Labels that Prometheus gives every series of a target."""
_OF_LIBRARY = frozenset({"process_start_time_seconds", "process_cpu_seconds_total", "process_resident_memory_bytes"})
"""Series that come with the client library; the scrapes of the cluster tests show that they do."""


class Unknown(Exception):
    """An expression asks for something that no scrape holds."""


def known() -> dict[str, frozenset[str]]:
    """The series that there can be, by name, with their labels."""
    found = {name: frozenset[str]() for name in _OF_LIBRARY}
    for each in CATALOGUE:
        labels = frozenset(each.labels) | (frozenset(EXTENDED_LABELS) if each.extended else frozenset())
        if each.type == "histogram":
            found |= {f"{each.name}_sum": labels, f"{each.name}_count": labels, f"{each.name}_bucket": labels | {"le"}}
        else:
            found[each.name] = labels
    return found


def metrics_in(node: Any) -> Iterator[Any]:
    """Every selector of a parsed expression."""
    match type(node).__name__:
        case "VectorSelector":
            yield node
        case "MatrixSelector":
            yield node.vector_selector
        case "Call":
            for argument in node.args:
                yield from metrics_in(argument)
        case "BinaryExpr":
            yield from metrics_in(node.lhs)
            yield from metrics_in(node.rhs)
        case "AggregateExpr" | "ParenExpr":
            yield from metrics_in(node.expr)


def check_names(text: str, *, recorded: Collection[str]) -> None:
    """Raises ``Unknown`` for a metric that is neither in the catalogue nor recorded, and for a label it cannot have."""
    catalogue = known()
    parsed = pp.parse(text)
    labels: set[str] = set()
    for selector in metrics_in(parsed):
        if selector.name in recorded:
            labels |= {"namespace", "name", "kind", "controller", "reason"}
            continue
        if selector.name not in catalogue:
            raise Unknown(selector.name)
        own = catalogue[selector.name] | _OF_TARGET
        wrong = {each.name for each in selector.matchers.matchers} - own
        if wrong:
            raise Unknown(f"{selector.name} has no label {', '.join(sorted(wrong))}")
        labels |= own
    grouped = {label for group in _groups(parsed) for label in group}
    if grouped - labels - {"namespace"}:
        raise Unknown(f"no metric here has {', '.join(sorted(grouped - labels))}")


def _groups(node: Any) -> Iterator[list[str]]:
    match type(node).__name__:
        case "AggregateExpr":
            yield node.modifier.labels if node.modifier is not None else []
            yield from _groups(node.expr)
        case "BinaryExpr":
            matching = node.modifier.matching if node.modifier is not None else None
            yield matching.labels if matching is not None else []
            yield from _groups(node.lhs)
            yield from _groups(node.rhs)
        case "ParenExpr":
            yield from _groups(node.expr)
        case "Call":
            for argument in node.args:
                yield from _groups(argument)
