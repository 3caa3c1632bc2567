"""A cluster for the whole session, a namespace for each test, and OpenBao for those that ask."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.openbao import OpenBao
from tests.support.cluster import Cluster, running_cluster
from tests.support.operator import Operator
from tests.support.rights import Account, account


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """An API server with our CRDs: the sandbox's, or the one that the environment names."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of its own, which goes when the test is over."""
    name = f"t-{uuid.uuid4().hex[:10]}"
    cluster.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    cluster.kubectl.run("delete", "externalsecret,secretstore,secret", "--all", "-n", name, "--wait=false")
    cluster.kubectl.run("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def release(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """The ServiceAccount of a release for the whole cluster: with the chart's rights, and no others."""
    namespace = f"t-{uuid.uuid4().hex[:10]}"
    cluster.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    values = {"rbac": {"serviceAccountTokenCreate": True}}
    with account(cluster, namespace, values, tmp_path_factory.mktemp("release")) as found:
        yield found
    cluster.kubectl.run("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def operator(release: Account) -> Iterator[Operator]:
    """The operator, serving the whole cluster with the rights that its release gives it."""
    with release.operator() as operator:
        yield operator


@pytest.fixture(scope="session")
def bao() -> Iterator[OpenBao]:
    """One OpenBao; tests keep apart by their paths."""
    with OpenBao() as bao:
        yield bao


@pytest.fixture(scope="session")
def is_real() -> bool:
    """Whether the cluster is a real one."""
    return bool(os.environ.get("KUBEBUILDER_ASSETS") or os.environ.get("KEYFERRY_TEST_KUBECONFIG"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A place for files of this test."""
    return tmp_path
