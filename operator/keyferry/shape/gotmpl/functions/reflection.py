"""What a value's type is, and whether two values are deeply equal (sprig, Go's ``reflect``)."""

from __future__ import annotations

from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.values import Struct, TypedMap, TypedSlice, Value, kind_of, type_of

__all__ = ["REGISTRY", "deep_equal"]

REGISTRY = Registry()


@REGISTRY.add("typeOf", "func(interface {}) string")
def go_type(value: Value) -> str:
    found = type_of(value)
    return "<nil>" if found is None else found.name


@REGISTRY.add("typeIs", "func(string, interface {}) bool")
def type_is(name: str, value: Value) -> bool:
    return go_type(value) == name


@REGISTRY.add("typeIsLike", "func(string, interface {}) bool")
def type_is_like(name: str, value: Value) -> bool:
    """``typeIs``, or a pointer to the type."""
    return go_type(value) in {name, f"*{name}"}


REGISTRY.add("kindOf", "func(interface {}) string")(kind_of)


@REGISTRY.add("kindIs", "func(string, interface {}) bool")
def kind_is(name: str, value: Value) -> bool:
    return kind_of(value) == name


@REGISTRY.add("deepEqual", "func(interface {}, interface {}) bool", run=True)
def deep_equal(run: Run, one: Value, other: Value) -> bool:
    """Go's ``reflect.DeepEqual``: types count (1 is no int64 1), NaN equals nothing, a nil slice is no empty one.

    A pair of maps or slices that is met again, as in a map that holds itself, counts as equal. Raises ``LimitError``.
    """
    run.spend()
    pairs = [(one, other)]
    met: set[tuple[int, int]] = set()
    while pairs:
        left, right = pairs.pop()
        if type_of(left) != type_of(right):
            return False
        if isinstance(left, list) and isinstance(right, list):
            if len(left) != len(right) or _is_nil(left) != _is_nil(right):
                return False
            inner = list(zip(left, right, strict=True))
        elif isinstance(left, dict) and isinstance(right, dict):
            if left.keys() != right.keys() or _is_nil(left) != _is_nil(right):
                return False
            inner = [(each, right[key]) for key, each in left.items()]
        elif _same(left, right):
            continue
        else:
            return False
        met_at = (id(left), id(right))
        if left is not right and met_at not in met:
            met.add(met_at)
            run.spend(1 + len(left))
            pairs.extend(inner)
    return True


def _same(left: Value, right: Value) -> bool:
    return left.deep_equals(right) if isinstance(left, Struct) and isinstance(right, Struct) else left == right


def _is_nil(value: Value) -> bool:
    return isinstance(value, TypedSlice | TypedMap) and value.is_nil
