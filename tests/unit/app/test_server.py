from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack

import aiohttp
import pytest

from keyferry.app.server import CannotListen, serving
from keyferry.settings import Address, Servers
from keyferry.telemetry import Metrics

LOOPBACK = Servers(metrics=Address("127.0.0.1", 0), live=Address("127.0.0.1", 0))


async def get(port: int, path: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text(), response.headers["Content-Type"]


async def test_metrics_are_served_as_text_after_the_gauges_of_the_moment_were_set() -> None:
    metrics = Metrics(version="1")
    metrics.before_scrape(lambda: metrics.oldest_overdue(3))
    async with serving(LOOPBACK, metrics, ready=lambda: None, healthy=lambda: None) as ports:
        status, text, kind = await get(ports["metrics"], "/metrics")
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert "keyferry_oldest_overdue_seconds 3.0" in text.splitlines()
        assert (await get(ports["metrics"], "/healthz"))[0] == 404


async def test_probes_tell_what_is_wrong() -> None:
    wrong: dict[str, str | None] = {"ready": "the first lists are not done", "healthy": None}
    async with serving(LOOPBACK, Metrics(), ready=lambda: wrong["ready"], healthy=lambda: wrong["healthy"]) as ports:
        assert (await get(ports["live"], "/readyz"))[:2] == (503, "the first lists are not done\n")
        assert (await get(ports["live"], "/healthz"))[:2] == (200, "ok\n")
        wrong.update(ready=None, healthy="nothing was completed for 10 minutes")
        assert (await get(ports["live"], "/readyz"))[:2] == (200, "ok\n")
        assert (await get(ports["live"], "/healthz"))[:2] == (500, "nothing was completed for 10 minutes\n")


async def test_a_server_that_is_off_is_not_started() -> None:
    off = Servers(metrics=None, live=Address("127.0.0.1", 0))
    async with serving(off, Metrics(), ready=lambda: None, healthy=lambda: None) as ports:
        assert list(ports) == ["live"]


async def test_a_port_in_use_is_a_clear_error_and_the_other_server_is_closed() -> None:
    async with AsyncExitStack() as stack:
        taken = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        free = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        other = free.getsockname()[1]
        free.close()
        port = taken.getsockname()[1]
        settings = Servers(metrics=Address("127.0.0.1", other), live=Address("127.0.0.1", port))
        with pytest.raises(CannotListen) as caught:
            await stack.enter_async_context(serving(settings, Metrics(), ready=lambda: None, healthy=lambda: None))
        assert str(caught.value) == (
            f"--live-addr: cannot listen on 127.0.0.1:{port}: address already in use: "
            "free the port or choose another address"
        )
        stack.enter_context(socket.create_server(("127.0.0.1", other)))


async def test_a_host_that_is_not_known_is_a_clear_error() -> None:
    settings = Servers(metrics=Address("no-such-host.invalid", 0), live=None)
    with pytest.raises(CannotListen, match=r"--metrics-addr: cannot listen on no-such-host\.invalid:0"):
        async with serving(settings, Metrics(), ready=lambda: None, healthy=lambda: None):
            raise AssertionError("never here")


async def test_a_scrape_of_many_objects_does_not_hold_up_the_loop() -> None:
    metrics = Metrics()
    for number in range(5000):
        metrics.reconciled("ExternalSecret", "ns", f"n{number}", seconds=1, result="success")
        metrics.condition("ExternalSecret", "ns", f"n{number}", "Ready", "True")
    async with serving(LOOPBACK, metrics, ready=lambda: None, healthy=lambda: None) as ports:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.create_task(count())
        _, text, _ = await get(ports["metrics"], "/metrics")
        counting.cancel()
        assert text.count("externalsecret_status_condition{") == 10000
        assert turns > 10
