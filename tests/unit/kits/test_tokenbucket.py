from __future__ import annotations

import asyncio

import pytest

from keyferry.kits.tokenbucket import TokenBucket
from tests.support.virtual import elapsed, virtual


@virtual
async def test_a_burst_goes_at_once_and_the_rest_at_the_rate_in_the_order_of_coming() -> None:
    bucket = TokenBucket(rate=2, burst=3)
    went: list[tuple[int, float]] = []

    async def one(number: int) -> None:
        await bucket.acquire()
        went.append((number, round(elapsed(), 6)))

    await asyncio.gather(*(one(number) for number in range(6)))
    assert went == [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.5), (4, 1.0), (5, 1.5)]


@virtual
async def test_time_fills_the_bucket_to_its_burst_and_no_further() -> None:
    bucket = TokenBucket(rate=10, burst=2)
    await asyncio.sleep(1000)
    began = elapsed()
    for _ in range(4):
        await bucket.acquire()
    assert elapsed() - began == pytest.approx(0.2)


@virtual
async def test_rate_zero_is_no_limit() -> None:
    bucket = TokenBucket(rate=0, burst=1)
    for _ in range(1000):
        await bucket.acquire()
    assert elapsed() == 0


@pytest.mark.parametrize(("rate", "burst"), [(-1, 1), (1, 0)])
def test_nonsense_is_refused(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="needs rate"):
        TokenBucket(rate=rate, burst=burst)
