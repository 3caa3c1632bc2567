"""Expressions to closures: pipelines, commands, operands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from keyferry.shape.gotmpl import hints
from keyferry.shape.gotmpl.access import Path, access
from keyferry.shape.gotmpl.arguments import Arg, Parameter, bind, conform
from keyferry.shape.gotmpl.calls import Callee, invoke, wrong_count
from keyferry.shape.gotmpl.errors import ExecError
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
from keyferry.shape.gotmpl.registry import Function
from keyferry.shape.gotmpl.scope import Scope
from keyferry.shape.gotmpl.source import Source
from keyferry.shape.gotmpl.state import NIL, UNSET, Call, Evaluate, Held, Mark, State, Variables
from keyferry.shape.gotmpl.types import ANY
from keyferry.shape.gotmpl.values import Value

SHORT_CIRCUIT: Final = {"and": False, "or": True}
"""The functions that stop at the first argument of that truth; they are no functions of Python."""


def truth(value: Held) -> bool:
    """What ``if`` makes of a value."""
    return value is not NIL and bool(value)


class Expressions:
    """The expressions of one template."""

    def __init__(self, source: Source, functions: Mapping[str, Function], missing: str, scope: Scope) -> None:
        self._source = source
        self._functions = functions
        self._missing = missing
        self._scope = scope

    def pipeline(self, pipe: Pipe) -> Evaluate:
        """What a pipeline gives, never ``NIL``; it sets the pipeline's variables."""
        commands = [self._command(each, piped=bool(at)) for at, each in enumerate(pipe.commands)]
        evaluate = _chained(commands)
        if not pipe.variables:
            return evaluate
        setters = [
            self._assigner(name, pipe.at) if pipe.assigns else _put(self._scope.declare(name))
            for name in pipe.variables
        ]

        def declare(state: State, variables: Variables, dot: Held) -> Held:
            value = evaluate(state, variables, dot)
            for put in setters:
                put(variables, value)
            return value

        return declare

    def setters(self, pipe: Pipe) -> list[Callable[[Variables, Held], None]]:
        """How an iteration sets the pipeline's variables, asked for as soon as ``pipeline`` has declared them."""
        if pipe.assigns:
            return [self._assigner(name, pipe.at) for name in pipe.variables]
        top = self._scope.height
        return [_put(place) for place in range(top - len(pipe.variables), top)]

    def _assigner(self, name: str, at: int) -> Callable[[Variables, Held], None]:
        places, _ = self._scope.find(name)

        def assign(variables: Variables, value: Held) -> None:
            for place in places:
                if variables[place] is not UNSET:
                    variables[place] = value
                    return
            raise self._undefined(name, at)

        return assign

    def _undefined(self, name: str, at: int) -> ExecError:
        return self._source.error(
            ExecError, at, f'the variable "{name}" is not declared here', detail=f"undefined variable: {name}"
        )

    def _command(self, command: Command, *, piped: bool) -> Call:
        first = command.args[0]
        if isinstance(first, Identifier):
            return self._function(first, command.args[1:], piped=piped)
        if isinstance(first, Field | Chain) or (isinstance(first, Variable) and first.fields):
            return self._access(first, command.args[1:], piped=piped)
        if len(command.args) > 1 or piped:
            chain = isinstance(first, Pipe) and len(command.args) > 1 and isinstance(command.args[1], Field)
            return self._fails(
                first.at,
                "this is no function, and takes no arguments",
                remedy=hints.FIELD_FOLLOWS if chain else hints.FUNCTIONS_FIRST,
                detail="can't give argument to non-function",
            )
        evaluate = self._operand(first)
        return lambda state, variables, dot, _piped: evaluate(state, variables, dot)

    def _fails(self, at: int, message: str, *, remedy: str = "", detail: str = "") -> Call:
        def fail(_state: State, _variables: Variables, _dot: Held, _piped: Value) -> Held:
            raise self._source.error(ExecError, at, message, remedy=remedy, detail=detail)

        return fail

    def _operand(self, node: Node) -> Evaluate:
        """A value on its own."""
        if isinstance(node, Dot):
            return lambda _state, _variables, dot: dot
        if isinstance(node, Pipe):
            return self.pipeline(node)
        if isinstance(node, Variable) and not node.fields:
            return self._variable(node)
        if isinstance(node, Bool | String):
            value: Value = node.value
            return lambda _state, _variables, _dot: value
        if isinstance(node, Number) and (natural := node.value.natural()) is not None:
            return lambda _state, _variables, _dot: natural
        if isinstance(node, Nil):
            call = self._fails(node.at, "nil is no value to print or test", detail="nil is not a command")
        elif isinstance(node, Number):
            call = self._fails(node.at, "the number is too large for an int")
        elif isinstance(node, Identifier):
            call = self._function(node, (), piped=False)
        else:
            call = self._access(node, (), piped=False)
        return lambda state, variables, dot: call(state, variables, dot, None)

    def _variable(self, node: Variable) -> Evaluate:
        places, certain = self._scope.find(node.name)
        if certain and len(places) == 1:
            place = places[0]
            return lambda _state, variables, _dot: variables[place]

        def look(_state: State, variables: Variables, _dot: Held) -> Held:
            for place in places:
                if variables[place] is not UNSET:
                    return variables[place]
            raise self._undefined(node.name, node.at)

        return look

    def _arg(self, node: Node) -> Arg:
        if isinstance(node, Nil | Bool | Number | String):
            return Arg(node.at, node, None)
        return Arg(node.at, None, self._operand(node))

    def _function(self, node: Identifier, args: Sequence[Node], *, piped: bool) -> Call:
        if node.name in SHORT_CIRCUIT:
            return self._short_circuit(node, args, piped=piped)
        function = self._functions[node.name]
        literal = not piped and all(isinstance(each, Nil | Bool | Number | String) for each in args)
        callee = Callee(self._source, node.at, function, literal)
        given = [self._arg(each) for each in args]
        if wrong := wrong_count(function, len(args), piped=piped):
            return self._fails(node.at, wrong)
        bound = [bind(self._source, each, callee.parameter(at)) for at, each in enumerate(given)]
        if not piped:

            def call(state: State, variables: Variables, dot: Held, _piped: Value) -> Held:
                return invoke(state, callee, [each(state, variables, dot) for each in bound])

            return call
        last = callee.parameter(len(bound), piped=True)
        source, at = self._source, node.at

        def call_piped(state: State, variables: Variables, dot: Held, final: Value) -> Held:
            values = [each(state, variables, dot) for each in bound]
            values.append(conform(source, at, final, last))
            return invoke(state, callee, values)

        return call_piped

    def _short_circuit(self, node: Identifier, args: Sequence[Node], *, piped: bool) -> Call:
        if not args and not piped:
            return self._fails(node.at, f"{node.name} takes at least 1 argument, and has none")
        parameter = Parameter(node.name, 0, ANY)
        bound = [bind(self._source, self._arg(each), parameter) for each in args[:1]]
        unsure = self._scope.height
        with self._scope.uncertain():
            bound += [bind(self._source, self._arg(each), parameter) for each in args[1:]]
        unset = range(unsure, self._scope.height)
        stops_at = SHORT_CIRCUIT[node.name]

        def shorten(state: State, variables: Variables, dot: Held, final: Value) -> Held:
            state.run.spend()
            for place in unset:
                variables[place] = UNSET
            value: Held = None
            for each in bound:
                value = each(state, variables, dot)
                if bool(value) is stops_at:
                    return value
            return final if piped else value

        return shorten

    def _access(self, node: Field | Variable | Chain, args: Sequence[Node], *, piped: bool) -> Call:
        start, names, base = self._start(node)
        path = Path(self._source, node.at, base, names, self._missing)
        return access(path, start, [self._arg(each) for each in args], piped=piped)

    def _start(self, node: Field | Variable | Chain) -> tuple[Evaluate, Sequence[str], str]:
        """What a chain of fields starts from, its names, and the start as the user wrote it, if it is the root."""
        if isinstance(node, Field):
            return (lambda _state, _variables, dot: dot), node.names, "."
        if isinstance(node, Variable):
            return self._variable(Variable(node.at, node.name, [])), node.fields, node.name
        return self._operand(node.base), node.names, ""


def _put(place: int) -> Callable[[Variables, Held], None]:
    def put(variables: Variables, value: Held) -> None:
        variables[place] = value

    return put


def _chained(commands: Sequence[Call]) -> Evaluate:
    if len(commands) == 1:
        only = commands[0]

        def single(state: State, variables: Variables, dot: Held) -> Held:
            value = only(state, variables, dot, None)
            return None if isinstance(value, Mark) else value

        return single

    def several(state: State, variables: Variables, dot: Held) -> Held:
        value: Value = None
        for command in commands:
            held = command(state, variables, dot, value)
            value = None if isinstance(held, Mark) else held
        return value

    return several
