"""Arguments of functions and methods: text/template's rules on which values a parameter takes.

A value goes to a parameter of its own type or of type ``interface {}``, and to no other: an int is no int64. Literals
have no type of their own and go wherever they fit. Nil goes to interfaces, maps, slices and pointers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keyferry.shape.gotmpl.errors import ExecError
from keyferry.shape.gotmpl.nodes import Bool, Literal, Nil, Number, String
from keyferry.shape.gotmpl.source import Source
from keyferry.shape.gotmpl.state import NIL, Evaluate, Held, Mark, State, Variables
from keyferry.shape.gotmpl.types import ANYS, BOOL, BYTES, DICT, FLOAT64, INT, STRING, STRING_MAP, GoType
from keyferry.shape.gotmpl.values import Number as TypedNumber
from keyferry.shape.gotmpl.values import TypedMap, TypedSlice, Value, type_of

_PYTHON: Final = {STRING: str, INT: int, BOOL: bool, FLOAT64: float, DICT: dict, ANYS: list, BYTES: bytes}
_SIGNED: Final = frozenset({"int", "int32", "int64"})
_UNSIGNED: Final = {"uint8": 8, "uint32": 32, "uint64": 64}
_NILABLE: Final = frozenset({"map", "slice", "ptr", "interface"})
_CONVERTED: Final = {"string": "toString", "int": "int", "int64": "int64", "float64": "float64"}


@dataclass(frozen=True, slots=True)
class Arg:
    """An argument as it stands in the template: a literal, or an expression."""

    at: int
    literal: Literal | None
    evaluate: Evaluate | None


@dataclass(frozen=True, slots=True)
class Parameter:
    """Where an argument goes. ``position`` counts from 1; 0 is what comes through the pipe."""

    function: str
    position: int
    type: GoType

    def told(self) -> str:
        """For errors."""
        which = f"argument {self.position}" if self.position else 'the argument that comes through "|"'
        return f"{self.function}: {which}"


def bind(source: Source, arg: Arg, parameter: Parameter) -> Evaluate:
    """How to get the argument's value. Evaluating raises ``ExecError`` where it does not fit."""
    if arg.literal is not None:
        return _literal(source, arg.literal, parameter)
    evaluate = arg.evaluate
    if evaluate is None:
        raise TypeError("an argument is a literal or an expression")
    if parameter.type.kind == "interface":

        def anything(state: State, variables: Variables, dot: Held) -> Held:
            value = evaluate(state, variables, dot)
            return None if value is NIL else value

        return anything
    python = _PYTHON.get(parameter.type)
    at = arg.at

    def typed(state: State, variables: Variables, dot: Held) -> Held:
        value = evaluate(state, variables, dot)
        return value if type(value) is python else conform(source, at, value, parameter)

    return typed


def conform(source: Source, at: int, value: Held, parameter: Parameter) -> Value:
    """The value for a parameter. Raises ``ExecError`` where it does not fit."""
    want = parameter.type
    if isinstance(value, Mark):
        if want.kind == "interface":
            return None
        raise _mismatch(source, at, parameter, "nil", f"wrong type for value; expected {want}; got interface {{}}")
    if value is None:
        if want.kind in _NILABLE:
            return _zero(want)
        raise _mismatch(source, at, parameter, "nil", f"invalid value; expected {want}")
    got = type_of(value)
    if want.kind == "interface" or got == want:
        return value
    raise _mismatch(source, at, parameter, str(got), f"wrong type for value; expected {want}; got {got}")


def _literal(source: Source, literal: Literal, parameter: Parameter) -> Evaluate:
    fits, value = _constant(literal, parameter.type)
    if fits:
        return lambda _state, _variables, _dot: value
    kind = {Nil: "nil", Bool: "a bool", String: "a string in quotes", Number: "a number"}[type(literal)]
    want = parameter.type
    detail = f"cannot assign nil to {want}" if isinstance(literal, Nil) else f"expected {want.kind}"
    remedy = "write it in quotes" if want.kind == "string" and isinstance(literal, Bool | Number) else ""
    if isinstance(literal, String) and want.kind in ("bool", "float64", *_SIGNED, *_UNSIGNED):
        remedy = "write it without quotes"

    def refuse(_state: State, _variables: Variables, _dot: Held) -> Held:
        message = f"{parameter.told()} is {kind}, and has to be {want}"
        raise source.error(ExecError, literal.at, message, remedy=remedy, detail=detail)

    return refuse


def _constant(literal: Literal, want: GoType) -> tuple[bool, Value]:
    """Whether a literal fits, and its value."""
    kind = want.kind
    if isinstance(literal, Nil):
        return kind in _NILABLE, _zero(want) if kind in _NILABLE else None
    if isinstance(literal, Number):
        return _number(literal, want)
    return kind == "interface" or kind == ("bool" if isinstance(literal, Bool) else "string"), literal.value


def _number(literal: Number, want: GoType) -> tuple[bool, Value]:
    numeral, kind = literal.value, want.kind
    if kind == "interface":
        natural = numeral.natural()
        return natural is not None, natural
    if kind == "float64":
        return numeral.real is not None, numeral.real
    if kind in _SIGNED and numeral.integer is not None:
        whole = numeral.integer
        if kind == "int32":
            whole = (whole + (1 << 31)) % (1 << 32) - (1 << 31)
        return True, whole if want == INT else TypedNumber(whole, want)
    if kind in _UNSIGNED and numeral.unsigned is not None:
        return True, TypedNumber(numeral.unsigned % (1 << _UNSIGNED[kind]), want)
    return False, None


def _zero(go_type: GoType) -> Value:
    if go_type.kind == "map":
        return TypedMap({}, go_type, is_nil=True)
    if go_type.kind == "slice":
        return TypedSlice((), go_type, is_nil=True)
    return None


def _mismatch(source: Source, at: int, parameter: Parameter, got: str, detail: str) -> ExecError:
    message = f"{parameter.told()} is {got}, and has to be {parameter.type}"
    return source.error(ExecError, at, message, remedy=_remedy(parameter.type, got), detail=detail)


def _remedy(want: GoType, got: str) -> str:
    if got == "nil":
        return ""
    if want == DICT and got == STRING_MAP.name:
        return "the data hold strings only: use index, range or with on them"
    if convert := _CONVERTED.get(want.name):
        return f"convert it: write (... | {convert}) for it"
    if want.kind in ("string", "int", "int64"):
        return "only a literal goes there"
    return ""
