"""New keys and certificates (sprig).

Certificates are Go's field by field: SHA-256 (or what the curve asks for), for servers and clients, valid from now
on. Whoever makes them in an ExternalSecret gets new ones with every refresh.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.fmt import sprint
from keyferry.shape.gotmpl.pki import certs, issue, keyfiles, keys, pem
from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.types import CERTIFICATE, GoType
from keyferry.shape.gotmpl.values import Struct, Value, from_bytes, to_bytes

__all__ = ["REGISTRY", "Certificate"]

REGISTRY = Registry()

_RSA_2048_PRICE: Final = 20_000
_RSA_4096_PRICE: Final = 300_000
_DSA_PRICE: Final = 75_000
_SMALL_PRICE: Final = 500
"""Of a key on a curve, and of signing."""


@dataclass(frozen=True, slots=True, repr=False)
class Certificate(Struct):
    """sprig's certificate: both in PEM."""

    go_type: ClassVar[GoType] = CERTIFICATE
    cert: str
    key: str

    def __repr__(self) -> str:
        return "Certificate"

    def fields(self) -> Mapping[str, Value]:
        return {"Cert": self.cert, "Key": self.key}


@REGISTRY.add("genPrivateKey", "func(string) string", run=True)
def private_key(run: Run, kind: str) -> str:
    """A key in PEM: ``rsa`` (4096 bits, also for the empty string), ``dsa``, ``ecdsa`` (P-256) or ``ed25519``."""
    run.chance("genPrivateKey")
    makers: dict[str, tuple[int, Callable[[], pem.Block]]] = {
        "": (_RSA_4096_PRICE, lambda: keys.RsaKey.generate(4096).block()),
        "rsa": (_RSA_4096_PRICE, lambda: keys.RsaKey.generate(4096).block()),
        "dsa": (_DSA_PRICE, keys.new_dsa),
        "ecdsa": (_SMALL_PRICE, lambda: keys.EcKey.generate().block()),
        "ed25519": (_SMALL_PRICE, lambda: keys.Ed25519Key.generate().block()),
    }
    if kind not in makers:
        return f"Unknown type {kind}"
    price, make = makers[kind]
    with run.priced(price):
        return pem.encode(make()).decode()


@REGISTRY.add("buildCustomCert", "func(string, string) (sprig.certificate, error)")
def build(cert: str, key: str) -> Certificate:
    """A certificate and its key, of both in base64 of PEM. Whether they belong together is not looked at."""
    certificate, private = _unpacked(cert, "certificate"), _unpacked(key, "private key")
    _parse_certificate(certificate, "decodedCert")
    _parse_key(private)
    return Certificate(from_bytes(certificate), from_bytes(private))


@REGISTRY.add("genCA", "func(string, int) (sprig.certificate, error)", run=True)
def ca(run: Run, name: str, days: int) -> Certificate:
    return _Order(run, "genCA", name, days, is_ca=True).fill(_new_key(run, "genCA"))


@REGISTRY.add("genCAWithKey", "func(string, int, string) (sprig.certificate, error)", run=True)
def ca_with_key(run: Run, name: str, days: int, key: str) -> Certificate:
    private = _given_key(key)
    return _Order(run, "genCAWithKey", name, days, is_ca=True).fill(private)


@REGISTRY.add(
    "genSelfSignedCert", "func(string, []interface {}, []interface {}, int) (sprig.certificate, error)", run=True
)
def self_signed(run: Run, name: str, ips: list[Value], domains: list[Value], days: int) -> Certificate:
    order = _Order(run, "genSelfSignedCert", name, days, ips, domains)
    return order.fill(_new_key(run, "genSelfSignedCert"))


@REGISTRY.add(
    "genSelfSignedCertWithKey",
    "func(string, []interface {}, []interface {}, int, string) (sprig.certificate, error)",
    run=True,
)
def self_signed_with_key(
    run: Run, name: str, ips: list[Value], domains: list[Value], days: int, key: str
) -> Certificate:
    private = _given_key(key)
    return _Order(run, "genSelfSignedCertWithKey", name, days, ips, domains).fill(private)


@REGISTRY.add(
    "genSignedCert",
    "func(string, []interface {}, []interface {}, int, sprig.certificate) (sprig.certificate, error)",
    run=True,
)
def signed(run: Run, name: str, ips: list[Value], domains: list[Value], days: int, signer: Certificate) -> Certificate:
    order = _Order(run, "genSignedCert", name, days, ips, domains, signer=signer)
    return order.fill(_new_key(run, "genSignedCert"))


@REGISTRY.add(
    "genSignedCertWithKey",
    "func(string, []interface {}, []interface {}, int, sprig.certificate, string) (sprig.certificate, error)",
    run=True,
)
def signed_with_key(
    run: Run, name: str, ips: list[Value], domains: list[Value], days: int, signer: Certificate, key: str
) -> Certificate:
    private = _given_key(key)
    return _Order(run, "genSignedCertWithKey", name, days, ips, domains, signer=signer).fill(private)


class _Order:
    """A certificate that is asked for. What is wrong with it is told before a key is made."""

    def __init__(
        self,
        run: Run,
        function: str,
        name: str,
        days: int,
        ips: list[Value] | tuple[()] = (),
        domains: list[Value] | tuple[()] = (),
        *,
        signer: Certificate | None = None,
        is_ca: bool = False,
    ) -> None:
        self._run = run
        self._function = function
        self._issuer = None if signer is None else _parse_certificate(to_bytes(signer.cert), "decodedSignerCert")
        self._signer = None if signer is None else _parse_key(to_bytes(signer.key))
        now = run.now(function)
        self._request = issue.Request(
            common_name=name,
            not_before=now,
            not_after=issue.expiry(now, days),
            serial=int.from_bytes(run.entropy(16, function)),
            addresses=[_address(run, each) for each in ips],
            domains=[_domain(run, each) for each in domains],
            is_ca=is_ca,
        )

    def fill(self, key: keys.PrivateKey) -> Certificate:
        """The certificate for this key."""
        self._run.chance(self._function)
        self._run.spend(_SMALL_PRICE)
        try:
            made = issue.issue(self._request, key, self._issuer, self._signer)
        except FunctionError as error:
            raise FunctionError(error.message, detail=f"error creating certificate: {error.detail}") from None
        cert = pem.encode(pem.Block(pem.CERTIFICATE, made))
        return Certificate(cert.decode(), pem.encode(key.block()).decode())


def _new_key(run: Run, function: str) -> keys.PrivateKey:
    run.chance(function)
    with run.priced(_RSA_2048_PRICE):
        return keys.RsaKey.generate(2048)


def _given_key(text: str) -> keys.PrivateKey:
    try:
        return keyfiles.from_pem(to_bytes(text))
    except FunctionError as error:
        raise FunctionError(error.message, detail=f"parsing private key: {error.detail}") from None


def _parse_key(data: bytes) -> keys.PrivateKey:
    try:
        return keyfiles.from_pem(data)
    except FunctionError as error:
        raise FunctionError(error.message, detail=f"error parsing private key: {error.detail}") from None


def _parse_certificate(data: bytes, told: str) -> certs.Certificate:
    block, _ = pem.decode(data)
    if block is None:
        raise FunctionError("the certificate is not PEM", detail="unable to decode certificate")
    try:
        return certs.parse(block.body)
    except FunctionError as error:
        raise FunctionError(error.message, detail=f"error parsing certificate: {told}.Bytes: {error.detail}") from None


def _unpacked(text: str, what: str) -> bytes:
    data = pem.decode_base64(to_bytes(text))
    if data is None:
        raise FunctionError(f"the {what} is not base64", detail=f"unable to decode base64 {what}")
    return data


def _address(run: Run, value: Value) -> bytes:
    if not isinstance(value, str):
        raise FunctionError(
            "an IP address is not a string", detail=f"error parsing ip: {sprint(run, (value,))} is not a string"
        )
    address = issue.parse_address(value)
    if address is None:
        raise FunctionError("an IP address is not valid", detail=f"error parsing ip: {value}")
    return address


def _domain(run: Run, value: Value) -> str:
    if isinstance(value, str):
        return value
    raise FunctionError(
        "a DNS name is not a string",
        detail=f"error processing alternate dns name: {sprint(run, (value,))} is not a string",
    )
