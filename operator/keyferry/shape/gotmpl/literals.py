"""Go's literals: strings, characters, numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from keyferry.shape.gotmpl.gostrconv import parse_float
from keyferry.shape.gotmpl.values import from_bytes, runes

_ESCAPE = re.compile(r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))")
_NAMED: Final = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34}
_INTEGER = re.compile(
    r"(?P<sign>[+-]?)(?:0[xX](?P<hex>(?:_?[0-9a-fA-F])+)|0[bB](?P<bin>(?:_?[01])+)|0[oO]?(?P<oct>(?:_?[0-7])+)"
    r"|(?P<dec>0|[1-9](?:_?[0-9])*))"
)
_BASES: Final = {"hex": 16, "bin": 2, "oct": 8, "dec": 10}
_COMPLEX = re.compile(
    r"([+-]?REAL)([+-]REAL)i".replace("REAL", r"(?:0[xX][\w.]+?(?:[pP][+-]?\w+)?|[0-9_.]+(?:[eE][+-]?[0-9_]+)?)")
)
_LONGEST: Final = 400
"""Characters of a number. Go has no bound, and no use for more digits."""


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number as Go's ideal constants are: under every type that can hold it."""

    text: str
    integer: int | None = None
    unsigned: int | None = None
    real: float | None = None
    imaginary: complex | None = None

    def natural(self) -> int | float | complex | None:
        """The value where no type is asked for; None if it is no ``int`` and should be."""
        if self.imaginary is not None:
            return self.imaginary
        hexadecimal = self.text[:2] in ("0x", "0X") and not re.search("[pP]", self.text)
        if self.real is not None and not hexadecimal and self.text[0] != "'" and re.search("[.eEpP]", self.text):
            return self.real
        return self.integer


def unquote(text: str) -> str | None:
    """The string that a literal in quotes or backquotes stands for; None if an escape is wrong."""
    body = text[1:-1]
    if text[0] == "`":
        return body.replace("\r", "")
    if "\\" not in body:
        return runes(body)
    made = bytearray()
    at = 0
    while (found := body.find("\\", at)) >= 0:
        made += runes(body[at:found]).encode()
        escape = _escape(body, found, "'")
        if escape is None:
            return None
        value, at, whole = escape
        if whole:
            made += chr(value).encode()
        else:
            made.append(value)
    made += runes(body[at:]).encode()
    return from_bytes(bytes(made))


def character(text: str) -> Numeral | None:
    """The number that a character constant stands for; None if it is none."""
    body = text[1:-1]
    if body.startswith("\\"):
        escape = _escape(body, 0, '"')
        if escape is None or escape[1] != len(body):
            return None
        code = escape[0]
    elif len(body) == 1:
        code = ord(runes(body))
    else:
        return None
    return Numeral(text, code, code, float(code))


def number(text: str) -> Numeral | str:
    """A number, or what is wrong with it."""
    if len(text) > _LONGEST:
        return "a number that is too long"
    if text.endswith("i") and (size := parse_float(text[:-1])) is not None:
        return _complex(text, complex(0, size))
    whole = _integer(text)
    if whole is not None:
        integer = whole if -(1 << 63) <= whole < 1 << 63 else None
        signed = text[0] in "+-"
        unsigned = whole if whole == 0 or (0 < whole < 1 << 64 and not signed) else None
        if integer is not None or unsigned is not None:
            return Numeral(text, integer, unsigned, float(whole))
    real = parse_float(text)
    if real is None:
        return "no number"
    if not re.search("[.eEpP]", text):
        return "no integer, or one that is too large"
    return Numeral(text, _whole(real, -(1 << 63), 1 << 63), _whole(real, 0, 1 << 64), real)


def complex_number(text: str) -> Numeral | str:
    """A number such as ``1+2i``, or what is wrong with it."""
    if len(text) > _LONGEST:
        return "a number that is too long"
    match = _COMPLEX.fullmatch(text)
    real, imaginary = (parse_float(match[1]), parse_float(match[2])) if match else (None, None)
    if real is None or imaginary is None:
        return "no number"
    return _complex(text, complex(real, imaginary))


def _complex(text: str, value: complex) -> Numeral:
    if value.imag != 0:
        return Numeral(text, imaginary=value)
    return Numeral(text, _whole(value.real, -(1 << 63), 1 << 63), _whole(value.real, 0, 1 << 64), value.real, value)


def _whole(real: float, least: int, beyond: int) -> int | None:
    return int(real) if real.is_integer() and least <= real < beyond else None


def _escape(body: str, at: int, refused: str) -> tuple[int, int, bool] | None:
    """The value, where it ends, and whether it is a character rather than a byte."""
    match = _ESCAPE.match(body, at)
    if match is None:
        return None
    named, hexadecimal, octal, short, long = match.groups()
    if named:
        return None if named == refused else (_NAMED[named], match.end(), True)
    if short or long:
        code = int(short or long, 16)
        return None if code > 0x10FFFF or 0xD800 <= code < 0xE000 else (code, match.end(), True)
    code = int(hexadecimal, 16) if hexadecimal else int(octal, 8)
    return None if code > 0xFF else (code, match.end(), False)


def _integer(text: str) -> int | None:
    """A number by the rules of Go's integer literals, of any size."""
    match = _INTEGER.fullmatch(text)
    if match is None or match.lastgroup is None:
        return None
    value = int(match[match.lastgroup].replace("_", ""), _BASES[match.lastgroup])
    return -value if match["sign"] == "-" else value
