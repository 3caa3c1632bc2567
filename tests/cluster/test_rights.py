"""The chart's roles are enough for the main job, and no more than they say is granted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.chart import rendered
from tests.support.cluster import Cluster, external_secret, fake, one_key, opaque, store
from tests.support.operator import Operator, eventually, ready_condition

pytestmark = pytest.mark.cluster

_RIGHTS = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}


def account(cluster: Cluster, namespace: str, values: dict[str, Any], folder: Path) -> Path:
    """A kubeconfig of the chart's ServiceAccount, with the chart's rights and no others."""
    name = f"kf-{namespace}"
    objects = [each for each in rendered(values, name=name, namespace=namespace) if each["kind"] in _RIGHTS]
    cluster.kubectl.apply(objects)
    (who,) = [each["metadata"]["name"] for each in objects if each["kind"] == "ServiceAccount"]
    token = cluster.kubectl.run("create", "token", who, "-n", namespace).strip()
    administrator = yaml.safe_load(cluster.kubeconfig.read_text())
    path = folder / f"{name}.yaml"
    users = [{"name": each["name"], "user": {"token": token}} for each in administrator["users"]]
    path.write_text(yaml.safe_dump({**administrator, "users": users}))
    return path


def main_job(cluster: Cluster, namespace: str, operator: Operator) -> None:
    """A Secret is made, repaired, read back by another store, and goes with a renamed target."""
    cluster.kubectl.apply(
        [
            store(namespace, fake({"k": "v"})),
            external_secret("es", namespace, data=[one_key("k", "k")]),
            opaque("source", namespace, k="from-the-cluster"),
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader", "namespace": namespace}},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": "reader", "namespace": namespace},
                "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "reader", "namespace": namespace},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
                "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}],
            },
            store(namespace, this_cluster(cluster, namespace), name="here"),
            external_secret(
                "copy", namespace, secretStoreRef={"name": "here"}, data=[one_key("copied", "source", "k")]
            ),
        ]
    )
    for name in ("es", "copy"):
        eventually(lambda name=name: in_step(cluster, name, namespace), told=operator.process.tail)  # type: ignore[misc] # mypy cannot infer a lambda with a default
    cluster.kubectl.run("delete", "secret", "es", "-n", namespace)
    eventually(lambda: cluster.kubectl.get("secret", "es", namespace), told=operator.process.tail)
    cluster.kubectl.run(
        "patch", "es", "es", "-n", namespace, "--type=merge", "-p", '{"spec":{"target":{"name":"renamed"}}}'
    )
    eventually(lambda: cluster.kubectl.get("secret", "renamed", namespace), told=operator.process.tail)
    eventually(lambda: cluster.kubectl.get("secret", "es", namespace) is None or None, told=operator.process.tail)
    events = json.loads(cluster.kubectl.run("get", "events", "-n", namespace, "-o", "json"))["items"]
    assert {"Created", "Deleted"} <= {each["reason"] for each in events}


def this_cluster(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """The kubernetes provider, reading the test's own namespace."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    return {
        "kubernetes": {
            "server": {
                "url": cluster.url,
                "caBundle": config["clusters"][0]["cluster"]["certificate-authority-data"],
            },
            "remoteNamespace": namespace,
            "auth": {"serviceAccount": {"name": "reader"}},
        }
    }


def in_step(cluster: Cluster, name: str, namespace: str) -> bool | None:
    """True once the ExternalSecret is Ready."""
    found = ready_condition(cluster.kubectl.get("externalsecret", name, namespace))
    assert found.get("status") == "True", str(found)
    return True


def refusals(operator: Operator) -> list[str]:
    """Log lines that tell of something that was not allowed."""
    lines = operator.process.tail(100_000).splitlines()
    return [line for line in lines if "may not" in line or "forbidden" in line.lower()]


def test_the_roles_for_the_whole_cluster_are_enough(cluster: Cluster, namespace: str, folder: Path) -> None:
    with Operator(account(cluster, namespace, {}, folder)) as operator:
        main_job(cluster, namespace, operator)

        assert refusals(operator) == []
    cluster.kubectl.run("delete", "clusterrole,clusterrolebinding", "-l", f"app.kubernetes.io/instance=kf-{namespace}")


def test_the_roles_for_one_namespace_are_enough(cluster: Cluster, namespace: str, folder: Path) -> None:
    values = {"scopedNamespace": namespace, "scopedRBAC": True, "leaderElect": True}
    kubeconfig = account(cluster, namespace, values, folder)
    flags = {"namespace": namespace, "enable_leader_election": "true", "leader_election_namespace": namespace}
    with Operator(kubeconfig, **flags) as operator:
        main_job(cluster, namespace, operator)

        assert refusals(operator) == []


def test_the_roles_for_one_namespace_reach_no_other(cluster: Cluster, namespace: str, folder: Path) -> None:
    kubeconfig = account(cluster, namespace, {"scopedNamespace": namespace, "scopedRBAC": True}, folder)
    environment = type(cluster.kubectl)(kubeconfig)

    assert environment.run("auth", "can-i", "get", "secrets", "-n", namespace, check=False).strip() == "yes"
    for verb, what in (("get", "secrets"), ("list", "secrets"), ("create", "serviceaccounts/token")):
        assert environment.run("auth", "can-i", verb, what, "-n", "default", check=False).strip().endswith("no")
