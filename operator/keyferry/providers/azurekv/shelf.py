"""What was read and may be given again without another download.

Key Vault has no conditional reads. What it has are versions that never change, and listings that tell when the current
version of every secret was made and last changed, 25 at a time and without values. So

- an object read in a version of its own is given again from here;
- a secret read in its current version is given again if a listing, made for this very read, shows the times that it was
  read with, and that it is enabled.

Times are whole seconds: two versions of the same second look alike. So a secret counts as known only if, when it was
read, the vault's clock was past the second of its last change by a margin.

Rights are shown by downloads only. So nothing is given again for longer than ``PROOF_SECONDS`` after its download, by
when a right that was taken away, or a pinned version that was disabled or deleted, has been noticed.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from keyferry.providers.azurekv.objects import About, Item, Target

PROOF_SECONDS: Final = 3600.0
"""How long a download shows that the identity may read the object."""
LIMIT_BYTES: Final = 2 * 1024 * 1024
"""Bytes of documents that one store's shelf holds."""
_OVERHEAD: Final = 1024
"""Bytes that an entry takes besides its document, roughly."""
_SETTLED: Final = timedelta(seconds=5)
"""How far the vault's clock has to be past a change: whole seconds, and clocks of its servers that differ."""


@dataclass(frozen=True, slots=True, repr=False)
class _Kept:
    item: Item
    until: float
    size: int


class Shelf:
    """Documents of one store, the least recently used of which makes room. ``clock`` is monotonic, in seconds."""

    def __init__(self, *, limit: int = LIMIT_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._kept: OrderedDict[Target, _Kept] = OrderedDict()
        self._size = 0

    def keep(self, target: Target, item: Item) -> None:
        """Remember what was just downloaded, if it can be recognised."""
        self.drop(target)
        if not (target.version or _settled(item)):
            return
        size = len(item.document) + _OVERHEAD
        if size > self._limit:
            return
        self._kept[target] = _Kept(item, self._clock() + PROOF_SECONDS, size)
        self._size += size
        while self._size > self._limit:
            self.drop(next(iter(self._kept)))

    def get(self, target: Target) -> Item | None:
        """What was downloaded for ``target``. Without a version it may have changed since: see ``unchanged``."""
        kept = self._kept.get(target)
        if kept is None:
            return None
        if self._clock() >= kept.until:
            self.drop(target)
            return None
        self._kept.move_to_end(target)
        return kept.item

    def unchanged(self, target: Target, now: About) -> Item | None:
        """What was downloaded for ``target``, if ``now``, from a listing, says that it is still the same."""
        item = self.get(target)
        if item is None:
            return None
        if now.enabled and (now.created, now.updated) == (item.about.created, item.about.updated):
            return item
        self.drop(target)
        return None

    def drop(self, target: Target) -> None:
        """Forget it."""
        kept = self._kept.pop(target, None)
        if kept is not None:
            self._size -= kept.size

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
        self._size = 0


def _settled(item: Item) -> bool:
    changes = [at for at in (item.about.created, item.about.updated) if at is not None]
    return len(changes) == 2 and item.read_at is not None and item.read_at - max(changes) >= _SETTLED
