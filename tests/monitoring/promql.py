"""PromQL over recorded samples, as far as the rules and the dashboard use it; everything else is refused.

Texts are read by a parser of their own (``promql-parser``), so that what is wrong in Prometheus is wrong here. Meaning
follows Prometheus 3: windows are open on the left, an instant looks back five minutes.
"""

from __future__ import annotations

import math
import operator
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

import promql_parser as pp

Labels = frozenset[tuple[str, str]]
Points = list[tuple[float, float | None]]
"""Moments in seconds with values, in order; None where the series went away."""
Series = dict[Labels, Points]
Vector = dict[Labels, float]

_NAME = "__name__"
_LOOKBACK = 300.0
_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: a / b if b else math.nan if not a or math.isnan(a) else math.copysign(math.inf, a),
}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
_AGGREGATES: dict[str, Callable[[list[float]], float]] = {
    "sum": math.fsum,
    "max": max,
    "min": min,
    "avg": lambda values: math.fsum(values) / len(values),
    "count": len,
}


class NotServed(Exception):
    """PromQL that the rules had no need of so far."""


def labels_of(given: Mapping[str, str], name: str = "") -> Labels:
    """Labels as they are kept: an empty one is none."""
    return frozenset((key, value) for key, value in {**given, _NAME: name or given.get(_NAME, "")}.items() if value)


def evaluate(text: str, series: Series, at: float) -> Vector | float:
    """The value of an expression at a moment. Raises ``ValueError`` where it is no PromQL, ``NotServed``."""
    return Evaluation(series, at).of(pp.parse(text))


class Evaluation:
    """Of expressions at one moment."""

    def __init__(self, series: Series, at: float) -> None:
        self._series = series
        self._at = at

    def of(self, node: Any) -> Vector | float:
        """The value of a parsed expression."""
        match type(node).__name__:
            case "NumberLiteral":
                return float(node.val)
            case "ParenExpr":
                return self.of(node.expr)
            case "VectorSelector":
                found = ((labels, self._last(points)) for labels, points in self._select(node))
                return {labels: value for labels, value in found if value is not None}
            case "AggregateExpr":
                return self._aggregate(node)
            case "BinaryExpr":
                return self._binary(node)
            case "Call":
                return self._call(node)
            case other:
                raise NotServed(other)

    def vector(self, node: Any) -> Vector:
        """The value of an expression that is a vector."""
        value = self.of(node)
        if isinstance(value, float):
            raise NotServed("a scalar where a vector is wanted")
        return value

    # -- selectors

    def _select(self, node: Any) -> Iterable[tuple[Labels, Points]]:
        if node.offset or node.at or node.matchers.or_matchers:
            raise NotServed("offset, @ and alternatives of matchers")
        for labels, points in self._series.items():
            found = dict(labels)
            if (not node.name or found.get(_NAME) == node.name) and all(
                _matches(each, found.get(each.name, "")) for each in node.matchers.matchers
            ):
                yield labels, points

    def _last(self, points: Points) -> float | None:
        index = bisect_right(points, self._at, key=lambda point: point[0])
        if not index or points[index - 1][0] <= self._at - _LOOKBACK:
            return None
        return points[index - 1][1]

    def _windows(self, node: Any, at_least: int) -> Iterable[tuple[Labels, list[tuple[float, float]]]]:
        start = self._at - node.range.total_seconds()
        for labels, points in self._select(node.vector_selector):
            window = [(when, value) for when, value in points if start < when <= self._at and value is not None]
            if len(window) >= at_least:
                yield labels - {(_NAME, dict(labels).get(_NAME, ""))}, window

    # -- functions

    def _call(self, node: Any) -> Vector | float:
        name, args = node.func.name, node.args
        match name:
            case "time":
                return self._at
            case "vector":
                return {labels_of({}): float(args[0].val)}
            case "absent":
                return self._absent(args[0])
            case "rate" | "increase" | "delta":
                span = args[0].range.total_seconds()
                windows = self._windows(args[0], 2)
                return {
                    labels: self._change(window, span, counter=name != "delta") / (span if name == "rate" else 1.0)
                    for labels, window in windows
                }
            case "changes":
                return {
                    labels: float(sum(a[1] != b[1] for a, b in pairwise(window)))
                    for labels, window in self._windows(args[0], 1)
                }
            case "avg_over_time" | "max_over_time":
                fold = _AGGREGATES[name.removesuffix("_over_time")]
                return {labels: fold([v for _, v in window]) for labels, window in self._windows(args[0], 1)}
            case "histogram_quantile":
                quantile = self.of(args[0])
                if not isinstance(quantile, float):
                    raise NotServed("a quantile that is a vector")
                return _quantiles(quantile, self.vector(args[1]))
            case "clamp_min":
                least = self.of(args[1])
                if not isinstance(least, float):
                    raise NotServed("a bound that is a vector")
                return {_unnamed(labels): max(least, value) for labels, value in self.vector(args[0]).items()}
            case _:
                raise NotServed(name)

    def _absent(self, node: Any) -> Vector:
        if self.vector(node):
            return {}
        equals = (each for each in node.matchers.matchers if each.op == pp.MatchOp.Equal)
        return {labels_of({each.name: each.value for each in equals}): 1.0}

    def _change(self, window: list[tuple[float, float]], span: float, *, counter: bool) -> float:
        """The increase over the whole window, extrapolated from its samples to its ends as Prometheus does it."""
        (first_at, first), (last_at, last) = window[0], window[-1]
        change = last - first
        if counter:
            # A counter that is lower than before has begun anew.
            change += sum(a for (_, a), (_, b) in pairwise(window) if b < a)
        sampled = last_at - first_at
        between = sampled / (len(window) - 1)
        before, after = first_at - (self._at - span), self._at - last_at
        before = between / 2 if before >= between * 1.1 else before
        after = between / 2 if after >= between * 1.1 else after
        if counter and change > 0 and first >= 0:
            before = min(before, sampled * first / change)
        return change * (sampled + before + after) / sampled

    # -- operators

    def _aggregate(self, node: Any) -> Vector:
        kind, given = str(node.op), self.vector(node.expr)
        if kind == "topk":
            ranked = sorted(given.items(), key=lambda item: -item[1])
            if node.modifier is not None:
                raise NotServed("topk of groups")
            return dict(ranked[: int(node.param.val)])
        if kind not in _AGGREGATES:
            raise NotServed(kind)
        by = frozenset(node.modifier.labels) if node.modifier is not None else frozenset[str]()
        if node.modifier is not None and node.modifier.type != pp.AggModifierType.By:
            raise NotServed("without")
        groups: dict[Labels, list[float]] = defaultdict(list)
        for labels, value in given.items():
            groups[frozenset(pair for pair in labels if pair[0] in by)].append(value)
        return {labels: float(_AGGREGATES[kind](values)) for labels, values in groups.items()}

    def _binary(self, node: Any) -> Vector | float:
        kind, left, right = str(node.op), self.of(node.lhs), self.of(node.rhs)
        matching = node.modifier.matching if node.modifier is not None else None
        if node.modifier is not None and (node.modifier.group_labels is not None or node.modifier.return_bool):
            raise NotServed("group_left, group_right and bool")

        def key(labels: Labels) -> Labels:
            if matching is None:
                return _unnamed(labels)
            named = frozenset(matching.labels)
            if matching.type == pp.LabelModifierType.Include:
                return frozenset(pair for pair in labels if pair[0] in named)
            return frozenset(pair for pair in _unnamed(labels) if pair[0] not in named)

        if isinstance(left, float) and isinstance(right, float):
            return _ARITHMETIC[kind](left, right)
        if isinstance(left, float) or isinstance(right, float):
            return _with_scalar(kind, left, right)
        if kind in {"and", "unless", "or"}:
            theirs = {key(labels) for labels in right}
            if kind == "or":
                ours = {key(labels) for labels in left}
                return left | {labels: value for labels, value in right.items() if key(labels) not in ours}
            return {labels: value for labels, value in left.items() if (key(labels) in theirs) == (kind == "and")}
        if str(node.modifier.card if node.modifier else "OneToOne").rpartition(".")[2] != "OneToOne":
            raise NotServed("matching of many")
        return _matched(kind, left, right, key, keeps=matching is None)


def _with_scalar(kind: str, left: Vector | float, right: Vector | float) -> Vector:
    given = right if isinstance(left, float) else left
    assert isinstance(given, dict)

    def sides(value: float) -> tuple[float, float]:
        return (left, value) if isinstance(left, float) else (value, right if isinstance(right, float) else math.nan)

    if kind in _COMPARISONS:
        return {labels: value for labels, value in given.items() if _COMPARISONS[kind](*sides(value))}
    return {_unnamed(labels): _ARITHMETIC[kind](*sides(value)) for labels, value in given.items()}


def _matched(kind: str, left: Vector, right: Vector, key: Callable[[Labels], Labels], *, keeps: bool) -> Vector:
    by_key = {key(labels): value for labels, value in right.items()}
    if len(by_key) < len(right) or len({key(labels) for labels in left}) < len(left):
        raise ValueError("many-to-many matching not allowed: matching labels must be unique on one side")
    result: Vector = {}
    for labels, value in left.items():
        other = by_key.get(key(labels))
        if other is None:
            continue
        if kind in _ARITHMETIC:
            result[key(labels)] = _ARITHMETIC[kind](value, other)
        elif _COMPARISONS[kind](value, other):
            result[labels if keeps else key(labels)] = value
    return result


def _matches(matcher: Any, value: str) -> bool:
    op = matcher.op
    if op in (pp.MatchOp.Equal, pp.MatchOp.NotEqual):
        return bool((value == matcher.value) == (op == pp.MatchOp.Equal))
    return bool((re.fullmatch(matcher.value, value) is not None) == (op == pp.MatchOp.Re))


def _unnamed(labels: Labels) -> Labels:
    return frozenset(pair for pair in labels if pair[0] != _NAME)


def _quantiles(quantile: float, buckets: Vector) -> Vector:
    """``histogram_quantile``: linear within the bucket that holds the rank; the last finite bound for the open one."""
    groups: dict[Labels, list[tuple[float, float]]] = defaultdict(list)
    for labels, count in buckets.items():
        bound = float(dict(labels).get("le", "nan"))
        groups[frozenset(pair for pair in _unnamed(labels) if pair[0] != "le")].append((bound, count))
    found: Vector = {}
    for labels, counts in groups.items():
        counts.sort()
        rank = quantile * counts[-1][1]
        index = next((number for number, (_, count) in enumerate(counts) if count >= rank), len(counts) - 1)
        lower, below = counts[index - 1] if index else (0.0, 0.0)
        bound, upto = counts[index]
        if counts[-1][1] == 0:
            found[labels] = math.nan
        elif math.isinf(bound):
            found[labels] = counts[-2][0]
        else:
            found[labels] = lower + (bound - lower) * (rank - below) / (upto - below)
    return found
