"""The door to an API that is called without a library."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from keyferry.errors import BadSpec, Broken, Unreachable
from keyferry.jsonhttp import Answer, JsonHttp, part

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def door(handler: Handler, **changes: Any) -> AsyncIterator[JsonHttp]:
    """A door to a server on loopback that answers everything by ``handler``."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/"
    given: dict[str, Any] = {"where": "url", "ssl": None, "timeout": 5.0, "headers": {"X-Token": "t"}, "limit": 2}
    http = JsonHttp(url, **(given | changes))
    try:
        yield http
    finally:
        await http.aclose()
        await runner.cleanup()


async def echo(request: web.Request) -> web.Response:
    """What arrived."""
    names = ("X-Token", "X-More", "User-Agent", "Content-Type", "Cookie")
    return web.json_response(
        {
            "method": request.method,
            "target": request.raw_path,
            "headers": {name: request.headers[name] for name in names if name in request.headers},
            "body": await request.text(),
        },
        headers={"Set-Cookie": "a=b"},
    )


async def test_a_request_carries_what_it_is_given_and_nothing_else() -> None:
    async with door(echo) as http:
        for _ in range(2):
            answer = await http.request(
                "POST", f"/x/{part('a/b.c ü')}", query={"q[x]": "1&2"}, headers={"X-More": "m"}, body={"k": "ü"}
            )
    assert answer.status == 200
    assert answer.headers["set-cookie"] == "a=b"
    assert answer.json() == {
        "method": "POST",
        "target": "/api/x/a%2Fb%2Ec%20%C3%BC?q%5Bx%5D=1%262",
        "headers": {"X-Token": "t", "X-More": "m", "User-Agent": "keyferry", "Content-Type": "application/json"},
        "body": '{"k":"ü"}',
    }


async def test_every_status_is_an_answer() -> None:
    async def teapot(_: web.Request) -> web.Response:
        return web.Response(status=418, text="canary")

    async with door(teapot) as http:
        answer = await http.request("GET", "/")
    assert (answer.status, answer.content, answer.json()) == (418, b"canary", None)
    assert "canary" not in repr(answer)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_redirect_within_the_origin_is_followed_for_reads(method: str) -> None:
    async def moved(request: web.Request) -> web.StreamResponse:
        if request.path == "/api/old":
            raise web.HTTPTemporaryRedirect("new?a=b")
        return web.Response(headers={"X-Seen": request.raw_path + request.headers["X-Token"]})

    async with door(moved) as http:
        answer = await http.request(method, "/old")
    assert answer.headers["x-seen"] == "/api/new?a=bt"


async def test_a_redirect_of_a_write_is_its_answer() -> None:
    async def moved(_: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect("/elsewhere")

    async with door(moved) as http:
        assert (await http.request("POST", "/", body={})).status == 307


@pytest.mark.parametrize("target", ["https://127.0.0.1/", "http://localhost:1/", "//other.example.com/x", "ftp://x/"])
async def test_a_redirect_to_another_origin_is_refused(target: str) -> None:
    async def moved(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": target})

    async with door(moved) as http:
        with pytest.raises(Unreachable, match=r"redirects to another address"):
            await http.request("GET", "/")


async def test_a_redirect_without_end_has_one() -> None:
    async def round_and_round(_: web.Request) -> web.Response:
        raise web.HTTPFound("/api/again")

    async with door(round_and_round) as http:
        with pytest.raises(Unreachable, match="redirects again and again"):
            await http.request("GET", "/")


async def test_an_answer_that_does_not_come_in_time_is_told() -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while request.transport is not None:
            await response.write(b"x")
        return response

    async with door(slow, timeout=0.1) as http:
        with pytest.raises(Unreachable, match="did not answer in time"):
            await http.request("GET", "/")


async def test_an_answer_that_breaks_off_is_told() -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"canary")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with door(broken) as http:
        with pytest.raises(Unreachable, match="closed the connection") as caught:
            await http.request("GET", "/")
    assert "canary" not in f"{caught.value!r} {caught.value.__cause__!r}"


async def test_a_door_that_was_closed_stays_closed() -> None:
    async with door(echo) as http:
        await http.request("GET", "/")
        await http.aclose()
        await http.aclose()
        with pytest.raises(Broken):
            await http.request("GET", "/")


@pytest.mark.parametrize("url", ["", "x.example.com", "ftp://x", "https://a:b@x", "https://x?a=b", "http://x:y"])
def test_what_is_no_address_is_told_by_its_field(url: str) -> None:
    with pytest.raises(BadSpec, match=r"^apiUrl "):
        JsonHttp(url, where="apiUrl", ssl=None, timeout=1.0, headers={}, limit=1)


def test_an_answer_that_is_not_json_is_none() -> None:
    assert [Answer(200, {}, content).json() for content in (b"", b"{", b"\xff", b"[1]")] == [None, None, None, [1]]
