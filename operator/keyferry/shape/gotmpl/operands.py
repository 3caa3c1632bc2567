"""Tokens to expressions: pipelines, commands, operands, and the variables that they declare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

from keyferry.shape.gotmpl import hints, literals
from keyferry.shape.gotmpl.errors import ParseError
from keyferry.shape.gotmpl.lex import MAX_NESTING, Kind, Token, tokens
from keyferry.shape.gotmpl.literals import Numeral
from keyferry.shape.gotmpl.nodes import (
    Bool,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Nil,
    Node,
    Number,
    Pipe,
    String,
    Variable,
)
from keyferry.shape.gotmpl.source import Source

_OPERANDS: Final = frozenset(
    {
        *(Kind.BOOL, Kind.CHAR_CONSTANT, Kind.COMPLEX, Kind.DOT, Kind.FIELD, Kind.IDENTIFIER, Kind.NUMBER),
        *(Kind.NIL, Kind.RAW_STRING, Kind.STRING, Kind.VARIABLE, Kind.LEFT_PAREN),
    }
)


class Declared:
    """The variables that Go's parser takes for declared, which are more than there are at run time."""

    def __init__(self) -> None:
        self._names = ["$"]
        self._times = Counter(self._names)

    @property
    def count(self) -> int:
        return len(self._names)

    def add(self, name: str) -> None:
        self._names.append(name)
        self._times[name] += 1

    def forget(self, count: int) -> None:
        """All but the first ones."""
        while len(self._names) > count:
            self._times[self._names.pop()] -= 1

    def __contains__(self, name: str) -> bool:
        return self._times[name] > 0

    def __iter__(self) -> Iterator[str]:
        return (name for name, times in self._times.items() if times and name != "$")


class OperandParser:
    """The part of the parser that is inside of actions."""

    def __init__(self, source: Source, functions: Collection[str]) -> None:
        self._source = source
        self._functions = functions
        self._tokens = tokens(source)
        self._back: list[Token] = []
        self._nesting = 0
        self._variables = Declared()

    def _next(self) -> Token:
        return self._back.pop() if self._back else next(self._tokens)

    def _peek(self) -> Token:
        if not self._back:
            self._back.append(next(self._tokens))
        return self._back[-1]

    def _expect(self, kind: Kind, where: str, expected: str) -> Token:
        token = self._next()
        if token.kind is not kind:
            self._unexpected(token, where, expected)
        return token

    def _wrong(self, at: int, message: str, *, remedy: str = "") -> NoReturn:
        raise self._source.error(ParseError, at, message, remedy=remedy)

    def _unexpected(self, token: Token, where: str, expected: str = "") -> NoReturn:
        if token.kind is Kind.CLOSE:
            found = f'end of the action ("{token.text}")'
        else:
            found = "end of the text" if token.kind is Kind.END_OF_TEXT else hints.quoted(token.text)
        remedy = f"expected {expected}" if expected else hints.operator(token.text)
        self._wrong(token.at, f"unexpected {found} in {where}", remedy=remedy)

    @contextmanager
    def _nested(self, at: int) -> Iterator[None]:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            self._wrong(at, f"more than {MAX_NESTING} blocks and parentheses within each other")
        yield
        self._nesting -= 1

    def _pipeline(self, where: str, end: Kind) -> Pipe:
        pipe = Pipe(self._peek().at)
        self._declarations(pipe, where)
        while (token := self._next()).kind is not end:
            if token.kind not in _OPERANDS:
                self._unexpected(token, where, "" if hints.operator(token.text) else "a value or a function")
            self._back.append(token)
            pipe.commands.append(self._command())
        if not pipe.commands:
            self._wrong(token.at, f"a value is missing in {where}")
        for command in pipe.commands[1:]:
            if isinstance(command.args[0], Bool | Dot | Nil | Number | String):
                self._wrong(command.at, 'a constant or "." behind "|"', remedy="expected a function")
        return pipe

    def _declarations(self, pipe: Pipe, where: str) -> None:
        while self._peek().kind is Kind.VARIABLE:
            variable = self._next()
            token = self._peek()
            comma = token.kind is Kind.PUNCTUATION and token.text == ","
            if not comma and token.kind not in (Kind.ASSIGN, Kind.DECLARE):
                self._back.append(variable)
                return
            self._next()
            pipe.variables.append(variable.text)
            self._variables.add(variable.text)
            if not comma:
                pipe.assigns = token.kind is Kind.ASSIGN
                return
            if where != "range" or len(pipe.variables) > 1:
                self._wrong(token.at, f"too many variables in {where}", remedy="range takes two, anything else one")
            if self._peek().kind not in (Kind.VARIABLE, Kind.CLOSE, Kind.RIGHT_PAREN):
                self._unexpected(self._peek(), where, "a second variable")

    def _command(self) -> Command:
        command = Command(self._peek().at)
        while True:
            operand = self._operand()
            if operand is not None:
                command.args.append(operand)
            token = self._next()
            if token.kind in (Kind.CLOSE, Kind.RIGHT_PAREN):
                self._back.append(token)
                return command
            if token.kind is Kind.PIPE:
                return command
            if not token.spaced or token.kind not in _OPERANDS:
                self._not_separated(token)
            self._back.append(token)

    def _not_separated(self, token: Token) -> NoReturn:
        key = token.kind is Kind.NUMBER and token.text.startswith(".") and not token.spaced
        if key and (remedy := hints.index_here(self._source, token.at)):
            self._wrong(token.at, "the name of a field cannot start with a digit", remedy=remedy)
        if token.kind in _OPERANDS:
            self._wrong(token.at, f"unexpected {hints.quoted(token.text)}", remedy="a blank has to stand before it")
        self._unexpected(token, "action")

    def _operand(self) -> Node | None:
        if self._peek().kind not in _OPERANDS:
            return None
        token = self._next()
        node = self._term(token)
        names: list[str] = []
        while self._peek().kind is Kind.FIELD and not self._peek().spaced:
            names.append(self._next().text[1:])
        if not names:
            return node
        if isinstance(node, Field):
            node.names += names
        elif isinstance(node, Variable):
            node.fields += names
        elif isinstance(node, Identifier | Pipe):
            return Chain(node.at, node, names)
        else:
            self._wrong(token.at, f'unexpected "." after {hints.quoted(token.text)}')
        return node

    def _term(self, token: Token) -> Node:
        at, text = token.at, token.text
        match token.kind:
            case Kind.FIELD:
                return Field(at, [text[1:]])
            case Kind.IDENTIFIER:
                return self._identifier(token)
            case Kind.STRING | Kind.RAW_STRING:
                return String(at, self._string(token))
            case Kind.VARIABLE:
                return self._variable(token)
            case Kind.DOT:
                return Dot(at)
            case Kind.LEFT_PAREN:
                with self._nested(at):
                    pipe = self._pipeline("parentheses", Kind.RIGHT_PAREN)
                pipe.at = at
                return pipe
            case Kind.BOOL:
                return Bool(at, text == "true")
            case Kind.NIL:
                return Nil(at)
        return Number(at, self._number(token))

    def _identifier(self, token: Token) -> Identifier:
        if token.text not in self._functions:
            remedy = hints.function(token.text, self._functions)
            self._wrong(token.at, f"there is no function {hints.quoted(token.text)}", remedy=remedy)
        return Identifier(token.at, token.text)

    def _variable(self, token: Token) -> Variable:
        if token.text not in self._variables:
            close = hints.near(token.text, self._variables)
            remedy = (
                f"did you mean {' or '.join(close)}?" if close else "a variable is known up to the end of its block"
            )
            self._wrong(token.at, f"there is no variable {hints.quoted(token.text)} here", remedy=remedy)
        return Variable(token.at, token.text, [])

    def _string(self, token: Token) -> str:
        value = literals.unquote(token.text)
        if value is None:
            self._wrong(token.at, "a string with a wrong escape", remedy=r"write \\ for a backslash, or use backquotes")
        return value

    def _number(self, token: Token) -> Numeral:
        if token.kind is Kind.CHAR_CONSTANT:
            value: Numeral | str = literals.character(token.text) or "no character constant"
            remedy = "strings stand in double quotes or backquotes"
        else:
            read = literals.complex_number if token.kind is Kind.COMPLEX else literals.number
            value = read(token.text)
            remedy = ""
        if isinstance(value, str):
            self._wrong(token.at, f"{value}: {hints.quoted(token.text)}", remedy=remedy)
        return value
