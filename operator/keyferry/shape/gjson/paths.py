"""The syntax of gjson paths, one step at a time. Text holds one byte per character, see ``jsontext``.

The syntax is described at https://github.com/tidwall/gjson/blob/master/SYNTAX.md; where that is silent, the behaviour
of the Go library 1.18 (the version of ESO 2.9) is pinned by tests/data/shape/gjson.yaml.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from keyferry.shape.gjson.modifiers import NAMES
from keyferry.shape.gjson.values import unescape

__all__ = [
    "ArrayStep",
    "ObjectStep",
    "Query",
    "Selector",
    "array_step",
    "balanced",
    "modifier",
    "name_of_last",
    "object_step",
    "selectors",
    "split_pipe",
]

_OPERATORS = ("!=", "!%", "<=", ">=", "<", ">", "=", "%")
_QUOTED_REST = re.compile(r'[^"\\]*+(?:\\.?[^"\\]*+)*+"?', re.DOTALL)
"""The rest of a quoted string, after its first quote; an unfinished one goes to the end."""
_WHITE = "".join(map(chr, range(33)))
_INDEX = re.compile(r"0*[0-9]{1,18}")
_NOT_SIMPLE = re.compile(r"[\x00-\x1f\[\]{}()#|!]")


class Query(NamedTuple):
    """``#(path op value)``, and whether all matches are wanted: ``#(...)#``."""

    path: str
    operator: str
    value: str
    every: bool


@dataclass(frozen=True, slots=True)
class ObjectStep:
    """What a path's first component asks of an object.

    ``rest`` is the path below, None where this is the last component; ``pipe`` is the path that the result goes
    through afterwards. ``wild`` says that ``part`` is a pattern.
    """

    part: str
    rest: str | None = None
    pipe: str | None = None
    wild: bool = False


@dataclass(frozen=True, slots=True)
class ArrayStep:
    """What a path's first component asks of an array; see ``ObjectStep`` for ``rest`` and ``pipe``.

    ``index`` is an element's number. Otherwise one of these: ``query``; ``each``, the path to take on every element
    (``#.path``); ``count`` (``#``); or none of them, where the component means nothing to an array.
    """

    rest: str | None = None
    pipe: str | None = None
    index: int | None = None
    query: Query | None = None
    each: str | None = None
    count: bool = False


class Selector(NamedTuple):
    """One member of a multipath: its name as it was written, "" if there is none, and its path."""

    name: str
    path: str


@lru_cache(maxsize=4096)
def object_step(path: str) -> ObjectStep:
    """The first component of ``path``, for an object."""
    part: list[str] = []
    wild = False
    place = 0
    while place < len(path):
        character = path[place]
        if character in ".|":
            rest, pipe = _after(character, path[place + 1 :], eager=True)
            return ObjectStep("".join(part), rest, pipe, wild)
        if character == "\\":
            place += 1
            part.append(path[place : place + 1])
        else:
            wild = wild or character in "*?"
            part.append(character)
        place += 1
    return ObjectStep("".join(part), wild=wild)


@lru_cache(maxsize=4096)
def array_step(path: str) -> ArrayStep:
    """The first component of ``path``, for an array."""
    query = None
    place = 0
    if path[:2] in {"#(", "#["}:
        query, place = _query(path)
    while place < len(path) and path[place] not in ".|":
        place += 1
    part = path[:place]
    hashed = "#" in part
    rest = pipe = None
    if place < len(path):
        rest, pipe = _after(path[place], path[place + 1 :], eager=not hashed)
    if query is not None:
        return ArrayStep(rest, pipe, query=query)
    if part == "#":
        return ArrayStep(None, pipe, each=rest, count=rest is None)
    return ArrayStep(rest, pipe, index=int(part) if _INDEX.fullmatch(part) else None)


@lru_cache(maxsize=1024)
def selectors(path: str) -> tuple[tuple[Selector, ...], str] | None:
    """The members of the multipath that ``path`` starts with, and what follows it; None where it is not closed."""
    found: list[Selector] = []
    depth = start = 1
    colon = 0
    modified = False
    place = 1
    while place < len(path):
        character = path[place]
        if character == "\\":
            place += 1
        elif character == '"':
            place = _quoted_end(path, place) - 1
        elif character == "@" and path[place - 1] in ".|":
            # A colon after this one belongs to the modifier's argument.
            modified = True
        elif character == ":" and depth == 1 and not colon and not modified:
            colon = place
        elif character in "[({":
            depth += 1
        elif character in "])}":
            depth -= 1
        if depth == 0 or (character == "," and depth == 1):
            name, first = (path[start:colon], colon + 1) if colon else ("", start)
            found.append(Selector(name, path[first:place]))
            start, colon, modified = place + 1, 0, False
        if depth == 0:
            return tuple(found), path[place + 1 :]
        place += 1
    return None


@lru_cache(maxsize=1024)
def split_pipe(path: str) -> tuple[str, str] | None:
    """``path`` before and after its first pipe outside queries, None where there is none."""
    if path.startswith("{") and "|" in path:
        # What stands after the brace decides where the multipath is thought to end.
        end = 1 + balanced(path[1:], quote_is_whole=True)
        return (path[:end], path[end + 1 :]) if path[end : end + 1] == "|" else None
    place = 0
    while place < len(path):
        character = path[place]
        if character == "\\":
            place += 1
        elif character == "|":
            return path[:place], path[place + 1 :]
        elif character == "." and path[place + 1 : place + 2] == "#":
            place += 2
            if path[place : place + 1] in {"[", "("}:
                place = _bracket_end(path, place)
        place += 1
    return None


def balanced(text: str, *, quote_is_whole: bool = False) -> int:
    """How long the bracketed text is that ``text`` starts with; all of it where the bracket is not closed.

    The first character counts as a bracket whatever it is, except a quote with ``quote_is_whole``.
    """
    if quote_is_whole and text.startswith('"'):
        return _quoted_end(text, 0)
    depth, place = 1, 1
    while place < len(text):
        character = text[place]
        if character == '"':
            place = _quoted_end(text, place)
            continue
        if character in "[({":
            depth += 1
        elif character in "])}":
            depth -= 1
        place += 1
        if depth == 0:
            return place
    return len(text)


def modifier(path: str) -> tuple[str, str, str] | None:
    """The modifier that ``path`` starts with, as name, argument and what follows; None where it is none of ours."""
    name = re.split(r"[.|:]", path[1:], maxsplit=1)[0]
    rest = path[1 + len(name) :]
    if name not in NAMES:
        return None
    if not rest.startswith(":"):
        return name, "", rest
    rest = rest[1:]
    if rest[:1] in {"{", "[", '"'}:
        end = balanced(rest, quote_is_whole=True)
    else:
        # Brackets may come later in such an argument; only a pipe outside them ends it.
        end = 0
        while end < len(rest) and rest[end] != "|":
            end += balanced(rest[end:], quote_is_whole=True) if rest[end] in '{["(' else 1
    return name, rest[:end], rest[end:]


def name_of_last(path: str) -> str:
    """The name that a multipath's member gets from its path; ``_`` where its last component is no plain name."""
    place = len(path) - 1
    while place >= 0:
        if path[place] in ".|" and (place == 0 or path[place - 1] != "\\"):
            break
        place -= 1
    name = path[place + 1 :]
    return "_" if _NOT_SIMPLE.search(name) else name


def _after(separator: str, rest: str, *, eager: bool) -> tuple[str | None, str | None]:
    """What follows a component, as (rest, pipe): a dot acts as a pipe before a modifier or a multipath."""
    if separator == "|" or (eager and _starts_anew(rest)):
        return None, rest
    return rest, None


def _starts_anew(path: str) -> bool:
    if path.startswith("@"):
        return re.split(r"[.|:]", path[1:], maxsplit=1)[0] in NAMES
    return path.startswith(("[", "{"))


def _query(path: str) -> tuple[Query, int]:
    """The query that ``path`` starts with, and the place after it. One that is not closed asks for anything at all."""
    depth, start, place = 1, 0, 2
    escaped = False
    while place < len(path):
        character = path[place]
        if depth == 1 and not start and character in "!=<>%":
            start = place
        elif character == "\\":
            place += 1
        elif character == '"':
            end = _quoted_end(path, place)
            escaped = escaped or "\\" in path[place:end]
            place = end - 1
        elif character in "[(":
            depth += 1
        elif character in "])":
            depth -= 1
            if depth == 0:
                break
        place += 1
    else:
        return Query("", "", "", every=False), len(path)
    every = path[place + 1 : place + 2] == "#"
    if not start:
        return Query(path[2:place].strip(_WHITE), "", "", every), place + 1
    operator, value = _operator(path[start:place].strip(_WHITE))
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = unescape(value[1:-1]) if escaped else value[1:-1]
    return Query(path[2:start].strip(_WHITE), operator, value, every), place + 1


def _operator(text: str) -> tuple[str, str]:
    if text.startswith("==") and len(text) > 1:
        text = text[1:]
    if len(text) == 1:
        return text, ""
    operator = next((each for each in _OPERATORS if text.startswith(each)), "")
    return operator, text[len(operator) :].strip(_WHITE)


def _quoted_end(text: str, quote: int) -> int:
    """The place after the quoted string that starts at ``quote``."""
    found = _QUOTED_REST.match(text, quote + 1)
    return len(text) if found is None else found.end()


def _bracket_end(path: str, opening: int) -> int:
    """Where the bracket at ``opening`` is closed; only brackets of its own kind count."""
    start = path[opening]
    end = "]" if start == "[" else ")"
    depth, place = 1, opening + 1
    while place < len(path):
        character = path[place]
        if character == "\\":
            place += 1
        elif character == '"':
            place = _quoted_end(path, place) - 1
        elif character == start:
            depth += 1
        elif character == end:
            depth -= 1
            if depth == 0:
                break
        place += 1
    return place
