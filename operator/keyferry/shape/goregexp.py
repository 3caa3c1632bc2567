r"""Go's ``regexp`` on top of RE2, whose syntax and leftmost-first matching it shares.

What RE2 does otherwise is mended here and in ``re2syntax``: Go sees every byte that is no UTF-8 as U+FFFD, and never
looks between the bytes of a character. Text that is no UTF-8 stands in ``str`` as lone surrogates
(``surrogateescape``). What is left: the tables of characters are those of RE2's Unicode, and a pattern may be too large
for RE2 (8 MiB) that Go still compiles.

Used by the functions of templates and by ``rewrite.regexp`` of an ExternalSecret.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any, Final, Protocol, TypeAlias

import re2

from keyferry.shape.re2syntax import RegexpError, go_reason, translated

__all__ = ["Meter", "Regexp", "RegexpError", "compile_pattern", "quote_meta"]

_MAX_PATTERN: Final = 16 * 1024
# A pattern holds on to most of this memory once it has been used on much text. Few need more than the first.
_MEMORY: Final = (2 << 20, 8 << 20)
_TOO_LARGE: Final = "pattern too large - compile failed"
_CACHED: Final = 64
_PER_MATCH: Final = 5
"""Microseconds."""

_META: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")


class Meter(Protocol):
    """Counts work, in microseconds, and bytes that are made. May raise to stop it."""

    def spend(self, steps: int) -> None: ...

    def make(self, size: int) -> None: ...


class _Free:
    def spend(self, steps: int) -> None: ...

    def make(self, size: int) -> None: ...


_FREE: Final = _Free()

Spans: TypeAlias = Sequence[tuple[int, int]]
"""Where a match and its groups begin and end; -1 for groups that took no part."""


class Regexp:
    """A compiled pattern.

    All methods take and give ``str`` with ``surrogateescape``. ``limit`` is the number of matches, without bound where
    negative. An empty match right behind another match does not count.
    """

    def __init__(self, pattern: str) -> None:
        """Raises ``RegexpError``."""
        if len(pattern) > _MAX_PATTERN:
            raise RegexpError("expression too large", ours=True)
        self._is_empty = not pattern
        self._pattern, self._groups = translated(pattern)
        self._plain = _compiled(self._pattern, captures=False)

    @cached_property
    def _capturing(self) -> Any:
        return _compiled(self._pattern, captures=True)

    def found(self, text: str, meter: Meter = _FREE) -> bool:
        """Whether the text has a match."""
        return next(self._matches(self._plain, text, 1, meter), None) is not None

    def find(self, text: str, meter: Meter = _FREE) -> str:
        """The first match; empty where there is none."""
        return next((text[start:end] for (start, end), *_ in self._matches(self._plain, text, 1, meter)), "")

    def find_all(self, text: str, limit: int, meter: Meter = _FREE) -> list[str]:
        """The matches, from left to right."""
        return [text[start:end] for (start, end), *_ in self._matches(self._plain, text, limit, meter)]

    def split(self, text: str, limit: int, meter: Meter = _FREE) -> list[str]:
        """What is between the matches; ``limit`` is the number of pieces, the last of which is all the rest."""
        pieces: list[str] = []
        begin = end = 0
        for (start, after), *_ in self._matches(self._plain, text, limit, meter):
            if limit > 0 and len(pieces) == limit - 1:
                break
            end = start
            if after:
                pieces.append(text[begin:end])
            begin = after
        if limit and (end != len(text) or not (text or self._is_empty)):
            pieces.append(text[begin:])
        return pieces

    def replace_all(self, text: str, replacement: str, meter: Meter = _FREE) -> str:
        """Every match replaced; ``$1``, ``${1}``, ``$name`` and ``${name}`` stand for what groups matched.

        A name is as long as letters, digits and underscores go, be there such a group or not; ``$$`` is a dollar.
        """
        template = self._parsed(replacement)
        if all(isinstance(part, str) for part in template):
            return self.replace_all_literally(text, "".join(map(str, template)), meter)
        out: list[str] = []
        last = 0
        for spans in self._matches(self._capturing, text, -1, meter):
            start, end = spans[0]
            expanded = [part if isinstance(part, str) else _first(spans, part, text) for part in template]
            meter.make(start - last + sum(map(len, expanded)))
            out.append(text[last:start])
            out += expanded
            last = end
        out.append(text[last:])
        return "".join(out)

    def replace_all_literally(self, text: str, replacement: str, meter: Meter = _FREE) -> str:
        """Every match replaced by the same text."""
        out: list[str] = []
        last = 0
        for (start, end), *_ in self._matches(self._plain, text, -1, meter):
            meter.make(start - last + len(replacement))
            out += (text[last:start], replacement)
            last = end
        out.append(text[last:])
        return "".join(out)

    def _matches(self, compiled: Any, text: str, limit: int, meter: Meter) -> Iterator[Spans]:
        data = _seen(text).encode()
        # Matching takes up to 5 ns for each instruction of the program and byte. A search for the next match may look
        # at all the rest of the text again, and mostly does not. What is done with a match takes longer.
        work = compiled.programsize * len(data)
        meter.spend(1 + (work >> 10))
        groups = range(1, compiled.groups + 1)
        shown = _Shown(data)
        position, previous = 0, -1
        while limit and position <= len(data) and (match := compiled.search(data, position)) is not None:
            meter.spend(_PER_MATCH + (work >> 22))
            start, end = match.span()
            if start == end and _is_inside(data, start):
                # RE2 finds \B between the bytes of a character.
                position = _next(data, start)
                continue
            if start != end or start != previous:
                yield shown.spans([(start, end), *map(match.span, groups)])
                limit -= 1
            position = _next(data, end) if end == position else end
            previous = end

    def _parsed(self, replacement: str) -> list[str | Sequence[int]]:
        """The text between references, and for each reference the groups of which the first that matched is taken."""
        parts: list[str | Sequence[int]] = []
        before, *rest = replacement.split("$")
        parts.append(before)
        pieces = iter(rest)
        for piece in pieces:
            if not piece:
                # Two dollars, or one at the end.
                parts.append("$" + next(pieces, ""))
                continue
            braced = piece[0] == "{"
            begin = end = int(braced)
            while end < len(piece) and _in_name(piece[end]):
                end += 1
            name = piece[begin:end]
            if not name or (braced and piece[end : end + 1] != "}"):
                parts.append(f"${piece}")
                continue
            parts.append(self._group(name))
            parts.append(piece[end + braced :])
        return parts

    def _group(self, name: str) -> Sequence[int]:
        if name.isascii() and name.isdigit() and len(name) < 10 and (name == "0" or name[0] != "0"):
            return (int(name),) if int(name) <= self._capturing.groups else ()
        return self._groups.get(name, ())


@lru_cache(maxsize=_CACHED)
def compile_pattern(pattern: str) -> Regexp:
    """The compiled pattern. Raises ``RegexpError``."""
    return Regexp(pattern)


def quote_meta(text: str) -> str:
    """``regexp.QuoteMeta``: a pattern that matches the text itself."""
    return _META.sub(r"\\\g<0>", text)


def _seen(text: str) -> str:
    """The text as Go's matcher sees it, one character for each of ``text``."""
    if text.isascii():
        return text
    return "".join("\ufffd" if "\ud800" <= each <= "\udfff" else each for each in text)


class _Shown:
    """Turns offsets of bytes into offsets of characters, going forward only."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._is_ascii = data.isascii()
        self._offset = self._characters = 0

    def spans(self, spans: Spans) -> Spans:
        """The spans of a match, of which the first is the match itself and holds all others."""
        if self._is_ascii:
            return spans
        start = spans[0][0]
        self._characters += len(self._data[self._offset : start].decode())
        self._offset = start
        return [(self._at(start), self._at(end)) for start, end in spans]

    def _at(self, offset: int) -> int:
        if offset < 0:
            return offset
        return self._characters + len(self._data[self._offset : offset].decode())


def _is_inside(data: bytes, offset: int) -> bool:
    """Whether the byte there continues a character."""
    return offset < len(data) and data[offset] & 0xC0 == 0x80


def _next(data: bytes, offset: int) -> int:
    """Where the next character begins."""
    offset += 1
    while _is_inside(data, offset):
        offset += 1
    return offset


def _first(spans: Spans, groups: Sequence[int], text: str) -> str:
    for group in groups:
        start, end = spans[group]
        if start >= 0:
            return text[start:end]
    return ""


def _in_name(character: str) -> bool:
    return character == "_" or unicodedata.category(character) in {"Lu", "Ll", "Lt", "Lm", "Lo", "Nd"}


def _compiled(pattern: str, *, captures: bool) -> Any:
    options = re2.Options()
    # RE2 writes to the process's stderr of its own accord.
    options.log_errors = False
    # Without groups, RE2 gets along with its fastest matcher.
    options.never_capture = not captures
    for options.max_mem in _MEMORY:
        try:
            compiled = re2.compile(pattern, options)
        except UnicodeEncodeError:
            raise RegexpError("invalid UTF-8") from None
        except re2.error as error:
            reason, _, part = error.args[0].decode("utf-8", "replace").partition(": ")
            if reason != _TOO_LARGE:
                break
        else:
            # The library's own cache would keep what ours has dropped.
            re2.purge()
            return compiled
    raise RegexpError(go_reason(reason), part, ours=reason == _TOO_LARGE)
