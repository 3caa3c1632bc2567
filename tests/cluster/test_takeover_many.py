"""Many objects of ESO change hands at once, and the process that takes them over is killed meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.cluster import Cluster
from tests.support.rights import Account
from tests.takeover.cases import Case
from tests.takeover.world import World, ago, until

pytestmark = pytest.mark.cluster

OBJECTS = 300
WORKERS = 64
FRESH = [Case(name=f"fresh-{number:03}") for number in range(OBJECTS // 2)]
DUE = [Case(name=f"due-{number:03}") for number in range(OBJECTS // 2)]


async def test_of_three_hundred_objects_only_the_due_ones_are_read_and_no_secret_is_written_through_a_kill(
    cluster: Cluster, namespace: str, release: Account
) -> None:
    async with World(cluster, namespace, release) as world:
        await world.fill(FRESH, ago(minutes=1))
        await world.add(DUE, ago(hours=2))
        before, since = await world.versions("secrets"), await world.moment()
        operator = release.operator()
        await asyncio.to_thread(operator.start, ready=False)

        async def is_in_the_middle() -> bool:
            return world.kv.reads.total() >= len(DUE) // 3

        await until(is_in_the_middle, told=operator.process.tail)
        operator.kill()
        async with world.operating():
            pass

        assert set(world.kv.reads) == {case.name for case in DUE}
        # What was read when the process was killed, and could not be told, is read again.
        assert world.kv.reads.total() <= len(DUE) + WORKERS
        assert await world.versions("secrets") == before
        writes = await world.writes("secrets", "externalsecrets", since=since)
        assert writes == {case.name: 1 for case in DUE}
