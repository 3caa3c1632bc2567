"""The functions of text/template itself, but for ``and`` and ``or``: the engine may skip their arguments."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote_plus

from keyferry.shape.gotmpl import fmt
from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.fmt.printable import is_printable
from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.types import STRING, UINT8
from keyferry.shape.gotmpl.values import (
    Number,
    Struct,
    TypedMap,
    TypedSlice,
    Value,
    from_bytes,
    kind_of,
    to_bytes,
    type_of,
)

REGISTRY = Registry()

_BASIC = {
    "bool": "bool",
    "string": "string",
    "float64": "float",
    "complex128": "complex",
    "int": "int",
    "int32": "int",
    "int64": "int",
    "uint8": "uint",
    "uint32": "uint",
    "uint64": "uint",
}
"""Kinds that can be compared by value, and what they are compared as."""
_UNORDERED = {"bool", "complex"}
_HTML = str.maketrans({"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"})
_JS_SPECIAL = re.compile(r"[\\'\"<>&=\x00-\x1f]|[^\x00-\x7f]")
_JS_SHORT = {"\\": "\\\\", "'": "\\'", '"': '\\"'}
_MAX_INDEXES = 3


def truth(value: Value) -> bool:
    """Go's truth: false are nil, false, zero and what is empty."""
    return value is not None and (isinstance(value, Struct) or bool(value))


@REGISTRY.add("not", "func(interface {}) bool")
def negation(value: Value) -> bool:
    return not truth(value)


@REGISTRY.add("len", "func(interface {}) (int, error)")
def length(item: Value) -> int:
    match item:
        case str():
            return len(item) if item.isascii() else len(to_bytes(item))
        case bytes() | list() | dict():
            return len(item)
        case None:
            raise FunctionError("nil has no length", detail="reflect: call of reflect.Value.Type on zero Value")
        case _:
            raise FunctionError(f"a value of type {type_of(item)} has no length", detail=f"len of type {type_of(item)}")


@REGISTRY.add("index", "func(interface {}, ...interface {}) (interface {}, error)")
def index(item: Value, *indexes: Value) -> Value:
    if item is None:
        raise FunctionError("nil has no items", detail="index of untyped nil")
    for each in indexes:
        match item:
            case str():
                item = _at(to_bytes(item), each, "string")
            case bytes() | list():
                item = _at(item, each, "slice")
            case dict():
                item = _under(item, each)
            case None:
                raise FunctionError("nil has no items", detail="index of nil pointer")
            case _:
                told = type_of(item)
                raise FunctionError(f"a value of type {told} has no items", detail=f"can't index item of type {told}")
    return item


# sprig has a slice of its own, which takes this one's place in ESO.
@REGISTRY.add("slice", "func(interface {}, ...interface {}) (interface {}, error)")
def part(item: Value, *indexes: Value) -> Value:
    """Part of a string, by bytes, or of a list. A list's capacity, to which Go would go, is its length here."""
    if item is None:
        raise FunctionError("nil has no parts", detail="slice of untyped nil")
    if len(indexes) > _MAX_INDEXES:
        raise FunctionError(f"too many slice indexes: {len(indexes)}")
    if not isinstance(item, str | bytes | list):
        told = type_of(item)
        raise FunctionError(f"a value of type {told} has no parts", detail=f"can't slice item of type {told}")
    if isinstance(item, str) and len(indexes) == _MAX_INDEXES:
        raise FunctionError("a string takes two indexes at most", detail="cannot 3-index slice a string")
    whole = to_bytes(item) if isinstance(item, str) else item
    first, last, limit = [*(_place(each, len(whole)) for each in indexes), *(0, len(whole), len(whole))[len(indexes) :]]
    if first > last or last > limit:
        raise FunctionError("the indexes are not in ascending order", detail="invalid slice index")
    cut = whole[first:last]
    if isinstance(item, str) and isinstance(cut, bytes):
        return from_bytes(cut)
    return TypedSlice(cut, item.go_type) if isinstance(item, TypedSlice) and isinstance(cut, list) else cut


@REGISTRY.add("call", "func(interface {}, ...interface {}) (interface {}, error)")
def call(function: Value, *_arguments: Value) -> Value:
    if function is None:
        raise FunctionError("nil is no function", detail="call of nil")
    told = type_of(function)
    raise FunctionError(f"a value of type {told} is no function: templates have none that they could call")


@REGISTRY.add("print", "func(...interface {}) string", run=True)
def print_(run: Run, *values: Value) -> str:
    return fmt.sprint(run, values)


@REGISTRY.add("println", "func(...interface {}) string", run=True)
def println(run: Run, *values: Value) -> str:
    return fmt.sprintln(run, values)


@REGISTRY.add("printf", "func(string, ...interface {}) string", run=True)
def printf(run: Run, form: str, *values: Value) -> str:
    return fmt.sprintf(run, form, values)


@REGISTRY.add("html", "func(...interface {}) string", run=True)
def html(run: Run, *values: Value) -> str:
    return _one_string(run, values).translate(_HTML)


@REGISTRY.add("js", "func(...interface {}) string", run=True)
def js(run: Run, *values: Value) -> str:
    return _JS_SPECIAL.sub(_js_escape, _one_string(run, values))


@REGISTRY.add("urlquery", "func(...interface {}) string", run=True)
def urlquery(run: Run, *values: Value) -> str:
    return quote_plus(to_bytes(_one_string(run, values)))


@REGISTRY.add("eq", "func(interface {}, ...interface {}) (bool, error)")
def equal(first: Value, *others: Value) -> bool:
    """Whether the first equals any of the others."""
    if not others:
        raise FunctionError("there is nothing to compare with", detail="missing argument for comparison")
    return any(_equal(first, other) for other in others)


@REGISTRY.add("ne", "func(interface {}, interface {}) (bool, error)")
def not_equal(first: Value, second: Value) -> bool:
    return not _equal(first, second)


@REGISTRY.add("lt", "func(interface {}, interface {}) (bool, error)")
def less(first: Any, second: Any) -> bool:
    kind, other = _basic(first), _basic(second)
    if kind is None or other is None or (kind == other and kind in _UNORDERED):
        told = type_of(second if other is None else first) or "nil"
        raise FunctionError(f"a value of type {told} has no order", detail="invalid type for comparison")
    if kind != other and {kind, other} != {"int", "uint"}:
        raise _incompatible(first, second)
    if kind == "string" and not (first.isascii() and second.isascii()):
        return to_bytes(first) < to_bytes(second)
    return bool(first < second)


@REGISTRY.add("le", "func(interface {}, interface {}) (bool, error)")
def less_or_equal(first: Value, second: Value) -> bool:
    return less(first, second) or _equal(first, second)


@REGISTRY.add("gt", "func(interface {}, interface {}) (bool, error)")
def greater(first: Value, second: Value) -> bool:
    return not less_or_equal(first, second)


@REGISTRY.add("ge", "func(interface {}, interface {}) (bool, error)")
def greater_or_equal(first: Value, second: Value) -> bool:
    return not less(first, second)


def _at(items: bytes | list[Value], place: Value, kind: str) -> Value:
    number = _place(place, len(items))
    if number == len(items):
        raise _out_of_range(f"reflect: {kind} index out of range")
    return Number(items[number], UINT8) if isinstance(items, bytes) else items[number]


def _under(items: dict[str, Value], key: Value) -> Value:
    if not isinstance(key, str):
        told = type_of(key)
        raise FunctionError(
            f"a map's key is a string, not {told or 'nil'}",
            detail=f"value has type {told}; should be string" if told else "value is nil; should be of type string",
        )
    if key in items:
        return items[key]
    return "" if isinstance(items, TypedMap) and items.go_type.elem is STRING else None


def _place(place: Value, size: int) -> int:
    if not isinstance(place, int) or isinstance(place, bool):
        told = type_of(place)
        raise FunctionError(
            f"an index is an integer, not {told or 'nil'}",
            detail=f"cannot index slice/array with {f'type {told}' if told else 'nil'}",
        )
    if not 0 <= place <= size:
        raise _out_of_range(f"index out of range: {int(place)}")
    return int(place)


def _out_of_range(detail: str) -> FunctionError:
    return FunctionError("the index is out of range: check the length with len before", detail=detail)


def _one_string(run: Run, values: tuple[Value, ...]) -> str:
    """The arguments of ``html``, ``js`` and ``urlquery`` as one string."""
    return fmt.sprint(run, ["<no value>" if each is None else each for each in values])


def _js_escape(found: re.Match[str]) -> str:
    character = found[0]
    if (short := _JS_SHORT.get(character)) is not None:
        return short
    if character < "\x80":
        return f"\\u{ord(character):04X}"
    # A byte that is no UTF-8 is left as it is.
    return character if "\ud800" <= character <= "\udfff" or is_printable(character) else f"\\u{ord(character):04X}"


def _basic(value: Value) -> str | None:
    return _BASIC.get(kind_of(value))


def _equal(first: Value, second: Value) -> bool:
    kind, other = _basic(first), _basic(second)
    if kind != other:
        if {kind, other} == {"int", "uint"}:
            return first == second
        if first is None or second is None:
            return False
        raise _incompatible(first, second)
    if kind is not None:
        return first == second
    if first is None or second is None:
        return _is_nil(first) and _is_nil(second)
    if kind_of(first) != kind_of(second):
        raise FunctionError(
            f"values of types {type_of(first)} and {type_of(second)} cannot be compared", detail="non-comparable types"
        )
    if _is_nil(first) or _is_nil(second):
        return _is_nil(first) and _is_nil(second)
    if not isinstance(second, Struct):
        raise FunctionError(
            f"values of type {type_of(second)} cannot be compared: use deepEqual", detail="non-comparable type"
        )
    return type_of(first) == type_of(second) and first == second


def _is_nil(value: Value) -> bool:
    return value is None or (isinstance(value, TypedSlice | TypedMap) and value.is_nil)


def _incompatible(first: Value, second: Value) -> FunctionError:
    return FunctionError(
        f"a value of type {type_of(first)} cannot be compared with one of type {type_of(second)}: convert one of them",
        detail=f"incompatible types for comparison: {type_of(first)} and {type_of(second)}",
    )
