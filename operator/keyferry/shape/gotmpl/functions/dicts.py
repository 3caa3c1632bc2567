"""Dicts (sprig). ``set``, ``unset`` and the first argument of the merges are changed in place, as in Go.

Where Go's order of a map's keys is random (``keys``, ``values``), ours is sorted.
"""

from __future__ import annotations

from collections.abc import Sized

from keyferry.shape.gotmpl.errors import FunctionError, LimitError
from keyferry.shape.gotmpl.fmt import sorted_keys, sprint
from keyferry.shape.gotmpl.functions.defaults import is_empty
from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.types import DICT, STRING, GoType
from keyferry.shape.gotmpl.values import Struct, TypedMap, TypedSlice, Value, strings, type_of

__all__ = ["REGISTRY"]

REGISTRY = Registry()

_ENTRY = 100
"""Bytes that one entry of a dict takes beside its value."""
_POINTER = 8


@REGISTRY.add("dict", "func(...interface {}) map[string]interface {}", run=True)
def make_dict(run: Run, *pairs: Value) -> dict[str, Value]:
    """Keys and values in turn. Keys become strings; a last key without a value gets the empty string."""
    made: dict[str, Value] = {}
    for at in range(0, len(pairs), 2):
        key = pairs[at]
        made[key if isinstance(key, str) else sprint(run, (key,))] = pairs[at + 1] if at + 1 < len(pairs) else ""
    return made


@REGISTRY.add("get", "func(map[string]interface {}, string) interface {}")
def get(given: dict[str, Value], key: str) -> Value:
    """The value of a key; the empty string where the key is absent."""
    return given.get(key, "")


@REGISTRY.add("hasKey", "func(map[string]interface {}, string) bool")
def has_key(given: dict[str, Value], key: str) -> bool:
    return key in given


@REGISTRY.add("set", "func(map[string]interface {}, string, interface {}) map[string]interface {}", run=True)
def put(run: Run, given: dict[str, Value], key: str, value: Value) -> dict[str, Value]:
    """Change ``given``."""
    if isinstance(given, TypedMap) and given.is_nil:
        raise FunctionError("a dict is needed here, and this is nil", detail="assignment to entry in nil map")
    run.make(_ENTRY)
    given[key] = value
    return given


@REGISTRY.add("unset", "func(map[string]interface {}, string) map[string]interface {}")
def unset(given: dict[str, Value], key: str) -> dict[str, Value]:
    """Change ``given``."""
    given.pop(key, None)
    return given


@REGISTRY.add("pluck", "func(string, ...map[string]interface {}) []interface {}")
def pluck(key: str, *given: dict[str, Value]) -> list[Value]:
    """The key's value in each dict that has it."""
    return [each[key] for each in given if key in each]


@REGISTRY.add("keys", "func(...map[string]interface {}) []string", run=True)
def keys(run: Run, *given: dict[str, Value]) -> TypedSlice:
    """The keys of one dict after the other, sorted within each."""
    _count(run, _POINTER, *given)
    return strings(key for each in given for key in sorted_keys(each))


@REGISTRY.add("values", "func(map[string]interface {}) []interface {}", run=True)
def values(run: Run, given: dict[str, Value]) -> list[Value]:
    """The values in the order of the sorted keys."""
    _count(run, _POINTER, given)
    return [given[key] for key in sorted_keys(given)]


@REGISTRY.add("pick", "func(map[string]interface {}, ...string) map[string]interface {}")
def pick(given: dict[str, Value], *wanted: str) -> dict[str, Value]:
    """A new dict of the wanted keys that are there."""
    return {key: given[key] for key in wanted if key in given}


@REGISTRY.add("omit", "func(map[string]interface {}, ...string) map[string]interface {}", run=True)
def omit(run: Run, given: dict[str, Value], *unwanted: str) -> dict[str, Value]:
    """A new dict without these keys."""
    _count(run, _ENTRY, given)
    dropped = set(unwanted)
    return {key: value for key, value in given.items() if key not in dropped}


@REGISTRY.add("dig", "func(...interface {}) (interface {}, error)")
def dig(*arguments: Value) -> Value:
    """``dig KEY... DEFAULT DICT``: the value at a path of keys, or the default where one of them is absent."""
    if len(arguments) < 3:
        raise FunctionError(
            "at least one key, a default and a dict are needed", detail="dig needs at least three arguments"
        )
    *path, stand_in, given = arguments
    found: Value = _as_dict(given)
    names = [_as_string(key) for key in path]
    for key in names:
        found = _as_dict(found)
        if key not in found:
            return stand_in
        found = found[key]
    return found


class _Unmergeable(FunctionError):
    """A dict or a struct of another type cannot be merged into what a pointer points to."""


@REGISTRY.add("mustMerge", "func(map[string]interface {}, ...map[string]interface {}) (interface {}, error)", run=True)
def must_merge(run: Run, target: dict[str, Value], *sources: dict[str, Value]) -> dict[str, Value]:
    """Change ``target``: it gets what it lacks or what is empty in it; dicts in dicts are merged likewise."""
    return _merge_all(run, target, sources, overwrite=False)


@REGISTRY.add("merge", "func(map[string]interface {}, ...map[string]interface {}) interface {}", run=True)
def merge(run: Run, target: dict[str, Value], *sources: dict[str, Value]) -> dict[str, Value] | str:
    """``mustMerge``, which is the empty string where that finds what it cannot merge."""
    try:
        return must_merge(run, target, *sources)
    except _Unmergeable:
        return ""


@REGISTRY.add("mergeOverwrite", "func(map[string]interface {}, ...map[string]interface {}) interface {}", run=True)
@REGISTRY.add(
    "mustMergeOverwrite", "func(map[string]interface {}, ...map[string]interface {}) (interface {}, error)", run=True
)
def merge_overwrite(run: Run, target: dict[str, Value], *sources: dict[str, Value]) -> dict[str, Value]:
    """Change ``target``: it gets all that the sources have, the empty as well; dicts in dicts are merged likewise."""
    return _merge_all(run, target, sources, overwrite=True)


@REGISTRY.add("deepCopy", "func(interface {}) interface {}", run=True)
@REGISTRY.add("mustDeepCopy", "func(interface {}) (interface {}, error)", run=True)
def deep_copy(run: Run, value: Value) -> Value:
    """A copy of lists and dicts all the way down."""
    if value is None:
        raise FunctionError("nil cannot be copied", detail="reflect: call of reflect.Value.Type on zero Value")
    return _copy(run, value, 0)


def _merge_all(
    run: Run, target: dict[str, Value], sources: tuple[dict[str, Value], ...], *, overwrite: bool
) -> dict[str, Value]:
    for source in sources:
        if _is_nil(target) and not _is_nil(source):
            target = {}
        _merge(run, target, source, overwrite=overwrite, depth=0)
    return target


def _merge(run: Run, target: dict[str, Value], source: dict[str, Value], *, overwrite: bool, depth: int) -> None:
    """The rules of mergo 1.0.2. A nested dict that the target lacks is shared with the source, not copied."""
    _count(run, _ENTRY, source, depth=depth)
    for key, given in [*source.items()]:
        old = target.get(key)
        if isinstance(given, dict) and isinstance(old, dict) and not _is_nil(old):
            _merge(run, old, given, overwrite=overwrite, depth=depth + 1)
            if old:
                continue
        if not overwrite and _is_another(old, given):
            raise _Unmergeable(
                f"a {type_of(given)} cannot be merged into a {type_of(old)}",
                detail="src and dst must be of same type",
            )
        if overwrite or (is_empty(old) and given is not None):
            if isinstance(target, TypedMap) and type_of(source) != target.go_type:
                raise FunctionError(
                    f"a {type_of(source)} cannot be merged into a {target.go_type}",
                    detail="reflect.Value.SetMapIndex: value of type interface {} is not assignable to type string",
                )
            target[key] = given


def _is_another(old: Value, given: Value) -> bool:
    """Whether ``given`` would have to go into what the pointer ``old`` points to, and is of another type."""
    if not isinstance(old, Struct) or old.go_type.kind != "ptr":
        return False
    if isinstance(given, Struct):
        return given.go_type.kind == "struct" and f"*{given.go_type}" != old.go_type.name
    return isinstance(given, dict) and not _is_nil(given)


def _copy(run: Run, value: Value, depth: int) -> Value:
    if isinstance(value, dict):
        _count(run, _ENTRY, value, depth=depth)
        copied = {key: _copy(run, each, depth + 1) for key, each in value.items()}
        return TypedMap(copied, value.go_type, is_nil=value.is_nil) if isinstance(value, TypedMap) else copied
    if isinstance(value, list):
        _count(run, _POINTER, value, depth=depth)
        items = [_copy(run, each, depth + 1) for each in value]
        return TypedSlice(items, value.go_type, is_nil=value.is_nil) if isinstance(value, TypedSlice) else items
    return value.deep_copy() if isinstance(value, Struct) else value


def _count(run: Run, size: int, *given: Sized, depth: int = 0) -> None:
    if depth > run.limits.depth:
        raise LimitError(f"a value is nested more than {run.limits.depth} levels deep")
    length = sum(map(len, given))
    run.spend(1 + length)
    run.make(size * length)


def _is_nil(given: dict[str, Value]) -> bool:
    return isinstance(given, TypedMap) and given.is_nil


def _as_dict(value: Value) -> dict[str, Value]:
    if isinstance(value, dict) and type_of(value) == DICT:
        return value
    raise _unlike(value, DICT)


def _as_string(value: Value) -> str:
    if isinstance(value, str):
        return value
    raise _unlike(value, STRING)


def _unlike(value: Value, wanted: GoType) -> FunctionError:
    found = type_of(value) or "nil"
    return FunctionError(
        f"a {wanted} is needed here, and this is {found}",
        detail=f"interface conversion: interface {{}} is {found}, not {wanted}",
    )
