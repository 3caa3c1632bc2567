"""What users see when the server, the network, or what stands between, does not do its part."""

from __future__ import annotations

import asyncio
import logging
import threading
import traceback

import pytest

from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, NotThere, Unreachable
from keyferry.ports import Query, Ref, Retries
from tests.contract.vault.stub import Reply, Request, serving
from tests.contract.vault.support import PLAIN, SECRET, World, token_of, value
from tests.sandbox.openbao import OpenBao, free_port


async def test_a_sealed_server_says_so_until_it_is_unsealed() -> None:
    async with OpenBao() as bao:
        bao.client().secrets.kv.v2.create_or_update_secret("db", {"k": "v"})
        world = World.of(bao)
        adapter, anonymous = await world.vault(), await world.vault(auth=None)
        assert await value(adapter, "db") == {"k": "v"}
        bao.seal()
        for asking in (value(adapter, "db"), adapter.validate(), anonymous.validate(), adapter.find(Query())):
            with pytest.raises(Unreachable) as error:
                await asking
            assert str(error.value) == f"{bao.url} is sealed: unseal it"
        bao.unseal()
        assert await value(adapter, "db") == {"k": "v"}
        await world.aclose()


async def test_a_server_that_comes_back_with_its_data_is_read_again() -> None:
    async with OpenBao(storage="raft") as bao:
        bao.client().secrets.kv.v2.create_or_update_secret("db", {"k": "v"})
        world = World.of(bao)
        adapter = await world.vault()
        assert await value(adapter, "db") == {"k": "v"}
        bao.stop()
        with pytest.raises(Unreachable, match="refuses connections"):
            await value(adapter, "db")
        bao.start()
        assert await value(adapter, "db") == {"k": "v"}
        await world.aclose()


async def test_a_rate_limit_is_busy(bao: OpenBao, world: World) -> None:
    client = bao.client()
    client.sys.enable_secrets_engine("kv", path="limited", options={"version": "2"})
    client.secrets.kv.v2.create_or_update_secret("db", {"k": "v"}, mount_point="limited")
    client.adapter.post("/v1/sys/quotas/config", json={"enable_rate_limit_response_headers": True})
    client.adapter.post("/v1/sys/quotas/rate-limit/limited", json={"path": "limited/", "rate": 1, "interval": "60s"})
    adapter = await world.vault(path="limited")
    assert await value(adapter, "db") == {"k": "v"}
    with pytest.raises(Busy) as error:
        await value(adapter, "db")
    assert str(error.value) == f"{bao.url} limits the rate of requests"
    assert error.value.retry_after is not None
    client.adapter.delete("/v1/sys/quotas/rate-limit/limited")


async def test_a_missing_mount_is_told_when_an_openbao_store_is_validated(bao: OpenBao, world: World) -> None:
    client = bao.client()
    client.sys.enable_secrets_engine("kv", path="one", options={"version": "1"})
    client.sys.enable_secrets_engine("transit", path="transit")
    with pytest.raises(BadSpec, match='mount "one" holds KV version 1, the store says v2: set version: v1'):
        await (await world.openbao(path="one")).validate()
    with pytest.raises(BadSpec, match='mount "transit" is a secrets engine of type "transit", not kv'):
        await (await world.openbao(path="transit")).validate()
    with pytest.raises((Denied, BadSpec), match="check path"):
        await (await world.openbao(path="absent")).validate()


async def test_a_port_where_nobody_listens(lone: World) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable) as error:
        await value(await lone.vault(server=url, **PLAIN), "db")
    assert str(error.value) == f"{url} refuses connections: check the address, and that it runs"


async def test_a_name_that_does_not_exist(lone: World) -> None:
    with pytest.raises(Unreachable, match=r"the name in http://vault\.invalid:8200 cannot be resolved"):
        await value(await lone.vault(server="http://vault.invalid:8200", **PLAIN), "db")


async def test_a_slow_server_is_given_up(lone: World) -> None:
    lone.context["timeout"] = 0.2
    enough = threading.Event()

    def answer(_: Request) -> Reply:
        enough.wait(20)
        return SECRET

    with serving(answer) as stub:
        with pytest.raises(Unreachable) as error:
            await value(await lone.vault(server=stub.url, **PLAIN), "db")
        enough.set()
    assert str(error.value) == f"{stub.url} did not answer in time: check the network and network policies"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(404, b"<html>default backend</html>", {"Content-Type": "text/html"}),
        Reply(404, {"message": "not found"}),
        Reply(200, b"<html>welcome</html>"),
        Reply(200, b"[]"),
    ],
)
async def test_what_is_no_vault_is_not_taken_for_a_missing_secret(lone: World, reply: Reply) -> None:
    with serving(lambda _: reply) as stub, pytest.raises(Unreachable, match="but not as Vault or OpenBao do"):
        await value(await lone.vault(server=stub.url, **PLAIN), "db")


@pytest.mark.parametrize(
    "body",
    [{}, {"data": "x"}, {"data": {}}, {"data": {"data": "x"}}, {"data": {"keys": 7}}, {"auth": "x"}, {"data": [1]}],
)
async def test_an_answer_of_an_odd_shape_is_an_error_and_no_missing_secret(lone: World, body: object) -> None:
    lone.plant("user", password="pw")
    login = {"userPass": {"username": "u", "secretRef": {"name": "user", "key": "password"}}}
    with serving(lambda _: Reply(200, body)) as stub:
        for auth in (None, login, {"tokenSecretRef": {"name": "user", "key": "password"}}):
            for version in ("v1", "v2"):
                adapter = await lone.vault(server=stub.url, path="secret", auth=auth, version=version)
                outcomes = await asyncio.gather(
                    adapter.find(Query()), adapter.validate(), adapter.read([Ref("db")]), return_exceptions=True
                )
                assert all(isinstance(found, KeyferryError) or not isinstance(found, Exception) for found in outcomes)
                (answers,) = outcomes[2:]
                if isinstance(answers, dict) and version == "v2":
                    assert isinstance(answers[Ref("db")], KeyferryError)
                    assert not isinstance(answers[Ref("db")], NotThere)


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (400, BadSpec, "HTTP 400"),
        (401, Denied, "does not permit"),
        (405, BadSpec, "HTTP 405"),
        (412, Unreachable, "has not caught up"),
        (429, Busy, "limits the rate"),
        (472, Unreachable, "disaster recovery secondary"),
        (500, Unreachable, "HTTP 500"),
        (501, Unreachable, "not initialized"),
        (502, Unreachable, "HTTP 502"),
        (503, Unreachable, "sealed"),
        (504, Unreachable, "HTTP 504"),
    ],
)
async def test_every_status_has_its_error(lone: World, status: int, kind: type[KeyferryError], text: str) -> None:
    with serving(lambda _: Reply(status, {"errors": []})) as stub:
        with pytest.raises(kind, match=text) as error:
            await value(await lone.vault(server=stub.url, **PLAIN), "db")
        assert type(error.value) is kind


async def test_errors_are_the_same_each_time(lone: World) -> None:
    count = iter(range(1000, 2000))

    def answer(_: Request) -> Reply:
        number = next(count)
        words = (
            f"1 error occurred:\n\t* request 8a1d{number}-0000-4000-8000-00000000{number} failed at "
            f"2026-11-23T00:00:0{number % 10}Z: dial 10.0.0.1:{number}->10.0.0.2:389: timeout\n\n"
        )
        return Reply(500, {"errors": [words]})

    with serving(answer) as stub:
        adapter = await lone.vault(server=stub.url, **PLAIN)
        texts = set()
        for _ in range(3):
            with pytest.raises(Unreachable) as error:
                await value(adapter, "db")
            texts.add(str(error.value))
    assert texts == {
        f'{stub.url} failed to read secret "secret/data/db" (HTTP 500): request … failed at … dial … timeout'
    }


async def test_retry_after_reaches_the_caller(lone: World) -> None:
    reply = Reply(429, {"errors": ["quota"]}, {"Retry-After": "17"})
    with serving(lambda _: reply) as stub, pytest.raises(Busy) as error:
        await value(await lone.vault(server=stub.url, **PLAIN), "db")
    assert error.value.retry_after == 17.0


async def test_retry_settings_try_again_what_may_pass_and_nothing_else(lone: World) -> None:
    lone.context["retries"] = Retries(attempts=3, interval=0.01)
    script = [Reply(500, {"errors": []}), Reply(412, {"errors": []}), Reply(429, {}, {"Retry-After": "0"}), SECRET]
    with serving(lambda _: script.pop(0)) as stub:
        assert await value(await lone.vault(server=stub.url, **PLAIN), "db") == {"k": "v"}
    assert lone.calls.counts == {("ReadSecretData", "error"): 3, ("ReadSecretData", "success"): 1}
    for status in (400, 403, 404):
        with serving(lambda _, status=status: Reply(status, {"errors": ["canary"]})) as stub:  # type: ignore[misc] # bound
            with pytest.raises(KeyferryError):
                await value(await lone.vault(server=stub.url, **PLAIN), "db")
            assert len(stub.requests) == 1


async def test_without_retry_settings_nothing_is_tried_again(lone: World) -> None:
    with serving(lambda _: Reply(500, {"errors": []})) as stub:
        with pytest.raises(Unreachable):
            await value(await lone.vault(server=stub.url, **PLAIN), "db")
        assert len(stub.requests) == 1


@pytest.mark.parametrize("server", ["vault.example.com:8200", "ftp://vault", "https://", "http://[", "http://a:x"])
async def test_an_address_that_is_none_is_refused(lone: World, server: str) -> None:
    with pytest.raises(BadSpec, match=r"^server .*: write it like https://"):
        await lone.vault(server=server, **PLAIN)


async def test_no_value_or_credential_shows_in_any_error_log_or_repr(
    bao: OpenBao, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = bao.client()
    client.secrets.kv.v2.create_or_update_secret("canary", {"k": "canary-value"})
    client.sys.enable_auth_method("userpass", path="canary")
    client.auth.userpass.create_or_update_user("u", "canary-password", policies="default", mount_point="canary")
    world.plant("right", password="canary-password")
    world.plant("wrong", password="canary-wrong")
    world.plant("token", token="canary-token")
    users = [
        {"userPass": {"path": "canary", "username": "u", "secretRef": {"name": name, "key": "password"}}}
        for name in ("right", "wrong")
    ]
    adapters = [await world.vault()]
    adapters += [await world.vault(auth=auth) for auth in users]
    adapters.append(await world.vault(auth={"tokenSecretRef": {"name": "token", "key": "token"}}))
    adapters.append(await world.vault(server=f"http://127.0.0.1:{free_port()}"))
    adapters.append(await world.vault(path="nowhere"))
    shown: list[str] = []
    refs = [Ref("canary"), Ref("canary", "7"), Ref("canary", "x"), Ref("nothing"), Ref("canary", metadata=True)]
    for adapter in adapters:
        answers = await adapter.read(refs)
        shown += [repr(answers), repr(adapter), repr(adapter.__dict__), repr(vars(adapter._door.tokens))]
        for answer in answers.values():
            if isinstance(answer, KeyferryError):
                assert not foreign(answer)
                shown += traceback.format_exception(answer)
        (outcome,) = await asyncio.gather(adapter.validate(), return_exceptions=True)
        if isinstance(outcome, BaseException):
            assert not foreign(outcome)
            shown += traceback.format_exception(outcome)
    tokens = [token_of(adapters[0]), token_of(adapters[1])]
    shown.append(caplog.text)
    text = "\n".join(shown)
    for secret in ("canary-value", "canary-password", "canary-wrong", "canary-token", *tokens):
        assert secret not in text
    assert any("Denied" in line for line in shown)
    assert NotThere.__name__ in text


def foreign(error: BaseException) -> list[BaseException]:
    """Errors of other libraries beneath an error: their attributes carry requests with tokens."""
    chain: list[BaseException] = []
    cause = error.__cause__ or error.__context__
    while cause is not None:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    return [link for link in chain if not isinstance(link, KeyferryError)]
