"""The text of JSON documents: is it JSON, where do its values begin and end, what do its strings say.

Inside this module and ``gjson``, JSON text is a ``str`` that holds one byte per character (``text_of``), because a
secret need not be UTF-8 and a raw result has to keep every byte.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from keyferry.errors import BadValue
from keyferry.shape.gojson import MAX_DEPTH, Number

__all__ = ["bytes_of", "depth_of", "elements", "end_of", "is_json", "loads", "members", "text_of", "unquote"]

GO_UTF8 = "keyferry-go-utf8"
"""Decoding errors as Go handles them: every byte that is not UTF-8 becomes one U+FFFD."""

_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_WHOLE_STRING = re.compile(_STRING, re.DOTALL)
_FLAT = rf'(?:[^"\[\]{{}}]++|{_STRING})*+'
_TO_BRACKET = re.compile(rf'(?:[^"\[\]{{}}]++|{_STRING}|\[{_FLAT}\]|\{{{_FLAT}\}})*+([\[\]{{}}])', re.DOTALL)
"""Up to the next bracket. Containers without containers in them are skipped on the way."""
_SCALAR = re.compile(r"[-+0-9.eE]+|true|false|null")
_KEY = re.compile(rf"[ \t\r\n,]*+({_STRING})[ \t\r\n]*+:[ \t\r\n]*+", re.DOTALL)
_BETWEEN = re.compile(r"[ \t\r\n,]*+")
_BYTE_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_LONE_SURROGATE = re.compile(
    r"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|(\\.)", re.DOTALL
)
_ESCAPE = re.compile(r"\\(?:u([dD][89abAB]..)\\u([dD][c-fC-F]..)|u(....)|(.))", re.DOTALL)
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
_DEPTH = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NOTHING = object()


def _one_for_each(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "�" * (error.end - error.start), error.end


codecs.register_error(GO_UTF8, _one_for_each)


def text_of(document: bytes) -> str:
    """JSON text with one character per byte."""
    return document.decode("latin-1")


def bytes_of(text: str) -> bytes:
    """The bytes of JSON text."""
    return text.encode("latin-1")


def depth_of(document: bytes) -> int:
    """How many levels of objects and arrays are inside one another."""
    brackets = _BYTE_STRING.sub(b"", document).translate(None, _NO_BRACKET)
    return max(accumulate(map(_DEPTH.__getitem__, brackets)), default=0)


def loads(document: bytes, *, floats: bool = False) -> Any:
    """The value of a document as Go's ``json.Unmarshal`` reads it.

    Numbers are ``Number``, which keeps their text; with ``floats``, those with a fraction or an exponent are floats as
    in Go, and integers keep their text nevertheless: Go's float64 would falsify them beyond 2**53. The last of equal
    keys wins; bytes that are not UTF-8 and lone surrogates become U+FFFD.

    Raises ``BadValue`` where the document is not JSON or is nested more than ``MAX_DEPTH`` levels deep.
    """
    if _too_deep(document):
        raise BadValue(f"the value is JSON nested more than {MAX_DEPTH} levels deep")
    value = _parsed(document, _FLOATS if floats else _EXACT)
    if value is _NOTHING:
        raise BadValue("the value is not JSON")
    return value


def is_json(document: bytes) -> bool:
    """Whether ``loads`` would read it."""
    return not _too_deep(document) and _parsed(document, _EXACT) is not _NOTHING


def members(text: str) -> Iterator[tuple[str, str]]:
    """The members of an object as they stand: raw key with its quotes, raw value. ``text`` must be JSON."""
    place = text.index("{") + 1
    while (key := _KEY.match(text, place)) is not None:
        place = end_of(text, key.end())
        yield key[1], text[key.end() : place]


def elements(text: str) -> Iterator[str]:
    """The raw elements of an array. ``text`` must be JSON."""
    place = _after_white(text, text.index("[") + 1)
    while text[place] != "]":
        end = end_of(text, place)
        yield text[place:end]
        place = _after_white(text, end)


def end_of(text: str, start: int) -> int:
    """Where the value that starts at ``start`` ends. ``text`` must be JSON."""
    if text[start] in "{[":
        depth, place = 1, start + 1
        while (bracket := _TO_BRACKET.match(text, place)) is not None:
            depth += 1 if bracket[1] in "{[" else -1
            place = bracket.end()
            if not depth:
                return place
    token = (_WHOLE_STRING if text[start] == '"' else _SCALAR).match(text, start)
    return len(text) if token is None else token.end()


def unquote(quoted: str) -> str:
    """What a JSON string says, in UTF-8 with one character per byte; bytes that are not UTF-8 stay as they are."""
    inner = quoted[1:-1]
    return _ESCAPE.sub(_meant, inner) if "\\" in inner else inner


def _after_white(text: str, place: int) -> int:
    found = _BETWEEN.match(text, place)
    return place if found is None else found.end()


def _meant(found: re.Match[str]) -> str:
    high, low, single, short = found.groups()
    if short is not None:
        return _SHORT.get(short, short)
    code = int(single, 16) if high is None else 0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF)
    character = "�" if 0xD800 <= code < 0xE000 else chr(code)
    return character.encode().decode("latin-1")


def _too_deep(document: bytes) -> bool:
    return document.count(b"[") + document.count(b"{") > MAX_DEPTH and depth_of(document) > MAX_DEPTH


def _parsed(document: bytes, decoder: json.JSONDecoder) -> Any:
    # The error of the standard library carries the document, and would stay reachable as __context__ of ours.
    text = document.decode("utf-8", GO_UTF8)
    if "\\u" in text:
        text = _LONE_SURROGATE.sub(lambda found: found[0] if found[1] or found[2] else "\\ufffd", text)
    try:
        return decoder.decode(text)
    except (ValueError, RecursionError):
        return _NOTHING


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _float(text: str) -> float | Number:
    number = float(text)
    return Number(text) if number in {float("inf"), float("-inf")} else number


_EXACT = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=_refuse)
_FLOATS = json.JSONDecoder(parse_float=_float, parse_int=Number, parse_constant=_refuse)
