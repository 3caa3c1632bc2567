"""The chart, installed, upgraded and removed by Helm's own engine."""

from __future__ import annotations

from typing import Any

import helm_python as helm
import pytest

from tests.support.chart import CHART
from tests.support.cluster import Cluster

pytestmark = pytest.mark.cluster

# Nothing is to be started: there may be no nodes, and no image.
ASLEEP: dict[str, Any] = {"replicaCount": 0}


def test_helm_installs_upgrades_and_removes_the_chart(cluster: Cluster, namespace: str) -> None:
    if not cluster.real:
        pytest.skip("Helm asks the API server for OpenAPI as protobuf, which the sandbox does not serve")

    def there(kind: str, name: str) -> bool:
        return cluster.kubectl.get(kind, name, namespace) is not None

    name = f"{namespace}-keyferry"
    with helm.Config(kubeconfig_path=str(cluster.kubeconfig), namespace=namespace) as config:
        config.install(str(CHART), namespace, values={**ASLEEP, "metrics": {"service": {"enabled": True}}})
        assert there("deployment", name)
        assert there("serviceaccount", name)
        assert there("clusterrole", name)
        assert there("service", f"{name}-metrics")

        config.upgrade(str(CHART), namespace, values={**ASLEEP, "scopedNamespace": namespace, "scopedRBAC": True})
        assert there("role", name)
        assert not there("clusterrole", name)
        assert not there("service", f"{name}-metrics")

        config.uninstall(namespace)
    assert not there("deployment", name)
    # With the CRDs all ExternalSecrets would go, and the Secrets that they own.
    assert there("crd", "externalsecrets.external-secrets.io")
