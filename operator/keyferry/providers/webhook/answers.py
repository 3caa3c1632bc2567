"""What the status of an answer means, and the documents that are kept for a server's "not modified".

An endpoint that people write themselves: only the statuses of RFC 9110 mean something, and what an answer says in
words is never repeated, since it may hold anything.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from keyferry import transport
from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, NotThere, Unreachable
from keyferry.providers.webhook.requests import GAP, Request
from keyferry.providers.webhook.wire import Answer

_KEPT_BYTES: Final = 8 * 1024 * 1024
"""Of all documents that one store keeps."""
_OVERHEAD: Final = 1024
"""Bytes that a kept document takes besides."""
_LONGEST_TAG: Final = 1024


def judge(answer: Answer, request: Request, address: str) -> KeyferryError | None:
    """The error that an answer stands for; None where it is a document. ``address`` is the server, for the text."""
    status = answer.status
    if 200 <= status < 300:
        return None
    if status == 304 and request.has("If-None-Match"):
        return BadSpec(
            f"{address} says that nothing has changed (HTTP 304), and headers ask for that",
            remedy="leave If-None-Match out: it is sent where there is a document to compare with",
        )
    refusal = _refusal(answer, address)
    if request.gaps and not isinstance(refusal, Busy | Unreachable):
        return BadSpec(
            f"{address} answers with HTTP {status} to a request that holds {GAP}",
            remedy="a template names something that does not exist: check its names, and the keys of the Secrets",
        )
    return refusal


def _refusal(answer: Answer, address: str) -> KeyferryError:
    status = answer.status
    pause = transport.retry_after(answer.headers.get("Retry-After"))
    match status:
        case 304:
            return Unreachable(
                f"{address} says that nothing has changed (HTTP 304), without being asked for changes",
                remedy="let it answer with the document, or with an ETag that it compares If-None-Match with",
            )
        case 401:
            return Denied(
                f"{address} does not accept the credentials (HTTP 401)", remedy="check auth, and what headers hold"
            )
        case 403:
            return Denied(f"{address} denies access (HTTP 403)", remedy="give the credentials the right to read")
        case 404:
            return _missing(answer, address)
        case 407:
            return Unreachable("the proxy asks for a login (HTTP 407)", remedy="put it into HTTPS_PROXY or HTTP_PROXY")
        case 429:
            return Busy(f"{address} limits the rate of requests", retry_after=pause)
        case 503 if pause is not None:
            return Busy(f"{address} is busy (HTTP 503)", retry_after=pause)
        case 408 | 425:
            return Unreachable(f"{address} gives up on the request (HTTP {status})")
        case _ if 400 <= status < 500:
            return BadSpec(
                f"{address} refuses the request (HTTP {status})", remedy="check method, url, headers and body"
            )
        case _:
            return Unreachable(f"{address} fails (HTTP {status})", remedy="look at its log")


def _missing(answer: Answer, address: str) -> NotThere | Unreachable:
    """A page for people is what a web server or a proxy says that knows no such address: no word of the store."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    start = answer.content.lstrip()[:9].lower()
    if kind in {"text/html", "application/xhtml+xml"} or start.startswith((b"<!doctype", b"<html")):
        return Unreachable(
            f"{address} answers with a web page that something is not found (HTTP 404)",
            remedy="check url; to say that a secret is missing, answer 404 with something else than HTML",
        )
    return NotThere(f"{address} does not have it (HTTP 404)")


@dataclass(frozen=True, slots=True, repr=False)
class Kept:
    """A document and its ETag, "" where it has none to be compared by."""

    tag: str
    content: bytes


class Shelf:
    """Documents with an ETag, by the request that they answer; the least recently used ones go."""

    def __init__(self) -> None:
        self._room = _KEPT_BYTES
        self._kept: OrderedDict[Request, Kept] = OrderedDict()

    def get(self, request: Request) -> Kept | None:
        """What answered the same request last, where it was kept."""
        if request not in self._kept:
            return None
        self._kept.move_to_end(request)
        return self._kept[request]

    def put(self, request: Request, answer: Answer) -> Kept:
        """The answer and its tag, kept instead of the one before, where it may be kept."""
        self._drop(request)
        kept = Kept(_tag(request, answer), answer.content)
        size = _size(request, answer.content)
        if not kept.tag or size > _KEPT_BYTES:
            return kept
        while size > self._room:
            self._drop(next(iter(self._kept)))
        self._kept[request] = kept
        self._room -= size
        return kept

    def _drop(self, request: Request) -> None:
        kept = self._kept.pop(request, None)
        if kept is not None:
            self._room += _size(request, kept.content)


def _tag(request: Request, answer: Answer) -> str:
    """The ETag by which the server may be asked whether the document still holds, "" where it may not."""
    if request.method != "GET" or request.has("If-None-Match") or answer.status != 200:
        return ""
    if "no-store" in answer.headers.get("Cache-Control", "").lower():
        return ""
    tag = answer.headers.get("ETag", "")
    return tag if tag.isascii() and len(tag) <= _LONGEST_TAG else ""


def _size(request: Request, content: bytes) -> int:
    return len(content) + len(request.body) + _OVERHEAD
