"""PKCS#12 files, read and written (ESO's functions).

``KEYPass`` functions take the password; the others take the empty one. Files are written anew with every call, since
their salts are random.
"""

from __future__ import annotations

import base64
import contextlib

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.pki import certs, keyfiles, pem, pfx
from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.values import to_bytes

__all__ = ["REGISTRY"]

REGISTRY = Registry()

_WRITE = 2_000
"""Steps that encrypting costs."""
_NIL_POINTER = "runtime error: invalid memory address or nil pointer dereference"


@REGISTRY.add("pkcs12keyPass", "func(string, string) (string, error)", run=True)
def key_pass(run: Run, password: str, data: str) -> str:
    """The private key as PKCS#8 in PEM."""
    content = _read(run, password, data, "unable to decode pkcs12 with password")
    return pem.encode(pem.Block(b"PRIVATE KEY", content.key.pkcs8())).decode()


@REGISTRY.add("pkcs12key", "func(string) (string, error)", run=True)
def key(run: Run, data: str) -> str:
    return key_pass(run, "", data)


@REGISTRY.add("pkcs12certPass", "func(string, string) (string, error)", run=True)
def certificate_pass(run: Run, password: str, data: str) -> str:
    """The certificates in PEM, from the leaf up; in the file's order where they are not one chain."""
    chain = [*_read(run, password, data, "unable to decode pkcs12 certificate with password").certificates]
    with contextlib.suppress(FunctionError):
        chain = certs.order(chain)
    return certs.to_pem(chain).decode()


@REGISTRY.add("pkcs12cert", "func(string) (string, error)", run=True)
def certificate(run: Run, data: str) -> str:
    return certificate_pass(run, "", data)


@REGISTRY.add("pemToPkcs12", "func(string, string) (string, error)", run=True)
def from_pem(run: Run, certificate: str, private_key: str) -> str:
    """A file of the first certificate and its key, in base64."""
    first, _ = _certificate(to_bytes(certificate), 0)
    return _written(run, [first], private_key, "", "pemToPkcs12")


@REGISTRY.add("pemToPkcs12Pass", "func(string, string, string) (string, error)", run=True)
def from_pem_pass(run: Run, certificate: str, private_key: str, password: str) -> str:
    first, _ = _certificate(to_bytes(certificate), 0)
    return _written(run, [first], private_key, password, "pemToPkcs12Pass")


@REGISTRY.add("fullPemToPkcs12", "func(string, string) (string, error)", run=True)
def from_full_pem(run: Run, chain: str, private_key: str) -> str:
    """A file of all certificates, that of the key first, and the key, in base64."""
    return _written(run, _chain(chain), private_key, "", "fullPemToPkcs12")


@REGISTRY.add("fullPemToPkcs12Pass", "func(string, string, string) (string, error)", run=True)
def from_full_pem_pass(run: Run, chain: str, private_key: str, password: str) -> str:
    return _written(run, _chain(chain), private_key, password, "fullPemToPkcs12Pass")


@REGISTRY.add("pemTruststoreToPKCS12", "func(string) (string, error)", run=True)
def trust_store(run: Run, certificates: str) -> str:
    """A file of certificates that Java takes for a trust store, in base64."""
    return _trust_store(run, certificates, "", "pemTruststoreToPKCS12")


@REGISTRY.add("pemTruststoreToPKCS12Pass", "func(string, string) (string, error)", run=True)
def trust_store_pass(run: Run, certificates: str, password: str) -> str:
    return _trust_store(run, certificates, password, "pemTruststoreToPKCS12Pass")


def _read(run: Run, password: str, data: str, told: str) -> pfx.Content:
    raw = to_bytes(data)
    run.spend(len(raw) >> 8)
    try:
        return pfx.read(raw, password, run.spend)
    except FunctionError as error:
        raise FunctionError(error.message, detail=f"{told}: {error.detail}") from None


def _written(run: Run, chain: list[certs.Certificate], private_key: str, password: str, function: str) -> str:
    block, _ = pem.decode(to_bytes(private_key))
    if block is None:
        raise FunctionError("the private key is not PEM", detail=_NIL_POINTER)
    parsed = keyfiles.any_key(block.body)
    run.spend(2 * _WRITE)
    written = pfx.write(parsed, chain, password, lambda size: run.entropy(size, function))
    return base64.b64encode(written).decode()


def _trust_store(run: Run, certificates: str, password: str, function: str) -> str:
    trusted = _certificates(to_bytes(certificates), 0)
    run.spend(_WRITE)
    written = pfx.write_trust_store(trusted, password, lambda size: run.entropy(size, function))
    return base64.b64encode(written).decode()


def _chain(text: str) -> list[certs.Certificate]:
    data = to_bytes(text)
    first, at = _certificate(data, 0)
    return [first, *_certificates(data, at)]


def _certificates(data: bytes, at: int) -> list[certs.Certificate]:
    """All certificates from ``at`` on, with nothing after them."""
    found: list[certs.Certificate] = []
    while at < len(data):
        certificate, at = _certificate(data, at)
        found.append(certificate)
    return found


def _certificate(data: bytes, at: int) -> tuple[certs.Certificate, int]:
    block, rest = pem.decode(data, at)
    if block is None and at:
        raise FunctionError(
            "there is something after the last certificate that is no PEM, if only an empty line: trim it",
            detail=_NIL_POINTER,
        )
    if block is None:
        raise FunctionError("the certificate is not PEM", detail=_NIL_POINTER)
    return certs.parse(block.body), rest
