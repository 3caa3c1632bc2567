"""Trouble on purpose, and the log of what was asked."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from .calls import Call
from .status import ApiError, Json

_LATER = "the server has received too many requests and has asked us to try again later"
_TEXTS = {
    429: ("TooManyRequests", _LATER),
    500: ("InternalError", "Internal error occurred: made to fail"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    403: ("Forbidden", "forbidden: made to fail"),
    409: ("Conflict", "made to conflict"),
    410: ("Expired", "made to expire"),
    504: ("Timeout", "Timeout: made to fail"),
}


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests a fault is for. Empty fields match everything."""

    verb: str = ""
    group: str | None = None
    resource: str = ""
    subresource: str | None = None
    namespace: str = ""
    name: str = ""
    user_agent: str = ""

    def holds(self, call: Call) -> bool:
        return (
            self.verb in ("", call.verb)
            and self.group in (None, call.group)
            and self.resource in ("", call.plural)
            and self.subresource in (None, call.subresource)
            and self.namespace in ("", call.namespace)
            and self.name in ("", call.name)
            and self.user_agent in call.user_agent
        )


ANY = Match()


@dataclass(slots=True)
class _Failure:
    match: Match
    code: int
    left: int
    retry_after: int | None


@dataclass(slots=True)
class Faults:
    """Set from a test, or over HTTP below /sandbox/."""

    failures: list[_Failure] = field(default_factory=list)
    delays: list[tuple[Match, float]] = field(default_factory=list)
    hanging: list[Match] = field(default_factory=list)
    # Filled in by the server, which owns the sockets and the store.
    drop_connections: Callable[[], int] = lambda: 0
    expire_watches: Callable[[], None] = lambda: None

    def fail(self, code: int, count: int = 1, match: Match = ANY, retry_after: int | None = None) -> None:
        """Answer the next `count` matching requests with this status."""
        self.failures.append(_Failure(match, code, count, retry_after))

    def slow(self, seconds: float, match: Match = ANY) -> None:
        self.delays.append((match, seconds))

    def hang_watches(self, match: Match = ANY) -> None:
        """Matching watches stay open and say nothing; no bookmark, no end."""
        self.hanging.append(match)

    def clear(self) -> None:
        """All well again. Hung watches deliver what they held back."""
        self.failures.clear()
        self.delays.clear()
        self.hanging.clear()

    def hangs(self, call: Call) -> bool:
        return any(match.holds(call) for match in self.hanging)

    def delay(self, call: Call) -> float:
        return sum(seconds for match, seconds in self.delays if match.holds(call))

    def check(self, call: Call) -> None:
        for failure in self.failures:
            if failure.left > 0 and failure.match.holds(call):
                failure.left -= 1
                reason, text = _TEXTS.get(failure.code, ("", "made to fail"))
                headers, details = {}, None
                if failure.retry_after is not None:
                    headers["Retry-After"] = str(failure.retry_after)
                    details = {"retryAfterSeconds": failure.retry_after}
                raise ApiError(failure.code, reason, text, details, headers)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it was answered. A watch is logged when its stream opens."""

    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    user_agent: str
    user: str
    content_type: str
    field_manager: str
    dry_run: bool
    path: str
    at: float

    def as_json(self) -> Json:
        return asdict(self)


class RequestLog:
    """The last requests in full, and counts of all of them."""

    def __init__(self, keep: int = 200_000) -> None:
        self.entries: deque[Request] = deque(maxlen=keep)
        self.counts: Counter[tuple[str, str, str, int]] = Counter()

    def record(self, call: Call, code: int) -> None:
        self.entries.append(
            Request(
                call.verb or call.method.lower(),
                call.group,
                call.plural,
                call.subresource,
                call.namespace,
                call.name,
                code,
                call.user_agent,
                call.user.name,
                call.content_type,
                call.query.get("fieldManager", ""),
                call.dry_run,
                call.path,
                time.time(),
            )
        )
        self.counts[(call.verb or call.method.lower(), call.plural, call.subresource, code)] += 1

    def __iter__(self) -> Iterator[Request]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def matching(self, **wanted: Any) -> list[Request]:
        """`matching(verb="update", resource="secrets")`; user_agent matches in part."""
        agent = wanted.pop("user_agent", "")
        return [r for r in self.entries if agent in r.user_agent and all(getattr(r, k) == v for k, v in wanted.items())]

    def writes(self, **wanted: Any) -> list[Request]:
        verbs = {"create", "update", "patch", "delete", "deletecollection"}
        return [r for r in self.matching(**wanted) if r.verb in verbs]

    def count(self, **wanted: Any) -> int:
        return len(self.matching(**wanted))

    def clear(self) -> None:
        self.entries.clear()
        self.counts.clear()
