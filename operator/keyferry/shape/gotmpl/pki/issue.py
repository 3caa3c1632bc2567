"""New certificates, as Go's ``x509.CreateCertificate`` makes them from sprig's template."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.pki import der, keys, names
from keyferry.shape.gotmpl.pki.certs import Certificate

__all__ = ["Request", "expiry", "issue", "parse_address"]

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DAY: Final = 24 * 3600 * 10**9
"""Nanoseconds."""

_ENCIPHER_AND_SIGN: Final = der.bits(b"\xa0", 5)
_ENCIPHER_AND_SIGN_CERTIFICATES: Final = der.bits(b"\xa4", 2)
_SERVER_AND_CLIENT: Final = der.sequence(der.oid("1.3.6.1.5.5.7.3.1"), der.oid("1.3.6.1.5.5.7.3.2"))


@dataclass(frozen=True, slots=True)
class Request:
    """What a certificate is to say. ``addresses`` are packed, of 4 or 16 bytes; ``serial`` is below 2^128."""

    common_name: str
    not_before: dt.datetime
    not_after: dt.datetime
    serial: int
    addresses: Sequence[bytes] = ()
    domains: Sequence[str] = ()
    is_ca: bool = False


def issue(
    request: Request, key: keys.PrivateKey, issuer: Certificate | None = None, signer: keys.PrivateKey | None = None
) -> bytes:
    """A certificate for ``key``, in DER; signed by ``signer`` in the name of ``issuer``, or by itself.

    Raises ``FunctionError`` with Go's text as its detail.
    """
    signer = signer or key
    signs_with = signer.signs_with
    public = key.public
    subject = names.common_name(request.common_name)
    if issuer is not None and keys.public_key_info(signer.public) != issuer.public_key_info:
        raise FunctionError(
            "the private key of the CA does not belong to its certificate",
            detail="x509: provided PrivateKey doesn't match parent's PublicKey",
        )
    issued_by = subject if issuer is None else issuer.subject
    authority_key = issuer.subject_key if issuer is not None and issued_by != subject else b""
    body = der.sequence(
        der.explicit(0, der.integer(2)),
        der.integer(request.serial),
        signs_with,
        issued_by,
        der.sequence(der.time(request.not_before), der.time(request.not_after)),
        subject,
        keys.public_key_info(public),
        der.explicit(3, der.sequence(*_extensions(request, public[1], authority_key))),
    )
    return der.sequence(body, signs_with, der.bits(signer.sign(body)))


def expiry(now: dt.datetime, days: int) -> dt.datetime:
    """``days`` from now. Go counts nanoseconds in 64 bits, which turn over after 106,751 days."""
    duration = (days * _DAY + (1 << 63)) % (1 << 64) - (1 << 63)
    moment = (now - _EPOCH) // dt.timedelta(microseconds=1) * 1000 + duration
    return _EPOCH + dt.timedelta(seconds=moment // 10**9)


def parse_address(text: str) -> bytes | None:
    """Go's ``net.ParseIP``, packed in 4 bytes where it is an IPv4 address; None where it is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return address.packed
    if address.scope_id is not None:
        return None
    return (address.ipv4_mapped or address).packed


def _extensions(request: Request, public_key: bytes, authority_key: bytes) -> list[bytes]:
    usage = _ENCIPHER_AND_SIGN_CERTIFICATES if request.is_ca else _ENCIPHER_AND_SIGN
    found = [
        _extension("2.5.29.15", usage, critical=True),
        _extension("2.5.29.37", _SERVER_AND_CLIENT),
        _extension("2.5.29.19", der.sequence(der.TRUE if request.is_ca else b""), critical=True),
    ]
    if request.is_ca:
        # RFC 7093, section 2, method 1.
        found.append(_extension("2.5.29.14", der.octets(hashlib.sha256(public_key).digest()[:20])))
    if authority_key:
        found.append(_extension("2.5.29.35", der.sequence(der.tlv(0x80, authority_key))))
    if request.domains or request.addresses:
        alternatives = [der.tlv(0x82, _ascii(each)) for each in request.domains]
        alternatives += [der.tlv(0x87, each) for each in request.addresses]
        found.append(_extension("2.5.29.17", der.sequence(*alternatives), critical=not request.common_name))
    return found


def _extension(identifier: str, content: bytes, *, critical: bool = False) -> bytes:
    return der.sequence(der.oid(identifier), der.TRUE if critical else b"", der.octets(content))


def _ascii(domain: str) -> bytes:
    if not domain.isascii():
        raise FunctionError(
            "a DNS name is not ASCII: write international names in their ASCII form (xn--...)",
            detail=f'x509: "{domain}" cannot be encoded as an IA5String',
        )
    return domain.encode()
