"""DER (X.690), read as strictly as Go's ``encoding/asn1`` and ``cryptobyte`` read it, and written."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Final

from keyferry.shape.gotmpl.errors import FunctionError

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
OBJECT_IDENTIFIER: Final = 0x06
UTF8_STRING: Final = 0x0C
PRINTABLE_STRING: Final = 0x13
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
BMP_STRING: Final = 0x1E
SEQUENCE: Final = 0x30
SET: Final = 0x31

NULL: Final = b"\x05\x00"
TRUE: Final = b"\x01\x01\xff"

_PRINTABLE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")


class DerError(FunctionError):
    """The bytes are no DER, or not of the structure that is expected."""


class Reader:
    """Elements one after the other. All methods raise ``DerError``.

    A tag is its identifier byte, with class and form; tags above 30 are in no format that is read here.
    """

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        """Whether there is more to read."""
        return self._at < len(self._data)

    def peek(self) -> int:
        """The tag of the next element; -1 at the end."""
        return self._data[self._at] if self else -1

    def element(self) -> tuple[int, bytes, bytes]:
        """The next element: its tag, its content, and its bytes as a whole."""
        data, start = self._data, self._at
        if len(data) - start < 2:
            raise DerError("the data ends too early", detail="asn1: syntax error: truncated tag or length")
        tag, length = data[start], data[start + 1]
        content = start + 2
        if tag & 0x1F == 0x1F:
            raise DerError("the data is no DER: unknown tag")
        if length & 0x80:
            size = length & 0x7F
            if size == 0:
                raise DerError(
                    "the data is BER with indefinite lengths, not DER",
                    detail="asn1: syntax error: indefinite length found (not DER)",
                )
            length = int.from_bytes(data[content : content + size])
            if size > 4 or length < 0x80 or length >> 8 * (size - 1) == 0:
                raise DerError("the data is no DER: wrong length", detail="asn1: structure error: non-minimal length")
            content += size
        self._at = content + length
        if self._at > len(data):
            raise DerError("the data ends too early", detail="asn1: syntax error: data truncated")
        return tag, data[content : self._at], data[start : self._at]

    def take(self, tag: int) -> bytes:
        """The content of the next element, which has to be of this tag."""
        if self.peek() != tag:
            raise DerError("the data is not of the structure that is expected")
        return self.element()[1]

    def optional(self, tag: int) -> bytes | None:
        """The content of the next element where it is of this tag."""
        return self.element()[1] if self.peek() == tag else None

    def enter(self, tag: int = SEQUENCE) -> Reader:
        """A reader of the content of the next element."""
        return Reader(self.take(tag))

    def integer(self) -> int:
        content = self.take(INTEGER)
        if not content or (len(content) > 1 and (content[0], content[1] >> 7) in {(0, 0), (0xFF, 1)}):
            raise DerError("the data is no DER: an integer is not minimal")
        return int.from_bytes(content, signed=True)

    def boolean(self) -> bool:
        content = self.take(BOOLEAN)
        if content not in {b"\x00", b"\xff"}:
            raise DerError("the data is no DER: a boolean is neither true nor false")
        return content == b"\xff"

    def oid(self) -> str:
        """An object identifier, with dots."""
        return _dotted(self.take(OBJECT_IDENTIFIER))

    def bits(self) -> bytes:
        """A bit string of whole bytes."""
        content = self.take(BIT_STRING)
        if not content or content[0]:
            raise DerError("the data is not of the structure that is expected: a bit string is not of whole bytes")
        return content[1:]

    def end(self) -> None:
        """Check that nothing follows."""
        if self:
            raise DerError("there is more data after the end", detail="asn1: syntax error: trailing data")


@lru_cache(maxsize=256)
def _dotted(content: bytes) -> str:
    arcs: list[int] = []
    arc = 0
    starts = True
    for each in content:
        if starts and each == 0x80:
            raise DerError("the data is no DER: an object identifier is not minimal")
        arc = arc << 7 | each & 0x7F
        starts = not each & 0x80
        if starts:
            arcs.append(arc)
            arc = 0
    if not content or not starts:
        raise DerError("the data is no DER: an object identifier ends too early")
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def tlv(tag: int, *parts: bytes) -> bytes:
    """An element of this tag; ``parts`` are its content, one after the other."""
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size) + content


def sequence(*parts: bytes) -> bytes:
    return tlv(SEQUENCE, *parts)


def explicit(number: int, *parts: bytes) -> bytes:
    """``[number] EXPLICIT``."""
    return tlv(0xA0 | number, *parts)


def integer(value: int) -> bytes:
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, signed=True))


def octets(content: bytes) -> bytes:
    return tlv(OCTET_STRING, content)


def bits(content: bytes, unused: int = 0) -> bytes:
    """A bit string whose last ``unused`` bits do not count."""
    return tlv(BIT_STRING, bytes((unused,)), content)


@lru_cache(maxsize=256)
def oid(dotted: str) -> bytes:
    first, second, *others = map(int, dotted.split("."))
    content = bytearray()
    for arc in (first * 40 + second, *others):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        content += bytes(reversed(groups))
    return tlv(OBJECT_IDENTIFIER, bytes(content))


def text(value: str) -> bytes:
    """A PrintableString where its characters allow, else a UTF8String. Raises ``DerError`` where it is no UTF-8."""
    if _PRINTABLE.issuperset(value):
        return tlv(PRINTABLE_STRING, value.encode())
    try:
        return tlv(UTF8_STRING, value.encode())
    except UnicodeEncodeError:
        pass
    raise DerError("a name is not UTF-8", detail="asn1: string not valid UTF-8")


def time(moment: dt.datetime) -> bytes:
    """UTCTime from 1950 to 2049, else GeneralizedTime; to the second, in UTC."""
    if 1950 <= moment.year < 2050:
        return tlv(UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode())
    return tlv(GENERALIZED_TIME, f"{moment.year:04}{moment:%m%d%H%M%S}Z".encode())
