"""Templates for tests: rendered where they are asked for, in a world that stands still."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from keyferry.api.externalsecret import Rewrite
from keyferry.shape import rewrite
from keyferry.shape.render import Renderer, World

_T = TypeVar("_T")


class Inline(Executor):
    """Does at once what it is given: time is virtual, and threads would not know."""

    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        future: Future[_T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 -- whatever it is goes to who asked
            future.set_exception(error)
        return future


def entropy() -> Callable[[int], bytes]:
    """Bytes that count up, so that no two draws are alike."""
    drawn = 0

    def draw(size: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return bytes((drawn + position) % 256 for position in range(size))

    return draw


def renderer(*, now: Callable[[], dt.datetime] | None = None, left: str = "{{", right: str = "}}") -> Renderer:
    moment = dt.datetime(2030, 1, 7, 12, tzinfo=dt.UTC)
    return Renderer(
        World(now=now or (lambda: moment), monotonic=lambda: 0.0, entropy=entropy()), left=left, right=right
    )


async def rename(values: Mapping[str, bytes], steps: Sequence[Rewrite]) -> tuple[dict[str, bytes], list[str]]:
    """``gather.Rename``."""
    done = rewrite.rewrite(values, steps, renderer().renaming())
    return done.data, done.lost
