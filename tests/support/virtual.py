"""Tests in virtual time: the loop's clock jumps to the next timer, so nothing is ever waited for."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import looptime

P = ParamSpec("P")
T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run in a loop of its own whose clock starts at 0."""
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        return runner.run(main)


def virtual(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """The test in a loop whose clock jumps."""

    @functools.wraps(test)
    def wrapped(*given: P.args, **named: P.kwargs) -> None:
        run(test(*given, **named))

    # pytest-asyncio would take the wrapped coroutine function for the test; its fixtures are found by the signature.
    wrapped.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    del wrapped.__dict__["__wrapped__"]
    return wrapped


def elapsed() -> float:
    """Seconds of virtual time since the test began."""
    return asyncio.get_running_loop().time()


async def settle() -> None:
    """Let everything run that does not wait for time."""
    for _ in range(50):
        await asyncio.sleep(0)
