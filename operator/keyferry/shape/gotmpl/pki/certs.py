"""X.509 certificates as Go's ``crypto/x509`` reads them, as far as templates ask for them.

Only what is used is looked into: a certificate whose other extensions are damaged is accepted here, and not by Go.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.pki import der, keys, names, pem, uris

__all__ = ["Certificate", "order", "parse", "to_pem"]

_SUBJECT_KEY: Final = "2.5.29.14"
_ALTERNATIVE_NAMES: Final = "2.5.29.17"
_AUTHORITY_KEY: Final = "2.5.29.35"

_EMAIL, _DNS, _URI, _IP = 0x81, 0x82, 0x86, 0x87


@dataclass(frozen=True, slots=True, repr=False)
class Certificate:
    """``subject`` and ``public_key_info`` are DER. ``authority_key`` is None where the certificate names none."""

    raw: bytes
    subject: bytes
    subject_names: names.Names
    public_key_info: bytes
    subject_key: bytes = b""
    authority_key: bytes | None = None
    alternative_names: tuple[str, ...] = ()
    """DNS names, then IP addresses, email addresses and URIs."""

    @property
    def is_root(self) -> bool:
        """Whether it names no other key than its own as its issuer's. No signature is looked at."""
        return self.authority_key is None or self.authority_key == self.subject_key


def parse(data: bytes) -> Certificate:
    """A certificate in DER. Raises ``FunctionError`` with Go's text as its detail."""
    try:
        return _parse(data)
    except der.DerError as error:
        raise FunctionError(f"the certificate is damaged: {error.message}", detail=error.detail) from None


def to_pem(certificates: Iterable[Certificate]) -> bytes:
    """PEM blocks, one after the other."""
    return b"".join(pem.encode(pem.Block(pem.CERTIFICATE, each.raw)) for each in certificates)


def order(certificates: list[Certificate]) -> list[Certificate]:
    """From the leaf up to the root, by the keys that the certificates name. No signature is looked at.

    Raises ``FunctionError`` where they are not one chain.
    """
    by_key: dict[bytes, list[int]] = {}
    for at, each in enumerate(certificates):
        by_key.setdefault(each.subject_key, []).append(at)
    parents: dict[int, int] = {}
    for at, each in enumerate(certificates):
        issuers = by_key.get(each.authority_key or b"", ())
        found = next((issuer for issuer in issuers if issuer != at), None)
        if found is not None:
            parents[at] = found
    leaves = set(range(len(certificates))) - set(parents.values())
    if len(leaves) > 1:
        raise FunctionError(
            "the certificates are not one chain: more than one of them has issued no other",
            detail="found multiple leaf or disjunct certificates",
        )
    if not leaves:
        raise FunctionError(
            "there is no leaf: each of the certificates counts as the issuer of another (one that does not name its own"
            " key counts as the issuer of one that does not name its issuer's)"
            if certificates
            else "there is no certificate in PEM",
            detail="no leaf certificate found",
        )
    chain = [leaves.pop()]
    while (parent := parents.get(chain[-1])) is not None:
        if len(chain) == len(certificates):
            raise FunctionError(
                "the certificates have issued each other in a circle", detail="constructing chain resulted in cycle"
            )
        chain.append(parent)
    return [certificates[at] for at in chain]


def _parse(data: bytes) -> Certificate:
    outer = der.Reader(data)
    certificate = outer.enter()
    if outer:
        raise FunctionError("there is more data after the certificate", detail="x509: trailing data")
    body = certificate.enter()
    version = body.optional(0xA0)
    number = 0 if version is None else der.Reader(version).integer()
    if not 0 <= number <= 2:
        raise FunctionError("the version of the certificate is unknown", detail="x509: invalid version")
    if body.integer() < 0:
        raise FunctionError("the serial number is negative", detail="x509: negative serial number")
    if body.take(der.SEQUENCE) != certificate.take(der.SEQUENCE):
        raise FunctionError(
            "the certificate names two algorithms of its signature",
            detail="x509: inner and outer signature algorithm identifiers don't match",
        )
    _, issuer, _ = body.element()
    names.parse(issuer)
    body.take(der.SEQUENCE)
    _, subject_names, subject = body.element()
    _, public_key, public_key_info = body.element()
    _check_public_key(der.Reader(public_key))
    certificate.take(der.BIT_STRING)
    extensions = _extensions(body) if number == 2 else {}
    authority_key = None
    if (given := extensions.get(_AUTHORITY_KEY)) is not None:
        authority_key = der.Reader(given).enter().optional(0x80)
    subject_key = extensions.get(_SUBJECT_KEY)
    alternatives = extensions.get(_ALTERNATIVE_NAMES)
    return Certificate(
        raw=data,
        subject=subject,
        subject_names=names.parse(subject_names),
        public_key_info=public_key_info,
        subject_key=b"" if subject_key is None else der.Reader(subject_key).take(der.OCTET_STRING),
        authority_key=authority_key,
        alternative_names=() if alternatives is None else _alternatives(der.Reader(alternatives).enter()),
    )


def _check_public_key(reader: der.Reader) -> None:
    kind = reader.enter()
    identifier = kind.oid()
    if identifier == keys.RSA and kind.element()[2] != der.NULL:
        raise FunctionError("the RSA key of the certificate is damaged", detail="x509: RSA key missing NULL parameters")
    if identifier == keys.ECDSA and (kind.peek() != der.OBJECT_IDENTIFIER or kind.oid() not in keys.CURVES):
        raise FunctionError(
            "the curve of the certificate's key is not supported; use P-224, P-256, P-384 or P-521",
            detail="x509: unsupported elliptic curve",
        )


def _extensions(body: der.Reader) -> dict[str, bytes]:
    body.optional(0x81)
    body.optional(0x82)
    given = body.optional(0xA3)
    found: dict[str, bytes] = {}
    reader = der.Reader(b"" if given is None else der.Reader(given).take(der.SEQUENCE))
    while reader:
        extension = reader.enter()
        identifier = extension.oid()
        critical = extension.boolean() if extension.peek() == der.BOOLEAN else False
        if critical and identifier in {_SUBJECT_KEY, _AUTHORITY_KEY}:
            name = "subject" if identifier == _SUBJECT_KEY else "authority"
            raise FunctionError(
                f"the certificate's {name} key identifier is marked as critical",
                detail=f"x509: {name} key identifier incorrectly marked critical",
            )
        if identifier in found:
            raise FunctionError(
                f"the certificate has two extensions {identifier}",
                detail=f'x509: certificate contains duplicate extension with OID "{identifier}"',
            )
        found[identifier] = extension.take(der.OCTET_STRING)
    return found


def _alternatives(reader: der.Reader) -> tuple[str, ...]:
    found: dict[int, list[str]] = {_DNS: [], _IP: [], _EMAIL: [], _URI: []}
    while reader:
        tag, value, _ = reader.element()
        if tag == _IP:
            found[tag].append(_address(value))
        elif tag in found:
            if not value.isascii():
                raise FunctionError("a subject alternative name is not ASCII", detail="x509: SAN is malformed")
            found[tag].append(uris.normal(value.decode()) if tag == _URI else value.decode())
    return tuple(name for group in found.values() for name in group)


def _address(value: bytes) -> str:
    if len(value) not in {4, 16}:
        raise FunctionError(
            "a subject alternative name is no IP address",
            detail=f"x509: cannot parse IP address of length {len(value)}",
        )
    address = ipaddress.ip_address(value)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
