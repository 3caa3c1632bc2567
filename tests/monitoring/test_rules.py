"""The rules say what they are meant to, in Prometheus' own tester where it is on the PATH, and here in any case."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from keyferry.telemetry.catalogue import CATALOGUE
from tests.monitoring.names import Unknown, check_names
from tests.monitoring.promql import NotServed, Series, evaluate, labels_of
from tests.monitoring.ruletest import Rules, load_rules, loaded_file, narrowed, problems, seconds
from tests.support.processes import ROOT

RULES = sorted((ROOT / "charts" / "keyferry" / "rules").glob("*.yaml"))
TESTS = sorted(Path(__file__).parent.glob("*.test.yaml"))
LOADED = load_rules(RULES)
ALERTS = [rule for group in LOADED for rule in group["rules"] if "alert" in rule]
RECORDED = [rule for group in LOADED for rule in group["rules"] if "record" in rule]
_NUMBER = re.compile(r"(?<![\w.:])(?!0(?![.\d]))\d+(?:\.\d+)?(?![\w.])")
_QUOTED = re.compile(r'"[^"]*"|\[[^\]]*\]')
_FLIPPED = {">": "<", "<": ">", "==": "!=", ">=": "<="}


def promtool(files: list[Path]) -> list[bool] | None:
    """Whether Prometheus' own tester is content with each test file; None where it is not installed."""
    tool = shutil.which("promtool")
    if tool is None:
        return None
    command = [tool, "test", "rules", *map(str, files)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100, check=False
    )
    return ["FAILED" not in part for part in done.stdout.split("Unit Testing:")[1:]]


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_rules_do_what_their_tests_say(path: Path) -> None:
    assert problems(path) == []
    assert promtool([path]) in (None, [True])


def test_every_alert_is_seen_to_fire_and_to_stay_quiet() -> None:
    checks = [
        check for path in TESTS for test in loaded_file(path)["tests"] for check in test.get("alert_rule_test", ())
    ]
    fires = {each["alertname"] for each in checks if each.get("exp_alerts")}
    quiet = {each["alertname"] for each in checks if not each.get("exp_alerts")}
    assert fires == quiet == {rule["alert"] for rule in ALERTS}


def mutations(rule: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rules that are wrong by one number, comparison, label, time or word, with what was done to them."""
    text = rule["expr"]
    hidden = [found.span() for found in _QUOTED.finditer(text)]
    for found in _NUMBER.finditer(text):
        if not any(start <= found.start() < end for start, end in hidden):
            for factor in (0.5, 2):
                number = f"{float(found[0]) * factor:g}"
                yield f"{found[0]} is {number}", {**rule, "expr": text[: found.start()] + number + text[found.end() :]}
    for found in re.finditer(r" (>=|==|>|<) ", text):
        flipped = text[: found.start(1)] + _FLIPPED[found[1]] + text[found.end(1) :]
        yield f"{found[1]} is {_FLIPPED[found[1]]}", {**rule, "expr": flipped}
    for found in re.finditer(r'(?<=[=~])"([^"]+)"', text):
        changed = text[: found.start(1)] + "nothing" + text[found.end(1) :]
        yield f"{found[0]} is something else", {**rule, "expr": changed}
    for guard in re.findall(r"and on \(job, instance\) keyferry_build_info", text):
        yield "other programs count", {**rule, "expr": text.replace(guard, "")}
    if "alert" in rule:
        wait = seconds(rule.get("for", "0s"))
        yield "it waits longer", {**rule, "for": f"{int(wait + 60)}s"}
        if wait:
            yield "it does not wait", {**rule, "for": f"{int(wait - 60)}s"}
        other = "info" if rule["labels"]["severity"] == "critical" else "critical"
        yield "another severity", {**rule, "labels": {"severity": other}}
        for key, said in rule["annotations"].items():
            yield f"another {key}", {**rule, "annotations": {**rule["annotations"], key: f"{said}!"}}


def with_rule(old: dict[str, Any], new: dict[str, Any]) -> Rules:
    """All rules, one of them replaced; of the alerts only that one where it is an alert."""
    groups = []
    for group in copy.deepcopy(LOADED):
        rules = [new if rule == old else rule for rule in group["rules"]]
        groups.append(
            {**group, "rules": [rule for rule in rules if rule is new or "record" in rule or "record" in old]}
        )
    return groups


@pytest.mark.parametrize("rule", ALERTS + RECORDED, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_that_is_wrong_in_one_place_fails_its_tests(rule: dict[str, Any], tmp_path: Path) -> None:
    name = rule.get("alert") or rule["record"]
    named = [path for path in TESTS if "record" in rule or re.search(rf"\b{name}\b", path.read_text("utf-8"))]
    wrong = list(mutations(rule))
    noticed, files = [], []
    for number, (_, changed) in enumerate(wrong):
        rules = with_rule(rule, changed)
        noticed.append(any(problems(path, rules, only=rule.get("alert")) for path in named))
        if shutil.which("promtool"):
            files.append(written(tmp_path / str(number), named, rules, rule.get("alert")))
    assert [what for (what, _), found in zip(wrong, noticed, strict=True) if not found] == []
    verdicts = promtool(files)
    assert verdicts is None or [not verdict for verdict in verdicts] == noticed, "promtool thinks otherwise"


def written(folder: Path, named: list[Path], rules: Rules, alert: str | None) -> Path:
    """A test file for promtool: the tests that have to do with the alert, over these rules."""
    folder.mkdir()
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": rules}), "utf-8")
    loaded = [loaded_file(path) for path in named]
    tests = [narrowed(test, alert) for file in loaded for test in file["tests"]]
    file = {**loaded[0], "rule_files": ["rules.yaml"], "tests": [test for test in tests if test]}
    (folder / "test.yaml").write_text(yaml.safe_dump(file), "utf-8")
    return folder / "test.yaml"


@pytest.mark.parametrize("rule", ALERTS + RECORDED, ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_name_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    check_names(rule["expr"], recorded={each["record"] for each in RECORDED})


def test_a_name_that_does_not_exist_is_noticed() -> None:
    for wrong in (
        "sum(keyferry_queue)",
        "sum by (queue) (keyferry_queue_depth)",
        'keyferry_queue_depth{kind="x"}',
        "workqueue_depth_bucket",
    ):
        with pytest.raises(Unknown):
            check_names(wrong, recorded=set())


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_it_is_about_and_where_to_read_on(rule: dict[str, Any]) -> None:
    told = rule["annotations"]
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert told["summary"]
    by = re.search(r"by \(([a-z, ]+)\)", rule["expr"])
    for label in by[1].split(", ") if by else ():
        assert label == "job" or f"$labels.{label}" in told["description"], "the description names the object"
    page, _, anchor = told["runbook_url"].partition("/monitoring.html#")
    assert page == "https://keyferry.example.com"
    headings = re.findall(r"^### (\w+)$", (ROOT / "docs" / "monitoring.md").read_text("utf-8"), re.MULTILINE)
    assert anchor in {heading.lower() for heading in headings}


def test_the_page_has_a_row_and_a_section_for_every_alert_and_no_other() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
    alerts = [rule["alert"] for rule in ALERTS]
    assert re.findall(r"^### (Keyferry\w+)$", page, re.MULTILINE) == alerts
    rows = re.findall(r"^\| \[(Keyferry\w+)\]\(#(\w+)\) \| (\w+) \|", page, re.MULTILINE)
    assert rows == [(rule["alert"], rule["alert"].lower(), rule["labels"]["severity"]) for rule in ALERTS]


def test_recorded_names_say_by_what_and_of_which_metric() -> None:
    names = [rule["record"] for rule in RECORDED]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"\w+(:\w+){1,2}", name) for name in names)
    assert not {each.name for each in CATALOGUE} & set(names)


@pytest.mark.parametrize(
    "query",
    ["up offset 5m", "sum without (pod) (up)", "up * on (pod) group_left () build", "quantile(0.5, up)", "abs(up)"],
)
def test_what_the_evaluation_does_not_know_is_refused(query: str) -> None:
    series: Series = {labels_of({"pod": "a"}, "up"): [(0.0, 1.0)]}
    with pytest.raises(NotServed):
        evaluate(query, series, 0.0)


def test_matching_that_prometheus_refuses_is_refused() -> None:
    series: Series = {labels_of({"pod": pod}, "up"): [(0.0, 1.0)] for pod in ("a", "b")}
    with pytest.raises(ValueError, match="many-to-many"):
        evaluate("up + on () up", series, 0.0)
