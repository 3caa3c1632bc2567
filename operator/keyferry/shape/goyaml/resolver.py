"""What a scalar is: the YAML 1.1 of go.yaml.in/yaml/v2, which leaves out sexagesimal numbers."""

from __future__ import annotations

import base64
import calendar
import math
import re
from typing import Final, TypeAlias

from keyferry.shape.goyaml.errors import converting

Plain: TypeAlias = "bool | int | float | str | None"

_LONG: Final = "tag:yaml.org,2002:"
STR: Final = f"{_LONG}str"
BOOL: Final = f"{_LONG}bool"
INT: Final = f"{_LONG}int"
FLOAT: Final = f"{_LONG}float"
NULL: Final = f"{_LONG}null"
TIMESTAMP: Final = f"{_LONG}timestamp"
BINARY: Final = f"{_LONG}binary"
MERGE: Final = f"{_LONG}merge"

_RESOLVABLE: Final = frozenset({"", STR, BOOL, INT, FLOAT, NULL, TIMESTAMP})
_WORDS: Final[dict[str, tuple[str, Plain]]] = {
    spelling: (tag, value)
    for tag, value, words in (
        (BOOL, True, "y yes true on"),
        (BOOL, False, "n no false off"),
        (NULL, None, "null"),
    )
    for word in words.split()
    for spelling in (word, word.capitalize(), word.upper())
} | {
    "": (NULL, None),
    "~": (NULL, None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), (FLOAT, math.nan)),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), (FLOAT, math.inf)),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), (FLOAT, -math.inf)),
}
_NUMBER_STARTS: Final = frozenset("+-0123456789")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_POINT_FLOAT = re.compile(r"\.[0-9](?:_?[0-9])*(?:[eE][-+]?[0-9](?:_?[0-9])*)?")
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_BASES: Final = (16, 2, 8, 10)
_BINARY_WITH_SIGN = re.compile(r"0b([-+])()([01]+)")
_LONGEST: Final = 64
"""Digits that a number of 64 bits has at most, in base 2."""
_BASE64 = re.compile(r"(?:[0-9A-Za-z+/]{4})*(?:[0-9A-Za-z+/]{2}==|[0-9A-Za-z+/]{3}=)?")
_DATE = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_CLOCK = r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?"
_DATE_AND_TIME = re.compile(rf"{_DATE.pattern}(?:[Tt]{_CLOCK}(Z|[-+]([0-9]{{2}}):([0-9]{{2}}))| +{_CLOCK})")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")


def resolve(tag: str, text: str, line: int) -> tuple[str, Plain]:
    """The tag and the value of a scalar under an explicit tag, or under none. A timestamp stays text.

    Raises ``YamlError`` where the text is not what the tag says. ``line`` counts from 0.
    """
    if tag not in _RESOLVABLE:
        return tag, _unbinary(text, line) if tag == BINARY else text
    if tag == STR:
        return STR, text
    found, value = _implied(text, timestamps=tag in {"", TIMESTAMP})
    if tag in {"", found}:
        return found, value
    if tag == FLOAT and found == INT and isinstance(value, int) and value < 1 << 63:
        return FLOAT, float(value)
    kinds = f"{short(found)} `{text}` as a {short(tag)}"
    message = f"a {short(found)} stands where its tag says {short(tag)}"
    raise converting(f"cannot decode {kinds}", line=line + 1, message=message)


def is_text(text: str) -> bool:
    """Whether the text, written without quotes, would be read as the string that it is, by any YAML."""
    return _implied(text, timestamps=True)[0] == STR and not _SEXAGESIMAL.fullmatch(text)


def short(tag: str) -> str:
    """``!!str`` for the long form of the tag."""
    return f"!!{tag.removeprefix(_LONG)}" if tag.startswith(_LONG) else tag


def _implied(text: str, *, timestamps: bool) -> tuple[str, Plain]:
    if (word := _WORDS.get(text)) is not None:
        return word
    if text[0] == ".":
        number = float(text.replace("_", "")) if _POINT_FLOAT.fullmatch(text) else math.inf
        return (STR, text) if math.isinf(number) else (FLOAT, number)
    if text[0] not in _NUMBER_STARTS:
        return STR, text
    if timestamps and _is_timestamp(text):
        return TIMESTAMP, text
    digits = text.replace("_", "")
    integer = _integer(digits)
    if integer is not None:
        return INT, integer
    if _FLOAT.fullmatch(digits) and math.isfinite(number := float(digits)):
        return FLOAT, number
    return STR, text


def _integer(digits: str) -> int | None:
    """An integer of 64 bits: negative, or without a sign up to twice as large."""
    found = _INTEGER.fullmatch(digits) or _BINARY_WITH_SIGN.fullmatch(digits)
    if found is None or found.lastindex is None:
        return None
    counted = found[found.lastindex].lstrip("0") or "0"
    if len(counted) > _LONGEST:
        return None
    number = int(counted, _BASES[found.lastindex - 2])
    if found[1] == "-":
        return -number if number <= 1 << 63 else None
    return number if number < 1 << (63 if found[1] else 64) else None


def _is_timestamp(text: str) -> bool:
    found = _DATE.fullmatch(text) or _DATE_AND_TIME.fullmatch(text)
    if found is None:
        return False
    year, month, day = int(found[1]), int(found[2]), int(found[3])
    # The year 0, which Python does not have, is a leap year.
    if not 1 <= month <= 12 or not 1 <= day <= calendar.monthrange(year or 4, month)[1]:
        return False
    clock = [int(each) for each in found.groups()[3:] if each is not None and each.isdigit()]
    return all(value < bound for value, bound in zip(clock, (24, 60, 60, 25, 61), strict=False))


def _unbinary(text: str, line: int) -> str:
    stripped = text.replace("\r", "").replace("\n", "")
    if not _BASE64.fullmatch(stripped):
        raise converting("!!binary value contains invalid base64 data", line=line + 1)
    return base64.b64decode(stripped).decode("utf-8", "surrogateescape")
