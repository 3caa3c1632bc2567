from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.pulumi.world import World
from tests.sandbox.pulumi import Pulumi


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A Pulumi with one environment, and a token that may open it."""
    async with Pulumi() as server:
        world = World(server)
        yield world
        await world.aclose()
