"""Kubernetes Events: written in the background, one per meaning, never in the way of a sync."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

from keyferry.errors import KeyferryError, NotReady
from keyferry.kube.client import EVENTS, Kube, ObjectKey
from keyferry.telemetry import get_logger

_log = get_logger(__name__)
_SOURCE = "external-secrets"
"""ESO's event source, so that ``kubectl get events`` filters keep working."""
_QUIET = dt.timedelta(minutes=45)
"""How long a lasting note is not written again; the API server keeps Events for an hour."""
_LONGEST = 1024
"""The API server refuses longer messages."""


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to tell about an object.

    ``lasting``: it tells of a state, and every sync tells it again; it is written once, and again only when it has gone
    in between or after a long time. Other notes tell of something that happened, and are written each time.
    """

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    lasting: bool = False


class Recorder:
    """Takes notes about objects and writes them as Events. Notes are dropped rather than waited for."""

    def __init__(self, kube: Kube, *, now: Callable[[], dt.datetime], instance: str) -> None:
        self._kube = kube
        self._now = now
        self._instance = instance
        self._moment = 0
        self._queue: asyncio.Queue[tuple[ObjectKey, dict[str, Any], Note]] = asyncio.Queue(maxsize=1000)
        self._standing: dict[ObjectKey, dict[tuple[str, Note], dt.datetime]] = {}
        """Lasting notes by object, with its uid, and when they were last written."""

    def note(self, key: ObjectKey, reference: dict[str, Any], note: Note) -> None:
        """Write a note about the object. ``reference`` is the object's ``involvedObject``."""
        now = self._now()
        standing = self._standing.get(key, {})
        twin = (str(reference.get("uid", "")), note)
        if note.lasting and twin in standing and now - standing[twin] < _QUIET:
            return
        with contextlib.suppress(asyncio.QueueFull):
            self._queue.put_nowait((key, reference, note))
            if note.lasting:
                recent = {each: since for each, since in standing.items() if now - since < _QUIET}
                self._standing[key] = {**recent, twin: now}

    def settled(self, key: ObjectKey, still: Collection[Note] = ()) -> None:
        """The object is well again, or gone: of its lasting notes only those of ``still`` hold on."""
        kept = {twin: since for twin, since in self._standing.pop(key, {}).items() if twin[1] in still}
        if kept:
            self._standing[key] = kept

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
            except Exception:  # noqa: BLE001 -- whoever ends here would leave a process that tells nobody anything
                _log.exception("event not written because of a defect", object=str(key), reason=note.reason)
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
