"""Strings and characters in Go's quotes, as ``strconv`` writes them."""

from __future__ import annotations

import re
from collections.abc import Callable

from keyferry.shape.gotmpl.fmt.printable import is_printable

_SHORT = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
}
_PLAIN = re.compile(r"[ !#-\[\]-~]*")
_BOM = "\ufeff"


def quote(text: str) -> str:
    """``strconv.Quote``: in double quotes, with escapes for what cannot be printed."""
    if _PLAIN.fullmatch(text):
        return f'"{text}"'
    return '"' + "".join(map(_in_double_quotes(is_printable), text)) + '"'


def quote_to_ascii(text: str) -> str:
    """``strconv.QuoteToASCII``: likewise, with escapes for all that is not ASCII."""
    return '"' + "".join(map(_in_double_quotes(_is_printable_ascii), text)) + '"'


def quote_rune(character: str) -> str:
    """``strconv.QuoteRune``: in single quotes."""
    return _rune(character, is_printable)


def quote_rune_to_ascii(character: str) -> str:
    """``strconv.QuoteRuneToASCII``."""
    return _rune(character, _is_printable_ascii)


def can_backquote(text: str) -> bool:
    """``strconv.CanBackquote``: whether the text can stand between back quotes as it is."""
    return not any(
        each == _BOM or each in "`\x7f" or (each < " " and each != "\t") or "\ud800" <= each <= "\udfff"
        for each in text
    )


def character_of(code: int) -> str:
    """The character of a number; U+FFFD where there is none."""
    if not 0 <= code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return chr(code)


def _rune(character: str, shown: Callable[[str], bool]) -> str:
    return "'" + ("\\'" if character == "'" else _escaped(character, shown)) + "'"


def _in_double_quotes(shown: Callable[[str], bool]) -> Callable[[str], str]:
    return lambda each: '\\"' if each == '"' else _escaped(each, shown)


def _escaped(character: str, shown: Callable[[str], bool]) -> str:
    if (short := _SHORT.get(character)) is not None:
        return short
    if shown(character):
        return character
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:
        return f"\\x{code & 0xFF:02x}"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _is_printable_ascii(character: str) -> bool:
    return " " <= character <= "~"
