"""Bytes to characters: the encodings and the characters that YAML allows."""

from __future__ import annotations

import re
from typing import Final

from keyferry.shape.goyaml.errors import YamlError, converting

END: Final = "\0"
"""Stands behind the last character, several times over. It is not allowed within YAML."""
BREAKS: Final = "\r\n\x85\u2028\u2029"
BLANKS: Final = " \t"
BREAK_OR_END: Final = frozenset(BREAKS + END)
BLANK_OR_END: Final = frozenset(BLANKS + BREAKS + END)

_ALLOWED: Final = "\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff"
_FORBIDDEN = re.compile(f"[^{_ALLOWED}]")
_BOM: Final = b"\xef\xbb\xbf"
_UTF_16: Final = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_LOOKAHEAD: Final = 8


class Cursor:
    """A place in the text. Lines and columns count from 0. Raises ``YamlError`` where any of the text is not YAML's."""

    __slots__ = ("_start", "line", "place", "text")

    def __init__(self, document: bytes) -> None:
        self.text = _read(document) + END * _LOOKAHEAD
        self.place = 0
        self.line = 0
        self._start = 0

    @property
    def column(self) -> int:
        return self.place - self._start

    def take_break(self) -> str:
        """Pass over the line break that is here, and tell what it stands for."""
        character = self.text[self.place]
        self.place += 2 if character == "\r" and self.text[self.place + 1] == "\n" else 1
        self.line += 1
        self._start = self.place
        return character if character in "\u2028\u2029" else "\n"

    def new_line(self) -> None:
        """Pretend that a new line starts here."""
        self._start = self.place
        self.line += 1

    def at_indicator(self) -> bool:
        """Whether ``---`` or ``...`` stands here at the start of a line."""
        return (
            self.place == self._start
            and self.text.startswith(("---", "..."), self.place)
            and self.text[self.place + 3] in BLANK_OR_END
        )

    def error(self, problem: str) -> YamlError:
        """The error at this place."""
        return converting(problem, line=self.line + 1, told=self.line + 1 if self.line else 0)


def _read(document: bytes) -> str:
    # Go reads piece by piece, and does not see what is wrong far behind the end of the first document.
    encoding = _UTF_16.get(document[:2])
    if encoding:
        # What cannot be decoded is made a character that YAML forbids.
        document = document[2:].decode(encoding, "replace").replace("\ufffd", "\uffff").encode()
    document = document.removeprefix(_BOM)
    text = document.decode("utf-8", "surrogateescape")
    found = _FORBIDDEN.search(text)
    if found is None:
        return text
    if "\ud800" <= found[0] <= "\udfff":
        raise converting(_wrong_utf8(document[len(text[: found.start()].encode()) :]))
    raise converting("control characters are not allowed", line=text.count("\n", 0, found.start()) + 1)


def _wrong_utf8(sequence: bytes) -> str:
    """What is wrong with the sequence of octets that starts here."""
    first = sequence[0]
    width = 2 if first >> 5 == 0b110 else 3 if first >> 4 == 0b1110 else 4 if first >> 3 == 0b11110 else 0
    if not width:
        return "invalid leading UTF-8 octet"
    if width > len(sequence):
        return "incomplete UTF-8 octet sequence"
    code = first & (0x7F >> width)
    for each in sequence[1:width]:
        if each >> 6 != 0b10:
            return "invalid trailing UTF-8 octet"
        code = code << 6 | each & 0x3F
    least = (0x80, 0x800, 0x10000)[width - 2]
    return "invalid length of a UTF-8 sequence" if code < least else "invalid Unicode character"
