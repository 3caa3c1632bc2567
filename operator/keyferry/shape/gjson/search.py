"""Follows a path through JSON text. Text holds one byte per character, see ``jsontext``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from keyferry.errors import BadValue
from keyferry.shape.gjson.modifiers import MODIFIERS
from keyferry.shape.gjson.paths import (
    ArrayStep,
    Query,
    Selector,
    array_step,
    balanced,
    modifier,
    name_of_last,
    object_step,
    selectors,
    split_pipe,
)
from keyferry.shape.gjson.queries import like, matches
from keyferry.shape.gjson.values import Kind, json_in, kind_of, parsed, quote, text_value
from keyferry.shape.jsontext import bytes_of, depth_of, elements, is_json, loads, members, text_of, unquote

__all__ = ["Result", "get"]

MAX_STEPS = 100
"""How many components, queries and multipaths may be inside one another."""
MAX_WORK = 4_000_000
"""Characters that may be looked at for one path, beside ``WORK_PER_CHARACTER`` for each of the document."""
WORK_PER_CHARACTER = 8

_LITERAL = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\x00-\x20,\]}]+', re.DOTALL)
_WORDS = frozenset({"true", "false", "null", "nan", "inf"})
_WHITE = " \t\r\n"


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """What a path led to. ``raw`` is the value's own JSON text, empty where there is none. The repr shows neither."""

    raw: bytes = b""

    def __repr__(self) -> str:
        return f"Result(exists={self.exists}, kind={self.kind!r})"

    @property
    def exists(self) -> bool:
        """Whether the path led to a value; null is one."""
        return bool(self.raw)

    @property
    def kind(self) -> Kind:
        """The type of the value; ``null`` where there is none."""
        return kind_of(text_of(self.raw)) if self.raw else "null"

    @property
    def text(self) -> bytes:
        """The value as a string: strings unquoted, null empty, objects and arrays as they stand, numbers as gjson
        prints them (plain integers as they stand, others as a float64 without an exponent).
        """
        return bytes_of(text_value(text_of(self.raw))) if self.raw else b""


def get(document: bytes, path: str) -> Result:
    """The value that a gjson path leads to in a JSON document; a path that begins with ``..`` reads JSON lines.

    Raises ``BadValue`` where the document is not JSON, and where path and document together are nested too deeply or
    ask for too much work.
    """
    if path.startswith(".."):
        document = _lines(document)
    else:
        loads(document)
    try:
        raw = _Search(len(document)).get(text_of(document), text_of(path.encode()), 0)
    except RecursionError:
        raise BadValue("the property's path and the value are nested too deeply") from None
    return Result() if raw is None else Result(bytes_of(raw))


class _Search:
    """One look-up, with what is left of the work that it may take."""

    def __init__(self, size: int) -> None:
        self._left = MAX_WORK + WORK_PER_CHARACTER * size

    def get(self, raw: str, path: str, depth: int) -> str | None:
        """The raw value that ``path`` leads to from ``raw`` (JSON, or empty for nothing), None where there is none."""
        while True:
            self.spend(len(raw) + len(path), depth)
            rest = None
            if len(path) > 1:
                if path[0] == "@" and (named := modifier(path)) is not None:
                    name, argument, rest = named
                    raw = self._modified(raw, name, argument, depth)
                elif path[0] == "!" and (literal := _literal(path)) is not None:
                    raw, rest = literal
                elif path[0] in "[{":
                    # A multipath that is not closed asks for the empty key, and what follows one is a path of its own.
                    chosen, path_after = selectors(path) or ((), "x")
                    if not path_after or path_after[0] in ".|":
                        raw, rest = self._combined(raw, path[0], chosen, depth), path_after
                    else:
                        path = path_after if chosen else ""
            if rest is not None:
                if rest[:1] not in {".", "|"}:
                    return parsed(raw)
                path = rest[1:]
                continue
            way = _Way(self, depth + 1)
            way.into(f"[{raw}]" if path.startswith("..") else raw.lstrip(_WHITE), path.removeprefix(".."))
            if way.pipe is None:
                return way.found
            raw, path = way.found or "", way.pipe

    def spend(self, work: int, depth: int) -> None:
        """Raises ``BadValue`` where the path has asked for too much."""
        self._left -= work
        if self._left < 0 or depth > MAX_STEPS:
            raise BadValue("the property's path asks for too much of the value", remedy="use a simpler path")

    def _modified(self, raw: str, name: str, argument: str, depth: int) -> str:
        if name == "dig":
            return self._dug(raw, argument, depth)
        if name in {"flatten", "pretty"}:
            # These go through every level of what they are given.
            self.spend(len(raw) * depth_of(bytes_of(raw)), depth)
        return MODIFIERS[name](raw, argument)

    def _combined(self, raw: str, kind: str, chosen: tuple[Selector, ...], depth: int) -> str:
        parts = []
        for selector in chosen:
            value = self.get(raw, selector.path, depth + 1)
            if value is not None:
                parts.append(f"{_name(selector)}:{value}" if kind == "{" else value)
        return f"{{{','.join(parts)}}}" if kind == "{" else f"[{','.join(parts)}]"

    def _dug(self, raw: str, path: str, depth: int) -> str:
        found = []
        waiting = [raw]
        while waiting:
            each = waiting.pop()
            value = self.get(each, path, depth + 1)
            if value is not None:
                found.append(value)
            if each.lstrip(_WHITE).startswith("{"):
                waiting.extend(reversed([inner for _, inner in members(each)]))
            elif each.lstrip(_WHITE).startswith("["):
                waiting.extend(reversed(list(elements(each))))
        return f"[{','.join(found)}]"


class _Way:
    """The way down from one value to the next pipe: ``found`` at its end, and the ``pipe`` to send it through."""

    def __init__(self, search: _Search, depth: int) -> None:
        self._search = search
        self._depth = depth
        self.found: str | None = None
        self.pipe: str | None = None

    def into(self, raw: str, path: str) -> bool:
        """Go on in a value. Whether the way ends here; otherwise a further member may match."""
        self._search.spend(len(raw) + len(path), self._depth)
        self._depth += 1
        try:
            if raw.startswith("{"):
                return self._object(raw, path)
            return raw.startswith("[") and self._array(raw, path)
        finally:
            self._depth -= 1

    def _object(self, raw: str, path: str) -> bool:
        step = object_step(path)
        if step.pipe is not None:
            self.pipe = step.pipe
        for key, value in members(raw):
            name = unquote(key)
            if not (like(name, step.part) if step.wild else name == step.part):
                continue
            if step.rest is None:
                self.found = value
                return True
            if self.into(value, step.rest):
                return True
        return False

    def _array(self, raw: str, path: str) -> bool:
        step = array_step(path)
        if step.pipe is not None:
            self.pipe = step.pipe
        if step.query is not None:
            return self._queried(raw, step, step.query)
        if step.each is not None:
            self.found = self._each(raw, step.each)
            return True
        if step.count:
            self.found = str(sum(1 for _ in elements(raw)))
            return True
        for position, value in enumerate(elements(raw)):
            if position == step.index:
                if step.rest is not None:
                    return self.into(value, step.rest)
                self.found = value
                return True
        return False

    def _each(self, raw: str, path: str) -> str:
        path = self._without_pipe(path)
        values = (self._search.get(each, path, self._depth) for each in elements(raw))
        return f"[{','.join(value for value in values if value is not None)}]"

    def _queried(self, raw: str, step: ArrayStep, query: Query) -> bool:
        matched = []
        for each in elements(raw):
            if each[0] in "{[":
                asked = self._search.get(each, query.path, self._depth)
            elif query.path:
                continue
            else:
                asked = each
            if not matches(query, asked):
                continue
            value: str | None = each
            if step.rest is not None:
                value = self._search.get(each, self._without_pipe(step.rest), self._depth)
            if not query.every:
                self.found = value
                return True
            if value is not None:
                matched.append(value)
        if query.every and self.found is None:
            self.found = f"[{','.join(matched)}]"
        return False

    def _without_pipe(self, path: str) -> str:
        """A path for single elements; the pipe in it is for all of them together."""
        parts = split_pipe(path)
        if parts is None:
            return path
        path, self.pipe = parts
        return path


def _name(selector: Selector) -> str:
    if selector.name.startswith('"') and json_in(selector.name):
        return selector.name
    return quote(selector.name or name_of_last(selector.path))


def _literal(path: str) -> tuple[str, str] | None:
    """The JSON that stands behind ``!`` and what follows it; None where it is the name of a key."""
    body = path[1:]
    if body[0] in '{["+-0123456789':
        end = balanced(body)
        token = body[:end] if body[0] in "{[" else _LITERAL.match(body)
        return json_in(token if isinstance(token, str) else token[0] if token else ""), body[end:]
    word = re.split(r"[.|]", body, maxsplit=1)[0]
    return (json_in(word), body[len(word) :]) if word.lower() in _WORDS else None


def _lines(document: bytes) -> bytes:
    """A document of JSON lines as the elements of an array; one value over several lines is one element."""
    lines = [line for line in document.splitlines() if line.strip()]
    if lines and all(map(is_json, lines)):
        return b",".join(lines)
    loads(document)
    return document
