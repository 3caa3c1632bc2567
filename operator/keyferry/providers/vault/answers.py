"""What the server's answers mean: the one table from HTTP status to error.

Statuses are those of the HTTP API of Vault and OpenBao. The server's own words are repeated only where they explain
something, without what changes from call to call (ids, times, sockets), and never with anything that was sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, Unreachable

_WORDS = 200
"""Characters of the server's words that are repeated."""

_VARYING = re.compile(
    r"""
    [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}                   # request id, accessor
    | \b\d{8}T\d{6}Z\b                                           # time, as AWS signs it
    | \d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*(?:\s[+-]\d{4}(?:\s\w+)?)?   # time
    | \[?[0-9a-fA-F.:]{3,}\]?:\d+->\S+                            # both ends of a socket
    | \b\d{9,}\b                                                  # seconds since the epoch
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """An answer that is no failure: 2xx, or a 404 that the caller has to judge."""

    status: int
    body: dict[str, Any]
    content: bytes = b""

    def section(self, *names: str) -> dict[str, Any]:
        """The object at ``names`` of the body; empty where there is none."""
        found: Any = self.body
        for name in names:
            found = found.get(name) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def exact(self) -> dict[str, Any]:
        """The body with every number as the server wrote it, for orjson to write again."""
        parsed: dict[str, Any] = json.loads(self.content, parse_float=orjson.Fragment, parse_int=orjson.Fragment)
        return parsed


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a request is for, in the words of the error that it may end with."""

    doing: str
    """Such as ``read secret "db"``."""
    denied: str = ""
    """The remedy where it is denied."""
    login: bool = False
    """A refused login is a matter of credentials, whichever status says so."""


def judge(
    status: int, content: bytes, *, address: str, purpose: Purpose, retry_after: float | None, sent: Sequence[str] = ()
) -> Answer | KeyferryError:
    """The answer, or the error that it stands for. ``sent`` holds what must not be repeated."""
    try:
        body = json.loads(content) if content else {}
    except ValueError:
        body = None
    if not isinstance(body, dict):
        if status < 400 or status == 404:
            return Unreachable(
                f"{address} answers, but not as Vault or OpenBao do",
                remedy="check the address, and what stands between it and the operator",
            )
        body = {}
    words = _words(body, sent)
    if status < 300:
        return Answer(status, body, content)
    if status == 404:
        return _not_found(body, words, content, address)
    return _failure(status, words, address, purpose, retry_after)


def _not_found(body: dict[str, Any], words: str, content: bytes, address: str) -> Answer | KeyferryError:
    """A 404 is an absent secret only if the server says so without naming another reason."""
    if "namespace not found" in words:
        return BadSpec(f"the namespace does not exist on {address}", remedy="check namespace and auth.namespace")
    if "no handler for route" in words or "unsupported path" in words:
        return BadSpec(
            f"nothing is mounted on {address} where the store looks",
            remedy="check path, namespace and auth of the store",
        )
    warnings = str(body.get("warnings"))
    if "versioned K/V" in warnings:
        return BadSpec("the mount holds KV version 2, the store says v1", remedy="set version: v2")
    if words:
        return BadSpec(f"{address} answers: {words}")
    if not body.keys() & {"errors", "data", "warnings"}:
        return Unreachable(
            f"{address} answers, but not as Vault or OpenBao do",
            remedy="check the address, and what stands between it and the operator",
        )
    return Answer(404, body, content)


def _failure(status: int, words: str, address: str, purpose: Purpose, retry_after: float | None) -> KeyferryError:
    said = f": {words}" if words else ""
    if status == 429:
        return Busy(f"{address} limits the rate of requests", retry_after=retry_after)
    if status in {400, 401, 403} and purpose.login:
        return Denied(f"{address} refuses to {purpose.doing}{said}", remedy=purpose.denied)
    if "missing client token" in words:
        return Denied(f"{address} asks for a token to {purpose.doing}", remedy="set auth")
    if status in {401, 403}:
        return Denied(f"{address} does not permit to {purpose.doing}", remedy=purpose.denied)
    state = _state(status, words)
    if state is not None:
        return Unreachable(f"{address} {state[0]}", remedy=state[1])
    if status < 500:
        return BadSpec(f"{address} cannot {purpose.doing} (HTTP {status}){said}")
    return Unreachable(f"{address} failed to {purpose.doing} (HTTP {status}){said}")


def _state(status: int, words: str) -> tuple[str, str] | None:
    """A state of the server that keeps it from answering, and the remedy."""
    if status == 412:
        return "has not caught up with the newest state yet", "set retrySettings, or forwardInconsistent"
    if status == 472:
        return "is a disaster recovery secondary", "use the address of the primary"
    if status == 501:
        return "is not initialized", "initialize and unseal it"
    if status == 503 and (not words or "sealed" in words):
        return "is sealed", "unseal it"
    if status == 400 and "pgrading from non-versioned" in words:
        return "is still upgrading the mount", ""
    return None


def _words(body: dict[str, Any], sent: Sequence[str]) -> str:
    """The server's explanation in one line."""
    errors = body.get("errors")
    if not isinstance(errors, list):
        return ""
    text = " ".join(" ".join(str(error) for error in errors).split())
    text = re.sub(r"^\d+ errors? occurred: (\* )?", "", text)
    for value in sent:
        if value:
            text = text.replace(value, "…")
    text = _VARYING.sub("…", text)
    return text if len(text) <= _WORDS else f"{text[:_WORDS]}…"
