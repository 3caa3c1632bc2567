"""A template's text, and places in it."""

from __future__ import annotations

from typing import TypeVar

from keyferry.shape.gotmpl.errors import TemplateError

_LONGEST_CONTEXT = 120
_E = TypeVar("_E", bound=TemplateError)


class Source:
    """The text with its delimiters. Places are offsets of characters."""

    def __init__(self, text: str, left: str, right: str) -> None:
        self.text = text
        self.left = left or "{{"
        self.right = right or "}}"

    def action(self, inside: str) -> str:
        """An action as the user would write it."""
        return f"{self.left} {inside} {self.right}"

    def line(self, at: int) -> int:
        """The line of a place, from 1."""
        return self.text.count("\n", 0, at) + 1

    def error(self, kind: type[_E], at: int, message: str, *, remedy: str = "", detail: str = "") -> _E:
        """An error that knows its place."""
        return self.place(kind(message, remedy=remedy, detail=detail), at)

    def place(self, error: _E, at: int) -> _E:
        """Tell an error its place, unless it has one from further inside."""
        if not error.line:
            error.line = self.line(at)
            error.column = at - self.text.rfind("\n", 0, at)
            error.context = self._context(at)
        return error

    def _context(self, at: int) -> str:
        """The action around a place, cut to a length that is good to show."""
        start = max(self.text.rfind(self.left, 0, at + 1), 0)
        end = self.text.find(self.right, at, start + _LONGEST_CONTEXT)
        whole = self.text[start : end + len(self.right) if end >= 0 else start + _LONGEST_CONTEXT]
        return whole if end >= 0 or start + _LONGEST_CONTEXT >= len(self.text) else f"{whole}..."
