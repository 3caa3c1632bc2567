"""Access tokens: given, and exchanged for the token of a ServiceAccount."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from keyferry.errors import BadSpec, Busy, Denied, Unreachable
from keyferry.ports import Ref, Token, Validation
from tests.contract.pulumi.world import NAME, OIDC, World, value
from tests.support.faults import FaultProxy


@pytest.fixture
def account(world: World) -> World:
    """The world, where the ServiceAccount ``app`` is trusted."""
    world.credentials.tokens["default", "app"] = Token("canary-jwt", 0)
    world.server.trusted["canary-jwt"] = {NAME: "open"}
    world.put(a="x")
    return world


async def test_an_access_token_is_taken_without_its_line_break(world: World) -> None:
    world.put(a="x")
    assert await value(await world.open(), "a") == "x"
    assert world.server.exchanges == []


async def test_the_deprecated_field_of_the_access_token_is_read_too(world: World) -> None:
    world.put(a="x")
    adapter = await world.open(auth=None, accessToken={"secretRef": {"name": "pulumi", "key": "token"}})
    assert await value(adapter, "a") == "x"


async def test_a_token_of_a_service_account_is_exchanged_once(account: World) -> None:
    adapter = await account.open(auth=OIDC)
    await asyncio.gather(*(adapter.read([Ref("a")]) for _ in range(5)))
    assert await value(adapter, "a") == "x"
    (exchange,) = account.server.exchanges
    assert exchange["audience"] == "urn:pulumi:org:acme"
    assert (exchange["subject_token"], exchange["expiration"]) == ("canary-jwt", 600)
    assert account.calls.counts["ExchangeToken", "success"] == 1


async def test_the_audience_is_the_address_unless_the_manifest_names_others(account: World) -> None:
    adapter = await account.open(auth=OIDC)
    await value(adapter, "a")
    named = {"name": "app", "audiences": ["pulumi"]}
    await account.open(
        auth={"oidcConfig": {**OIDC["oidcConfig"], "serviceAccountRef": named, "expirationSeconds": 900}}
    )
    assert [request[2:] for request in account.credentials.token_requests] == [
        ((account.server.url,), 600),
        ((account.server.url,), 600),
        (("pulumi",), 900),
    ]


async def test_a_token_is_replaced_before_it_ends(account: World) -> None:
    account.server.life = 0
    adapter = await account.open(auth=OIDC)
    for _ in range(2):
        await value(adapter, "a")
    assert len(account.server.exchanges) > 1


async def test_a_refused_token_is_replaced_by_a_new_one(account: World) -> None:
    adapter = await account.open(auth=OIDC)
    await value(adapter, "a")
    account.server.tokens.clear()
    assert await value(adapter, "a") == "x"
    assert len(account.server.exchanges) == 2


async def test_a_service_account_that_is_not_trusted_is_told_and_its_token_is_not(account: World) -> None:
    account.server.trusted.clear()
    adapter = await account.open(auth=OIDC)
    with pytest.raises(Denied) as caught:
        await value(adapter, "a")
    assert str(caught.value) == (
        f'{account.server.url} refuses the ServiceAccount\'s token for organization "acme" (invalid_grant): '
        "register the cluster's issuer of tokens there, with a policy for its audience and subject"
    )
    assert "canary" not in repr(vars(caught.value))


@pytest.mark.parametrize(("status", "kind"), [(429, Busy), (500, Unreachable), (404, Unreachable)])
async def test_an_exchange_that_fails_is_told_by_its_kind(account: World, status: int, kind: type[Exception]) -> None:
    async with FaultProxy(account.server.url, tls=False) as proxy:
        adapter = await account.open(auth=OIDC, apiUrl=f"{proxy.url}/api/esc/")
        proxy.fail(status, retry_after=3, body="canary")
        with pytest.raises(kind) as caught:
            await value(adapter, "a")
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"access_token": 1}', '{"access_token": "t", "expires_in": "x"}'])
async def test_an_exchange_that_makes_no_sense_is_an_error(account: World, body: str) -> None:
    async with FaultProxy(account.server.url, tls=False) as proxy:
        adapter = await account.open(auth=OIDC, apiUrl=f"{proxy.url}/api/esc")
        proxy.garbage(body)
        with pytest.raises(Unreachable, match="not as Pulumi does"):
            await value(adapter, "a")


async def test_two_stores_with_different_tokens_never_mix(world: World) -> None:
    world.put(a="mine")
    world.server.put("acme/shop/test", {"a": "theirs"})
    token = world.server.token({"acme/shop/test": "open"})
    world.credentials.secrets["default", "other"] = {"token": token.encode()}
    mine = await world.open()
    theirs = await world.open(
        environment="test", auth={"accessToken": {"secretRef": {"name": "other", "key": "token"}}}
    )
    for _ in range(3):
        assert await value(mine, "a") == "mine"
        assert await value(theirs, "a") == "theirs"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"auth": None}, "there is no login, or more than one"),
        ({"auth": {}}, "there is no login, or more than one"),
        ({"auth": {**OIDC, "accessToken": {}}}, "there is no login, or more than one"),
        ({"accessToken": {}}, "there is no login, or more than one"),
        ({"auth": {"accessToken": {}}}, r"auth\.accessToken\.secretRef is not set"),
        ({"auth": None, "accessToken": {}}, r"^accessToken\.secretRef is not set"),
        ({"auth": {"accessToken": {"secretRef": {"name": "odd", "key": "lines"}}}}, "does not hold a token"),
        ({"auth": {"accessToken": {"secretRef": {"name": "odd", "key": "binary"}}}}, "does not hold a token"),
        ({"auth": OIDC}, r"auth\.oidcConfig\.serviceAccountRef: no ServiceAccount"),
        ({"organization": ""}, "organization is empty"),
        ({"project": ""}, "project is empty"),
        ({"environment": ""}, "environment is empty"),
        ({"apiUrl": "api.pulumi.com"}, "apiUrl is no http or https URL"),
    ],
)
async def test_what_is_wrong_is_told_before_anything_is_sent(
    world: World, changes: dict[str, Any], message: str
) -> None:
    world.credentials.secrets["default", "odd"] = {"lines": b"canary\nb", "binary": b"\xff"}
    with pytest.raises(BadSpec, match=message) as caught:
        await world.open(**changes)
    assert "canary" not in str(caught.value)
    assert world.server.requests == []


async def test_without_an_address_it_is_pulumi_cloud(world: World) -> None:
    adapter = await world.open(apiUrl=None)
    assert adapter._api._http.address == "https://api.pulumi.com"
    assert adapter._api._path == "/api/esc/environments/acme/shop/prod"


async def test_an_address_may_have_another_path(world: World) -> None:
    adapter = await world.open(apiUrl="https://pulumi.example.com/esc/")
    assert adapter._api._http.address == "https://pulumi.example.com/esc"
    assert adapter._api._path == "/environments/acme/shop/prod"


@pytest.mark.parametrize("permission", ["open", "open-only"])
async def test_a_store_that_may_open_its_environment_is_ready(world: World, permission: str) -> None:
    world.put(a="x")
    world.server.tokens[world.token][NAME] = permission
    assert await (await world.open()).validate() is Validation.READY


async def test_a_store_that_may_only_look_at_its_environment_is_not_ready_to_read(world: World) -> None:
    world.put(a="x")
    world.server.tokens[world.token][NAME] = "read"
    with pytest.raises(Denied, match="may not open environment"):
        await value(await world.open(), "a")
