"""Which characters Go takes for printable: letters, marks, numbers, punctuation, symbols and the blank."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

_NEW: Final = (
    "cf3-cf3 ece-ece 10efd-10eff 1123f-11241 11b00-11b09 11f00-11f10 11f12-11f3a 11f3e-11f59 1342f-1342f 13440-13455 "
    "1b132-1b132 1b155-1b155 1d2c0-1d2d3 1df25-1df2a 1e030-1e06d 1e08f-1e08f 1e4d0-1e4f9 1f6dc-1f6dc 1f774-1f776 "
    "1f77b-1f77f 1f7d9-1f7d9 1fa75-1fa77 1fa87-1fa88 1faad-1faaf 1fabb-1fabd 1fabf-1fabf 1face-1facf 1fada-1fadb "
    "1fae8-1fae8 1faf7-1faf8 2b739-2b739 31350-323af"
)
"""Printable since Unicode 15.0, which Go has had since 1.21 and Python since 3.12."""

_BOUNDS: Final = [
    bound for each in _NEW.split() for first, last in [each.split("-")] for bound in (int(first, 16), int(last, 16) + 1)
]


def is_printable(character: str) -> bool:
    """Go's ``strconv.IsPrint`` and ``unicode.IsPrint``. What came with Unicode 15.1 and later is as Python has it."""
    return character.isprintable() or bisect_right(_BOUNDS, ord(character)) % 2 == 1
