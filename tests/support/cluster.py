"""Which cluster tests run in, and the manifests that they share."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.kubectl import Kubectl
from tests.support.processes import ROOT, Process


@dataclass(frozen=True)
class Cluster:
    """An API server that has our CRDs. ``controllers``: it collects garbage and ends namespaces.

    ``audit`` is the path of its audit log; "" for the sandbox's, and for a running cluster, whose log is out of reach.
    """

    kubeconfig: Path
    kubectl: Kubectl
    real: bool
    controllers: bool
    url: str
    audit: str = ""


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """The cluster that the environment asks for: a running one, a real control plane, or the sandbox's."""
    given = os.environ.get("KEYFERRY_TEST_KUBECONFIG")
    if given:
        kubectl = Kubectl(given)
        url = kubectl.run("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
        yield _with_crds(Cluster(Path(given), kubectl, real=True, controllers=True, url=url))
        return
    with empty_cluster(folder) as cluster:
        yield _with_crds(cluster)


@contextmanager
def empty_cluster(folder: Path, *words: str) -> Iterator[Cluster]:
    """A cluster of its own without CRDs, a real one where ``KUBEBUILDER_ASSETS`` is set; ``words`` start it."""
    kubeconfig = folder / "kubeconfig"
    with Process("tests.sandbox", "--kubeconfig", str(kubeconfig), *words) as server:
        told = server.wait_for(lambda line: "kubeconfig" in line)
        known = {name: told[name] for name in ("real", "controllers", "url", "audit")}
        yield Cluster(kubeconfig, Kubectl(kubeconfig), **known)


def _with_crds(cluster: Cluster) -> Cluster:
    cluster.kubectl.run("apply", "-f", str(ROOT / "crds"))
    cluster.kubectl.run("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    return cluster


def external_secret(name: str, namespace: str, **spec: Any) -> dict[str, Any]:
    """An ExternalSecret that reads from the store "store" unless the spec says otherwise."""
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"secretStoreRef": {"name": "store"}, "refreshInterval": "1h", **spec},
    }


def one_key(secret_key: str, key: str, prop: str = "") -> dict[str, Any]:
    """An entry of ``data``."""
    return {"secretKey": secret_key, "remoteRef": {"key": key, **({"property": prop} if prop else {})}}


def store(namespace: str, provider: Mapping[str, Any], name: str = "store") -> dict[str, Any]:
    """A SecretStore."""
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "SecretStore",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"provider": dict(provider)},
    }


def fake(values: Mapping[str, str]) -> dict[str, Any]:
    """The fake provider with these keys and values."""
    return {"fake": {"data": [{"key": key, "value": value} for key, value in values.items()]}}


def vault(url: str, path: str, secret: str = "bao-token", key: str = "token") -> dict[str, Any]:
    """The vault provider over KV version 2, with a token from a Secret."""
    return {
        "vault": {
            "server": url,
            "path": path,
            "version": "v2",
            "auth": {"tokenSecretRef": {"name": secret, "key": key}},
        }
    }


def opaque(name: str, namespace: str, **data: str) -> dict[str, Any]:
    """A Secret with text values."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": data,
    }
