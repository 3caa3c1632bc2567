"""Objects that have to be synced over and over although nobody edits them: they are held back, and say so.

Two controllers that write one Secret, or a template that another program keeps changing, would otherwise cost reads and
writes without end. Syncs that come by an object's interval are what its author asked for, and retries have delays of
their own; counted are those that an event called for and that found something to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keyferry.api.externalsecret import ExternalSecret
from keyferry.errors import KeyferryError
from keyferry.kube.client import METADATA, SECRETS, Kube, ObjectKey
from keyferry.kube.record import Note
from keyferry.shape.hashes import field_manager

AT_ONCE = 20
"""So many syncs may follow upon each other."""
STEP = 30.0
"""Seconds after which there may be one more: what a held object costs in the long run."""
_AGAIN = 2700.0
"""Seconds until a loop that goes on is told again; the API server keeps Events for an hour."""

Edition = tuple[str, int]
"""Uid and generation: another one is another object, or another spec."""


@dataclass(slots=True)
class _Seen:
    edition: Edition
    rested: float
    """When it may again be synced ``AT_ONCE`` times at once."""
    hot: bool = False
    rung: bool = False
    """An event called for a sync that was put off."""
    told: float = -_AGAIN


class HotLoops:
    """A bucket of syncs per object. An edit of the spec starts with a full one."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._clock = asyncio.get_running_loop().time
        self._seen: dict[ObjectKey, _Seen] = {}
        self._tidy_at = 64

    def wait(self, key: ObjectKey, edition: Edition, *, rung: bool) -> float:
        """For how many seconds the object is to be left alone, 0 for none; ``rung``: an event calls for a sync."""
        seen = self._look(key, edition)
        if seen is None:
            return 0.0
        seen.rung = seen.rung or rung
        wait = seen.rested - self._clock() - (AT_ONCE - 1) * STEP
        if not seen.rung or wait <= 0:
            return 0.0
        seen.hot = True
        return wait

    def synced(self, key: ObjectKey, edition: Edition, *, rung: bool) -> None:
        """The object was synced, and there was something to do; ``rung``: an event called for it."""
        seen = self._look(key, edition)
        if seen is None and rung:
            self._tidy()
            seen = self._seen[key] = _Seen(edition, self._clock())
        if seen is not None and (rung or seen.rung):
            seen.rested = max(seen.rested, self._clock()) + STEP
            seen.rung = False

    def forget(self, key: ObjectKey) -> None:
        """The object is gone."""
        self._seen.pop(key, None)

    def hot(self) -> int:
        """How many objects were held back, and have not rested since."""
        found = (self._look(key, seen.edition) for key, seen in list(self._seen.items()))
        return sum(1 for seen in found if seen is not None and seen.hot)

    async def note(self, key: ObjectKey, es: ExternalSecret) -> Note | None:
        """What is to be told of a hot object, if that has not been done; one read of its Secret's metadata."""
        seen = self._seen.get(key)
        if seen is None or self._clock() - seen.told < _AGAIN:
            return None
        seen.told = self._clock()
        try:
            secret = await self._kube.get(SECRETS, key.namespace, es.target_name, accept=METADATA)
        except KeyferryError:
            secret = None
        rival = _rival(secret or {}, field_manager(es.metadata.name))
        return Note(
            "Warning",
            "HotLoop",
            "synced over and over although its spec does not change"
            + (f': "{rival}" writes Secret "{es.target_name}" as well' if rival else "")
            + f"; until that ends, it is synced at most every {STEP:g}s: leave each key of the Secret, each label and "
            "annotation, and what its templates are made from to one writer",
        )

    def _look(self, key: ObjectKey, edition: Edition) -> _Seen | None:
        seen = self._seen.get(key)
        if seen is None:
            return None
        left = seen.rested - self._clock()
        if seen.edition != edition or left <= 0:
            del self._seen[key]
            return None
        # Not before half of it has run out: an object that is held and let go by turns would be told of each time.
        seen.hot = seen.hot and left > AT_ONCE * STEP / 2
        return seen

    def _tidy(self) -> None:
        """Drop what has rested, each time that there is twice as much as was left the last time."""
        if len(self._seen) >= self._tidy_at:
            self._seen = {key: seen for key, seen in self._seen.items() if seen.rested > self._clock()}
            self._tidy_at = max(64, 2 * len(self._seen))


def _rival(secret: Mapping[str, Any], ours: str) -> str:
    """The field manager, other than ours, that wrote the Secret last; "" where there is none."""
    fields = (secret.get("metadata") or {}).get("managedFields") or ()
    others = [each for each in fields if each.get("manager") not in {None, "", ours}]
    return str(max(others, key=lambda each: str(each.get("time", "")))["manager"]) if others else ""
