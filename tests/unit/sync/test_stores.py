from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from keyferry.api.externalsecret import SecretStoreRef
from keyferry.api.store import SecretStore
from keyferry.errors import BadSpec, Denied, KeyferryError, NotReady
from keyferry.sync.stores import Gate, references
from tests.support.objects import es, store, store_body


@dataclass
class Cluster:
    stores: list[SecretStore] = field(default_factory=list)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)

    def store(self, kind: str, namespace: str, name: str) -> SecretStore | None:
        wanted = (kind, namespace, name)
        return next((s for s in self.stores if (s.kind, s.metadata.namespace, s.metadata.name) == wanted), None)

    def namespace_labels(self, name: str) -> Mapping[str, str] | None:
        return self.labels.get(name)

    def is_terminating(self, namespace: str) -> bool:
        return False


def gate(cluster: Cluster, **changes: Any) -> Gate:
    given = {"controller_class": "default", "flood_gate": True, "cluster_stores": True, **changes}
    return Gate(cluster, **given)


CLUSTER_REF = SecretStoreRef(name="store", kind="ClusterSecretStore")
REF = SecretStoreRef(name="store")


def test_a_store_of_another_namespace_is_never_found() -> None:
    with pytest.raises(NotReady, match='SecretStore "store" does not exist in namespace "team"'):
        gate(Cluster([store(namespace="other"), store(namespace="")])).open(REF, "team")


@pytest.mark.parametrize(
    ("ready", "flood_gate", "pending"),
    [("True", True, None), (None, True, True), ("False", True, False), ("False", False, None), (None, False, None)],
)
def test_the_flood_gate_lets_only_ready_stores_be_used(
    ready: str | None, flood_gate: bool, pending: bool | None
) -> None:
    asked = gate(Cluster([store(ready=ready)]), flood_gate=flood_gate)
    if pending is None:
        assert asked.open(REF, "team").metadata.name == "store"
        return
    with pytest.raises(NotReady, match="is not ready") as refused:
        asked.open(REF, "team")
    assert refused.value.pending is pending


def conditioned(*conditions: dict[str, Any]) -> Cluster:
    return Cluster([SecretStore.parse(store_body("store", "", conditions=list(conditions)))], {"team": {"tier": "a"}})


BY_LABEL = {"namespaceSelector": {"matchLabels": {"tier": "a"}}}
BY_ABSENCE = {"namespaceSelector": {"matchExpressions": [{"key": "closed", "operator": "DoesNotExist"}]}}


@pytest.mark.parametrize(
    ("conditions", "allowed"),
    [
        ([], True),
        ([{"namespaces": ["team"]}], True),
        ([{"namespaces": ["other"]}], False),
        ([{"namespaceRegexes": ["ea"]}], True),
        ([{"namespaceRegexes": ["^ea"]}], False),
        ([BY_LABEL], True),
        ([BY_ABSENCE], True),
        ([{"namespaceSelector": {"matchLabels": {"tier": "b"}}}], False),
        ([{"namespaces": ["other"]}, BY_LABEL], True),
        ([{}], False),
    ],
)
def test_conditions_of_a_cluster_store_decide_by_namespace(conditions: list[dict[str, Any]], allowed: bool) -> None:
    asked = gate(conditioned(*conditions))
    if allowed:
        assert asked.open(CLUSTER_REF, "team")
    else:
        with pytest.raises(Denied, match=r"not allowed from namespace .team."):
            asked.open(CLUSTER_REF, "team")


def test_a_namespace_of_which_nothing_is_known_yet_is_not_taken_for_one_without_labels() -> None:
    asked = gate(conditioned(BY_ABSENCE))
    with pytest.raises(NotReady, match="not known yet") as refused:
        asked.open(CLUSTER_REF, "unseen")
    assert refused.value.pending
    assert gate(conditioned(BY_ABSENCE, {"namespaces": ["unseen"]})).open(CLUSTER_REF, "unseen")


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ({"namespaceRegexes": ["("]}, "does not compile"),
        ({"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}, "unknown operator"),
    ],
)
def test_a_condition_that_makes_no_sense_lets_nobody_in(condition: dict[str, Any], text: str) -> None:
    with pytest.raises(BadSpec, match=text):
        gate(conditioned(condition)).open(CLUSTER_REF, "team")


@pytest.mark.parametrize(
    ("ref", "changes", "expected"),
    [(SecretStoreRef(), {}, BadSpec), (CLUSTER_REF, {"cluster_stores": False}, NotReady), (CLUSTER_REF, {}, NotReady)],
)
def test_a_reference_that_leads_nowhere_is_told(
    ref: SecretStoreRef, changes: dict[str, Any], expected: type[KeyferryError]
) -> None:
    with pytest.raises(expected):
        gate(Cluster(), **changes).open(ref, "team")


def test_one_store_of_another_class_makes_the_object_anothers() -> None:
    other = SecretStore.parse(store_body("theirs", controller="another"))
    cluster = Cluster([store(), other])
    entry = {"secretKey": "x", "remoteRef": {"key": "x"}, "sourceRef": {"storeRef": {"name": "theirs"}}}
    assert gate(cluster).is_ours(es())
    assert not gate(cluster).is_ours(es(data=[entry]))
    assert gate(Cluster()).is_ours(es(data=[entry]))
    assert [ref.name for ref in references(es(data=[entry, entry]))] == ["store", "theirs"]
