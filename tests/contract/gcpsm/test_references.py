"""Whose objects the references of a ClusterSecretStore mean; one that borrows from callers has an adapter for each."""

from __future__ import annotations

from typing import Any

import pytest

from keyferry.fetch.pool import needs_caller
from keyferry.providers.gcpsm.config import GcpsmConfig
from tests.contract.gcpsm.support import federated

REFERENCES: dict[str, dict[str, Any]] = {
    "key": {"secretRef": {"secretAccessKeySecretRef": {"name": "x", "key": "k"}}},
    "ServiceAccount of GKE": {"workloadIdentity": {"serviceAccountRef": {"name": "x"}}},
    "ServiceAccount": federated(serviceAccountRef={"name": "x"}),
    "ConfigMap": federated(credConfig={"name": "x", "key": "k"}),
    "AWS credentials": federated(
        awsSecurityCredentials={"region": "eu-central-1", "awsCredentialsSecretRef": {"name": "x"}}
    ),
}


def named(part: Any) -> Any:
    """The same with a namespace in every reference."""
    if not isinstance(part, dict):
        return part
    more = {"namespace": "shared"} if "name" in part else {}
    return {key: named(value) for key, value in part.items()} | more


@pytest.mark.parametrize("which", REFERENCES)
def test_a_reference_without_a_namespace_is_to_the_callers_and_one_with_it_is_not(which: str) -> None:
    auth = REFERENCES[which]
    assert needs_caller(GcpsmConfig.parse({"auth": auth}))
    assert not needs_caller(GcpsmConfig.parse({"auth": named(auth)}))


def test_keyferrys_own_identity_is_nobodys_in_particular() -> None:
    assert not needs_caller(GcpsmConfig.parse({"projectID": "shop"}))
