"""Every manifest that ESO 2.9's CRDs accept is accepted by ours: the two are compared field by field.

``tests/data/eso-2.9`` holds what ESO's CRDs say of each field, made by ``crd_fields``. Rules of CEL are not compared
here; their cases are in ``tests/contract/crds``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keyferry.app.crds import KINDS, KNOWN_PROVIDERS, VERSIONS, definitions
from keyferry.providers import REGISTRY
from tests.unit.app.crd_fields import Fields, fields, read

DATA = Path(__file__).parents[2] / "data" / "eso-2.9"

NARROWER = {
    ("spec.data", "maxItems"): "rule 7 (duplicate secretKey) needs a bound for its cost; a Secret holds 1 MiB at most",
    ("spec.dataFrom", "maxItems"): "rule 6 is asked of every entry",
    ("spec.target.template.templateFrom", "maxItems"): "rule 5 (templateFrom target) is asked of every entry",
    ("spec.target.template.templateFrom[].target", "maxLength"): "rule 5 compares it without regard to case",
    ("spec.refreshInterval", "pattern"): "ESO's webhook refuses a store with such an interval",
    ("spec.refreshInterval", "minimum"): "likewise",
    ("spec.conditions", "maxItems"): "the regular expressions in it are compiled",
    ("spec.conditions[].namespaceRegexes", "maxItems"): "each is compiled, as in ESO's webhook",
    ("spec.conditions[].namespaceRegexes[]", "maxLength"): "each is compiled, as in ESO's webhook",
    **{
        (f"spec.provider.kubernetes.auth.{field}", "required"): "v1 asks for it; v1beta1 did not, and could not log in"
        for field in ("cert.clientCert", "cert.clientKey", "token.bearerToken")
    },
}
"""Where ours may refuse what their schema accepts, and why."""

ADDED = {
    "status.observedGeneration": "tells whether the status is about the newest spec",
    "status.conditions[].observedGeneration": "the same, for one condition",
}
"""What ours has and theirs has not."""

REPLACED = {
    ("spec.provider", "minProperties"): "a rule of CEL with the message of ESO's webhook",
    ("spec.provider", "maxProperties"): "likewise",
}

LISTS = [(kind.plural, version) for kind in KINDS for version in VERSIONS]


@pytest.fixture(scope="module")
def ours() -> dict[tuple[str, str], Fields]:
    return {
        (crd["spec"]["names"]["plural"], version["name"]): fields(version["schema"]["openAPIV3Schema"])
        for crd in definitions().values()
        for version in crd["spec"]["versions"]
    }


def types(facts: dict[str, Any]) -> set[str]:
    """Seconds of v1beta1 became seconds or a duration in v1."""
    return {"integer", "string"} if facts.get("x-kubernetes-int-or-string") else {facts["type"]}


def opaque(path: str) -> bool:
    """Whether a path is within the settings of a provider that is not served, which are kept as they stand."""
    parts = path.split(".")
    return parts[:2] == ["spec", "provider"] and len(parts) > 3 and parts[2] not in REGISTRY


@pytest.mark.parametrize("which", LISTS)
def test_every_field_of_eso_exists_with_the_same_type(which: tuple[str, str], ours: dict[Any, Fields]) -> None:
    theirs = read(DATA / "{}.{}.tsv".format(*which))
    mine = ours[which]

    assert len(theirs) > 100
    assert [path for path in theirs if not opaque(path) and path not in mine] == []
    assert [path for path, facts in theirs.items() if not opaque(path) and types(facts) - types(mine[path])] == []


@pytest.mark.parametrize("which", LISTS)
def test_no_field_refuses_what_eso_accepts(which: tuple[str, str], ours: dict[Any, Fields]) -> None:
    theirs = read(DATA / "{}.{}.tsv".format(*which))
    narrower = [
        f"{path}: {fault}"
        for path, facts in theirs.items()
        if not opaque(path)
        for fault in faults(path, ours[which][path], facts)
    ]

    assert narrower == []


@pytest.mark.parametrize("which", LISTS)
def test_nothing_is_added_but_what_is_listed(which: tuple[str, str], ours: dict[Any, Fields]) -> None:
    plural, _ = which
    theirs = {path for version in VERSIONS for path in read(DATA / f"{plural}.{version}.tsv")}

    assert set(ours[which]) - theirs == set(ADDED)


@pytest.mark.parametrize("plural", ["secretstores", "clustersecretstores"])
def test_every_provider_that_eso_knows_is_known(plural: str) -> None:
    theirs = {path for version in VERSIONS for path in read(DATA / f"{plural}.{version}.tsv")}

    names = {path.split(".")[2] for path in theirs if path.startswith("spec.provider.")}
    assert set(KNOWN_PROVIDERS) == names


def test_every_exception_is_needed(ours: dict[Any, Fields]) -> None:
    used = {(path, key) for found in ours.values() for path, facts in found.items() for key in facts}

    assert set(NARROWER) - used == set()
    assert not set(REPLACED) & used


def faults(path: str, mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """In which ways a field of ours is narrower than theirs."""
    found = []
    if mine.get("required") and not theirs.get("required"):
        found.append("required")
    if theirs.get("nullable") and not mine.get("nullable"):
        found.append("nullable")
    if "enum" in mine and not set(theirs.get("enum", ["anything"])) <= set(mine["enum"]):
        found.append("enum")
    found += [key for key in ("pattern", "format") if key in mine and mine[key] != theirs.get(key)]
    found += [
        key
        for key in ("minimum", "minLength", "minItems", "minProperties")
        if key in mine and mine[key] > theirs.get(key, float("-inf"))
    ]
    found += [
        key
        for key in ("maximum", "maxLength", "maxItems", "maxProperties")
        if key in mine and mine[key] < theirs.get(key, float("inf"))
    ]
    return [key for key in found if (path, key) not in NARROWER]


@pytest.mark.parametrize(
    ("mine", "theirs", "fault"),
    [
        ({"required": True}, {}, "required"),
        ({}, {"nullable": True}, "nullable"),
        ({"enum": ["a"]}, {"enum": ["a", "b"]}, "enum"),
        ({"enum": ["a"]}, {}, "enum"),
        ({"pattern": "^a$"}, {}, "pattern"),
        ({"minLength": 1}, {}, "minLength"),
        ({"maxItems": 3}, {"maxItems": 4}, "maxItems"),
    ],
)
def test_the_comparison_sees_a_field_that_is_narrower(mine: dict[str, Any], theirs: dict[str, Any], fault: str) -> None:
    assert faults("spec.x", mine, theirs) == [fault]
    assert faults("spec.x", theirs, mine) == (["nullable"] if "nullable" in mine else [])
