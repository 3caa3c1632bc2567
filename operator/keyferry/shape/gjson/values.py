"""What a raw JSON value is and says, as the Go library sees it. Text holds one byte per character."""

from __future__ import annotations

import re
from typing import Literal

from keyferry.shape.gojson import float_text
from keyferry.shape.jsontext import bytes_of, is_json, text_of, unquote

__all__ = [
    "Kind",
    "compact",
    "integer",
    "json_in",
    "kind_of",
    "number",
    "parsed",
    "quote",
    "text_value",
    "truth",
    "unescape",
]

Kind = Literal["null", "false", "number", "string", "true", "json"]

_KINDS: dict[str, Kind] = {"n": "null", "f": "false", "t": "true", '"': "string", "{": "json", "[": "json"}
_INTEGER = re.compile(r"-?[0-9]*")
_DECIMAL = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_NAMED = re.compile(r"[-+]?(?:inf(?:inity)?|nan)", re.IGNORECASE)
_HEXADECIMAL = re.compile(r"[-+]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][-+]?[0-9]+")
_VALID_UNTIL = re.compile(r'(?:[^\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*')
_ESCAPED = re.compile(r'[\x00-\x1f"\\<>&\u2028\u2029\udc80-\udcff]')
_SHORT = {"\\": "\\\\", '"': '\\"', "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_WHITE = " \t\r\n"
_STRING_OR_WHITE = re.compile(r'("[^"\\]*+(?:\\.[^"\\]*+)*+")|[ \t\r\n]++', re.DOTALL)


def kind_of(raw: str) -> Kind:
    """The type of a raw value, which must be JSON."""
    return _KINDS.get(raw[0], "number")


def parsed(raw: str) -> str | None:
    """The value that JSON text holds, None for empty text. White space after an object or an array is kept."""
    stripped = raw.lstrip(_WHITE)
    if not stripped:
        return None
    return stripped if stripped[0] in "{[" else stripped.rstrip(_WHITE)


def text_value(raw: str) -> str:
    """A raw value as a string: strings unquoted, null empty, plain integers as they stand, other numbers as float64."""
    match kind_of(raw):
        case "null":
            return ""
        case "string":
            return unquote(raw)
        case "number" if not _INTEGER.fullmatch(raw):
            value = float(raw)
            # Go prints "+Inf" for what no float64 holds.
            return raw if value in {float("inf"), float("-inf")} else float_text(value)
        case _:
            return raw.rstrip(_WHITE) if raw[0] in "tf" else raw


def truth(text: str) -> bool | None:
    """Go's ``strconv.ParseBool`` of the lower-cased text; None where it is no truth value."""
    lowered = text.lower()
    if lowered in {"1", "t", "true"}:
        return True
    return False if lowered in {"0", "f", "false"} else None


def number(text: str) -> float:
    """Go's ``strconv.ParseFloat``; 0 where the text is no number."""
    if _DECIMAL.fullmatch(text) or _NAMED.fullmatch(text):
        return float(text)
    if _HEXADECIMAL.fullmatch(text):
        try:
            return float.fromhex(text)
        except OverflowError:
            return float("-inf") if text.startswith("-") else float("inf")
    return 0.0


def compact(raw: str) -> str:
    """JSON text without its white space."""
    return _STRING_OR_WHITE.sub(lambda found: found[1] or "", raw)


def integer(raw: str) -> int:
    """A raw value as an integer, 0 where it is none."""
    match kind_of(raw):
        case "true":
            return 1
        case "string":
            text = unquote(raw)
            return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else 0
        case "number":
            value = float(raw)
            return int(value) if abs(value) < 2.0**53 else 0
        case _:
            return 0


def quote(text: str) -> str:
    r"""``text`` as a JSON string with ``<``, ``>`` and ``&`` escaped; bytes that are not UTF-8 become ``\ufffd``."""
    readable = bytes_of(text).decode("utf-8", "surrogateescape")
    return text_of(f'"{_ESCAPED.sub(_escape, readable)}"'.encode())


def unescape(text: str) -> str:
    """The inside of a quoted string of a path, up to its first character that JSON does not allow."""
    found = _VALID_UNTIL.match(text)
    return unquote(f'"{found[0] if found else ""}"')


def json_in(text: str) -> str:
    """``text`` if it is JSON, otherwise empty."""
    return text if is_json(bytes_of(text)) else ""


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character >= "\udc80":
        return "\\ufffd"
    return _SHORT.get(character) or f"\\u{ord(character):04x}"
