from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.contract.vault.support import Signer, World
from tests.sandbox.openbao import OpenBao


@pytest.fixture(scope="package")
def bao() -> Iterator[OpenBao]:
    """One server for all tests that do not break it. Each test uses keys and mounts of its own."""
    with OpenBao(audit=True) as server:
        yield server


@pytest.fixture
async def world(bao: OpenBao) -> AsyncIterator[World]:
    world = World.of(bao)
    yield world
    await world.aclose()


@pytest.fixture
async def lone() -> AsyncIterator[World]:
    """A world without a server."""
    world = World()
    yield world
    await world.aclose()


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer()
