"""Go's ``unicode`` package: properties and case, one rune at a time.

Case follows UnicodeData's simple mappings, one rune to one rune: "ß" has no upper case, a final "Σ" has the lower
case of any other, "İ" is "i". ``str.upper`` and its like use the full mappings, which differ, so they are asked for
single characters only. Mappings that came after Unicode 15.0, which Go 1.26 has, are left out; the other properties are
those of the interpreter's Unicode, and differ for characters that came between the two.

A rune that stands for a byte that is no UTF-8 (see ``values``) is U+FFFD to Go: take text through ``runes`` first.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from keyferry.shape.gotmpl.values import runes

__all__ = [
    "SPACES",
    "is_letter",
    "is_lower",
    "is_number",
    "is_punct",
    "is_space",
    "is_title",
    "is_upper",
    "lower",
    "title",
    "upper",
]

SPACES = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
"""Every rune with the property White_Space. ``str.isspace`` knows four more (U+001C to U+001F)."""

_CASED_AFTER_15 = frozenset(
    code
    for first, last in (
        (0x1C89, 0x1C8A),
        (0xA7CB, 0xA7CF),
        (0xA7D2, 0xA7D2),
        (0xA7D4, 0xA7D4),
        (0xA7DA, 0xA7F1),
        (0xAB6C, 0xAB6D),
        (0x10D50, 0x10D85),
        (0x16EA0, 0x16ED3),
        (0x1DF2B, 0x1DFFF),
    )
    for code in range(first, last + 1)
)


class _Mapping(dict[int, int]):
    """A case mapping for ``str.translate``; only runes that it changes are remembered."""

    def __init__(self, of: Callable[[str], str]) -> None:
        super().__init__()
        self._of = of

    def __missing__(self, code: int) -> int:
        mapped = ord(self._of(chr(code)))
        if mapped == code or code in _CASED_AFTER_15 or mapped in _CASED_AFTER_15:
            return code
        self[code] = mapped
        return mapped


def _upper(rune: str) -> str:
    mapped = rune.upper()
    return mapped if len(mapped) == 1 else _title(rune)


def _title(rune: str) -> str:
    # Where the full mapping makes several characters, the simple one is the single title letter, if there is one.
    mapped = rune.title()
    return mapped if len(mapped) == 1 else rune


def _lower(rune: str) -> str:
    # The one rune whose full mapping makes two is U+0130; its simple mapping is the first of them.
    return rune.lower()[0]


_UPPER = _Mapping(_upper)
_LOWER = _Mapping(_lower)
_TITLE = _Mapping(_title)


def upper(text: str) -> str:
    """``strings.ToUpper``: what is no UTF-8 becomes U+FFFD."""
    return text.upper() if text.isascii() else runes(text).translate(_UPPER)


def lower(text: str) -> str:
    """``strings.ToLower``: what is no UTF-8 becomes U+FFFD."""
    return text.lower() if text.isascii() else runes(text).translate(_LOWER)


def title(rune: str) -> str:
    """``unicode.ToTitle`` of one rune."""
    return rune.translate(_TITLE)


def is_space(rune: str) -> bool:
    return rune in SPACES


def is_upper(rune: str) -> bool:
    return unicodedata.category(rune) == "Lu"


def is_lower(rune: str) -> bool:
    return unicodedata.category(rune) == "Ll"


def is_title(rune: str) -> bool:
    return unicodedata.category(rune) == "Lt"


def is_letter(rune: str) -> bool:
    return unicodedata.category(rune)[0] == "L"


def is_number(rune: str) -> bool:
    return unicodedata.category(rune)[0] == "N"


def is_punct(rune: str) -> bool:
    return unicodedata.category(rune)[0] == "P"
