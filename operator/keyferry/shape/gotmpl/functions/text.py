"""Words: their case, their initials, and lines of limited width."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from keyferry.shape.gotmpl import gounicode
from keyferry.shape.gotmpl.gounicode import SPACES, is_letter, is_lower, is_space, is_title, is_upper
from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.values import from_bytes, runes, to_bytes

REGISTRY = Registry()

_WORD = re.compile(f"(?<![^{SPACES}])[^{SPACES}]")
"""The first character of a word."""
_NO_SPACE = re.compile(f"[^{SPACES}]+")
_WITHOUT_SPACES = str.maketrans("", "", SPACES)
_AFTER_ASCII_WORD = re.compile("(?<![0-9A-Za-z_])[a-z]")
_PER_STEP = 8
"""Characters that a loop handles in about a microsecond."""


@REGISTRY.add("title", "func(string) string", run=True)
def title(run: Run, text: str) -> str:
    """Letters behind what is no letter, digit or underscore in title case (beyond ASCII: behind blanks only)."""
    if text.isascii():
        return _AFTER_ASCII_WORD.sub(lambda match: match[0].upper(), text)
    run.spend(len(text) // _PER_STEP)
    out: list[str] = []
    previous = " "
    for rune in runes(text):
        out.append(gounicode.title(rune) if _is_separator(previous) else rune)
        previous = rune
    return "".join(out)


def _is_separator(rune: str) -> bool:
    if rune.isascii():
        return not (rune.isalnum() or rune == "_")
    return is_space(rune)


@REGISTRY.add("untitle", "func(string) string")
def untitle(text: str) -> str:
    """The first character of each word in lower case."""
    return _WORD.sub(lambda match: gounicode.lower(match[0]), runes(text))


@REGISTRY.add("swapcase", "func(string) string", run=True)
def swapcase(run: Run, text: str) -> str:
    """Upper for lower case and the other way round; lower case at a word's beginning becomes title case."""
    run.spend(len(text) // _PER_STEP)
    out: list[str] = []
    at_start = True
    for rune in runes(text):
        if is_upper(rune) or is_title(rune):
            out.append(gounicode.lower(rune))
            at_start = False
        elif is_lower(rune):
            out.append(gounicode.title(rune) if at_start else gounicode.upper(rune))
            at_start = False
        else:
            out.append(rune)
            at_start = is_space(rune)
    return "".join(out)


@REGISTRY.add("initials", "func(string) string")
def initials(text: str) -> str:
    """The first byte of each word. sprig takes bytes for characters here: é counts as Ã."""
    return "".join(word[0] for word in _NO_SPACE.findall(_bytes_as_characters(text)))


@REGISTRY.add("nospace", "func(string) string")
def nospace(text: str) -> str:
    """Without blanks. sprig takes bytes for characters here too, and that shows where there is a blank."""
    characters = _bytes_as_characters(text)
    rest = characters.translate(_WITHOUT_SPACES)
    return text if len(rest) == len(characters) else rest


def _bytes_as_characters(text: str) -> str:
    return text if text.isascii() else to_bytes(text).decode("latin-1")


@REGISTRY.add("wrap", "func(int, string) string", run=True)
def wrap(run: Run, width: int, text: str) -> str:
    """Lines of at most ``width`` bytes, unless a word is longer."""
    return _wrapped(run, text, width, "\n", break_words=False)


@REGISTRY.add("wrapWith", "func(int, string, string) string", run=True)
def wrap_with(run: Run, width: int, separator: str, text: str) -> str:
    """Lines of at most ``width`` bytes with ``separator`` between them; longer words are broken."""
    return _wrapped(run, text, width, separator or "\n", break_words=True)


def _wrapped(run: Run, text: str, width: int, separator: str, *, break_words: bool) -> str:
    data = to_bytes(text)
    width = max(width, 1)
    lines: list[bytes] = []
    start = 0
    while len(data) - start > width:
        if data[start] == ord(" "):
            start += 1
            continue
        end = data.rfind(b" ", start, start + width + 1)
        after = end + 1
        if end < 0:
            end = after = start + width
            if not break_words:
                end = data.find(b" ", end)
                after = end + 1
        if end < 0:
            break
        run.spend()
        run.make(len(separator))
        lines.append(data[start:end])
        start = after
    lines.append(data[start:])
    return from_bytes(to_bytes(separator).join(lines))


@REGISTRY.add("camelcase", "func(string) string", run=True)
def camelcase(run: Run, text: str) -> str:
    """``SomeWords``: hyphens, underscores and blanks go, the letter behind them is in upper case.

    Connectors at either end stay, and so does all but the last of several in a row.
    """
    run.spend(len(text) // _PER_STEP)
    seen = runes(text)
    body = seen.lstrip(_CONNECTORS)
    leading = seen[: len(seen) - len(body)]
    if not body:
        # The last connector is written twice.
        return leading + leading[-1:]
    out = [leading, gounicode.upper(body[0])]
    # Capitals that go on after a word's first letter are lowered: HTTP_SERVER is HttpServer.
    in_capitals = is_upper(body[0])
    for previous, rune in pairwise(body):
        if rune in _CONNECTORS:
            if previous in _CONNECTORS:
                out.append(previous)
            continue
        if previous in _CONNECTORS:
            in_capitals = is_upper(rune)
            out.append(gounicode.upper(rune))
            continue
        in_capitals = in_capitals and is_upper(rune)
        out.append(gounicode.lower(rune) if in_capitals else rune)
    if body[-1] in _CONNECTORS:
        out.append(body[-1])
    return "".join(out)


@REGISTRY.add("snakecase", "func(string) string", run=True)
def snakecase(run: Run, text: str) -> str:
    """``some_words``."""
    return _lowered_words(run, text, "_")


@REGISTRY.add("kebabcase", "func(string) string", run=True)
def kebabcase(run: Run, text: str) -> str:
    """``some-words``."""
    return _lowered_words(run, text, "-")


_CONNECTORS = "-_" + SPACES
_CJK = re.compile("[\u3400-\u4d85\u4e00-\u9fcc\U00020000-\U0002b81d]")
# Kinds of characters: Blank and Dash (which is punctuation too) connect, Punctuation, Upper case, other Alphabet,
# Number, Other, and Invalid, which belongs to the word that goes on behind it, or that ends before it.
_WORDS = re.compile(
    r"""(?:
      (?P<connector> (?:I*[BD])+ )
    | (?P<punctuation> I*P(?:I*[PD])* )
    | (?P<upper> I*U(?:I*U)*(?=I*UI*A) | I*UI*A(?:I*A)* | (?:I*U)+ )
    | (?P<alphabet> (?:I*A)+ )
    | (?P<number> (?:I*N)+ )
    | (?P<other> (?:I*O)+ )
    )(?:I+\Z)? | I+""",
    re.VERBOSE,
)


class _Word(NamedTuple):
    kind: str
    text: str


_END = _Word("end", "")


def _kind(rune: str) -> str:
    if rune == "\ufffd":
        return "I"
    if rune in _CONNECTORS:
        return "D" if rune in "-_" else "B"
    if gounicode.is_punct(rune):
        return "P"
    if is_upper(rune):
        return "U"
    if is_letter(rune) and not _CJK.match(rune):
        return "A"
    return "N" if gounicode.is_number(rune) else "O"


class _Kinds(dict[int, str]):
    """The kinds of runes for ``str.translate``, of which those of ASCII are remembered."""

    def __missing__(self, code: int) -> str:
        return _kind(chr(code))


_KINDS = _Kinds({code: _kind(chr(code)) for code in range(128)})


def _words(text: str, connector: str) -> Iterator[_Word]:
    """The words as they are written: in lower case if they begin in upper case, else as they stand."""
    seen = runes(text)
    for match in _WORDS.finditer(seen.translate(_KINDS)):
        kind = match.lastgroup or "invalid"
        start, end = match.span()
        if kind == "upper":
            yield _Word(kind, _without_capitals(seen[start:end]))
        elif kind == "connector":
            yield _Word(kind, "".join(connector if each in _CONNECTORS else each for each in seen[start:end]))
        else:
            yield _Word(kind, text[start:end])
    yield _END


def _without_capitals(word: str) -> str:
    # Title case is no upper case.
    return word.lower() if word.isascii() else "".join(gounicode.lower(x) if is_upper(x) else x for x in word)


def _lowered_words(run: Run, text: str, connector: str) -> str:
    """Words with a connector between them; numbers belong to a word or part it, by what is behind them.

    A number goes with the lower case behind it (``http_2xx``), else with the word before it (``bld4_floor``).
    """
    run.spend(len(text) // _PER_STEP * 2)
    words = _words(text, connector)
    out: list[str] = []
    word = next(words)
    while word is not _END:
        out.append(word.text)
        before, word = word, next(words)
        if before.kind in {"connector", "punctuation"}:
            continue
        if before.kind != "number" and word.kind == "number":
            number, word = word, next(words)
            if word is _END:
                out.append(number.text)
                break
            if word.kind != "alphabet":
                out.append(number.text)
                if word.kind not in {"connector", "punctuation"}:
                    out.append(connector)
                continue
            out += (connector, number.text)
            before = number
        while before.kind == "number" and word.kind in {"alphabet", "number"}:
            out.append(word.text)
            word = next(words)
        if word.kind not in {"connector", "punctuation", "end"}:
            out.append(connector)
    return "".join(out)
