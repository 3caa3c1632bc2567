"""Integers and floats under Go's verbs."""

from __future__ import annotations

import math

from keyferry.shape.gofloat import format_float
from keyferry.shape.gotmpl.fmt.printable import is_printable
from keyferry.shape.gotmpl.fmt.spec import Spec
from keyferry.shape.gotmpl.run import Run

_DIGITS = {2: "b", 8: "o", 10: "d", 16: "x"}


def integer(run: Run, spec: Spec, number: int, base: int, *, verb: str = "d") -> str:
    """An integer in base 2, 8, 10 or 16. ``verb`` matters where it is ``X`` (upper case) or ``O`` (with ``0o``)."""
    sign = "-" if number < 0 else "+" if spec.plus else " " if spec.space else ""
    least = 0
    if spec.precision is not None:
        if not spec.precision and not number:
            return spec.without_zero().pad(run, "") if spec.width else ""
        least = spec.precision
    elif spec.zero and not spec.minus and spec.width is not None:
        least = spec.width - len(sign)
    run.make(least)
    digits = format(abs(number), _DIGITS[base]).rjust(least, "0")
    if spec.sharp:
        if base == 2:
            digits = f"0b{digits}"
        elif base == 16:
            digits = f"0x{digits}"
        elif base == 8 and not digits.startswith("0"):
            digits = f"0{digits}"
    if verb == "X":
        digits = digits.upper()
    elif verb == "O":
        digits = f"0o{digits}"
    return spec.without_zero().pad(run, sign + digits)


def unicode_point(run: Run, spec: Spec, code: int) -> str:
    """``%U``: ``U+0041``, and with ``#`` the character itself after it."""
    least = max(4, spec.precision or 0)
    run.make(least)
    text = f"U+{code:0{least}X}"
    if spec.sharp and code <= 0x10FFFF and is_printable(character := chr(code)):
        text = f"{text} '{character}'"
    return spec.without_zero().pad(run, text)


def floating(run: Run, spec: Spec, number: float, verb: str, precision: int) -> str:
    """A float under one of ``b e E f g G x X``; ``precision`` is the verb's default, -1 for the fewest digits."""
    if spec.precision is not None:
        precision = spec.precision
    run.make(max(precision, 0))
    body = format_float(abs(number), verb, precision)
    # NaN has no sign in Go.
    sign = "-" if math.copysign(1, number) < 0 and not math.isnan(number) else "+"
    if spec.space and sign == "+" and not spec.plus:
        sign = " "
    if not math.isfinite(number):
        body = body.lstrip("+")
        return spec.without_zero().pad(run, body if body == "NaN" and not (spec.space or spec.plus) else sign + body)
    if spec.sharp and verb != "b":
        body = _with_point(body, verb, precision)
    if sign == "+" and not spec.plus:
        return spec.pad(run, body)
    if spec.zero and not spec.minus and spec.width is not None:
        run.make(spec.width)
        return sign + body.rjust(spec.width - 1, "0")
    return spec.pad(run, sign + body)


def _with_point(body: str, verb: str, precision: int) -> str:
    """``#``: a decimal point always, and under g, G and x as many digits as the precision says."""
    missing = (6 if precision < 0 else precision) if verb in "gGx" else 0
    mark = "pP" if verb in "xX" else "eE"
    cut = next((place for place, each in enumerate(body) if each in mark), len(body))
    shown, tail = body[:cut], body[cut:]
    # Go counts the x of 0x for a digit, and so do we.
    missing -= len(shown.replace(".", "").lstrip("0"))
    if "." not in shown:
        missing -= shown == "0"
        shown += "."
    return shown + "0" * max(missing, 0) + tail
