"""The process: its event loop, its signals, and what watches over the loop."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from keyferry.errors import KeyferryError
from keyferry.settings import Settings
from keyferry.telemetry import Metrics, get_logger, guard_loop, safe

_LAG_INTERVAL = 1.0
_LAG_WORTH_TELLING = 1.0

log = get_logger(__name__)


def main(settings: Settings) -> int:
    """Serve until asked to stop; the exit status. Failures are logged."""
    # Imported on use: wiring knows the whole house, this module does not.
    from keyferry.app import wiring  # noqa: PLC0415

    async def serve() -> int:
        guard_loop(asyncio.get_running_loop())
        return await wiring.run(settings)

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(serve())
    except KeyboardInterrupt:
        return 0
    except KeyferryError as error:
        log.error("cannot go on", error=error)  # noqa: TRY400 - the text is made for people; a traceback tells no more
        return 1
    except Exception:
        log.exception("cannot go on because of a defect")
        return 1


def installed_version() -> str:
    """The version of the package, "unknown" where it runs from a source tree that is not installed."""
    try:
        return version("keyferry")
    except PackageNotFoundError:
        return "unknown"


def listen_to_signals(stop: asyncio.Event) -> None:
    """SIGTERM and SIGINT set ``stop``.

    Idempotent. Called again after each start of kopf, which puts its own handlers in their place.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stop, number)


def dump_on_signal(first: Callable[[], None]) -> None:
    """SIGUSR1 calls ``first``, then writes every task's stack to the log."""

    def dump() -> None:
        first()
        dump_tasks()

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, dump)


def dump_tasks() -> None:
    """Log where every task of the running loop waits: functions, files and lines, never contents of variables."""
    for task in asyncio.all_tasks():
        log.info("task", task=task.get_name(), stack=list(_stack(task)))


async def watch_loop_lag(metrics: Metrics) -> None:
    """Measure for ever how late the loop wakes a sleeper: the time that some callback kept everybody else waiting."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _LAG_INTERVAL
        await asyncio.sleep(_LAG_INTERVAL)
        lag = max(0.0, loop.time() - due)
        metrics.loop_lag(lag)
        if lag > _LAG_WORTH_TELLING:
            log.warning("the event loop was held up", seconds=round(lag, 3))


def _stack(task: asyncio.Task[Any]) -> Iterator[str]:
    # Task.get_stack() knows the outermost frame only of a task that waits.
    current: Any = task.get_coro()
    while current is not None:
        frame = getattr(current, "cr_frame", None) or getattr(current, "gi_frame", None)
        frame = frame or getattr(current, "ag_frame", None)
        if frame is not None:
            yield f"{safe.short(frame.f_code.co_filename)}:{frame.f_lineno} {frame.f_code.co_qualname}"
        inner = (getattr(current, name, None) for name in ("cr_await", "gi_yieldfrom", "ag_await"))
        current = next((each for each in inner if each is not None), None)


def _stop(stop: asyncio.Event, number: signal.Signals) -> None:
    if not stop.is_set():
        log.info("asked to stop", signal=number.name)
    stop.set()


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    # Its wheels are not made for Windows, and neither is the rest of this module's use of signals.
    import uvloop  # noqa: PLC0415

    return uvloop.Loop
