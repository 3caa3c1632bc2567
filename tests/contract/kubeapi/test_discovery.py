from __future__ import annotations

import pytest

from tests.contract.kubeapi.client import Client
from tests.contract.kubeapi.things import GROUP

pytestmark = pytest.mark.asyncio(loop_scope="session")
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
async def test_health_is_plain_text(cluster: Client, path: str) -> None:
    answer = (await cluster.get(path, accept="*/*")).expect(200)
    assert answer.body == "ok"


async def test_the_version_is_told(cluster: Client) -> None:
    answer = (await cluster.get("/version")).expect(200)
    assert answer.body["major"] == "1"
    assert answer.body["gitVersion"].startswith("v1.")


async def test_core_resources_are_listed(cluster: Client) -> None:
    found = {r["name"]: r for r in (await cluster.get("/api/v1")).body["resources"]}
    assert found["secrets"]["kind"] == "Secret"
    assert found["secrets"]["namespaced"] is True
    assert set(found["secrets"]["verbs"]) == {
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    }
    assert found["configmaps"]["shortNames"] == ["cm"]
    assert found["serviceaccounts/token"]["kind"] == "TokenRequest"
    assert found["namespaces"]["namespaced"] is False


async def test_groups_and_versions_are_listed(cluster: Client, thing_kind: str) -> None:
    groups = {g["name"]: g for g in (await cluster.get("/apis")).body["groups"]}
    assert {"apps", "coordination.k8s.io", "apiextensions.k8s.io", GROUP} <= set(groups)
    assert groups[GROUP]["preferredVersion"]["version"] == "v1"
    assert [v["version"] for v in groups[GROUP]["versions"]] == ["v1", "v1beta1"]
    one = (await cluster.get(f"/apis/{GROUP}")).expect(200)
    assert one.body["kind"] == "APIGroup"
    listed = (await cluster.get(f"/apis/{GROUP}/v1")).expect(200)
    found = {r["name"]: r for r in listed.body["resources"]}
    assert found[thing_kind]["shortNames"] == [thing_kind[:-1]]
    assert found[thing_kind]["singularName"] == "thing"
    assert f"{thing_kind}/status" in found
    (await cluster.get("/apis/none.example")).expect(404)


async def test_discovery_can_be_had_in_one_answer(cluster: Client, thing_kind: str) -> None:
    answer = (await cluster.get("/apis", accept=AGGREGATED)).expect(200)
    assert answer.body["kind"] == "APIGroupDiscoveryList"
    groups = {i["metadata"]["name"]: i for i in answer.body["items"]}
    [first, *_] = groups[GROUP]["versions"]
    found = {r["resource"]: r for r in first["resources"]}
    assert found[thing_kind]["scope"] == "Namespaced"
    assert [s["subresource"] for s in found[thing_kind]["subresources"]] == ["status"]


async def test_openapi_describes_every_group(cluster: Client, thing_kind: str) -> None:
    index = (await cluster.get("/openapi/v3")).expect(200).body["paths"]
    assert {"api/v1", f"apis/{GROUP}/v1"} <= set(index)
    document = (await cluster.get(f"/openapi/v3/apis/{GROUP}/v1")).expect(200).body
    kinds = [
        gvk["kind"]
        for schema in document["components"]["schemas"].values()
        for gvk in schema.get("x-kubernetes-group-version-kind", ())
    ]
    assert "Thing" in kinds


async def test_unknown_resources_of_known_groups_are_statuses(cluster: Client, ns: str) -> None:
    answer = (await cluster.get(f"{ns}/nothings")).expect(404)
    assert answer.message == "the server could not find the requested resource"
