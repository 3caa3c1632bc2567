"""Kubernetes Events: written in the background, one per meaning, never in the way of a sync."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from keyferry.errors import KeyferryError, NotReady
from keyferry.kits.ttlcache import TTLCache
from keyferry.kube.client import EVENTS, Kube, ObjectKey

_log = structlog.get_logger(__name__)
_SOURCE = "external-secrets"
"""ESO's event source, so that ``kubectl get events`` filters keep working."""
_QUIET = 45 * 60.0
"""Seconds for which the same Event is not written again; the API server keeps Events for an hour."""
_LONGEST = 1024
"""The API server refuses longer messages."""


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to tell about an object."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


class Recorder:
    """Takes notes about objects and writes them as Events. Notes are dropped rather than waited for."""

    def __init__(self, kube: Kube, *, now: Callable[[], dt.datetime], instance: str) -> None:
        self._kube = kube
        self._now = now
        self._instance = instance
        self._moment = 0
        self._queue: asyncio.Queue[tuple[ObjectKey, dict[str, Any], Note]] = asyncio.Queue(maxsize=1000)
        self._written: TTLCache[tuple[ObjectKey, str, Note], bool] = TTLCache(
            ttl=_QUIET, limit=20_000, clock=lambda: now().timestamp()
        )

    def note(self, key: ObjectKey, reference: dict[str, Any], note: Note) -> None:
        """Write a note about the object, unless the same one was written a short while ago.

        ``reference`` is the object's ``involvedObject``.
        """
        twin = (key, str(reference.get("uid", "")), note)
        if self._written.get(twin) is not None:
            return
        self._written.put(twin, value=True)
        with contextlib.suppress(asyncio.QueueFull):
            self._queue.put_nowait((key, reference, note))

    async def run(self) -> None:
        """Write notes until cancelled."""
        while True:
            key, reference, note = await self._queue.get()
            try:
                await self._write(key, reference, note)
            except NotReady:
                # The namespace is going away; so do its Events.
                continue
            except KeyferryError as error:
                _log.warning("event not written", object=str(key), reason=note.reason, error=str(error))
            finally:
                self._queue.task_done()

    async def flush(self) -> None:
        """Wait until every note taken so far is written."""
        await self._queue.join()

    async def _write(self, key: ObjectKey, reference: dict[str, Any], note: Note) -> None:
        now = self._now()
        stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        namespace = key.namespace or "default"
        # Names have to differ even where the clock does not tell two moments apart.
        self._moment = max(self._moment + 1, int(now.timestamp() * 1e9))
        message = note.message if len(note.message) <= _LONGEST else note.message[: _LONGEST - 1] + "…"
        await self._kube.create(
            EVENTS,
            namespace,
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": f"{key.name[:230]}.{self._moment:x}", "namespace": namespace},
                "involvedObject": reference,
                "type": note.type,
                "reason": note.reason,
                "message": message,
                "source": {"component": _SOURCE},
                "reportingComponent": _SOURCE,
                "reportingInstance": self._instance,
                "firstTimestamp": stamp,
                "lastTimestamp": stamp,
                "count": 1,
            },
        )
