"""Base64, base32 and hexadecimal. Text that cannot be decoded gives Go's error as the value, as sprig has it."""

from __future__ import annotations

import base64
import binascii
import re

from keyferry.shape.gotmpl.fmt import sprintf
from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.values import from_bytes, to_bytes

REGISTRY = Registry()

_LINE_BREAKS = b"\r\n"
_NO_BASE64 = re.compile(rb"[^A-Za-z0-9+/\r\n]")
_NO_BASE32 = re.compile(rb"[^A-Z2-7]")
_NO_HEX = re.compile(rb"[^0-9A-Fa-f]")
_PAD = ord("=")
_BASE32_BLOCK = 8
_BASE32_IMPOSSIBLE = frozenset({1, 3, 6})
"""Characters in the last block that no number of bytes makes."""


class _Corrupt(Exception):
    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


@REGISTRY.add("b64enc", "func(string) string")
def b64enc(text: str) -> str:
    return base64.b64encode(to_bytes(text)).decode()


@REGISTRY.add("b64dec", "func(string) string")
def b64dec(text: str) -> str:
    """Standard alphabet with padding; line breaks count as nothing, and so do the last character's unused bits."""
    data = to_bytes(text)
    try:
        end = _base64_end(data)
    except _Corrupt as error:
        return f"illegal base64 data at input byte {error.at}"
    digits = data[:end].translate(None, _LINE_BREAKS)
    return from_bytes(binascii.a2b_base64(digits + b"=" * (-len(digits) % 4)))


def _base64_end(data: bytes) -> int:
    """Where the padding begins, or the data ends. The positions in errors are Go's."""
    found = _NO_BASE64.search(data)
    at = found.start() if found else len(data)
    in_block = len(data[:at].translate(None, _LINE_BREAKS)) % 4
    if at == len(data):
        if in_block:
            raise _Corrupt(at - in_block)
        return at
    if data[at] != _PAD or in_block < 2:
        raise _Corrupt(at)
    rest = _after_line_breaks(data, at + 1)
    if in_block == 2:
        if rest == len(data):
            raise _Corrupt(rest)
        if data[rest] != _PAD:
            raise _Corrupt(rest - 1)
        rest = _after_line_breaks(data, rest + 1)
    if rest < len(data):
        raise _Corrupt(rest)
    return at


def _after_line_breaks(data: bytes, at: int) -> int:
    while at < len(data) and data[at] in _LINE_BREAKS:
        at += 1
    return at


@REGISTRY.add("b32enc", "func(string) string", run=True)
def b32enc(run: Run, text: str) -> str:
    run.spend(len(text) // _BASE32_BLOCK)
    return base64.b32encode(to_bytes(text)).decode()


@REGISTRY.add("b32dec", "func(string) string", run=True)
def b32dec(run: Run, text: str) -> str:
    """Upper case with padding; line breaks count as nothing, and so does what is behind complete padding."""
    run.spend(len(text) // _BASE32_BLOCK)
    data = to_bytes(text).translate(None, _LINE_BREAKS)
    try:
        digits = data[: _base32_end(data)]
    except _Corrupt as error:
        return f"illegal base32 data at input byte {error.at}"
    return from_bytes(base64.b32decode(digits + b"=" * (-len(digits) % _BASE32_BLOCK)))


def _base32_end(data: bytes) -> int:
    found = _NO_BASE32.search(data)
    at = found.start() if found else len(data)
    in_block = at % _BASE32_BLOCK
    if at == len(data):
        if in_block:
            raise _Corrupt(at - in_block)
        return at
    rest = len(data) - at - 1
    if data[at] != _PAD or in_block < 2 or rest >= _BASE32_BLOCK:
        raise _Corrupt(at)
    missing = _BASE32_BLOCK - 1 - in_block
    if rest < missing:
        raise _Corrupt(len(data))
    for place in range(missing):
        if data[at + 1 + place] != _PAD:
            raise _Corrupt(at + place)
    if in_block in _BASE32_IMPOSSIBLE:
        raise _Corrupt(at)
    return at


@REGISTRY.add("hexdec", "func(string) string", run=True)
def hexdec(run: Run, text: str) -> str:
    data = to_bytes(text)
    wrong = _NO_HEX.search(data)
    if wrong:
        return sprintf(run, "encoding/hex: invalid byte: %#U", [wrong[0][0]])
    if len(data) % 2:
        return "encoding/hex: odd length hex string"
    return from_bytes(binascii.unhexlify(data))
