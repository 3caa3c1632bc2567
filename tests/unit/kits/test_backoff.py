from __future__ import annotations

import asyncio
import random

import looptime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.kits.backoff import Backoff
from keyferry.kits.tokenbucket import TokenBucket


def test_delays_double_up_to_the_ceiling() -> None:
    backoff = Backoff(first=1, ceiling=10)
    assert [backoff.steady(failures) for failures in range(6)] == [0, 1, 2, 4, 8, 10]


def test_after_any_number_of_failures_there_is_a_delay() -> None:
    assert Backoff(first=1, ceiling=10).steady(10**6) == 10


@given(failures=st.integers(0, 2000), jitter=st.floats(0, 1), seed=st.integers())
def test_jitter_shortens_and_never_lengthens(failures: int, jitter: float, seed: int) -> None:
    backoff = Backoff(first=0.5, ceiling=300, jitter=jitter)
    steady = backoff.steady(failures)
    assert steady * (1 - jitter) <= backoff.delay(failures, random.Random(seed)) <= steady


def test_many_do_not_come_back_together() -> None:
    backoff = Backoff(jitter=0.5)
    assert len({backoff.delay(4) for _ in range(100)}) > 90


@pytest.mark.parametrize("wrong", [{"first": 0}, {"first": 9, "ceiling": 8}, {"factor": 0.5}, {"jitter": 2}])
def test_a_backoff_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a backoff needs"):
        Backoff(**wrong)


def times_of(bucket: TokenBucket, count: int) -> list[float]:
    async def run() -> list[float]:
        async def one() -> float:
            await bucket.acquire()
            return asyncio.get_running_loop().time()

        return await asyncio.gather(*(one() for _ in range(count)))

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        return runner.run(run())


def test_a_burst_goes_at_once_and_the_rest_at_the_rate_in_order() -> None:
    times = times_of(TokenBucket(rate=10, burst=3), 7)
    assert times == pytest.approx([0, 0, 0, 0.1, 0.2, 0.3, 0.4])


def test_rate_zero_is_no_limit() -> None:
    assert times_of(TokenBucket(rate=0, burst=1), 1000) == [0] * 1000


def test_an_idle_time_earns_one_burst_and_not_more() -> None:
    async def run() -> float:
        bucket = TokenBucket(rate=10, burst=2)
        await asyncio.sleep(1000)
        began = asyncio.get_running_loop().time()
        for _ in range(4):
            await bucket.acquire()
        return asyncio.get_running_loop().time() - began

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        assert runner.run(run()) == pytest.approx(0.2)


@pytest.mark.parametrize(("rate", "burst"), [(-1, 1), (1, 0)])
def test_a_bucket_that_makes_no_sense_is_refused(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="a token bucket needs"):
        TokenBucket(rate=rate, burst=burst)
