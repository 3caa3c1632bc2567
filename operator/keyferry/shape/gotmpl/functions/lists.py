"""Lists (sprig). Every function answers with a new list and leaves its arguments alone.

Go's slices have room behind their end, which ``slice`` can bring to light there; here it cannot reach beyond the end.
"""

from __future__ import annotations

import math

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.functions.defaults import is_empty
from keyferry.shape.gotmpl.functions.reflection import deep_equal
from keyferry.shape.gotmpl.gostrconv import to_int64
from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.types import ANYS, UINT8, GoType
from keyferry.shape.gotmpl.values import Number, TypedSlice, Value, kind_of, lists, type_of

__all__ = ["REGISTRY"]

REGISTRY = Registry()

_NIL_POINTER = "runtime error: invalid memory address or nil pointer dereference"
_POINTER = 8
"""Bytes that one element of a list takes beside its value."""


@REGISTRY.add("list tuple", "func(...interface {}) []interface {}")
def make_list(*items: Value) -> list[Value]:
    return list(items)


@REGISTRY.add("append push", "func(interface {}, interface {}) []interface {}")
@REGISTRY.add("mustAppend mustPush", "func(interface {}, interface {}) ([]interface {}, error)")
def append(given: Value, item: Value) -> list[Value]:
    return [*_items(given, "Cannot push on type"), item]


@REGISTRY.add("prepend", "func(interface {}, interface {}) []interface {}")
@REGISTRY.add("mustPrepend", "func(interface {}, interface {}) ([]interface {}, error)")
def prepend(given: Value, item: Value) -> list[Value]:
    return [item, *_items(given, "Cannot prepend on type")]


@REGISTRY.add("concat", "func(...interface {}) interface {}", run=True)
def concat(run: Run, *given: Value) -> list[Value]:
    """All items of all lists; a nil list where there are none."""
    joined: list[Value] = []
    for each in given:
        items = _items(each, "Cannot concat type", " as list")
        run.make(_POINTER * len(items))
        joined += items
    return joined or _nothing()


@REGISTRY.add("first", "func(interface {}) interface {}")
@REGISTRY.add("mustFirst", "func(interface {}) (interface {}, error)")
def first(given: Value) -> Value:
    items = _items(given, "Cannot find first on type")
    return items[0] if items else None


@REGISTRY.add("last", "func(interface {}) interface {}")
@REGISTRY.add("mustLast", "func(interface {}) (interface {}, error)")
def last(given: Value) -> Value:
    items = _items(given, "Cannot find last on type")
    return items[-1] if items else None


@REGISTRY.add("rest", "func(interface {}) []interface {}")
@REGISTRY.add("mustRest", "func(interface {}) ([]interface {}, error)")
def rest(given: Value) -> list[Value]:
    """All but the first; a nil list of an empty one."""
    items = _items(given, "Cannot find rest on type")
    return items[1:] if items else _nothing()


@REGISTRY.add("initial", "func(interface {}) []interface {}")
@REGISTRY.add("mustInitial", "func(interface {}) ([]interface {}, error)")
def initial(given: Value) -> list[Value]:
    """All but the last; a nil list of an empty one."""
    items = _items(given, "Cannot find initial on type")
    return items[:-1] if items else _nothing()


@REGISTRY.add("reverse", "func(interface {}) []interface {}")
@REGISTRY.add("mustReverse", "func(interface {}) ([]interface {}, error)")
def reverse(given: Value) -> list[Value]:
    return _items(given, "Cannot find reverse on type")[::-1]


@REGISTRY.add("compact", "func(interface {}) []interface {}")
@REGISTRY.add("mustCompact", "func(interface {}) ([]interface {}, error)")
def compact(given: Value) -> list[Value]:
    """What is not empty."""
    return [each for each in _items(given, "Cannot compact on type") if not is_empty(each)]


@REGISTRY.add("uniq", "func(interface {}) []interface {}", run=True)
@REGISTRY.add("mustUniq", "func(interface {}) ([]interface {}, error)", run=True)
def uniq(run: Run, given: Value) -> list[Value]:
    """The first of each group of deeply equal items."""
    seen = _Seen(run)
    return [each for each in _items(given, "Cannot find uniq on type") if seen.add(each)]


@REGISTRY.add("without", "func(interface {}, ...interface {}) []interface {}", run=True)
@REGISTRY.add("mustWithout", "func(interface {}, ...interface {}) ([]interface {}, error)", run=True)
def without(run: Run, given: Value, *unwanted: Value) -> list[Value]:
    """The items that are deeply equal to none of the others."""
    seen = _Seen(run)
    for each in unwanted:
        seen.add(each)
    return [each for each in _items(given, "Cannot find without on type") if each not in seen]


@REGISTRY.add("has", "func(interface {}, interface {}) bool", run=True)
@REGISTRY.add("mustHas", "func(interface {}, interface {}) (bool, error)", run=True)
def has(run: Run, wanted: Value, given: Value) -> bool:
    """Whether an item is deeply equal to ``wanted``. nil has none."""
    if given is None:
        return False
    return any(deep_equal(run, wanted, each) for each in _items(given, "Cannot find has on type"))


@REGISTRY.add("chunk", "func(int, interface {}) [][]interface {}", run=True)
@REGISTRY.add("mustChunk", "func(int, interface {}) ([][]interface {}, error)", run=True)
def chunk(run: Run, size: int, given: Value) -> TypedSlice:
    """Pieces of ``size`` items; the last may be shorter.

    As in Go, a negative size as great as the list makes none, and one item is a piece whatever the size below -1.
    """
    items = _items(given, "Cannot chunk type")
    run.make(_POINTER * len(items))
    if size < -1 and len(items) == 1:
        return lists([items[:]])
    if size <= 0 and not 2 <= len(items) <= 1 - size:
        raise FunctionError(
            "the size of a chunk must be greater than zero", detail="runtime error: makeslice: len out of range"
        )
    if size < 0:
        return lists([])
    return lists([items[start : start + size] for start in range(0, len(items), size)])


@REGISTRY.add("slice", "func(interface {}, ...interface {}) interface {}")
@REGISTRY.add("mustSlice", "func(interface {}, ...interface {}) (interface {}, error)")
def cut(given: Value, *bounds: Value) -> Value:
    """Items from one bound to the other, which default to the ends. The type stays; nothing of an empty list is nil."""
    items = _items(given, "list should be type of slice or array but")
    if not items:
        return None
    start = to_int64(bounds[0]) if bounds else 0
    end = to_int64(bounds[1]) if len(bounds) > 1 else len(items)
    if not 0 <= start <= end <= len(items):
        raise FunctionError(
            "the bounds of the slice are outside of the list", detail="reflect.Value.Slice: slice index out of bounds"
        )
    if isinstance(given, bytes):
        return given[start:end]
    return TypedSlice(items[start:end], given.go_type) if isinstance(given, TypedSlice) else items[start:end]


class _Seen:
    """A set of values by deep equality. Plain values are looked up by type and value, so that long lists stay cheap."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._plain: set[tuple[GoType | None, Value]] = set()
        self._others: list[Value] = []

    def __contains__(self, value: Value) -> bool:
        if isinstance(value, float) and math.isnan(value):
            return False
        if _is_plain(value):
            return (type_of(value), value) in self._plain
        return any(deep_equal(self._run, value, each) for each in self._others)

    def add(self, value: Value) -> bool:
        """Whether the value is new."""
        if value in self:
            return False
        if _is_plain(value):
            self._plain.add((type_of(value), value))
        else:
            self._others.append(value)
        return True


def _is_plain(value: Value) -> bool:
    return value is None or isinstance(value, str | int | float)


def _items(given: Value, complaint: str, end: str = "") -> list[Value]:
    if isinstance(given, list):
        return given
    if isinstance(given, bytes):
        return [Number(each, UINT8) for each in given]
    kind = kind_of(given)
    told = f"{complaint} {kind}{end}"
    raise FunctionError(
        f"a list is needed here, and this is {'nil' if given is None else f'of kind {kind}'}",
        detail=_NIL_POINTER if given is None else told,
    )


def _nothing() -> TypedSlice:
    return TypedSlice([], ANYS, is_nil=True)
