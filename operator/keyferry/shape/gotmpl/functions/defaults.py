"""What counts as empty, and what stands in for it (sprig)."""

from __future__ import annotations

from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.values import Struct, Value

__all__ = ["REGISTRY", "is_empty"]

REGISTRY = Registry()


@REGISTRY.add("empty", "func(interface {}) bool")
def is_empty(value: Value) -> bool:
    """nil, false, zero, and what has no elements. A struct is never empty."""
    return not isinstance(value, Struct) and not value


@REGISTRY.add("default", "func(interface {}, ...interface {}) interface {}")
def default(stand_in: Value, *given: Value) -> Value:
    """The first value given, or ``stand_in`` where that is empty or missing."""
    return given[0] if given and not is_empty(given[0]) else stand_in


@REGISTRY.add("coalesce", "func(...interface {}) interface {}")
def coalesce(*values: Value) -> Value:
    """The first value that is not empty; nil where all are."""
    return next((each for each in values if not is_empty(each)), None)


@REGISTRY.add("all", "func(...interface {}) bool")
def all_of(*values: Value) -> bool:
    return not any(is_empty(each) for each in values)


@REGISTRY.add("any", "func(...interface {}) bool")
def any_of(*values: Value) -> bool:
    return not all(is_empty(each) for each in values)


@REGISTRY.add("ternary", "func(interface {}, interface {}, bool) interface {}")
def ternary(if_true: Value, if_false: Value, which: bool) -> Value:
    return if_true if which else if_false
