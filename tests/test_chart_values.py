"""The chart's values: each is known, explained, used and tried; what cannot work is refused before it is installed."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import helm_python as helm
import pytest

from keyferry.app import flags
from tests.support import chart_pages, pages
from tests.support.chart import CHART, CI, container, notes, of_file, rendered, schema, texts

ESO = of_file(pages.ROOT / "tests" / "chart" / "eso-2.9-values.yaml")
LEAVES = set(chart_pages.leaves())
# The process serves these paths only, and Kubernetes takes no other threshold for a liveness probe.
ONE_WAY = {
    "livenessProbe.spec.httpGet.path",
    "livenessProbe.spec.successThreshold",
    "readinessProbe.spec.httpGet.path",
}


def paths(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Dotted paths of what is set, down to the leaves of the schema."""
    for name, value in values.items():
        path = f"{above}.{name}" if above else name
        if path in LEAVES or not isinstance(value, Mapping):
            yield path
        else:
            yield from paths(value, path)


def shapes(branch: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where the schema says that nothing else may stand."""
    if branch.get("additionalProperties") is False and "object" in branch["type"]:
        yield path
    for name, below in branch.get("properties", {}).items():
        yield from shapes(below, (*path, name))


def with_typo(path: tuple[str, ...]) -> dict[str, Any]:
    """Values with a name that nobody knows at this place."""
    values: dict[str, Any] = {"tpyo": 1}
    for name in reversed(path):
        values = {name: values}
    return values


def test_every_value_of_the_chart_is_known_to_its_schema_and_back() -> None:
    defaults = set(paths(of_file(CHART / "values.yaml")))
    optional = {
        path for path in LEAVES - defaults if re.search(r"Probe\.spec\.|^(strategy|affinity|resources)\.", path)
    }
    assert defaults | optional == LEAVES


def test_every_value_of_the_chart_is_explained() -> None:
    told = {each.path for each in chart_pages.values()}
    about = [path for path in paths(of_file(CHART / "values.yaml")) if not told & set(prefixes(path))]
    assert about == []
    assert [each.path for each in chart_pages.values() if not each.about.endswith(".")] == []


def prefixes(path: str) -> list[str]:
    """``a.b.c``, ``a.b`` and ``a``."""
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def test_every_value_of_the_chart_is_tried_by_some_file() -> None:
    tried = {path for file in CI for path in paths(of_file(file))}
    untried = set(paths(of_file(CHART / "values.yaml"))) - tried
    assert untried == {"metrics.listen.auth.enabled", "metrics.listen.secure.enabled", *ONE_WAY}


def test_every_value_of_the_chart_changes_what_is_installed_or_says_that_it_does_not() -> None:
    effective = {path for file in CI for path in effects(of_file(file))}
    told = {each.path for each in chart_pages.values() if each.about.startswith(("No effect", "Refused"))}
    known = set(paths(of_file(CHART / "values.yaml")))
    assert known - effective - told == ONE_WAY
    assert effective & told == set()


def effects(values: dict[str, Any]) -> Iterator[str]:
    """Paths whose value makes another release than the default would."""
    for crds in (False, True):
        # CRDs are long, and few values concern them.
        base = values if crds else {"installCRDs": False, **values}
        whole = installed(base)
        for path in paths(values):
            if path.startswith(("crds.", "installCRDs")) is crds and installed(without(base, path)) != whole:
                yield path


def installed(values: dict[str, Any]) -> dict[str, str]:
    """What Helm makes, without what it tells."""
    return {path: text for path, text in texts(values).items() if path != "NOTES.txt"}


def without(values: dict[str, Any], path: str) -> dict[str, Any]:
    """The values without one of them."""
    left = copy.deepcopy(values)
    *above, last = path.split(".")
    branch = left
    for name in above:
        branch = branch[name]
    del branch[last]
    return left


@pytest.mark.parametrize("path", list(shapes(schema())), ids=".".join)
def test_a_name_that_nobody_knows_is_refused_at_every_level(path: tuple[str, ...]) -> None:
    with helm.Chart.load(str(CHART)) as chart, pytest.raises(helm.HelmError, match="tpyo"):
        chart.validate_schema(with_typo(path))


@pytest.mark.parametrize(
    "values",
    [
        {"replicaCount": "two"},
        {"log": {"level": "chatty"}},
        {"image": {"digest": "latest"}},
        {"image": {"pullPolicy": "Sometimes"}},
        {"storeRequeueInterval": "5 minutes"},
        {"concurrent": 0},
        {"scopedNamespace": "Team_A"},
        {"scopedNamespace": ["a", "a"]},
        {"metrics": {"listen": {"port": 0}}},
        {"commonLabels": {"a": 1}},
        {"rbac": {"serviceAccountTokens": [{"name": "x"}]}},
        {"serviceMonitor": {"enabled": "yes"}},
        {"serviceMonitor": {"interval": "often"}},
        {"resources": {"limits": {"memory": []}}},
        {"extraArgs": {"provider-timeuot": "10s"}},
    ],
    ids=json.dumps,
)
def test_values_of_the_wrong_form_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(helm.HelmValuesError):
        rendered(values)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"metrics": {"listen": {"auth": {"enabled": True}}}}, "without authentication; switch it off"),
        ({"metrics": {"listen": {"secure": {"enabled": True}}}}, "plain HTTP only; switch it off"),
        ({"image": {"repository": "ghcr.io/external-secrets/external-secrets"}}, "set image.repository"),
        ({"global": {"repository": "registry.example.com/mirror/external-secrets"}}, "set image.repository"),
        ({"extraArgs": {"namespace": "shop"}}, "set scopedNamespace instead"),
        ({"extraArgs": {"live-addr": ":1"}}, "set livenessProbe.spec.port instead"),
        (
            {"scopedNamespace": "shop", "rbac": {"serviceAccountTokens": [{"namespace": "other", "name": "x"}]}},
            "namespace other is not served",
        ),
    ],
)
def test_values_that_would_not_do_what_they_say_are_refused_with_a_remedy(values: dict[str, Any], told: str) -> None:
    with pytest.raises(helm.HelmError, match=re.escape(told)):
        rendered(values)


def test_every_flag_that_values_do_not_set_can_be_given() -> None:
    known = {place.option.flag.removeprefix("--") for place in flags.places()}
    assert known <= set(schema()["properties"]["extraArgs"]["properties"])


def test_a_flag_of_eso_without_effect_is_taken_over() -> None:
    _, *arguments = container(rendered({"extraArgs": {"enable-secrets-caching": True}}))["args"]
    assert flags.parse(arguments, {}).notices


def test_every_value_of_esos_chart_is_taken_but_its_image() -> None:
    with pytest.raises(helm.HelmError, match="is the image of the External Secrets Operator"):
        rendered(ESO)
    without = {**ESO, "image": {**ESO["image"], "repository": "registry.example.com/keyferry"}}
    found = rendered(without)
    assert {each["kind"] for each in found} == {each["kind"] for each in rendered({})} - {"NetworkPolicy"}
    assert "these values of ESO's chart have no effect here (docs/install.md says why): webhook, cert" in notes(
        without
    ).replace("These", "these")


def test_a_file_for_esos_chart_keeps_names_scope_and_identity() -> None:
    values = of_file(CHART / "ci" / "eso-values.yaml")
    found = {each["kind"]: each for each in rendered(values)}
    assert found["ServiceAccount"]["metadata"]["name"] == "external-secrets"
    assert "eks.amazonaws.com/role-arn" in found["ServiceAccount"]["metadata"]["annotations"]
    assert "--namespace=payments" in container(list(found.values()))["args"]
    assert container(list(found.values()))["resources"]["requests"] == {"cpu": "10m", "memory": "32Mi"}
    told = notes(values)
    assert "concurrent is 1" in told
    assert "webhook" in told


@pytest.mark.parametrize("file", CI, ids=lambda path: path.name)
def test_the_notes_tell_the_next_step_for_the_namespaces_that_are_served(file: Any) -> None:
    values = of_file(file)
    told = notes(values)
    if values.get("createOperator", True):
        assert "rollout status deployment/" in told
    scope = values.get("scopedNamespace") or (["system"] if values.get("scopedRBAC") else [])
    for namespace in [scope] if isinstance(scope, str) else scope:
        assert f"kubectl --namespace {namespace} get secretstores,externalsecrets" in told
    assert ("--all-namespaces" in told) is not bool(scope)
    assert not re.search(r"\n{3,}|[ \t]\n", told)
