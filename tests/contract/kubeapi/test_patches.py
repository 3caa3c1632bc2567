from __future__ import annotations

from typing import Any

import pytest

from tests.contract.kubeapi.client import JSON_PATCH, STRATEGIC, Client, b64, secret

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _json_patch(cluster: Client, path: str, *operations: Any) -> Any:
    return await cluster.call("PATCH", path, list(operations), media=JSON_PATCH)


async def test_a_merge_patch_sets_and_null_removes(cluster: Client, ns: str) -> None:
    await cluster.post(f"{ns}/secrets", secret("a", stringData={"k": "1", "j": "2"}))
    patch = {"data": {"k": None, "n": b64("3")}}
    patched = (await cluster.merge(f"{ns}/secrets/a", patch)).expect(200)
    assert patched.body["data"] == {"j": b64("2"), "n": b64("3")}


async def test_a_merge_patch_replaces_lists(cluster: Client, ns: str) -> None:
    await cluster.post(f"{ns}/secrets", secret("a", meta={"finalizers": ["a/b", "c/d"]}))
    patch: Any = {"metadata": {"finalizers": ["e/f"]}}
    patched = (await cluster.merge(f"{ns}/secrets/a", patch)).expect(200)
    assert patched.meta["finalizers"] == ["e/f"]
    patch = {"metadata": {"finalizers": None}}
    assert "finalizers" not in (await cluster.merge(f"{ns}/secrets/a", patch)).meta


async def test_a_patch_with_a_stale_version_conflicts(cluster: Client, ns: str) -> None:
    made = await cluster.post(f"{ns}/secrets", secret("a"))
    path = f"{ns}/secrets/a"
    await cluster.merge(path, {"data": {"k": b64("1")}})
    patch = {"metadata": {"resourceVersion": made.version}, "data": {"k": b64("2")}}
    (await cluster.merge(path, patch)).expect(409)


async def test_a_patch_cannot_change_identity(cluster: Client, ns: str) -> None:
    made = await cluster.post(f"{ns}/secrets", secret("a"))
    path = f"{ns}/secrets/a"
    answer = (await cluster.merge(path, {"metadata": {"uid": "other"}})).expect(422)
    assert answer.causes()[0] == ("metadata.uid", "FieldValueInvalid")
    (await cluster.merge(path, {"metadata": {"name": "b"}})).expect(400)
    kept = await cluster.merge(path, {"metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"}})
    assert kept.expect(200).meta["creationTimestamp"] == made.meta["creationTimestamp"]


async def test_a_patch_of_what_is_absent_is_404(cluster: Client, ns: str) -> None:
    (await cluster.merge(f"{ns}/secrets/none", {})).expect(404)


async def test_a_json_patch_adds_replaces_moves_and_removes(cluster: Client, ns: str) -> None:
    await cluster.post(f"{ns}/secrets", secret("a", stringData={"k": "1", "j": "2"}))
    path = f"{ns}/secrets/a"
    patched = await _json_patch(
        cluster,
        path,
        {"op": "test", "path": "/data/k", "value": b64("1")},
        {"op": "replace", "path": "/data/k", "value": b64("3")},
        {"op": "add", "path": "/metadata/labels", "value": {"a/b": "c"}},
        {"op": "replace", "path": "/metadata/labels/a~1b", "value": "d"},
        {"op": "move", "from": "/data/j", "path": "/data/m"},
        {"op": "copy", "from": "/data/m", "path": "/data/n"},
        {"op": "remove", "path": "/data/m"},
    )
    assert patched.expect(200).body["data"] == {"k": b64("3"), "n": b64("2")}
    assert patched.meta["labels"] == {"a/b": "d"}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/data/k", "value": "no"},
        {"op": "remove", "path": "/data/none"},
        {"op": "add", "path": "/none/deep/er", "value": "x"},
    ],
)
async def test_a_json_patch_that_does_not_fit_is_unprocessable(cluster: Client, ns: str, operation: Any) -> None:
    await cluster.post(f"{ns}/secrets", secret("a", stringData={"k": "1"}))
    answer = (await _json_patch(cluster, f"{ns}/secrets/a", operation)).expect(422)
    assert answer.body["reason"] == "Invalid"


async def test_a_strategic_merge_joins_owners_by_uid_and_finalizers(cluster: Client, ns: str) -> None:
    owner = {"apiVersion": "v1", "kind": "K", "name": "n", "uid": "1"}
    meta = {"ownerReferences": [owner], "finalizers": ["a/b"]}
    await cluster.post(f"{ns}/secrets", secret("a", meta=meta))
    patch: Any = {
        "metadata": {
            "finalizers": ["c/d"],
            "ownerReferences": [{"uid": "1", "controller": True}, {**owner, "uid": "2"}],
        }
    }
    path = f"{ns}/secrets/a"
    patched = (await cluster.call("PATCH", path, patch, media=STRATEGIC)).expect(200)
    assert sorted(patched.meta["finalizers"]) == ["a/b", "c/d"]
    owners = {o["uid"]: o for o in patched.meta["ownerReferences"]}
    assert owners == {"1": {**owner, "controller": True}, "2": {**owner, "uid": "2"}}
    patch = {
        "metadata": {
            "$deleteFromPrimitiveList/finalizers": ["a/b"],
            "ownerReferences": [{"uid": "1", "$patch": "delete"}],
        }
    }
    patched = (await cluster.call("PATCH", path, patch, media=STRATEGIC)).expect(200)
    assert patched.meta["finalizers"] == ["c/d"]
    assert [o["uid"] for o in patched.meta["ownerReferences"]] == ["2"]
    await cluster.merge(path, {"metadata": {"finalizers": None}})


async def test_custom_resources_know_no_strategic_merge(cluster: Client, things: str) -> None:
    from tests.contract.kubeapi.things import thing

    await cluster.post(things, thing("a"))
    (await cluster.call("PATCH", f"{things}/a", {}, media=STRATEGIC)).expect(415)


async def test_unknown_patch_types_are_415(cluster: Client, ns: str) -> None:
    await cluster.post(f"{ns}/secrets", secret("a"))
    (await cluster.call("PATCH", f"{ns}/secrets/a", {}, media="application/json")).expect(415)
