"""Private keys: RSA, ECDSA on NIST's curves, Ed25519 and X25519, and how Go writes them.

A key holds its numbers and is written from them; the library's object is made when there is work to do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.pki import der
from keyferry.shape.gotmpl.pki.pem import Block

__all__ = [
    "CURVES",
    "ECDSA",
    "ED25519",
    "RSA",
    "X25519",
    "DsaKey",
    "EcKey",
    "Ed25519Key",
    "PrivateKey",
    "RsaKey",
    "X25519Key",
    "algorithm",
    "ec_public",
    "new_dsa",
    "public_key_info",
    "rsa_public",
]

RSA: Final = "1.2.840.113549.1.1.1"
ECDSA: Final = "1.2.840.10045.2.1"
X25519: Final = "1.3.101.110"
ED25519: Final = "1.3.101.112"
_RSA_SHA256: Final = "1.2.840.113549.1.1.11"

CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "1.3.132.0.33": ec.SECP224R1(),
    "1.2.840.10045.3.1.7": ec.SECP256R1(),
    "1.3.132.0.34": ec.SECP384R1(),
    "1.3.132.0.35": ec.SECP521R1(),
}
"""The curves that Go knows, by OID."""

_SIGNATURES: Final[dict[str, tuple[str, hashes.HashAlgorithm]]] = {
    "1.3.132.0.33": ("1.2.840.10045.4.3.2", hashes.SHA256()),
    "1.2.840.10045.3.1.7": ("1.2.840.10045.4.3.2", hashes.SHA256()),
    "1.3.132.0.34": ("1.2.840.10045.4.3.3", hashes.SHA384()),
    "1.3.132.0.35": ("1.2.840.10045.4.3.4", hashes.SHA512()),
}
"""How keys on a curve sign."""

_MIN_RSA_BITS: Final = 1024
_MAX_RSA_BITS: Final = 16384
"""OpenSSL's limit; arithmetic beyond it takes too long."""


def algorithm(identifier: str, *parameters: bytes) -> bytes:
    """An AlgorithmIdentifier."""
    return der.sequence(der.oid(identifier), *parameters)


def public_key_info(public: tuple[bytes, bytes]) -> bytes:
    """A SubjectPublicKeyInfo of an AlgorithmIdentifier and the key's bytes."""
    return der.sequence(public[0], der.bits(public[1]))


def rsa_public(n: int, e: int) -> tuple[bytes, bytes]:
    """AlgorithmIdentifier and bytes of an RSA public key."""
    return algorithm(RSA, der.NULL), der.sequence(der.integer(n), der.integer(e))


def ec_public(curve: str, point: bytes) -> tuple[bytes, bytes]:
    """AlgorithmIdentifier and bytes of a public key on a curve, which is given by its OID."""
    return algorithm(ECDSA, der.oid(curve)), point


class PrivateKey(ABC):
    """The repr shows nothing."""

    __slots__ = ()

    def __repr__(self) -> str:
        return type(self).__name__

    @property
    @abstractmethod
    def public(self) -> tuple[bytes, bytes]:
        """AlgorithmIdentifier and bytes of the public key."""

    @abstractmethod
    def pkcs8(self) -> bytes:
        """PKCS#8, unencrypted."""

    def block(self) -> Block:
        """The PEM block that sprig writes."""
        return Block(b"PRIVATE KEY", self.pkcs8())

    @property
    def signs_with(self) -> bytes:
        """AlgorithmIdentifier of the signatures, which is Go's choice. Raises where the key cannot sign."""
        raise _no_signer()

    def sign(self, data: bytes) -> bytes:  # noqa: ARG002 - what cannot sign looks at nothing
        """The signature of ``data``. Raises where the key cannot sign."""
        raise _no_signer()


def _no_signer() -> FunctionError:
    return FunctionError(
        "a key of this type cannot sign certificates; use RSA, ECDSA or Ed25519",
        detail="x509: certificate private key does not implement crypto.Signer",
    )


@dataclass(frozen=True, slots=True, repr=False)
class RsaKey(PrivateKey):
    """``dp``, ``dq`` and ``qinv`` are the CRT values, as in PKCS#1."""

    n: int
    e: int
    d: int
    p: int
    q: int
    dp: int
    dq: int
    qinv: int

    @classmethod
    def generate(cls, size: int) -> Self:
        numbers = rsa.generate_private_key(65537, size).private_numbers()
        public = numbers.public_numbers
        return cls(public.n, public.e, numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)

    @classmethod
    def of(cls, n: int, e: int, d: int, p: int, q: int, crt: Sequence[int] = ()) -> Self:
        """The key of these numbers, all of them positive; ``crt`` is computed where it is not complete.

        Go's checks: the numbers belong together, and the worst of the weak keys are refused. The library's own, which
        tests primes, takes a quarter of a second for 4096 bits.
        """
        size = n.bit_length()
        if size > _MAX_RSA_BITS:
            raise FunctionError(f"RSA keys of more than {_MAX_RSA_BITS} bits are not supported")
        if not n & 1:
            raise _unsound("public modulus is even")
        if not (2 <= e < 1 << 31 and e & 1):
            raise _unsound("public exponent is out of range or even")
        if not 1 < p < n or not 1 < q < n or d >= n:
            raise _unsound("invalid prime")
        crt = crt if len(crt) == 3 else (d % (p - 1), d % (q - 1), _inverse(q, p))
        key = cls(n, e, d, p, q, *crt)
        wrong = key._inconsistency()
        if wrong:
            raise _unsound(wrong)
        return key

    def _inconsistency(self) -> str:
        """What does not fit together, or nothing."""
        n, p, q = self.n, self.p, self.q
        half = n.bit_length() // 2
        checks: tuple[tuple[bool, str], ...] = (
            (p * q % n == 0, "p * q != n"),
            (self.dp < p - 1 and self.e * self.dp % (p - 1) == 1, "invalid CRT exponent"),
            (self.dq < q - 1 and self.e * self.dq % (q - 1) == 1, "invalid CRT exponent"),
            (self.qinv < p and self.qinv * q % p == 1, "invalid CRT coefficient"),
            (self.d % (p - 1) == self.dp, "d does not match dP"),
            (self.d % (q - 1) == self.dq, "d does not match dQ"),
            ((p - q).bit_length() > half - 100, "|p - q| too small"),
            (self.d.bit_length() > half, "d too small"),
        )
        return next((told for right, told in checks if not right), "")

    @property
    def public(self) -> tuple[bytes, bytes]:
        return rsa_public(self.n, self.e)

    def pkcs1(self) -> bytes:
        numbers = (0, self.n, self.e, self.d, self.p, self.q, self.dp, self.dq, self.qinv)
        return der.sequence(*map(der.integer, numbers))

    def pkcs8(self) -> bytes:
        return der.sequence(der.integer(0), algorithm(RSA, der.NULL), der.octets(self.pkcs1()))

    def block(self) -> Block:
        return Block(b"RSA PRIVATE KEY", self.pkcs1())

    def usable(self) -> rsa.RSAPrivateKey:
        """The library's key. Raises for a key that is too short to be used."""
        if self.n.bit_length() < _MIN_RSA_BITS:
            raise FunctionError(
                f"RSA keys of less than {_MIN_RSA_BITS} bits are insecure and refused",
                detail=f"crypto/rsa: {self.n.bit_length()}-bit keys are insecure"
                " (see https://go.dev/pkg/crypto/rsa#hdr-Minimum_key_size)",
            )
        public = rsa.RSAPublicNumbers(self.e, self.n)
        numbers = rsa.RSAPrivateNumbers(self.p, self.q, self.d, self.dp, self.dq, self.qinv, public)
        return numbers.private_key(unsafe_skip_rsa_key_validation=True)

    @property
    def signs_with(self) -> bytes:
        return algorithm(_RSA_SHA256, der.NULL)

    def sign(self, data: bytes) -> bytes:
        return self.usable().sign(data, padding.PKCS1v15(), hashes.SHA256())


@dataclass(frozen=True, slots=True, repr=False)
class EcKey(PrivateKey):
    """``curve`` is the curve's OID; ``point`` is the public key, uncompressed."""

    curve: str
    secret: int
    point: bytes

    @classmethod
    def of(cls, curve: str, secret: int) -> Self:
        """The key of a secret number. Raises where it is out of the curve's range."""
        try:
            key = ec.derive_private_key(secret, CURVES[curve])
        except ValueError:
            raise FunctionError(
                "the private key is out of the range of its curve", detail="crypto/ecdsa: invalid private key"
            ) from None
        return cls(curve, secret, key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))

    @classmethod
    def generate(cls) -> Self:
        """A key on P-256."""
        secret = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
        return cls.of("1.2.840.10045.3.1.7", secret)

    @property
    def public(self) -> tuple[bytes, bytes]:
        return ec_public(self.curve, self.point)

    def sec1(self, *parameters: bytes) -> bytes:
        secret = self.secret.to_bytes((CURVES[self.curve].key_size + 7) // 8)
        return der.sequence(der.integer(1), der.octets(secret), *parameters, der.explicit(1, der.bits(self.point)))

    def pkcs8(self) -> bytes:
        return der.sequence(der.integer(0), self.public[0], der.octets(self.sec1()))

    def block(self) -> Block:
        return Block(b"EC PRIVATE KEY", self.sec1(der.explicit(0, der.oid(self.curve))))

    @property
    def signs_with(self) -> bytes:
        return algorithm(_SIGNATURES[self.curve][0])

    def sign(self, data: bytes) -> bytes:
        key = ec.derive_private_key(self.secret, CURVES[self.curve])
        return key.sign(data, ec.ECDSA(_SIGNATURES[self.curve][1]))


@dataclass(frozen=True, slots=True, repr=False)
class Ed25519Key(PrivateKey):
    seed: bytes

    @classmethod
    def generate(cls) -> Self:
        return cls(ed25519.Ed25519PrivateKey.generate().private_bytes_raw())

    @property
    def public(self) -> tuple[bytes, bytes]:
        key = ed25519.Ed25519PrivateKey.from_private_bytes(self.seed)
        return algorithm(ED25519), key.public_key().public_bytes_raw()

    def pkcs8(self) -> bytes:
        return der.sequence(der.integer(0), algorithm(ED25519), der.octets(der.octets(self.seed)))

    @property
    def signs_with(self) -> bytes:
        return algorithm(ED25519)

    def sign(self, data: bytes) -> bytes:
        return ed25519.Ed25519PrivateKey.from_private_bytes(self.seed).sign(data)


@dataclass(frozen=True, slots=True, repr=False)
class X25519Key(PrivateKey):
    """A key for key agreement: Go reads and writes it, and makes no certificate of it."""

    seed: bytes

    @property
    def public(self) -> tuple[bytes, bytes]:
        raise FunctionError(
            "certificates of X25519 keys are not supported", detail="x509: unsupported public key type: *ecdh.PublicKey"
        )

    def pkcs8(self) -> bytes:
        return der.sequence(der.integer(0), algorithm(X25519), der.octets(der.octets(self.seed)))


class DsaKey(PrivateKey):
    """A DSA key: sprig reads it, and there is nothing that Go does with it then."""

    __slots__ = ()

    @property
    def public(self) -> tuple[bytes, bytes]:
        raise FunctionError(
            "certificates of DSA keys are not supported", detail="x509: unsupported public key type: *dsa.PublicKey"
        )

    def pkcs8(self) -> bytes:
        raise FunctionError(
            "DSA keys are not supported here", detail="x509: unknown key type while marshaling PKCS#8: *dsa.PrivateKey"
        )


def new_dsa() -> Block:
    """A new DSA key of 2048 and 256 bits, as OpenSSL writes it."""
    numbers = dsa.generate_private_key(2048).private_numbers()
    public = numbers.public_numbers
    parameters = public.parameter_numbers
    values = (0, parameters.p, parameters.q, parameters.g, public.y, numbers.x)
    return Block(b"DSA PRIVATE KEY", der.sequence(*map(der.integer, values)))


def _inverse(value: int, modulus: int) -> int:
    try:
        return pow(value, -1, modulus)
    except ValueError:
        raise _unsound("invalid CRT coefficient") from None


def _unsound(reason: str) -> FunctionError:
    return FunctionError("the numbers of the RSA key do not belong together", detail=f"crypto/rsa: {reason}")
