from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.webhook.world import World
from tests.sandbox.webhook import Hooks


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An endpoint, a Secret for it, and whatever adapters a test opens."""
    async with Hooks() as hooks:
        world = World(hooks)
        yield world
        await world.aclose()
