from __future__ import annotations

import asyncio

import pytest

from keyferry.kits.flight import Flight
from tests.support.virtual import settle, virtual


class Source:
    def __init__(self, error: Exception | None = None) -> None:
        self.calls = 0
        self.error = error
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        self.calls += 1
        await self.go.wait()
        if self.error:
            raise self.error
        return self.calls


@virtual
async def test_a_hundred_callers_share_one_call_and_the_next_one_makes_another() -> None:
    flight: Flight[str, int] = Flight()
    source = Source()
    callers = [asyncio.create_task(flight.join("a", source)) for _ in range(100)]
    await settle()
    assert flight.under_way("a")
    source.go.set()
    assert await asyncio.gather(*callers) == [1] * 100
    assert not flight.under_way("a")
    assert await flight.join("a", source) == 2


@virtual
async def test_a_caller_that_is_cancelled_does_not_end_the_call_of_the_others() -> None:
    flight: Flight[str, int] = Flight()
    source = Source()
    first, second = (asyncio.create_task(flight.join("a", source)) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    source.go.set()
    assert await second == 1
    assert first.cancelled()


@virtual
async def test_an_error_reaches_everybody_and_is_not_remembered() -> None:
    flight: Flight[str, int] = Flight()
    source = Source(RuntimeError("no"))
    source.go.set()
    callers = [asyncio.create_task(flight.join("a", source)) for _ in range(3)]
    assert all(isinstance(each, RuntimeError) for each in await asyncio.gather(*callers, return_exceptions=True))
    source.error = None
    assert await flight.join("a", source) == 2


@virtual
async def test_draining_cancels_what_is_under_way() -> None:
    flight: Flight[str, int] = Flight()
    caller = asyncio.create_task(flight.join("a", Source()))
    await settle()
    await flight.drain()
    assert not flight.under_way("a")
    with pytest.raises(asyncio.CancelledError):
        await caller
