"""Tokens to a tree of nodes: the first document of a stream, which is all that is ever read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from keyferry.shape.goyaml.errors import TooDeep, YamlError, converting
from keyferry.shape.goyaml.scanner import Scanner, Token

_PREFIXES: Final = {"!": "!", "!!": "tag:yaml.org,2002:"}
_EXPLICIT: Final = frozenset({"version", "tag directive", "start"})
"""What a document begins with that says so."""
_NO_CONTENT: Final = _EXPLICIT | {"end", "stream end"}


@dataclass(slots=True, eq=False)
class Scalar:
    line: int
    value: str = ""
    tag: str = ""
    implicit: bool = True
    """Whether the value's form decides what it is: it is not in quotes, nor tagged."""


@dataclass(slots=True, eq=False)
class Sequence:
    line: int
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Mapping:
    line: int
    pairs: list[tuple[Node, Node]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Alias:
    line: int
    name: str
    node: Node


Node = Scalar | Sequence | Mapping | Alias
_N = TypeVar("_N", Scalar, Sequence, Mapping)


def parse(document: bytes, depth: int, count: Callable[[], None]) -> Node | None:
    """The root of the first document; None where there is none.

    ``depth`` bounds the nesting; ``count`` is told of every token, and may raise. Raises ``YamlError``.
    """
    return _Parser(Scanner(document, depth, count), depth).document()


class _Parser:
    def __init__(self, scanner: Scanner, depth: int) -> None:
        self._scanner = scanner
        self._limit = depth
        self._depth = 0
        self._prefixes: dict[str, str] = {}
        self._anchors: dict[str, Node] = {}

    def document(self) -> Node | None:
        first = self._scanner.peek()
        if first.kind == "stream end":
            return None
        self._directives()
        if first.kind not in _EXPLICIT:
            node = self._node(block=True)
        else:
            start = self._scanner.peek()
            if start.kind != "start":
                raise _error("did not find expected <document start>", start)
            self._scanner.take()
            empty = self._scanner.peek().kind in _NO_CONTENT
            node = Scalar(start.line) if empty else self._node(block=True)
        # What comes next is looked at, and its mistakes are seen, before it is left alone.
        self._scanner.peek()
        return node

    def _directives(self) -> None:
        seen_version = False
        while (token := self._scanner.peek()).kind in {"version", "tag directive"}:
            if token.kind == "version":
                if seen_version:
                    raise _error("found duplicate %YAML directive", token)
                if token.value != "1.1":
                    raise _error("found incompatible YAML document", token)
                seen_version = True
            else:
                if token.value in self._prefixes:
                    raise _error("found duplicate %TAG directive", token)
                self._prefixes[token.value] = token.more
            self._scanner.take()
        self._prefixes = _PREFIXES | self._prefixes

    def _node(self, *, block: bool, indentless: bool = False) -> Node:
        scanner = self._scanner
        token = scanner.peek()
        if token.kind == "alias":
            return self._alias(scanner.take())
        name, tag, tagged = "", "", False
        if token.kind in {"anchor", "tag"}:
            name, tag, tagged = self._properties()
            token = scanner.peek()
        match token.kind:
            case "-" if indentless:
                return self._indentless(self._named(name, Sequence(token.line)))
            case "plain" | "scalar":
                scanner.take()
                implicit = tag == "!" or (not tag and token.kind == "plain")
                return self._named(name, Scalar(token.line, token.value, tag, implicit))
            case "[":
                return self._flow_sequence(self._named(name, Sequence(token.line)))
            case "{":
                return self._flow_mapping(self._named(name, Mapping(token.line)))
            case "sequence" if block:
                return self._block_sequence(self._named(name, Sequence(token.line)))
            case "mapping" if block:
                return self._block_mapping(self._named(name, Mapping(token.line)))
            case _ if name or tagged:
                return self._named(name, Scalar(token.line, "", tag, implicit=not tag))
            case _:
                raise _error("did not find expected node content", token)

    def _alias(self, token: Token) -> Alias:
        node = self._anchors.get(token.value)
        if node is None:
            problem = f"unknown anchor '{token.value}' referenced"
            raise converting(problem, line=token.line + 1, message="an alias refers to an anchor that is not there")
        return Alias(token.line, token.value, node)

    def _properties(self) -> tuple[str, str, bool]:
        """Anchor and tag, in either order, and whether there is a tag."""
        scanner = self._scanner
        name, tag = "", None
        if scanner.peek().kind == "anchor":
            name = scanner.take().value
            if scanner.peek().kind == "tag":
                tag = scanner.take()
        else:
            tag = scanner.take()
            if scanner.peek().kind == "anchor":
                name = scanner.take().value
        scanner.peek()
        if tag is None:
            return name, "", False
        full = self._prefixes.get(tag.value, "") + tag.more if not tag.value or tag.value in self._prefixes else ""
        if not full:
            raise _error("found undefined tag handle", tag)
        return name, full, True

    def _named(self, name: str, node: _N) -> _N:
        if name:
            self._anchors[name] = node
        return node

    def _block_sequence(self, sequence: Sequence) -> Sequence:
        self._scanner.take()
        while (token := self._scanner.take()).kind == "-":
            sequence.items.append(self._block_content("-", "block end"))
        if token.kind != "block end":
            raise _error("did not find expected '-' indicator", token)
        return sequence

    def _indentless(self, sequence: Sequence) -> Sequence:
        while self._scanner.peek().kind == "-":
            self._scanner.take()
            sequence.items.append(self._block_content("-", "?", ":", "block end"))
        return sequence

    def _block_mapping(self, mapping: Mapping) -> Mapping:
        self._scanner.take()
        while (token := self._scanner.take()).kind == "?":
            key = self._block_content("?", ":", "block end", indentless=True)
            value: Node = Scalar(token.line)
            if self._scanner.peek().kind == ":":
                self._scanner.take()
                value = self._block_content("?", ":", "block end", indentless=True)
            mapping.pairs.append((key, value))
        if token.kind != "block end":
            raise _error("did not find expected key", token)
        return mapping

    def _block_content(self, *ends: str, indentless: bool = False) -> Node:
        token = self._scanner.peek()
        if token.kind in ends:
            return Scalar(token.line)
        return self._inner(block=True, indentless=indentless)

    def _flow_sequence(self, sequence: Sequence) -> Sequence:
        scanner = self._scanner
        scanner.take()
        while self._goes_on("]", first=not sequence.items):
            if scanner.peek().kind == "?":
                scanner.take()
                sequence.items.append(self._pair())
            else:
                sequence.items.append(self._inner())
        scanner.take()
        return sequence

    def _pair(self) -> Mapping:
        """A mapping of one pair without braces, as a sequence's item."""
        token = self._scanner.peek()
        key: Node = Scalar(token.line)
        if token.kind not in {":", ",", "]"}:
            key = self._inner()
        else:
            # Go overlooks what follows an empty key; its mistakes are ours.
            self._scanner.take()
        return Mapping(token.line, [(key, self._flow_value("]"))])

    def _flow_mapping(self, mapping: Mapping) -> Mapping:
        scanner = self._scanner
        scanner.take()
        while self._goes_on("}", first=not mapping.pairs):
            key: Node = Scalar(scanner.peek().line)
            if scanner.peek().kind == "?":
                scanner.take()
                if scanner.peek().kind not in {":", ",", "}"}:
                    key = self._inner()
                value = self._flow_value("}")
            else:
                key, value = self._inner(), Scalar(key.line)
                scanner.peek()
            mapping.pairs.append((key, value))
        scanner.take()
        return mapping

    def _flow_value(self, end: str) -> Node:
        line = self._scanner.peek().line
        if self._scanner.peek().kind == ":":
            self._scanner.take()
            if self._scanner.peek().kind not in {",", end}:
                return self._inner()
        return Scalar(line)

    def _goes_on(self, end: str, *, first: bool) -> bool:
        """Whether another item of a flow collection stands here. The comma before it is passed over."""
        token = self._scanner.peek()
        if token.kind != end and not first:
            if token.kind != ",":
                raise _error(f"did not find expected ',' or '{end}'", token)
            self._scanner.take()
            token = self._scanner.peek()
        return token.kind != end

    def _inner(self, *, block: bool = False, indentless: bool = False) -> Node:
        """A node within another."""
        self._depth += 1
        if self._depth > self._limit:
            raise TooDeep(f"the document is nested more than {self._limit} levels deep")
        node = self._node(block=block, indentless=indentless)
        self._depth -= 1
        return node


def _error(problem: str, token: Token) -> YamlError:
    return converting(problem, line=token.line + 1, told=token.line)
