"""Whatever an adapter does, within its time: an answer or an error of ours comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from keyferry.errors import Broken, KeyferryError, Unreachable
from keyferry.telemetry import get_logger

_log = get_logger(__name__)
T = TypeVar("T")


async def guarded(call: Callable[[], Awaitable[T]], provider: str, *, timeout: float, told: float) -> T:  # noqa: ASYNC109 -- nobody else cuts it off
    """What the call gives. Raises KeyferryErrors only, and ``CancelledError`` where the caller is cancelled.

    ``timeout`` is in seconds; ``told`` is the time that users know it by.
    """
    try:
        async with asyncio.timeout(timeout):
            return await call()
    except TimeoutError:
        raise Unreachable(f"no answer within {told:g} s") from None
    except KeyferryError:
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # Nobody asked for it: something inside the adapter was cancelled, and that must not end its caller.
        raise Broken(f"provider {provider} broke off") from None
    except Exception as error:  # noqa: BLE001 -- an adapter may raise anything
        _log.exception("provider failed", provider=provider)
        raise Broken(f"provider {provider} failed ({type(error).__name__})") from None
