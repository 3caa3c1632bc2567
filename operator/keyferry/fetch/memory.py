"""What a line remembers: answers while they may be given out, and documents that a store may call unchanged later."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from keyferry.errors import BadSpec, BadValue, Denied, KeyferryError, NotThere, PropertyNotThere
from keyferry.kits.ttlcache import Budget, TtlCache
from keyferry.ports import Fetched, Query, Ref

_NEGATIVE = 4.0
"""Seconds that an error of the store's own is remembered: shorter than the first retry, so that this one asks anew."""
_ITS_OWN = (NotThere, PropertyNotThere, Denied, BadSpec, BadValue)
"""What a store says of one secret. Other errors tell of the store as a whole, which ``Health`` looks after."""
_COMPARED = 2 * 3600.0
"""Seconds that a document is kept to be compared, once it is too old to be given out: two default intervals."""
_FETCHED = 90.0
"""Seconds in which somebody comes back who could not wait: see ``schedule.look_again``."""
_OVERHEAD = 600
"""Bytes that a kept answer takes besides its document: objects, keys and their places in the indexes."""

Listing = Mapping[str, Ref | Fetched]
Item = Ref | Query
Told = Fetched | KeyferryError | Listing


class Memory:
    """Of one line."""

    def __init__(self, *, ttl: float, most: int, compares: bool, budget: Budget, clock: Callable[[], float]) -> None:
        """``ttl``: seconds that an answer may be given out; ``most``: bytes kept.

        ``compares``: the store can tell what is unchanged. With a ``ttl`` of 0 nothing is kept at all.
        """
        self._ttl = ttl
        self._compares = compares and ttl > 0
        self._kept: TtlCache[Item, Told] = TtlCache(most=most, budget=budget, clock=clock)

    def get(self, item: Item) -> tuple[Told, float] | None:
        """The answer that may be given out, and when its reading began."""
        return self._kept.get(item)

    def known(self, ref: Ref) -> Fetched | None:
        """The document that the store had last, if it has a version of it and can tell whether it still holds."""
        if not self._compares:
            return None
        last = self._kept.outdated(ref)
        return last if isinstance(last, Fetched) and last.version else None

    def keep(self, item: Item, answer: Told, began: float, *, fetched_later: bool = False) -> None:
        """Remember what the store said to a reading that began at this moment.

        ``fetched_later``: somebody could not wait for it, and would have it read again if it were not kept at all.
        """
        if isinstance(answer, KeyferryError):
            if isinstance(answer, _ITS_OWN):
                # Without its traceback, whose frames may hold values.
                kept, seconds = answer.copy(), min(_NEGATIVE, self._ttl)
                self._kept.put(item, kept, moment=began, seconds=seconds, size=_OVERHEAD)
            return
        more = _COMPARED if self._compares and isinstance(answer, Fetched) and answer.version else 0.0
        seconds = max(self._ttl, _FETCHED if fetched_later else 0.0)
        self._kept.put(item, answer, moment=began, seconds=seconds, size=_size(answer), more=more)

    def sweep(self) -> None:
        """Forget what is too old."""
        self._kept.sweep()

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()


def how(item: Item, kept: Told) -> str:
    """By what a reading was saved that was answered so from here."""
    return "negative" if isinstance(kept, KeyferryError) else "listing" if isinstance(item, Query) else "cache"


def _size(answer: Fetched | Listing) -> int:
    """Bytes that it takes to keep an answer."""
    if isinstance(answer, Fetched):
        document = answer.document
        if isinstance(document, bytes):
            return _OVERHEAD + len(document)
        return _OVERHEAD + sum(_OVERHEAD // 4 + len(key) + len(value) for key, value in document.items())
    return _OVERHEAD + sum(
        _OVERHEAD + len(name) + (_size(each) if isinstance(each, Fetched) else 0) for name, each in answer.items()
    )
