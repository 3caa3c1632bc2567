"""Templates as trees, so that one that shows a difference can be made smaller piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

SIMPLE: Final = ('""', '"a"', "1", "nil", "true", "(list)", "(dict)")
MOST_TRIES: Final = 3000


@dataclass(frozen=True, slots=True)
class Tree:
    """A piece of a template.

    Of ``many`` any part may go, or give way to what it holds. An ``operand`` may become any operand within it.
    """

    kind: Literal["fixed", "many", "operand"]
    parts: tuple[Tree | str, ...]

    def __str__(self) -> str:
        return "".join(map(str, self.parts))


def fixed(*parts: Tree | str) -> Tree:
    return Tree("fixed", parts)


def many(*parts: Tree) -> Tree:
    return Tree("many", parts)


def operand(*parts: Tree | str) -> Tree:
    return Tree("operand", parts)


def shrunk(tree: Tree, differs: Callable[[str], bool]) -> str:
    """The smallest template found that still differs."""
    tries = 0
    while True:
        for smaller in _smaller(tree):
            tries += 1
            if tries > MOST_TRIES:
                return str(tree)
            if len(str(smaller)) < len(str(tree)) and differs(str(smaller)):
                tree = smaller
                break
        else:
            return str(tree)


def _smaller(tree: Tree) -> Iterator[Tree]:
    if tree.kind == "many":
        yield Tree("many", ())
        for index, part in enumerate(tree.parts):
            before, after = tree.parts[:index], tree.parts[index + 1 :]
            yield Tree("many", (*before, *after))
            if isinstance(part, Tree):
                yield from (Tree("many", (*before, *body.parts, *after)) for body in _within(part, "many"))
    if tree.kind == "operand":
        yield from (operand(simple) for simple in SIMPLE)
        yield from _within(tree, "operand")
    for index, part in enumerate(tree.parts):
        if isinstance(part, Tree):
            for smaller in _smaller(part):
                yield Tree(tree.kind, (*tree.parts[:index], smaller, *tree.parts[index + 1 :]))


def _within(tree: Tree, kind: str) -> Iterator[Tree]:
    for part in tree.parts:
        if isinstance(part, Tree):
            if part.kind == kind:
                yield part
            yield from _within(part, kind)
