from __future__ import annotations

import pytest

from tests.contract.kubeapi.client import Client, configmap
from tests.contract.kubeapi.things import thing

pytestmark = pytest.mark.asyncio(loop_scope="session")
PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


async def test_a_watch_from_a_list_tells_every_change_in_order(cluster: Client, things: str) -> None:
    listed = await cluster.get(things)
    async with cluster.watch(things, resourceVersion=listed.version) as watch:
        await cluster.post(things, thing("a"))
        await cluster.merge(f"{things}/a", {"spec": {"size": 2}})
        await cluster.merge(f"{things}/a/status", {"status": {"phase": "x"}})
        await cluster.delete(f"{things}/a")
        kinds = ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
        assert await watch.events(4) == [(k, "a") for k in kinds]


async def test_a_watch_can_start_in_the_past(cluster: Client, things: str) -> None:
    listed = await cluster.get(things)
    await cluster.post(things, thing("a"))
    await cluster.merge(f"{things}/a", {"spec": {"size": 2}})
    await cluster.delete(f"{things}/a")
    async with cluster.watch(things, resourceVersion=listed.version) as watch:
        assert [k for k, _ in await watch.events(3)] == ["ADDED", "MODIFIED", "DELETED"]


async def test_a_watch_without_a_version_begins_with_what_is_there(cluster: Client, things: str) -> None:
    await cluster.post(things, thing("a"))
    await cluster.post(things, thing("b"))
    async with cluster.watch(things) as watch:
        assert sorted(await watch.events(2)) == [("ADDED", "a"), ("ADDED", "b")]


async def test_no_ops_are_not_told(cluster: Client, things: str) -> None:
    made = await cluster.post(things, thing("a"))
    async with cluster.watch(things, resourceVersion=made.version) as watch:
        await cluster.merge(f"{things}/a", {"spec": {"size": 1}})
        await cluster.merge(f"{things}/a", {"metadata": {"labels": {"real": "change"}}})
        event = await watch.next()
        assert event is not None
        assert event["object"]["metadata"]["labels"] == {"real": "change"}


async def test_a_deleted_object_carries_the_version_of_its_deletion(cluster: Client, things: str) -> None:
    made = await cluster.post(things, thing("a"))
    async with cluster.watch(things, resourceVersion=made.version) as watch:
        await cluster.delete(f"{things}/a")
        event = await watch.next()
        assert event is not None
        assert int(event["object"]["metadata"]["resourceVersion"]) > int(made.version)


async def test_entering_and_leaving_a_selection_are_added_and_deleted(cluster: Client, ns: str) -> None:
    path = f"{ns}/configmaps"
    made = await cluster.post(path, configmap("a"))
    options = {"resourceVersion": made.version, "labelSelector": "on=yes"}
    async with cluster.watch(path, **options) as watch:
        for value in ("yes", "no", "yes"):
            await cluster.merge(f"{path}/a", {"metadata": {"labels": {"on": value}}})
        await cluster.merge(f"{path}/a", {"data": {"k": "v"}})
        kinds = ["ADDED", "DELETED", "ADDED", "MODIFIED"]
        assert [k for k, _ in await watch.events(4)] == kinds


async def test_one_object_can_be_watched(cluster: Client, ns: str) -> None:
    path = f"{ns}/configmaps"
    made = await cluster.post(path, configmap("a"))
    options = {"resourceVersion": made.version, "fieldSelector": "metadata.name=a"}
    async with cluster.watch(path, **options) as watch:
        await cluster.post(path, configmap("b"))
        await cluster.merge(f"{path}/a", {"data": {"k": "v"}})
        assert await watch.events(1) == [("MODIFIED", "a")]


async def test_a_watch_ends_after_its_timeout(cluster: Client, things: str) -> None:
    listed = await cluster.get(things)
    options = {"resourceVersion": listed.version, "timeoutSeconds": "1"}
    async with cluster.watch(things, **options) as watch:
        assert await watch.next() is None


async def test_a_version_that_is_too_old_is_an_error_410(cluster: Client, things: str) -> None:
    """Only a server that has compacted its history can show it; where it has, this is the shape."""
    await cluster.post(things, thing("a"))
    async with cluster.watch(things, resourceVersion="1") as watch:
        event = await watch.next()
        assert event is not None
        if event["type"] == "ERROR":
            status = event["object"]
            assert (status["code"], status["reason"]) == (410, "Expired")
            assert status["message"].startswith("too old resource version")
            assert await watch.next() is None


async def test_bad_watch_options_are_plain_answers(cluster: Client, things: str) -> None:
    watch = {"watch": "true", "timeoutSeconds": "1"}
    answer = await cluster.get(things, **watch, fieldSelector="spec.size=1")
    assert answer.expect(400).body["kind"] == "Status"
    (await cluster.get(things, **watch, labelSelector="a b")).expect(400)
    (await cluster.get(things, **watch, resourceVersionMatch="NotOlderThan")).expect(422)
    answer = await cluster.get(things, **watch, sendInitialEvents="true")
    assert answer.expect(422).causes()[0][1] == "FieldValueForbidden"


async def test_metadata_alone_can_be_watched(cluster: Client, ns: str) -> None:
    path = f"{ns}/configmaps"
    made = await cluster.post(path, configmap("a", data={"k": "v"}))
    async with cluster.watch(path, accept=PARTIAL, resourceVersion=made.version) as watch:
        await cluster.merge(f"{path}/a", {"data": {"k": "w"}})
        event = await watch.next()
        assert event is not None
        assert event["object"]["kind"] == "PartialObjectMetadata"
        assert sorted(event["object"]) == ["apiVersion", "kind", "metadata"]


async def test_a_watch_that_asks_for_a_list_of_metadata_says_nothing(cluster: Client, things: str) -> None:
    """A trap: the list's type is accepted for a watch, and the stream then carries no event."""
    await cluster.post(things, thing("a"))
    accept = PARTIAL.replace("ObjectMetadata", "ObjectMetadataList")
    async with cluster.watch(things, accept=accept, timeoutSeconds="2") as watch:
        assert watch.response.status == 200
        assert await watch.next() is None


async def test_the_first_table_of_a_watch_names_the_columns(cluster: Client, things: str) -> None:
    await cluster.post(things, thing("a"))
    await cluster.post(things, thing("b"))
    accept = "application/json;as=Table;g=meta.k8s.io;v=v1"
    async with cluster.watch(things, accept=accept) as watch:
        first, second = await watch.next(), await watch.next()
        assert first is not None
        assert second is not None
        assert len(first["object"]["columnDefinitions"]) == 5
        assert not second["object"]["columnDefinitions"]
        assert len(second["object"]["rows"]) == 1


async def test_both_versions_of_a_kind_are_told_in_their_own(cluster: Client, things: str) -> None:
    made = await cluster.post(things, thing("a"))
    old = things.replace("/v1/", "/v1beta1/")
    async with cluster.watch(old, resourceVersion=made.version) as watch:
        await cluster.merge(f"{things}/a", {"spec": {"size": 2}})
        event = await watch.next()
        assert event is not None
        assert event["object"]["apiVersion"].endswith("/v1beta1")
