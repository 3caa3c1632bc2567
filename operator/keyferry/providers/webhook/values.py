"""An answer as a value: the bytes that ESO makes of it (eso-facts 5.8).

Whole numbers keep their digits, where ESO's float64 would falsify those beyond 2**53; fractions are rounded, as by ESO,
unless they are within an object.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any, Final

from keyferry.errors import BadValue, PropertyNotThere
from keyferry.providers.webhook import jsonpath

_LONE: Final = re.compile(r"[\ud800-\udfff]")
_FOR_GO: Final = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}
"""Characters that Go's ``json.Marshal`` escapes and Python does not; in JSON they stand in strings only."""


def loads(content: bytes) -> Any:
    """The decoded answer. Raises ``BadValue`` where it is no JSON."""
    try:
        return json.loads(content.decode("utf-8", "replace"), parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        # The decoder's error holds the document.
        raise BadValue(
            "the answer is not JSON", remedy="leave result.jsonPath out where the whole answer is the value"
        ) from None


def value(document: object, path: str) -> bytes:
    """The value at ``result.jsonPath`` of a decoded answer.

    Text as it is, null as nothing, numbers without decimals, the first of a list, objects as JSON. Raises
    ``PropertyNotThere`` where nothing is selected or a list is empty, ``BadSpec`` and ``BadValue``.
    """
    try:
        return _text(jsonpath.select(document, path)).encode()
    except RecursionError:
        raise BadValue("result.jsonPath selects what is nested too deeply", remedy="select a part of it") from None


def _text(selected: object) -> str:
    match selected:
        case None:
            return ""
        case str():
            return _utf8(selected)
        case bool():
            return "true" if selected else "false"
        case float():
            return f"{selected:.0f}"
        case []:
            raise PropertyNotThere("result.jsonPath selects an empty list", remedy="check it against an answer")
        case [first, *_]:
            return _text(first)
        case dict():
            return _json(selected)
        case _:
            return str(selected)


def _json(part: object) -> str:
    """What Go's ``json.Marshal`` writes."""
    match part:
        case dict():
            return f"{{{','.join(f'{_json(key)}:{_json(part[key])}' for key in sorted(part))}}}"
        case list():
            return f"[{','.join(map(_json, part))}]"
        case float():
            return _number(part)
        case str():
            return json.dumps(_utf8(part), ensure_ascii=False).translate(_FOR_GO)
        case _:
            return json.dumps(part)


def _number(number: float) -> str:
    if number and not 1e-6 <= abs(number) < 1e21:
        mantissa, _, exponent = format(Decimal(repr(number)).normalize(), "e").partition("e")
        return f"{mantissa}e{exponent}"
    return format(Decimal(repr(number)), "f").removesuffix(".0")


def _utf8(text: str) -> str:
    return _LONE.sub("\ufffd", text)


def _finite(written: str) -> float:
    """A number. What float64 cannot hold is none, as for Go; nor are the constants that Python's decoder knows."""
    number = float(written)
    if not math.isfinite(number):
        raise ValueError
    return number
