"""The door to an API server, held against one: the sandbox's, or a real one where KUBEBUILDER_ASSETS names it."""

from __future__ import annotations

import base64
import itertools
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from keyferry.kubehttp import KubeError, KubeHttp
from keyferry.transport import ssl_context
from tests.contract.providers.backends import Servers
from tests.contract.providers.conftest import CANARY

_numbers = itertools.count(1)
SECRETS = "/api/v1/namespaces/default/secrets"
APPLY = {"query": {"fieldManager": "test"}, "content_type": "application/apply-patch+yaml"}


@pytest.fixture
async def http(servers: Servers) -> AsyncIterator[KubeHttp]:
    client = connect(servers, servers.kube_token)
    yield client
    await client.aclose()


@pytest.fixture
def name() -> str:
    return f"kubehttp-{next(_numbers)}"


def connect(servers: Servers, token: str) -> KubeHttp:
    context = ssl_context(servers.kube_ca.encode())
    return KubeHttp.direct(server=servers.kube_url, ssl=context, token=token, user_agent="contract")


def secret(name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **more}


async def refusal(http: KubeHttp, method: str, path: str, **options: Any) -> KubeError:
    """The error of a request that has to fail, proven to hold no value."""
    with pytest.raises(KubeError) as caught:
        await http.request(method, path, **options)
    encoded = base64.b64encode(CANARY.encode()).decode()
    for shown in (str(caught.value), repr(caught.value), repr(vars(caught.value))):
        assert CANARY not in shown
        assert encoded not in shown
    return caught.value


async def test_an_object_is_created_read_changed_and_deleted(http: KubeHttp, name: str) -> None:
    created = await http.request("POST", SECRETS, body=secret(name))
    assert (await http.request("GET", f"{SECRETS}/{name}"))["metadata"]["uid"] == created["metadata"]["uid"]
    await http.request(
        "PATCH", f"{SECRETS}/{name}", body={"data": {"k": "eA=="}}, content_type="application/merge-patch+json"
    )
    assert (await http.request("GET", f"{SECRETS}/{name}"))["data"] == {"k": "eA=="}
    await http.request("DELETE", f"{SECRETS}/{name}")
    assert (await refusal(http, "GET", f"{SECRETS}/{name}")).not_found


async def test_an_absent_object_is_told_by_kind_and_name(http: KubeHttp, name: str) -> None:
    error = await refusal(http, "GET", f"{SECRETS}/{name}")
    assert str(error) == f'404 NotFound: secrets "{name}" not found'
    assert error.details == {"name": name, "kind": "secrets"}


async def test_an_object_that_exists_and_one_that_changed_meanwhile_are_told_apart(http: KubeHttp, name: str) -> None:
    created = await http.request("POST", SECRETS, body=secret(name))
    again = await refusal(http, "POST", SECRETS, body=secret(name))
    await http.request("PUT", f"{SECRETS}/{name}", body=secret(name, data={"k": "eA=="}))
    stale = await refusal(http, "PUT", f"{SECRETS}/{name}", body=created)
    assert (again.already_exists, again.conflict) == (True, False)
    assert (stale.already_exists, stale.conflict) == (False, True)


@pytest.mark.parametrize(
    "body",
    [
        {"stringData": {"no/key": CANARY}},
        {"data": {"k": CANARY}},
        {"data": {"k": {"nested": CANARY}}},
        {"stringData": {"k": [CANARY]}},
        {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": CANARY}},
        {"type": "kubernetes.io/basic-auth", "stringData": {"x": CANARY}},
        {"metadata": {"name": "Bad Name", "labels": {"x": f"{CANARY} "}}},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_refused_secret_is_told_without_its_values(
    http: KubeHttp, name: str, method: str, body: dict[str, Any]
) -> None:
    whole = secret(name) | body
    if method == "POST":
        error = await refusal(http, "POST", SECRETS, body=whole)
    else:
        error = await refusal(http, "PATCH", f"{SECRETS}/{whole['metadata']['name']}", body=whole, **APPLY)
    assert error.status in (400, 422, 500)
    assert len(str(error)) > 8


async def test_a_field_of_another_manager_is_a_conflict_that_names_it(http: KubeHttp, name: str) -> None:
    await http.request("POST", SECRETS, query={"fieldManager": "first"}, body=secret(name, data={"k": "eA=="}))
    value = base64.b64encode(CANARY.encode()).decode()
    error = await refusal(http, "PATCH", f"{SECRETS}/{name}", body=secret(name, data={"k": value}), **APPLY)
    assert error.conflict
    assert '"first"' in str(error)
    assert [cause["field"] for cause in error.details["causes"]] == [".data.k"]


async def test_an_unknown_token_is_unauthorized(servers: Servers) -> None:
    client = connect(servers, CANARY)
    assert (await refusal(client, "GET", SECRETS)).unauthorized
    await client.aclose()


async def test_a_watch_tells_what_happens(http: KubeHttp, name: str) -> None:
    start = (await http.request("GET", SECRETS, query={"limit": "1"}))["metadata"]["resourceVersion"]
    query = {"watch": "1", "resourceVersion": start, "fieldSelector": f"metadata.name={name}", "timeoutSeconds": "5"}
    async with aclosing(http.stream(SECRETS, query=query, idle_timeout=20)) as events:
        await http.request("POST", SECRETS, body=secret(name, data={"k": base64.b64encode(b"x" * 700_000).decode()}))
        added = await anext(events)
        await http.request("DELETE", f"{SECRETS}/{name}")
        deleted = await anext(events)
    assert [added["type"], deleted["type"]] == ["ADDED", "DELETED"]
    assert len(added["object"]["data"]["k"]) > 900_000


async def test_a_watch_that_the_server_ends_ends(http: KubeHttp) -> None:
    query = {"watch": "1", "timeoutSeconds": "1", "fieldSelector": "metadata.name=nothing", "resourceVersion": "0"}
    async with aclosing(http.stream(SECRETS, query=query, idle_timeout=20)) as events:
        assert [event async for event in events] == []


async def test_metadata_can_be_asked_for_alone(http: KubeHttp, name: str) -> None:
    await http.request("POST", SECRETS, body=secret(name, stringData={"k": CANARY}))
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    answer = await http.request("GET", SECRETS, query={"fieldSelector": f"metadata.name={name}"}, accept=accept)
    assert answer["kind"] == "PartialObjectMetadataList"
    assert "data" not in answer["items"][0]
