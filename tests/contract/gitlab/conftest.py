from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.gitlab.world import World
from tests.sandbox.gitlab import GitLab


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A GitLab with a project below two groups, and a token that may read them all."""
    async with GitLab() as gitlab:
        world = World(gitlab)
        yield world
        await world.aclose()
