"""The chart, rendered by Helm's own engine: what a release consists of, and what the operator is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

from keyferry.app import crds, flags
from keyferry.settings import Settings
from tests.support import pages
from tests.support.chart import CHART, CI, container, notes, of_file, rendered, texts

EVERYTHING = of_file(CHART / "ci" / "everything-values.yaml")
TWO = of_file(CHART / "ci" / "two-replicas-values.yaml")
MONITORING = of_file(CHART / "ci" / "monitoring-values.yaml")

Json = dict[str, Any]


def only(found: list[Json], kind: str, name: str = "") -> Json:
    """The object of a kind, and of a name where one is given."""
    (match,) = [each for each in found if each["kind"] == kind and name in {"", each["metadata"]["name"]}]
    return match


def pod_of(found: list[Json]) -> Json:
    """The pod's spec."""
    spec: Json = only(found, "Deployment")["spec"]["template"]["spec"]
    return spec


def settings_of(found: list[Json]) -> Settings:
    """The settings that the operator gets from the Deployment's arguments."""
    command, *arguments = container(found)["args"]
    assert command == "run"
    parsed = flags.parse(arguments, {})
    assert not parsed.notices
    return parsed.settings


def lint(values: Json) -> list[str]:
    """What Helm finds wrong, warnings included."""
    found = helm.lint(str(CHART), values, strict=True)
    return [*found["errors"], *(each["error"] for each in found["messages"] if each["severity"] > 1)]


@pytest.mark.parametrize("path", CI, ids=lambda path: path.name)
def test_helm_finds_no_fault_with_the_chart(path: Path) -> None:
    assert lint(of_file(path)) == []


def test_the_default_release_runs_with_the_operators_own_defaults() -> None:
    assert settings_of(rendered({})) == Settings()


def test_values_arrive_as_settings_of_the_operator() -> None:
    settings = settings_of(rendered(EVERYTHING))
    assert settings.scope.controller_class == "blue: green"
    assert settings.work.concurrent == 8
    assert settings.work.store_requeue_interval == 90
    assert settings.work.provider_timeout == 10
    assert not settings.work.flood_gate
    assert settings.work.adopt_foreign_secrets
    assert settings.servers.extended_metric_labels
    assert str(settings.servers.live) == "0.0.0.0:8084"
    assert not settings.reconcilers.cluster_store
    assert not settings.reconcilers.secret_store
    election = settings_of(rendered(TWO)).election
    assert (election.enabled, election.id) == (True, "keyferry-blue")
    assert (election.lease_duration, election.renew_deadline, election.retry_period) == (30, 20, 3)


@pytest.mark.parametrize("scope", ["team-a, shop", ["team-a", "shop"]], ids=["as ESO writes it", "as a list"])
def test_chosen_namespaces_are_those_that_are_served(scope: Any) -> None:
    found = rendered({"scopedNamespace": scope})
    assert settings_of(found).scope.namespaces == ("team-a", "shop")
    assert {each["metadata"]["namespace"] for each in found if each["kind"] == "Role"} == {"team-a", "shop"}


def test_rights_in_a_scope_that_nobody_named_are_those_of_the_releases_own_namespace() -> None:
    found = rendered({"scopedRBAC": True}, namespace="payments")
    assert settings_of(found).scope.namespaces == ("payments",)
    assert only(found, "Role")["metadata"]["namespace"] == "payments"


def test_several_replicas_elect_one_without_being_told() -> None:
    found = rendered({"replicaCount": 2})
    assert settings_of(found).election.enabled
    assert only(found, "Deployment")["spec"]["strategy"] == {"type": "RollingUpdate"}
    assert "leader election is on" in notes({"replicaCount": 2})


def test_one_replica_without_election_never_runs_twice() -> None:
    assert only(rendered({}), "Deployment")["spec"]["strategy"] == {"type": "Recreate"}


def test_the_pod_meets_the_restricted_security_standard() -> None:
    pod = pod_of(rendered({}))
    assert not pod["hostNetwork"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert "volumes" not in pod
    assert container(rendered({}))["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_the_user_of_the_pod_is_that_of_the_image() -> None:
    context = container(rendered({}))["securityContext"]
    image = (pages.ROOT / "Dockerfile").read_text("utf-8")
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}" in image


def test_openshift_chooses_the_user_where_it_is_told_to() -> None:
    forced = {"global": {"compatibility": {"openshift": {"adaptSecurityContext": "force"}}}}
    context = container(rendered(forced))["securityContext"]
    assert context["runAsNonRoot"]
    assert not {"runAsUser", "runAsGroup", "fsGroup", "enabled"} & set(context)


def test_a_context_that_is_switched_off_is_left_out() -> None:
    found = rendered({"podSecurityContext": {"enabled": False}, "securityContext": {"enabled": False}})
    assert "securityContext" not in pod_of(found)
    assert "securityContext" not in container(found)


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["default", "everything"])
def test_the_probes_ask_the_server_that_the_flags_start(values: Json) -> None:
    found = rendered(values)
    ports = {port["name"]: port["containerPort"] for port in container(found)["ports"]}
    servers = settings_of(found).servers
    assert servers.live is not None
    assert servers.metrics is not None
    assert ports == {"live": servers.live.port, "metrics": servers.metrics.port}
    for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        asked = container(found)[probe]["httpGet"]
        assert asked["path"] == path
        assert ports.get(asked["port"], asked["port"]) == servers.live.port


def test_a_start_has_two_minutes_before_the_liveness_probe_counts() -> None:
    probe = container(rendered({}))["startupProbe"]
    assert probe["failureThreshold"] * probe["periodSeconds"] == 120
    assert probe["httpGet"] == container(rendered({}))["livenessProbe"]["httpGet"]


def test_probes_can_be_switched_off() -> None:
    found = container(rendered({"livenessProbe": {"enabled": False}, "readinessProbe": {"enabled": False}}))
    assert not {"livenessProbe", "readinessProbe", "startupProbe"} & set(found)


def test_the_pod_has_longer_to_end_than_the_operator_takes() -> None:
    assert pod_of(rendered({}))["terminationGracePeriodSeconds"] > Settings().work.shutdown_grace


def test_nothing_but_scrapes_and_probes_gets_in_and_everything_gets_out() -> None:
    found = rendered({"metrics": {"listen": {"port": 9000}}})
    spec = only(found, "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress"]
    (rule,) = spec["ingress"]
    assert {port["port"] for port in rule["ports"]} == {9000, 8082}
    assert spec["podSelector"]["matchLabels"].items() <= labels_of(found).items()


def test_rules_for_what_goes_out_are_enforced_where_there_are_any() -> None:
    spec = only(rendered(EVERYTHING), "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["egress"] == EVERYTHING["networkPolicy"]["egress"]
    assert spec["ingress"] == EVERYTHING["networkPolicy"]["ingress"]


def labels_of(found: list[Json]) -> dict[str, str]:
    """Labels of the pods."""
    labels: dict[str, str] = only(found, "Deployment")["spec"]["template"]["metadata"]["labels"]
    return labels


def test_services_budgets_and_spreads_reach_the_pods_of_the_release() -> None:
    found = rendered({**MONITORING, **TWO})
    labels = labels_of(found)
    service = only(found, "Service")["spec"]
    assert service["selector"].items() <= labels.items()
    assert service["ports"] == [{"name": "metrics", "port": 9091, "targetPort": "metrics"}]
    budget = only(found, "PodDisruptionBudget")["spec"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget
    (spread,) = pod_of(found)["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"].items() <= labels.items()


def test_a_service_monitor_finds_the_service_of_the_release() -> None:
    found = rendered(MONITORING)
    spec = only(found, "ServiceMonitor")["spec"]
    service = only(found, "Service")
    assert spec["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert spec["namespaceSelector"] == {"matchNames": [service["metadata"]["namespace"]]}
    assert [each["port"] for each in spec["endpoints"]] == [each["name"] for each in service["spec"]["ports"]]


def test_every_file_of_rules_becomes_a_rule_that_links_to_where_the_docs_are() -> None:
    made = [each["spec"] for each in rendered(MONITORING) if each["kind"] == "PrometheusRule"]
    files = [of_file(path) for path in sorted((CHART / "rules").glob("*.yaml"))]
    default, given = "https://keyferry.example.com/", f"{MONITORING['prometheusRule']['docsURL']}/"
    assert default in str(files)
    assert sorted(map(str, made)) == sorted(str(each).replace(default, given) for each in files)


def test_every_dashboard_becomes_a_config_map_as_it_stands() -> None:
    made = {
        name: json.loads(text)
        for each in rendered(MONITORING)
        if each["kind"] == "ConfigMap"
        for name, text in each["data"].items()
        if each["metadata"]["labels"]["dashboards"] == "yes"
    }
    files = {path.name: json.loads(path.read_text("utf-8")) for path in (CHART / "dashboards").glob("*.json")}
    assert files
    assert made == files


def test_monitoring_is_left_out_where_the_cluster_does_not_know_it() -> None:
    for enabled in ("auto", True):
        values = {name: {"enabled": enabled} for name in ("serviceMonitor", "prometheusRule")}
        kinds = {each["kind"] for each in rendered(values)}
        assert not {"ServiceMonitor", "PrometheusRule", "Service"} & kinds
    assert "left out" in notes({"serviceMonitor": {"enabled": True}})


def test_a_cluster_that_must_know_monitoring_and_does_not_is_refused() -> None:
    with pytest.raises(helm.HelmError, match="install the Prometheus Operator's CRDs"):
        rendered({"prometheusRule": {"enabled": True, "renderMode": "failIfMissing"}})


def test_the_crds_are_those_of_the_models_and_stay_when_the_release_goes() -> None:
    found = {each["metadata"]["name"]: each for each in rendered({}, crds=True) if each["kind"].startswith("Custom")}
    models = {each["metadata"]["name"]: each for each in map(of_file, (pages.ROOT / "crds").glob("*.yaml"))}
    assert {name: each["spec"] for name, each in found.items()} == {name: each["spec"] for name, each in models.items()}
    for name, each in found.items():
        assert each["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        assert models[name]["metadata"]["labels"].items() <= each["metadata"]["labels"].items()


def test_crds_that_are_not_wanted_are_left_out() -> None:
    found = [each for each in rendered(EVERYTHING, crds=True) if each["kind"] == "CustomResourceDefinition"]
    assert {each["spec"]["names"]["kind"] for each in found} == {"ExternalSecret"}
    assert {each["metadata"]["annotations"]["example.com/team"] for each in found} == {"platform"}
    assert not texts({"installCRDs": False})["crds.yaml"].strip()


def test_the_chart_and_the_package_have_one_version() -> None:
    import importlib.metadata

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["version"] == chart["appVersion"] == importlib.metadata.version("keyferry")


def test_what_artifact_hub_is_told_is_what_the_chart_holds() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    told = {name.partition("/")[2]: yaml.safe_load(text) for name, text in chart["annotations"].items()}
    kinds = {(f"{each.plural}.{crds.GROUP}", each.name) for each in crds.KINDS}
    assert {(each["name"], each["kind"]) for each in told["crds"]} == kinds
    assert told["crdsExamples"] == pages.objects(pages.DOCS / "examples" / "quickstart.yaml")
    assert [each["image"] for each in told["images"]] == [container(rendered({}))["image"]]
    assert {each["kind"] for each in told["changes"]} <= {"added", "changed", "deprecated", "removed", "fixed"}
