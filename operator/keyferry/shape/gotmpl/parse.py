"""Tokens to statements, by the grammar of text/template."""

from __future__ import annotations

from collections.abc import Collection

from keyferry.shape.gotmpl import hints
from keyferry.shape.gotmpl.lex import Kind, Token
from keyferry.shape.gotmpl.nodes import Action, Arm, Branch, Definition, Invocation, Leave, Range, Statement, Text
from keyferry.shape.gotmpl.operands import Declared, OperandParser
from keyferry.shape.gotmpl.source import Source


def parse(source: Source, functions: Collection[str]) -> tuple[list[Statement], dict[str, Definition]]:
    """The body of a template, and the templates that it defines. Raises ``ParseError``."""
    parser = _Parser(source, functions)
    return parser.template(), parser.definitions


class _Parser(OperandParser):
    def __init__(self, source: Source, functions: Collection[str]) -> None:
        super().__init__(source, functions)
        self._ranges = 0
        self.definitions: dict[str, Definition] = {}

    def template(self) -> list[Statement]:
        body: list[Statement] = []
        while (token := self._next()).kind is not Kind.END_OF_TEXT:
            if token.kind is Kind.TEXT:
                body.append(Text(token.at, token.text))
            elif self._peek().kind is Kind.DEFINE:
                self._definition(self._next())
            elif self._peek().kind in (Kind.END, Kind.ELSE):
                found = self._source.action(self._peek().text)
                self._wrong(token.at, f"unexpected {found}", remedy="no if, with, range, define or block is open here")
            else:
                body.append(self._action(token))
        return body

    def _definition(self, keyword: Token) -> None:
        token = self._next()
        name = self._template_name(token, "define")
        self._expect(Kind.CLOSE, "define", f'"{self._source.right}" after the name')
        self._define(name, self._body_of_template(keyword), token)

    def _body_of_template(self, opener: Token) -> list[Statement]:
        outside = self._variables, self._ranges
        self._variables, self._ranges = Declared(), 0
        body, end = self._body(opener)
        if end.kind is not Kind.END:
            self._wrong(end.at, f"unexpected {self._source.action('else')} in {opener.text}")
        self._expect(Kind.CLOSE, "end", f'"{self._source.right}"')
        self._variables, self._ranges = outside
        return body

    def _define(self, name: str, body: list[Statement], token: Token) -> None:
        new, old = Definition(body), self.definitions.get(name)
        if old is None or old.empty:
            self.definitions[name] = new
        elif not new.empty:
            self._wrong(token.at, f"the template {hints.quoted(name)} is defined already")

    def _template_name(self, token: Token, where: str) -> str:
        if token.kind not in (Kind.STRING, Kind.RAW_STRING):
            self._unexpected(token, where, "the name of a template in quotes")
        return self._string(token)

    def _body(self, opener: Token) -> tuple[list[Statement], Token]:
        """The statements up to ``end`` or ``else``, and the keyword itself, behind which the action goes on."""
        body: list[Statement] = []
        with self._nested(opener.at):
            while (token := self._next()).kind is not Kind.END_OF_TEXT:
                if token.kind is Kind.TEXT:
                    body.append(Text(token.at, token.text))
                elif self._peek().kind in (Kind.END, Kind.ELSE):
                    break
                else:
                    body.append(self._action(token))
            else:
                self._wrong(
                    opener.at, f"{hints.quoted(opener.text)} is not closed", remedy=f"add {self._source.action('end')}"
                )
        return body, self._next()

    def _action(self, opener: Token) -> Statement:
        token = self._peek()
        kind = token.kind
        if kind is Kind.IF or kind is Kind.WITH:
            return self._branch(self._next())
        if kind is Kind.RANGE:
            return self._range(self._next())
        if kind is Kind.TEMPLATE or kind is Kind.BLOCK:
            return self._invocation(self._next())
        if kind is Kind.BREAK or kind is Kind.CONTINUE:
            return self._leave(self._next())
        if kind is Kind.DEFINE:
            self._wrong(token.at, "define stands at the top level only", remedy="move it out of the block around it")
        return Action(opener.at, self._pipeline("action", Kind.CLOSE))

    def _branch(self, keyword: Token) -> Branch:
        known = self._variables.count
        branch = Branch(keyword.at, keyword.kind is Kind.WITH, [], [])
        opener = keyword
        while True:
            pipe = self._pipeline(keyword.text, Kind.CLOSE)
            body, end = self._body(keyword)
            branch.arms.append(Arm(pipe, body))
            if end.kind is Kind.END or self._peek().kind is not keyword.kind:
                break
            opener = self._next()
        branch.rest = self._rest(opener, end)
        self._variables.forget(known)
        return branch

    def _range(self, keyword: Token) -> Range:
        known = self._variables.count
        pipe = self._pipeline("range", Kind.CLOSE)
        self._ranges += 1
        body, end = self._body(keyword)
        self._ranges -= 1
        rest = self._rest(keyword, end)
        self._variables.forget(known)
        return Range(keyword.at, pipe, body, rest)

    def _rest(self, keyword: Token, end: Token) -> list[Statement]:
        """What stands behind ``else``, if it does, up to the end of the block."""
        rest: list[Statement] = []
        if end.kind is Kind.ELSE:
            token = self._next()
            if token.kind is not Kind.CLOSE:
                self._unexpected(token, f"else of {keyword.text}", f'"{self._source.right}"')
            rest, end = self._body(keyword)
            if end.kind is not Kind.END:
                self._wrong(end.at, f"a second else in {keyword.text}", remedy=f"expected {self._source.action('end')}")
        self._expect(Kind.CLOSE, "end", f'"{self._source.right}"')
        return rest

    def _invocation(self, keyword: Token) -> Invocation:
        token = self._next()
        name = self._template_name(token, keyword.text)
        pipe = None
        if keyword.kind is Kind.BLOCK or self._peek().kind is not Kind.CLOSE:
            pipe = self._pipeline(keyword.text, Kind.CLOSE)
        else:
            self._next()
        if keyword.kind is Kind.BLOCK:
            self._define(name, self._body_of_template(keyword), token)
        return Invocation(keyword.at, name, pipe)

    def _leave(self, keyword: Token) -> Leave:
        self._expect(Kind.CLOSE, keyword.text, f'"{self._source.right}"')
        if not self._ranges:
            self._wrong(keyword.at, f"{self._source.action(keyword.text)} outside of range")
        return Leave(keyword.at, keyword.kind is Kind.CONTINUE)
