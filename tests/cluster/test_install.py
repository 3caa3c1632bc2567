"""The chart, installed, upgraded and removed by Helm's own engine, in a cluster of its own."""

from __future__ import annotations

import base64
import gzip
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

from tests.support.chart import CHART, CI, container, of_file, rendered, texts
from tests.support.cluster import Cluster, empty_cluster, external_secret, fake, one_key, opaque, store
from tests.support.processes import ROOT

pytestmark = pytest.mark.cluster

# Nothing is to be started: there are no nodes, and no image.
ASLEEP: dict[str, Any] = {"replicaCount": 0}
MONITORING = ROOT / "tests" / "chart" / "monitoring-crds.yaml"
EXTERNAL_SECRETS = "externalsecrets.external-secrets.io"
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster without our CRDs, which Helm can install into."""
    if not os.environ.get("KUBEBUILDER_ASSETS"):
        pytest.skip("it takes a control plane of its own: Helm asks for OpenAPI as protobuf, which the sandbox has not")
    with empty_cluster(tmp_path_factory.mktemp("bare")) as cluster:
        yield cluster


@pytest.fixture
def release(bare: Cluster) -> Iterator[str]:
    """Name and namespace of a release; afterwards there are no CRDs, as before."""
    name = f"r-{uuid.uuid4().hex[:8]}"
    bare.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    bare.kubectl.run("delete", "crd", "--all")
    bare.kubectl.run("delete", "namespace", name, "--wait=false")


def settle(cluster: Cluster, name: str, values: dict[str, Any], chart: Path = CHART) -> str:
    """Install or upgrade, as a new helm process would; what is told afterwards."""
    with helm.Config(kubeconfig_path=str(cluster.kubeconfig), namespace=name) as config:
        there = config.list(all_states=True)
        action = config.upgrade if there else config.install
        told: str = action(str(chart), name, values={**ASLEEP, **values})["notes"]
        return told


def uninstall(cluster: Cluster, name: str) -> None:
    """Remove the release."""
    with helm.Config(kubeconfig_path=str(cluster.kubeconfig), namespace=name) as config:
        config.uninstall(name)


def crd(cluster: Cluster, name: str = EXTERNAL_SECRETS) -> dict[str, Any]:
    """A CRD that has to be there."""
    found = cluster.kubectl.get("crd", name)
    assert found is not None
    return found


def kinds_served(cluster: Cluster) -> set[str]:
    """Kinds that the API server knows."""
    return {line.split()[-1] for line in cluster.kubectl.run("api-resources", "--no-headers").splitlines()}


def with_monitoring(cluster: Cluster) -> None:
    """Let the cluster know the Prometheus Operator's kinds."""
    if "ServiceMonitor" not in kinds_served(cluster):
        cluster.kubectl.run("apply", "-f", str(MONITORING))
        cluster.kubectl.run("wait", "--for=condition=Established", "-f", str(MONITORING), "--timeout=30s")


@pytest.mark.parametrize("path", CI, ids=lambda path: path.name)
def test_the_api_server_takes_every_object_of_every_values_file_strictly(
    cluster: Cluster, namespace: str, path: Path
) -> None:
    with_monitoring(cluster)
    objects = rendered(of_file(path), name=f"kf-{namespace}", namespace=namespace)
    served = kinds_served(cluster)
    assert not cluster.real or {each["kind"] for each in objects} <= served
    known = [each for each in objects if each["kind"] in served]
    for each in known:
        # Those of the values need not exist.
        each["metadata"] |= {"namespace": namespace} if "namespace" in each["metadata"] else {}

    told = cluster.kubectl.apply(known, "--server-side", "--dry-run=server")

    assert len(told.splitlines()) == len(known)


PROFILES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "cluster": ({}, {"replicaCount": 0, "leaderElect": True, "metrics": {"service": {"enabled": True}}}),
    "namespaces": ({"scopedNamespace": ["default"]}, {"scopedNamespace": ["default", "kube-public"]}),
    "single": ({"scopedRBAC": True}, {"scopedRBAC": True, "networkPolicy": {"enabled": False}}),
    "from cluster to single": ({}, {"scopedRBAC": True, "installCRDs": False}),
}


@pytest.mark.parametrize("profile", PROFILES)
def test_secrets_and_crds_outlive_upgrades_and_the_release(bare: Cluster, release: str, profile: str) -> None:
    before, after = PROFILES[profile]
    settle(bare, release, before)
    bare.kubectl.run("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    bare.kubectl.apply([store(release, fake({"k": "v"})), external_secret("es", release, data=[one_key("k", "k")])])
    owner = bare.kubectl.get("externalsecret", "es", release)
    assert owner is not None
    owned = opaque("es", release, k="v")
    owned["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "external-secrets.io/v1",
            "kind": "ExternalSecret",
            "name": "es",
            "uid": owner["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    bare.kubectl.apply([owned, opaque("free", release, k="v")])
    secrets = {name: bare.kubectl.get("secret", name, release) for name in ("es", "free")}

    settle(bare, release, after)
    uninstall(bare, release)

    left = bare.kubectl.run("get", "deployment,role,rolebinding,serviceaccount,networkpolicy", "-A", "-o", "name")
    assert release not in left
    assert release not in bare.kubectl.run("get", "clusterrole,clusterrolebinding", "-o", "name")
    assert {name: bare.kubectl.get("secret", name, release) for name in secrets} == secrets
    assert bare.kubectl.get("externalsecret", "es", release) == owner
    for path in (ROOT / "crds").glob("*.yaml"):
        assert (
            "deletionTimestamp"
            not in crd(bare, yaml.safe_load(path.read_text("utf-8"))["metadata"]["name"])["metadata"]
        )


def test_kubectl_installs_what_helm_prints(bare: Cluster, release: str) -> None:
    printed = texts({**of_file(CHART / "ci" / "cluster-values.yaml"), **ASLEEP}, name=release, namespace=release)
    manifests = "\n---\n".join(text for path, text in printed.items() if path.endswith(".yaml"))

    bare.kubectl.apply(manifests, "--server-side")

    assert bare.kubectl.get("deployment", f"{release}-keyferry", release)
    assert bare.kubectl.get("clusterrole", f"{release}-keyferry")
    bare.kubectl.run("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    assert crd(bare)["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    bare.kubectl.run("delete", "-f", "-", stdin=manifests)


def test_an_upgrade_brings_the_crds_of_the_new_version(bare: Cluster, release: str, tmp_path: Path) -> None:
    old = tmp_path / "keyferry"
    shutil.copytree(CHART, old)
    definition = old / "files" / "crds" / "external-secrets.io_externalsecrets.yaml"
    definition.write_text(definition.read_text("utf-8").replace("shortNames:\n    - es\n", "shortNames:\n    - old\n"))
    settle(bare, release, {}, old)
    assert crd(bare)["spec"]["names"]["shortNames"] == ["old"]

    settle(bare, release, {})

    assert crd(bare)["spec"]["names"]["shortNames"] == ["es"]
    with helm.Config(kubeconfig_path=str(bare.kubeconfig), namespace=release) as config:
        config.rollback(release)
    assert crd(bare)["spec"]["names"]["shortNames"] == ["old"]
    uninstall(bare, release)


def test_crds_of_somebody_else_are_left_alone_until_they_are_handed_over(bare: Cluster, release: str) -> None:
    bare.kubectl.run("apply", "--server-side", "-f", str(ROOT / "crds"))
    theirs = crd(bare)

    told = settle(bare, release, {})

    assert EXTERNAL_SECRETS in told
    assert crd(bare)["metadata"]["annotations"] == theirs["metadata"]["annotations"]
    names = [yaml.safe_load(path.read_text("utf-8"))["metadata"]["name"] for path in (ROOT / "crds").glob("*.yaml")]
    bare.kubectl.run("label", "crd", *names, "app.kubernetes.io/managed-by=Helm", "--overwrite")
    owner = (f"meta.helm.sh/release-name={release}", f"meta.helm.sh/release-namespace={release}")
    bare.kubectl.run("annotate", "crd", *names, *owner, "--overwrite")

    told = settle(bare, release, {})

    assert EXTERNAL_SECRETS not in told
    assert crd(bare)["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert crd(bare)["metadata"]["uid"] == theirs["metadata"]["uid"]
    uninstall(bare, release)
    assert crd(bare)["metadata"]["uid"] == theirs["metadata"]["uid"]


def test_the_pod_is_let_into_a_namespace_that_enforces_the_restricted_standard(bare: Cluster, release: str) -> None:
    bare.kubectl.run("label", "namespace", release, "pod-security.kubernetes.io/enforce=restricted")
    (deployment,) = [each for each in rendered({}, namespace=release) if each["kind"] == "Deployment"]
    template = deployment["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": release}, "spec": template["spec"]}

    assert "p created" in bare.kubectl.apply(pod, "--dry-run=server")

    pod["spec"] = {**template["spec"], "hostNetwork": True}
    with pytest.raises(AssertionError, match="violates PodSecurity"):
        bare.kubectl.apply(pod, "--dry-run=server")


def test_monitoring_comes_with_the_kinds_that_the_cluster_has(bare: Cluster, release: str) -> None:
    settle(bare, release, {})
    assert bare.kubectl.list("service,configmap", release, "-l", f"app.kubernetes.io/instance={release}") == []
    with_monitoring(bare)

    settle(bare, release, {})

    assert bare.kubectl.get("servicemonitor", f"{release}-keyferry-metrics", release)
    assert bare.kubectl.get("service", f"{release}-keyferry-metrics", release)
    assert len(bare.kubectl.list("prometheusrule", release)) == len(list((CHART / "rules").glob("*.yaml")))
    boards = bare.kubectl.list("configmap", release, "-l", "grafana_dashboard=1")
    assert len(boards) == len(list((CHART / "dashboards").glob("*.json")))
    uninstall(bare, release)


def test_openshift_is_known_by_its_kinds(bare: Cluster, release: str) -> None:
    constraints = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "securitycontextconstraints.security.openshift.io"},
        "spec": {
            "group": "security.openshift.io",
            "names": {"kind": "SecurityContextConstraints", "plural": "securitycontextconstraints"},
            "scope": "Cluster",
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
            ],
        },
    }
    bare.kubectl.apply(constraints)
    bare.kubectl.run("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")

    settle(bare, release, {})

    deployment = bare.kubectl.get("deployment", f"{release}-keyferry", release)
    assert deployment is not None
    context = container([deployment])["securityContext"]
    assert context["runAsNonRoot"]
    assert not {"runAsUser", "runAsGroup"} & set(context)
    role = bare.kubectl.get("clusterrole", f"{release}-keyferry")
    assert role is not None
    assert "externalsecrets/finalizers" in str(role["rules"])
    uninstall(bare, release)


def test_stores_that_wait_for_tokens_are_named_after_the_installation(bare: Cluster, release: str) -> None:
    settle(bare, release, {})
    bare.kubectl.run("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    login = {"kubernetes": {"auth": {"serviceAccount": {"name": "reader"}}, "remoteNamespace": "default"}}
    bare.kubectl.apply([store(release, login, name="here"), store(release, fake({"k": "v"}), name="there")])

    told = settle(bare, release, {})

    assert f"SecretStore {release}/here" in told
    assert f"{release}/there" not in told
    named = {"serviceAccountTokens": [{"namespace": release, "name": "reader"}]}
    for rbac in (named, {"serviceAccountTokenCreate": True}):
        assert "serviceAccountTokenCreate" not in settle(bare, release, {"rbac": rbac})
    uninstall(bare, release)


def test_a_release_with_everything_stays_well_below_what_a_secret_can_hold(bare: Cluster, release: str) -> None:
    monitoring = of_file(CHART / "ci" / "monitoring-values.yaml")
    with_monitoring(bare)
    settle(bare, release, monitoring)

    (kept,) = bare.kubectl.list("secret", release, "-l", "owner=helm")

    held = base64.b64decode(kept["data"]["release"])
    assert len(held) < MEBIBYTE * 2 // 3
    manifest = json.loads(gzip.decompress(base64.b64decode(held)))["manifest"]
    assert manifest.count("kind: CustomResourceDefinition") == len(list((ROOT / "crds").glob("*.yaml")))
    uninstall(bare, release)
