"""Keys that wait, handed out in turns: what they use takes turns, and so do the tenants of each.

Every step takes the same time however many keys there are, except that groups with nothing free are stepped over.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

Uses = frozenset[Hashable]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Since when a key waits, in seconds of the queue's clock; ``rung``: for an event, not for its time."""

    due: float
    rung: bool


class Turns(Generic[K]):
    """Groups are keys that use the same things. The first key of a tenant's that came goes first."""

    def __init__(self, tenant: Callable[[K], Hashable], uses: Callable[[K], Uses]) -> None:
        self._tenant = tenant
        self._uses = uses
        self._place: dict[K, tuple[Uses, Hashable]] = {}
        # Ordered, as a plain dict takes ever longer to find its first item where items are taken from its front.
        self._groups: OrderedDict[Uses, OrderedDict[Hashable, OrderedDict[K, Waiting]]] = OrderedDict()

    def put(self, key: K, waiting: Waiting) -> None:
        """Line up a key that is not in here."""
        place = self._place[key] = (self._uses(key), self._tenant(key))
        self._groups.setdefault(place[0], OrderedDict()).setdefault(place[1], OrderedDict())[key] = waiting

    def take(self, is_free: Callable[[Uses], bool]) -> tuple[K, Waiting] | None:
        """The next key of the next tenant of the next group of which ``is_free`` holds; None where it holds of none."""
        group = next((each for each in self._groups if is_free(each)), None)
        if group is None:
            return None
        tenants = self._groups[group]
        tenant = next(iter(tenants))
        key = next(iter(tenants[tenant]))
        self._groups.move_to_end(group)
        tenants.move_to_end(tenant)
        waiting = tenants[tenant][key]
        self.drop(key)
        return key, waiting

    def drop(self, key: K) -> Waiting | None:
        """Take a key out of its turn; None where it is not in here."""
        place = self._place.pop(key, None)
        if place is None:
            return None
        tenants = self._groups[place[0]]
        keys = tenants[place[1]]
        waiting = keys.pop(key)
        if not keys:
            del tenants[place[1]]
        if not tenants:
            del self._groups[place[0]]
        return waiting

    def oldest(self) -> float | None:
        """When the key that has waited longest became due; None where there is none."""
        firsts = (next(iter(keys.values())) for tenants in self._groups.values() for keys in tenants.values())
        return min((each.due for each in firsts), default=None)

    def __contains__(self, key: object) -> bool:
        return key in self._place

    def __iter__(self) -> Iterator[K]:
        return iter(self._place)

    def __len__(self) -> int:
        return len(self._place)
