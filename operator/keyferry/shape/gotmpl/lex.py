"""Text to tokens, by the rules of text/template's scanner: delimiters, trim markers, comments, and what is inside."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final, NamedTuple

from keyferry.shape.gotmpl import hints
from keyferry.shape.gotmpl.errors import ParseError
from keyferry.shape.gotmpl.source import Source

MAX_NESTING: Final = 100
"""Blocks and parentheses within each other. Go takes 10,000 parentheses and any number of blocks."""
MAX_TOKENS: Final = 50_000
"""Go has no bound. Parsing and compiling takes some 20 microseconds for each, and a kilobyte."""

_SPACES: Final = " \t\r\n"
_SPACE_RUN = re.compile(r"[ \t\r\n]+")
_WORD = re.compile(r"\w+")
_ENDS: Final = frozenset(" \t\r\n.,|:)(")
_STRING = re.compile(r'"(?:[^"\\\n]++|\\[^\n])*+"')
_CHAR = re.compile(r"'(?:[^'\\\n]++|\\[^\n])*+'")
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|0[oO][0-7_]*(?:\.[0-7_]*)?"
    r"|0[bB][01_]*(?:\.[01_]*)?"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)


class Kind(Enum):
    """What a token is. The values of keywords are their spelling."""

    TEXT = auto()
    OPEN = auto()
    CLOSE = auto()
    END_OF_TEXT = auto()
    FIELD = auto()
    VARIABLE = auto()
    DOT = auto()
    IDENTIFIER = auto()
    BOOL = auto()
    CHAR_CONSTANT = auto()
    NUMBER = auto()
    COMPLEX = auto()
    STRING = auto()
    RAW_STRING = auto()
    ASSIGN = auto()
    DECLARE = auto()
    PIPE = auto()
    LEFT_PAREN = auto()
    RIGHT_PAREN = auto()
    PUNCTUATION = auto()
    BLOCK = "block"
    BREAK = "break"
    CONTINUE = "continue"
    DEFINE = "define"
    ELSE = "else"
    END = "end"
    IF = "if"
    NIL = "nil"
    RANGE = "range"
    TEMPLATE = "template"
    WITH = "with"


_KEYWORDS: Final = {kind.value: kind for kind in Kind if isinstance(kind.value, str)}
_WORDS: Final = {**_KEYWORDS, "true": Kind.BOOL, "false": Kind.BOOL}
_SIMPLE: Final = {"=": Kind.ASSIGN, "|": Kind.PIPE, "(": Kind.LEFT_PAREN, ")": Kind.RIGHT_PAREN}


class Token(NamedTuple):
    """``at`` is the offset of its first character; ``spaced`` says that blanks stand before it."""

    kind: Kind
    at: int
    text: str
    spaced: bool = False


def tokens(source: Source) -> Iterator[Token]:
    """The tokens of a template, the last one being ``END_OF_TEXT``. Raises ``ParseError`` where it gets stuck."""
    for count, token in enumerate(_Scanner(source).scan()):
        if count >= MAX_TOKENS:
            raise source.error(ParseError, token.at, f"the template has more than {MAX_TOKENS:,} words")
        yield token


class _Scanner:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._text = source.text
        self._right = source.right
        self._trimmed_right = f"-{source.right}"

    def scan(self) -> Iterator[Token]:
        text, left, at = self._text, self._source.left, 0
        while (start := text.find(left, at)) >= 0:
            inside = start + len(left)
            trims = text.startswith("-", inside) and text[inside + 1 : inside + 2] in (" ", "\t", "\r", "\n")
            before = text[at:start].rstrip(_SPACES) if trims else text[at:start]
            if before:
                yield Token(Kind.TEXT, at, before)
            if trims:
                inside += 2
            if text.startswith("/*", inside):
                at = self._after_comment(start, inside)
                continue
            yield Token(Kind.OPEN, start, left)
            at = inside
            for token in self._action(start, inside):
                yield token
                at = token.at
            at = self._after_close(at)
        if at < len(text):
            yield Token(Kind.TEXT, at, text[at:])
        yield Token(Kind.END_OF_TEXT, len(text), "")

    def _after_comment(self, start: int, inside: int) -> int:
        end = self._text.find("*/", inside + 2)
        if end < 0:
            raise self._wrong(start, "the comment is not closed", remedy=f'end it with "*/{self._right}"')
        end += 2
        if self._text.startswith(self._right, end) or self._trim_marker(end):
            return self._after_close(end)
        raise self._wrong(start, "a comment fills its action", remedy=f'"{self._right}" follows "*/" at once')

    def _trim_marker(self, at: int) -> bool:
        return self._text[at : at + 1] in (" ", "\t", "\r", "\n") and self._text.startswith(self._trimmed_right, at + 1)

    def _after_close(self, at: int) -> int:
        """Where the text goes on behind the closing delimiter, which stands here."""
        if not self._trim_marker(at):
            return at + len(self._right)
        at += 2 + len(self._right)
        run = _SPACE_RUN.match(self._text, at)
        return run.end() if run else at

    def _action(self, start: int, at: int) -> Iterator[Token]:
        """The tokens up to the closing delimiter, which stands where the last one, ``CLOSE``, says."""
        text, right = self._text, self._right
        parens: list[int] = []
        while True:
            spaced = False
            if not text.startswith(right, at) and (run := _SPACE_RUN.match(text, at)):
                spaced, at = True, run.end()
            trimmed = spaced and text.startswith(self._trimmed_right, at)
            if trimmed or text.startswith(right, at):
                if parens:
                    raise self._wrong(parens[-1], 'the parenthesis is not closed: expected ")" before the action ends')
                yield Token(Kind.CLOSE, at - 1 if trimmed else at, right)
                return
            if at >= len(text):
                raise self._wrong(start, f'the action is not closed: expected "{right}"')
            token = self._token(at, spaced)
            if token.kind is Kind.LEFT_PAREN:
                parens.append(at)
                if len(parens) > MAX_NESTING:
                    raise self._wrong(at, f"more than {MAX_NESTING} parentheses within each other")
            elif token.kind is Kind.RIGHT_PAREN:
                if not parens:
                    raise self._wrong(at, 'unexpected ")": no parenthesis is open')
                parens.pop()
            yield token
            at += len(token.text)

    def _token(self, at: int, spaced: bool) -> Token:
        text = self._text
        char = text[at]
        if kind := _SIMPLE.get(char):
            return Token(kind, at, char, spaced)
        if char == ":":
            if not text.startswith(":=", at):
                raise self._wrong(at, 'expected ":=", which declares a variable, found ":"')
            return Token(Kind.DECLARE, at, ":=", spaced)
        if char in "\"'`":
            return self._quoted(at, spaced)
        if char == "." and text[at + 1 : at + 2] not in tuple("0123456789"):
            return self._name(Kind.FIELD, Kind.DOT, at, spaced)
        if char == "$":
            return self._name(Kind.VARIABLE, Kind.VARIABLE, at, spaced)
        if char in ".+-0123456789":
            return self._number(at, spaced)
        return self._word(at, spaced)

    def _word(self, at: int, spaced: bool) -> Token:
        text = self._text
        end = self._word_end(at)
        if not end:
            if " " < text[at] < "\x7f":
                return Token(Kind.PUNCTUATION, at, text[at], spaced)
            raise self._bad_character(at, at)
        if not self._ends(end):
            raise self._bad_character(at, end)
        word = text[at:end]
        return Token(_WORDS.get(word, Kind.IDENTIFIER), at, word, spaced)

    def _quoted(self, at: int, spaced: bool) -> Token:
        quote = self._text[at]
        if quote == "`":
            end = self._text.find("`", at + 1) + 1
            if not end:
                raise self._wrong(at, 'the string is not closed: expected "`"')
            return Token(Kind.RAW_STRING, at, self._text[at:end], spaced)
        kind, form = (Kind.STRING, _STRING) if quote == '"' else (Kind.CHAR_CONSTANT, _CHAR)
        match = form.match(self._text, at)
        if match is None:
            remedy = "such strings end on their line; those in backquotes may span lines" if quote == '"' else ""
            what = "string" if quote == '"' else "character constant"
            raise self._wrong(at, f"the {what} is not closed: expected {quote}", remedy=remedy)
        return Token(kind, at, match[0], spaced)

    def _name(self, kind: Kind, alone: Kind, at: int, spaced: bool) -> Token:
        if self._ends(at + 1):
            return Token(alone, at, self._text[at], spaced)
        end = self._word_end(at + 1) or at + 1
        if not self._ends(end):
            raise self._bad_character(at, end)
        return Token(kind, at, self._text[at:end], spaced)

    def _number(self, at: int, spaced: bool) -> Token:
        kind = Kind.NUMBER
        end = self._number_end(at, at)
        if self._text[end : end + 1] in ("+", "-"):
            kind = Kind.COMPLEX
            end = self._number_end(at, end)
            if self._text[end - 1] != "i":
                raise self._bad_number(at, end)
        return Token(kind, at, self._text[at:end], spaced)

    def _number_end(self, start: int, at: int) -> int:
        match = _NUMBER.match(self._text, at)
        end = match.end() if match else at
        if self._word_end(end):
            raise self._bad_number(start, end + 1)
        return end

    def _word_end(self, at: int) -> int:
        """Where the letters and digits from here on end; 0 if there are none."""
        match = _WORD.match(self._text, at)
        if match is None:
            return 0
        if not match[0].isascii():
            # \w also takes numerals such as "²", which Go does not.
            for offset, char in enumerate(match[0]):
                category = unicodedata.category(char)
                if char != "_" and category[0] != "L" and category != "Nd":
                    return at + offset if offset else 0
        return match.end()

    def _ends(self, at: int) -> bool:
        """Whether a name may end here."""
        return self._text[at : at + 1] in _ENDS or at >= len(self._text) or self._text.startswith(self._right, at)

    def _wrong(self, at: int, message: str, *, remedy: str = "") -> ParseError:
        return self._source.error(ParseError, at, message, remedy=remedy)

    def _bad_character(self, start: int, at: int) -> ParseError:
        """The name that starts there is followed by what cannot follow a name."""
        char, name = self._text[at], self._text[start:at]
        told = f"unexpected {hints.quoted(char)}" + (f" after {hints.quoted(name)}" if name else "")
        if self._text.startswith(self._trimmed_right, at):
            return self._wrong(at, told, remedy=f'a blank has to stand before "{self._trimmed_right}"')
        if char == "-" and name[:1] in (".", "$"):
            what = "field" if name[0] == "." else "variable"
            remedy = hints.index_here(self._source, start) if name[0] == "." else ""
            return self._wrong(
                at, f'the name of a {what} cannot hold "-": found {hints.quoted(name + char)}', remedy=remedy
            )
        if char == "=" and name[:1] == "$":
            return self._wrong(at, told, remedy="a blank has to stand between")
        return self._wrong(at, told, remedy=hints.operator(char))

    def _bad_number(self, start: int, at: int) -> ParseError:
        remedy = hints.index_here(self._source, start) if self._text[start] == "." else ""
        if remedy:
            return self._wrong(start, "the name of a field cannot start with a digit", remedy=remedy)
        sign = re.search("(?<=.)[+-]", self._text[start:at])
        remedy = {"+": hints.operator("+"), "-": "write sub a b"}[sign[0]] if sign else ""
        return self._wrong(start, f"no number: {hints.quoted(self._text[start:at])}", remedy=remedy)
