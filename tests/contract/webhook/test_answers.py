"""What a server's answer means: statuses, redirects, documents that have not changed, size and time."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import pytest
from aiohttp import web

from keyferry.errors import BadSpec, BadValue, Broken, Busy, Denied, KeyferryError, NotThere, Unreachable
from keyferry.ports import Fetched, Ref, Retries
from keyferry.providers.webhook import answers
from tests.contract.webhook.world import CANARY, World, ask

TABLE: list[tuple[int, type[KeyferryError], str]] = [
    (300, Unreachable, "fails (HTTP 300): look at its log"),
    (304, Unreachable, "says that nothing has changed (HTTP 304), without being asked for changes"),
    (400, BadSpec, "refuses the request (HTTP 400): check method, url, headers and body"),
    (401, Denied, "does not accept the credentials (HTTP 401): check auth, and what headers hold"),
    (403, Denied, "denies access (HTTP 403): give the credentials the right to read"),
    (404, NotThere, "does not have it (HTTP 404)"),
    (405, BadSpec, "refuses the request (HTTP 405)"),
    (408, Unreachable, "gives up on the request (HTTP 408)"),
    (410, BadSpec, "refuses the request (HTTP 410)"),
    (422, BadSpec, "refuses the request (HTTP 422)"),
    (425, Unreachable, "gives up on the request (HTTP 425)"),
    (429, Busy, "limits the rate of requests"),
    (500, Unreachable, "fails (HTTP 500): look at its log"),
    (503, Unreachable, "fails (HTTP 503)"),
]


@pytest.mark.parametrize(("status", "kind", "told"), TABLE)
async def test_a_status_has_its_error(world: World, status: int, kind: type[KeyferryError], told: str) -> None:
    world.hooks.route("/q", f"<p>{CANARY}</p>", status=status)
    with pytest.raises(kind) as caught:
        await ask(await world.open("/q"))
    assert type(caught.value) is kind
    assert told in str(caught.value)
    assert f"http://127.0.0.1:{world.hooks.port}" in str(caught.value)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206])
async def test_an_answer_of_success_is_the_value(world: World, status: int) -> None:
    body = b"" if status == 204 else b"value"
    world.hooks.route("/q", body, status=status)
    assert await ask(await world.open("/q")) == body


async def test_an_absence_names_the_key(world: World) -> None:
    with pytest.raises(NotThere) as caught:
        await ask(await world.open("/secret/{{ .remoteRef.key }}"), "db")
    assert str(caught.value) == f'"db" does not exist: http://127.0.0.1:{world.hooks.port} does not have it (HTTP 404)'


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (f"<!DOCTYPE html><p>{CANARY}", {}),
        (f"\n <HTML>{CANARY}", {}),
        (CANARY, {"Content_Type": "text/html; charset=utf-8"}),
    ],
)
async def test_a_page_that_something_is_not_found_is_no_absence(
    world: World, body: str, headers: dict[str, Any]
) -> None:
    world.hooks.route("/q", body, status=404, **headers)
    with pytest.raises(Unreachable, match="answers with a web page that something is not found") as caught:
        await ask(await world.open("/q"))
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_name_that_no_template_knows_is_told_and_never_an_absence(world: World, status: int) -> None:
    world.hooks.route("/q", status=status)
    for spec in ({"headers": {"X": "{{ .login.tokn }}"}}, {"body": "{{ .remoteRef.kee }}"}):
        with pytest.raises(BadSpec, match=rf"HTTP {status} to a request that holds <no value>: a template names"):
            await ask(await world.open("/q", **spec))
    with pytest.raises(BadSpec, match="holds <no value>"):
        await ask(await world.open("/{{ .remoteRef.nothing }}"))


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_server_is_left_alone_as_long_as_it_says(world: World, status: int) -> None:
    world.hooks.route("/q", status=status, Retry_After="7")
    with pytest.raises(Busy) as caught:
        await ask(await world.open("/q"))
    assert caught.value.retry_after == 7


async def test_a_request_is_tried_again_as_the_store_says(world: World) -> None:
    world.hooks.route("/q", status=502)
    adapter = await world.open("/q", context={"retries": Retries(attempts=2, interval=0.001)})
    with pytest.raises(Unreachable):
        await ask(adapter)
    assert world.calls.counts == {("HTTPRequest", "error"): 3}


class TestNotModified:
    async def test_a_document_that_has_not_changed_is_the_one_from_before(self, world: World) -> None:
        token = world.hooks.token()
        world.secret("login", token=token.encode())
        world.hooks.put("db", "first")
        world.hooks.put("other", "another")
        adapter = await world.open(
            "/secret?key={{ .remoteRef.key }}",
            headers={"Authorization": "Bearer {{ .login.token }}"},
            result={"jsonPath": "$.value"},
        )
        for _ in range(2):
            assert (await ask(adapter), await ask(adapter, "other")) == (b"first", b"another")
        assert ["if-none-match" in seen.headers for seen in world.hooks.requests] == [False, False, True, True]
        world.hooks.put("db", "second")
        assert await ask(adapter) == b"second"
        assert await ask(adapter) == b"second"

    async def test_who_has_read_it_before_is_given_the_very_document_back(self, world: World) -> None:
        for key in ("db", "other"):
            world.hooks.put(key, "first")
        token = world.hooks.token()
        world.secret("login", token=token.encode())
        adapter = await world.open(
            "/secret?key={{ .remoteRef.key }}",
            headers={"Authorization": "Bearer {{ .login.token }}"},
            result={"jsonPath": "$.value"},
        )
        refs = [Ref("db"), Ref("other")]
        known = {ref: each for ref, each in (await adapter.read(refs)).items() if isinstance(each, Fetched)}
        assert all(each.version for each in known.values())
        world.hooks.put("db", "second")
        again = await adapter.reread([*refs, Ref("db", "7")], known)
        assert again[refs[1]] is known[refs[1]]
        assert [again[ref] is known[refs[0]] for ref in (refs[0], Ref("db", "7"))] == [False, False]
        # Not what it says is known, but what it was: the bytes are compared.
        strange = Fetched(b"canary", known[refs[1]].version)
        assert (await adapter.reread(refs, {refs[1]: strange}))[refs[1]] == known[refs[1]]

    @pytest.mark.parametrize(
        ("spec", "headers"),
        [
            ({"method": "POST"}, {"ETag": '"1"'}),
            ({}, {"ETag": '"1"', "Cache_Control": "private, No-Store"}),
            ({}, {"ETag": f'"{"x" * 2000}"'}),
            ({}, {}),
        ],
    )
    async def test_what_may_not_be_kept_is_not_asked_about(
        self, world: World, spec: dict[str, Any], headers: dict[str, Any]
    ) -> None:
        world.hooks.route("/q", "value", **headers)
        adapter = await world.open("/q", **spec)
        assert [await ask(adapter), await ask(adapter)] == [b"value", b"value"]
        assert not any("if-none-match" in seen.headers for seen in world.hooks.requests)

    async def test_what_the_manifest_asks_by_itself_is_its_own_matter(self, world: World) -> None:
        world.hooks.route("/q", "value", ETag='"1"')
        adapter = await world.open("/q", headers={"If-None-Match": '"0"'})
        assert [await ask(adapter), await ask(adapter)] == [b"value", b"value"]
        assert [seen.headers["if-none-match"] for seen in world.hooks.requests] == ['"0"', '"0"']
        world.hooks.route("/q", status=304)
        with pytest.raises(BadSpec, match=r"headers ask for that: leave If-None-Match out"):
            await ask(adapter)

    async def test_what_is_kept_has_an_end(self, world: World) -> None:
        async def answer(request: web.Request) -> web.Response:
            if "If-None-Match" in request.headers:
                return web.Response(status=304)
            return web.Response(body=b"x" * (answers._KEPT_BYTES // 3), headers={"ETag": '"1"'})

        world.hooks.routes["/q"] = answer
        adapter = await world.open("/q?{{ .remoteRef.key }}")
        for key in ("a", "b", "a", "c", "a", "b"):
            assert len(await ask(adapter, key)) == answers._KEPT_BYTES // 3
        # Two have room; the one that was asked for longest ago goes.
        asked = ["if-none-match" in seen.headers for seen in world.hooks.requests]
        assert asked == [False, False, True, False, True, False]
        assert 0 <= adapter._shelf._room < answers._KEPT_BYTES // 3

    async def test_an_answer_that_fails_leaves_what_is_kept(self, world: World) -> None:
        world.hooks.route("/q", "value", ETag='"1"')
        adapter = await world.open("/q")
        await ask(adapter)
        world.hooks.route("/q", status=500)
        with pytest.raises(Unreachable):
            await ask(adapter)
        world.hooks.route("/q", status=304)
        assert await ask(adapter) == b"value"


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_a_read_follows_within_its_origin(self, world: World, status: int) -> None:
        world.hooks.route("/a", status=status, Location="/b?x=ü y")
        world.hooks.route("/b", "value")
        assert await ask(await world.open("/a", headers={"X-Token": "{{ .login.token }}"})) == b"value"
        assert world.hooks.requests[1].target == "/b?x=%C3%BC%20y"
        assert world.hooks.requests[1].headers["x-token"] == CANARY

    @pytest.mark.parametrize(
        ("status", "sent"), [(302, ("GET", b"")), (303, ("GET", b"")), (307, ("POST", b"b")), (308, ("POST", b"b"))]
    )
    async def test_what_sends_something_becomes_a_read_where_browsers_do_that(
        self, world: World, status: int, sent: tuple[str, bytes]
    ) -> None:
        world.hooks.route("/a", status=status, Location=f"{world.hooks.url}/b")
        world.hooks.route("/b", "value")
        assert await ask(await world.open("/a", method="POST", body="b")) == b"value"
        assert (world.hooks.requests[1].method, world.hooks.requests[1].body) == sent

    @pytest.mark.parametrize(
        "location",
        [
            "http://localhost:{port}/b",
            "https://127.0.0.1:{port}/b",
            "http://127.0.0.1:1/b",
            "//example.com/b",
            "http://169.254.169.254/latest/meta-data?t=canary-8d1f",
            "http://[::1/b",
            "file:///etc/passwd",
            "http://127.0.0.1:{port}@example.com/b",
            "\\\\example.com\\b",
        ],
    )
    async def test_it_does_not_lead_elsewhere(self, world: World, location: str) -> None:
        world.hooks.route("/a", status=302, Location=location.format(port=world.hooks.port))
        world.hooks.route("/b", "value")
        with pytest.raises((Unreachable, NotThere)) as caught:
            await ask(await world.open("/a"))
        assert {seen.target for seen in world.hooks.requests} <= {"/a", "/%5C%5Cexample.com%5Cb"}
        assert len(world.hooks.requests) == 1 or isinstance(caught.value, NotThere)
        assert CANARY not in "".join(traceback.format_exception(caught.value))

    async def test_a_login_in_the_location_is_not_used(self, world: World) -> None:
        login = "eve:pw"
        world.hooks.route("/a", status=302, Location=f"http://{login}@127.0.0.1:{world.hooks.port}/b")
        world.hooks.route("/b", "value")
        await ask(await world.open("/a"))
        assert "authorization" not in world.hooks.requests[1].headers

    async def test_it_has_an_end(self, world: World) -> None:
        world.hooks.route("/a", status=302, Location="/a")
        with pytest.raises(Unreachable, match="redirects again and again: check url"):
            await ask(await world.open("/a"))
        assert len(world.hooks.requests) == 6

    async def test_one_without_a_place_is_told_by_its_status(self, world: World) -> None:
        world.hooks.route("/a", status=302)
        with pytest.raises(Unreachable, match=r"fails \(HTTP 302\)"):
            await ask(await world.open("/a"))


class TestBounds:
    @pytest.mark.parametrize("size", [4 * 2**20, 4 * 2**20 + 1])
    async def test_an_answer_has_a_size(self, world: World, size: int) -> None:
        world.hooks.route("/q", b"x" * size)
        adapter = await world.open("/q")
        if size == 4 * 2**20:
            assert len(await ask(adapter)) == size
            return
        with pytest.raises(BadValue, match="the answer is larger than 4 MiB: let the server send less"):
            await ask(adapter)

    async def test_an_answer_that_was_packed_small_is_measured_unpacked(self, world: World) -> None:
        async def answer(_: web.Request) -> web.Response:
            response = web.Response(body=b"x" * (8 * 2**20))
            response.enable_compression(web.ContentCoding.gzip)
            return response

        world.hooks.routes["/q"] = answer
        with pytest.raises(BadValue, match="the answer is larger than 4 MiB"):
            await ask(await world.open("/q"))
        assert world.hooks.requests[0].headers["accept-encoding"] == "identity"

    async def test_an_endless_refusal_is_not_read_to_its_end(self, world: World) -> None:
        world.hooks.route("/q", b"x" * (8 * 2**20), status=500)
        with pytest.raises(Unreachable, match=r"fails \(HTTP 500\)"):
            await ask(await world.open("/q"))

    @pytest.mark.parametrize(("own", "patience"), [("50ms", 10.0), (None, 0.05), ("0s", 0.05), ("1h", 0.05)])
    async def test_a_request_has_its_time(self, world: World, own: str | None, patience: float) -> None:
        gone = asyncio.Event()

        async def never(_: web.Request) -> web.Response:
            await gone.wait()
            return web.Response()

        world.hooks.routes["/q"] = never
        adapter = await world.open("/q", timeout=own, context={"timeout": patience})
        async with asyncio.timeout(5):
            with pytest.raises(Unreachable, match="did not answer in time"):
                await ask(adapter)
        gone.set()


async def test_an_adapter_that_was_closed_is_told_so(world: World) -> None:
    adapter = await world.open("/q")
    await adapter.aclose()
    with pytest.raises(Broken):
        await ask(adapter)


async def test_two_stores_at_once_keep_their_credentials_apart(world: World) -> None:
    names = [f"tenant-{number}" for number in range(6)]
    for name in names:
        world.secret(name, token=name.encode())

    async def who(request: web.Request) -> web.Response:
        return web.Response(text=request.headers["X-Token"], headers={"ETag": '"same"'})

    world.hooks.routes["/who"] = who
    adapters = [
        await world.open(
            "/who?{{ .remoteRef.key }}",
            secrets=[{"name": "own", "secretRef": {"name": name}}],
            headers={"X-Token": "{{ .own.token }}"},
        )
        for name in names
    ]
    refs = [Ref(str(number)) for number in range(20)]
    found = await asyncio.gather(*(adapter.read(refs) for adapter in adapters))
    for name, answers_of_one in zip(names, found, strict=True):
        assert {getattr(answer, "document", None) for answer in answers_of_one.values()} == {name.encode()}
