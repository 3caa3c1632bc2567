"""Encryption and MACs by password, as PKCS#12 files use them (RFC 7292, RFC 8018, RFC 9579).

``spend`` is told of the iterations that a file asks for before they are done: files say how much work they are.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.pki import der, rc2
from keyferry.shape.gotmpl.pki.keys import algorithm
from keyferry.shape.gotmpl.values import runes

__all__ = ["Password", "Spend", "decrypt", "encrypt", "mac", "new_mac"]

Spend = Callable[[int], None]

_ITERATIONS: Final = 2048
"""Of go-pkcs12's profile "Modern"."""
_PER_STEP: Final = 4
"""Iterations that one step pays for."""

_SHA1: Final = "1.3.14.3.2.26"
_SHA256: Final = "2.16.840.1.101.3.4.2.1"
_SHA512: Final = "2.16.840.1.101.3.4.2.3"
_DIGESTS: Final = {_SHA1: ("sha1", 64), _SHA256: ("sha256", 64), _SHA512: ("sha512", 128)}
"""Hash and the length of its blocks."""

_HMAC_SHA256: Final = "1.2.840.113549.2.9"
_HMACS: Final = {"1.2.840.113549.2.7": "sha1", _HMAC_SHA256: "sha256", "1.2.840.113549.2.11": "sha512"}

_PBES2: Final = "1.2.840.113549.1.5.13"
_PBMAC1: Final = "1.2.840.113549.1.5.14"
_PBKDF2: Final = "1.2.840.113549.1.5.12"
_AES256: Final = "2.16.840.1.101.3.4.1.42"
_AES: Final = {"2.16.840.1.101.3.4.1.2": 16, "2.16.840.1.101.3.4.1.22": 24, _AES256: 32}
"""Length of the key."""
_TRIPLE_DES: Final = "1.2.840.113549.1.12.1.3"
_LEGACY: Final = {_TRIPLE_DES: 24, "1.2.840.113549.1.12.1.5": 16, "1.2.840.113549.1.12.1.6": 5}
"""Triple DES, RC2 with 128 bits and with 40 bits: length of the key."""

_FOR_KEY, _FOR_IV, _FOR_MAC = 1, 2, 3
_MAX_KEY: Final = 1024
"""Bytes of a MAC's key; files say how long it is, and 20 to 64 are usual."""


@dataclass(frozen=True, slots=True, repr=False)
class Password:
    """A password in the two forms that PKCS#12 needs: ``wide`` (UTF-16, with an end) and ``utf8``."""

    wide: bytes
    utf8: bytes

    @classmethod
    def of(cls, text: str) -> Password:
        """Raises ``FunctionError`` for characters beyond the Basic Multilingual Plane, such as most emojis."""
        text = runes(text)
        if any(each > "\uffff" for each in text):
            raise FunctionError(
                "the password holds a character that PKCS#12 has no room for, such as an emoji",
                detail="pkcs12: string contains characters that cannot be encoded in UCS-2",
            )
        return cls(text.encode("utf-16-be") + b"\0\0", text.encode())


NO_PASSWORD: Final = Password(b"", b"")
"""What some software takes an empty password for; ``Password.of("")`` is the other way to take it."""


def decrypt(kind: der.Reader, data: bytes, password: Password, spend: Spend) -> bytes:
    """``kind`` reads the content of an AlgorithmIdentifier. Raises ``FunctionError``."""
    identifier = kind.oid()
    if identifier == _PBES2:
        plain, size = _decrypt_pbes2(kind.enter(), data, password, spend)
    elif identifier in _LEGACY:
        plain, size = _decrypt_legacy(identifier, kind.enter(), data, password, spend)
    else:
        raise _unsupported("encryption", identifier, "pbe algorithm")
    padding = plain[-1] if plain else 0
    if not 1 <= padding <= size or plain[-padding:] != bytes((padding,)) * padding:
        raise FunctionError(
            "the password of the PKCS#12 file is wrong, or the file is damaged",
            detail="pkcs12: decryption error, incorrect padding",
        )
    return plain[:-padding]


def encrypt(data: bytes, password: Password, salt: bytes, iv: bytes) -> tuple[bytes, bytes]:
    """AlgorithmIdentifier and ciphertext: PBES2 of PBKDF2 with HMAC-SHA-256, and AES-256-CBC. 16 bytes each."""
    kind = algorithm(_PBES2, der.sequence(_kdf(salt), algorithm(_AES256, der.octets(iv))))
    padding = 16 - len(data) % 16
    key = hashlib.pbkdf2_hmac("sha256", password.utf8, salt, _ITERATIONS, 32)
    encryptor = Cipher(AES(key), modes.CBC(iv)).encryptor()
    return kind, encryptor.update(data + bytes((padding,)) * padding) + encryptor.finalize()


def new_mac(data: bytes, password: Password, salt: bytes) -> bytes:
    """A file's MacData: HMAC-SHA-256."""
    digest = _digest(_SHA256, data, password.wide, salt, _ITERATIONS)
    info = der.sequence(algorithm(_SHA256), der.octets(digest))
    return der.sequence(info, der.octets(salt), der.integer(_ITERATIONS))


def mac(kind: der.Reader, salt: bytes, iterations: int, data: bytes, password: Password, spend: Spend) -> bytes:
    """``kind`` reads the content of an AlgorithmIdentifier. Raises ``FunctionError``."""
    identifier = kind.oid()
    if identifier == _PBMAC1:
        parameters = kind.enter()
        derive = parameters.enter()
        hashing = _hmac(parameters.enter().oid(), "MAC")
        key = _pbkdf2(derive, password, spend, None)
        return hmac.digest(key, data, hashing)
    if identifier not in _DIGESTS:
        raise FunctionError(
            f"the MAC of the PKCS#12 file is not supported ({identifier})",
            detail=f"pkcs12: MAC digest algorithm not supported: {identifier}",
        )
    _pay(spend, iterations)
    return _digest(identifier, data, password.wide, salt, iterations)


def _digest(identifier: str, data: bytes, password: bytes, salt: bytes, iterations: int) -> bytes:
    name, block = _DIGESTS[identifier]
    size = hashlib.new(name, usedforsecurity=False).digest_size
    return hmac.digest(_derive(name, block, salt, password, iterations, _FOR_MAC, size), data, name)


def _decrypt_pbes2(parameters: der.Reader, data: bytes, password: Password, spend: Spend) -> tuple[bytes, int]:
    derive = parameters.enter()
    scheme = parameters.enter()
    identifier = scheme.oid()
    if identifier not in _AES:
        raise _unsupported("encryption", identifier, "pbes2 algorithm")
    iv = scheme.element()[1]
    if len(iv) != 16:
        raise FunctionError(
            "the PKCS#12 file is damaged", detail="cipher.NewCBCDecrypter: IV length must equal block size"
        )
    _check_blocks(data, 16)
    key = _pbkdf2(derive, password, spend, _AES[identifier])
    decryptor = Cipher(AES(key), modes.CBC(iv)).decryptor()
    return decryptor.update(data) + decryptor.finalize(), 16


def _decrypt_legacy(
    identifier: str, parameters: der.Reader, data: bytes, password: Password, spend: Spend
) -> tuple[bytes, int]:
    salt = parameters.take(der.OCTET_STRING)
    iterations = parameters.integer()
    _check_blocks(data, 8)
    _pay(spend, 3 * iterations)
    size = _LEGACY[identifier]
    key = _derive("sha1", 64, salt, password.wide, iterations, _FOR_KEY, size)
    iv = _derive("sha1", 64, salt, password.wide, iterations, _FOR_IV, 8)
    if identifier != _TRIPLE_DES:
        spend(len(data) * 4)
        return rc2.decrypt(key, iv, data), 8
    decryptor = Cipher(TripleDES(key), modes.CBC(iv)).decryptor()
    return decryptor.update(data) + decryptor.finalize(), 8


def _check_blocks(data: bytes, size: int) -> None:
    if not data or len(data) % size:
        raise FunctionError(
            "the PKCS#12 file is damaged",
            detail="pkcs12: input is not a multiple of the block size" if data else "pkcs12: empty encrypted data",
        )


def _kdf(salt: bytes) -> bytes:
    return algorithm(_PBKDF2, der.sequence(der.octets(salt), der.integer(_ITERATIONS), algorithm(_HMAC_SHA256)))


def _pbkdf2(kind: der.Reader, password: Password, spend: Spend, size: int | None) -> bytes:
    """``size`` is that of the key; None takes it from the parameters, where PBMAC1 has it."""
    identifier = kind.oid()
    if identifier != _PBKDF2:
        raise _unsupported("key derivation", identifier, "pbes2 kdf algorithm")
    parameters = kind.enter()
    salt = parameters.take(der.OCTET_STRING)
    iterations = parameters.integer()
    given = parameters.integer() if parameters.peek() == der.INTEGER else 0
    hashing = "sha1" if parameters.peek() != der.SEQUENCE else _hmac(parameters.enter().oid(), "prf")
    if size is None and not 0 < given <= _MAX_KEY:
        raise FunctionError(
            "the PKCS#12 file does not say how long its MAC's key is",
            detail="pkcs12: PBMAC1 requires explicit KeyLength parameter in PBKDF2 parameters",
        )
    _pay(spend, iterations)
    return hashlib.pbkdf2_hmac(hashing, password.utf8, salt, max(iterations, 1), size or given)


def _hmac(identifier: str, told: str) -> str:
    if identifier not in _HMACS:
        raise _unsupported("hash", identifier, told)
    return _HMACS[identifier]


def _pay(spend: Spend, iterations: int) -> None:
    spend(max(iterations, 0) // _PER_STEP)


def _derive(name: str, block: int, salt: bytes, password: bytes, iterations: int, purpose: int, size: int) -> bytes:
    """RFC 7292, appendix B.2."""
    mixed = bytearray(_repeated(salt, block) + _repeated(password, block))
    found = b""
    hashing = partial(getattr(hashlib, name), usedforsecurity=False)
    while True:
        piece: bytes = hashing(bytes((purpose,)) * block + mixed).digest()
        for _ in range(iterations - 1):
            piece = hashing(piece).digest()
        found += piece
        if len(found) >= size:
            return found[:size]
        addend = int.from_bytes(_repeated(piece, block)[:block]) + 1
        for at in range(0, len(mixed), block):
            total = int.from_bytes(mixed[at : at + block]) + addend
            mixed[at : at + block] = (total % (1 << 8 * block)).to_bytes(block)


def _repeated(pattern: bytes, block: int) -> bytes:
    """Copies of ``pattern``, cut at the first whole number of blocks that holds it."""
    size = -(-len(pattern) // block) * block
    return (pattern * (size // len(pattern) + 1))[:size] if pattern else b""


def _unsupported(what: str, identifier: str, told: str) -> FunctionError:
    return FunctionError(
        f"the {what} of the PKCS#12 file is not supported ({identifier})",
        detail=f"pkcs12: {told} {identifier} is not supported",
    )
