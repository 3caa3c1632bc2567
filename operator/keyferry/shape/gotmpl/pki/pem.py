"""PEM as Go's ``encoding/pem`` reads and writes it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["CERTIFICATE", "Block", "blocks", "decode", "decode_base64", "encode"]

CERTIFICATE = b"CERTIFICATE"

_BEGIN = b"-----BEGIN "
_END = b"\n-----END "
_DASHES = b"-----"
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


@dataclass(frozen=True, slots=True, repr=False)
class Block:
    """``type`` stands after BEGIN; ``body`` is what the base64 text holds. The repr shows nothing."""

    type: bytes
    body: bytes
    headers: Mapping[bytes, bytes] = field(default_factory=dict)


def decode_base64(text: bytes) -> bytes | None:
    """Go's ``base64.StdEncoding``: padded, line breaks ignored, unused bits not looked at. None where it is wrong."""
    bare = text.translate(None, b"\r\n")
    return binascii.a2b_base64(bare) if _BASE64.fullmatch(bare) else None


def decode(data: bytes, start: int = 0) -> tuple[Block | None, int]:
    """The first block from ``start`` on, and where the rest begins; None and ``start`` where there is none.

    Blocks begin and end on lines of their own. What is no block, or a broken one, is skipped.
    """
    at = start
    while (end := data.find(_END, at)) >= 0:
        after = end + len(_END)
        begin = data.rfind(_BEGIN, at, end)
        if begin == at or (begin > at and data[begin - 1] == 0x0A):
            block, reached = _block(data, begin + len(_BEGIN), end)
            if block is not None:
                return block, _line(data, after - 1)[1]
            if reached > after:
                break
        at = after
    return None, start


def blocks(data: bytes) -> Iterator[Block]:
    """All blocks, in order."""
    block, at = decode(data)
    while block is not None:
        yield block
        block, at = decode(data, at)


def encode(block: Block) -> bytes:
    """Lines of 64 characters; ``Proc-Type`` is the first header, the others are sorted."""
    headers = sorted(block.headers.items(), key=lambda header: (header[0] != b"Proc-Type", header[0]))
    lines = [_BEGIN + block.type + _DASHES, *(key + b": " + value for key, value in headers)]
    if headers:
        lines.append(b"")
    text = base64.b64encode(block.body)
    lines += [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join((*lines, _END[1:] + block.type + _DASHES, b""))


def _block(data: bytes, at: int, end: int) -> tuple[Block | None, int]:
    """The block whose type stands at ``at`` and whose text ends at ``end``, and how far headers were read."""
    kind, at = _line(data, at)
    if not kind.endswith(_DASHES):
        return None, at
    headers: dict[bytes, bytes] = {}
    while at < len(data):
        line, following = _line(data, at)
        key, colon, value = line.partition(b":")
        if not colon:
            break
        headers[key.strip()] = value.strip()
        at = following
    else:
        return None, len(data)
    after = end + len(_END)
    if (headers and end < at) or not data.startswith(kind, after) or _line(data, after + len(kind))[0]:
        return None, at
    body = decode_base64(data[at:end].translate(None, b" \t"))
    return None if body is None else Block(kind.removesuffix(_DASHES), body, headers), at


def _line(data: bytes, at: int) -> tuple[bytes, int]:
    """The line at ``at`` without white space at its end, and where the next one begins."""
    stop = data.find(b"\n", at)
    if stop < 0:
        return data[at:].rstrip(b" \t"), len(data)
    return data[at:stop].removesuffix(b"\r").rstrip(b" \t"), stop + 1
