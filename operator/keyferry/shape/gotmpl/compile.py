"""Statements to closures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from keyferry.shape.gotmpl.errors import ExecError, LimitError
from keyferry.shape.gotmpl.evaluate import Expressions, truth
from keyferry.shape.gotmpl.fmt import print_value, sorted_keys
from keyferry.shape.gotmpl.nodes import Action, Branch, Invocation, Leave, Range, Statement, Text
from keyferry.shape.gotmpl.registry import Function
from keyferry.shape.gotmpl.scope import Scope
from keyferry.shape.gotmpl.source import Source
from keyferry.shape.gotmpl.state import NIL, UNSET, Body, Execute, Held, Leaving, State, Variables
from keyferry.shape.gotmpl.types import UINT8
from keyferry.shape.gotmpl.values import Number, Value, to_bytes, type_of

_SLOT = 8


def compile_body(
    source: Source, functions: Mapping[str, Function], missing: str, statements: Sequence[Statement]
) -> Body:
    """The body of a template as one closure."""
    scope = Scope()
    execute = _Statements(source, functions, missing, scope).block(statements)
    return Body(execute, scope.size)


def run_body(state: State, body: Body, dot: Held) -> None:
    """Execute a template with variables of its own."""
    state.run.make(_SLOT * body.variables)
    variables: Variables = [UNSET] * body.variables
    variables[0] = dot
    body.execute(state, variables, dot)


class _Statements:
    def __init__(self, source: Source, functions: Mapping[str, Function], missing: str, scope: Scope) -> None:
        self._source = source
        self._scope = scope
        self._expressions = Expressions(source, functions, missing, scope)

    def block(self, statements: Sequence[Statement]) -> Execute:
        """Statements one after the other; what they declare ends with them."""
        with self._scope.block():
            executes = [self._statement(each) for each in statements]
        if len(executes) == 1:
            return executes[0]

        def sequence(state: State, variables: Variables, dot: Held) -> Leaving | None:
            for execute in executes:
                leaving = execute(state, variables, dot)
                if leaving is not None:
                    return leaving
            return None

        return sequence

    def _statement(self, statement: Statement) -> Execute:
        match statement:
            case Text():
                return self._text(statement)
            case Action():
                return self._action(statement)
            case Branch():
                with self._scope.block():
                    return self._branch(statement)
            case Range():
                with self._scope.block():
                    return self._range(statement)
            case Invocation():
                return self._invocation(statement)
            case Leave():
                leaving = Leaving.CONTINUE if statement.again else Leaving.BREAK
                return lambda _state, _variables, _dot: leaving

    def _text(self, node: Text) -> Execute:
        text, at = to_bytes(node.text), node.at

        def write(state: State, _variables: Variables, _dot: Held) -> None:
            state.at = at
            state.write(text)

        return write

    def _action(self, node: Action) -> Execute:
        evaluate = self._expressions.pipeline(node.pipe)
        prints, at = not node.pipe.variables, node.pipe.at

        def act(state: State, variables: Variables, dot: Held) -> None:
            state.at = at
            state.run.spend()
            value = evaluate(state, variables, dot)
            if prints:
                text = value if type(value) is str else _printed(state, value)
                state.write(to_bytes(text))

        return act

    def _branch(self, node: Branch) -> Execute:
        arms = []
        for arm in node.arms:
            condition = self._expressions.pipeline(arm.pipe)
            arms.append((condition, self.block(arm.body)))
        rest = self.block(node.rest)
        sets_dot, at = node.sets_dot, node.at

        def branch(state: State, variables: Variables, dot: Held) -> Leaving | None:
            state.at = at
            state.run.spend()
            for condition, body in arms:
                value = condition(state, variables, dot)
                if truth(value):
                    return body(state, variables, value if sets_dot else dot)
            return rest(state, variables, dot)

        return branch

    def _range(self, node: Range) -> Execute:
        evaluate = self._expressions.pipeline(node.pipe)
        setters = self._expressions.setters(node.pipe)
        body = self.block(node.body)
        rest = self.block(node.rest)
        pairs = len(setters) > 1
        at = node.pipe.at

        def loop(state: State, variables: Variables, dot: Held) -> Leaving | None:
            state.at = at
            state.run.spend()
            value = evaluate(state, variables, dot)
            nothing = True
            for index, element in self._iterate(value, at, pairs=pairs):
                nothing = False
                state.run.spend()
                held: Held = NIL if element is None else element
                if setters:
                    setters[-1](variables, held)
                    if pairs:
                        setters[0](variables, index)
                if body(state, variables, held) is Leaving.BREAK:
                    return None
            if nothing:
                leaving = rest(state, variables, dot)
                # Go's else stands within the range: a break there ends this range, and not the one around it.
                return None if leaving is Leaving.BREAK else leaving
            return None

        return loop

    def _iterate(self, value: Held, at: int, *, pairs: bool) -> Iterable[tuple[Value, Value]]:
        """What a range goes over: indexes or keys, and elements. Raises ``ExecError``."""
        if isinstance(value, list):
            return enumerate(value)
        if isinstance(value, dict):
            return [(key, value[key]) for key in sorted_keys(value)]
        if isinstance(value, bytes):
            return enumerate(Number(each, UINT8) for each in value)
        if isinstance(value, int) and not isinstance(value, bool):
            if pairs:
                raise self._source.error(ExecError, at, "a number is ranged over with one variable, and here are two")
            if isinstance(value, Number):
                go_type = value.go_type
                return ((None, Number(each, go_type)) for each in range(value))
            return ((None, each) for each in range(value))
        if value is None or value is NIL:
            return ()
        remedy = "cut it up first, such as with splitList or fromJson" if isinstance(value, str) else ""
        told = "nothing" if value is UNSET else type_of(value)
        raise self._source.error(
            ExecError, at, f"range goes over lists, maps and integers, and this is a {told}", remedy=remedy
        )

    def _invocation(self, node: Invocation) -> Execute:
        evaluate = self._expressions.pipeline(node.pipe) if node.pipe else None
        source, at, name = self._source, node.at, node.name

        def invoke(state: State, variables: Variables, dot: Held) -> None:
            state.at = at
            body = state.bodies.get(name)
            if body is None:
                raise source.error(ExecError, at, f'there is no template "{name}"')
            state.run.spend()
            if state.depth >= state.run.limits.depth:
                raise LimitError(f"more than {state.run.limits.depth} templates within each other")
            argument = evaluate(state, variables, dot) if evaluate else None
            state.depth += 1
            run_body(state, body, argument)
            state.depth -= 1

        return invoke


def _printed(state: State, value: Held) -> str:
    return print_value(state.run, None if value is NIL or value is UNSET else value)
