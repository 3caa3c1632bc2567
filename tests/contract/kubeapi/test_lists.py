from __future__ import annotations

import pytest

from tests.contract.kubeapi.client import Answer, Client, configmap
from tests.contract.kubeapi.things import thing

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _names(answer: Answer) -> list[str]:
    return [i["metadata"]["name"] for i in answer.expect(200).body["items"]]


async def _fill(cluster: Client, ns: str, count: int) -> str:
    """Config maps c0, c1, ... with the label parity; the label keeps the root CA out."""
    for i in range(count):
        meta = {"labels": {"parity": str(i % 2), "mine": "yes"}}
        (await cluster.post(f"{ns}/configmaps", configmap(f"c{i}", meta=meta))).expect(201)
    return f"{ns}/configmaps"


async def test_items_of_built_in_lists_carry_no_kind(cluster: Client, ns: str, things: str) -> None:
    path = await _fill(cluster, ns, 1)
    listed = await cluster.get(path, labelSelector="mine")
    assert listed.body["kind"] == "ConfigMapList"
    assert "kind" not in listed.body["items"][0]
    await cluster.post(things, thing("a"))
    listed = await cluster.get(things)
    assert listed.body["kind"] == "ThingList"
    assert listed.body["items"][0]["kind"] == "Thing"


async def test_pages_are_one_consistent_snapshot(cluster: Client, ns: str) -> None:
    path = await _fill(cluster, ns, 5)
    first = await cluster.get(path, limit="2", labelSelector="mine")
    assert _names(first) == ["c0", "c1"]
    meta = {"labels": {"mine": "yes"}}
    await cluster.post(path, configmap("c11", meta=meta))
    await cluster.delete(f"{path}/c4")
    token = first.meta["continue"]
    second = await cluster.get(path, limit="2", labelSelector="mine", **{"continue": token})
    assert _names(second) == ["c2", "c3"]
    assert second.version == first.version
    token = second.meta["continue"]
    third = await cluster.get(path, limit="2", labelSelector="mine", **{"continue": token})
    assert _names(third) == ["c4"]
    assert not third.meta.get("continue")


async def test_a_full_list_says_how_many_remain(cluster: Client, things: str) -> None:
    for name in "abc":
        await cluster.post(things, thing(name))
    first = await cluster.get(things, limit="1")
    assert first.meta["remainingItemCount"] == 2


async def test_bad_tokens_and_limits_are_refused(cluster: Client, ns: str) -> None:
    path = f"{ns}/configmaps"
    (await cluster.get(path, **{"continue": "nonsense"})).expect(400)
    (await cluster.get(path, limit="x")).expect(400)
    (await cluster.get(path, resourceVersion="x")).expect(400)
    (await cluster.get(path, resourceVersionMatch="Exact")).expect(422)


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("parity=0", ["c0", "c2"]),
        ("parity==1", ["c1"]),
        ("mine,parity!=1", ["c0", "c2"]),
        ("mine,parity in (0,1)", ["c0", "c1", "c2"]),
        ("mine,parity notin (0)", ["c1"]),
        ("mine,!other", ["c0", "c1", "c2"]),
        ("mine,other", []),
    ],
)
async def test_label_selectors_select(cluster: Client, ns: str, selector: str, names: list[str]) -> None:
    path = await _fill(cluster, ns, 3)
    assert _names(await cluster.get(path, labelSelector=selector)) == names


async def test_bad_selectors_are_refused(cluster: Client, ns: str) -> None:
    path = f"{ns}/configmaps"
    for selector in ("a in (b", "a b=c", "a=b c"):
        (await cluster.get(path, labelSelector=selector)).expect(400)
    for selector in ("data.k=v", "nonsense"):
        (await cluster.get(path, fieldSelector=selector)).expect(400)


async def test_field_selectors_select_by_name(cluster: Client, ns: str) -> None:
    path = await _fill(cluster, ns, 2)
    assert _names(await cluster.get(path, fieldSelector="metadata.name=c1")) == ["c1"]
    both = "metadata.name!=c1"
    assert _names(await cluster.get(path, fieldSelector=both, labelSelector="mine")) == ["c0"]


async def test_all_namespaces_are_listed_together(cluster: Client, ns: str) -> None:
    await _fill(cluster, ns, 1)
    found = await cluster.get("/api/v1/configmaps", labelSelector="mine")
    space = ns.rpartition("/")[2]
    assert (space, "c0") in [(i["metadata"]["namespace"], i["metadata"]["name"]) for i in found.body["items"]]


async def test_metadata_alone_can_be_listed(cluster: Client, ns: str, things: str) -> None:
    path = await _fill(cluster, ns, 1)
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    listed = await cluster.get(path, accept=accept, labelSelector="mine")
    assert listed.body["kind"] == "PartialObjectMetadataList"
    assert listed.body["apiVersion"] == "meta.k8s.io/v1"
    [item] = listed.body["items"]
    assert item["kind"] == "PartialObjectMetadata"
    assert sorted(item) == ["apiVersion", "kind", "metadata"]
    await cluster.post(things, thing("a"))
    one = accept.replace("List", "")
    got = await cluster.get(f"{things}/a", accept=one)
    assert sorted(got.expect(200).body) == ["apiVersion", "kind", "metadata"]


async def test_a_mistyped_accept_is_406(cluster: Client, ns: str) -> None:
    path = f"{ns}/configmaps"
    typo = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v1"
    (await cluster.get(path, accept=typo)).expect(406)
    (await cluster.get(path, accept="text/html")).expect(406)
    (await cluster.get(path, accept=f"{typo}, application/json")).expect(200)
    (await cluster.get(path, accept="*/*")).expect(200)


async def test_printer_columns_make_the_table(cluster: Client, things: str) -> None:
    await cluster.post(things, thing("a", size=3))
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    await cluster.merge(f"{things}/a/status", ready)
    accept = "application/json;as=Table;g=meta.k8s.io;v=v1"
    shown = (await cluster.get(things, accept=accept)).expect(200)
    names = [c["name"] for c in shown.body["columnDefinitions"]]
    assert names == ["Name", "Size", "Ready", "Left", "Age"]
    [row] = shown.body["rows"]
    assert row["cells"][:4] == ["a", 3, "True", None]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    bare = await cluster.get(things, accept=accept, includeObject="None")
    assert bare.body["rows"][0]["object"] is None


async def test_secrets_have_their_columns(cluster: Client, ns: str) -> None:
    from tests.contract.kubeapi.client import secret

    await cluster.post(f"{ns}/secrets", secret("a", stringData={"k": "v"}))
    accept = "application/json;as=Table;g=meta.k8s.io;v=v1"
    shown = await cluster.get(f"{ns}/secrets/a", accept=accept)
    assert shown.body["rows"][0]["cells"][:3] == ["a", "Opaque", 1]
