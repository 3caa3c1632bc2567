"""Distinguished names: how certificates hold them, and how Go shows them."""

from __future__ import annotations

import re
from typing import Final

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.pki import der

__all__ = ["COMMON_NAME", "Names", "common_name", "parse", "show"]

Names = tuple[tuple[str, str], ...]
"""OID and value of the attributes of a name, in order."""

COMMON_NAME: Final = "2.5.4.3"

_SHOWN: Final = {
    "2.5.4.6": "C",
    "2.5.4.8": "ST",
    "2.5.4.7": "L",
    "2.5.4.9": "STREET",
    "2.5.4.17": "POSTALCODE",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    COMMON_NAME: "CN",
    "2.5.4.5": "SERIALNUMBER",
}
"""The attributes that Go knows, in the order in which it writes them."""

_SINGLE: Final = {COMMON_NAME, "2.5.4.5"}
"""Attributes of which Go keeps the last value only."""

_IA5, _NUMERIC, _T61 = 0x16, 0x12, 0x14
_PATTERNS: Final = {
    der.PRINTABLE_STRING: re.compile(rb"[A-Za-z0-9 '()+,\-./:=?*&]*"),
    _NUMERIC: re.compile(rb"[0-9 ]*"),
    _IA5: re.compile(rb"[\x00-\x7f]*"),
}
_NOT_IN_BMP: Final = re.compile("[\ufdd0-\ufdef\ufffe\uffff\U00010000-\U0010ffff]")
_SPECIAL: Final = re.compile(r'[,+"\\<>;]')


def common_name(value: str) -> bytes:
    """A name, in DER, of this common name; without any where it is empty. Raises ``DerError`` for what is no UTF-8."""
    if not value:
        return der.sequence()
    return der.sequence(der.tlv(der.SET, der.sequence(der.oid(COMMON_NAME), der.text(value))))


def parse(content: bytes) -> Names:
    """The attributes of a name. Raises ``FunctionError`` for what is damaged, and for unknown types of strings."""
    found: list[tuple[str, str]] = []
    reader = der.Reader(content)
    while reader:
        group = reader.enter(der.SET)
        while group:
            attribute = group.enter()
            identifier = attribute.oid()
            tag, value, _ = attribute.element()
            found.append((identifier, _read(tag, value)))
    return tuple(found)


def show(names: Names) -> str:
    """Go's ``pkix.Name.String``: like RFC 2253, in Go's order of the attributes instead of the certificate's."""
    groups = [[(identifier, value)] for identifier, value in names if identifier not in _SHOWN]
    for known in _SHOWN:
        values = [value for identifier, value in names if identifier == known]
        if known in _SINGLE:
            values = [value for value in values[-1:] if value]
        if values:
            groups.append([(known, value) for value in values])
    return ",".join("+".join(_attribute(*each) for each in group) for group in reversed(groups))


def _attribute(identifier: str, value: str) -> str:
    if identifier not in _SHOWN:
        return f"{identifier}=#{der.text(value).hex()}"
    shown = _SPECIAL.sub(r"\\\g<0>", value)
    if shown.startswith((" ", "#")):
        shown = f"\\{shown}"
    if value.endswith(" ") and len(value) > 1:
        shown = f"{shown[:-1]}\\ "
    return f"{_SHOWN[identifier]}={shown}"


def _read(tag: int, value: bytes) -> str:
    if tag in _PATTERNS and _PATTERNS[tag].fullmatch(value):
        return value.decode()
    if tag == _T61:
        return value.decode("latin-1")
    try:
        if tag == der.UTF8_STRING:
            return value.decode()
        if tag == der.BMP_STRING:
            text = value.removesuffix(b"\0\0").decode("utf-16-be")
            if not _NOT_IN_BMP.search(text):
                return text
    except UnicodeDecodeError:
        pass
    raise FunctionError(
        "a name in the certificate is damaged, or of an unsupported type of string",
        detail="x509: invalid RDNSequence: invalid attribute value",
    )
