from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from keyferry.errors import BadSpec
from keyferry.kubehttp import KubeError, KubeHttp
from tests.unit.kubehttp.stub import CANARY, Api, lines, text


class TestRequests:
    async def test_the_answer_is_decoded_and_path_and_query_arrive_as_given(self, api: Api, http: KubeHttp) -> None:
        answer = await http.request("GET", "/a%2Fb", query={"labelSelector": "a=b,c in (d+e)"})
        assert answer == {"path": "/a%2Fb?labelSelector=a%3Db%2Cc+in+%28d%2Be%29"}

    async def test_agent_token_and_content_types_are_sent(self, api: Api, http: KubeHttp) -> None:
        await http.request("PATCH", "/x", body={"a": 1}, content_type="application/merge-patch+json", accept="app/x")
        headers = api.seen[0].headers
        assert headers["User-Agent"] == "keyferry/test"
        assert headers["Authorization"] == "Bearer t0"
        assert headers["Content-Type"] == "application/merge-patch+json"
        assert headers["Accept"] == "app/x"
        assert api.bodies == [b'{"a":1}']

    async def test_a_body_of_more_than_a_megabyte_is_sent(self, api: Api, http: KubeHttp) -> None:
        api.answers(text(413, ""))
        with pytest.raises(KubeError):
            await http.request("PUT", "/x", body={"a": "x" * 1_500_000})
        assert len(api.bodies[0]) == 1_500_008
        assert api.seen[0].headers["Content-Length"] == "1500008"

    async def test_bytes_are_sent_as_they_are(self, api: Api, http: KubeHttp) -> None:
        await http.request("POST", "/x", body=b"raw")
        assert api.bodies == [b"raw"]

    async def test_an_empty_answer_is_none(self, api: Api, http: KubeHttp) -> None:
        api.answers(text(200, ""))
        assert await http.request("DELETE", "/x") is None

    async def test_no_token_sends_no_header(self, api: Api) -> None:
        client = KubeHttp.direct(server=api.url, ssl=True, token=None, user_agent="x")
        await client.request("GET", "/x")
        await client.aclose()
        assert api.authorizations == [None]

    async def test_another_scheme_than_bearer_can_be_named(self, api: Api) -> None:
        client = KubeHttp.direct(server=api.url, ssl=True, token="dTpw", scheme="Basic", user_agent="x")
        await client.request("GET", "/x")
        await client.aclose()
        assert api.authorizations == ["Basic dTpw"]

    async def test_a_path_prefix_of_the_server_is_kept(self, api: Api) -> None:
        client = KubeHttp.direct(server=f"{api.url}/k8s/clusters/c-1/", ssl=True, token=None, user_agent="x")
        answer = await client.request("GET", "/api/v1")
        await client.aclose()
        assert answer == {"path": "/k8s/clusters/c-1/api/v1"}

    async def test_redirects_are_not_followed(self, api: Api, http: KubeHttp) -> None:
        api.answers(text(302, "", Location="http://elsewhere.invalid/"))
        with pytest.raises(KubeError, match="302 Found: Found"):
            await http.request("GET", "/x")

    async def test_no_more_connections_are_open_than_allowed_and_watches_do_not_count(self, api: Api) -> None:
        at_once, most, release = 0, 0, asyncio.Event()

        async def slow(request: web.Request) -> web.StreamResponse:
            nonlocal at_once, most
            if request.path == "/watch":
                return await lines(b'{"type":"ADDED"}\n', hang=release)(request)
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.01)
            at_once -= 1
            return web.json_response({})

        api.answers(slow)
        client = KubeHttp.direct(server=api.url, ssl=True, token=None, limit=2, user_agent="x")
        watches = [client.stream("/watch", idle_timeout=5) for _ in range(3)]
        assert [await anext(watch) for watch in watches] == [{"type": "ADDED"}] * 3
        await asyncio.gather(*(client.request("GET", f"/{number}") for number in range(8)))
        release.set()
        assert [[event async for event in watch] for watch in watches] == [[], [], []]
        await client.aclose()
        assert most == 2

    async def test_the_environments_proxy_is_used_and_its_exceptions_are_kept(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", api.url)
        monkeypatch.setenv("no_proxy", "spared.invalid")
        client = KubeHttp.direct(server="http://cluster.invalid", ssl=True, token=None, user_agent="x")
        spared = KubeHttp.direct(server="http://spared.invalid", ssl=True, token=None, user_agent="x")
        await client.request("GET", "/version")
        with pytest.raises(KubeError, match="cannot be resolved"):
            await spared.request("GET", "/version")
        assert api.seen[0].raw_path == "http://cluster.invalid/version"
        await client.aclose()
        await spared.aclose()

    @pytest.mark.parametrize(
        "url",
        ["", "kubernetes.default", "ftp://x", "https://", "https://u:p@host", "https://host:x", "https://host?q=1"],
    )
    def test_a_bad_url_is_a_bad_spec_that_does_not_quote_it(self, url: str) -> None:
        with pytest.raises(BadSpec, match="give it as https://host:port") as caught:
            KubeHttp.direct(server=url, ssl=True, token=None, user_agent="x")
        assert "u:p" not in str(caught.value)


class TestNoAnswer:
    async def test_a_slow_answer_is_a_timeout(self, api: Api, http: KubeHttp) -> None:
        never = asyncio.Event()
        api.answers(lines(hang=never))
        with pytest.raises(KubeError, match="no answer in time") as caught:
            await http.request("GET", "/x", timeout=0.05)
        never.set()
        assert (caught.value.status, caught.value.reason, caught.value.unreachable) == (0, "Timeout", True)

    async def test_a_refused_connection_is_told_without_addresses(self, unused_tcp_port: int) -> None:
        server = f"http://127.0.0.1:{unused_tcp_port}"
        client = KubeHttp.direct(server=server, ssl=True, token=None, user_agent="x")
        with pytest.raises(KubeError) as caught:
            await client.request("GET", "/x")
        await client.aclose()
        assert str(caught.value) == f"{server}: connection refused"

    @pytest.mark.parametrize(
        ("sent", "reason"),
        [
            (b"", "Broken"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "Broken"),
            (b"not http at all\r\n\r\n", "Garbage"),
        ],
    )
    async def test_a_connection_that_breaks_off_is_an_error(self, sent: bytes, reason: str) -> None:
        async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(sent)
            writer.close()

        async with await asyncio.start_server(break_off, "127.0.0.1") as server:
            port = server.sockets[0].getsockname()[1]
            client = KubeHttp.direct(server=f"http://127.0.0.1:{port}", ssl=True, token=None, user_agent="x")
            with pytest.raises(KubeError) as caught:
                await client.request("GET", "/x")
            await client.aclose()
        assert caught.value.reason == reason
        assert caught.value.unreachable

    async def test_a_plain_server_behind_https_is_told_as_tls(self, api: Api) -> None:
        client = KubeHttp.direct(server=api.url.replace("http:", "https:"), ssl=True, token=None, user_agent="x")
        with pytest.raises(KubeError) as caught:
            await client.request("GET", "/x")
        await client.aclose()
        assert caught.value.reason == "TLS"

    async def test_a_token_that_no_header_can_hold_is_an_error_without_it(self, api: Api) -> None:
        client = KubeHttp.direct(server=api.url, ssl=True, token=f"{CANARY}\n", user_agent="x")
        with pytest.raises(KubeError, match="cannot be sent") as caught:
            await client.request("GET", "/x")
        await client.aclose()
        assert CANARY not in repr(caught.value)

    async def test_after_closing_nothing_is_sent(self, api: Api, http: KubeHttp) -> None:
        await http.request("GET", "/x")
        await http.aclose()
        await http.aclose()
        with pytest.raises(KubeError, match="closed"):
            await http.request("GET", "/x")
        assert len(api.seen) == 1
