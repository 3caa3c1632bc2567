"""Decryption with an RSA key (ESO's function)."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.pki import keyfiles, pem
from keyferry.shape.gotmpl.pki.keys import RsaKey
from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.values import from_bytes, to_bytes

__all__ = ["REGISTRY"]

REGISTRY = Registry()

_PRICE = 1_000
"""Steps that a decryption costs."""


@REGISTRY.add("rsaDecrypt", "func(string, string, string, string) (string, error)", run=True)
def decrypt(run: Run, scheme: str, hashing: str, data: str, private_key: str) -> str:
    """RSA-OAEP with SHA1, SHA256 or SHA512; other names of hashes mean SHA256. Scheme ``None`` leaves the data alone.

    ``data`` is the bytes, not base64; the key is in PEM and not encrypted.
    """
    if scheme == "None":
        return data
    if scheme != "RSA-OAEP":
        raise FunctionError(
            "the decryption scheme is not supported; use RSA-OAEP or None",
            detail=f"decryption scheme {scheme} is not supported",
        )
    block, _ = pem.decode(to_bytes(private_key))
    if block is None:
        raise FunctionError("the private key is not PEM", detail="failed to decode PEM block")
    key = _key(block.body)
    algorithm: hashes.HashAlgorithm = hashes.SHA256()
    if hashing == "SHA1":
        algorithm = hashes.SHA1()  # noqa: S303  # the data was encrypted so
    elif hashing == "SHA512":
        algorithm = hashes.SHA512()
    run.spend(_PRICE)
    try:
        usable = key.usable()
        plain = usable.decrypt(to_bytes(data), padding.OAEP(padding.MGF1(algorithm), algorithm, None))
    except FunctionError as error:
        raise FunctionError(error.message, detail=f"error decrypting data with RSA: {error.detail}") from None
    except ValueError:
        raise FunctionError(
            "the data cannot be decrypted: wrong key, wrong hash, or still base64",
            detail="error decrypting data with RSA: crypto/rsa: decryption error",
        ) from None
    return from_bytes(plain)


def _key(data: bytes) -> RsaKey:
    try:
        key = keyfiles.any_key(data)
    except FunctionError as error:
        raise FunctionError(error.message, detail=f"could not parse private key: {error.detail}") from None
    if isinstance(key, RsaKey):
        return key
    raise FunctionError("the private key is no RSA key", detail="could not parse RSA private key")
