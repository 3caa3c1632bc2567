"""The rights that the chart grants are enough, for the operator as the chart starts it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.chart import container, rendered
from tests.support.cluster import Cluster, external_secret, one_key, opaque, store
from tests.support.operator import Operator, eventually, ready_condition

pytestmark = pytest.mark.cluster

ESO_FINALIZER = "externalsecrets.external-secrets.io/externalsecret-cleanup"
RIGHTS = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}


def other_namespace_reader(namespace: str, url: str) -> list[dict[str, Any]]:
    """A store that asks for a ServiceAccount's token and a CA in a ConfigMap, and what it needs."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader", "namespace": namespace}}
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
    meta = {"name": "reader", "namespace": namespace}
    group = "rbac.authorization.k8s.io"
    provider = {
        "remoteNamespace": namespace,
        "server": {"url": url, "caProvider": {"type": "ConfigMap", "name": "own-ca", "key": "ca.crt"}},
        "auth": {"serviceAccount": {"name": "reader"}},
    }
    return [
        account,
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}],
        },
        store(namespace, {"kubernetes": provider}),
    ]


def kubeconfig_of(cluster: Cluster, folder: Path, namespace: str, account: str) -> Path:
    """The admin's kubeconfig with a ServiceAccount's token in the place of the admin's credential."""
    config = yaml.safe_load(cluster.kubectl.run("config", "view", "--raw", "--minify", "--flatten"))
    token = cluster.kubectl.run("create", "token", account, "--namespace", namespace)
    (user,) = config["users"]
    user["user"] = {"token": token.strip()}
    path = folder / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path


def flags_of(objects: list[dict[str, Any]]) -> dict[str, str]:
    """The flags of the Deployment, for the servers of a test's own."""
    words = (word.removeprefix("--").partition("=") for word in container(objects)["args"][1:])
    given = {name.replace("-", "_"): value for name, _, value in words}
    return {name: value for name, value in given.items() if name not in {"metrics_addr", "live_addr"}}


@pytest.mark.parametrize("scoped", [False, True], ids=["cluster-wide", "scoped"])
def test_the_charts_rights_are_enough_for_the_whole_job(
    cluster: Cluster, namespace: str, folder: Path, scoped: bool
) -> None:
    values: dict[str, Any] = {"leaderElect": True, "leaderElectionID": "mine"}
    if scoped:
        values |= {"scopedNamespace": namespace, "scopedRBAC": True}
    release = rendered(values, name=namespace, namespace=namespace)
    cluster.kubectl.apply([each for each in release if each["kind"] in RIGHTS])
    kubeconfig = kubeconfig_of(cluster, folder, namespace, f"{namespace}-keyferry")
    authority = cluster.kubectl.run(
        "config", "view", "--raw", "--minify", "--flatten", "-o", "jsonpath={.clusters[0].cluster}"
    )
    certificate = yaml.safe_load(authority)["certificate-authority-data"]
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "own-ca", "namespace": namespace}}
    cluster.kubectl.apply({**config_map, "data": {"ca.crt": base64.b64decode(certificate).decode()}})
    wanted = external_secret("wanted", namespace, data=[one_key("password", "source", "password")])
    wanted["metadata"]["finalizers"] = [ESO_FINALIZER]
    flags = flags_of(release) | {"leader_election_namespace": namespace}
    with Operator(kubeconfig, **flags) as operator:
        cluster.kubectl.apply([opaque("source", namespace, password="canary"), wanted])
        cluster.kubectl.apply(other_namespace_reader(namespace, cluster.url))

        def is_in_step(name: str) -> bool | None:
            condition = ready_condition(cluster.kubectl.get("externalsecret", "wanted", namespace))
            assert condition.get("status") == "True", f"{condition}\n{operator.process.tail()}"
            return cluster.kubectl.get("secret", name, namespace) is not None or None

        eventually(lambda: is_in_step("wanted"), told=operator.process.tail)
        cluster.kubectl.run("delete", "secret", "wanted", "--namespace", namespace)
        eventually(lambda: is_in_step("wanted"), told=operator.process.tail)
        renamed = {**wanted, "spec": {**wanted["spec"], "target": {"name": "renamed"}}}
        cluster.kubectl.apply(renamed)
        eventually(lambda: is_in_step("renamed"), told=operator.process.tail)
        eventually(lambda: cluster.kubectl.get("secret", "wanted", namespace) is None or None)
        eventually(lambda: "Created" in {each["reason"] for each in cluster.kubectl.list("events", namespace)} or None)
        assert cluster.kubectl.get("lease", "mine", namespace) is not None
        cluster.kubectl.run("delete", "externalsecret", "wanted", "--namespace", namespace, "--timeout=30s")
    log = b"".join(operator.process.output).decode()
    assert "may not" not in log
    assert "forbidden" not in log.lower()
    assert "canary" not in log
    for each in release:
        if each["kind"].startswith("ClusterRole"):
            cluster.kubectl.run("delete", each["kind"], each["metadata"]["name"])
