"""The life of a token on a real server; the finer rules are in the unit tests, on a virtual clock."""

from __future__ import annotations

import asyncio

import hvac.exceptions
import pytest

from keyferry.errors import Denied
from keyferry.ports import Ref
from tests.contract.vault.support import World, token_of, until, value
from tests.sandbox.openbao import OpenBao

LOGIN = {"path": "life", "secretRef": {"name": "user", "key": "password"}}


@pytest.fixture(scope="module")
def users(bao: OpenBao) -> str:
    """Users whose tokens differ in life and kind; all may read ``secret/life/*``."""
    client = bao.client()
    client.secrets.kv.v2.create_or_update_secret("life/db", {"k": "v"})
    client.sys.create_or_update_policy("life", 'path "secret/data/life/*" { capabilities = ["read"] }')
    client.sys.enable_auth_method("userpass", path="life")
    for name, options in {
        "long": {"token_ttl": "1h"},
        "short": {"token_ttl": "1s", "token_max_ttl": "1s"},
        "renewed": {"token_ttl": "3s", "token_max_ttl": "1h"},
        "periodic": {"token_period": "3s"},
        "batch": {"token_type": "batch", "token_ttl": "1h"},
    }.items():
        client.adapter.post(f"/v1/auth/life/users/{name}", json={"password": "pw", "token_policies": "life", **options})
    return "pw"


@pytest.fixture(autouse=True)
def password(world: World, users: str) -> None:
    world.plant("user", password=users)


def auth(user: str) -> dict[str, object]:
    return {"userPass": {**LOGIN, "username": user}}


def valid(bao: OpenBao, token: str) -> bool:
    try:
        bao.client(token).auth.token.lookup_self()
    except hvac.exceptions.Forbidden:
        return False
    return True


async def test_opening_a_store_sends_nothing(world: World) -> None:
    await world.vault(auth=auth("long"))
    await world.vault()
    assert world.calls.counts == {}


async def test_many_readers_share_one_login(world: World) -> None:
    adapter = await world.vault(auth=auth("long"))
    await asyncio.gather(*(adapter.read([Ref("life/db"), Ref(f"life/{number}")]) for number in range(10)))
    assert world.made("Login") == 1


async def test_validating_after_a_login_makes_no_further_call_and_later_one(world: World) -> None:
    adapter = await world.vault(auth=auth("long"))
    await adapter.validate()
    assert world.calls.counts == {("Login", "success"): 1}
    await adapter.validate()
    assert world.calls.counts == {("Login", "success"): 1, ("LookupSelf", "success"): 1}


async def test_a_given_token_is_looked_up_once(world: World) -> None:
    adapter = await world.vault()
    await adapter.validate()
    await value(adapter, "life/db")
    assert world.calls.counts == {("LookupSelf", "success"): 1, ("ReadSecretData", "success"): 1}


async def test_closing_revokes_the_token(bao: OpenBao, world: World) -> None:
    adapter = await world.vault(auth=auth("long"))
    await value(adapter, "life/db")
    token = token_of(adapter)
    assert valid(bao, token)
    await adapter.aclose()
    await adapter.aclose()
    assert not valid(bao, token)
    assert world.made("RevokeSelf") == 1


async def test_closing_keeps_a_token_that_was_given(bao: OpenBao, world: World) -> None:
    token = bao.client().auth.token.create(policies=["life"])["auth"]["client_token"]
    world.plant("given", token=token)
    adapter = await world.vault(auth={"tokenSecretRef": {"name": "given", "key": "token"}})
    await value(adapter, "life/db")
    await adapter.aclose()
    assert valid(bao, token)
    assert world.made("RevokeSelf") == 0


async def test_closing_while_a_login_is_under_way_leaves_no_token_behind(bao: OpenBao, world: World) -> None:
    adapter = await world.vault(auth=auth("long"))
    reader = asyncio.ensure_future(adapter.read([Ref("life/db")]))
    await until(lambda: adapter._door.tokens._flight.under_way("token") or reader.done())
    reader.cancel()
    await adapter.aclose()
    assert world.made("Login") == world.made("RevokeSelf") == 1


async def test_an_expired_token_is_replaced(bao: OpenBao, world: World) -> None:
    adapter = await world.vault(auth=auth("short"))
    await value(adapter, "life/db")
    token = token_of(adapter)
    await until(lambda: not valid(bao, token))
    assert await value(adapter, "life/db") == {"k": "v"}
    assert world.made("Login") == 2


async def test_a_revoked_token_is_replaced_and_the_read_repeated(bao: OpenBao, world: World) -> None:
    adapter = await world.vault(auth=auth("long"))
    await value(adapter, "life/db")
    bao.client().auth.token.revoke(token_of(adapter))
    answers = await asyncio.gather(*(value(adapter, "life/db") for _ in range(10)))
    assert answers == [{"k": "v"}] * 10
    assert world.made("Login") == 2


async def test_a_revoked_token_is_replaced_when_the_store_is_validated(bao: OpenBao, world: World) -> None:
    adapter = await world.vault(auth=auth("long"))
    await adapter.validate()
    bao.client().auth.token.revoke(token_of(adapter))
    await adapter.validate()
    assert world.made("Login") == 2


async def test_a_revoked_token_that_was_given_is_denied_with_the_remedy(bao: OpenBao, world: World) -> None:
    token = bao.client().auth.token.create(policies=["life"])["auth"]["client_token"]
    world.plant("given", token=token)
    adapter = await world.vault(auth={"tokenSecretRef": {"name": "given", "key": "token"}})
    await value(adapter, "life/db")
    bao.client().auth.token.revoke(token)
    with pytest.raises(Denied, match="it is expired or revoked: give the store a valid one"):
        await value(adapter, "life/db")
    with pytest.raises(Denied, match="it is expired or revoked"):
        await adapter.validate()


async def test_many_denied_keys_cost_one_question_and_no_login(world: World) -> None:
    adapter = await world.vault(auth=auth("long"))
    answers = await adapter.read([Ref(f"forbidden/{number}") for number in range(30)])
    assert {type(answer) for answer in answers.values()} == {Denied}
    assert world.made("LookupSelf") == 1
    assert world.made("Login") == 1


@pytest.mark.parametrize("user", ["renewed", "periodic"])
async def test_a_token_is_renewed_in_use_and_not_replaced(world: World, user: str) -> None:
    adapter = await world.vault(auth=auth(user))

    async def read_until_renewed() -> None:
        while not world.made("RenewSelf"):
            assert await value(adapter, "life/db") == {"k": "v"}
            await asyncio.sleep(0.05)

    await asyncio.wait_for(read_until_renewed(), 10)
    assert await value(adapter, "life/db") == {"k": "v"}
    assert world.made("Login") == 1


async def test_a_batch_token_is_used_and_neither_renewed_nor_revoked(world: World) -> None:
    adapter = await world.vault(auth=auth("batch"))
    assert await value(adapter, "life/db") == {"k": "v"}
    assert token_of(adapter).startswith("b.")
    await adapter.validate()
    await adapter.aclose()
    assert world.calls.counts == {
        ("Login", "success"): 1,
        ("ReadSecretData", "success"): 1,
        ("LookupSelf", "success"): 1,
    }


async def test_a_token_that_may_not_look_itself_up_still_reads(bao: OpenBao, world: World) -> None:
    created = bao.client().auth.token.create(policies=["life"], no_default_policy=True)
    world.plant("given", token=created["auth"]["client_token"])
    adapter = await world.vault(auth={"tokenSecretRef": {"name": "given", "key": "token"}})
    assert await value(adapter, "life/db") == {"k": "v"}


async def test_stores_with_different_credentials_never_share_a_token(bao: OpenBao, world: World) -> None:
    client = bao.client()
    for tenant in ("a", "b"):
        client.secrets.kv.v2.create_or_update_secret(f"tenant-{tenant}", {"k": f"of {tenant}"})
        rule = f'path "secret/data/tenant-{tenant}" {{ capabilities = ["read"] }}'
        client.sys.create_or_update_policy(f"tenant-{tenant}", rule)
        client.auth.userpass.create_or_update_user(
            tenant, f"pw-{tenant}", policies=f"tenant-{tenant}", mount_point="life"
        )
        world.plant(f"user-{tenant}", password=f"pw-{tenant}")
    adapters = {
        tenant: await world.vault(
            auth={
                "userPass": {
                    "path": "life",
                    "username": tenant,
                    "secretRef": {"name": f"user-{tenant}", "key": "password"},
                }
            }
        )
        for tenant in ("a", "b")
    }

    async def check(tenant: str, other: str) -> None:
        assert await value(adapters[tenant], f"tenant-{tenant}") == {"k": f"of {tenant}"}
        with pytest.raises(Denied):
            await value(adapters[tenant], f"tenant-{other}")

    await asyncio.gather(*(check(*pair) for pair in [("a", "b"), ("b", "a")] * 10))
    assert token_of(adapters["a"]) != token_of(adapters["b"])
