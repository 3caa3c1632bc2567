from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.contract.gcpsm.support import World
from tests.sandbox.gcp import Gcp


@pytest.fixture(autouse=True)
async def _goodbyes_are_said() -> AsyncIterator[None]:
    """A TLS connection that was cut says goodbye to its peer; the loop must not go before it has."""
    yield
    transports: Any = getattr(asyncio.get_running_loop(), "_transports", {})
    for _ in range(20):
        if all(getattr(each, "_sock", None) is None for each in list(transports.values())):
            return
        await asyncio.sleep(0.01)


@pytest.fixture
async def gcp() -> AsyncIterator[Gcp]:
    async with Gcp() as double:
        yield double


@pytest.fixture
async def world(gcp: Gcp) -> AsyncIterator[World]:
    made = World(gcp)
    yield made
    await made.aclose()
