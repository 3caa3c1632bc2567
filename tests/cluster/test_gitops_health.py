"""What Argo CD, Flux and everything that uses kstatus make of the statuses that the operator writes.

With ``KEYFERRY_ARGOCD_RULES`` set to the folder ``resource_customizations`` of Argo CD's repository, its own rules have
to agree with ours on every one of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.gitops import argocd, flux
from tests.gitops.argocd import health
from tests.gitops.endpoint import Endpoint, endpoint
from tests.gitops.kstatus import kstatus
from tests.gitops.states import SETTLED, TROUBLED, Expected, manifests, second_owner
from tests.support import pages
from tests.support.cluster import Cluster
from tests.support.operator import eventually, ready_condition
from tests.support.rights import Account

pytestmark = pytest.mark.cluster

Json = dict[str, Any]

FLUX = pages.DOCS / "examples" / "gitops" / "flux" / "cluster.yaml"
BY_EXPRESSIONS = {"True": "Current", "False": "Failed", None: "Unknown"}
"""What Flux says by the ``healthCheckExprs`` of the example, by the status of the condition."""


@dataclass
class Seen:
    """The objects at some moments, by name (NAMESPACE stands for that of the tests)."""

    fresh: Mapping[str, Json]
    settled: Mapping[str, Json]
    troubled: Mapping[str, Json]
    leaving: Json
    edited: Json
    kept: Mapping[str, Json]
    """Secrets at the end."""


class _Scene:
    def __init__(self, cluster: Cluster, release: Account, hooks: Endpoint) -> None:
        self.namespace = f"t-{uuid.uuid4().hex[:10]}"
        self.kubectl = cluster.kubectl
        self.hooks = hooks
        self.operator = release.operator()

    def look(self) -> dict[str, Json]:
        kinds = "externalsecret,secretstore,clustersecretstore"
        found = [
            each
            for each in self.kubectl.list(kinds, self.namespace, "--show-managed-fields")
            if each["metadata"].get("namespace") or each["metadata"]["name"].startswith(self.namespace)
        ]
        return {each["metadata"]["name"].replace(self.namespace, "NAMESPACE"): each for each in found}

    def wait_for(self, expected: Mapping[str, Expected]) -> dict[str, Json]:
        def settled() -> dict[str, Json] | None:
            seen = self.look()
            told = {name: ready_condition(seen[name]) for name in expected}
            off = [
                f"{name}: {told[name].get('message')}"
                for name, each in expected.items()
                if told[name].get("status") != each.ready or each.says not in told[name].get("message", "")
            ]
            assert not off, "\n".join(off)
            return seen

        return eventually(settled, told=self.operator.process.tail)

    def play(self) -> Seen:
        self.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        self.kubectl.apply(manifests(self.namespace, self.hooks.url))
        fresh = self.look()
        self.operator.start()
        settled = self.wait_for(SETTLED)
        self.hooks.answers |= {"/k": 500, "/busy/k": 429}
        self.kubectl.apply(second_owner(self.namespace))
        for name in ("outage", "throttled"):
            (stamp, *_) = argocd.refreshed(settled[name])
            force = f"force-sync={stamp['force-sync']}"
            self.kubectl.run("annotate", f"externalsecret/{name}", force, "-n", self.namespace)
        troubled = self.wait_for(TROUBLED)
        self.operator.stop()
        self._merge("interval-zero", '{"metadata": {"finalizers": ["example.com/hold"]}}')
        self.kubectl.run("delete", "externalsecret/interval-zero", "-n", self.namespace, "--wait=false")
        self._merge("synced", '{"spec": {"refreshInterval": "2h"}}')
        late = self.look()
        secrets = {each["metadata"]["name"]: each for each in self.kubectl.list("secret", self.namespace)}
        return Seen(fresh, settled, troubled, late["interval-zero"], late["synced"], secrets)

    def end(self) -> None:
        if not self.operator.process.ended:
            self.operator.stop()
        self._merge("interval-zero", '{"metadata": {"finalizers": []}}')
        stores = [name.replace("NAMESPACE", self.namespace) for name in SETTLED if name.startswith("NAMESPACE")]
        self.kubectl.run("delete", "clustersecretstore", *stores, "--ignore-not-found")
        kinds = "externalsecret,secretstore,secret"
        self.kubectl.run("delete", kinds, "--all", "-n", self.namespace, "--wait=false")
        self.kubectl.run("delete", "namespace", self.namespace, "--wait=false")

    def _merge(self, name: str, patch: str) -> None:
        words = ["patch", f"externalsecret/{name}", "-n", self.namespace, "--type=merge", "-p", patch]
        self.kubectl.run(*words, check=False)


@pytest.fixture(scope="module")
def seen(cluster: Cluster, release: Account) -> Iterator[Seen]:
    """One operator lives through it all; the tests look at what was written."""
    with endpoint() as hooks:
        scene = _Scene(cluster, release, hooks)
        try:
            yield scene.play()
        finally:
            scene.end()


def judged(body: Json) -> tuple[str, str]:
    return health(body).status, kstatus(body)


@pytest.mark.parametrize("name", SETTLED)
def test_an_object_that_nobody_has_looked_at_is_not_healthy(seen: Seen, name: str) -> None:
    assert "status" not in seen.fresh[name]
    # kstatus cannot know better: see docs/gitops.md for healthCheckExprs.
    assert judged(seen.fresh[name]) == ("Progressing", "Current")
    assert by_expressions(seen.fresh[name]) == "Unknown"


@pytest.mark.parametrize("name", SETTLED)
def test_a_state_is_judged_as_the_documentation_says(seen: Seen, name: str) -> None:
    check(seen.settled[name], SETTLED[name])


@pytest.mark.parametrize("name", TROUBLED)
def test_trouble_is_judged_as_the_documentation_says(seen: Seen, name: str) -> None:
    check(seen.troubled[name], TROUBLED[name])


def by_expressions(body: Json) -> str:
    """The rule for ExternalSecrets; that for stores is the same, as another test sees to."""
    (rules,) = [each for each in pages.objects(FLUX) if each["metadata"]["name"] == "shop-secrets"]
    return flux.health(body, rules["spec"]["healthCheckExprs"][0])


def check(body: Json, expected: Expected) -> None:
    assert by_expressions(body) == BY_EXPRESSIONS[expected.ready]
    condition = ready_condition(body)
    assert condition.get("status") == expected.ready
    assert condition.get("reason", "") == expected.reason
    assert judged(body) == (expected.argocd, expected.kstatus)
    if expected.ready is not None:
        assert health(body).message == condition["message"]
        assert body["status"]["observedGeneration"] == body["metadata"]["generation"]
        assert condition["observedGeneration"] == body["metadata"]["generation"]


@pytest.mark.parametrize("name", SETTLED)
def test_the_operator_writes_the_status_of_an_object_and_nothing_else(seen: Seen, name: str) -> None:
    def rest(body: Json) -> Json:
        told = [each for each in body["metadata"]["managedFields"] if each.get("subresource") != "status"]
        return {**body, "status": None, "metadata": {**body["metadata"], "managedFields": told, "resourceVersion": ""}}

    assert rest(seen.settled[name]) == rest(seen.fresh[name])


def test_nothing_is_healthy_that_was_never_synced(seen: Seen) -> None:
    for body in {**seen.settled, **seen.troubled}.values():
        if body["kind"] == "ExternalSecret" and health(body).status == "Healthy":
            assert body["status"]["refreshTime"]
            assert body["status"]["syncedResourceVersion"]


def test_an_outage_degrades_the_object_and_leaves_its_secret(seen: Seen) -> None:
    for name in ("outage", "throttled"):
        assert seen.kept[name]["data"] == seen.kept["outage"]["data"] == {"k": "dmFsdWU="}
        assert seen.troubled[name]["status"]["refreshTime"] == seen.settled[name]["status"]["refreshTime"]


def test_an_edit_that_nobody_has_seen_is_in_progress_to_kstatus(seen: Seen) -> None:
    # Argo CD's rule looks at the condition alone, and takes the word about the spec before for one about this.
    assert judged(seen.edited) == ("Healthy", "InProgress")
    assert by_expressions(seen.edited) == "InProgress"


def test_an_object_that_is_going_away_is_neither_healthy_nor_failed(seen: Seen) -> None:
    assert judged(seen.leaving) == ("Progressing", "Terminating")
    assert by_expressions(seen.leaving) == "InProgress"


def test_argo_cd_offers_a_refresh_where_one_would_do_something(seen: Seen) -> None:
    offered = {name for name, each in SETTLED.items() if each.kind == "externalsecret"} - {"interval-zero"}
    found = {
        name for name in seen.settled if name in offered | {"interval-zero"} and argocd.may_refresh(seen.settled[name])
    }
    assert found == offered
