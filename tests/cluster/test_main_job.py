"""The main job, seen from outside: manifests in, Secrets out, and in step from then on."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.sandbox.openbao import OpenBao
from tests.support.cluster import Cluster, external_secret, fake, one_key, opaque, store, vault
from tests.support.operator import Operator, eventually, ready_condition

pytestmark = pytest.mark.cluster


def data_of(cluster: Cluster, name: str, namespace: str) -> dict[str, str] | None:
    """The Secret's data as text."""
    body = cluster.kubectl.get("secret", name, namespace)
    if body is None:
        return None
    return {key: base64.b64decode(value).decode() for key, value in (body.get("data") or {}).items()}


def holds(cluster: Cluster, name: str, namespace: str, expected: dict[str, str]) -> bool | None:
    """True once the Secret holds exactly this."""
    found = data_of(cluster, name, namespace)
    assert found == expected, f"{sorted(found or {})} is not {sorted(expected)}, or values differ"
    return True


def condition_of(cluster: Cluster, name: str, namespace: str, status: str, kind: str = "externalsecret") -> Any:
    """The Ready condition, once it has this status."""
    found = ready_condition(cluster.kubectl.get(kind, name, namespace))
    assert found.get("status") == status, str(found)
    return found


def test_a_value_in_openbao_becomes_a_secret_and_stays_in_step(
    cluster: Cluster, namespace: str, operator: Operator, bao: OpenBao
) -> None:
    kv = bao.client().secrets.kv.v2
    kv.create_or_update_secret(f"{namespace}/db", {"user": "app", "password": "first"})
    cluster.kubectl.apply(
        [
            opaque("bao-token", namespace, token=bao.root_token),
            store(namespace, vault(bao.url, "secret")),
            external_secret(
                "db",
                namespace,
                refreshInterval="1s",
                data=[one_key("password", f"{namespace}/db", "password")],
                dataFrom=[{"extract": {"key": f"{namespace}/db"}}],
            ),
        ]
    )
    eventually(
        lambda: holds(cluster, "db", namespace, {"user": "app", "password": "first"}), told=operator.process.tail
    )
    assert condition_of(cluster, "db", namespace, "True")["reason"] == "SecretSynced"

    kv.create_or_update_secret(f"{namespace}/db", {"user": "app", "password": "second"})

    eventually(lambda: holds(cluster, "db", namespace, {"user": "app", "password": "second"}))


def test_a_broken_store_keeps_the_secret_and_says_why(
    cluster: Cluster, namespace: str, operator: Operator, bao: OpenBao
) -> None:
    bao.client().secrets.kv.v2.create_or_update_secret(f"{namespace}/db", {"password": "kept"})
    token = opaque("bao-token", namespace, token=bao.root_token)
    cluster.kubectl.apply(
        [
            token,
            store(namespace, vault(bao.url, "secret")),
            external_secret(
                "db", namespace, refreshInterval="1s", data=[one_key("password", f"{namespace}/db", "password")]
            ),
        ]
    )
    eventually(lambda: holds(cluster, "db", namespace, {"password": "kept"}), told=operator.process.tail)

    cluster.kubectl.apply(opaque("bao-token", namespace, token="not-a-token"))

    broken = eventually(lambda: condition_of(cluster, "store", namespace, "False", "secretstore"))
    assert broken["reason"] == "InvalidProviderConfig"
    assert "not-a-token" not in str(broken)
    told = eventually(lambda: condition_of(cluster, "db", namespace, "False"))
    assert 'SecretStore "store"' in told["message"]
    assert data_of(cluster, "db", namespace) == {"password": "kept"}

    cluster.kubectl.apply(token)

    eventually(lambda: condition_of(cluster, "db", namespace, "True"), told=operator.process.tail)


def test_a_secret_that_is_edited_or_deleted_comes_back_at_once(
    cluster: Cluster, namespace: str, operator: Operator
) -> None:
    cluster.kubectl.apply(
        [store(namespace, fake({"k": "good"})), external_secret("es", namespace, data=[one_key("k", "k")])]
    )
    eventually(lambda: holds(cluster, "es", namespace, {"k": "good"}), told=operator.process.tail)

    cluster.kubectl.run("patch", "secret", "es", "-n", namespace, "-p", '{"stringData":{"k":"bad","more":"x"}}')
    eventually(lambda: holds(cluster, "es", namespace, {"k": "good"}), told=operator.process.tail)

    cluster.kubectl.run("delete", "secret", "es", "-n", namespace)
    eventually(lambda: holds(cluster, "es", namespace, {"k": "good"}), told=operator.process.tail)

    cluster.kubectl.run("label", "secret", "es", "-n", namespace, "reconcile.external-secrets.io/managed-")
    eventually(
        lambda: (
            (
                "reconcile.external-secrets.io/managed"
                in (cluster.kubectl.get("secret", "es", namespace) or {})["metadata"]["labels"]
            )
            or None
        ),
        told=operator.process.tail,
    )


def test_an_edit_of_the_store_reaches_its_secrets_without_waiting_for_the_interval(
    cluster: Cluster, namespace: str, operator: Operator
) -> None:
    cluster.kubectl.apply(
        [store(namespace, fake({"k": "one"})), external_secret("es", namespace, data=[one_key("k", "k")])]
    )
    eventually(lambda: holds(cluster, "es", namespace, {"k": "one"}), told=operator.process.tail)

    cluster.kubectl.apply(store(namespace, fake({"k": "two"})))

    eventually(lambda: holds(cluster, "es", namespace, {"k": "two"}), told=operator.process.tail)


def test_objects_applied_before_their_store_come_in_step_when_it_comes(
    cluster: Cluster, namespace: str, operator: Operator
) -> None:
    cluster.kubectl.apply(external_secret("es", namespace, data=[one_key("k", "k")]))
    told = eventually(lambda: condition_of(cluster, "es", namespace, "False"), told=operator.process.tail)
    assert 'SecretStore "store" does not exist' in told["message"]

    cluster.kubectl.apply(store(namespace, fake({"k": "v"})))

    eventually(lambda: holds(cluster, "es", namespace, {"k": "v"}), told=operator.process.tail)


def test_no_value_is_ever_told_in_logs_events_statuses_or_metrics(
    cluster: Cluster, namespace: str, operator: Operator, bao: OpenBao
) -> None:
    canary = "canary-7f3a9c"
    bao.client().secrets.kv.v2.create_or_update_secret(f"{namespace}/c", {"plain": canary, "number": 7})
    cluster.kubectl.apply(
        [
            opaque("bao-token", namespace, token=bao.root_token),
            store(namespace, vault(bao.url, "secret")),
            external_secret("good", namespace, data=[one_key("k", f"{namespace}/c", "plain")]),
            external_secret(
                "not-base64",
                namespace,
                data=[
                    {
                        "secretKey": "k",
                        "remoteRef": {"key": f"{namespace}/c", "property": "plain", "decodingStrategy": "Base64"},
                    }
                ],
            ),
            external_secret(
                "not-json", namespace, dataFrom=[{"extract": {"key": f"{namespace}/c", "property": "plain"}}]
            ),
        ]
    )
    eventually(lambda: holds(cluster, "good", namespace, {"k": canary}), told=operator.process.tail)
    for name in ("not-base64", "not-json"):
        eventually(lambda name=name: condition_of(cluster, name, namespace, "False"), told=operator.process.tail)  # type: ignore[misc] # mypy cannot infer a lambda with a default

    seen = cluster.kubectl.run("get", "events,es,secretstore", "-n", namespace, "-o", "yaml")
    seen += operator.get("metrics", "/metrics")[1] + operator.process.tail(100_000)

    assert canary not in seen
    assert base64.b64encode(canary.encode()).decode() not in seen
    assert bao.root_token not in seen
