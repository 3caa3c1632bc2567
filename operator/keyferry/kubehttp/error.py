"""What an API server, or the way to it, answers when it does not do what was asked.

A refused write may quote what was written, and what is written here are Secrets. So of a refused write's ``Status``
only those parts are kept that name things: fields, kinds, the policy that refused. The rest of the text is dropped,
as are answers that are no ``Status``, and texts of 5xx, which carry addresses and times.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson

_LONGEST = 500
_PHRASES = {int(status): status.phrase for status in HTTPStatus}
_REFUSED_BY = re.compile(r'^.{0,300}?(?:denied (?:the )?request|failed calling webhook "[^"]{1,253}")')
"""How the API server begins the message of an admission webhook or policy; what follows is the policy's own text."""
_TELLING = frozenset({"FieldValueForbidden", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany"})
"""Reasons of causes whose message explains a rule and does not quote the value that breaks it."""
_NAMING = frozenset({401, 403, 404, 409, 410, 429})
"""Statuses whose messages name objects, users and verbs only."""


class KubeError(Exception):
    """A request that did not succeed.

    ``status`` is the HTTP status, 0 where there was no answer that can be used; ``reason`` the API's own word for it
    (``NotFound``, ``Conflict``, ``Expired``) or, for status 0, one of ``Timeout``, ``Connection``, ``TLS``, ``Broken``,
    ``Garbage``, ``Closed``; ``retry_after`` is in seconds; ``details`` has the parts of the Status's details that hold
    no value: ``name``, ``group``, ``kind`` and ``causes``, a list of ``{"field", "reason", "message"}``.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        retry_after: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(status, reason, message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.details: Mapping[str, Any] = details or {}

    def __str__(self) -> str:
        return f"{self.status} {self.reason}: {self.message}" if self.status else self.message

    @property
    def not_found(self) -> bool:
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """A newer version, or another field manager, is in the way; not that the object exists already."""
        return self.status == 409 and not self.already_exists

    @property
    def already_exists(self) -> bool:
        return self.status == 409 and self.reason == "AlreadyExists"

    @property
    def forbidden(self) -> bool:
        return self.status == 403

    @property
    def unauthorized(self) -> bool:
        return self.status == 401

    @property
    def too_many(self) -> bool:
        return self.status == 429

    @property
    def invalid(self) -> bool:
        """The API server refuses the request's content; the same request will be refused again."""
        return self.status in (400, 422)

    @property
    def gone(self) -> bool:
        """The resourceVersion or continue token is too old; list anew."""
        return self.status == 410

    @property
    def unreachable(self) -> bool:
        """No answer, or one that says that the server cannot serve now."""
        return self.status == 0 or self.status >= 500


def from_answer(status: int, body: bytes, *, retry_after: str | None, wrote: bool) -> KubeError:
    """The error for an answer of 300 and above. ``wrote``: the request carried an object."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    given = parsed if isinstance(parsed, dict) and parsed.get("kind") == "Status" else {}
    return from_status({**given, "code": status}, retry_after=_seconds(retry_after), wrote=wrote)


def from_status(given: Mapping[str, Any], *, retry_after: float | None = None, wrote: bool = False) -> KubeError:
    """The error for a ``Status`` object, as an answer or as the object of a watch's ``ERROR`` event."""
    code = given.get("code")
    status = code if isinstance(code, int) else 500
    phrase = _PHRASES.get(status, "unknown status")
    reason = _text(given, "reason") or phrase.title().replace(" ", "")
    message = _text(given, "message")
    inner = given.get("details")
    details = inner if isinstance(inner, dict) else {}
    refused_by = _REFUSED_BY.match(message)
    causes = _causes(details.get("causes"), telling=not refused_by)
    if refused_by:
        message = refused_by[0]
    elif status not in _NAMING and (wrote or status >= 500):
        fields = ", ".join(" ".join(filter(None, (c["field"], c["message"] or c["reason"]))) for c in causes)
        message = f"{phrase}: {fields}" if fields else phrase
    seconds = details.get("retryAfterSeconds")
    if retry_after is None and isinstance(seconds, int) and seconds > 0:
        retry_after = float(seconds)
    kept: dict[str, Any] = {name: _text(details, name) for name in ("name", "group", "kind") if details.get(name)}
    if causes:
        kept["causes"] = causes
    return KubeError(status, reason, (message or phrase)[:_LONGEST], retry_after=retry_after, details=kept)


def from_transport(error: Exception, server: str) -> KubeError:
    """The error for a request that got no answer, in words that stay the same from one time to the next."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            cause = error.certificate_error
            why = getattr(cause, "verify_message", "") or "the certificate does not verify"
            return KubeError(0, "TLS", f"{server}: certificate: {why}")
        case ssl.SSLError() | aiohttp.ClientConnectorSSLError():
            inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
            why = getattr(inner, "reason", None) or "the handshake failed"
            return KubeError(0, "TLS", f"{server}: TLS: {str(why).replace('_', ' ').lower()}")
        case TimeoutError():
            return KubeError(0, "Timeout", f"{server}: no answer in time")
        case aiohttp.ClientConnectorDNSError():
            return KubeError(0, "Connection", f"{server}: the host's name cannot be resolved")
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno
            why = os.strerror(number).lower() if number else "no connection"
            return KubeError(0, "Connection", f"{server}: {why}")
        case aiohttp.ClientHttpProxyError():
            return KubeError(0, "Connection", f"{server}: the proxy answers {error.status}")
        case (
            aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | RuntimeError()
        ):
            # aiohttp's RuntimeError says that a connection was closed between two reads.
            return KubeError(0, "Broken", f"{server}: the connection broke off")
        case aiohttp.ClientError():
            return KubeError(0, "Garbage", f"{server}: the answer is not HTTP")
        case _:
            return KubeError(0, "Connection", f"{server}: the request cannot be sent")


def _causes(given: object, *, telling: bool) -> Sequence[dict[str, str]]:
    """The causes of a Status; ``telling``: keep messages that explain a rule."""
    causes = []
    for cause in given if isinstance(given, list) else []:
        if isinstance(cause, dict):
            reason = _text(cause, "reason")
            message = _text(cause, "message") if telling and reason in _TELLING else ""
            causes.append({"field": _text(cause, "field"), "reason": reason, "message": message})
    return causes


def _seconds(header: str | None) -> float | None:
    """``Retry-After`` in seconds; the API server never sends a date."""
    return float(header) if header and header.isascii() and header.isdigit() else None


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    return value.partition("\n")[0] if isinstance(value, str) else ""
