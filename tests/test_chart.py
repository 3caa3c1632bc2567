"""The chart, rendered by Helm's own engine. Rights are compared with what the operator asks of the API server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import helm_python as helm
import pytest
import yaml

from keyferry.app import flags
from keyferry.settings import Settings
from tests.support.chart import CHART, container, rendered

SCOPED = {"scopedNamespace": "team-a, team-b", "scopedRBAC": True}
EVERYTHING: dict[str, Any] = {
    "replicaCount": 2,
    "leaderElect": True,
    "leaderElectionID": "my-lease",
    "leaderElectionLeaseDuration": "30s",
    "image": {"repository": "registry.example/keyferry", "digest": "sha256:" + "0" * 64},
    "commonLabels": {"team": "platform"},
    "controllerClass": "blue: green",
    "concurrent": 8,
    "storeRequeueInterval": "1m30s",
    "extendedMetricLabels": True,
    "processClusterStore": False,
    "extraArgs": {"provider-timeout": "10s", "enable-flood-gate": False},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
    "metrics": {"service": {"enabled": True}},
    "podDisruptionBudget": {"enabled": True},
    "resources": {"limits": {"memory": "256Mi"}},
    "tolerations": [{"operator": "Exists"}],
}


def only(found: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    """The object of a kind, and of a name where one is given."""
    (match,) = [each for each in found if each["kind"] == kind and name in {"", each["metadata"]["name"]}]
    return match


def settings_of(found: list[dict[str, Any]]) -> Settings:
    """The settings that the operator gets from the Deployment's arguments."""
    command, *arguments = container(found)["args"]
    assert command == "run"
    parsed = flags.parse(arguments, {})
    assert not parsed.notices
    return parsed.settings


def rights(rules: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """``verb resource`` pairs that rules grant."""
    for rule in rules:
        for verb in rule["verbs"]:
            yield from ((verb, resource) for resource in rule["resources"])


@pytest.mark.parametrize("values", [{}, SCOPED, EVERYTHING], ids=["default", "scoped", "everything"])
def test_helm_finds_no_fault_with_the_chart(values: dict[str, Any]) -> None:
    found = helm.lint(str(CHART), values, strict=True)
    assert found["errors"] == []
    assert [message for message in found["messages"] if message["severity"] > 1] == []


def test_every_value_of_the_chart_is_known_to_its_schema_and_used() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    # "global" is what parent charts hand down.
    assert set(schema["properties"]) - {"global"} == set(values)
    templates = "".join(path.read_text("utf-8") for path in (CHART / "templates").iterdir())
    assert [name for name in values if f".Values.{name}" not in templates] == []


@pytest.mark.parametrize(
    "values",
    [
        {"replicaCout": 2},
        {"rbac": {"creat": True}},
        {"log": {"level": "chatty"}},
        {"image": {"digest": "latest"}},
        {"storeRequeueInterval": "5 minutes"},
        {"scopedRBAC": True},
        {"replicaCount": 2},
        {"webhook": {"create": True}},
    ],
    ids=lambda values: next(iter(values)),
)
def test_values_that_cannot_work_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(helm.HelmError):
        rendered(values)


def test_the_default_release_runs_with_the_operators_own_defaults() -> None:
    assert settings_of(rendered({})) == Settings()


def test_values_arrive_as_settings_of_the_operator() -> None:
    settings = settings_of(rendered(EVERYTHING))
    assert settings.scope.controller_class == "blue: green"
    assert settings.work.concurrent == 8
    assert settings.work.store_requeue_interval == 90
    assert settings.work.provider_timeout == 10
    assert not settings.work.flood_gate
    assert settings.election.enabled
    assert settings.election.id == "my-lease"
    assert settings.election.lease_duration == 30
    assert settings.servers.extended_metric_labels
    assert not settings.reconcilers.cluster_store
    assert settings_of(rendered(SCOPED)).scope.namespaces == ("team-a", "team-b")


def test_the_pod_meets_the_restricted_security_standard() -> None:
    pod = only(rendered({}), "Deployment")["spec"]["template"]["spec"]
    assert not pod["hostNetwork"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "volumes" not in pod
    assert container(rendered({}))["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
    }


def test_the_probes_ask_the_server_that_the_flags_start() -> None:
    found = rendered({})
    ports = {port["name"]: port["containerPort"] for port in container(found)["ports"]}
    servers = settings_of(found).servers
    assert servers.live is not None
    assert servers.metrics is not None
    assert ports == {"live": servers.live.port, "metrics": servers.metrics.port}
    assert container(found)["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "live"}
    assert container(found)["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "live"}


def test_the_pod_has_longer_to_end_than_the_operator_takes() -> None:
    pod = only(rendered({}), "Deployment")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > Settings().work.shutdown_grace


def test_a_scoped_release_has_no_rights_outside_its_namespaces() -> None:
    found = rendered(SCOPED)
    assert {each["kind"] for each in found} == {"Deployment", "Role", "RoleBinding", "ServiceAccount"}
    assert sorted(each["metadata"]["namespace"] for each in found if each["kind"] == "Role") == ["team-a", "team-b"]
    for role in (each for each in found if each["kind"] == "Role"):
        assert not {"clustersecretstores", "namespaces", "customresourcedefinitions"} & {
            resource for _, resource in rights(role["rules"])
        }
    for binding in (each for each in found if each["kind"] == "RoleBinding"):
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "kf-keyferry", "namespace": "system"}]


def test_a_cluster_wide_release_has_what_a_scoped_one_has_and_the_clusters_own_kinds() -> None:
    whole = set(rights(only(rendered({}), "ClusterRole", "kf-keyferry")["rules"]))
    scoped = set(rights(next(each for each in rendered(SCOPED) if each["kind"] == "Role")["rules"]))
    assert scoped < whole
    assert {resource for _, resource in whole - scoped} == {
        "clustersecretstores",
        "clustersecretstores/status",
        "namespaces",
        "customresourcedefinitions",
    }


def test_no_rule_of_the_chart_grants_more_than_it_names() -> None:
    for found in (rendered({}), rendered(SCOPED), rendered(EVERYTHING)):
        for role in (each for each in found if each["kind"] in {"Role", "ClusterRole"}):
            for verb, resource in rights(role["rules"]):
                assert "*" not in verb + resource
                assert verb not in {"escalate", "bind", "impersonate"}


def test_tokens_of_other_service_accounts_can_be_forbidden() -> None:
    found = rendered({"rbac": {"serviceAccountTokenCreate": False}})
    assert ("create", "serviceaccounts/token") not in set(rights(only(found, "ClusterRole", "kf-keyferry")["rules"]))


def test_an_election_may_use_its_own_lease_and_no_other() -> None:
    rules = only(rendered(EVERYTHING), "Role", "kf-keyferry-leader-election")["rules"]
    named = [rule for rule in rules if set(rule["verbs"]) - {"create"}]
    assert [rule["resourceNames"] for rule in named] == [["my-lease"]]


def test_the_service_reaches_the_pods_of_the_release() -> None:
    found = rendered(EVERYTHING)
    labels = only(found, "Deployment")["spec"]["template"]["metadata"]["labels"]
    service = only(found, "Service")
    assert service["spec"]["selector"].items() <= labels.items()
    assert service["spec"]["ports"] == [{"name": "metrics", "port": 8080, "targetPort": "metrics"}]
    assert only(found, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_the_chart_and_the_package_have_one_version() -> None:
    import importlib.metadata

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["version"] == chart["appVersion"] == importlib.metadata.version("keyferry")
