"""Directives, anchors and tags."""

from __future__ import annotations

import re
from typing import Final

from keyferry.shape.goyaml.errors import YamlError
from keyferry.shape.goyaml.reader import BLANK_OR_END, BLANKS, BREAK_OR_END, BREAKS, END, Cursor

_WORD = re.compile("[0-9A-Za-z_-]*")
_BLANK = re.compile(f"[{BLANKS}]*")
_NUMBER = re.compile("[0-9]*")
_VERSION_DIGITS: Final = 2
_URI = re.compile(r"[0-9A-Za-z_\-;/?:@&=+$,.!~*'()\[\]]*")
_ESCAPED = re.compile("(?:%[0-9A-Fa-f]{2})*")
_COMMENT = re.compile(f"[{BLANKS}]*(?:#[^{BREAKS}{END}]*)?")
_LEADS: Final = {1: (7, 0), 2: (5, 0b110), 3: (4, 0b1110), 4: (3, 0b11110)}
"""Octets of a character to the leading bits of the first: how far to shift, and what is left then."""
_AFTER_ANCHOR: Final = BLANK_OR_END | frozenset("?:,]}%@`")


def directive(cursor: Cursor) -> tuple[str, str, str]:
    """The directive whose ``%`` stands here: kind, value and more of its token. Raises ``YamlError``."""
    cursor.place += 1
    name = _take(cursor, _WORD)
    if not name:
        raise cursor.error("could not find expected directive name")
    if cursor.text[cursor.place] not in BLANK_OR_END:
        raise cursor.error("found unexpected non-alphabetical character")
    if name == "YAML":
        kind, value, more = "version", _version(cursor), ""
    elif name == "TAG":
        kind, (value, more) = "tag directive", _prefix(cursor)
    else:
        raise cursor.error("found unknown directive name")
    _take(cursor, _COMMENT)
    if cursor.text[cursor.place] not in BREAK_OR_END:
        raise cursor.error("did not find expected comment or line break")
    if cursor.text[cursor.place] != END:
        cursor.take_break()
    return kind, value, more


def anchor(cursor: Cursor) -> str:
    """The name behind the ``&`` or ``*`` that stands here. Raises ``YamlError``."""
    cursor.place += 1
    name = _take(cursor, _WORD)
    if not name or cursor.text[cursor.place] not in _AFTER_ANCHOR:
        raise cursor.error("did not find expected alphabetic or numeric character")
    return name


def tag(cursor: Cursor) -> tuple[str, str]:
    """Handle and suffix of the tag whose ``!`` stands here. Raises ``YamlError``."""
    if cursor.text[cursor.place + 1] == "<":
        cursor.place += 2
        handle, suffix = "", _uri(cursor)
        if cursor.text[cursor.place] != ">":
            raise cursor.error("did not find the expected '>'")
        cursor.place += 1
    else:
        handle = _handle(cursor)
        if len(handle) > 1 and handle.endswith("!"):
            suffix = _uri(cursor)
        else:
            suffix = _uri(cursor, handle)
            handle, suffix = ("!", suffix) if suffix else ("", "!")
    if cursor.text[cursor.place] not in BLANK_OR_END:
        raise cursor.error("did not find expected whitespace or line break")
    return handle, suffix


def _take(cursor: Cursor, pattern: re.Pattern[str]) -> str:
    found = pattern.match(cursor.text, cursor.place)
    if found is None:
        return ""
    cursor.place = found.end()
    return found[0]


def _version(cursor: Cursor) -> str:
    _take(cursor, _BLANK)
    major = _version_number(cursor)
    if cursor.text[cursor.place] != ".":
        raise cursor.error("did not find expected digit or '.' character")
    cursor.place += 1
    return f"{major}.{_version_number(cursor)}"


def _version_number(cursor: Cursor) -> int:
    digits = _take(cursor, _NUMBER)
    if len(digits) > _VERSION_DIGITS:
        raise cursor.error("found extremely long version number")
    if not digits:
        raise cursor.error("did not find expected version number")
    return int(digits)


def _prefix(cursor: Cursor) -> tuple[str, str]:
    _take(cursor, _BLANK)
    handle = _handle(cursor, directive=True)
    if not _take(cursor, _BLANK):
        raise cursor.error("did not find expected whitespace")
    prefix = _uri(cursor)
    if cursor.text[cursor.place] not in BLANK_OR_END:
        raise cursor.error("did not find expected whitespace or line break")
    return handle, prefix


def _handle(cursor: Cursor, *, directive: bool = False) -> str:
    if cursor.text[cursor.place] != "!":
        raise cursor.error("did not find expected '!'")
    cursor.place += 1
    handle = "!" + _take(cursor, _WORD)
    if cursor.text[cursor.place] == "!":
        cursor.place += 1
        return f"{handle}!"
    if directive and handle != "!":
        raise cursor.error("did not find expected '!'")
    return handle


def _uri(cursor: Cursor, head: str = "") -> str:
    """A URI; ``head`` is what was read of it already, with a ``!`` in front that does not belong to it."""
    out = head[1:].encode()
    start = cursor.place
    while piece := _take(cursor, _URI).encode() or _escaped(cursor):
        out += piece
    if cursor.place == start and not head:
        raise cursor.error("did not find expected tag URI")
    return out.decode("utf-8", "surrogateescape")


def _escaped(cursor: Cursor) -> bytes:
    """One character that is written as escaped octets; nothing where there is no ``%``."""
    if cursor.text[cursor.place] != "%":
        return b""
    raw = bytes.fromhex((_take(cursor, _ESCAPED)).replace("%", ""))
    if not raw:
        raise _no_octet(cursor)
    width = next((width for width, lead in _LEADS.items() if raw[0] >> lead[0] == lead[1]), 0)
    if not width:
        raise cursor.error("found an incorrect leading UTF-8 octet")
    if any(each >> 6 != 0b10 for each in raw[1:width]):
        raise cursor.error("found an incorrect trailing UTF-8 octet")
    if len(raw) < width:
        raise _no_octet(cursor)
    cursor.place -= 3 * (len(raw) - width)
    return raw[:width]


def _no_octet(cursor: Cursor) -> YamlError:
    return cursor.error("did not find URI escaped octet")
