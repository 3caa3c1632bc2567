from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from keyferry.app.process import dump_on_signal, dump_tasks, listen_to_signals, watch_loop_lag
from keyferry.telemetry import Metrics

CANARY = "c4n4ry-hunter2"


@pytest.fixture
def said() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


def stop_listening() -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        loop.remove_signal_handler(number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_sets_stop_however_often_it_comes(number: signal.Signals, said: list[Any]) -> None:
    stop = asyncio.Event()
    listen_to_signals(stop)
    listen_to_signals(stop)
    try:
        for _ in range(2):
            os.kill(os.getpid(), number)
            async with asyncio.timeout(5):
                await stop.wait()
        await asyncio.sleep(0)
    finally:
        stop_listening()
    assert [line["signal"] for line in said if line["event"] == "asked to stop"] == [number.name]


async def test_sigusr1_tells_where_every_task_waits_without_what_it_holds(said: list[Any]) -> None:
    async def inner(hidden: str) -> None:
        await asyncio.Event().wait()
        raise AssertionError(hidden)

    async def outer() -> None:
        await inner(CANARY)

    called: list[str] = []
    task = asyncio.create_task(outer(), name="the one")
    dump_on_signal(lambda: called.append("first"))
    try:
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGUSR1)
        async with asyncio.timeout(5):
            while not said:  # noqa: ASYNC110 - the signal comes through the loop's own pipe
                await asyncio.sleep(0.01)
    finally:
        stop_listening()
        task.cancel()
    assert called == ["first"]
    [line] = [line for line in said if line["task"] == "the one"]
    assert [frame.rsplit(".", 1)[-1] for frame in line["stack"]] == ["outer", "inner", "wait"]
    assert all(".py:" in frame for frame in line["stack"])
    assert CANARY not in str(said)


async def test_a_dump_does_not_fail_on_a_task_that_has_not_begun(said: list[Any]) -> None:
    async def idle() -> None:
        """Nothing to do."""

    task = asyncio.create_task(idle(), name="new")
    dump_tasks()
    await task
    assert "new" in {line["task"] for line in said}


async def test_a_callback_that_holds_up_the_loop_is_measured_and_told(
    said: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyferry.app.process._LAG_INTERVAL", 0.05)
    monkeypatch.setattr("keyferry.app.process._LAG_WORTH_TELLING", 0.1)
    metrics = Metrics()
    watching = asyncio.create_task(watch_loop_lag(metrics))
    try:
        await asyncio.sleep(0)
        # The block begins now and ends after the watcher's time has come.
        time.sleep(0.3)  # noqa: ASYNC251 - what is measured
        async with asyncio.timeout(5):
            while metrics.value("keyferry_event_loop_lag_seconds") is None:  # noqa: ASYNC110 - the watcher has no event
                await asyncio.sleep(0.01)
    finally:
        watching.cancel()
    assert (metrics.value("keyferry_event_loop_lag_seconds") or 0) > 0.1
    assert "the event loop was held up" in {line["event"] for line in said}
