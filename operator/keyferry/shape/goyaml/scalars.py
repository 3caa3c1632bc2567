"""Scalars: from their first character to their value."""

from __future__ import annotations

import re
from typing import Final

from keyferry.shape.goyaml.reader import BLANKS, BREAK_OR_END, BREAKS, END, Cursor

_STOP: Final = BLANKS + BREAKS + END
_PLAIN = re.compile(f"(?:[^:{_STOP}]+|:(?![{_STOP}]))+")
_PLAIN_IN_FLOW = re.compile(rf"(?:[^:,?\[\]{{}}{_STOP}]+|:(?![{_STOP}]))+")
_SINGLE = re.compile(f"(?:[^'{_STOP}]+|'')+")
_DOUBLE = re.compile(rf'[^"\\{_STOP}]+')
_BLANKS = re.compile(f"[{BLANKS}]*")
_LINE = re.compile(f"[^{BREAKS}{END}]*")
_SPACES = re.compile(" *")
_COMMENT = re.compile(f"[{BLANKS}]*(?:#[^{BREAKS}{END}]*)?")
_HEX = re.compile("[0-9A-Fa-f]*")
_ESCAPES: Final = {
    "0": "\0",
    "a": "\a",
    "b": "\b",
    "t": "\t",
    "\t": "\t",
    "n": "\n",
    "v": "\v",
    "f": "\f",
    "r": "\r",
    "e": "\x1b",
    " ": " ",
    '"': '"',
    "'": "'",
    "\\": "\\",
    "N": "\x85",
    "_": "\xa0",
    "L": "\u2028",
    "P": "\u2029",
}
_CODES: Final = {"x": 2, "u": 4, "U": 8}


def plain(cursor: Cursor, indent: int, *, in_flow: bool) -> tuple[str, bool]:
    """The plain scalar that starts here, and whether line breaks were passed over behind it.

    ``indent`` is the least column that its further lines may start at. Raises ``YamlError``.
    """
    text = cursor.text
    pattern = _PLAIN_IN_FLOW if in_flow else _PLAIN
    out: list[str] = []
    joint, broken = "", False
    while not cursor.at_indicator() and text[cursor.place] != "#":
        found = pattern.match(text, cursor.place)
        if found is not None:
            out += joint, found[0]
            joint, broken = "", False
            cursor.place = found.end()
        if text[cursor.place] not in _STOP or text[cursor.place] == END:
            break
        joint, broken = _between(cursor, indent)
        if not in_flow and cursor.column < indent:
            break
    return "".join(out), broken


def _between(cursor: Cursor, indent: int) -> tuple[str, bool]:
    """What blanks and line breaks between two pieces of a plain scalar stand for, and whether there are breaks."""
    blanks = _blanks(cursor)
    if cursor.text[cursor.place] not in BREAKS:
        return blanks, False
    first, rest = cursor.take_break(), ""
    while True:
        # The column of a tab is its place in the blanks: a line starts with them.
        if 0 <= _blanks(cursor).find("\t") < indent:
            raise cursor.error("found a tab character that violates indentation")
        if cursor.text[cursor.place] not in BREAKS:
            return _folded(first, rest), True
        rest += cursor.take_break()


def quoted(cursor: Cursor) -> str:
    """The quoted scalar whose quote stands here. Raises ``YamlError``."""
    text = cursor.text
    quote = text[cursor.place]
    single = quote == "'"
    cursor.place += 1
    out: list[str] = []
    while True:
        if cursor.at_indicator():
            raise cursor.error("found unexpected document indicator")
        if text[cursor.place] == END:
            raise cursor.error("found unexpected end of stream")
        broken = _single(cursor, out) if single else _double(cursor, out)
        if text[cursor.place] == quote:
            cursor.place += 1
            return "".join(out)
        out.append(_folding(cursor, broken=broken))


def _single(cursor: Cursor, out: list[str]) -> bool:
    found = _SINGLE.match(cursor.text, cursor.place)
    if found is not None:
        out.append(found[0].replace("''", "'"))
        cursor.place = found.end()
    return False


def _double(cursor: Cursor, out: list[str]) -> bool:
    """Characters and escapes up to the next blank or the quote; true where an escaped line break ended them."""
    text = cursor.text
    while True:
        found = _DOUBLE.match(text, cursor.place)
        if found is not None:
            out.append(found[0])
            cursor.place = found.end()
        if text[cursor.place] != "\\":
            return False
        escape = text[cursor.place + 1]
        if escape in BREAKS:
            cursor.place += 1
            cursor.take_break()
            return True
        if (meant := _ESCAPES.get(escape)) is not None:
            cursor.place += 2
            out.append(meant)
        else:
            out.append(_code(cursor, _CODES.get(escape, 0)))


def _code(cursor: Cursor, length: int) -> str:
    if not length:
        raise cursor.error("found unknown escape character")
    cursor.place += 2
    found = _HEX.match(cursor.text, cursor.place, cursor.place + length)
    if found is None or len(found[0]) < length:
        raise cursor.error("did not find expected hexdecimal number")
    code = int(found[0], 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise cursor.error("found invalid Unicode character escape code")
    cursor.place += length
    return chr(code)


def _folding(cursor: Cursor, *, broken: bool) -> str:
    """What blanks and line breaks within quotes stand for. ``broken``: an escaped break stands before them."""
    escaped = broken
    blanks = _blanks(cursor)
    first, rest = "", ""
    while cursor.text[cursor.place] in BREAKS:
        if broken:
            rest += cursor.take_break()
        else:
            first, broken = cursor.take_break(), True
        _blanks(cursor)
    if escaped:
        return rest
    return _folded(first, rest) if broken else blanks


def _folded(first: str, rest: str) -> str:
    """Line breaks: one is a blank, one of several is dropped."""
    if first != "\n":
        return first + rest
    return rest or " "


def _blanks(cursor: Cursor) -> str:
    found = _BLANKS.match(cursor.text, cursor.place)
    if found is None:
        return ""
    cursor.place = found.end()
    return found[0]


def block(cursor: Cursor, parent: int) -> str:
    """The literal or folded scalar whose ``|`` or ``>`` stands here. ``parent`` is the indentation around it.

    Raises ``YamlError``.
    """
    text = cursor.text
    literal = text[cursor.place] == "|"
    cursor.place += 1
    chomping, increment = _header(cursor)
    indent = max(parent, 0) + increment if increment else 0
    out: list[str] = []
    leading, blank_before = "", False
    indent, trailing = _empty_lines(cursor, indent, parent)
    while cursor.column == indent and text[cursor.place] != END:
        blank_here = text[cursor.place] in BLANKS
        if literal or blank_before or blank_here or leading != "\n":
            out.append(leading)
        elif not trailing:
            out.append(" ")
        out.append(trailing)
        blank_before = blank_here
        found = _LINE.match(text, cursor.place)
        if found is not None:
            out.append(found[0])
            cursor.place = found.end()
        leading = cursor.take_break() if text[cursor.place] != END else ""
        indent, trailing = _empty_lines(cursor, indent, parent)
    if chomping != "-":
        out.append(leading)
    if chomping == "+":
        out.append(trailing)
    return "".join(out)


def _header(cursor: Cursor) -> tuple[str, int]:
    """What stands behind the indicator: how to treat the last line breaks, and the indentation; 0 if not given."""
    text = cursor.text
    chomping, increment = "", 0
    for _ in range(2):
        character = text[cursor.place]
        if not chomping and character in "+-":
            chomping = character
        elif not increment and character in "0123456789":
            if character == "0":
                raise cursor.error("found an indentation indicator equal to 0")
            increment = int(character)
        else:
            break
        cursor.place += 1
    rest = _COMMENT.match(text, cursor.place)
    cursor.place = cursor.place if rest is None else rest.end()
    if text[cursor.place] not in BREAK_OR_END:
        raise cursor.error("did not find expected comment or line break")
    if text[cursor.place] != END:
        cursor.take_break()
    return chomping, increment


def _empty_lines(cursor: Cursor, indent: int, parent: int) -> tuple[int, str]:
    """Pass over indentation and empty lines: the indentation, which is found where it is 0, and the line breaks."""
    text = cursor.text
    breaks: list[str] = []
    deepest = 0
    while True:
        end = len(text) if not indent else max(cursor.place + indent - cursor.column, cursor.place)
        found = _SPACES.match(text, cursor.place, end)
        cursor.place = cursor.place if found is None else found.end()
        deepest = max(deepest, cursor.column)
        if text[cursor.place] == "\t" and (not indent or cursor.column < indent):
            raise cursor.error("found a tab character where an indentation space is expected")
        if text[cursor.place] not in BREAKS:
            break
        breaks.append(cursor.take_break())
    return indent or max(deepest, parent + 1, 1), "".join(breaks)
