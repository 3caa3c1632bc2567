"""Who sent a request: AWS Signature Version 4, as its documentation has it."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Collection, Mapping
from urllib.parse import parse_qsl, quote

from tests.sandbox.aws.iam import Directory, Principal, Refused

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/"
    r"aws4_request), SignedHeaders=(?P<headers>[^,]+), Signature=(?P<signature>[0-9a-f]{64})"
)


class Sender:
    """Whom a request is from, and for which region."""

    def __init__(self, who: Principal, region: str) -> None:
        self.who = who
        self.region = region


def authenticate(
    directory: Directory, headers: Mapping[str, str], query: str, body: bytes, *, hosts: Collection[str]
) -> Sender:
    """The sender of a POST to "/". ``headers`` are in lower case; ``hosts``: under which names we are reached.

    Raises ``Refused`` with the codes of AWS's JSON services.
    """
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if found is None:
        raise Refused("MissingAuthenticationTokenException", "Missing Authentication Token")
    who = directory.by_key.get(found["key"])
    if who is None:
        raise Refused("UnrecognizedClientException", "The security token included in the request is invalid.")
    signed = found["headers"].split(";")
    for host in hosts:
        if hmac.compare_digest(
            _signature(who, found, {**headers, "host": host}, signed, query, body), found["signature"]
        ):
            break
    else:
        raise Refused(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details.",
        )
    if who.token != headers.get("x-amz-security-token", ""):
        raise Refused("UnrecognizedClientException", "The security token included in the request is invalid.")
    if who.ends < time.time():
        raise Refused("ExpiredTokenException", "The security token included in the request is expired")
    return Sender(who, found["region"])


def _signature(
    who: Principal,
    found: re.Match[str],
    headers: Mapping[str, str],
    signed: list[str],
    query: str,
    body: bytes,
) -> str:
    pairs = sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in parse_qsl(query, keep_blank_values=True))
    canonical = "\n".join(
        (
            "POST",
            "/",
            "&".join(f"{key}={value}" for key, value in pairs),
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed),
            "",
            ";".join(signed),
            hashlib.sha256(body).hexdigest(),
        )
    )
    text = "\n".join(
        (
            "AWS4-HMAC-SHA256",
            headers.get("x-amz-date", ""),
            found["scope"],
            hashlib.sha256(canonical.encode()).hexdigest(),
        )
    )
    key = f"AWS4{who.secret_key}".encode()
    for part in (found["date"], found["region"], found["service"], "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
