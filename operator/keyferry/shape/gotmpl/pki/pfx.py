"""PKCS#12 files (PFX, RFC 7292), read and written as ``go-pkcs12`` 0.7 does: DER only.

Files are written in its profile "Modern": AES-256-CBC and HMAC-SHA-256, 2048 iterations.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.pki import certs, der, keyfiles, names, pbe, pem
from keyferry.shape.gotmpl.pki.keys import PrivateKey

__all__ = ["Content", "read", "write", "write_trust_store"]

Entropy = Callable[[int], bytes]

_DATA: Final = "1.2.840.113549.1.7.1"
_ENCRYPTED_DATA: Final = "1.2.840.113549.1.7.6"
_X509: Final = "1.2.840.113549.1.9.22.1"
_KEY_BAG: Final = "1.2.840.113549.1.12.10.1.1"
_ENCRYPTED_KEY_BAG: Final = "1.2.840.113549.1.12.10.1.2"
_CERTIFICATE_BAG: Final = "1.2.840.113549.1.12.10.1.3"
_FRIENDLY_NAME: Final = "1.2.840.113549.1.9.20"
_LOCAL_KEY: Final = "1.2.840.113549.1.9.21"
_JAVA_TRUST: Final = "2.16.840.1.113894.746875.1.1"
_ANY_USAGE: Final = "2.5.29.37.0"


@dataclass(frozen=True, slots=True, repr=False)
class Content:
    """The certificates in the file's order."""

    key: PrivateKey
    certificates: tuple[certs.Certificate, ...]


def read(data: bytes, password: str, spend: pbe.Spend) -> Content:
    """The private key and the certificates of a file; it has to hold both. Raises ``FunctionError``."""
    try:
        return _read(data, pbe.Password.of(password), spend)
    except der.DerError as error:
        hint = ": it looks like base64; decode it with b64dec" if pem.decode_base64(data.strip()) else ""
        raise FunctionError(
            f"the data is no PKCS#12 file, or damaged: {error.message}{hint}",
            detail=f"pkcs12: error reading P12 data: {error.detail}",
        ) from None


def write(key: PrivateKey, chain: Sequence[certs.Certificate], password: str, entropy: Entropy) -> bytes:
    """A file of a key and its certificates, that of the key first. ``entropy`` gives random bytes."""
    secret = pbe.Password.of(password)
    local_key = _attribute(_LOCAL_KEY, der.octets(hashlib.sha1(chain[0].raw, usedforsecurity=False).digest()))
    kind, encrypted = pbe.encrypt(key.pkcs8(), secret, entropy(16), entropy(16))
    key_bag = _bag(_ENCRYPTED_KEY_BAG, der.sequence(kind, der.octets(encrypted)), local_key)
    bags = [_certificate_bag(each, *([local_key] if at == 0 else [])) for at, each in enumerate(chain)]
    return _file([_encrypted(bags, secret, entropy), _plain(der.sequence(key_bag))], secret, entropy)


def write_trust_store(trusted: Sequence[certs.Certificate], password: str, entropy: Entropy) -> bytes:
    """A file of certificates that Java trusts, under the names of their subjects."""
    secret = pbe.Password.of(password)
    trust = _attribute(_JAVA_TRUST, der.oid(_ANY_USAGE))
    bags = [
        _certificate_bag(each, trust, _attribute(_FRIENDLY_NAME, _bmp(names.show(each.subject_names))))
        for each in trusted
    ]
    return _file([_encrypted(bags, secret, entropy)], secret, entropy)


def _read(data: bytes, password: pbe.Password, spend: pbe.Spend) -> Content:
    outer = der.Reader(data)
    file = outer.enter()
    outer.end()
    if file.integer() != 3:
        raise FunctionError("the version of the PKCS#12 file is unknown", detail="pkcs12: can only decode v3 PFX PDU's")
    kind, content = _content(file)
    if kind != _DATA:
        raise FunctionError(
            "the PKCS#12 file is signed by a key instead of a password, which is not supported",
            detail="pkcs12: only password-protected PFX is implemented",
        )
    _, safe, _ = content.element()
    password = _verified(file, safe, password, spend)
    reader = der.Reader(safe).enter()
    parts = []
    while reader:
        parts.append(_content(reader))
    if not 1 <= len(parts) <= 2:
        raise FunctionError(
            f"the PKCS#12 file has {len(parts)} parts, and should have one or two",
            detail=f"pkcs12: expected between 1 and 2 items in the authenticated safe, but this file has {len(parts)}",
        )
    bags = [bag for part in parts for bag in _bags(*part, password, spend)]
    return _collect(bags, password, spend)


def _content(reader: der.Reader) -> tuple[str, der.Reader]:
    """Type and content of a ContentInfo."""
    info = reader.enter()
    return info.oid(), info.enter(0xA0)


def _verified(file: der.Reader, safe: bytes, password: pbe.Password, spend: pbe.Spend) -> pbe.Password:
    """The password in the form that proves right."""
    if not file:
        if password.utf8:
            raise FunctionError(
                "the PKCS#12 file has no MAC, so it needs the empty password", detail="pkcs12: no MAC in data"
            )
        return password
    given = file.enter()
    info = given.enter()
    kind = info.take(der.SEQUENCE)
    digest = info.take(der.OCTET_STRING)
    salt = given.take(der.OCTET_STRING)
    iterations = given.integer() if given else 1
    for attempt in (password, *([] if password.utf8 else [pbe.NO_PASSWORD])):
        if hmac.compare_digest(digest, pbe.mac(der.Reader(kind), salt, iterations, safe, attempt, spend)):
            return attempt
    raise FunctionError(
        "the password of the PKCS#12 file is wrong, or the file is damaged",
        detail="pkcs12: decryption password incorrect",
    )


def _bags(kind: str, content: der.Reader, password: pbe.Password, spend: pbe.Spend) -> list[tuple[str, bytes]]:
    """Type and value of each bag of one part of the file."""
    if kind == _DATA:
        plain = content.take(der.OCTET_STRING)
    elif kind == _ENCRYPTED_DATA:
        body = content.enter()
        if body.integer():
            raise FunctionError(
                "the PKCS#12 file is encrypted in an unknown version",
                detail="pkcs12: only version 0 of EncryptedData is supported",
            )
        info = body.enter()
        info.oid()
        algorithm = info.enter()
        plain = pbe.decrypt(algorithm, info.optional(0x80) or b"", password, spend)
    else:
        raise FunctionError(
            f"a part of the PKCS#12 file is of an unknown type ({kind})",
            detail="pkcs12: only data and encryptedData content types are supported in authenticated safe",
        )
    reader = der.Reader(plain).enter()
    found = []
    while reader:
        bag = reader.enter()
        found.append((bag.oid(), bag.take(0xA0)))
    return found


def _collect(bags: list[tuple[str, bytes]], password: pbe.Password, spend: pbe.Spend) -> Content:
    key: PrivateKey | None = None
    certificates: list[certs.Certificate] = []
    for kind, value in bags:
        if kind == _CERTIFICATE_BAG:
            certificates.append(_certificate(der.Reader(value).enter()))
        elif kind in {_KEY_BAG, _ENCRYPTED_KEY_BAG}:
            if key is not None:
                raise FunctionError(
                    "the PKCS#12 file holds more than one private key", detail="pkcs12: expected exactly one key bag"
                )
            encrypted = kind == _ENCRYPTED_KEY_BAG
            key = keyfiles.parse_pkcs8(_decrypted_key(value, password, spend) if encrypted else value)
    if not certificates:
        raise FunctionError("the PKCS#12 file holds no certificate", detail="pkcs12: certificate missing")
    if key is None:
        raise FunctionError("the PKCS#12 file holds no private key", detail="pkcs12: private key missing")
    return Content(key, tuple(certificates))


def _decrypted_key(value: bytes, password: pbe.Password, spend: pbe.Spend) -> bytes:
    info = der.Reader(value).enter()
    algorithm = info.enter()
    return pbe.decrypt(algorithm, info.take(der.OCTET_STRING), password, spend)


def _certificate(bag: der.Reader) -> certs.Certificate:
    if bag.oid() != _X509:
        raise FunctionError(
            "the PKCS#12 file holds a certificate that is not X.509",
            detail="pkcs12: only X509 certificates are supported in cert bags",
        )
    return certs.parse(bag.enter(0xA0).take(der.OCTET_STRING))


def _file(parts: Sequence[bytes], password: pbe.Password, entropy: Entropy) -> bytes:
    safe = der.sequence(*parts)
    return der.sequence(der.integer(3), _plain(safe), pbe.new_mac(safe, password, entropy(16)))


def _plain(content: bytes) -> bytes:
    return der.sequence(der.oid(_DATA), der.explicit(0, der.octets(content)))


def _encrypted(bags: Sequence[bytes], password: pbe.Password, entropy: Entropy) -> bytes:
    kind, encrypted = pbe.encrypt(der.sequence(*bags), password, entropy(16), entropy(16))
    info = der.sequence(der.oid(_DATA), kind, der.tlv(0x80, encrypted))
    return der.sequence(der.oid(_ENCRYPTED_DATA), der.explicit(0, der.sequence(der.integer(0), info)))


def _certificate_bag(certificate: certs.Certificate, *attributes: bytes) -> bytes:
    value = der.sequence(der.oid(_X509), der.explicit(0, der.octets(certificate.raw)))
    return _bag(_CERTIFICATE_BAG, value, *attributes)


def _bag(kind: str, value: bytes, *attributes: bytes) -> bytes:
    return der.sequence(der.oid(kind), der.explicit(0, value), der.tlv(der.SET, *sorted(attributes)))


def _attribute(kind: str, value: bytes) -> bytes:
    return der.sequence(der.oid(kind), der.tlv(der.SET, value))


def _bmp(text: str) -> bytes:
    if any(each > "\uffff" for each in text):
        raise FunctionError(
            "the subject of a certificate holds a character that PKCS#12 has no room for, such as an emoji",
            detail="pkcs12: string contains characters that cannot be encoded in UCS-2",
        )
    return der.tlv(der.BMP_STRING, text.encode("utf-16-be"))
