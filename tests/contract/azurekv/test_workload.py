"""Workload identity: a ServiceAccount of the cluster that Entra ID takes for an application."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest

from keyferry.errors import BadSpec, Denied, Unreachable
from keyferry.ports import Token
from tests.contract.azurekv.support import CANARY, CLIENT, World, everything_of, failure, read, selector
from tests.sandbox.azure import TENANT, Federated, Issuer

CLIENT_ID = "azure.workload.identity/client-id"
TENANT_ID = "azure.workload.identity/tenant-id"
WORKLOAD: dict[str, Any] = {
    "authType": "WorkloadIdentity",
    "authSecretRef": None,
    "tenantId": None,
    "serviceAccountRef": {"name": "shop"},
}


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


def trust(world: World, issuer: Issuer, *, audience: str = "api://AzureADTokenExchange") -> None:
    """The ServiceAccount ``default/shop`` counts as the client, in Entra ID and in the cluster."""
    world.cloud.entra.issuers[issuer.url] = issuer
    subject = "system:serviceaccount:default:shop"
    world.cloud.entra.tenants[TENANT][CLIENT].federated.append(Federated(issuer.url, subject, audience))
    token = issuer.token("default", "shop", audiences=("api://AzureADTokenExchange", "extra"))
    world.credentials.tokens["default", "shop"] = Token(token, math.inf)
    world.credentials.annotations["default", "shop"] = {CLIENT_ID: CLIENT, TENANT_ID: TENANT}


async def test_with_a_service_account(world: World, issuer: Issuer) -> None:
    trust(world, issuer)
    world.vault.put("db", "s3cret")
    adapter = await world.open(**WORKLOAD)
    assert world.credentials.token_requests == []
    assert await read(adapter, "db") == b"s3cret"
    ((namespace, name, audiences, _),) = world.credentials.token_requests
    assert (namespace, name, audiences) == ("default", "shop", ("api://AzureADTokenExchange",))


async def test_with_further_audiences(world: World, issuer: Issuer) -> None:
    trust(world, issuer, audience="extra")
    world.vault.put("db", "s3cret")
    adapter = await world.open(**WORKLOAD | {"serviceAccountRef": {"name": "shop", "audiences": ["extra"]}})
    assert await read(adapter, "db") == b"s3cret"
    assert world.credentials.token_requests[0][2] == ("api://AzureADTokenExchange", "extra")


async def test_with_ids_from_a_secret(world: World, issuer: Issuer) -> None:
    trust(world, issuer)
    world.credentials.annotations["default", "shop"] = {}
    world.plant("ids", client=CLIENT, tenant=TENANT)
    world.vault.put("db", "s3cret")
    refs = {"clientId": selector("ids", "client"), "tenantId": selector("ids", "tenant")}
    assert await read(await world.open(**WORKLOAD | {"authSecretRef": refs}), "db") == b"s3cret"


async def test_with_the_tenant_of_the_store_or_of_the_environment(
    world: World, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(world, issuer)
    world.credentials.annotations["default", "shop"] = {CLIENT_ID: CLIENT}
    world.vault.put("db", "s3cret")
    assert await read(await world.open(**WORKLOAD | {"tenantId": TENANT}), "db") == b"s3cret"
    with pytest.raises(BadSpec, match="tenantId is not set"):
        await world.open(**WORKLOAD)
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    assert await read(await world.open(**WORKLOAD), "db") == b"s3cret"


async def test_ids_that_contradict_each_other_are_told_and_equal_ones_are_not(world: World, issuer: Issuer) -> None:
    trust(world, issuer)
    world.plant("ids", client=CLIENT, other=f"{CANARY}-other")
    same = {"clientId": selector("ids", "client")}
    await world.open(**WORKLOAD | {"authSecretRef": same, "tenantId": TENANT})
    with pytest.raises(BadSpec, match="different values for the client id") as caught:
        await world.open(**WORKLOAD | {"authSecretRef": {"clientId": selector("ids", "other")}})
    assert CANARY not in str(caught.value)
    other = WORKLOAD | {"tenantId": "another.example.com"}
    with pytest.raises(BadSpec, match="different values for the tenant id"):
        await world.open(**other)
    await world.open(**other | {"useAzureSDK": True})


async def test_a_service_account_without_annotation_is_told(world: World, issuer: Issuer) -> None:
    trust(world, issuer)
    world.credentials.annotations["default", "shop"] = {}
    with pytest.raises(BadSpec, match=f'ServiceAccount "shop" has no annotation {CLIENT_ID}'):
        await world.open(**WORKLOAD)
    with pytest.raises(BadSpec, match=r"authSecretRef\.clientId is not set"):
        await world.open(**WORKLOAD | {"authSecretRef": {"tenantId": selector("ids", "tenant")}})


async def test_with_the_token_that_is_mounted_into_keyferry_s_pod(
    world: World, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trust(world, issuer)
    mounted = tmp_path / "token"
    await asyncio.to_thread(mounted.write_text, world.credentials.tokens["default", "shop"].value)
    world.vault.put("db", "s3cret")
    own = WORKLOAD | {"serviceAccountRef": None}
    with pytest.raises(BadSpec, match="Keyferry has no workload identity of its own"):
        await world.open(**own)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(mounted))
    # An authority in the environment would be sent the token; the store's cloud says where it goes.
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://login.example.com/")
    adapter = await world.open(**own)
    assert await read(adapter, "db") == b"s3cret"
    await asyncio.to_thread(mounted.unlink)
    error = await failure(await world.open(**own))
    assert type(error) is Unreachable
    assert str(error) == "Keyferry's workload identity token cannot be read: check its pod"


async def test_federation_that_does_not_fit_is_told_by_what_does_not_fit(world: World) -> None:
    issuer = Issuer()
    application = world.cloud.entra.register(CLIENT)
    audience = "api://AzureADTokenExchange"
    world.credentials.tokens["default", "shop"] = Token(
        issuer.token("default", "shop", audiences=(audience,)), math.inf
    )
    world.credentials.annotations["default", "shop"] = {"azure.workload.identity/client-id": CLIENT}
    changes: dict[str, Any] = {"authType": "WorkloadIdentity", "authSecretRef": None}
    changes["serviceAccountRef"] = {"name": "shop"}
    subject = "system:serviceaccount:default:shop"
    codes = []
    for credential in (
        None,
        Federated(issuer.url, subject, "another-audience"),
        Federated(issuer.url, "system:serviceaccount:default:other", audience),
    ):
        if credential is not None:
            world.cloud.entra.issuers[issuer.url] = issuer
            application.federated = [credential]
        error = await failure(await world.open(**changes))
        assert type(error) is Denied
        assert 'refuses to log in ServiceAccount "shop" (AADSTS' in str(error)
        codes.append(str(error).partition("AADSTS")[2][:6])
    assert codes == ["700211", "700212", "700213"]
    world.credentials.tokens.clear()
    gone = await failure(await world.open(**changes))
    assert type(gone) is BadSpec
    assert "ServiceAccount default/shop" in everything_of(gone)
