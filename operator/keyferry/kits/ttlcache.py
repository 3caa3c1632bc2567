"""What was had a moment ago, within bounds: of age, of bytes for each cache, and of bytes for all of them together."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Budget:
    """Bytes that several caches share. Whoever has most gives way, so that a large one cannot push out the small."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._caches: set[TtlCache[Any, Any]] = set()

    @property
    def used(self) -> int:
        """Bytes that all caches hold."""
        return self._used

    def spend(self, cache: TtlCache[Any, Any], size: int) -> None:
        """A cache took so many bytes more; with a negative number it gave them back."""
        self._used += size
        if cache.size:
            self._caches.add(cache)
        else:
            self._caches.discard(cache)
        while self._used > self._most:
            max(self._caches, key=lambda each: each.size).drop_oldest()


@dataclass(slots=True, repr=False)
class _Kept(Generic[V]):
    value: V
    moment: float
    ends: float
    goes: float
    size: int


class TtlCache(Generic[K, V]):
    """Values with the moment from which they are; the longest unused go first. No repr shows a value.

    One that is too old to be given out may be kept for longer, to find out whether it still holds: see ``outdated``.
    """

    def __init__(self, *, most: int, budget: Budget, clock: Callable[[], float]) -> None:
        self._most = most
        self._budget = budget
        self._clock = clock
        self._kept: OrderedDict[K, _Kept[V]] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes held, as callers gave them."""
        return self._size

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> tuple[V, float] | None:
        """The value and its moment; None where there is none any more."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        now = self._clock()
        if now >= kept.goes:
            self._drop(key)
        if now >= kept.ends:
            return None
        self._kept.move_to_end(key)
        return kept.value, kept.moment

    def outdated(self, key: K) -> V | None:
        """The value, even where it is too old to be given out; None where there is none any more."""
        kept = self._kept.get(key)
        if kept is None or self._clock() >= kept.goes:
            return None
        self._kept.move_to_end(key)
        return kept.value

    def put(self, key: K, value: V, *, moment: float, seconds: float, size: int, more: float = 0.0) -> None:
        """Keep the value of a moment until ``seconds`` after it, unless a later one is kept already.

        For ``more`` seconds it is kept as ``outdated``. A value that is larger than the whole cache is not kept.
        """
        before = self._kept.get(key)
        if before is not None and before.moment > moment:
            return
        if before is not None:
            self._drop(key)
        ends = moment + seconds
        if size > self._most or ends + more <= self._clock():
            return
        self._kept[key] = _Kept(value, moment, ends, ends + more, size)
        self._account(size)
        while self._size > self._most:
            self.drop_oldest()

    def drop_oldest(self) -> None:
        """Drop what has not been asked for longest."""
        self._drop(next(iter(self._kept)))

    def sweep(self) -> None:
        """Drop what is too old."""
        now = self._clock()
        for key in [key for key, kept in self._kept.items() if now >= kept.goes]:
            self._drop(key)

    def clear(self) -> None:
        """Drop everything."""
        size, self._size = self._size, 0
        self._kept.clear()
        self._budget.spend(self, -size)

    def _drop(self, key: K) -> None:
        self._account(-self._kept.pop(key).size)

    def _account(self, size: int) -> None:
        self._size += size
        self._budget.spend(self, size)
