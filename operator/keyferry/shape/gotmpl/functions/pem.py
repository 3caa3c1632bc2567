"""PEM files: blocks of one type, parts of a chain of certificates, the names of a certificate (ESO's functions)."""

from __future__ import annotations

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.pki import certs, pem
from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.values import TypedSlice, from_bytes, strings, to_bytes

__all__ = ["REGISTRY"]

REGISTRY = Registry()


@REGISTRY.add("filterPEM", "func(string, string) (string, error)", run=True)
def filter_pem(run: Run, kind: str, text: str) -> str:
    """The blocks of a type, whose case does not matter; nothing where there are none but others."""
    data = _from_begin(run, text)
    found: list[bytes] = []
    block, rest = pem.decode(data)
    while block is not None:
        if from_bytes(block.type).casefold() == kind.casefold():
            found.append(pem.encode(block))
        block, rest = pem.decode(data, rest)
    if not found and rest < len(data):
        raise FunctionError(
            "there is text that is no PEM, and no block of the type", detail="error filtering pem: found junk"
        )
    return from_bytes(b"".join(found))


@REGISTRY.add("filterCertChain", "func(string, string) (string, error)", run=True)
def filter_chain(run: Run, part: str, text: str) -> str:
    """``leaf``, ``intermediate`` or ``root`` of a chain in any order; nothing where it lacks that part.

    Only the names of keys in the certificates are looked at: no signature is verified.
    """
    data = to_bytes(text)
    run.spend(len(data) >> 8)
    chain = certs.order([certs.parse(block.body) for block in pem.blocks(data)])
    found: list[certs.Certificate] = []
    match part:
        case "leaf":
            found = [each for each in chain[:1] if not each.is_root]
        case "intermediate":
            root = next((at for at, each in enumerate(chain) if at and each.is_root), len(chain))
            found = chain[1:root]
        case "root":
            found = [each for each in chain[-1:] if each.is_root]
    return certs.to_pem(found).decode()


@REGISTRY.add("certSANs", "func(string) ([]string, error)", run=True)
def alternative_names(run: Run, text: str) -> TypedSlice:
    """DNS names, IP addresses, email addresses and URIs of the first certificate."""
    block, _ = pem.decode(_from_begin(run, text))
    if block is None:
        raise FunctionError("the certificate is not PEM", detail="failed to decode PEM block")
    try:
        return strings(certs.parse(block.body).alternative_names)
    except FunctionError as error:
        raise FunctionError(error.message, detail=f"failed to parse certificate: {error.detail}") from None


def _from_begin(run: Run, text: str) -> bytes:
    """What stands before the first BEGIN may share its line."""
    data = to_bytes(text)
    run.spend(len(data) >> 8)
    return data[max(data.find(b"-----BEGIN"), 0) :]
