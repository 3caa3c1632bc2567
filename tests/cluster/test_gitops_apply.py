"""What is applied is what is read back, so that no GitOps tool ever sees a difference that nobody made.

Every manifest of the examples and of the cases is applied: as kubectl does, then on the server's side, as Flux does and
Argo CD with ``ServerSideApply=true``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from keyferry.app.crds import definitions
from tests.support import pages
from tests.support.cases.script import load
from tests.support.cluster import Cluster
from tests.support.processes import ROOT

pytestmark = pytest.mark.cluster

LONGEST_ANNOTATIONS = 256 * 1024
KINDS = ("ExternalSecret", "SecretStore", "ClusterSecretStore")
Json = dict[str, Any]


@dataclass(frozen=True)
class Written:
    """A manifest with a name of its own, and where it comes from. ``refused``: some of its neighbours are."""

    origin: str
    manifest: Json
    refused: bool

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def fits_an_annotation(self) -> bool:
        """Whether kubectl can keep it in ``last-applied-configuration``."""
        return len(json.dumps(self.manifest)) < LONGEST_ANNOTATIONS


def from_examples() -> Iterator[tuple[str, Json, bool]]:
    for path in sorted((pages.DOCS / "examples").rglob("*.yaml")):
        if path.parent.name == "render":
            # What is rendered without a cluster, and never applied.
            continue
        for manifest in pages.objects(path):
            yield path.name, manifest, False


def from_cases() -> Iterator[tuple[str, Json, bool]]:
    names = {"API_SERVER": "https://127.0.0.1:1", "API_CA": base64.b64encode(b"a CA").decode()}
    for path in sorted((ROOT / "tests" / "cases").glob("*/in.yaml")):
        case = load(path.parent, {**names, "NAMESPACE": "one", "NEIGHBOUR": "other"})
        for step in case.steps:
            refused = "refused" in (case.expected.get(step["step"]) or {})
            for manifest in (*step.get("apply", ()), *step.get("create", ())):
                yield f"{path.parent.name}, {step['step']}", manifest, refused


def apart(found: Iterable[tuple[str, Json, bool]]) -> Iterator[tuple[str, Json, bool]]:
    """Those of our kinds, each spec once."""
    seen = set()
    for origin, manifest, refused in found:
        text = json.dumps([manifest.get("apiVersion"), manifest["kind"], manifest.get("spec")])
        if manifest["kind"] in KINDS and text not in seen:
            seen.add(text)
            yield origin, manifest, refused


@pytest.fixture
def written(namespace: str, cluster: Cluster) -> Iterator[list[Written]]:
    """All of them, named apart and in one namespace; those without one go with the test."""
    found = [
        Written(
            origin,
            {
                "apiVersion": manifest.get("apiVersion", "external-secrets.io/v1"),
                "kind": manifest["kind"],
                "metadata": {"name": f"{namespace}-{number}", "namespace": namespace},
                "spec": manifest["spec"],
            },
            refused,
        )
        for number, (origin, manifest, refused) in enumerate(apart((*from_examples(), *from_cases())))
    ]
    for each in found:
        if each.manifest["kind"] == "ClusterSecretStore":
            del each.manifest["metadata"]["namespace"]
    yield found
    stores = [each.name for each in found if each.manifest["kind"] == "ClusterSecretStore"]
    cluster.kubectl.run("delete", "clustersecretstore", *stores, "--ignore-not-found", "--wait=false")


def apply(cluster: Cluster, written: list[Written], *words: str) -> None:
    # As JSON: Python writes "y" as plain text, which YAML in Go reads as true.
    text = "\n---\n".join(json.dumps(each.manifest) for each in written)
    cluster.kubectl.run("apply", "--validate=strict", *words, "-f", "-", stdin=text, check=False)


def read(cluster: Cluster, namespace: str) -> Mapping[str, Json]:
    bodies = cluster.kubectl.list(",".join(kind.lower() for kind in KINDS), namespace)
    return {each["metadata"]["name"]: each for each in bodies if each["metadata"]["name"].startswith(namespace)}


def test_a_spec_is_read_back_as_it_was_applied_with_no_default_added(
    cluster: Cluster, namespace: str, written: list[Written]
) -> None:
    assert {each.manifest["kind"] for each in written} == set(KINDS)
    assert {each.manifest["apiVersion"] for each in written} >= {
        "external-secrets.io/v1",
        "external-secrets.io/v1beta1",
    }
    apply(cluster, [each for each in written if each.fits_an_annotation])
    held = read(cluster, namespace)
    missing = [each for each in written if each.name not in held]
    assert [each.origin for each in missing if each.fits_an_annotation and not each.refused] == []

    def changed(now: Mapping[str, Json]) -> dict[str, tuple[Json, Json]]:
        there = [each for each in written if each.name in now]
        return {
            each.origin: (each.manifest["spec"], now[each.name]["spec"])
            for each in there
            if now[each.name]["spec"] != each.manifest["spec"]
        }

    # ESO's CRDs would add refreshInterval, target.creationPolicy and others here; ours add nothing.
    assert changed(held) == {}

    apply(cluster, written, "--server-side", "--field-manager=argocd-controller", "--force-conflicts")

    again = read(cluster, namespace)
    assert changed(again) == {}
    assert again.keys() - held.keys() == {each.name for each in missing if not each.refused}
    assert {each["metadata"]["generation"] for each in again.values()} == {1}


def test_a_crd_is_read_back_as_it_was_applied(cluster: Cluster) -> None:
    applied = {crd["metadata"]["name"]: crd["spec"] for crd in definitions().values()}
    bodies = json.loads(cluster.kubectl.run("get", "crd", *applied, "-o", "json"))["items"]
    assert {each["metadata"]["name"]: each["spec"] for each in bodies} == applied
