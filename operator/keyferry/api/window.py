"""Sync windows: when a periodic refresh may happen (eso-facts 1.3, 1.4).

A window is open from each firing of its schedule for the length of its duration, both ends included. ``allow``: a
refresh may happen while at least one window is open; ``deny``: while none is. An entry whose schedule or duration
cannot be read is ignored, as in ESO, and named by ``problems``.

ESO counts ``@every`` from the moment at which it looks, so that such a window is always open (duration at least the
period) or never. Here it is counted from the start of 1970: ``@every 6h`` with ``30m`` is open for half an hour at
0, 6, 12 and 18 o'clock UTC, before and after a restart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from keyferry.api.cron import Schedule, parse_schedule
from keyferry.api.duration import parse_duration
from keyferry.api.externalsecret import SyncWindow, SyncWindows

# Windows that follow each other without a gap are joined this often at most while an end is looked for.
_MOST_JOINED = 100


@dataclass(frozen=True, slots=True)
class _Window:
    schedule: Schedule
    duration: timedelta

    def end(self, at: datetime) -> datetime | None:
        """When the window that is open at a time closes; ``None`` where it is not open."""
        firing = self.schedule.last(at - self.duration, at)
        return None if firing is None else firing + self.duration


def is_open(windows: SyncWindows | None, now: datetime) -> bool:
    """Whether a periodic refresh may happen. ``now`` is aware."""
    if windows is None or not windows.windows:
        return True
    inside = any(window.end(now.astimezone(UTC)) is not None for window in _usable(windows))
    return inside if windows.kind == "allow" else not inside


def next_change(windows: SyncWindows | None, now: datetime) -> datetime | None:
    """The first time after ``now`` at which ``is_open`` gives another answer, to the microsecond; ``None`` for never.

    Where many windows follow each other without a gap it may be a time at which the answer is still the same: the
    answer never changes before it.
    """
    if windows is None:
        return None
    now = now.astimezone(UTC)
    usable = list(_usable(windows))
    ends = [end for window in usable if (end := window.end(now)) is not None]
    if not ends:
        firings = [window.schedule.next(now) for window in usable if window.duration >= timedelta()]
        return min((firing for firing in firings if firing is not None), default=None)
    close = max(ends)
    for _ in range(_MOST_JOINED):
        later = max((end for window in usable if (end := window.end(close + timedelta.resolution))), default=close)
        if later <= close:
            break
        close = later
    return close + timedelta.resolution


def problems(windows: SyncWindows | None) -> tuple[str, ...]:
    """What is wrong with entries that are ignored, each named by its path."""
    found = []
    for number, entry in enumerate(windows.windows if windows else ()):
        for name, parse, text in (
            ("schedule", parse_schedule, entry.schedule),
            ("duration", parse_duration, entry.duration),
        ):
            try:
                parse(text)
            except ValueError as error:
                found.append(f"spec.syncWindows.windows[{number}].{name}: {error}")
    return tuple(found)


def _usable(windows: SyncWindows) -> Iterator[_Window]:
    for entry in windows.windows:
        window = _parse(entry)
        if window is not None:
            yield window


def _parse(entry: SyncWindow) -> _Window | None:
    try:
        return _Window(parse_schedule(entry.schedule), timedelta(seconds=parse_duration(entry.duration)))
    except ValueError:
        return None
