from __future__ import annotations

from tests.bench import calls
from tests.sandbox.aws import AwsSandbox


async def test_the_benchmark_shows_what_reading_many_saves(aws: AwsSandbox) -> None:
    figures = await calls.measure(aws)
    assert figures["SecretsManager"] == {"calls": {"BatchGetSecretValue": 10}, "total": 10, "saved": 190}
    assert figures["ParameterStore"] == {"calls": {"GetParameters": 20}, "total": 20, "saved": 180}
