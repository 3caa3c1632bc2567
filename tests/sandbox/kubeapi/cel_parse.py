"""A parser for the Common Expression Language: text to a tree of tuples.

Our own, because the rules of a CRD run on every write, and a general library took milliseconds a
rule where closures made from this tree take microseconds.
"""

from __future__ import annotations

import re
from typing import Any

Tree = tuple[Any, ...]


class CelSyntaxError(Exception):
    """The expression cannot be read."""


_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*)
  | (?P<float>\d+\.\d+(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+|\.\d+(?:[eE][-+]?\d+)?)
  | (?P<uint>\d+[uU])
  | (?P<int>0x[0-9a-fA-F]+|\d+)
  | (?P<string>[bB]?[rR]?(?:\"{3}(?:.|\n)*?\"{3}|'{3}(?:.|\n)*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
  | (?P<name>[_a-zA-Z][_a-zA-Z0-9]*)
  | (?P<op>&&|\|\||==|!=|<=|>=|\.\?|\[\?|[-+*/%<>!?:.,()\[\]{}])
    """,
    re.VERBOSE,
)
_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "\\": "\\",
    '"': '"',
    "'": "'",
    "`": "`",
    "?": "?",
}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)
RESERVED = frozenset(
    {
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
        "in",
        "true",
        "false",
        "null",
    }
)
_MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})


def _unescape(match: re.Match[str]) -> str:
    for group, base in ((1, 16), (2, 16), (3, 16), (4, 8)):
        if match[group]:
            return chr(int(match[group], base))
    if match[5] not in _ESCAPES:
        raise CelSyntaxError(f"unknown escape \\{match[5]}")
    return _ESCAPES[match[5]]


def _string(text: str) -> str | bytes:
    prefix = re.match(r"^[bBrR]*", text)
    assert prefix is not None
    flags, body = prefix[0].lower(), text[len(prefix[0]) :]
    width = 3 if body[:3] in ('"""', "'''") else 1
    inner = body[width:-width]
    if "r" not in flags:
        inner = _ESCAPE.sub(_unescape, inner)
    return inner.encode() if "b" in flags else inner


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise CelSyntaxError(f"Syntax error: token recognition error at: {text[at]!r}")
        at = match.end()
        if match.lastgroup != "space":
            found.append((str(match.lastgroup), match[0]))
    found.append(("end", ""))
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.at = 0

    def peek(self) -> str:
        kind, text = self.tokens[self.at]
        return text if kind in ("op", "name") else ""

    def take(self, *wanted: str) -> str:
        kind, text = self.tokens[self.at]
        if kind in ("op", "name") and text in wanted:
            self.at += 1
            return text
        return ""

    def expect(self, wanted: str) -> None:
        if not self.take(wanted):
            found = self.tokens[self.at][1] or "<EOF>"
            raise CelSyntaxError(f"Syntax error: found {found!r}, expected {wanted!r}")

    def expression(self) -> Tree:
        condition = self.either()
        if self.take("?"):
            yes = self.either()
            self.expect(":")
            return ("if", condition, yes, self.expression())
        return condition

    def either(self) -> Tree:
        left = self.both()
        while self.take("||"):
            left = ("or", left, self.both())
        return left

    def both(self) -> Tree:
        left = self.relation()
        while self.take("&&"):
            left = ("and", left, self.relation())
        return left

    def relation(self) -> Tree:
        left = self.sum()
        while op := self.take("==", "!=", "<", "<=", ">", ">=", "in"):
            left = ("op", op, left, self.sum())
        return left

    def sum(self) -> Tree:
        left = self.product()
        while op := self.take("+", "-"):
            left = ("op", op, left, self.product())
        return left

    def product(self) -> Tree:
        left = self.unary()
        while op := self.take("*", "/", "%"):
            left = ("op", op, left, self.unary())
        return left

    def unary(self) -> Tree:
        if self.take("!"):
            return ("not", self.unary())
        if self.take("-"):
            return ("minus", self.unary())
        return self.member()

    def member(self) -> Tree:
        left = self.primary()
        while True:
            if self.take("."):
                name = self.name()
                left = self.method(left, name) if self.take("(") else ("field", left, name)
            elif self.take(".?"):
                left = ("optional", left, ("const", self.name()))
            elif self.take("["):
                left = ("index", left, self.expression())
                self.expect("]")
            elif self.take("[?"):
                left = ("optional", left, self.expression())
                self.expect("]")
            else:
                return left

    def method(self, left: Tree, name: str) -> Tree:
        args = self.arguments(")")
        if name in _MACROS and len(args) in (2, 3) and args[0][0] == "name":
            return ("macro", name, left, args[0][1], *args[1:])
        if name == "bind" and left == ("name", "cel"):
            return ("bind", args[0][1], args[1], args[2])
        return ("method", name, left, *args)

    def name(self) -> str:
        kind, text = self.tokens[self.at]
        if kind != "name":
            raise CelSyntaxError(f"Syntax error: found {text!r}, expected a name")
        self.at += 1
        return text

    def arguments(self, end: str) -> list[Tree]:
        found: list[Tree] = []
        while not self.take(end):
            found.append(self.expression())
            if not self.take(","):
                self.expect(end)
                break
        return found

    def primary(self) -> Tree:
        kind, text = self.tokens[self.at]
        self.at += 1
        if kind == "int":
            return ("const", int(text, 0) if text.startswith("0x") else int(text))
        if kind == "uint":
            return ("const", int(text[:-1]))
        if kind == "float":
            return ("const", float(text))
        if kind == "string":
            return ("const", _string(text))
        if kind == "name":
            if text in ("true", "false", "null"):
                return ("const", {"true": True, "false": False, "null": None}[text])
            if text in RESERVED:
                raise CelSyntaxError(f"Syntax error: reserved identifier: {text}")
            if self.take("("):
                args = self.arguments(")")
                if text == "has":
                    if len(args) != 1 or args[0][0] != "field":
                        raise CelSyntaxError("invalid argument to has() macro")
                    return ("has", args[0][1], args[0][2])
                return ("call", text, *args)
            return ("name", text)
        if text == "(":
            inner = self.expression()
            self.expect(")")
            return inner
        if text == "[":
            return ("list", *self.arguments("]"))
        if text == "{":
            return self.map()
        raise CelSyntaxError(f"Syntax error: mismatched input {text or '<EOF>'!r}")

    def map(self) -> Tree:
        pairs: list[tuple[Tree, Tree]] = []
        while not self.take("}"):
            key = self.expression()
            self.expect(":")
            pairs.append((key, self.expression()))
            if not self.take(","):
                self.expect("}")
                break
        return ("map", *pairs)


def parse(text: str) -> Tree:
    parser = _Parser(text)
    tree = parser.expression()
    if parser.tokens[parser.at][0] != "end":
        raise CelSyntaxError(f"Syntax error: extraneous input {parser.tokens[parser.at][1]!r}")
    return tree
