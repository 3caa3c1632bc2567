"""RC2 (RFC 2268) in CBC mode, to read old PKCS#12 files: their usual 40 bits are in no library at hand."""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["decrypt"]

_PI: Final = bytes.fromhex(
    "d978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2179a59f587b34f1361456d8d09817d32"
    "bd8f40eb86b77b0bf09521225c6b4e8254d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb626"
    "6fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed708e8eade8052eef784aa72ac354d6a2a"
    "961ad2715a1549744b9fd05e0418a4ecc2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731"
    "2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a90d38341bab33ffb0bb480c5fb9b1cd2e"
    "c5f3db47e5a59c770aa62068fe7fc1ad"
)
_SHIFTS: Final = (1, 2, 3, 5)
_MASH_AFTER: Final = (5, 11)
"""Rounds of mixing, counted from the end, after which there is one of mashing."""


def decrypt(key: bytes, iv: bytes, data: bytes) -> bytes:
    """CBC without padding; ``data`` is whole blocks of 8 bytes. All bits of the key are effective."""
    table = _expand(key)
    plain = bytearray()
    for at in range(0, len(data), 8):
        block = data[at : at + 8]
        plain += bytes(one ^ other for one, other in zip(_block(table, block), iv, strict=True))
        iv = block
    return bytes(plain)


def _expand(key: bytes) -> tuple[int, ...]:
    size = len(key)
    table = bytearray(key)
    while len(table) < 128:
        table.append(_PI[(table[-1] + table[-size]) & 0xFF])
    table[128 - size] = _PI[table[128 - size]]
    for at in range(127 - size, -1, -1):
        table[at] = _PI[table[at + 1] ^ table[at + size]]
    return struct.unpack("<64H", table)


def _block(table: tuple[int, ...], block: bytes) -> bytes:
    words = [*struct.unpack("<4H", block)]
    at = 63
    for done in range(1, 17):
        for word in (3, 2, 1, 0):
            one, two, three = words[word - 1], words[word - 2], words[word - 3]
            rotated = words[word] >> _SHIFTS[word] | words[word] << (16 - _SHIFTS[word])
            words[word] = (rotated - table[at] - (one & two) - (~one & three)) & 0xFFFF
            at -= 1
        if done in _MASH_AFTER:
            for word in (3, 2, 1, 0):
                words[word] = (words[word] - table[words[word - 1] & 63]) & 0xFFFF
    return struct.pack("<4H", *words)
