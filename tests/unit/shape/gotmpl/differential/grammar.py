"""Random templates and data from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from typing import Any, Final

from tests.unit.shape.gotmpl.differential import pools, words
from tests.unit.shape.gotmpl.differential.expressions import DICT, LIST, Expressions
from tests.unit.shape.gotmpl.differential.tree import Tree, fixed, many, operand

_TEXTS: Final = (
    *(" ", "\n", "x", "a b\n", " \t", "ä\n ", "}}", "---\n", ": ", "|", "\r\n", "", " ", "\n", "x", "a b\n"),
    *("{{/* note */}}", "{{- /* a\nb */ -}}", "{{ /* a */ }}", '{{""}}', "{", "{ {"),
)
_TOKENS: Final = (
    *("(", ")", "|", '"', "`", "'", "{{", "}}", "-", " ", "\n", ",", ":=", "=", "/*", "*/", "end", "1", "@", "é", "\0"),
)
_RANGED: Final = (LIST, DICT, "[]string", "map[string]string", "[]int", "[][]interface {}")
_MOST_TEMPLATES: Final = 9


class Grammar(Expressions):
    """One template after the other. ``without`` names functions to leave out."""

    def __init__(self, rng: random.Random, without: Collection[str] = ()) -> None:
        super().__init__(rng, without)
        self._templates = 0
        self._loops = 0
        self._statements: tuple[Callable[[int], Tree], ...] = (
            *(self._text, self._text, self._output, self._output, self._output, self._shown, self._declare),
            *(self._if, self._with, self._range, self._range, self._define, self._leave, self._assign),
        )

    def template(self) -> Tree:
        """The next template."""
        self._templates = 0
        return self._body(2, self._rng.choice((1, 1, 2, 3)))

    def mutated(self, text: str) -> str:
        """A template with a character or a token too many or too few."""
        at = self._rng.randrange(len(text) + 1)
        if self.coin(0.5):
            return text[:at] + text[at + self._rng.choice((1, 1, 2, 4)) :]
        return text[:at] + self._rng.choice(_TOKENS) + text[at:]

    def data(self) -> dict[str, Any]:
        """The next data, as JSON has them."""
        return {
            "a": self._json(0),
            "b": self._json(1),
            "list": [self._json(2) for _ in range(self._rng.randrange(4))],
            "map": {key: self._json(2) for key in self._rng.sample(pools.POOLS["key"], self._rng.randrange(4))},
            "text": self._valid(),
        }

    def strings(self) -> dict[str, str]:
        """The next data, as an ExternalSecret has them."""
        return {key: self._valid() for key in pools.KEYS}

    def _json(self, depth: int) -> Any:
        match self._rng.randrange(9 if depth < 3 else 6):
            case 0:
                return None
            case 1:
                return self.coin(0.5)
            case 2:
                return self._rng.choice((0.0, -0.0, 1.5, 0.1, 1e3, 1e21, 1e-7, self._rng.uniform(-1e6, 1e6)))
            case 3:
                return self._rng.randrange(-5, 1000)
            case 6:
                return [self._json(depth + 1) for _ in range(self._rng.randrange(4))]
            case 7:
                return {self._rng.choice(pools.KEYS): self._json(depth + 1) for _ in range(self._rng.randrange(3))}
        return self._valid()

    def _valid(self) -> str:
        # JSON carries no bytes beyond UTF-8.
        return words.any_string(self._rng).encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    def _body(self, depth: int, size: int) -> Tree:
        declared = len(self._variables)
        statements = [self._rng.choice(self._statements)(depth) for _ in range(size)]
        del self._variables[declared:]
        return many(*statements)

    def _inner(self, depth: int) -> Tree:
        if depth < 0:
            return many(fixed("x"))
        return self._body(depth - 1, self._rng.choice((0, 1, 1, 2)) if depth > 0 else 1)

    def _else(self, depth: int) -> Tree:
        return many(*(fixed(self._action("else"), self._inner(depth)) for _ in range(self.coin(0.3))))

    def _else_more(self, word: str, depth: int, chance: float) -> Tree:
        """``else if`` and ``else with``."""
        pipe = (self._action(f"else {word} ", self.pipeline(1)) for _ in range(self.coin(chance)))
        return many(*(fixed(each, self._inner(depth)) for each in pipe))

    def _action(self, *parts: str | Tree) -> Tree:
        left = "{{- " if self.coin(0.1) else self._rng.choice(("{{", "{{ "))
        return fixed(left, *parts, " -}}" if self.coin(0.1) else "}}")

    def _block(self, *parts: Tree) -> Tree:
        return fixed(*parts, self._action("end"))

    def _text(self, _depth: int) -> Tree:
        return fixed(self._rng.choice(_TEXTS))

    def _output(self, depth: int) -> Tree:
        return self._action(self.pipeline(depth + 1))

    def _shown(self, depth: int) -> Tree:
        """A value with its type, in Go's notation and in JSON."""
        value = self.operand(self.a_type(), depth + 1)
        shown = '{{ $r := index . 0 }}{{ printf "%T %v" $r $r }} {{ toJson $r }}'
        return fixed("{{ with list ", value, " }}", shown, "{{ end }}")

    def _declare(self, depth: int) -> Tree:
        value = self.operand(self.a_type(), depth + 1)
        name = f"$v{len(self._variables)}"
        self._variables.append(name)
        return self._action(f"{name} := ", value)

    def _assign(self, depth: int) -> Tree:
        if not self._variables:
            return self._declare(depth)
        return self._action(f"{self._rng.choice(self._variables)} = ", self.pipeline(depth))

    def _bound(self, value: Tree, most: int = 1) -> Tree:
        """The value, put into one or two variables."""
        names = [f"$v{len(self._variables) + index}" for index in range(self._rng.randint(1, most))]
        self._variables += names
        return fixed(", ".join(names), " := ", value)

    def _if(self, depth: int) -> Tree:
        head = self._action("if ", self.pipeline(2))
        return self._block(head, self._inner(depth), self._else_more("if", depth, 0.3), self._else(depth))

    def _with(self, depth: int) -> Tree:
        declared = len(self._variables)
        head = self._bound(self.operand(self.a_type(), 2)) if self.coin(0.4) else self.pipeline(2)
        self._blocks += 1
        body = self._inner(depth)
        self._blocks -= 1
        more = self._else_more("with", depth, 0.2)
        del self._variables[declared:]
        return self._block(self._action("with ", head), body, more, self._else(depth))

    def _range(self, depth: int) -> Tree:
        declared = len(self._variables)
        if self.coin(0.15):
            over, most = operand(self._rng.choice(("3", "0", "-1", "(int 2)", "(int64 2)", "(len $)"))), 1
        else:
            over, most = self.operand(self._rng.choice(_RANGED), 2), 2
        head = self._bound(over, most) if self.coin(0.5) else over
        self._blocks += 1
        self._loops += 1
        body = self._inner(depth)
        self._blocks -= 1
        self._loops -= 1
        del self._variables[declared:]
        return self._block(self._action("range ", head), body, self._else(depth))

    def _leave(self, depth: int) -> Tree:
        if not self._loops:
            return self._output(depth)
        word = self._rng.choice(("{{ break }}", "{{ continue }}"))
        return fixed("{{ if ", self.operand("bool", 2), " }}", word, "{{ end }}")

    def _define(self, depth: int) -> Tree:
        # A template calls only those before it, so that none calls itself.
        if self._templates and self.coin(0.5):
            name = self._rng.randrange(self._templates)
            return self._action(f'template "t{name}" ', self.pipeline(1) if self.coin(0.7) else "")
        # Definitions stand at the top only.
        if depth < 2 or self._blocks or self._templates >= _MOST_TEMPLATES:
            return self._output(depth)
        outer, self._variables = self._variables, []
        body = self._inner(depth)
        self._variables = outer
        name = self._templates
        self._templates += 1
        if self.coin(0.3):
            return self._block(self._action(f'block "t{name}" ', self.pipeline(1)), body)
        return fixed(self._block(self._action(f'define "t{name}"'), body), self._action(f'template "t{name}" .'))
