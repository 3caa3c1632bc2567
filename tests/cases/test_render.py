"""The same cases for ``keyferry render``: what the operator makes of the first step, it makes without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from keyferry.app import render
from tests.cases.test_cases import FOLDERS
from tests.support.cases import view
from tests.support.cases.admin import KINDS
from tests.support.cases.clock import START
from tests.support.cases.script import Contains, Json, load

NAMES = {"NAMESPACE": "team", "NEIGHBOUR": "neighbour", "API_SERVER": "https://nowhere", "API_CA": "bm9uZQ=="}
_KINDS = {"ExternalSecret", "SecretStore", "ClusterSecretStore", "ConfigMap", "Secret"}
_OF_THE_CLUSTER = {"owners", "managers", "immutable"}
"""What a Secret has from its life in a cluster."""


def _first_step(folder: Path) -> tuple[Json, Json] | None:
    """The first step and what it comes to, where the step is manifests alone and every ExternalSecret is served."""
    case = load(folder, NAMES)
    step = case.steps[0]
    expected = case.expected.get(step["step"]) or {}
    flags = [flag for flag in step.get("flags", ()) if not flag.startswith("--template-")]
    if flags or not step.keys() <= {"step", "flags", "provider", "apply"} or expected.get("refused"):
        return None
    if not {each["kind"] for each in step.get("apply", ())} <= _KINDS:
        return None
    secrets = {name for name, found in expected.items() if name.startswith("Secret ") and found is not None}
    manifests = step.get("apply", ())
    names = {f"Secret {_target(each)}" for each in manifests if each["kind"] == "ExternalSecret"}
    failing = [found for name, found in expected.items() if name.startswith("ExternalSecret ") and not _ready(found)]
    return (
        (step, expected)
        if (secrets & names or failing) and ("template" in str(step) or "rewrite" in str(step))
        else None
    )


def _target(body: Json) -> str:
    name: str = ((body.get("spec") or {}).get("target") or {}).get("name") or body["metadata"]["name"]
    return name


def _ready(expected: Json) -> bool:
    return expected.get("ready", True) is not False


CASES = [folder for folder in FOLDERS if _first_step(folder)]


def test_there_are_cases_of_templates_and_rewrites_to_render() -> None:
    assert len(CASES) >= 20


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_what_the_operator_makes_is_rendered_without_a_cluster(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _first_step(folder)
    assert found is not None
    step, expected = found
    file = tmp_path / "manifests.yaml"
    file.write_text(yaml.safe_dump_all(_manifests(step)), "utf-8")
    status = render.main(["-f", str(file), *step.get("flags", ())], now=lambda: START)
    printed = capsys.readouterr()
    made = {f"Secret {body['metadata']['name']}": body for body in yaml.safe_load_all(printed.out) if body}
    failing = {name: each for name, each in expected.items() if name.startswith("ExternalSecret ") and not _ready(each)}
    assert status == (1 if failing else 0), printed.err
    for name, each in failing.items():
        assert f"Secret {name.removeprefix('ExternalSecret ')}" not in made
        line = next(line for line in printed.err.splitlines() if f'"{name.removeprefix("ExternalSecret ")}"' in line)
        assert _tells(each.get("message", ""), line), printed.err
    for name, body in made.items():
        wanted = {key: value for key, value in (expected.get(name) or {}).items() if key not in _OF_THE_CLUSTER}
        assert not view.difference(wanted, {key: view.secret(body)[key] for key in wanted})


def _tells(message: Any, line: str) -> bool:
    # A source that is in no file is absent from the files, not from a namespace.
    text = message.text if isinstance(message, Contains) else message
    return text.removeprefix("could not get secret data from provider: ") in line or "could not fetch" in text


def _manifests(step: Json) -> list[Json]:
    bodies = [{"apiVersion": KINDS[each["kind"]].api_version, **each} for each in step.get("apply", ())]
    for body in bodies:
        body["metadata"] = {"namespace": "team", **body["metadata"]}
    if "provider" in step:
        data = [{"key": key, "value": value} for key, value in step["provider"].items()]
        store = {"kind": "SecretStore", "metadata": {"name": "store", "namespace": "team"}}
        bodies.append({"apiVersion": "external-secrets.io/v1", **store, "spec": {"provider": {"fake": {"data": data}}}})
    return bodies
