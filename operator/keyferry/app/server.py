"""What the process serves over HTTP: ``/metrics`` on one address, ``/healthz`` and ``/readyz`` on another.

Plain HTTP without authentication, as ESO's defaults are; nothing served here names more than objects do.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from keyferry.errors import KeyferryError
from keyferry.settings import Address, Servers
from keyferry.telemetry import Metrics, get_logger
from keyferry.telemetry.exposition import CONTENT_TYPE

Probe = Callable[[], str | None]
"""What is wrong, in words; None where nothing is."""

log = get_logger(__name__)


class CannotListen(KeyferryError):
    """An address to serve on cannot be had."""


@asynccontextmanager
async def serving(
    settings: Servers, metrics: Metrics, *, ready: Probe, healthy: Probe
) -> AsyncIterator[dict[str, int]]:
    """Serve while the block runs. Yields the port of each server that is on: ``{"metrics": 8080, "live": 8082}``.

    ``/readyz`` answers 503 with what ``ready`` says, ``/healthz`` 500 with what ``healthy`` says, both 200 "ok" where
    they say nothing. Raises ``CannotListen``.
    """
    wanted: tuple[tuple[str, str, Address | None, web.Application], ...] = (
        ("metrics", "--metrics-addr", settings.metrics, _metrics_app(metrics)),
        ("live", "--live-addr", settings.live, _live_app(ready, healthy)),
    )
    runners: list[web.AppRunner] = []
    ports: dict[str, int] = {}
    try:
        for name, flag, address, app in wanted:
            if address is not None:
                # aiohttp's access log would tell of every scrape.
                runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
                runners.append(runner)
                ports[name] = await _listen(runner, address, flag)
                log.info("listening", server=name, host=address.host, port=ports[name])
        yield ports
    finally:
        for runner in reversed(runners):
            await runner.cleanup()


async def _listen(runner: web.AppRunner, address: Address, flag: str) -> int:
    await runner.setup()
    try:
        await web.TCPSite(runner, address.host or None, address.port).start()
    except OSError as error:
        # asyncio puts the address and other words around the system's.
        known = error.errno is not None and error.errno in errno.errorcode
        why = os.strerror(error.errno or 0).lower() if known else "the host's name is not known"
        raise CannotListen(
            f"{flag}: cannot listen on {address}: {why}", remedy="free the port or choose another address"
        ) from None
    # With port 0 and two families each has a port of its own; the first is as good as the other.
    port: int = runner.addresses[0][1]
    return port


def _metrics_app(metrics: Metrics) -> web.Application:
    async def scrape(_: web.Request) -> web.Response:
        metrics.refresh()
        # Tens of thousands of lines take longer than the loop may be kept from its work.
        body = await asyncio.to_thread(metrics.render)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", scrape)
    return app


def _live_app(ready: Probe, healthy: Probe) -> web.Application:
    app = web.Application()
    app.router.add_get("/readyz", _answer(ready, 503))
    app.router.add_get("/healthz", _answer(healthy, 500))
    return app


def _answer(probe: Probe, status: int) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        wrong = probe()
        return web.Response(text=f"{wrong or 'ok'}\n", status=status if wrong else 200)

    return answer
