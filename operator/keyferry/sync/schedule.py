"""When an ExternalSecret is due (eso-facts 1.4, 10.2)."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import Literal

from keyferry.api.externalsecret import ExternalSecret
from keyferry.api.window import is_open, next_change
from keyferry.errors import BadSpec
from keyferry.shape.hashes import synced_resource_version

DEFAULT_INTERVAL = 3600.0
"""Seconds; the cap of retries for objects that have no interval of their own."""
_SHORTEST = 1.0
"""Seconds; a shorter interval than this would only ask for load."""
_SPREAD, _APART = 0.1, 0.01
"""Parts of the interval by which the first refreshes of different objects are set apart, and all later ones.

Every refresh that comes early costs reads. A little of it keeps objects moving apart that came together.
"""
_FRESH = 0.6
"""Part of the interval that a value may be old when it is taken from what others have read.

More than a half, so that of objects which read by turns one finds the other's reading fresh enough, and joins it.
"""
_SOON, _LATER = 2.0, 60.0
"""Seconds until an object looks again for what its store is still being asked for, at the least and at the most."""

Cause = Literal["new", "changed", "due", "drift", "closed", "none"]


@dataclass(frozen=True, slots=True)
class Due:
    """Why to read now, or ``none``; then in how many seconds to look again (None: when something changes).

    ``closed``: it is time, but the sync windows are closed.
    """

    cause: Cause
    delay: float | None = None


def due(es: ExternalSecret, *, intact: bool, refreshed: dt.datetime | None, now: dt.datetime, first: bool) -> Due:
    """Whether the ExternalSecret has to be read now; ``first`` is that of ``phase``.

    ``intact``: the target Secret is there and as it was written (always true for policies that do not look after it).
    ``refreshed``: when the values were last read, which may be later than ``status.refreshTime`` tells. Raises
    ``BadSpec`` for an interval that is none.
    """
    period = period_of(es)
    synced, current = es.status.synced_resource_version, version_of(es)
    if not synced or refreshed is None:
        return Due("new")
    if es.spec.refresh_policy != "CreatedOnce" and synced != current:
        return Due("changed")
    if not intact:
        return Due("drift")
    if period is None:
        return Due("none")
    if refreshed > now:
        # A clock was set back, or the status was edited: do not wait for a moment that may be far away.
        return Due("due")
    return _periodic(es, refreshed, period, now, first=first)


def next_refresh(es: ExternalSecret, *, first: bool) -> float | None:
    """Seconds until the refresh that follows one done now; None where none does by itself. ``first``: see ``phase``."""
    period = period_of(es)
    return None if period is None else period - phase(es.metadata.uid, period, first=first)


def read_after(es: ExternalSecret, cause: Cause, *, asked: float, now: float) -> float:
    """The moment after which everything has to be read that the object gets; all three are of one clock, in seconds.

    Whoever made or edited the object (``asked``), or took its Secret away, is shown what the store says after that. A
    refresh takes what others have read in the last part of its interval, and the next one is counted from that reading:
    so nothing that it holds is ever older than one interval. Raises ``BadSpec`` for an interval that is none.
    """
    if cause == "drift":
        return now
    period = period_of(es)
    return asked if period is None else max(asked, now - period * _FRESH)


def look_again(es: ExternalSecret, expected: float) -> float:
    """Seconds until an object looks again for what its store is still being asked for, and should tell in ``expected``.

    Often enough that the answer is still fresh, and no more often than that: thousands may wait for one store.
    """
    return max(_SOON, min(expected, (interval_of(es) or _LATER) / 4, _LATER))


def interval_of(es: ExternalSecret) -> float:
    """``spec.refreshInterval`` in seconds. Raises ``BadSpec`` where it is no duration or negative."""
    interval = es.spec.refresh_seconds
    if interval < 0:
        raise BadSpec(
            f'spec.refreshInterval: "{es.spec.refresh_interval}" is negative',
            remedy='give a duration such as "1h", or "0" for no refresh',
        )
    return max(interval, _SHORTEST) if interval else 0.0


def period_of(es: ExternalSecret) -> float | None:
    """Seconds between two refreshes; None where none comes by itself. Raises ``BadSpec`` as ``interval_of`` does."""
    interval = interval_of(es)
    return interval if es.spec.refresh_policy == "Periodic" and interval > 0 else None


def steady_interval(es: ExternalSecret) -> float | None:
    """Seconds that lie between two refreshes of a healthy object; None where nothing can be said of every moment."""
    if es.spec.sync_windows is not None:
        return None
    try:
        return period_of(es)
    except BadSpec:
        return None


def version_of(es: ExternalSecret) -> str:
    """What ``status.syncedResourceVersion`` is for the object as it stands."""
    metadata = es.metadata
    return synced_resource_version(metadata.generation, metadata.annotations, metadata.labels)


def phase(uid: str, interval: float, *, first: bool) -> float:
    """Seconds by which this object's refresh comes early, so that objects made together do not stay together.

    Between 0 and a tenth of the interval where it is the ``first`` that comes by the interval, as far as this process
    knows; a tenth of that later. Fixed by the UID: a refresh is never later than the interval says.
    """
    digest = hashlib.blake2b(uid.encode(), digest_size=4).digest()
    return interval * (_SPREAD if first else _APART) * int.from_bytes(digest, "big") / 2**32


def _periodic(es: ExternalSecret, refreshed: dt.datetime, interval: float, now: dt.datetime, *, first: bool) -> Due:
    remaining = interval - phase(es.metadata.uid, interval, first=first) - (now - refreshed).total_seconds()
    if remaining > 0:
        return Due("none", remaining)
    windows = es.spec.sync_windows
    if windows is None or is_open(windows, now):
        return Due("due")
    change = next_change(windows, now)
    return Due("closed", None if change is None else max(1.0, (change - now).total_seconds()))
