"""A secret in any place of a request, and in any place of an answer, is shown nowhere."""

from __future__ import annotations

import asyncio
import base64
import logging
import socket
import traceback
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import web

from keyferry.errors import KeyferryError
from keyferry.ports import Ref
from tests.contract.webhook.world import CANARY, World
from tests.sandbox.certificates import Authority
from tests.sandbox.webhook import Hooks

PLACES: dict[str, dict[str, Any]] = {
    "query": {"path": "/q?token={{ .login.token }}"},
    "path": {"path": "/{{ .login.token }}/q"},
    "user": {"path": "http://{{ .login.token }}:{{ .login.token }}@127.0.0.1:{port}/q"},
    "header": {"headers": {"Authorization": "Bearer {{ .login.token }}"}},
    "body": {"method": "POST", "body": "{{ .login.token }}"},
    "jsonPath": {"result": {"jsonPath": "$.{{ .login.token }}"}},
    "no jsonPath": {"result": {"jsonPath": "$[?({{ .login.token }}"}},
    "host": {"path": "http://{{ .login.token }}.example.org/q"},
    "port": {"path": "http://127.0.0.1:{{ .login.token }}/q"},
    "scheme": {"path": "{{ .login.token }}://127.0.0.1/q"},
    "name": {"path": "/q?{{ .login.nothing }}", "headers": {"X": "{{ .login.token }}"}},
}


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What was told; looked through at the end, with all that was logged."""
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []
    yield texts
    texts += [f"{record.getMessage()} {record.args!r}" for record in caplog.records]
    assert texts
    for text in texts:
        assert CANARY not in text
        assert base64.b64encode(f"{CANARY}:{CANARY}".encode()).decode() not in text


async def endings(world: World) -> AsyncIterator[None]:
    """All the ways in which the endpoint answers, with the canary wherever there is room for it."""
    for status in (200, 204, 301, 304, 400, 401, 403, 404, 407, 410, 429, 500, 503):
        for body in (CANARY, f'{{"a": "{CANARY}"}}', f"<html>{CANARY}"):
            world.hooks.route(
                "/q",
                body if status not in {204, 304} else "",
                status=status,
                Location=f"http://127.0.0.1:1/{CANARY}",
                WWW_Authenticate=f"Basic realm={CANARY}",
                Retry_After=CANARY,
                X_Request_Id=CANARY,
            )
            yield

    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(CANARY.encode())
        assert request.transport is not None
        request.transport.abort()
        return response

    async def nonsense(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(f"{CANARY}\r\n\r\n".encode())
        request.transport.close()
        return web.Response()

    for route in (cut, nonsense):
        world.hooks.routes["/q"] = route
        yield


@pytest.mark.parametrize("place", PLACES)
async def test_a_secret_in_a_request_is_shown_nowhere(
    world: World, told: list[str], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, f"no name {CANARY}")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    spec = {"path": "/q", **PLACES[place]}
    path = spec.pop("path").replace("{port}", str(world.hooks.port))
    adapter = await world.open(path, **spec)
    async for _ in endings(world):
        # The request of the path belongs to another route.
        world.hooks.routes[f"/{CANARY}/q"] = world.hooks.routes["/q"]
        ref = Ref("db")
        answer = (await adapter.read([ref]))[ref]
        told += [repr(adapter), repr(answer), str(answer)]
        if isinstance(answer, KeyferryError):
            assert answer.__context__ is answer.__cause__ is None
            told += [*traceback.format_exception(answer), repr(vars(answer))]
        if not world.hooks.requests:
            # It is never sent, however the endpoint would answer.
            break
    told += [repr(adapter._requests), repr(vars(adapter._door)), repr(adapter._shelf._kept)]


class TestTls:
    @pytest.fixture
    async def authority(self) -> Authority:
        return Authority()

    async def test_the_server_is_known_by_the_authority_that_the_manifest_names(
        self, world: World, told: list[str], authority: Authority
    ) -> None:
        pem = authority.pem
        world.credentials.config_maps["default", "ca"] = {"ca.crt": pem.decode()}
        async with Hooks(pair=authority.server()) as hooks:
            hooks.route("/q", "value")
            url = f"{hooks.url}/q?{{{{ .login.token }}}}"
            for spec in (
                {"caBundle": base64.b64encode(pem).decode()},
                {"caProvider": {"type": "ConfigMap", "name": "ca", "key": "ca.crt"}},
            ):
                adapter = await world.open(url, **spec)
                found = await adapter.read([Ref("db")])
                assert getattr(found[Ref("db")], "document", None) == b"value"
                await adapter.aclose()
            adapter = await world.open(url)
            answer = (await adapter.read([Ref("db")]))[Ref("db")]
            told.append(str(answer))
            assert f"the certificate of {hooks.url} is not trusted" in str(answer)
            assert len(hooks.requests) == 2
