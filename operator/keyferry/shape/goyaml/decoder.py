"""A tree of nodes to values, with Go's bounds on aliases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from keyferry.shape.gofloat import format_float32
from keyferry.shape.goyaml.errors import TooDeep, YamlError, converting
from keyferry.shape.goyaml.parser import Alias, Mapping, Node, Scalar, Sequence
from keyferry.shape.goyaml.resolver import MERGE, Plain, resolve

Decoded: TypeAlias = "Plain | list[Decoded] | dict[str, Decoded]"

_FEW_ALIASED: Final = 100
_FEW: Final = 1000
_MANY: Final = 400_000
_VERY_MANY: Final = 4_000_000
_MOST, _LEAST = 0.99, 0.10
"""The part of the nodes that may come from aliases: of up to ``_MANY`` nodes, and of ``_VERY_MANY`` and more."""
_SPECIAL: Final = {"+Inf": ".inf", "-Inf": "-.inf", "NaN": ".nan"}
_LARGEST_INT: Final = (1 << 63) - 1


class Decoder:
    """Makes a value of a node; each alias makes it anew.

    ``depth`` bounds the nesting, in which aliases count. ``count`` is told of every node, and may raise.
    """

    def __init__(self, depth: int, count: Callable[[], None]) -> None:
        self._limit = depth
        self._count = count
        self._nodes = 1
        self._aliased = 0
        self._depth = 0
        self._open: set[int] = set()
        """Aliases that are being followed."""
        self._wrong_key: YamlError | None = None

    def decode(self, node: Node) -> Decoded:
        """The value of the root. Raises ``YamlError``."""
        value = self._decode(node)
        if self._wrong_key is not None:
            raise self._wrong_key
        return value

    def _decode(self, node: Node, into: dict[str, Decoded] | None = None) -> Decoded:
        """``into`` is the mapping that the node, which is a mapping as well, is merged into."""
        self._nodes += 1
        self._aliased += bool(self._open)
        if self._aliased > _FEW_ALIASED and self._nodes > _FEW and self._aliased > self._nodes * self._allowed():
            raise converting("document contains excessive aliasing", line=node.line + 1)
        self._count()
        if isinstance(node, Scalar):
            return node.value if not (node.tag or node.implicit) else resolve(node.tag, node.value, node.line)[1]
        if isinstance(node, Alias):
            return self._follow(node, into)
        self._depth += 1
        if self._depth > self._limit:
            raise TooDeep(f"the document is nested more than {self._limit} levels deep")
        value: Decoded
        if isinstance(node, Sequence):
            value = [self._decode(each) for each in node.items]
        else:
            value = self._mapping(node, {} if into is None else into)
        self._depth -= 1
        return value

    def _allowed(self) -> float:
        more = (self._nodes - _MANY) / (_VERY_MANY - _MANY)
        return _MOST - (_MOST - _LEAST) * min(max(more, 0), 1)

    def _follow(self, alias: Alias, into: dict[str, Decoded] | None) -> Decoded:
        if id(alias) in self._open:
            problem = f"anchor '{alias.name}' value contains itself"
            raise converting(problem, line=alias.line + 1, message="an anchor's value contains an alias to itself")
        self._open.add(id(alias))
        value = self._decode(alias.node, into)
        self._open.remove(id(alias))
        return value

    def _mapping(self, node: Mapping, into: dict[str, Decoded]) -> dict[str, Decoded]:
        for key_node, value_node in node.pairs:
            if isinstance(key_node, Scalar) and key_node.value == "<<" and (key_node.implicit or key_node.tag == MERGE):
                self._merge(value_node, into)
                continue
            key = self._decode(key_node)
            if isinstance(key, list | dict):
                told = "a mapping or a list stands where a key has to; put text in braces or brackets into quotes"
                raise converting("invalid map key: ...", line=key_node.line + 1, message=told)
            into[self._key(key, key_node.line + 1)] = self._decode(value_node)
        return into

    def _merge(self, node: Node, into: dict[str, Decoded]) -> None:
        # Of several mappings, the first has the last word.
        sources = reversed(node.items) if isinstance(node, Sequence) else [node]
        for source in sources:
            if not isinstance(source.node if isinstance(source, Alias) else source, Mapping):
                problem = "map merge requires map or sequence of maps as the value"
                raise converting(problem, line=source.line + 1)
            self._decode(source, into)

    def _key(self, key: Plain, line: int) -> str:
        match key:
            case str():
                return key
            case bool():
                return "true" if key else "false"
            case float():
                text = format_float32(key)
                return _SPECIAL.get(text, text)
            case int() if key <= _LARGEST_INT:
                return str(key)
            case _:
                # Go finds this after all else that is wrong.
                kind = "uint64" if key else "%!s(<nil>)"
                self._wrong_key = self._wrong_key or YamlError(
                    f"not YAML: line {line}: a key is {'too large an integer' if key else 'null'}, put it into quotes",
                    detail=f"error converting YAML to JSON: unsupported map key of type: {kind}, ...",
                )
                return ""
