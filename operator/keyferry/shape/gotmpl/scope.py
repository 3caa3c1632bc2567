"""Variables: names to places on the stack that Go keeps at run time, known here before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Scope:
    """The stack of variables of one template, of which the first is ``$``."""

    def __init__(self) -> None:
        self._names = ["$"]
        self._places: defaultdict[str, list[tuple[int, bool]]] = defaultdict(list, {"$": [(0, True)]})
        self._certain = True
        self.size = 1
        """How many variables live at a time, at most."""

    @property
    def height(self) -> int:
        """How many variables live here."""
        return len(self._names)

    def declare(self, name: str) -> int:
        """The place of a new variable."""
        place = len(self._names)
        self._names.append(name)
        self._places[name].append((place, self._certain))
        self.size = max(self.size, place + 1)
        return place

    def find(self, name: str) -> tuple[list[int], bool]:
        """The places where the variable may be, the latest first; and whether it must be at the last of them."""
        found = []
        for place, certain in reversed(self._places.get(name, ())):
            found.append(place)
            if certain:
                return found, True
        return found, False

    @contextmanager
    def block(self) -> Iterator[None]:
        """What is declared inside ends with it."""
        height = len(self._names)
        yield
        while len(self._names) > height:
            self._places[self._names.pop()].pop()

    @contextmanager
    def uncertain(self) -> Iterator[None]:
        """What is declared inside may never be: an argument of ``and`` or ``or`` that is not reached."""
        before, self._certain = self._certain, False
        yield
        self._certain = before
