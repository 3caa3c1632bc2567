"""Fields: ``.a.b`` over maps and structs, and methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from keyferry.shape.gotmpl import hints
from keyferry.shape.gotmpl.arguments import Arg, bind, conform
from keyferry.shape.gotmpl.calls import Callee, invoke, wrong_count
from keyferry.shape.gotmpl.errors import ExecError
from keyferry.shape.gotmpl.goduration import NUMBER_METHODS
from keyferry.shape.gotmpl.registry import Function
from keyferry.shape.gotmpl.source import Source
from keyferry.shape.gotmpl.state import NIL, Call, Evaluate, Held, Mark, State, Variables
from keyferry.shape.gotmpl.types import GoType
from keyferry.shape.gotmpl.values import Number, Struct, TypedMap, TypedSlice, Value, type_of

MISSING: Final = ("error", "default", "invalid", "zero")
_SEARCHED: Final = 10_000
_ZEROS: Final[dict[str, Value]] = {"string": "", "bool": False, "int": 0, "float64": 0.0}


@dataclass(frozen=True, slots=True)
class Path:
    """A chain of names in the source, and what it starts from, as the user wrote it (empty where that is long)."""

    source: Source
    at: int
    base: str
    names: Sequence[str]
    missing: str


def access(path: Path, start: Evaluate, args: Sequence[Arg], *, piped: bool) -> Call:
    """Go along a path. Arguments go to the last name, which has to be a method then."""
    last = len(path.names) - 1
    plain = range(last if args or piped else last + 1)

    def reach(state: State, variables: Variables, dot: Held, final: Value) -> Held:
        receiver = start(state, variables, dot)
        for depth in plain:
            method = _method(receiver, path.names[depth])
            if method is None:
                receiver = _field(state, receiver, path, depth)
            else:
                receiver = invoke(state, _callee(path, method, 0, piped=False), [receiver])
        return receiver if last in plain else apply(state, variables, dot, receiver, final)

    def apply(state: State, variables: Variables, dot: Held, receiver: Held, final: Value) -> Held:
        method = _method(receiver, path.names[last])
        if method is None:
            found = _field(state, receiver, path, last)
            if receiver is None:
                return found
            raise _no_function(path, last)
        callee = _callee(path, method, len(args), piped=piped)
        bound = [bind(path.source, each, callee.parameter(index)) for index, each in enumerate(args)]
        values = [receiver, *(each(state, variables, dot) for each in bound)]
        if piped:
            values.append(conform(path.source, path.at, final, callee.parameter(len(args), piped=True)))
        return invoke(state, callee, values)

    return reach


def _callee(path: Path, method: Function, given: int, *, piped: bool) -> Callee:
    if wrong := wrong_count(method, given, piped=piped):
        raise path.source.error(ExecError, path.at, wrong)
    return Callee(path.source, path.at, method, literal=False)


def _no_function(path: Path, depth: int) -> ExecError:
    name = path.names[depth]
    return path.source.error(
        ExecError,
        path.at,
        f"{hints.quoted(name)} is no function, and takes no arguments",
        remedy=hints.FUNCTIONS_FIRST,
        detail=f"{name} is not a method but has arguments",
    )


def _method(receiver: Held, name: str) -> Function | None:
    if isinstance(receiver, Struct):
        return receiver.methods.get(name)
    if isinstance(receiver, Number) and (methods := NUMBER_METHODS.get(receiver.go_type)):
        return methods.get(name)
    return None


def _field(state: State, receiver: Held, path: Path, depth: int) -> Held:
    """A field, or the element of a map."""
    name = path.names[depth]
    if isinstance(receiver, dict):
        try:
            found = receiver[name]
        except KeyError:
            return _missing(state, receiver, path, depth)
        return NIL if found is None else found
    if receiver is None:
        if path.missing == "error":
            raise _no_field(path, depth, "nil", f'nil data; no entry for key "{name}"')
        return None
    if isinstance(receiver, Mark):
        raise _no_field(path, depth, "nil", f"nil pointer evaluating interface {{}}.{name}")
    if isinstance(receiver, Struct) and (fields := receiver.fields()) and name in fields:
        found = fields[name]
        return NIL if found is None else found
    go_type = type_of(receiver)
    detail = f"can't evaluate field {name} in type {go_type}"
    remedy = _dotted(state, path) if depth == 1 and _first(state, path) is receiver else ""
    if depth == 0:
        remedy = _root(state, path)
    if not remedy and isinstance(receiver, str) and path.base and depth:
        stem = ("" if path.base == "." else path.base) + "".join(f".{each}" for each in path.names[:depth])
        remedy = f"if that is JSON, write (fromJson {stem}).{name}"
    raise _no_field(path, depth, f"a value of type {go_type}", detail, remedy)


def _no_field(path: Path, depth: int, of: str, detail: str, remedy: str = "") -> ExecError:
    message = f"there is no field {hints.quoted(path.names[depth])} in {of}"
    return path.source.error(ExecError, path.at, message, remedy=remedy, detail=detail)


def _missing(state: State, receiver: dict[str, Value], path: Path, depth: int) -> Held:
    if path.missing in ("default", "invalid"):
        return None
    if path.missing == "zero":
        go_type = type_of(receiver)
        return _zero(go_type.elem if go_type else None)
    name = path.names[depth]
    detail = f'map has no entry for key "{name}"'
    message = f"there is no key {hints.quoted(name)}"
    remedy = ""
    if _has_names(state, receiver):
        there, remedy = hints.keys(name, receiver)
        message = f"{message}; {there}"
    if depth == 0:
        remedy = _root(state, path) or remedy
    if receiver is state.root:
        old = hints.old_spelling(path.source, path.base, path.names, receiver, path.at)
        remedy = _dotted(state, path) or old or remedy
    raise path.source.error(ExecError, path.at, message, remedy=remedy, detail=detail)


def _has_names(state: State, receiver: dict[str, Value]) -> bool:
    """Whether a map is the data or a document, or within: the keys of other maps may be made of values."""
    left = [*state.documents]
    for _ in range(_SEARCHED):
        if not left:
            break
        value = left.pop()
        if value is receiver:
            return True
        if isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list):
            left += value
    return False


def _root(state: State, path: Path) -> str:
    """How to reach the data from within with and range, where its keys are looked for in something else."""
    name = path.names[0]
    if path.base != "." or state.depth or not isinstance(state.root, dict) or name not in state.root:
        return ""
    return f'write $.{name}: within with and range, "." is their value'


def _first(state: State, path: Path) -> Value:
    return state.root.get(path.names[0]) if isinstance(state.root, dict) else None


def _dotted(state: State, path: Path) -> str:
    """How to write a path from the root, where its names are one key with dots in it."""
    if not path.base or not isinstance(state.root, dict):
        return ""
    for end in range(len(path.names), 1, -1):
        key = ".".join(path.names[:end])
        if key in state.root:
            return hints.index(path.source, path.base, key, path.at)
    return ""


def _zero(go_type: GoType | None) -> Held:
    """The zero value of a map's elements."""
    if go_type is None or go_type.kind == "interface":
        return NIL
    if go_type.kind == "map":
        return TypedMap({}, go_type, is_nil=True)
    if go_type.kind == "slice":
        return TypedSlice((), go_type, is_nil=True)
    return _ZEROS.get(go_type.name)
