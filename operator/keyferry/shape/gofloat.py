"""Floats as text: Go's ``strconv.FormatFloat``."""

from __future__ import annotations

import math
import struct
from typing import Final

__all__ = ["format_float", "format_float32"]

_MANTISSA_BITS: Final = 52
_SMALLEST: Final = -1022 - _MANTISSA_BITS
"""Exponent of the last bit of the smallest float64."""
_HEX_DIGITS: Final = _MANTISSA_BITS // 4
_WIDEST: Final = 6
"""The first power of ten that ``g`` writes with an exponent, where the fewest digits are asked for."""
_FLOAT32_DIGITS: Final = 9
"""Digits that tell every float32 from its neighbours."""


def format_float(number: float, verb: str = "g", precision: int = -1) -> str:
    """A float64 under one of ``b e E f g G x X``; ``precision`` -1 asks for the fewest digits that give it back."""
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"
    match verb:
        case "b":
            return _binary(number)
        case "x" | "X":
            text = _hexadecimal(number, precision)
            return text.upper() if verb == "X" else text
        case _:
            return f"{number:.{precision}{verb}}" if precision >= 0 else _shortest(number, verb)


def format_float32(number: float) -> str:
    """``FormatFloat(number, 'g', -1, 32)``: the fewest digits that give the nearest float32 back."""
    single = _single(number)
    if not math.isfinite(single):
        return format_float(single)
    rounded = (float(f"{single:.{digits}e}") for digits in range(_FLOAT32_DIGITS))
    return format_float(next(each for each in rounded if _single(each) == single))


def _single(number: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", number))[0])
    except OverflowError:
        return math.copysign(math.inf, number)


def _shortest(number: float, verb: str) -> str:
    sign, digits, exponent = _digits(number)
    if verb in "eE" or (verb in "gG" and not -4 <= exponent < _WIDEST):
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{fraction}{'E' if verb in 'EG' else 'e'}{exponent:+03d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole, fraction = digits[: exponent + 1].ljust(exponent + 1, "0"), digits[exponent + 1 :]
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def _digits(number: float) -> tuple[str, str, int]:
    """Sign, the fewest digits that give the number back, and the exponent of the first of them."""
    mantissa, _, exponent_text = repr(number).partition("e")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    exponent = int(exponent_text or 0) + len(whole) - 1
    digits = (whole + fraction).lstrip("0")
    exponent -= len(whole + fraction) - len(digits) if digits else 0
    return "-" if mantissa.startswith("-") else "", digits.rstrip("0") or "0", exponent if digits else 0


def _binary(number: float) -> str:
    """``4503599627370496p-52``: the mantissa as an integer, and a power of two."""
    mantissa, exponent = _parts(number)
    return f"{'-' if math.copysign(1, number) < 0 else ''}{mantissa}p{exponent:+d}"


def _hexadecimal(number: float, precision: int) -> str:
    """``0x1.8p+00``."""
    sign = "-" if math.copysign(1, number) < 0 else ""
    mantissa, exponent = _parts(number)
    if not mantissa:
        fraction = "0" * max(precision, 0)
        return f"{sign}0x0{'.' if fraction else ''}{fraction}p+00"
    shift = _MANTISSA_BITS + 1 - mantissa.bit_length()
    mantissa, exponent = mantissa << shift, exponent - shift + _MANTISSA_BITS
    if 0 <= precision < _HEX_DIGITS:
        dropped = 4 * (_HEX_DIGITS - precision)
        half, rest = 1 << (dropped - 1), mantissa & ((1 << dropped) - 1)
        mantissa >>= dropped
        mantissa += rest > half or (rest == half and mantissa & 1)
        mantissa <<= dropped
        if mantissa >> (_MANTISSA_BITS + 1):
            mantissa, exponent = mantissa >> 1, exponent + 1
    fraction = f"{mantissa & ((1 << _MANTISSA_BITS) - 1):013x}"
    fraction = fraction.rstrip("0") if precision < 0 else fraction[:precision].ljust(precision, "0")
    return f"{sign}0x1{'.' if fraction else ''}{fraction}p{exponent:+03d}"


def _parts(number: float) -> tuple[int, int]:
    """The mantissa as an integer, and the exponent of its last bit."""
    bits = struct.unpack("<Q", struct.pack("<d", abs(number)))[0]
    mantissa, exponent = bits & ((1 << _MANTISSA_BITS) - 1), bits >> _MANTISSA_BITS
    if not exponent:
        return mantissa, _SMALLEST
    return mantissa | 1 << _MANTISSA_BITS, exponent - 1 + _SMALLEST
