"""Private keys as they stand in files: PKCS#1, PKCS#8, SEC 1 and OpenSSL's form of DSA; never encrypted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.pki import der, keys, pem

__all__ = ["any_key", "from_pem", "parse_pkcs1", "parse_pkcs8", "parse_sec1"]


def from_pem(data: bytes) -> keys.PrivateKey:
    """The key of the first PEM block, whose type has to say what the key is (sprig's rule)."""
    block, _ = pem.decode(data)
    if block is None:
        raise FunctionError("the private key is not PEM", detail="no PEM data in input")
    if block.type not in _FORMATS:
        kind = block.type.decode("utf-8", "replace")
        invalid = f"invalid private key type {kind}"
        raise FunctionError(
            "the PEM block is no unencrypted private key of a known type"
            " (PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY, DSA PRIVATE KEY)",
            detail=invalid if kind.endswith(" PRIVATE KEY") else f"no private key data in PEM block of type {kind}",
        )
    form, parse, told = _FORMATS[block.type]
    try:
        return parse(block.body)
    except FunctionError as error:
        found = _format(block.body)
        if found and found != form and isinstance(error, der.DerError):
            raise FunctionError(
                f"the PEM block says that the private key is {form}, and it is {found}",
                detail=f"{told}: {_USE_INSTEAD.format(_GO_NAMES[found])}",
            ) from None
        raise FunctionError(f"the private key: {error.message}", detail=f"{told}: {error.detail}") from None


def any_key(data: bytes) -> keys.PrivateKey:
    """A key in DER, whatever its format (ESO's rule; DSA is none of them)."""
    for parse in (parse_pkcs1, parse_pkcs8, parse_sec1):
        try:
            return parse(data)
        except FunctionError:
            continue
    raise FunctionError(
        "the private key is no sound and unencrypted RSA, ECDSA, Ed25519 or X25519 key in PKCS#1, PKCS#8 or SEC 1",
        detail="unable to parse private key type",
    )


def parse_pkcs1(data: bytes) -> keys.RsaKey:
    """An RSA key. Raises ``FunctionError`` for what Go refuses, and for keys of more than two primes."""
    outer = der.Reader(data)
    inner = outer.enter()
    outer.end()
    if inner.integer() > 1:
        raise FunctionError("the version of the RSA key is unknown", detail="x509: unsupported private key version")
    n, e, d, p, q = (inner.integer() for _ in range(5))
    crt: list[int] = []
    while inner.peek() == der.INTEGER and len(crt) < 3:
        crt.append(inner.integer())
    if inner.peek() == der.SEQUENCE:
        raise FunctionError("RSA keys of more than two primes are not supported")
    if min(n, d, p, q, *crt) <= 0:
        raise FunctionError(
            "the RSA key holds a number that is not positive",
            detail="x509: private key contains zero or negative value",
        )
    return keys.RsaKey.of(n, e, d, p, q, crt)


def parse_pkcs8(data: bytes) -> keys.PrivateKey:
    """A key of any type that Go knows. Raises ``FunctionError``."""
    inner = der.Reader(data).enter()
    inner.integer()
    kind = inner.enter()
    content = inner.take(der.OCTET_STRING)
    identifier = kind.oid()
    parameters = kind.element() if kind else None
    match identifier:
        case keys.RSA:
            return _embedded("RSA", parse_pkcs1, content)
        case keys.ECDSA:
            curve = None
            if parameters is not None and parameters[0] == der.OBJECT_IDENTIFIER:
                curve = der.Reader(parameters[2]).oid()
            return _embedded("EC", lambda sec1: parse_sec1(sec1, curve), content)
        case keys.ED25519 | keys.X25519:
            seed = der.Reader(content).take(der.OCTET_STRING)
            if parameters is not None or len(seed) != 32:
                raise FunctionError("the private key is not of the length or form that its type asks for")
            return keys.Ed25519Key(seed) if identifier == keys.ED25519 else keys.X25519Key(seed)
    raise FunctionError(
        f"the private key is of an unknown type ({identifier}); use RSA, ECDSA, Ed25519 or X25519",
        detail=f"x509: PKCS#8 wrapping contained private key with unknown algorithm: {identifier}",
    )


def parse_sec1(data: bytes, curve: str | None = None) -> keys.EcKey:
    """A key on a curve; ``curve`` is the OID where the container names it. Raises ``FunctionError``."""
    inner = der.Reader(data).enter()
    version = inner.integer()
    secret = inner.take(der.OCTET_STRING)
    if version != 1:
        raise FunctionError(
            "the version of the EC key is unknown", detail=f"x509: unknown EC private key version {version}"
        )
    named = inner.optional(0xA0)
    if inner:
        tag, public, _ = inner.element()
        if tag == 0xA1:
            der.Reader(public).take(der.BIT_STRING)
    if curve is None and named is not None:
        curve = der.Reader(named).oid()
    if curve not in keys.CURVES:
        raise FunctionError(
            "the curve of the private key is not supported; use P-224, P-256, P-384 or P-521",
            detail="x509: unknown elliptic curve",
        )
    size = (keys.CURVES[curve].key_size + 7) // 8
    number = int.from_bytes(secret)
    if number.bit_length() > 8 * size:
        raise FunctionError("the private key is too long for its curve", detail="x509: invalid private key length")
    return keys.EcKey.of(curve, number)


def _embedded(kind: str, parse: Callable[[bytes], keys.PrivateKey], data: bytes) -> keys.PrivateKey:
    try:
        return parse(data)
    except FunctionError as error:
        raise FunctionError(
            error.message, detail=f"x509: failed to parse {kind} private key embedded in PKCS#8: {error.detail}"
        ) from None


def _parse_dsa(data: bytes) -> keys.DsaKey:
    inner = der.Reader(data).enter()
    for _ in range(6):
        inner.integer()
    return keys.DsaKey()


def _format(data: bytes) -> str:
    """The format that a key is in; nothing where it is none."""
    for form, parse, _ in _FORMATS.values():
        try:
            parse(data)
        except FunctionError:
            continue
        return form
    return ""


_PKCS8, _PKCS1, _SEC1, _DSA = "PKCS#8", "PKCS#1", "SEC 1", "DSA"
_FORMATS: Final[dict[bytes, tuple[str, Callable[[bytes], keys.PrivateKey], str]]] = {
    b"PRIVATE KEY": (_PKCS8, parse_pkcs8, "decoding PEM as PKCS#8"),
    b"RSA PRIVATE KEY": (_PKCS1, parse_pkcs1, "parsing RSA private key from PEM"),
    b"EC PRIVATE KEY": (_SEC1, parse_sec1, "parsing EC private key from PEM"),
    b"DSA PRIVATE KEY": (_DSA, _parse_dsa, "parsing DSA private key from PEM"),
}
"""By the type of the PEM block: format, parser, and what sprig tells of errors."""
_GO_NAMES: Final = {_PKCS8: "PKCS8", _PKCS1: "PKCS1", _SEC1: "EC", _DSA: "DSA"}
_USE_INSTEAD: Final = "x509: failed to parse private key (use Parse{}PrivateKey instead for this key format)"
