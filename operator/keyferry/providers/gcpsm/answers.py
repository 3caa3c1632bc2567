"""What Secret Manager's refusals mean: the one table from gRPC status to error.

Codes and reasons are those of google.rpc and of Google's error model (AIP-193). Google's own words are read and not
repeated: they hold what changes from call to call, and a broken server's may hold anything.

| status | error |
|---|---|
| NOT_FOUND of a secret | ``NotThere`` |
| NOT_FOUND of a version of a secret | ``PropertyNotThere`` |
| NOT_FOUND of anything else | ``BadSpec`` |
| FAILED_PRECONDITION: the version is disabled or destroyed | ``VersionOff``, a ``PropertyNotThere`` |
| FAILED_PRECONDITION otherwise, INVALID_ARGUMENT, OUT_OF_RANGE | ``BadSpec`` |
| PERMISSION_DENIED: the API is not enabled, the project does not exist | ``BadSpec`` |
| PERMISSION_DENIED otherwise | ``Denied`` |
| UNAUTHENTICATED | ``Unauthenticated``, a ``Denied``: a new token may help |
| RESOURCE_EXHAUSTED | ``Busy``, with RetryInfo's delay |
| UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL, UNKNOWN and the rest | ``Unreachable`` |
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import grpc
from google.api_core.exceptions import GoogleAPICallError
from google.rpc.error_details_pb2 import RetryInfo

from keyferry import transport
from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, NotThere, PropertyNotThere, Unreachable
from keyferry.providers.gcpsm.places import LATEST

_STATE: Final = re.compile(r"is in (DISABLED|DESTROYED) state")
_HTTP: Final = re.compile(r"Received http2 header with status: (\d{3})")
_PROJECT_REASONS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "SERVICE_DISABLED": (
            "the Secret Manager API is not enabled in {place}",
            "enable secretmanager.googleapis.com in the project",
        ),
        "BILLING_DISABLED": ("billing is not enabled for {place}", "enable it in the project"),
        "CONSUMER_INVALID": ("{place} does not exist, or may not be used", "check projectID"),
        "CONSUMER_SUSPENDED": ("{place} is suspended", "ask its owner"),
    }
)
"""Reason of an ErrorInfo → what is wrong, and the remedy."""


class Unauthenticated(Denied):
    """The token is not valid, or not any more."""


class VersionOff(PropertyNotThere):
    """The version is disabled or destroyed."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """What an RPC is for, in the words of the error that it may end with."""

    doing: str
    """Such as ``read secret "db"``."""
    place: str
    """Such as ``project "shop"``."""
    role: str
    """The role that permits it."""
    secret: str = ""
    version: str = ""


def judge(error: GoogleAPICallError, purpose: Purpose, *, host: str, identity: str) -> KeyferryError:
    """The error that a refusal stands for. ``identity`` is who asked, "" where that is not known."""
    code = error.grpc_status_code
    match code:
        case grpc.StatusCode.NOT_FOUND:
            return _not_found(str(error.message), purpose)
        case grpc.StatusCode.PERMISSION_DENIED:
            return _denied(str(error.reason), purpose, identity)
        case grpc.StatusCode.UNAUTHENTICATED:
            return Unauthenticated(
                f"Google does not accept the access token to {purpose.doing}", remedy="check auth of the store"
            )
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return Busy(f"the quota of Secret Manager in {purpose.place} is used up", retry_after=_delay(error))
        case grpc.StatusCode.INVALID_ARGUMENT | grpc.StatusCode.FAILED_PRECONDITION | grpc.StatusCode.OUT_OF_RANGE:
            return _unfit(code, str(error.message), purpose)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return transport.unreachable(TimeoutError(), host)
        case grpc.StatusCode.UNIMPLEMENTED:
            return not_google(host)
        case grpc.StatusCode.UNAVAILABLE:
            return _unavailable(str(error.message), purpose, host)
    return Unreachable(f"{host} failed to {purpose.doing} ({code.name if code else 'no status'})")


def not_google(host: str) -> Unreachable:
    """Something answers that is not what it should be."""
    return Unreachable(
        f"{host} answers, but not as Google does",
        remedy="check what stands between it and Keyferry, and KEYFERRY_GCP_ENDPOINTS",
    )


def _not_found(said: str, purpose: Purpose) -> KeyferryError:
    if not purpose.secret or not said.startswith("Secret"):
        return BadSpec(
            f"Google cannot {purpose.doing}: it does not find {purpose.place}",
            remedy="check projectID and location of the store",
        )
    if said.startswith("Secret Version"):
        return PropertyNotThere(
            f'secret "{purpose.secret}" has no version {purpose.version}', remedy="give a number or alias that it has"
        )
    return NotThere(f'secret "{purpose.secret}" does not exist in {purpose.place}, or has no versions')


def _unfit(code: grpc.StatusCode, said: str, purpose: Purpose) -> KeyferryError:
    state = _STATE.search(said)
    if state is None:
        return BadSpec(
            f"Google refuses to {purpose.doing} in {purpose.place} ({code.name})",
            remedy="check projectID and location of the store, and the entry",
        )
    remedy = "enable it, or ask for another one"
    if purpose.version == LATEST:
        remedy = "enable it, add one, or set secretVersionSelectionPolicy: LatestOrFetch"
    told = f'version {purpose.version} of secret "{purpose.secret}" is {state[1].lower()}'
    return VersionOff(told, remedy=remedy)


def _denied(reason: str, purpose: Purpose, identity: str) -> KeyferryError:
    if reason in _PROJECT_REASONS:
        message, remedy = _PROJECT_REASONS[reason]
        return BadSpec(message.format(place=purpose.place), remedy=remedy)
    if reason == "SECURITY_POLICY_VIOLATED":
        return Denied(
            f"VPC Service Controls do not permit to {purpose.doing} in {purpose.place}",
            remedy="let Keyferry into the perimeter",
        )
    # Google does not tell an identity without rights whether a secret exists.
    maybe = ", or it does not exist" if purpose.secret else ""
    return Denied(
        f"Google does not permit to {purpose.doing} in {purpose.place}{maybe}",
        remedy=f"grant {purpose.role} to {identity or 'the identity of the store'}",
    )


def _unavailable(said: str, purpose: Purpose, host: str) -> Unreachable:
    """Of a connection that failed gRPC tells in words only."""
    status = _HTTP.search(said)
    if status:
        return Unreachable(f"{host} failed to {purpose.doing} (HTTP {status[1]})")
    if "CERTIFICATE_VERIFY_FAILED" in said:
        trouble = ssl.SSLCertVerificationError(1, "certificate verify failed")
        trouble.verify_message = said.partition("CERTIFICATE_VERIFY_FAILED:")[2].partition(":")[0].strip()
        told = transport.unreachable(trouble, host)
        told.remedy = "name a bundle with the authority that signed it by SSL_CERT_FILE"
        return told
    for words, cause in _CAUSES:
        if words in said:
            return transport.unreachable(cause(), host)
    return Unreachable(f"{host} cannot be reached", remedy="check the network, network policies and proxies")


_CAUSES: Final = (
    ("Connection refused", ConnectionRefusedError),
    ("lookup failed", socket.gaierror),
    ("resol", socket.gaierror),
    ("Socket closed", ConnectionResetError),
    ("Connection reset", ConnectionResetError),
    ("Stream removed", ConnectionResetError),
    ("timed out", TimeoutError),
)
"""What gRPC says → what it is."""


def _delay(error: GoogleAPICallError) -> float | None:
    for detail in error.details:
        if isinstance(detail, RetryInfo):
            return float(detail.retry_delay.seconds + detail.retry_delay.nanos / 1e9)
    return None
