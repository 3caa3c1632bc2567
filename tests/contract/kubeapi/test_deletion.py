from __future__ import annotations

from typing import Any

import pytest

from tests.contract.kubeapi.client import Answer, Client, configmap, secret
from tests.contract.kubeapi.things import thing

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def collected(has_controllers: bool) -> None:
    if not has_controllers:
        pytest.skip("no garbage collector here")


async def test_a_deletion_answers_with_success(cluster: Client, ns: str) -> None:
    made = await cluster.post(f"{ns}/secrets", secret("a"))
    gone = (await cluster.delete(f"{ns}/secrets/a")).expect(200)
    assert gone.body["status"] == "Success"
    assert gone.body["details"] == {"name": "a", "kind": "secrets", "uid": made.meta["uid"]}
    (await cluster.delete(f"{ns}/secrets/a")).expect(404)


async def test_a_finalizer_holds_an_object_until_it_goes(cluster: Client, things: str) -> None:
    path = f"{things}/a"
    await cluster.post(things, thing("a", meta={"finalizers": ["a/b"]}))
    held = (await cluster.delete(path)).expect(200)
    assert held.body["kind"] == "Thing"
    assert held.meta["deletionTimestamp"]
    assert held.meta["deletionGracePeriodSeconds"] == 0
    assert held.meta["generation"] == 2
    again = (await cluster.delete(path)).expect(200)
    assert again.version == held.version
    more: Any = {"metadata": {"finalizers": ["a/b", "c/d"]}}
    answer = (await cluster.merge(path, more)).expect(422)
    assert "no new finalizers can be added if the object is being deleted" in answer.message
    revived = await cluster.merge(path, {"metadata": {"deletionTimestamp": None}})
    assert revived.expect(200).meta["deletionTimestamp"]
    (await cluster.merge(path, {"metadata": {"finalizers": None}})).expect(200)
    (await cluster.get(path)).expect(404)


async def test_preconditions_are_checked(cluster: Client, ns: str) -> None:
    made = await cluster.post(f"{ns}/secrets", secret("a"))
    path = f"{ns}/secrets/a"
    answer = await cluster.delete(path, {"preconditions": {"uid": "other"}})
    assert "does not match the UID in record" in answer.expect(409).message
    answer = await cluster.delete(path, {"preconditions": {"resourceVersion": "1"}})
    assert "does not match the ResourceVersion in record" in answer.expect(409).message
    good = {"preconditions": {"uid": made.meta["uid"], "resourceVersion": made.version}}
    (await cluster.delete(path, good)).expect(200)


async def test_unknown_policies_are_refused(cluster: Client, ns: str) -> None:
    await cluster.post(f"{ns}/secrets", secret("a"))
    (await cluster.delete(f"{ns}/secrets/a", propagationPolicy="Never")).expect(422)


async def test_a_collection_is_deleted_by_selector(cluster: Client, ns: str) -> None:
    for name in "abc":
        meta = {"labels": {"name": name}}
        await cluster.post(f"{ns}/secrets", secret(name, meta=meta))
    (await cluster.delete(f"{ns}/secrets", labelSelector="name in (a,b)")).expect(200)
    left = await cluster.get(f"{ns}/secrets", labelSelector="name")
    assert [i["metadata"]["name"] for i in left.body["items"]] == ["c"]


def _owned(name: str, *owners: Answer, **more: Any) -> Any:
    refs = [
        {
            "apiVersion": o.body["apiVersion"],
            "kind": o.body["kind"],
            "name": o.meta["name"],
            "uid": o.meta["uid"],
            **more,
        }
        for o in owners
    ]
    return secret(name, meta={"ownerReferences": refs})


async def test_dependents_go_when_their_last_owner_goes(cluster: Client, ns: str, collected: None) -> None:
    one = await cluster.post(f"{ns}/configmaps", configmap("one"))
    two = await cluster.post(f"{ns}/configmaps", configmap("two"))
    await cluster.post(f"{ns}/secrets", _owned("a", one))
    await cluster.post(f"{ns}/secrets", _owned("b", one, two))
    await cluster.delete(f"{ns}/configmaps/one")
    await cluster.until(f"{ns}/secrets/a", 404)
    kept = await cluster.get(f"{ns}/secrets/b")
    assert kept.code == 200
    await cluster.delete(f"{ns}/configmaps/two")
    await cluster.until(f"{ns}/secrets/b", 404)


async def test_custom_resources_own_secrets(cluster: Client, ns: str, things: str, collected: None) -> None:
    owner = await cluster.post(things, thing("a"))
    await cluster.post(f"{ns}/secrets", _owned("a", owner))
    await cluster.delete(f"{things}/a")
    # The real collector looks for new kinds every half minute.
    await cluster.until(f"{ns}/secrets/a", 404, seconds=90)


async def test_a_wrong_owner_uid_is_an_absent_owner(cluster: Client, ns: str, collected: None) -> None:
    owner = await cluster.post(f"{ns}/configmaps", configmap("one"))
    body = _owned("a", owner)
    body["metadata"]["ownerReferences"][0]["uid"] = "00000000-0000-0000-0000-000000000000"
    await cluster.post(f"{ns}/secrets", body)
    await cluster.until(f"{ns}/secrets/a", 404)


async def test_foreground_waits_for_dependents(cluster: Client, ns: str, collected: None) -> None:
    owner = await cluster.post(f"{ns}/configmaps", configmap("one"))
    body = _owned("a", owner, blockOwnerDeletion=True)
    body["metadata"]["finalizers"] = ["hold/on"]
    await cluster.post(f"{ns}/secrets", body)
    held = await cluster.delete(f"{ns}/configmaps/one", propagationPolicy="Foreground")
    assert held.meta["finalizers"] == ["foregroundDeletion"]
    await cluster.eventually(f"{ns}/secrets/a", lambda a: "deletionTimestamp" in a.meta)
    (await cluster.get(f"{ns}/configmaps/one")).expect(200)
    await cluster.merge(f"{ns}/secrets/a", {"metadata": {"finalizers": None}})
    await cluster.until(f"{ns}/configmaps/one", 404)


async def test_orphans_stay_and_lose_their_reference(cluster: Client, ns: str, collected: None) -> None:
    owner = await cluster.post(f"{ns}/configmaps", configmap("one"))
    await cluster.post(f"{ns}/secrets", _owned("a", owner))
    await cluster.delete(f"{ns}/configmaps/one", propagationPolicy="Orphan")
    await cluster.until(f"{ns}/configmaps/one", 404)
    kept = (await cluster.get(f"{ns}/secrets/a")).expect(200)
    assert "ownerReferences" not in kept.meta


async def test_a_namespace_takes_its_contents_along(cluster: Client, collected: None) -> None:
    root = "/api/v1/namespaces"
    made = await cluster.post(root, {"metadata": {"generateName": "contract-gone-"}})
    path = f"{root}/{made.meta['name']}"
    held = secret("held", meta={"finalizers": ["hold/on"]})
    await cluster.post(f"{path}/secrets", held)
    await cluster.post(f"{path}/secrets", secret("free"))
    going = (await cluster.delete(path)).expect(200)
    assert going.body["status"]["phase"] == "Terminating"
    answer = (await cluster.post(f"{path}/secrets", secret("late"))).expect(403)
    assert answer.body["reason"] == "Forbidden"
    assert answer.causes() == [("metadata.namespace", "NamespaceTerminating")]
    assert "because it is being terminated" in answer.message
    await cluster.until(f"{path}/secrets/free", 404)
    (await cluster.get(path)).expect(200)
    await cluster.merge(f"{path}/secrets/held", {"metadata": {"finalizers": None}})
    await cluster.until(path, 404, seconds=60)


async def test_namespaces_are_furnished(cluster: Client, ns: str, collected: None) -> None:
    await cluster.until(f"{ns}/serviceaccounts/default", 200)
    found = await cluster.until(f"{ns}/configmaps/kube-root-ca.crt", 200)
    assert "BEGIN CERTIFICATE" in found.body["data"]["ca.crt"]


async def test_namespaces_carry_their_name_as_a_label(cluster: Client, ns: str) -> None:
    found = await cluster.get(ns)
    assert found.meta["labels"]["kubernetes.io/metadata.name"] == found.meta["name"]
    assert found.body["status"]["phase"] == "Active"


async def test_the_first_namespaces_stay(cluster: Client) -> None:
    answer = (await cluster.delete("/api/v1/namespaces/default")).expect(403)
    assert "this namespace may not be deleted" in answer.message
