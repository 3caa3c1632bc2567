"""Runs test files of ``promtool test rules`` without promtool: the part of their format that the files here use.

Rules are evaluated once per interval, groups in the order in which the test file names them; an alert fires once its
expression has held for as long as its ``for`` says. Templates of annotations: labels, the value, ``with`` over a label,
and Prometheus' functions that the rules use.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.monitoring.promql import Labels, Points, Series, Vector, evaluate, labels_of

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_VALUE = re.compile(r"(?P<first>-?[\d.e]+)(?:(?P<step>[+-][\d.e]+))?(?:x(?P<times>\d+))?$")
_SERIES = re.compile(r"(?P<name>[\w:]*)(?:\{(?P<labels>.*)\})?$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_WITH = re.compile(r"\{\{ with \$labels\.(\w+) \}\}(.*?)\{\{ end \}\}")
_ACTION = re.compile(
    r"\{\{ (?:\$labels\.(?P<label>\w+)|\$value(?: \| (?P<function>\w+)(?: \"(?P<form>[^\"]+)\")?)?) \}\}"
)

Rules = list[dict[str, Any]]
"""``groups`` of rule files."""


@dataclass
class Alert:
    """An alert of one rule: its labels and annotations, as ``promtool`` compares them."""

    name: str
    labels: dict[str, str]
    annotations: dict[str, str]


@dataclass
class World:
    """Series of one test, as far as time has come."""

    given: Series
    known: Series = field(default_factory=dict)
    since: dict[tuple[str, Labels], float] = field(default_factory=dict)
    firing: list[Alert] = field(default_factory=list)


def seconds(text: str) -> float:
    """A duration of Prometheus, such as 1h30m."""
    parts = re.findall(r"(\d+)([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text} is no duration")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def series_labels(text: str) -> Labels:
    """The labels of ``name{label="value"}``."""
    found = _SERIES.match(text)
    if found is None:
        raise ValueError(f"{text} is no series")
    return labels_of(dict(_LABEL.findall(found["labels"] or "")), found["name"])


def points(text: str, interval: float) -> Points:
    """The samples of ``0+1x5 _x2 stale``, one per interval."""
    values: list[float | str | None] = []
    for part in text.split():
        if part.startswith("_"):
            values += ["_"] * int(part[2:] or 1)
        elif part == "stale":
            values.append(None)
        else:
            found = _VALUE.match(part)
            if found is None:
                raise ValueError(f"{part} is no value")
            first, step = float(found["first"]), float(found["step"] or 0)
            values += [first + step * number for number in range(int(found["times"] or 0) + 1)]
    moments = enumerate(values)
    return [(number * interval, value) for number, value in moments if not isinstance(value, str)]


@cache
def loaded_file(path: Path) -> Mapping[str, Any]:
    """The content of a test file; not to be changed."""
    content: Mapping[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return content


def load_rules(files: list[Path]) -> Rules:
    """The groups of rule files."""
    return [group for path in files for group in yaml.safe_load(path.read_text("utf-8"))["groups"]]


def problems(path: Path, rules: Rules | None = None, *, only: str | None = None) -> list[str]:
    """What a test file expects and does not find.

    ``rules`` take the place of those that it names; with ``only``, its tests are run as far as they name this alert.
    """
    file = loaded_file(path)
    loaded = rules if rules is not None else load_rules([path.parent / name for name in file["rule_files"]])
    order = {name: number for number, name in enumerate(file.get("group_eval_order", ()))}
    loaded = sorted(loaded, key=lambda group: order.get(group["name"], len(order)))
    step = seconds(file["evaluation_interval"])
    tests = [narrowed(test, only) for test in file["tests"]]
    return [problem for test in tests if test for problem in _test(test, loaded, step)]


def narrowed(test: Mapping[str, Any], alert: str | None) -> dict[str, Any]:
    """A test as far as it names this alert, None for any; empty where it does not."""
    if alert is None:
        return dict(test)
    checks = [each for each in test.get("alert_rule_test", ()) if each["alertname"] == alert]
    return {**test, "alert_rule_test": checks, "promql_expr_test": []} if checks else {}


def _test(test: Mapping[str, Any], rules: Rules, step: float) -> Iterator[str]:
    interval = seconds(test["interval"])
    world = World({series_labels(each["series"]): points(each["values"], interval) for each in test["input_series"]})
    alerts, expressions = test.get("alert_rule_test", ()), test.get("promql_expr_test", ())
    end = max(seconds(each["eval_time"]) for each in (*alerts, *expressions))
    for number in range(int(end / step) + 1):
        at = number * step
        advance(world, rules, at)
        for each in (each for each in alerts if seconds(each["eval_time"]) == at):
            yield from _compare_alerts(test["name"], each, world)
        for each in (each for each in expressions if seconds(each["eval_time"]) == at):
            yield from _compare_samples(test["name"], each, evaluate(each["expr"], world.known, at))


def advance(world: World, rules: Rules, at: float) -> None:
    """Take in the samples up to a moment and evaluate every rule."""
    for labels, given in world.given.items():
        world.known[labels] = [point for point in given if point[0] <= at]
    world.firing = []
    for rule in (rule for group in rules for rule in group["rules"]):
        found = evaluate(rule["expr"], world.known, at)
        vector = found if isinstance(found, dict) else {labels_of({}): found}
        if "record" in rule:
            _record(world, rule["record"], vector, at)
        else:
            world.firing += _alerts(world, rule, vector, at)


def _record(world: World, name: str, vector: Vector, at: float) -> None:
    fresh = {labels_of(dict(labels), name): value for labels, value in vector.items()}
    for labels in (labels for labels in world.known if dict(labels)["__name__"] == name and labels not in fresh):
        world.known[labels].append((at, None))
    for labels, value in fresh.items():
        world.known.setdefault(labels, []).append((at, value))


def _alerts(world: World, rule: Mapping[str, Any], vector: Vector, at: float) -> Iterator[Alert]:
    name, wait = rule["alert"], seconds(rule.get("for", "0s"))
    for gone in [key for key in world.since if key[0] == name and key[1] not in vector]:
        del world.since[gone]
    for labels, value in vector.items():
        since = world.since.setdefault((name, labels), at)
        if at - since >= wait:
            bare = {key: text for key, text in labels if key != "__name__"}
            told = {key: expand(text, bare, value) for key, text in rule["annotations"].items()}
            yield Alert(name, {**bare, **rule.get("labels", {})}, told)


def _compare_alerts(test: str, wanted: Mapping[str, Any], world: World) -> Iterator[str]:
    found = [(each.labels, each.annotations) for each in world.firing if each.name == wanted["alertname"]]
    expected = [
        (each.get("exp_labels") or {}, each.get("exp_annotations") or {}) for each in wanted.get("exp_alerts") or ()
    ]
    where = f"{test}, {wanted['alertname']} at {wanted['eval_time']}"
    yield from (f"{where}: missing {each}" for each in expected if each not in found)
    yield from (f"{where}: unexpected {each}" for each in found if each not in expected)


def _compare_samples(test: str, wanted: Mapping[str, Any], found: Vector | float) -> Iterator[str]:
    vector = found if isinstance(found, dict) else {labels_of({}): found}
    expected = {series_labels(each["labels"]): float(each["value"]) for each in wanted.get("exp_samples") or ()}
    close = all(math.isclose(expected[labels], vector.get(labels, math.nan), rel_tol=1e-9) for labels in expected)
    if not close or expected.keys() != vector.keys():
        yield f"{test}, {wanted['expr']} at {wanted['eval_time']}: {vector}, not {expected}"


def expand(text: str, labels: Mapping[str, str], value: float) -> str:
    """An annotation's template over the labels and the value of an alert."""

    def optional(found: re.Match[str]) -> str:
        label = labels.get(found[1], "")
        return found[2].replace("{{ . }}", label) if label else ""

    def action(found: re.Match[str]) -> str:
        if found["label"]:
            return labels.get(found["label"], "")
        match found["function"]:
            case None:
                return f"{value:g}"
            case "humanizeDuration":
                return humanized(value)
            case "humanizePercentage":
                return f"{value * 100:.4g}%"
            case "printf":
                return str(found["form"] % value)
            case other:
                raise ValueError(f"{other} is not served")

    done = _ACTION.sub(action, _WITH.sub(optional, text))
    if "{{" in done:
        raise ValueError(f"{done}: a template that is not served")
    return done.strip()


def humanized(value: float) -> str:
    """``humanizeDuration``: seconds as days, hours, minutes and seconds; below a second with metric prefixes."""
    if value and abs(value) < 1:
        power = max(1, math.ceil(-math.log10(abs(value)) / 3))
        return f"{value * 1000**power:.4g}{['', 'm', 'u', 'n'][power]}s"
    sign, rest = "-" if value < 0 else "", abs(value)
    days, hours, minutes = int(rest // 86400), int(rest // 3600 % 24), int(rest // 60 % 60)
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {int(rest % 60)}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {int(rest % 60)}s"
    if minutes:
        return f"{sign}{minutes}m {int(rest % 60)}s"
    return f"{sign}{rest:.4g}s"
