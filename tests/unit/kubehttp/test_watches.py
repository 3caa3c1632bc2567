from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from keyferry.kubehttp import KubeError, KubeHttp
from tests.unit.kubehttp.stub import CANARY, Api, lines, status, text


async def collect(http: KubeHttp, *, idle_timeout: float = 5) -> list[Any]:
    async with aclosing(http.stream("/watch", query={"watch": "1"}, idle_timeout=idle_timeout)) as events:
        return [event async for event in events]


class TestWatches:
    async def test_lines_arrive_whole_however_they_are_cut(self, api: Api, http: KubeHttp) -> None:
        api.answers(lines(b'{"a":', b"1}\n", b'{"b":2}\n{"c":3}\n{"d"', b":4}"))
        assert await collect(http) == [{"a": 1}, {"b": 2}, {"c": 3}, {"d": 4}]

    async def test_a_line_of_several_megabytes_arrives(self, api: Api, http: KubeHttp) -> None:
        big = b'{"v":"' + b"x" * 4_000_000 + b'"}\n'
        api.answers(lines(big, b"{}\n"))
        events = await collect(http)
        assert [len(events[0]["v"]), events[1]] == [4_000_000, {}]

    async def test_silence_is_a_timeout_after_what_came_before(self, api: Api, http: KubeHttp) -> None:
        never = asyncio.Event()
        api.answers(lines(b'{"a":1}\n', hang=never))
        events = http.stream("/watch", idle_timeout=0.1)
        assert await anext(events) == {"a": 1}
        with pytest.raises(KubeError) as caught:
            await anext(events)
        never.set()
        assert caught.value.reason == "Timeout"

    async def test_an_error_event_is_raised(self, api: Api, http: KubeHttp) -> None:
        api.answers(
            lines(b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}\n')
        )
        with pytest.raises(KubeError, match="410 Expired: too old") as caught:
            await collect(http)
        assert caught.value.gone

    async def test_a_refused_watch_is_an_error(self, api: Api, http: KubeHttp) -> None:
        api.answers(status(403, "Forbidden", "no"))
        with pytest.raises(KubeError) as caught:
            await collect(http)
        assert caught.value.forbidden

    async def test_a_line_that_is_no_json_is_an_error_without_the_line(self, api: Api, http: KubeHttp) -> None:
        api.answers(lines(f'{{"x":"{CANARY}\n'.encode()))
        with pytest.raises(KubeError) as caught:
            await collect(http)
        assert caught.value.reason == "Garbage"
        assert CANARY not in repr(caught.value)

    async def test_a_watch_ends_when_its_door_closes(self, api: Api, http: KubeHttp) -> None:
        never = asyncio.Event()
        api.answers(lines(b"{}\n", hang=never))
        events = http.stream("/watch", idle_timeout=5)
        await anext(events)
        await http.aclose()
        with pytest.raises(KubeError, match="closed"):
            await anext(events)
        never.set()

    async def test_a_watch_can_be_left_early(self, api: Api, http: KubeHttp) -> None:
        never = asyncio.Event()
        api.answers(lines(b"{}\n{}\n", hang=never))
        async with aclosing(http.stream("/watch", idle_timeout=5)) as events:
            async for _ in events:
                break
        never.set()
        api.answers(text(200, "{}"))
        assert await http.request("GET", "/x") == {}
