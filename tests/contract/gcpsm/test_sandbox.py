"""The double of Google itself, by Google's own clients: it refuses what Google refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.api_core import exceptions
from google.cloud.secretmanager_v1 import SecretManagerServiceAsyncClient
from google.cloud.secretmanager_v1 import types as sm
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcAsyncIOTransport,
)

from tests.sandbox.gcp import NUMBER, PROJECT, REGION, Gcp
from tests.sandbox.gcp.accounts import Accounts, BadGrant

SECRETS = f"projects/{PROJECT}/secrets"


class Client:
    """Google's client, and the token that it sends."""

    def __init__(self, gcp: Gcp) -> None:
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        credentials = grpc.ssl_channel_credentials(gcp.ca_pem)
        self.channel = grpc.aio.secure_channel(gcp.front.address, credentials, options=options)
        self.api = SecretManagerServiceAsyncClient(
            transport=SecretManagerServiceGrpcAsyncIOTransport(channel=self.channel)
        )
        self.token = gcp.accounts.issue(gcp.account("tester"))

    @property
    def options(self) -> dict[str, Any]:
        return {"retry": None, "timeout": 5.0, "metadata": [("authorization", f"Bearer {self.token}")]}

    async def access(self, name: str) -> sm.AccessSecretVersionResponse:
        return await self.api.access_secret_version(sm.AccessSecretVersionRequest(name=name), **self.options)

    async def names(self, parent: str, terms: str = "") -> list[str]:
        listing = await self.api.list_secrets(sm.ListSecretsRequest(parent=parent, filter=terms), **self.options)
        return [secret.name async for secret in listing]


@pytest.fixture
async def client(gcp: Gcp) -> AsyncIterator[Client]:
    made = Client(gcp)
    yield made
    await made.channel.close()


async def test_names_in_answers_have_the_projects_number(gcp: Gcp, client: Client) -> None:
    gcp.store.put(f"{SECRETS}/db", b"value")
    answer = await client.access(f"{SECRETS}/db/versions/latest")
    assert (answer.name, answer.payload.data) == (f"projects/{NUMBER}/secrets/db/versions/1", b"value")


@pytest.mark.parametrize("token", ["", "unknown"])
async def test_nobody_is_let_in_without_a_token(gcp: Gcp, client: Client, token: str) -> None:
    client.token = token
    with pytest.raises(exceptions.Unauthenticated):
        await client.access(f"{SECRETS}/db/versions/1")


async def test_rights_hold_for_what_they_were_given_on_and_what_lies_below(gcp: Gcp, client: Client) -> None:
    gcp.store.put(f"{SECRETS}/db", b"value")
    gcp.store.put(f"{SECRETS}/db2", b"value")
    gcp.store.granted.clear()
    gcp.account("tester", on=f"{SECRETS}/db")
    await client.access(f"{SECRETS}/db/versions/1")
    for refused in (client.access(f"{SECRETS}/db2/versions/1"), client.names(f"projects/{PROJECT}")):
        with pytest.raises(exceptions.PermissionDenied, match="or it may not exist"):
            await refused


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (f"{SECRETS}/none/versions/1", exceptions.NotFound),
        (f"{SECRETS}/db/versions/2", exceptions.NotFound),
        (f"{SECRETS}/db/versions/alias", exceptions.NotFound),
        (f"{SECRETS}/a b/versions/1", exceptions.InvalidArgument),
        (f"projects/{PROJECT}/locations/{REGION}/secrets/db/versions/1", exceptions.NotFound),
        ("projects/other/secrets/db/versions/1", exceptions.PermissionDenied),
        ("nonsense", exceptions.InvalidArgument),
    ],
)
async def test_what_is_not_there_is_refused_as_by_google(
    gcp: Gcp, client: Client, name: str, error: type[Exception]
) -> None:
    gcp.store.put(f"{SECRETS}/db", b"value")
    with pytest.raises(error):
        await client.access(name)


@pytest.mark.parametrize(
    ("terms", "found"),
    [
        ("", ["Web", "db-1", "db-2"]),
        ("name:DB", ["db-1", "db-2"]),
        ("labels.team=red", ["db-1"]),
        ("labels.team=red AND name:2", []),
        ('labels.team="blue" name:db', ["db-2"]),
        ("labels.none=x", []),
    ],
)
async def test_filters_are_those_of_google(gcp: Gcp, client: Client, terms: str, found: list[str]) -> None:
    gcp.store.put(f"{SECRETS}/db-1", b"v", labels={"team": "red"})
    gcp.store.put(f"{SECRETS}/db-2", b"v", labels={"team": "blue"})
    gcp.store.put(f"{SECRETS}/Web", b"v")
    assert await client.names(f"projects/{PROJECT}", terms) == [f"projects/{NUMBER}/secrets/{each}" for each in found]


@pytest.mark.parametrize("terms", ["(", "size:3", "name"])
async def test_filters_that_make_no_sense_are_refused(gcp: Gcp, client: Client, terms: str) -> None:
    gcp.store.put(f"{SECRETS}/db", b"v")
    with pytest.raises(exceptions.InvalidArgument):
        await client.names(f"projects/{PROJECT}", terms)


async def test_listings_come_in_pages(gcp: Gcp, client: Client) -> None:
    for number in range(130):
        gcp.store.put(f"{SECRETS}/key-{number:03}", b"v")
    assert len(set(await client.names(f"projects/{PROJECT}"))) == 130
    assert gcp.rpcs.calls == {"ListSecrets": 2}


async def test_versions_are_listed_from_the_newest_on(gcp: Gcp, client: Client) -> None:
    for _ in range(3):
        gcp.store.put(f"{SECRETS}/db", b"v")
    gcp.store.secrets[f"projects/{NUMBER}/secrets/db"].versions[1].state = "DISABLED"
    for terms, numbers in (("", "321"), ("state:ENABLED", "31")):
        request = sm.ListSecretVersionsRequest(parent=f"{SECRETS}/db", filter=terms)
        listing = await client.api.list_secret_versions(request, **client.options)
        assert "".join([version.name[-1] async for version in listing]) == numbers


@pytest.mark.parametrize("assertion", ["", "a.b.c", "x"])
def test_a_login_without_a_signature_is_refused(assertion: str) -> None:
    with pytest.raises(BadGrant):
        Accounts().sign_in(assertion)
