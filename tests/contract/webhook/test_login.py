"""``auth.ntlm``, against a server's side that was written after the specification."""

from __future__ import annotations

import base64
import logging
import struct
import traceback
from typing import Any

import pytest
from aiohttp import web

from keyferry.errors import BadSpec, Denied, KeyferryError
from keyferry.ports import Ref
from keyferry.providers.webhook import Webhook
from tests.contract.webhook.world import ADMIN, World, ask
from tests.sandbox.webhook_ntlm import Ntlm

PASSWORD = "canary-ntlm-Pässwörd"
NT_HASH = bytes.fromhex("1e42b1207b3d3f378328a4d454d39b91")
"""MD4 of the password in UTF-16."""
AUTH = {
    "ntlm": {
        "usernameSecret": {"name": "windows", "key": "user"},
        "passwordSecret": {"name": "windows", "key": "password"},
    }
}


@pytest.fixture
def ntlm(world: World) -> Ntlm:
    world.secret("windows", user=b"EXAMPLE\\svc", password=PASSWORD.encode())
    route = Ntlm(user="svc", domain="EXAMPLE", nt_hash=NT_HASH, body='{"value": "x"}')
    world.hooks.routes["/ntlm"] = route
    return route


async def open_(world: World, **spec: Any) -> Webhook:
    path = spec.pop("path", "/ntlm?{{ .remoteRef.key }}")
    given: dict[str, Any] = {"auth": AUTH, "result": {"jsonPath": "$.value"}}
    return await world.open(path, **(given | spec))


async def test_three_requests_of_one_connection_log_in(world: World, ntlm: Ntlm) -> None:
    assert await ask(await open_(world)) == b"x"
    assert ntlm.users == ["EXAMPLE\\svc"]
    assert ntlm.steps == ["plain", "negotiate", "authenticate"]
    assert {seen.connection for seen in world.hooks.requests} == {0}


async def test_a_connection_that_is_logged_in_serves_on(world: World, ntlm: Ntlm) -> None:
    adapter = await open_(world)
    for key in "abcd":
        await ask(adapter, key)
    assert ntlm.users == ["EXAMPLE\\svc"]
    assert len(world.hooks.requests) == 6


async def test_a_server_that_forgets_is_told_again(world: World, ntlm: Ntlm) -> None:
    ntlm.forgets = True
    adapter = await open_(world)
    assert [await ask(adapter, key) for key in "ab"] == [b"x", b"x"]
    assert ntlm.users == ["EXAMPLE\\svc"] * 2


async def test_requests_at_the_same_time_log_in_on_connections_of_their_own(world: World, ntlm: Ntlm) -> None:
    ntlm.forgets = True
    refs = [Ref(str(number)) for number in range(30)]
    found = await (await open_(world)).read(refs)
    assert all(getattr(found[ref], "document", None) == b"x" for ref in refs), found
    assert len(ntlm.users) == 30
    assert 1 < len({seen.connection for seen in world.hooks.requests}) <= 8


async def test_the_scheme_negotiate_is_served_too(world: World, ntlm: Ntlm) -> None:
    ntlm.scheme = "Negotiate"
    assert await ask(await open_(world)) == b"x"
    assert ntlm.users == ["EXAMPLE\\svc"]


@pytest.mark.parametrize("user", ["svc", "SVC", "EXAMPLE\\svc"])
async def test_a_user_without_a_domain_is_of_the_servers(world: World, ntlm: Ntlm, user: str) -> None:
    world.secret("windows", user=f"{user}\n".encode(), password=f"{PASSWORD}\r\n".encode())
    assert await ask(await open_(world)) == b"x"
    assert [each.lower() for each in ntlm.users] == ["example\\svc"]


async def test_a_user_may_be_written_like_an_address(world: World, ntlm: Ntlm) -> None:
    world.secret("windows", user=b"svc@example.org", password=PASSWORD.encode())
    ntlm.user = "svc@example.org"
    assert await ask(await open_(world)) == b"x"


async def test_a_body_waits_until_the_server_knows_who_asks(world: World, ntlm: Ntlm) -> None:
    headers = {"Authorization": "Bearer other", "X-Key": "{{ .remoteRef.key }}"}
    adapter = await open_(world, method="POST", body="{{ .remoteRef.key }}", headers=headers)
    await ask(adapter)
    assert [(seen.method, seen.body) for seen in world.hooks.requests] == [
        ("POST", b"db"),
        ("POST", b""),
        ("POST", b"db"),
    ]
    assert {seen.headers["x-key"] for seen in world.hooks.requests} == {"db"}
    assert "authorization" not in world.hooks.requests[0].headers


@pytest.mark.parametrize(("user", "password"), [("EXAMPLE\\svc", "wrong"), ("OTHER\\svc", PASSWORD), ("eve", PASSWORD)])
async def test_a_user_that_is_not_known_is_denied(world: World, ntlm: Ntlm, user: str, password: str) -> None:
    world.secret("windows", user=user.encode(), password=password.encode())
    with pytest.raises(Denied, match=r"does not accept the credentials \(HTTP 401\): check auth"):
        await ask(await open_(world))
    assert ntlm.steps == ["plain", "negotiate", "authenticate"]


async def test_the_password_is_not_sent_as_it_stands(world: World, ntlm: Ntlm) -> None:
    world.hooks.route("/ntlm", status=401, WWW_Authenticate="Basic realm=x")
    with pytest.raises(Denied, match="asks for a login that is not NTLM: leave auth out, and use headers"):
        await ask(await open_(world))
    assert len(world.hooks.requests) == 1


@pytest.mark.parametrize(
    ("challenge", "told"),
    [
        ("", "breaks off the login by NTLM: check that NTLM is enabled there"),
        ("%%%", "sends an NTLM challenge that makes no sense"),
        ("bm9uc2Vuc2U=", "sends an NTLM challenge that makes no sense"),
        (base64.b64encode(b"NTLMSSP\x00" + struct.pack("<I", 2) + bytes(12)).decode(), "makes no sense"),
        (base64.b64encode(b"NTLMSSP\x00" + struct.pack("<I", 3) + bytes(80)).decode(), "makes no sense"),
    ],
)
async def test_a_challenge_that_makes_no_sense_is_told(world: World, ntlm: Ntlm, challenge: str, told: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        given = challenge if "Authorization" in request.headers else ""
        return web.Response(status=401, headers={"WWW-Authenticate": f"NTLM {given}".strip()})

    world.hooks.routes["/ntlm"] = answer
    with pytest.raises(Denied, match=told):
        await ask(await open_(world))


async def test_the_password_is_shown_nowhere(world: World, ntlm: Ntlm, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    adapter = await open_(world)
    await ask(adapter)
    ntlm.nt_hash = bytes(16)
    ntlm.forgets = True
    await ask(adapter)
    with pytest.raises(KeyferryError) as caught:
        await ask(adapter)
    told = "".join([*traceback.format_exception(caught.value), repr(vars(adapter._door)), *caplog.messages])
    assert "canary" not in told
    assert "NTLM step" not in told


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"user": b"svc"}, r'auth\.ntlm\.passwordSecret: the Secret has no text under the key "password"'),
        ({"password": b"x"}, r'auth\.ntlm\.usernameSecret: the Secret has no text under the key "user"'),
        ({"user": b"\xff", "password": b"x"}, r"auth\.ntlm\.usernameSecret: the Secret has no text"),
        ({"user": b"svc", "password": b"\n"}, r"auth\.ntlm\.passwordSecret: the Secret has no text"),
    ],
)
async def test_a_login_that_is_not_whole_is_told(world: World, keys: dict[str, Any], told: str) -> None:
    world.secret("windows", **keys)
    with pytest.raises(BadSpec, match=told):
        await open_(world)


async def test_its_secrets_carry_the_label_and_name_their_namespace(world: World) -> None:
    world.secret("windows", labelled=False, user=b"svc", password=b"x")
    with pytest.raises(BadSpec, match=r"auth\.ntlm\.usernameSecret: .* label"):
        await open_(world)
    with pytest.raises(BadSpec, match=r"auth\.ntlm\.usernameSecret\.namespace is empty"):
        await open_(world, context={"store": ADMIN}, secrets=[])
