from __future__ import annotations

import itertools
import logging
from collections.abc import AsyncIterator

import pytest

from tests.contract.azurekv.support import CANARY, World
from tests.contract.providers.conftest import _goodbyes_are_said
from tests.sandbox.azure import AzureCloud

__all__ = ["_goodbyes_are_said"]

_numbers = itertools.count(1)


@pytest.fixture
async def cloud(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> AsyncIterator[AzureCloud]:
    """A cloud that this process finds under Azure's names. Nothing that is logged may show a secret."""
    caplog.set_level(logging.DEBUG)
    async with AzureCloud() as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        yield cloud
    # By now the fixture's own list is that of the test's end.
    records = [record for phase in ("setup", "call") for record in caplog.get_records(phase)]
    assert CANARY not in "\n".join(f"{record.getMessage()} {record.args!r} {record.exc_text}" for record in records)


@pytest.fixture
async def world(cloud: AzureCloud) -> AsyncIterator[World]:
    # The SDK remembers for the whole process where each vault wants logins, so every test has a vault of its own.
    world = World.of(cloud, f"shop-{next(_numbers)}")
    yield world
    await world.aclose()
