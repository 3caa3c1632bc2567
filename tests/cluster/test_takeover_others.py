"""Secrets of Vault Secrets Operator and kubernetes-external-secrets change hands as docs/ says, and are never gone."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support import pages
from tests.support.cluster import Cluster
from tests.support.kubectl import Kubectl
from tests.support.operator import eventually, ready_condition
from tests.support.rights import Account
from tests.takeover.cases import Case
from tests.takeover.world import STORE, World, ago

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

Json = dict[str, Any]
OLD, NEW = "before.example.com/v1", "external-secrets.io/v1"
VALUES = {"user": "shop", "password": "p-database"}
VSO_LABELS = {
    "app.kubernetes.io/managed-by": "hashicorp-vso",
    "app.kubernetes.io/name": "vault-secrets-operator",
    "app.kubernetes.io/component": "secret-sync",
}
GC_SECONDS = 120.0
"""A garbage collector may take a minute until it knows a new kind."""


@contextmanager
def old_kind(kubectl: Kubectl, kind: str) -> Iterator[str]:
    """A kind of the operator before, which exists while the block runs; in a group that nobody uses. Its plural."""
    plural, group = f"old{kind.lower()}s", "before.example.com"
    name = f"{plural}.{group}"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    kubectl.apply(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": name},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural, "singular": plural[:-1]},
                "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
            },
        }
    )
    try:
        kubectl.run("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")
        yield plural
    finally:
        kubectl.run("delete", "crd", name, "--wait=false")


def old_object(kubectl: Kubectl, kind: str, plural: str, name: str, namespace: str) -> Json:
    """An object of the operator before."""
    body = {"apiVersion": "before.example.com/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}}
    kubectl.apply(body)
    made = kubectl.get(plural, name, namespace)
    assert made is not None
    return made


def secret_of(
    owner: Mapping[str, Any], name: str, data: Mapping[str, str], *, controller: bool, **metadata: Any
) -> Json:
    """A Secret that belongs to an object."""
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"]}
    reference |= {"uid": owner["metadata"]["uid"], **({"controller": True} if controller else {})}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            "ownerReferences": [reference],
            **metadata,
        },
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


def owners_of(kubectl: Kubectl, name: str, namespace: str) -> list[str]:
    """The API groups and versions of the owners of a Secret, which has to be there with its values."""
    secret = kubectl.get("secret", name, namespace)
    assert secret is not None
    assert {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}.items() >= VALUES.items()
    return [each["apiVersion"] for each in secret["metadata"].get("ownerReferences", [])]


def has_owners(kubectl: Kubectl, name: str, namespace: str, *owners: str) -> bool | None:
    """True once the owners of the Secret, which has to be there all the time, are these."""
    return owners_of(kubectl, name, namespace) == list(owners) or None


async def test_a_secret_of_vault_secrets_operator_gets_a_new_owner_before_the_old_one_goes(
    cluster: Cluster, namespace: str, release: Account
) -> None:
    kubectl = cluster.kubectl
    example = pages.objects(pages.DOCS / "examples" / "migration-vso-static.yaml")[1]
    example["metadata"]["namespace"] = namespace
    async with World(cluster, namespace, release) as world:
        with old_kind(kubectl, "VaultStaticSecret") as plural:
            owner = old_object(kubectl, "VaultStaticSecret", plural, "database", namespace)
            await world.fill([], ago(minutes=1))
            await world.add_store("vault", ago(minutes=1))
            world.kv.values = {"shop/database": VALUES, "refused": VALUES}
            held = {**VALUES, "_raw": "{}"}
            for name in ("database-login", "refused"):
                await world.create("secrets", secret_of(owner, name, held, controller=False, labels=VSO_LABELS))
            before = (await world.bodies("secrets"))["database-login"]
            await world.create("externalsecrets", example)
            await world.create("externalsecrets", Case(name="refused").manifest(namespace, "vault"))

            async with world.operating():
                objects = await world.bodies("externalsecrets")

            assert ready_condition(objects["database"])["status"] == "True", str(objects["database"]["status"])
            assert "not from this ExternalSecret: _raw" in ready_condition(objects["refused"])["message"]
            secret = (await world.bodies("secrets"))["database-login"]
            assert secret["metadata"]["uid"] == before["metadata"]["uid"]
            assert set(secret["data"]) == set(VALUES)
            assert owners_of(kubectl, "database-login", namespace) == [OLD, NEW]
            if cluster.controllers:
                kubectl.run("delete", plural, "database", "-n", namespace)
                eventually(lambda: has_owners(kubectl, "database-login", namespace, NEW), seconds=GC_SECONDS)


async def test_a_secret_of_kubernetes_external_secrets_is_let_go_and_then_taken_over(
    cluster: Cluster, namespace: str, release: Account
) -> None:
    kubectl = cluster.kubectl
    async with World(cluster, namespace, release) as world:
        with old_kind(kubectl, "ExternalSecret") as plural:
            await world.fill([], ago(minutes=1))
            for name in ("database", "refused"):
                owner = old_object(kubectl, "ExternalSecret", plural, name, namespace)
                await world.create("secrets", secret_of(owner, name, VALUES, controller=True))
            before = (await world.bodies("secrets"))["database"]
            if cluster.controllers:
                kubectl.run("delete", plural, "database", "-n", namespace, "--cascade=orphan", "--wait=false")
                eventually(lambda: has_owners(kubectl, "database", namespace), seconds=GC_SECONDS)
            else:
                await world.patch("secrets", "database", {"metadata": {"ownerReferences": None}})
            world.kv.values = {"database": VALUES, "refused": VALUES}
            for name in ("database", "refused"):
                await world.create("externalsecrets", Case(name=name).manifest(namespace, STORE))

            async with world.operating():
                objects = await world.bodies("externalsecrets")

            assert ready_condition(objects["database"])["status"] == "True", str(objects["database"]["status"])
            assert "failed to take ownership" in ready_condition(objects["refused"])["message"]
            assert (await world.bodies("secrets"))["database"]["metadata"]["uid"] == before["metadata"]["uid"]
            assert owners_of(kubectl, "database", namespace) == [NEW]
            assert owners_of(kubectl, "refused", namespace) == [OLD]
