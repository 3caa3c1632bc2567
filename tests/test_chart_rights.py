"""The rights that the chart grants, as far as they can be judged without asking for anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import pages
from tests.support.chart import CI, of_file, rendered

CLUSTER = "kf-keyferry"
SCOPED = {"scopedNamespace": "team-a, team-b"}


def rights(role: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """``verb resource`` pairs that a role grants."""
    for rule in role["rules"]:
        for verb in rule["verbs"]:
            yield from ((verb, resource) for resource in rule["resources"])


def roles(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Roles of every kind by namespace and name."""
    found = [each for each in rendered(values) if each["kind"] in {"Role", "ClusterRole"}]
    return {
        "/".join(filter(None, (each["metadata"].get("namespace"), each["metadata"]["name"]))): each for each in found
    }


@pytest.mark.parametrize("path", CI, ids=lambda path: path.name)
def test_no_rule_of_the_chart_grants_more_than_it_names(path: Any) -> None:
    for role in roles(of_file(path)).values():
        for rule in role["rules"]:
            assert "*" not in "".join(rule["apiGroups"] + rule["resources"] + rule["verbs"])
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])


def test_a_scoped_release_has_nothing_outside_its_namespaces() -> None:
    found = rendered(SCOPED)
    kinds = {"Deployment", "NetworkPolicy", "Role", "RoleBinding", "ServiceAccount"}
    assert {each["kind"] for each in found} == kinds
    for binding in (each for each in found if each["kind"] == "RoleBinding"):
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "kf-keyferry", "namespace": "system"}]


def test_a_cluster_wide_release_has_what_a_scoped_one_has_and_the_clusters_own_kinds() -> None:
    whole = set(rights(roles({})[CLUSTER]))
    scoped = set(rights(roles(SCOPED)["team-a/kf-keyferry"]))
    assert scoped < whole
    assert {resource for _, resource in whole - scoped} == {
        "clustersecretstores",
        "clustersecretstores/status",
        "namespaces",
        "customresourcedefinitions",
    }


def test_kinds_that_are_not_served_need_no_rights() -> None:
    found = {resource for _, resource in rights(roles({"processClusterStore": False})[CLUSTER])}
    assert not [each for each in found if each.startswith("clustersecretstores")]
    assert "secretstores/status" not in {
        resource for _, resource in rights(roles({"processSecretStore": False})[CLUSTER])
    }


def test_tokens_of_other_service_accounts_have_to_be_asked_for() -> None:
    token = {("create", "serviceaccounts/token"), ("get", "serviceaccounts")}
    assert not token & set(rights(roles({})[CLUSTER]))
    assert token <= set(rights(roles({"rbac": {"serviceAccountTokenCreate": True}})[CLUSTER]))


def test_tokens_of_named_accounts_are_granted_by_name_in_their_namespace() -> None:
    names = [{"namespace": "shop", "name": name} for name in ("a", "b")] + [{"namespace": "pay", "name": "c"}]
    found = roles({"rbac": {"serviceAccountTokens": names}})
    assert {tuple(rule["resourceNames"]) for rule in found["shop/kf-keyferry-tokens"]["rules"]} == {("a", "b")}
    assert {tuple(rule["resourceNames"]) for rule in found["pay/kf-keyferry-tokens"]["rules"]} == {("c",)}


def test_an_election_may_use_its_own_lease_and_no_other() -> None:
    rules = roles({"leaderElect": True, "leaderElectionID": "my-lease"})["system/kf-keyferry-leader-election"]["rules"]
    named = [rule for rule in rules if set(rule["verbs"]) - {"create"}]
    assert [rule["resourceNames"] for rule in named] == [["my-lease"]]


def test_finalizers_may_be_updated_where_the_api_server_asks_for_it() -> None:
    finalizers = ("update", "externalsecrets/finalizers")
    assert finalizers not in set(rights(roles({})[CLUSTER]))
    assert finalizers in set(rights(roles({"openshiftFinalizers": True})[CLUSTER]))


@pytest.mark.parametrize("into", ["view", "edit", "admin"])
def test_roles_of_the_cluster_include_the_kinds_as_they_are_told(into: str) -> None:
    label = f"rbac.authorization.k8s.io/aggregate-to-{into}"

    def granted(values: dict[str, Any]) -> set[tuple[str, str]]:
        found = [each for each in roles(values).values() if each["metadata"]["labels"].get(label) == "true"]
        return {pair for each in found for pair in rights(each)}

    verbs = {verb for verb, resource in granted({}) if resource == "externalsecrets"}
    write = {"create", "update", "patch", "delete", "deletecollection"}
    assert verbs == {"get", "list", "watch"} | (set() if into == "view" else write)
    assert granted({"rbac": {f"aggregateTo{into.title()}": False}}) == set()


def test_every_right_is_explained_in_the_docs() -> None:
    page = (pages.DOCS / "install.md").read_text("utf-8")
    everything = {
        "replicaCount": 2,
        "openshiftFinalizers": True,
        "rbac": {"serviceAccountTokenCreate": True},
    }
    granted = {
        pair for name in (CLUSTER, "system/kf-keyferry-leader-election") for pair in rights(roles(everything)[name])
    }
    told = {
        (verb, resource)
        for line in page.splitlines()
        if line.startswith("| `") and line.count("|") == 6
        for resource in (line.split("|")[1].strip(" `"),)
        for verb in line.split("|")[2].strip().split(", ")
    }
    assert granted == told
