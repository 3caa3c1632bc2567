"""The rules by which GitOps tools judge our objects, on statuses as the API server would hold them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from keyferry.app.crds import definitions
from tests.gitops import argocd
from tests.gitops.argocd import Health, health
from tests.gitops.kstatus import kstatus

KINDS = ["ExternalSecret", "SecretStore", "ClusterSecretStore"]


def condition(status: str, *, kind: str = "Ready", message: str = "as found") -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": "Reason",
        "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


def thing(*conditions: dict[str, Any], kind: str = "ExternalSecret", **status: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"kind": kind, "metadata": {"name": "app", "generation": 2}, "spec": {}}
    if conditions or status:
        body["status"] = {"conditions": list(conditions), **status}
    return body


@pytest.mark.parametrize("kind", KINDS)
def test_argo_cd_waits_for_an_object_that_nobody_has_looked_at(kind: str) -> None:
    waiting = Health("Progressing", f"Waiting for {kind}")
    assert health(thing(kind=kind)) == waiting
    assert health(thing(kind=kind, capabilities="ReadOnly")) == waiting
    assert health(thing(condition("Unknown"), kind=kind)) == waiting
    assert health(thing(condition("True", kind="Deleted"), kind=kind)) == waiting


@pytest.mark.parametrize("kind", KINDS)
def test_argo_cd_takes_the_word_of_the_ready_condition_and_its_message(kind: str) -> None:
    assert health(thing(condition("True"), kind=kind)) == Health("Healthy", "as found")
    assert health(thing(condition("False"), kind=kind)) == Health("Degraded", "as found")
    both = [condition("True", kind="Deleted", message="other"), condition("False")]
    assert health(thing(*both, kind=kind)) == Health("Degraded", "as found")


def test_argo_cd_does_not_look_at_the_generation_and_kstatus_does() -> None:
    before_the_edit = thing(condition("True"), observedGeneration=1)
    assert health(before_the_edit).status == "Healthy"
    assert kstatus(before_the_edit) == "InProgress"


def test_argo_cd_asks_no_rule_about_an_object_that_is_being_deleted() -> None:
    body = thing(condition("False"), observedGeneration=2)
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert health(body) == Health("Progressing", "Pending deletion")
    assert kstatus(body) == "Terminating"


def test_kstatus_counts_an_object_without_a_word_as_current() -> None:
    assert kstatus(thing()) == "Current"


def test_kstatus_never_calls_an_object_failed_that_tries_again() -> None:
    assert kstatus(thing(condition("True"), observedGeneration=2)) == "Current"
    assert kstatus(thing(condition("False"), observedGeneration=2)) == "InProgress"
    assert kstatus(thing(condition("Unknown"), observedGeneration=2)) == "InProgress"
    assert kstatus(thing(condition("False"), condition("True", kind="Stalled"))) == "Failed"
    assert kstatus(thing(condition("True"), condition("True", kind="Reconciling"))) == "InProgress"


def test_what_eso_left_without_a_generation_keeps_its_health() -> None:
    left = thing(condition("True", message="secret synced"), syncedResourceVersion="2-0", refreshTime=None)
    assert health(left) == Health("Healthy", "secret synced")
    assert kstatus(left) == "Current"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, True),
        ({"refreshInterval": "1h"}, True),
        ({"refreshInterval": "10m"}, True),
        ({"refreshInterval": "0"}, False),
        ({"refreshInterval": "0s"}, False),
        ({"refreshInterval": "0h", "refreshPolicy": "CreatedOnce"}, False),
        ({"refreshInterval": "0m", "refreshPolicy": "OnChange"}, True),
        ({"refreshInterval": "0h0m0s"}, True),
        ({"refreshInterval": "1h", "refreshPolicy": "CreatedOnce"}, True),
    ],
)
def test_argo_cd_offers_a_refresh_unless_the_interval_is_a_bare_zero(spec: dict[str, Any], expected: bool) -> None:
    assert argocd.may_refresh({**thing(), "spec": spec}) is expected


def test_argo_cds_refresh_puts_the_time_into_force_sync_and_keeps_the_rest() -> None:
    body = thing()
    for given in ({}, {"annotations": {"note": "kept"}}):
        body["metadata"] = {"name": "app", **given}
        for found in argocd.refreshed(body):
            moment = datetime.fromisoformat(found.pop("force-sync"))
            assert moment.tzinfo == UTC
            assert found == given.get("annotations", {})


def test_the_crds_write_no_default_into_an_object() -> None:
    def defaults(schema: Any, path: str) -> Iterator[str]:
        if "default" in schema:
            yield path
        inner = {**schema.get("properties", {}), "[]": schema.get("items"), "*": schema.get("additionalProperties")}
        for name, each in inner.items():
            if isinstance(each, dict):
                yield from defaults(each, f"{path}.{name}")

    for name, crd in definitions().items():
        for version in crd["spec"]["versions"]:
            assert list(defaults(version["schema"]["openAPIV3Schema"], name)) == []
