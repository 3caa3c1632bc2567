"""Types of CEL expressions, worked out when a CRD is written, as the real server does.

A rule that compares a string with a number must fail with the CRD, not years later with an object.
Costs are not estimated: a real server also refuses rules that could run too long.
"""

from __future__ import annotations

import re

from .cel_eval import unescape
from .cel_parse import CelSyntaxError, Tree
from .cel_signatures import DYN, FUNCTIONS, METHODS, Type
from .schema import Node
from .validate import pattern

_FORMATS = {"byte": "bytes", "date-time": "timestamp", "date": "timestamp", "duration": "duration"}
_SCALARS = {"string": "string", "integer": "int", "number": "double", "boolean": "bool"}
_META: Type = ("object", None, False)


def of_node(node: Node | None, root: bool = False) -> Type:
    if node is None or node.int_or_string:
        return DYN
    if node.type == "string":
        return _FORMATS.get(node.raw.get("format", ""), "string")
    if node.type == "array":
        return ("list", of_node(node.items))
    if node.type == "object":
        if node.is_map:
            return ("map", "string", of_node(node.extra))
        if node.preserve and not node.props:
            return DYN
        return ("object", node, root or node.embedded)
    return _SCALARS.get(node.type, DYN)


def show(kind: Type) -> str:
    if isinstance(kind, str):
        return kind
    if kind[0] == "object":
        return "object"
    name = "optional_type" if kind[0] == "optional" else kind[0]
    return f"{name}({', '.join(show(k) for k in kind[1:])})"


def fits(actual: Type, wanted: Type) -> bool:
    if DYN in (actual, wanted):
        return True
    if isinstance(actual, str) or isinstance(wanted, str):
        if "null" in (actual, wanted):
            other = wanted if actual == "null" else actual
            return other in ("null", "duration", "timestamp") or other[0] == "object"
        return bool(actual == wanted)
    if actual[0] != wanted[0]:
        return False
    if actual[0] == "object":
        return actual[1] is wanted[1] or None in (actual[1], wanted[1])
    return all(fits(a, w) for a, w in zip(actual[1:], wanted[1:], strict=True))


def _refuse(name: str, *kinds: Type) -> CelSyntaxError:
    shown = ", ".join(show(k) for k in kinds)
    return CelSyntaxError(f"found no matching overload for '{name}' applied to '({shown})'")


def check(tree: Tree, scope: dict[str, Type]) -> Type:
    """The expression's type; raises CelSyntaxError as the real compiler refuses."""
    return _CHECKS[tree[0]](tree, scope)


def _const(tree: Tree, scope: dict[str, Type]) -> Type:
    value = tree[1]
    for kind, name in ((bool, "bool"), (int, "int"), (float, "double"), (str, "string"), (bytes, "bytes")):
        if isinstance(value, kind):
            return name
    return "null"


def _name(tree: Tree, scope: dict[str, Type]) -> Type:
    if tree[1] not in scope:
        raise CelSyntaxError(f"undeclared reference to '{tree[1]}' (in container '')")
    return scope[tree[1]]


def _member(kind: Type, name: str) -> Type:
    if kind == DYN:
        return DYN
    if kind[0] == "optional":
        return ("optional", _member(kind[1], name))
    if kind[0] == "map":
        return kind[2]
    if kind[0] != "object" or isinstance(kind, str):
        raise CelSyntaxError(f"type '{show(kind)}' does not support field selection")
    _, node, root = kind
    plain = unescape(name)
    if node is None:  # metadata
        if plain in ("name", "generateName"):
            return "string"
    elif root and plain in ("apiVersion", "kind"):
        return "string"
    elif root and plain == "metadata":
        return _META
    elif plain in node.props:
        return of_node(node.props[plain])
    raise CelSyntaxError(f"undefined field '{name}'")


def _field(tree: Tree, scope: dict[str, Type]) -> Type:
    kind = _member(check(tree[1], scope), tree[2])
    return "bool" if tree[0] == "has" else kind


def _index(tree: Tree, scope: dict[str, Type]) -> Type:
    base, key = check(tree[1], scope), check(tree[2], scope)
    if base == DYN:
        return DYN
    if base[0] == "list" and fits(key, "int"):
        return base[1]
    if base[0] == "map" and fits(key, base[1]):
        return base[2]
    raise _refuse("_[_]", base, key)


def _optional(tree: Tree, scope: dict[str, Type]) -> Type:
    base = check(tree[1], scope)
    inner = base[1] if base[0] == "optional" else base
    if inner[0] == "object" and tree[2][0] == "const":
        return ("optional", _member(inner, tree[2][1]))
    return ("optional", {"list": inner[1], "map": inner[-1]}.get(inner[0], DYN))


def _bools(tree: Tree, scope: dict[str, Type]) -> Type:
    kinds = [check(t, scope) for t in tree[1:]]
    if not all(fits(k, "bool") for k in kinds):
        raise _refuse({"and": "_&&_", "or": "_||_", "not": "!_"}[tree[0]], *kinds)
    return "bool"


def _minus(tree: Tree, scope: dict[str, Type]) -> Type:
    kind = check(tree[1], scope)
    if kind not in ("int", "double", "duration", DYN):
        raise _refuse("-_", kind)
    return kind


def _if(tree: Tree, scope: dict[str, Type]) -> Type:
    test, yes, no = (check(t, scope) for t in tree[1:])
    if not fits(test, "bool") or not fits(yes, no):
        raise _refuse("_?_:_", test, yes, no)
    return no if yes == DYN else yes


def _list(tree: Tree, scope: dict[str, Type]) -> Type:
    return ("list", _common([check(t, scope) for t in tree[1:]]))


def _common(kinds: list[Type]) -> Type:
    if not kinds or any(not fits(k, kinds[0]) for k in kinds):
        return DYN
    return kinds[0]


def _map(tree: Tree, scope: dict[str, Type]) -> Type:
    pairs = [(check(k, scope), check(v, scope)) for k, v in tree[1:]]
    return ("map", _common([k for k, _ in pairs]), _common([v for _, v in pairs]))


_ORDERED = ("bool", "int", "double", "string", "bytes", "duration", "timestamp")
_SUMS = {
    "+": [
        ("int", "int", "int"),
        ("double", "double", "double"),
        ("string", "string", "string"),
        ("bytes", "bytes", "bytes"),
        ("duration", "duration", "duration"),
        ("timestamp", "duration", "timestamp"),
        ("duration", "timestamp", "timestamp"),
    ],
    "-": [
        ("int", "int", "int"),
        ("double", "double", "double"),
        ("duration", "duration", "duration"),
        ("timestamp", "timestamp", "duration"),
        ("timestamp", "duration", "timestamp"),
    ],
    "*": [("int", "int", "int"), ("double", "double", "double")],
    "/": [("int", "int", "int"), ("double", "double", "double")],
    "%": [("int", "int", "int")],
}


def _binary(tree: Tree, scope: dict[str, Type]) -> Type:
    op, a, b = tree[1], check(tree[2], scope), check(tree[3], scope)
    name = "@in" if op == "in" else f"_{op}_"
    if op in ("==", "!="):
        if not fits(a, b):
            raise _refuse(name, a, b)
        return "bool"
    if op == "in":
        item = DYN if b == DYN else b[1] if b[0] in ("list", "map") else None
        if item is None or not fits(a, item):
            raise _refuse(name, a, b)
        return "bool"
    if op in ("<", "<=", ">", ">="):
        numbers = {a, b} <= {"int", "double"} if isinstance(a, str) and isinstance(b, str) else False
        if not numbers and not (fits(a, b) and all(k == DYN or k in _ORDERED for k in (a, b))):
            raise _refuse(name, a, b)
        return "bool"
    if DYN in (a, b):
        return b if a == DYN else a
    if op == "+" and a[0] == b[0] == "list" and fits(a, b):
        return a
    for left, right, result in _SUMS[op]:
        if (a, b) == (left, right):
            return result
    raise _refuse(name, a, b)


def _macro(tree: Tree, scope: dict[str, Type]) -> Type:
    _, name, target, variable, *bodies = tree
    source = check(target, scope)
    if source == DYN:
        item: Type = DYN
    elif source[0] in ("list", "map") and not isinstance(source, str):
        item = source[1]
    else:
        raise CelSyntaxError(
            f"expression of type '{show(source)}' cannot be range of a comprehension (must be list, map, or dynamic)"
        )
    inner = {**scope, variable: item}
    kinds = [check(b, inner) for b in bodies]
    tests = kinds[:-1] if name == "map" else kinds
    if not all(fits(k, "bool") for k in tests):
        raise _refuse("_?_:_" if name == "filter" else "_&&_", "bool", *tests)
    if name == "map":
        return ("list", kinds[-1])
    return ("list", item) if name == "filter" else "bool"


def _bind(tree: Tree, scope: dict[str, Type]) -> Type:
    return check(tree[3], {**scope, tree[1]: check(tree[2], scope)})


def _result(name: str, overloads: list[tuple[list[Type], Type]], kinds: list[Type]) -> Type:
    for wanted, result in overloads:
        if len(wanted) == len(kinds) and all(map(fits, kinds, wanted)):
            return result
    if not overloads:
        raise CelSyntaxError(f"undeclared reference to '{name}' (in container '')")
    raise _refuse(name, *kinds)


def _call(tree: Tree, scope: dict[str, Type]) -> Type:
    kinds = [check(t, scope) for t in tree[2:]]
    return _result(tree[1], FUNCTIONS.get(tree[1], []), kinds)


def _method(tree: Tree, scope: dict[str, Type]) -> Type:
    name, target, args = tree[1], tree[2], [check(t, scope) for t in tree[3:]]
    if target[0] == "name" and f"{target[1]}.{name}" in FUNCTIONS:
        full = f"{target[1]}.{name}"
        return _result(full, FUNCTIONS[full], args)
    base = check(target, scope)
    result = _result(name, METHODS.get(name, []), [base, *args])
    if name in ("value", "orValue") and base[0] == "optional":
        if args and not fits(args[0], base[1]):
            raise _refuse(name, base, *args)
        return base[1]
    if name == "matches" and tree[3][0] == "const":
        try:
            pattern(tree[3][1])
        except re.error:
            raise CelSyntaxError("invalid matches argument") from None
    return result


_CHECKS = {
    "const": _const,
    "name": _name,
    "field": _field,
    "has": _field,
    "index": _index,
    "optional": _optional,
    "not": _bools,
    "and": _bools,
    "or": _bools,
    "minus": _minus,
    "if": _if,
    "list": _list,
    "map": _map,
    "op": _binary,
    "macro": _macro,
    "bind": _bind,
    "call": _call,
    "method": _method,
}
