from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from keyferry.kubehttp import KubeHttp
from tests.unit.kubehttp.stub import Api


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    stub = Api()
    app = web.Application(client_max_size=2**22)
    app.router.add_route("*", "/{tail:.*}", stub.handle)
    async with TestServer(app) as server:
        stub.url = str(server.make_url("")).rstrip("/")
        yield stub


@pytest.fixture
async def http(api: Api) -> AsyncIterator[KubeHttp]:
    client = KubeHttp.direct(server=api.url, ssl=True, token="t0", user_agent="keyferry/test")
    yield client
    await client.aclose()
