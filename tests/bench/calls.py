"""How many calls of a cloud one read costs: ``python -m tests.bench.calls``.

200 secrets and 200 parameters of AWS are read by one object; the sandbox counts the calls by action. The other figure
is what a call for each would have cost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

from keyferry.ports import Fetched, Ref
from tests.bench.machine import machine
from tests.contract.aws.support import MANAGER, STORE, World
from tests.sandbox.aws import AwsSandbox, aws_environment

KEYS = [f"app/{number:03}" for number in range(200)]


async def measure(aws: AwsSandbox) -> dict[str, Any]:
    """Calls by action for 200 keys of each service."""
    world = World(aws)
    figures: dict[str, Any] = {"keys": len(KEYS)}
    for service in (MANAGER, STORE):
        plant = aws.put_secret if service == MANAGER else aws.put_parameter
        for key in KEYS:
            plant(world.account, key, key)
        adapter = await world.open(service)
        world.asked()
        found = await adapter.read([Ref(key) for key in KEYS])
        calls = world.asked()
        assert all(isinstance(each, Fetched) for each in found.values()), "a read failed"
        figures[service] = {"calls": calls, "total": sum(calls.values()), "saved": len(KEYS) - sum(calls.values())}
    await world.aclose()
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the counts, as JSON."""
    argparse.ArgumentParser(prog="python -m tests.bench.calls", description=__doc__).parse_args(arguments)
    with AwsSandbox() as aws, aws_environment(aws.url):
        figures = asyncio.run(measure(aws))
    sys.stdout.write(f"{json.dumps({'scenario': 'calls of a cloud', **figures, **machine('botocore')}, indent=2)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
