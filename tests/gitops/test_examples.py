"""The manifests for Argo CD and Flux that docs/gitops.md shows: their values, their order, their rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime

from tests.gitops import flux
from tests.support import pages
from tests.support.chart import rendered, texts

FOLDER = pages.DOCS / "examples" / "gitops"
WAVE = "argocd.argoproj.io/sync-wave"

Json = dict[str, Any]


def found(name: str, path: str) -> Json:
    """The object of this name in a file."""
    (one,) = [each for each in pages.objects(FOLDER / path) if each["metadata"]["name"] == name]
    return one


def wave(body: Json) -> int:
    return int(body["metadata"]["annotations"][WAVE])


def shop(folder: str) -> list[Json]:
    return [each for path in sorted((FOLDER / "shop" / folder).glob("*.yaml")) for each in pages.objects(path)]


def kustomizations() -> dict[str, Json]:
    return {each["metadata"]["name"]: each for each in pages.objects(FOLDER / "flux" / "cluster.yaml")}


def release(tool: str) -> Json:
    """The values with which a tool installs the chart."""
    values: Json
    if tool == "argocd":
        values = found("keyferry", "argocd/operator.yaml")["spec"]["source"]["helm"]["valuesObject"]
    else:
        (one,) = [each for each in pages.objects(FOLDER / "flux" / "operator.yaml") if each["kind"] == "HelmRelease"]
        values = one["spec"]["values"]
    return values


@pytest.mark.parametrize("tool", ["argocd", "flux"])
def test_the_chart_takes_the_values_and_brings_its_crds(tool: str) -> None:
    made = texts(release(tool))
    assert made["deployment.yaml"].count("image: registry.example.com/keyferry:0.1.0") == 1
    assert made["crds.yaml"].count("kind: CustomResourceDefinition\n") == 3
    assert made["crds.yaml"].count("helm.sh/resource-policy: keep\n") == 3


def test_argo_cd_neither_prunes_nor_deletes_the_crds() -> None:
    told = texts(release("argocd"))["crds.yaml"]
    assert told.count("argocd.argoproj.io/sync-options: Prune=false,Delete=false\n") == 3


def test_argo_cd_syncs_operator_stores_secrets_and_workloads_in_this_order() -> None:
    operator, teams = found("keyferry", "argocd/operator.yaml"), found("teams", "argocd/teams.yaml")
    assert wave(operator) < wave(teams)
    waves = [{wave(each) for each in shop(folder)} for folder in ("stores", "secrets", "app")]
    assert waves == [{0}, {1}, {2}]


def test_flux_applies_operator_stores_secrets_and_workloads_in_this_order() -> None:
    chain, at = [], "shop"
    while at:
        chain.append(at)
        spec = kustomizations()[at]["spec"]
        assert spec["wait"], "what depends on it would not wait"
        (before,) = spec.get("dependsOn", [{"name": ""}])
        at = before["name"]
    assert chain == ["shop", "shop-secrets", "shop-stores", "keyferry"]


def test_the_workload_reads_the_secret_that_the_external_secret_makes() -> None:
    (secret,) = shop("secrets")
    (workload,) = shop("app")
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": secret["spec"]["target"]["name"]}}]
    stores = {each["metadata"]["name"] for each in shop("stores") if each["kind"] == "SecretStore"}
    assert secret["spec"]["secretStoreRef"]["name"] in stores


def test_the_team_grants_what_the_chart_would_and_to_the_same_account() -> None:
    values = {"rbac": {"serviceAccountTokens": [{"namespace": "shop", "name": "vault-reader"}]}}
    for tool in ("argocd", "flux"):
        made = rendered(release(tool) | values, name="keyferry", namespace="keyferry")
        for kind, part in (("Role", "rules"), ("RoleBinding", "subjects")):
            (theirs,) = [each for each in shop("stores") if each["kind"] == kind]
            ours = [each for each in made if each["kind"] == kind and each["metadata"]["namespace"] == "shop"]
            assert [each[part] for each in ours] == [theirs[part]]


@pytest.mark.parametrize("name", ["shop-stores", "shop-secrets"])
def test_the_expressions_for_flux_tell_what_kstatus_cannot(name: str) -> None:
    (rule,) = kustomizations()[name]["spec"]["healthCheckExprs"]
    body: Json = {"kind": rule["kind"], "metadata": {"name": "app", "generation": 2}}

    def after(status: str, generation: int) -> str:
        conditions = [{"type": "Ready", "status": status}]
        return flux.health({**body, "status": {"conditions": conditions, "observedGeneration": generation}}, rule)

    assert flux.health(body, rule) == "Unknown"
    assert after("True", 1) == after("False", 1) == after("Unknown", 2) == "InProgress"
    assert after("True", 2) == "Current"
    assert after("False", 2) == "Failed"


def test_argo_cd_is_told_what_the_health_of_an_application_is() -> None:
    rule = found("argocd-cm", "argocd/argocd-cm.yaml")["data"]["resource.customizations.health.argoproj.io_Application"]

    def health(body: Json) -> tuple[str, str]:
        lua = LuaRuntime(register_eval=False, register_builtins=False)
        lua.globals()["obj"] = lua.table_from(body, recursive=True)
        told = lua.execute(rule)
        return told["status"], told["message"]

    assert health({"kind": "Application"}) == ("Progressing", "")
    assert health({"status": {"health": {"status": "Degraded", "message": "why"}}}) == ("Degraded", "why")


def test_ignored_updates_name_fields_that_a_refresh_writes() -> None:
    data = found("argocd-cm", "argocd/argocd-cm.yaml")["data"]
    ignored = yaml.safe_load(data["resource.customizations.ignoreResourceUpdates.external-secrets.io_ExternalSecret"])
    assert ignored == {"jsonPointers": ["/status/refreshTime"]}


def test_every_manifest_for_gitops_is_shown_on_its_page() -> None:
    page = (pages.DOCS / "gitops.md").read_text("utf-8")
    files = sorted(path.relative_to(pages.ROOT).as_posix() for path in Path(FOLDER).rglob("*.yaml"))
    assert [path for path in files if f"<!-- source: {path} -->" not in page] == []
