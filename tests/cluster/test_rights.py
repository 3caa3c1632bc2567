"""Every right that a profile of the chart has is needed for its main job, and no other is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from keyferry.sync.externalsecret import FINALIZER
from tests.support.cluster import Cluster, empty_cluster, external_secret, fake, one_key, opaque, store
from tests.support.operator import Operator, eventually, ready_condition
from tests.support.processes import ROOT
from tests.support.rights import Account, account

pytestmark = pytest.mark.cluster


def main_job(cluster: Cluster, namespace: str, operator: Operator) -> None:
    """Whatever asks the API server for something, of every kind, in one namespace."""
    cluster.kubectl.apply(
        [
            store(namespace, fake({"k": "v"})),
            external_secret("es", namespace, data=[one_key("k", "k")]),
            opaque("source", namespace, k="from-the-cluster"),
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "shape", "namespace": namespace},
                "data": {"k": "{{ .k }}"},
            },
            external_secret(
                "shaped",
                namespace,
                data=[one_key("k", "k")],
                target={
                    "template": {"templateFrom": [{"configMap": {"name": "shape", "items": [{"key": "k"}]}}]},
                },
            ),
            *reader(namespace),
            store(namespace, this_cluster(cluster, namespace), name="here"),
            external_secret(
                "copy", namespace, secretStoreRef={"name": "here"}, data=[one_key("copied", "source", "k")]
            ),
            store(namespace, role_of_reader(), name="cloud"),
        ]
    )
    for name in ("es", "shaped", "copy"):
        eventually(lambda name=name: in_step(cluster, name, namespace), told=operator.process.tail)  # type: ignore[misc] # mypy cannot infer a lambda with a default
    told = eventually(lambda: ready_condition(cluster.kubectl.get("secretstore", "cloud", namespace)) or None)
    assert "reader" in told["message"]
    cluster.kubectl.run("delete", "secret", "es", "-n", namespace)
    eventually(lambda: cluster.kubectl.get("secret", "es", namespace), told=operator.process.tail)
    cluster.kubectl.apply(store(namespace, fake({"k": "changed"})))
    eventually(lambda: changed(cluster, namespace), told=operator.process.tail)
    cluster.kubectl.run(
        "patch", "es", "es", "-n", namespace, "--type=merge", "-p", '{"spec":{"target":{"name":"renamed"}}}'
    )
    eventually(lambda: cluster.kubectl.get("secret", "renamed", namespace), told=operator.process.tail)
    eventually(lambda: cluster.kubectl.get("secret", "es", namespace) is None or None, told=operator.process.tail)
    taken_over = json.dumps({"metadata": {"finalizers": [FINALIZER]}})
    cluster.kubectl.run("patch", "es", "shaped", "-n", namespace, "--type=merge", "-p", taken_over)
    cluster.kubectl.run("delete", "es", "shaped", "-n", namespace, "--wait=false")
    eventually(lambda: cluster.kubectl.get("es", "shaped", namespace) is None or None, told=operator.process.tail)
    eventually(lambda: {"Created", "Deleted"} <= reasons(cluster, namespace) or None, told=operator.process.tail)


def reader(namespace: str) -> list[dict[str, Any]]:
    """A ServiceAccount that may read Secrets, for stores to log in with."""
    metadata = {"name": "reader", "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": metadata,
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", **metadata}],
        },
    ]


def this_cluster(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """The kubernetes provider, reading the test's own namespace with a token of the reader."""
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


def role_of_reader() -> dict[str, Any]:
    """AWS, with the role that the reader's annotations name; they name none."""
    auth = {"jwt": {"serviceAccountRef": {"name": "reader"}}}
    return {"aws": {"service": "SecretsManager", "region": "eu-central-1", "auth": auth}}


def in_step(cluster: Cluster, name: str, namespace: str) -> bool | None:
    """True once the ExternalSecret is Ready."""
    found = ready_condition(cluster.kubectl.get("externalsecret", name, namespace))
    assert found.get("status") == "True", str(found)
    return True


def changed(cluster: Cluster, namespace: str) -> bool | None:
    """True once the Secret has the store's new value."""
    found = cluster.kubectl.get("secret", "es", namespace)
    return True if found and found.get("data", {}).get("k") == "Y2hhbmdlZA==" else None


def reasons(cluster: Cluster, namespace: str) -> set[str]:
    """Reasons of the Events of a namespace."""
    return {each["reason"] for each in cluster.kubectl.list("events", namespace)}


def check(who: Account, operator: Operator) -> None:
    """Nothing was refused, and no right was granted that was not used."""
    if who.cluster.real and not who.cluster.audit:
        lines = operator.process.tail(100_000).splitlines()
        assert [line for line in lines if "may not" in line or "forbidden" in line.lower()] == []
        return
    assert who.granted()

    def all_used() -> bool:
        used, refused = who.used()
        assert refused == []
        assert who.granted() - used == set()
        return True

    # A Lease is renewed every 2 s.
    eventually(all_used, seconds=10.0, told=operator.process.tail)


def test_a_release_for_the_whole_cluster_uses_every_right_that_it_has(
    cluster: Cluster, namespace: str, folder: Path
) -> None:
    shared = {"apiVersion": "external-secrets.io/v1", "kind": "ClusterSecretStore", "metadata": {"name": namespace}}
    cluster.kubectl.apply({**shared, "spec": {"provider": fake({"k": "v"})}})
    values = {"rbac": {"serviceAccountTokenCreate": True}}
    with account(cluster, namespace, values, folder) as who, who.operator() as operator:
        main_job(cluster, namespace, operator)
        eventually(lambda: ready_condition(cluster.kubectl.get("clustersecretstore", namespace)) or None)

        check(who, operator)
    cluster.kubectl.run("delete", "clustersecretstore", namespace)


def test_a_release_for_some_namespaces_uses_every_right_in_each_of_them(
    cluster: Cluster, namespace: str, folder: Path
) -> None:
    other = f"{namespace}-b"
    cluster.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}})
    accounts = [{"namespace": each, "name": "reader"} for each in (namespace, other)]
    values = {"scopedNamespace": [namespace, other], "rbac": {"serviceAccountTokens": accounts}}
    with account(cluster, namespace, values, folder) as who, who.operator() as operator:
        main_job(cluster, namespace, operator)
        main_job(cluster, other, operator)

        check(who, operator)
    cluster.kubectl.run("delete", "namespace", other, "--wait=false")


def test_a_release_for_its_own_namespace_uses_every_right_and_those_of_its_lease(
    cluster: Cluster, namespace: str, folder: Path
) -> None:
    values = {"scopedRBAC": True, "replicaCount": 2, "rbac": {"serviceAccountTokenCreate": True}}
    with account(cluster, namespace, values, folder) as who, who.operator() as operator:
        main_job(cluster, namespace, operator)

        check(who, operator)


def test_the_rights_in_one_namespace_reach_no_other(cluster: Cluster, namespace: str, folder: Path) -> None:
    with account(cluster, namespace, {"scopedRBAC": True}, folder) as who:
        kubectl = type(cluster.kubectl)(who.kubeconfig)

        def may(*what: str) -> bool:
            return kubectl.run("auth", "can-i", *what, check=False).strip().endswith("yes")

        assert may("get", "secrets", "-n", namespace)
        assert not may("create", "serviceaccounts/token", "-n", namespace)
        for verb, what in (("get", "secrets"), ("list", "secrets"), ("create", "serviceaccounts/token")):
            assert not may(verb, what, "-n", "default")
        for verb, what in (("list", "clustersecretstores"), ("list", "namespaces"), ("get", "secrets")):
            assert not may(verb, what, "-A")


def test_finalizers_may_be_updated_because_the_api_server_may_ask_for_it(
    folder: Path,
) -> None:
    if not os.environ.get("KUBEBUILDER_ASSETS"):
        pytest.skip("the sandbox has no admission plugin that protects owner references")
    with empty_cluster(folder, "--admission", "OwnerReferencesPermissionEnforcement") as cluster:
        cluster.kubectl.run("apply", "-f", str(ROOT / "crds"))
        cluster.kubectl.run("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        cluster.kubectl.apply(store("default", fake({"k": "v"})))
        for name, granted in (("without", False), ("with", True)):
            cluster.kubectl.apply(external_secret(name, "default", data=[one_key("k", "k")]))
            values = {"openshiftFinalizers": granted}
            with account(cluster, "default", values, folder) as who, who.operator() as operator:
                condition = eventually(
                    lambda name=name: ready_condition(cluster.kubectl.get("es", name)) or None,  # type: ignore[misc] # mypy cannot infer a lambda with a default
                    told=operator.process.tail,
                )
                assert (condition["status"] == "True") is granted, condition
            cluster.kubectl.run("delete", "es", name, "--wait=false")


def test_tokens_may_be_made_of_the_accounts_that_are_named_and_no_others(
    cluster: Cluster, namespace: str, folder: Path
) -> None:
    accounts = [{"namespace": namespace, "name": "reader"}]
    with account(cluster, namespace, {"rbac": {"serviceAccountTokens": accounts}}, folder) as who:
        cluster.kubectl.apply(reader(namespace))
        kubectl = type(cluster.kubectl)(who.kubeconfig)

        assert kubectl.run("create", "token", "reader", "-n", namespace).strip()
        refused = kubectl.run("create", "token", "default", "-n", namespace, check=False)
        assert "forbidden" in refused.lower()
