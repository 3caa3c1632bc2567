"""Values to YAML, as go.yaml.in/yaml/v2 writes it: block style, lines folded beyond column 80."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from keyferry.shape.gofloat import format_float
from keyferry.shape.goyaml.decoder import Decoded
from keyferry.shape.goyaml.order import natural
from keyferry.shape.goyaml.resolver import is_text

Style: TypeAlias = Literal["plain", "single", "double", "literal"]

_WIDTH: Final = 80
_STEP: Final = 2
_SIMPLE_KEY: Final = 128
"""Bytes that a key without ``?`` may have."""
_BREAKS: Final = "\r\n\x85\u2028\u2029"
_BREAK = re.compile(f"([{_BREAKS}])")
_PRINTABLE: Final = " -~\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd"
_UNPRINTABLE = re.compile(f"[^\n{_PRINTABLE}]")
_INDICATOR = re.compile(rf"\A(?:---|\.\.\.|[#,\[\]{{}}&*!|>'\"%@`]|[?-](?:[ \t]|\Z))|:(?:[ \t]|\Z)|[ \t\0{_BREAKS}]#")
"""What would be taken for something else than the scalar's text."""
_BLANK_BEFORE_BREAK = re.compile(f" [{_BREAKS}]")
_BLANK_BEHIND_BREAK = re.compile(f"[{_BREAKS}] ")
_ESCAPED = re.compile(f'["\\\\\u2028\u2029]|[^{_PRINTABLE}]')
_BLANKS = re.compile(" +")
_BOM: Final = "\ufeff"
_SHORT: Final = {
    "\0": "0",
    "\a": "a",
    "\b": "b",
    "\t": "t",
    "\n": "n",
    "\v": "v",
    "\f": "f",
    "\r": "r",
    "\x1b": "e",
    '"': '"',
    "\\": "\\",
    "\x85": "N",
    "\xa0": "_",
    "\u2028": "L",
    "\u2029": "P",
}


def emit(value: Decoded, make: Callable[[int], None]) -> str:
    """The document, with a line break at its end. Strings must not hold surrogates.

    ``make`` is told how many characters are about to be written, and may raise.
    """
    emitter = _Emitter(make)
    emitter.node(value)
    emitter.new_line()
    return "".join(emitter.out)


def style_of(text: str, *, key: bool) -> Style:
    """How a string is written. ``key``: as a key without ``?``, which has to stay on its line."""
    broken = _BREAK.search(text) is not None
    special = _UNPRINTABLE.search(text) is not None or _BLANK_BEFORE_BREAK.search(text) is not None
    if special or (key and broken):
        return "double"
    if "\n" in text:
        return "double" if text.endswith(" ") else "literal"
    if not is_text(text) or _BLANK_BEHIND_BREAK.search(text):
        return "double"
    blank_edge = text.startswith(" ") or text.endswith(" ")
    return "single" if broken or blank_edge or _INDICATOR.search(text) else "plain"


class _Emitter:
    """``column`` counts characters; ``blank``: a blank, or the like, was written last; ``fresh``: nothing but what
    indents has been written in this line.
    """

    def __init__(self, make: Callable[[int], None]) -> None:
        self.out: list[str] = []
        self._make = make
        self._column = 0
        self._indent = -1
        self._blank = True
        self._fresh = True

    def node(self, value: Decoded, *, in_mapping: bool = False) -> None:
        """Write a value. ``in_mapping``: as a value or a complex key of one."""
        match value:
            case dict() if value:
                self._mapping(value)
            case list() if value:
                self._sequence(value, in_mapping=in_mapping)
            case dict() | list():
                self._indicator("{}" if isinstance(value, dict) else "[]")
            case str():
                self._string(value)
            case _:
                self._plain(_scalar(value))

    def new_line(self) -> None:
        """Go to the indentation, in a new line unless there is nothing in this one."""
        indent = max(self._indent, 0)
        if not self._fresh or self._column > indent or (self._column == indent and not self._blank):
            self.out.append("\n")
            self._column = 0
        self._make(indent + 1)
        self._put(" " * (indent - self._column))
        self._blank = self._fresh = True

    def _mapping(self, items: dict[str, Decoded]) -> None:
        outer = self._indent
        self._indent = 0 if outer < 0 else outer + _STEP
        for key in natural(items):
            self.new_line()
            if len(key.encode()) <= _SIMPLE_KEY and not _BREAK.search(key):
                self._string(key, key=True)
                self._put(":")
            else:
                self._indicator("?", indents=True)
                self._string(key)
                self.new_line()
                self._indicator(":", indents=True)
            self.node(items[key], in_mapping=True)
        self._indent = outer

    def _sequence(self, items: list[Decoded], *, in_mapping: bool) -> None:
        outer = self._indent
        # The items of a key's sequence stand in the column of the key.
        if not in_mapping or self._fresh:
            self._indent = 0 if outer < 0 else outer + _STEP
        for item in items:
            self.new_line()
            self._indicator("-", indents=True)
            self.node(item)
        self._indent = outer

    def _put(self, text: str) -> None:
        self.out.append(text)
        self._column += len(text)

    def _indicator(self, text: str, *, indents: bool = False) -> None:
        self._put(text if self._blank else f" {text}")
        self._blank = False
        self._fresh = self._fresh and indents

    def _string(self, text: str, *, key: bool = False) -> None:
        outer = self._indent
        self._indent = max(outer, 0) + _STEP
        self._make(len(text))
        style = style_of(text, key=key)
        if style == "literal":
            self._literal(text)
        elif style == "plain":
            self._plain(text, key=key)
        else:
            self._quoted(text, style, key=key)
        self._indent = outer

    def _plain(self, text: str, *, key: bool = False) -> None:
        self._put("" if self._blank else " ")
        self._folded(text, key=key)
        self._blank = self._fresh = False

    def _quoted(self, text: str, style: Style, *, key: bool) -> None:
        quote = '"' if style == "double" else "'"
        self._indicator(quote)
        if style == "single":
            self._pieces(text.replace("'", "''"), key=key)
        elif text.startswith(_BOM):
            # Go takes every character for the byte order mark where the first one is.
            self._put("".join(map(_escape, text)))
        else:
            self._folded(_ESCAPED.sub(lambda found: _escape(found[0]), text), key=key, double=True)
        self._put(quote)
        self._blank = self._fresh = False

    def _literal(self, text: str) -> None:
        hint = str(_STEP) if text[0] in f" {_BREAKS}" else ""
        chomping = "-" if text[-1] not in _BREAKS else "+" if len(text) == 1 or text[-2] in _BREAKS else ""
        self._indicator(f"|{hint}{chomping}")
        self._break("\n")
        self._blank = True
        self._pieces(text, key=True)

    def _pieces(self, text: str, *, key: bool) -> None:
        """Text with line breaks, each line indented but the empty ones."""
        for piece in _BREAK.split(text):
            if _BREAK.match(piece):
                self._break(piece)
            elif piece:
                if self._fresh:
                    self.new_line()
                self._folded(piece, key=key)
                self._fresh = False

    def _break(self, text: str) -> None:
        self.out.append(text)
        self._column = 0
        self._fresh = True

    def _folded(self, text: str, *, key: bool, double: bool = False) -> None:
        """A line of text, broken at blanks where it is too long and no key."""
        start = 0
        if not key and self._column + len(text) > _WIDTH:
            for found in _BLANKS.finditer(text):
                place, end = found.span()
                self._put(text[start:place])
                start = place
                if self._column > _WIDTH and 0 < place < len(text) - 1 and (double or end == place + 1):
                    self.new_line()
                    # A blank at the start of a line has to be told from indentation.
                    self._put("\\" if end > place + 1 else "")
                    start = place + 1
                self._put(text[start:end])
                start = end
        self._put(text[start:])


def _scalar(value: Decoded) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return format_float(value)
        case _:
            return str(value)


def _escape(character: str) -> str:
    if (short := _SHORT.get(character)) is not None:
        return f"\\{short}"
    code = ord(character)
    return f"\\x{code:02X}" if code <= 0xFF else f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
