"""What a sync came to, and the only translation of errors into conditions, Events and delays."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from keyferry.errors import Broken, Busy, ClusterUnavailable, Conflict, KeyferryError, NotReady
from keyferry.kube.client import ObjectKey
from keyferry.kube.record import Note

_FIRST_RETRY = 5.0
_LONGEST_FOR_CLUSTER = 60.0
_LONGEST_MESSAGE = 4096
"""Characters of a condition's message; the API's own limit is 32768, and people read the first few lines."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is to be told about an object, and when to look at it again.

    ``ready`` None leaves the status alone. ``status`` has further fields of the status to write with the condition.
    ``refreshed`` tells that the values were read and are in step, at this moment. ``delay`` is in seconds from now,
    None for "when something changes". ``retry`` marks a delay that follows a failure.
    """

    result: Literal["success", "error", "skipped"]
    ready: Literal["True", "False"] | None = None
    reason: str = ""
    message: str = ""
    status: Mapping[str, Any] = field(default_factory=dict)
    refreshed: dt.datetime | None = None
    notes: tuple[Note, ...] = ()
    delay: float | None = None
    retry: bool = False
    error: KeyferryError | None = None
    suspects: tuple[ObjectKey, ...] = ()
    """Stores that did not answer, and are to be checked."""

    @property
    def tells(self) -> bool:
        """Whether there may be something to write into the status."""
        return self.ready is not None or self.refreshed is not None or bool(self.status)

    @classmethod
    def skipped(cls, *, delay: float | None = None) -> Outcome:
        """Nothing had to be done, and nothing is to be told."""
        return cls("skipped", delay=delay)

    @classmethod
    def failed(
        cls,
        error: KeyferryError,
        *,
        reason: str,
        event: str,
        message: str = "",
        delay: float | None,
        notes: tuple[Note, ...] = (),
        suspects: tuple[ObjectKey, ...] = (),
    ) -> Outcome:
        """The sync failed: Ready is False and an Event tells the same. ``message`` is put before the error's text.

        A Conflict is told to nobody: the work is done again at once, from the newer version.
        """
        if isinstance(error, Conflict):
            return cls("error", notes=notes, delay=delay, retry=True, error=error)
        text = shortened(f"{message}: {error}" if message else str(error))
        return cls(
            "error",
            ready="False",
            reason=reason,
            message=text,
            notes=(*notes, Note("Warning", event, text, lasting=True)),
            delay=delay,
            retry=True,
            error=error,
            suspects=suspects,
        )

    def with_status(self, status: Mapping[str, Any]) -> Outcome:
        """The same outcome, with further fields of the status."""
        return replace(self, status={**self.status, **status})

    def with_notes(self, notes: tuple[Note, ...]) -> Outcome:
        """The same outcome, with notes that come before its own."""
        return replace(self, notes=(*notes, *self.notes))

    def refreshed_at(
        self, moment: dt.datetime, version: str, *, delay: float | None, notes: tuple[Note, ...]
    ) -> Outcome:
        """The same outcome, of a refresh that began at this moment, from this version of the object."""
        return replace(
            self.with_status({"syncedResourceVersion": version}).with_notes(notes), refreshed=moment, delay=delay
        )


def shortened(text: str) -> str:
    """A text that fits a condition."""
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…"


def retry_delay(error: KeyferryError, failures: int, longest: float) -> float | None:
    """Seconds until the next try after so many failures in a row (1 for the first); None to wait for a change.

    The delay doubles from 5 s and ends at ``longest``, the time between two refreshes of a healthy object: in the long
    run a broken object never asks more often than a healthy one. Where the API server is to blame it ends at a minute.
    """
    if isinstance(error, Conflict):
        return min(1.0, 0.05 * 2.0 ** min(failures - 1, 5))
    if isinstance(error, NotReady):
        return None
    if isinstance(error, ClusterUnavailable):
        return max(min(_LONGEST_FOR_CLUSTER, 2.0 ** min(failures, 10)), error.retry_after or 0.0)
    grown = min(longest, _FIRST_RETRY * 2.0 ** min(failures - 1, 30))
    if isinstance(error, Busy) and error.retry_after is not None:
        return max(grown, error.retry_after)
    if isinstance(error, Broken):
        return max(grown, 60.0)
    return grown


def status_patch(
    outcome: Outcome,
    status: Mapping[str, Any],
    *,
    generation: int,
    now: dt.datetime,
    refresh_every: float = 0.0,
) -> dict[str, Any] | None:
    """What to write into the status, or None where it says all that already.

    ``status`` is the status as it stands, in the API's spelling. ``refreshTime`` alone is written at most every
    ``refresh_every`` seconds; any other change takes it along. ``lastTransitionTime`` changes with the condition's
    status only, as the API's conventions have it.
    """
    patch: dict[str, Any] = {name: value for name, value in outcome.status.items() if status.get(name) != value}
    if outcome.ready is not None:
        conditions = list(status.get("conditions") or [])
        before: Mapping[str, Any] = next((each for each in conditions if each.get("type") == "Ready"), {})
        told = {
            "type": "Ready",
            "status": outcome.ready,
            "reason": outcome.reason,
            "message": outcome.message,
            "observedGeneration": generation,
        }
        if any(before.get(name) != value for name, value in told.items()):
            since = before.get("lastTransitionTime") if before.get("status") == outcome.ready else None
            told["lastTransitionTime"] = since or stamp(now)
            patch["conditions"] = [told, *(each for each in conditions if each.get("type") != "Ready")]
        if status.get("observedGeneration") != generation:
            patch["observedGeneration"] = generation
    if outcome.refreshed is not None and (
        patch or _is_old(status.get("refreshTime"), outcome.refreshed, refresh_every)
    ):
        patch["refreshTime"] = stamp(outcome.refreshed)
    return patch or None


def _is_old(written: str | None, moment: dt.datetime, seconds: float) -> bool:
    if written is None:
        return True
    return abs((moment - dt.datetime.fromisoformat(written)).total_seconds()) >= seconds


def stamp(moment: dt.datetime) -> str:
    """A moment as the API writes it: RFC 3339 in UTC, whole seconds."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
