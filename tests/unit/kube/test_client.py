from __future__ import annotations

import pytest

from keyferry.errors import BadSpec, ClusterUnavailable, Conflict, Denied, KeyferryError, NotReady, NotThere
from keyferry.kube.client import (
    CLUSTER_SECRET_STORES,
    EXTERNAL_SECRETS,
    SECRETS,
    Kube,
    ObjectKey,
    Resource,
    translated,
)
from keyferry.kubehttp import KubeError
from tests.support.memorykube import MemoryKube
from tests.support.objects import secret_body
from tests.support.virtual import virtual


@pytest.mark.parametrize(
    ("resource", "given", "path"),
    [
        (SECRETS, ("team", "app"), "/api/v1/namespaces/team/secrets/app"),
        (SECRETS, ("", ""), "/api/v1/secrets"),
        (EXTERNAL_SECRETS, ("team", ""), "/apis/external-secrets.io/v1/namespaces/team/externalsecrets"),
        (CLUSTER_SECRET_STORES, ("team", "s", "status"), "/apis/external-secrets.io/v1/clustersecretstores/s/status"),
    ],
)
def test_paths_are_those_of_the_api(resource: Resource, given: tuple[str, ...], path: str) -> None:
    assert resource.path(*given) == path


def test_keys_read_as_people_write_them() -> None:
    assert str(ObjectKey("Secret", "team", "app")) == "Secret team/app"
    assert str(ObjectKey("ClusterSecretStore", "", "s")) == "ClusterSecretStore s"
    assert (SECRETS.api_version, EXTERNAL_SECRETS.api_version) == ("v1", "external-secrets.io/v1")


TERMINATING = {"causes": [{"reason": "NamespaceTerminating", "field": "metadata.namespace", "message": ""}]}


@pytest.mark.parametrize(
    ("error", "expected", "text"),
    [
        (KubeError(404, "NotFound", "m"), NotThere, "Secret team/app does not exist"),
        (KubeError(409, "Conflict", "m"), Conflict, "changed meanwhile"),
        (KubeError(409, "AlreadyExists", "m"), Conflict, "changed meanwhile"),
        (KubeError(403, "Forbidden", "m", details=TERMINATING), NotReady, "namespace team is being deleted"),
        (KubeError(403, "Forbidden", "m"), Denied, 'Keyferry may not update secrets in namespace "team"'),
        (KubeError(401, "Unauthorized", "m"), Denied, "grant it to Keyferry's ServiceAccount"),
        (KubeError(429, "TooManyRequests", "m", retry_after=7.0), ClusterUnavailable, "slow down"),
        (KubeError(422, "Invalid", "data[k] is wrong"), BadSpec, "refuses Secret team/app: data[k] is wrong"),
        (KubeError(413, "TooLarge", "m"), BadSpec, "refuses"),
        (KubeError(0, "Timeout", "https://10.0.0.1: no answer"), ClusterUnavailable, "does not answer"),
        (KubeError(503, "ServiceUnavailable", "m"), ClusterUnavailable, "does not answer"),
    ],
)
def test_answers_say_what_to_do_next_and_no_addresses(
    error: KubeError, expected: type[KeyferryError], text: str
) -> None:
    told = translated(error, "update", SECRETS, "team", "app")
    assert type(told) is expected
    assert text in str(told)
    assert "10.0.0.1" not in str(told)


@virtual
async def test_an_absent_object_is_none() -> None:
    assert await MemoryKube().kube.get(SECRETS, "team", "app") is None


@virtual
async def test_a_list_is_read_page_by_page() -> None:
    server = MemoryKube()
    server.page = 2
    for number in range(5):
        server.put(SECRETS, secret_body(f"s{number}"))
    pages = [page async for page in server.kube.pages(SECRETS)]
    assert [len(page["items"]) for page in pages] == [2, 2, 1]


@virtual
async def test_exactly_the_object_that_was_meant_is_deleted() -> None:
    server = MemoryKube()
    made = server.put(SECRETS, secret_body())["metadata"]
    kube: Kube = server.kube
    assert await kube.delete(SECRETS, "team", "app", uid="another") is False
    assert await kube.delete(SECRETS, "team", "app", uid=made["uid"], version="1") is False
    assert await kube.delete(SECRETS, "team", "app", uid=made["uid"], version=made["resourceVersion"]) is True
    assert await kube.delete(SECRETS, "team", "app", uid=made["uid"]) is False


@virtual
async def test_a_replacement_of_an_older_version_is_a_conflict() -> None:
    server = MemoryKube()
    old = server.put(SECRETS, secret_body())
    server.put(SECRETS, secret_body())
    with pytest.raises(Conflict):
        await server.kube.replace(SECRETS, "team", old)
