from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.contract.aws.support import World
from tests.sandbox.aws import AwsSandbox, aws_environment


@pytest.fixture(scope="package")
def aws() -> Iterator[AwsSandbox]:
    """One server for all tests. Each takes an account of its own."""
    with AwsSandbox() as server:
        yield server


@pytest.fixture(autouse=True)
def _environment(aws: AwsSandbox) -> Iterator[None]:
    with aws_environment(aws.url):
        yield


@pytest.fixture
async def world(aws: AwsSandbox) -> AsyncIterator[World]:
    world = World(aws)
    yield world
    await world.aclose()
