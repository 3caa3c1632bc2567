from __future__ import annotations

from typing import Any

import pytest

from tests.contract.kubeapi.client import Client, b64, secret
from tests.contract.kubeapi.things import thing

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_create_records_an_update_with_every_field_it_set(cluster: Client, ns: str) -> None:
    body = secret("a", stringData={"k": "v"}, meta={"labels": {"l": "1"}})
    made = await cluster.post(f"{ns}/secrets", body, fieldManager="maker")
    assert made.expect(201).managers() == {
        ("maker", "Update", ""): {
            "f:data": {".": {}, "f:k": {}},
            "f:metadata": {"f:labels": {".": {}, "f:l": {}}},
            "f:type": {},
        }
    }


async def test_the_user_agent_names_a_nameless_manager(cluster: Client, ns: str) -> None:
    made = await cluster.post(f"{ns}/secrets", secret("a"))
    assert list(made.managers()) == [("contract", "Update", "")]


async def test_a_put_records_only_what_it_changed(cluster: Client, ns: str) -> None:
    path = f"{ns}/secrets/a"
    await cluster.post(f"{ns}/secrets", secret("a", stringData={"k": "1", "j": "1"}), fieldManager="x")
    new = secret("a", stringData={"k": "1", "j": "2", "n": "3"})
    put = (await cluster.put(path, new, fieldManager="y")).expect(200)
    assert put.managers() == {
        ("x", "Update", ""): {"f:data": {".": {}, "f:k": {}}, "f:type": {}},
        ("y", "Update", ""): {"f:data": {"f:j": {}, "f:n": {}}},
    }


async def test_a_removed_field_leaves_every_manager(cluster: Client, ns: str) -> None:
    path = f"{ns}/secrets/a"
    await cluster.post(f"{ns}/secrets", secret("a", stringData={"k": "1", "j": "1"}), fieldManager="x")
    patched = await cluster.merge(path, {"data": {"k": None}}, fieldManager="y")
    assert patched.expect(200).managers() == {("x", "Update", ""): {"f:data": {".": {}, "f:j": {}}, "f:type": {}}}


async def test_a_put_that_carries_old_managed_fields_keeps_them(cluster: Client, ns: str) -> None:
    """Read, modify, write: the common way of clients."""
    path = f"{ns}/secrets/a"
    made = await cluster.post(f"{ns}/secrets", secret("a", stringData={"k": "1"}), fieldManager="x")
    body = made.body
    body["data"]["n"] = b64("2")
    put = (await cluster.put(path, body, fieldManager="y")).expect(200)
    assert put.managers()[("y", "Update", "")] == {"f:data": {"f:n": {}}}
    assert put.managers()[("x", "Update", "")]["f:data"] == {".": {}, "f:k": {}}


async def test_ownership_can_be_cleared(cluster: Client, ns: str) -> None:
    path = f"{ns}/secrets/a"
    await cluster.post(f"{ns}/secrets", secret("a", stringData={"k": "1"}))
    cleared = await cluster.merge(path, {"metadata": {"managedFields": [{}]}})
    assert "managedFields" not in cleared.expect(200).meta


async def test_apply_creates_and_claims(cluster: Client, ns: str) -> None:
    path = f"{ns}/secrets/a"
    body = secret("a", data={"k": b64("1")}, meta={"labels": {"l": "1"}})
    made = (await cluster.apply(path, body, "m")).expect(201)
    assert made.managers() == {("m", "Apply", ""): {"f:data": {"f:k": {}}, "f:metadata": {"f:labels": {"f:l": {}}}}}
    again = (await cluster.apply(path, body, "m")).expect(200)
    assert again.version == made.version


async def test_apply_removes_what_its_manager_no_longer_applies(cluster: Client, ns: str) -> None:
    path = f"{ns}/secrets/a"
    await cluster.apply(path, secret("a", data={"k": b64("1"), "j": b64("2")}), "m")
    await cluster.merge(path, {"data": {"other": b64("3")}}, fieldManager="x")
    applied = (await cluster.apply(path, secret("a", data={"k": b64("1")}), "m")).expect(200)
    assert applied.body["data"] == {"k": b64("1"), "other": b64("3")}


async def test_apply_conflicts_name_manager_and_field(cluster: Client, ns: str) -> None:
    path = f"{ns}/secrets/a"
    await cluster.post(f"{ns}/secrets", secret("a", stringData={"k": "1"}), fieldManager="x")
    mine = secret("a", data={"k": b64("2")})
    answer = (await cluster.apply(path, mine, "m")).expect(409)
    assert answer.body["reason"] == "Conflict"
    assert answer.causes() == [(".data.k", "FieldManagerConflict")]
    assert answer.message == ('Apply failed with 1 conflict: conflict with "x" using v1: .data.k')
    forced = (await cluster.apply(path, mine, "m", force="true")).expect(200)
    assert forced.body["data"] == {"k": b64("2")}
    assert "f:k" not in forced.managers()[("x", "Update", "")].get("f:data", {})


async def test_equal_values_are_shared_without_conflict(cluster: Client, ns: str) -> None:
    path = f"{ns}/secrets/a"
    body = secret("a", data={"k": b64("1")})
    await cluster.apply(path, body, "m")
    (await cluster.apply(path, body, "n")).expect(200)
    kept = (await cluster.apply(path, secret("a"), "m")).expect(200)
    assert kept.body["data"] == {"k": b64("1")}
    gone = (await cluster.apply(path, secret("a"), "n")).expect(200)
    assert "data" not in gone.body


async def test_an_update_takes_a_field_from_an_applier(cluster: Client, ns: str) -> None:
    path = f"{ns}/secrets/a"
    await cluster.apply(path, secret("a", data={"k": b64("1")}), "m")
    await cluster.merge(path, {"data": {"k": b64("2")}}, fieldManager="x")
    (await cluster.apply(path, secret("a", data={"k": b64("3")}), "m")).expect(409)


async def test_apply_needs_a_manager_and_a_fitting_body(cluster: Client, ns: str) -> None:
    path = f"{ns}/secrets/a"
    answer = await cluster.call("PATCH", path, secret("a"), media="application/apply-patch+yaml")
    assert answer.expect(422).causes() == [("fieldManager", "FieldValueRequired")]
    (await cluster.apply(path, secret("b"), "m")).expect(400)
    unknown = await cluster.apply(path, secret("a", surprise=1), "m")
    assert ".surprise: field not declared in schema" in unknown.expect(500).message
    managed = secret("a", meta={"managedFields": [{}]})
    (await cluster.apply(path, managed, "m")).expect(400)
    (await cluster.apply(path, secret("a", meta={"uid": "x"}), "m")).expect(409)


async def test_apply_merges_keyed_lists_and_sets_item_by_item(cluster: Client, things: str) -> None:
    path = f"{things}/a"
    one: Any = thing("a", items=[{"name": "x", "value": "1"}], names=["n1"])
    two: Any = thing("a", items=[{"name": "x", "note": "2"}, {"name": "y"}], names=["n2"])
    made = (await cluster.apply(path, one, "m1")).expect(201)
    assert made.managers()[("m1", "Apply", "")]["f:spec"] == {
        "f:items": {'k:{"name":"x"}': {".": {}, "f:name": {}, "f:value": {}}},
        "f:names": {'v:"n1"': {}},
        "f:size": {},
    }
    both = (await cluster.apply(path, two, "m2")).expect(200)
    assert both.body["spec"]["items"] == [
        {"name": "x", "value": "1", "note": "2"},
        {"name": "y"},
    ]
    assert both.body["spec"]["names"] == ["n1", "n2"]
    left = (await cluster.apply(path, thing("a"), "m2")).expect(200)
    assert left.body["spec"]["items"] == [{"name": "x", "value": "1"}]
    assert left.body["spec"]["names"] == ["n1"]


async def test_atomic_objects_are_owned_whole(cluster: Client, things: str) -> None:
    path = f"{things}/a"
    await cluster.apply(path, thing("a", whole={"a": "1"}), "m1")
    answer = await cluster.apply(path, thing("a", whole={"b": "2"}), "m2")
    assert answer.expect(409).causes() == [(".spec.whole", "FieldManagerConflict")]


async def test_status_is_owned_under_its_subresource(cluster: Client, things: str) -> None:
    path = f"{things}/a"
    await cluster.post(things, thing("a"), fieldManager="x")
    status: Any = {
        "apiVersion": thing("a")["apiVersion"],
        "kind": "Thing",
        "metadata": {"name": "a"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    applied = (await cluster.apply(f"{path}/status", status, "op")).expect(200)
    assert applied.managers()[("op", "Apply", "status")] == {
        "f:status": {"f:conditions": {'k:{"type":"Ready"}': {".": {}, "f:type": {}, "f:status": {}}}}
    }
    patch = {"status": {"phase": "ok"}}
    patched = await cluster.merge(f"{path}/status", patch, fieldManager="op2")
    assert patched.expect(200).managers()[("op2", "Update", "status")] == {"f:status": {"f:phase": {}}}
