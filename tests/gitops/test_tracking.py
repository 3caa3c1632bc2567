"""Labels by which GitOps tools know what they have applied, on Secrets that ESO or a template has put them on."""

from __future__ import annotations

from typing import Any

import pytest

from keyferry.kube.plan import Plan, plan
from keyferry.shape.hashes import created_by, field_manager, object_hash
from keyferry.sync.template import copied
from tests.support.objects import es, managed_fields, secret_body

TRACKED = {"argocd.argoproj.io/instance": "shop", "kustomize.toolkit.fluxcd.io/name": "shop", "team": "red"}
MANAGED = "reconcile.external-secrets.io/managed"
CREATED_BY = "reconcile.external-secrets.io/created-by"
DATA_HASH = "reconcile.external-secrets.io/data-hash"
DATA = {"key": b"value"}


def left_by_eso(**labels: str) -> dict[str, Any]:
    """A Secret as ESO made it under ``Orphan``, with labels copied from the ExternalSecret."""
    held = {**labels, MANAGED: "true"}
    fields = managed_fields(field_manager("app"), "key", labels=tuple(held))
    annotations = {DATA_HASH: object_hash(DATA)}
    return secret_body(data=DATA, labels=held, annotations=annotations, managedFields=fields)


def planned(existing: dict[str, Any], **target: Any) -> Plan:
    tracked = es(metadata={"labels": TRACKED}, target={"creationPolicy": "Orphan", **target})
    return plan(tracked, copied(tracked, DATA), existing, adopt=False)


def test_labels_that_eso_copied_are_no_reason_to_write() -> None:
    assert planned(left_by_eso(**TRACKED)).action == "keep"


def test_labels_that_eso_did_not_copy_are_not_added() -> None:
    assert planned(left_by_eso(team="red")).action == "keep"


def test_a_label_that_a_template_no_longer_sets_goes() -> None:
    steps = planned(left_by_eso(**TRACKED), template={"metadata": {"labels": {}}})
    assert steps.body is not None
    assert "argocd.argoproj.io/instance" not in steps.body["metadata"]["labels"]


@pytest.mark.parametrize(("policy", "expected"), [("Owner", True), ("Orphan", False), ("CreateOrMerge", False)])
def test_the_instance_label_of_charts_is_copied_to_what_has_an_owner(policy: str, expected: bool) -> None:
    labelled = es(metadata={"labels": {"app.kubernetes.io/instance": "shop"}}, target={"creationPolicy": policy})
    body = plan(labelled, copied(labelled, DATA), None, adopt=False).body
    assert body is not None
    assert ("app.kubernetes.io/instance" in body["metadata"]["labels"]) is expected
    assert (created_by("team", "app") == body["metadata"]["labels"].get(CREATED_BY)) is expected
