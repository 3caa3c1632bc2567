"""CEL trees to Python closures over plain JSON values.

Types follow CEL, not Python: no truthiness, no mixing of int and string, errors absorbed by `&&`
and `||` where the other side decides.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from .cel_functions import FUNCTIONS, METHODS, CelError, Maybe, equal, kind
from .cel_parse import CelSyntaxError, Tree, parse

Scope = dict[str, Any]
Closure = Callable[[Scope], Any]
Program = Closure

_ORDERED = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@lru_cache(maxsize=5000)
def program(text: str) -> Program:
    """Compile once per text: every write of every object runs these."""
    return _compile(parse(text))


def _compile(tree: Tree) -> Closure:
    maker = _MAKERS.get(tree[0])
    if maker is None:
        raise CelSyntaxError(f"unsupported expression: {tree[0]}")
    return maker(tree)


def _const(tree: Tree) -> Closure:
    value = tree[1]
    return lambda scope: value


def _name(tree: Tree) -> Closure:
    name = tree[1]

    def run(scope: Scope) -> Any:
        if name not in scope:
            raise CelError(f"undeclared reference to '{name}'")
        return scope[name]

    return run


def _get(value: Any, key: Any) -> Any:
    if isinstance(value, Maybe):
        if value.empty:
            return value
        inner = value.value
        return Maybe(inner[key]) if _holds(inner, key) else Maybe.none()
    if isinstance(value, dict):
        if key not in value:
            raise CelError(f"no such key: {key}")
        return value[key]
    if isinstance(value, list):
        if isinstance(key, bool) or not isinstance(key, int):
            raise CelError("no such overload")
        if not 0 <= key < len(value):
            raise CelError(f"index out of bounds: {key}")
        return value[key]
    raise CelError("no such overload")


def _holds(value: Any, key: Any) -> bool:
    if isinstance(value, dict):
        return key in value
    return isinstance(value, list) and isinstance(key, int) and 0 <= key < len(value)


_WORD = "__"
_UNESCAPED = (("__underscores__", "__"), ("__dot__", "."), ("__dash__", "-"), ("__slash__", "/"))


def unescape(name: str) -> str:
    """Property names that are no CEL identifiers are written escaped in rules."""
    if name.startswith(_WORD) and name.endswith(_WORD) and len(name) > 4:
        inner = name[2:-2]
        from .cel_parse import RESERVED

        if inner in RESERVED:
            return inner
    for escaped, plain in _UNESCAPED:
        name = name.replace(escaped, plain)
    return name


def _field(tree: Tree) -> Closure:
    base, name = _compile(tree[1]), unescape(tree[2])
    return lambda scope: _get(base(scope), name)


def _index(tree: Tree) -> Closure:
    base, key = _compile(tree[1]), _compile(tree[2])
    return lambda scope: _get(base(scope), key(scope))


def _optional(tree: Tree) -> Closure:
    base, key = _compile(tree[1]), _compile(tree[2])

    def run(scope: Scope) -> Any:
        value, wanted = base(scope), key(scope)
        if isinstance(wanted, str):
            wanted = unescape(wanted)
        if isinstance(value, Maybe):
            if value.empty:
                return value
            value = value.value
        return Maybe(value[wanted]) if _holds(value, wanted) else Maybe.none()

    return run


def _has(tree: Tree) -> Closure:
    base, name = _compile(tree[1]), unescape(tree[2])

    def run(scope: Scope) -> bool:
        value = base(scope)
        if isinstance(value, Maybe):
            return not value.empty and _holds(value.value, name)
        if not isinstance(value, dict):
            raise CelError("no such overload")
        return name in value

    return run


def _not(tree: Tree) -> Closure:
    base = _compile(tree[1])
    return lambda scope: not _bool(base(scope))


def _minus(tree: Tree) -> Closure:
    base = _compile(tree[1])

    def run(scope: Scope) -> Any:
        value = base(scope)
        if isinstance(value, bool) or not isinstance(value, int | float | timedelta):
            raise CelError("no such overload")
        return -value

    return run


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise CelError("no such overload")
    return value


def _logic(tree: Tree) -> Closure:
    left, right = _compile(tree[1]), _compile(tree[2])
    decisive = tree[0] == "or"

    def run(scope: Scope) -> bool:
        try:
            first = _bool(left(scope))
        except CelError:
            if _bool(right(scope)) is decisive:
                return decisive
            raise
        return decisive if first is decisive else _bool(right(scope))

    return run


def _if(tree: Tree) -> Closure:
    condition, yes, no = (_compile(t) for t in tree[1:])
    return lambda scope: yes(scope) if _bool(condition(scope)) else no(scope)


def _list(tree: Tree) -> Closure:
    parts = [_compile(t) for t in tree[1:]]
    return lambda scope: [p(scope) for p in parts]


def _map(tree: Tree) -> Closure:
    pairs = [(_compile(k), _compile(v)) for k, v in tree[1:]]
    return lambda scope: {k(scope): v(scope) for k, v in pairs}


def _binary(tree: Tree) -> Closure:
    op, left, right = tree[1], _compile(tree[2]), _compile(tree[3])
    if op == "==":
        return lambda scope: equal(left(scope), right(scope))
    if op == "!=":
        return lambda scope: not equal(left(scope), right(scope))
    if op == "in":
        return lambda scope: _inside(left(scope), right(scope))
    if op in _ORDERED:
        test = _ORDERED[op]

        def ordered(scope: Scope) -> bool:
            a, b = left(scope), right(scope)
            numbers = {kind(a), kind(b)} <= {"int", "double"}
            if not numbers and (kind(a) != kind(b) or kind(a) in ("map", "list", "null")):
                raise CelError("no such overload")
            return bool(test(a, b))

        return ordered
    return lambda scope: _arithmetic(op, left(scope), right(scope))


def _inside(item: Any, container: Any) -> bool:
    if isinstance(container, dict):
        return item in container
    if isinstance(container, list):
        return any(equal(item, other) for other in container)
    raise CelError("no such overload")


def _arithmetic(op: str, a: Any, b: Any) -> Any:
    times = (timedelta, datetime)
    if op == "+" and kind(a) == kind(b) and isinstance(a, str | bytes | list):
        return a + b
    if op in "+-" and isinstance(a, times) and isinstance(b, times):
        return a + b if op == "+" else a - b  # type: ignore[operator] # the checker has seen to it that both are of one kind
    if kind(a) != kind(b) or kind(a) not in ("int", "double"):
        raise CelError("no such overload")
    if op == "+":
        return a + b
    if op == "-":
        return a - b
    if op == "*":
        return a * b
    if b == 0 and kind(a) == "int":
        raise CelError("division by zero" if op == "/" else "modulus by zero")
    if kind(a) == "double":
        return a / b if op == "/" else a % b
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return quotient if op == "/" else a - b * quotient


def _macro(tree: Tree) -> Closure:
    _, name, target, variable, *bodies = tree
    source = _compile(target)
    steps = [_compile(b) for b in bodies]
    body = steps[-1]

    def each(scope: Scope) -> list[Scope]:
        items = source(scope)
        if isinstance(items, dict | list):
            return [{**scope, variable: item} for item in items]
        raise CelError("no such overload")

    def quantify(scope: Scope, decisive: bool) -> bool:
        failure: CelError | None = None
        for inner in each(scope):
            try:
                if _bool(body(inner)) is decisive:
                    return decisive
            except CelError as exc:
                failure = exc
        if failure is not None:
            raise failure
        return not decisive

    if name == "all":
        return lambda scope: quantify(scope, False)
    if name == "exists":
        return lambda scope: quantify(scope, True)
    if name in ("exists_one", "existsOne"):
        return lambda scope: sum(_bool(body(inner)) for inner in each(scope)) == 1
    if name == "filter":
        return lambda scope: [i[variable] for i in each(scope) if _bool(body(i))]
    if len(steps) == 2:
        test = steps[0]
        return lambda scope: [body(i) for i in each(scope) if _bool(test(i))]
    return lambda scope: [body(i) for i in each(scope)]


def _bind(tree: Tree) -> Closure:
    variable, value, body = tree[1], _compile(tree[2]), _compile(tree[3])
    return lambda scope: body({**scope, variable: value(scope)})


def _call(tree: Tree) -> Closure:
    name, args = tree[1], [_compile(t) for t in tree[2:]]
    function = FUNCTIONS.get(name)
    if function is None:
        raise CelSyntaxError(f"undeclared reference to '{name}' (in container '')")
    return lambda scope: function(*[a(scope) for a in args])


def _method(tree: Tree) -> Closure:
    name, args = tree[1], [_compile(t) for t in tree[3:]]
    if tree[2][0] == "name" and f"{tree[2][1]}.{name}" in FUNCTIONS:
        qualified = FUNCTIONS[f"{tree[2][1]}.{name}"]
        return lambda scope: qualified(*[a(scope) for a in args])
    method = METHODS.get(name)
    if method is None:
        raise CelSyntaxError(f"undeclared reference to '{name}' (in container '')")
    target = _compile(tree[2])
    return lambda scope: method(target(scope), *[a(scope) for a in args])


_MAKERS: dict[str, Callable[[Tree], Closure]] = {
    "const": _const,
    "name": _name,
    "field": _field,
    "index": _index,
    "optional": _optional,
    "has": _has,
    "not": _not,
    "minus": _minus,
    "or": _logic,
    "and": _logic,
    "if": _if,
    "list": _list,
    "map": _map,
    "op": _binary,
    "macro": _macro,
    "bind": _bind,
    "call": _call,
    "method": _method,
}
