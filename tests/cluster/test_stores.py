"""Stores that several namespaces share, and stores whose trust changes."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.openbao import OpenBao
from tests.support.cluster import Cluster, external_secret, one_key, opaque, store, vault
from tests.support.operator import Operator, eventually, ready_condition

pytestmark = pytest.mark.cluster


@pytest.fixture
def neighbour(cluster: Cluster, namespace: str) -> Iterator[str]:
    """A second namespace."""
    name = f"{namespace}-b"
    labels = {"team": "b"}
    cluster.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    yield name
    cluster.kubectl.run("delete", "externalsecret,secret", "--all", "-n", name, "--wait=false")
    cluster.kubectl.run("delete", "namespace", name, "--wait=false")


def cluster_store(name: str, provider: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A ClusterSecretStore."""
    body = store("", provider, name)
    return {**body, "kind": "ClusterSecretStore", "metadata": {"name": name}, "spec": {**body["spec"], **spec}}


def condition(cluster: Cluster, kind: str, name: str, namespace: str, status: str) -> Any:
    """The Ready condition, once it has this status."""
    found = ready_condition(cluster.kubectl.get(kind, name, namespace))
    assert found.get("status") == status, str(found)
    return found


def value_of(cluster: Cluster, namespace: str) -> str | None:
    """What the Secret "es" holds."""
    body = cluster.kubectl.get("secret", "es", namespace)
    return base64.b64decode(body["data"]["k"]).decode() if body else None


def test_a_shared_store_reads_with_the_credential_of_each_callers_namespace(
    cluster: Cluster, namespace: str, neighbour: str, operator: Operator, bao: OpenBao
) -> None:
    admin = bao.client()
    reference = {"kind": "ClusterSecretStore", "name": f"shared-{namespace}"}
    for each in (namespace, neighbour):
        admin.sys.create_or_update_policy(each, f'path "secret/data/{each}/*" {{ capabilities = ["read"] }}')
        token = admin.auth.token.create(policies=[each])["auth"]["client_token"]
        admin.secrets.kv.v2.create_or_update_secret(f"{each}/own", {"k": f"value-of-{each}"})
        cluster.kubectl.apply(
            [
                opaque("bao-token", each, token=token),
                external_secret("es", each, secretStoreRef=reference, data=[one_key("k", f"{each}/own", "k")]),
            ]
        )
    # One that asks for the other's value, with its own credential.
    cluster.kubectl.apply(
        external_secret("thief", namespace, secretStoreRef=reference, data=[one_key("k", f"{neighbour}/own", "k")])
    )
    cluster.kubectl.apply(cluster_store(reference["name"], vault(bao.url, "secret")))

    for each in (namespace, neighbour):
        eventually(lambda each=each: value_of(cluster, each) == f"value-of-{each}" or None, told=operator.process.tail)  # type: ignore[misc] # mypy cannot infer a lambda with a default
    told = eventually(lambda: condition(cluster, "externalsecret", "thief", namespace, "False"))
    assert f"{neighbour}/own" in told["message"]
    assert cluster.kubectl.get("secret", "thief", namespace) is None
    assert condition(cluster, "clustersecretstore", reference["name"], "", "True")["reason"] == "Valid"
    cluster.kubectl.run("delete", "clustersecretstore", reference["name"])


def test_a_shared_store_opens_to_a_namespace_as_soon_as_its_labels_fit(
    cluster: Cluster, namespace: str, neighbour: str, operator: Operator
) -> None:
    name = f"guarded-{namespace}"
    provider = {"fake": {"data": [{"key": "k", "value": "v"}]}}
    cluster.kubectl.apply(
        cluster_store(name, provider, conditions=[{"namespaceSelector": {"matchLabels": {"team": "b"}}}])
    )
    reference = {"kind": "ClusterSecretStore", "name": name}
    for each in (namespace, neighbour):
        cluster.kubectl.apply(external_secret("es", each, secretStoreRef=reference, data=[one_key("k", "k")]))

    eventually(lambda: value_of(cluster, neighbour), told=operator.process.tail)
    told = eventually(lambda: condition(cluster, "externalsecret", "es", namespace, "False"))
    assert "denied by spec.condition" in told["message"]

    cluster.kubectl.run("label", "namespace", namespace, "team=b")

    eventually(lambda: value_of(cluster, namespace), told=operator.process.tail)
    cluster.kubectl.run("delete", "clustersecretstore", name)


def test_a_ca_that_is_mended_opens_the_store_at_once(cluster: Cluster, namespace: str, operator: Operator) -> None:
    with OpenBao(tls=True) as right, OpenBao(tls=True) as wrong:
        right.client().secrets.kv.v2.create_or_update_secret("tls", {"k": "v"})
        provider = vault(right.url, "secret")
        provider["vault"]["caProvider"] = {"type": "ConfigMap", "name": "ca", "key": "ca.pem"}
        cluster.kubectl.apply(
            [
                opaque("bao-token", namespace, token=right.root_token),
                authority(namespace, "no certificate at all"),
                store(namespace, provider),
                external_secret("es", namespace, data=[one_key("k", "tls", "k")]),
            ]
        )
        told = eventually(lambda: condition(cluster, "secretstore", "store", namespace, "False"))
        assert "holds no PEM certificate" in told["message"]

        cluster.kubectl.apply(authority(namespace, wrong.ca_pem))

        def untrusted() -> Any:
            found = condition(cluster, "secretstore", "store", namespace, "False")
            assert "caBundle" in found["message"], found["message"]
            return found

        eventually(untrusted, told=operator.process.tail)

        cluster.kubectl.apply(authority(namespace, right.ca_pem))

        eventually(lambda: value_of(cluster, namespace) == "v" or None, told=operator.process.tail)


def authority(namespace: str, pem: str | None) -> dict[str, Any]:
    """The ConfigMap of the CA."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "ca", "namespace": namespace},
        "data": {"ca.pem": pem},
    }
