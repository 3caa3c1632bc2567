"""JSON Web Keys as PEM (ESO's functions), by the rules of ``jwx`` 2.1."""

from __future__ import annotations

from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from keyferry.errors import BadValue
from keyferry.shape import jsontext
from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.pki import keys, pem
from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.values import to_bytes

__all__ = ["REGISTRY"]

REGISTRY = Registry()

_CURVES: Final = {"P-256": "1.2.840.10045.3.1.7", "P-384": "1.3.132.0.34", "P-521": "1.3.132.0.35"}
_GO_NAMES: Final = {"RSA": "rsa", "EC": "ecdsa", "OKP": "okp"}
_NEEDED: Final = {"RSA": ("e", "n"), "EC": ("x", "y"), "OKP": ("x",)}
"""By ``kty``: the fields in base64 that a public key needs. A private one needs ``d`` as well."""
_CRT: Final = ("dp", "dq", "qi")
_TEXTS: Final = ("alg", "crv", "kid", "use", "x5t", "x5t#S256", "x5u")
_LISTS: Final = ("key_ops", "x5c")
_TO_STANDARD: Final = str.maketrans("-_", "+/")
_NO_BREAKS: Final = str.maketrans("", "", "\r\n")


@REGISTRY.add("jwkPublicKeyPem", "func(string) (string, error)")
def public_key(text: str) -> str:
    """The public key of a public JWK; a private one is refused, as in Go."""
    jwk = _Jwk(text)
    if jwk.is_private:
        raise FunctionError(
            "the JWK is a private key: leave its private parts out, or use jwkPrivateKeyPem",
            detail=f"x509: unsupported public key type: {jwk.go_type}",
        )
    return pem.encode(pem.Block(b"PUBLIC KEY", keys.public_key_info(jwk.public()))).decode()


@REGISTRY.add("jwkPrivateKeyPem", "func(string) (string, error)")
def private_key(text: str) -> str:
    """The private key as PKCS#8."""
    jwk = _Jwk(text)
    if not jwk.is_private:
        raise FunctionError(
            "the JWK is a public key: use jwkPublicKeyPem",
            detail=f"x509: unknown key type while marshaling PKCS#8: {jwk.go_type}",
        )
    return pem.encode(pem.Block(b"PRIVATE KEY", jwk.private().pkcs8())).decode()


class _Jwk:
    """A JWK whose fields are of the right types. The repr shows nothing."""

    def __init__(self, text: str) -> None:
        """Raises ``FunctionError``."""
        fields = _parsed(text)
        kinds = [value for name, value in fields.items() if value is not None and name.casefold() == "kty"]
        kind = kinds[-1] if kinds and type(kinds[-1]) is str else ""
        if kind not in _NEEDED:
            what = "is a set of JWKs, and one is needed" if "keys" in fields else "has no kty that is RSA, EC or OKP"
            raise FunctionError(f"this {what}", detail=f"invalid key type from JSON ({kind})")
        self._kind = kind
        self.is_private = "d" in fields
        needed = (*_NEEDED[kind], "d") if self.is_private else _NEEDED[kind]
        others = ("p", "q", *_CRT) if self.is_private and kind == "RSA" else ()
        self._bytes = {name: self._decoded(name, fields[name]) for name in (*needed, *others) if name in fields}
        for name in _TEXTS:
            self._check(name, fields.get(name))
        for name in _LISTS:
            for each in self._listed(name, fields.get(name)):
                self._check(name, each)
        missing = [name for name in ("crv",) if kind != "RSA" and name not in fields]
        missing += [name for name in needed if name not in fields]
        if missing:
            raise self._unreadable(f"it has no {missing[0]}", f"required field {missing[0]} is missing")
        self._curve = fields.get("crv") or ""

    @property
    def go_type(self) -> str:
        """Go's type of the key."""
        side = "Private" if self.is_private else "Public"
        if self._kind == "OKP":
            return f"{self._curve.lower()}.{side}Key"
        return f"*{_GO_NAMES[self._kind]}.{side}Key"

    def public(self) -> tuple[bytes, bytes]:
        """AlgorithmIdentifier and bytes of the public key. Raises ``FunctionError``."""
        if self._kind == "RSA":
            return keys.rsa_public(self._number("n"), self._exponent())
        if self._kind == "EC":
            return keys.ec_public(*self._point())
        self._check_curve("Ed25519", "X25519")
        if self._curve == "X25519":
            raise FunctionError(
                "X25519 keys have no PEM here; use RSA, EC or Ed25519",
                detail=f"x509: unsupported public key type: {self.go_type}",
            )
        return keys.algorithm(keys.ED25519), self._bytes["x"]

    def private(self) -> keys.PrivateKey:
        """Raises ``FunctionError``."""
        if self._kind == "RSA":
            return self._rsa()
        if self._kind == "EC":
            return self._ec()
        self._check_curve("Ed25519", "X25519")
        if self._curve == "X25519":
            raise FunctionError(
                "X25519 keys have no PEM here; use RSA, EC or Ed25519",
                detail=f"x509: unknown key type while marshaling PKCS#8: {self.go_type}",
            )
        return self._ed25519()

    def _rsa(self) -> keys.RsaKey:
        missing = [name for name in ("p", "q") if name not in self._bytes]
        if missing:
            raise FunctionError(f"the JWK has no {missing[0]}", detail="modulus must be > 1")
        crt = [self._number(name) for name in _CRT if self._bytes.get(name)]
        d, p, q = (self._number(name) for name in ("d", "p", "q"))
        return keys.RsaKey.of(self._number("n"), self._exponent(), d, p, q, crt)

    def _ec(self) -> keys.EcKey:
        """Whether d belongs to x and y is not looked at, as in Go."""
        curve, point = self._point()
        secret = self._number("d")
        keys.EcKey.of(curve, secret)
        return keys.EcKey(curve, secret, point)

    def _ed25519(self) -> keys.Ed25519Key:
        seed = self._bytes["d"]
        if len(seed) != 32:
            raise FunctionError("d is not of 32 bytes", detail="failed to build public key: wrong private key size")
        public = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        if public != self._bytes["x"]:
            raise FunctionError(
                "x does not belong to d", detail="failed to build public key: invalid x value given d value"
            )
        return keys.Ed25519Key(seed)

    def _point(self) -> tuple[str, bytes]:
        """OID of the curve, and the point, uncompressed."""
        self._check_curve(*_CURVES)
        curve = _CURVES[self._curve]
        size = (keys.CURVES[curve].key_size + 7) // 8
        x, y = self._number("x"), self._number("y")
        try:
            point = b"\x04" + x.to_bytes(size) + y.to_bytes(size)
            ec.EllipticCurvePublicKey.from_encoded_point(keys.CURVES[curve], point)
        except (ValueError, OverflowError):
            raise FunctionError(
                f"x and y are no point of the curve {self._curve}",
                detail=f"{self._curve.replace('-', '')} point not on curve",
            ) from None
        return curve, point

    def _check_curve(self, *known: str) -> None:
        if self._curve not in known:
            raise FunctionError(
                f"its crv is not one of {', '.join(known)}",
                detail=f"failed to build public key: invalid curve algorithm {self._curve}",
            )

    def _exponent(self) -> int:
        """Go keeps the lower 64 bits, with their sign."""
        return (self._number("e") + (1 << 63)) % (1 << 64) - (1 << 63)

    def _number(self, name: str) -> int:
        return int.from_bytes(self._bytes[name])

    def _decoded(self, name: str, value: Any) -> bytes:
        """Base64 of any kind: with or without padding, in the standard or in the URL alphabet."""
        self._check(name, value)
        text = value or ""
        standard = text if "+" in text or "/" in text else text.translate(_TO_STANDARD)
        if not text.endswith("="):
            standard = "!" if "=" in text else standard + "=" * (-len(standard.translate(_NO_BREAKS)) % 4)
        decoded = pem.decode_base64(to_bytes(standard))
        if decoded is None:
            raise self._unreadable(
                f"its {name} is not base64url",
                f"failed to decode value for key {name}: expected base64 encoded []byte (string)",
            )
        return decoded

    def _check(self, name: str, value: Any) -> None:
        """Go reads null as the empty string."""
        if value is not None and type(value) is not str:
            raise self._unreadable(f"its {name} is no string", f"failed to decode value for key {name}")

    def _listed(self, name: str, value: Any) -> list[Any]:
        if value is not None and not isinstance(value, list):
            raise self._unreadable(f"its {name} is no list", f"failed to decode value for key {name}")
        return value or []

    def _unreadable(self, message: str, detail: str) -> FunctionError:
        key = f"*jwk.{_GO_NAMES[self._kind]}{'Private' if self.is_private else 'Public'}Key"
        return FunctionError(
            f"the JWK cannot be used: {message}", detail=f"failed to unmarshal JSON into key ({key}): {detail}"
        )


def _parsed(text: str) -> dict[str, Any]:
    try:
        fields = jsontext.loads(to_bytes(text), floats=True)
    except BadValue:
        fields = None
    if not isinstance(fields, dict):
        raise FunctionError("the JWK is no JSON object", detail="failed to unmarshal JSON into key hint")
    return fields
