"""Field ownership: the sets of paths behind `metadata.managedFields`, after structured-merge-diff.

A set is a flat set of paths; a path is a tuple of steps as FieldsV1 writes them: `f:name` for a
field, `k:{...}` for an item of a keyed list, `v:...` for an item of a list that is a set.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from .schema import MISSING, Node
from .status import Json

Path = tuple[str, ...]
Fields = frozenset[Path]
EMPTY: Fields = frozenset()


class Difference(NamedTuple):
    added: Fields
    modified: Fields
    removed: Fields


def _dump(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def is_atomic(value: Any, node: Node | None) -> bool:
    if isinstance(value, dict):
        return node is not None and node.atomic_map
    if isinstance(value, list):
        return node is None or node.list_type not in ("set", "map")
    return True


def item_step(item: Any, node: Node) -> str:
    if node.list_type == "set" or not isinstance(item, dict):
        return "v:" + _dump(item)
    keys = {}
    for name in node.list_keys:
        if name in item:
            keys[name] = item[name]
        elif node.items is not None and name in node.items.props:
            default = node.items.props[name].default
            if default is not MISSING:
                keys[name] = default
    return "k:" + _dump(keys)


def _items(value: Any, node: Node | None) -> Iterator[tuple[str, Any, Node | None, bool]]:
    """Children of a granular value: step, child, its node, and whether it is a declared field."""
    if isinstance(value, dict):
        for key, child in value.items():
            declared = node is not None and key in node.props
            yield "f:" + key, child, node.child(key) if node is not None else None, declared
    elif isinstance(value, list) and node is not None:
        for child in value:
            yield item_step(child, node), child, node.items, False


def field_set(value: Any, node: Node | None) -> Fields:
    """All fields an applied configuration claims."""
    found: set[Path] = set()
    _collect(value, node, (), found)
    return frozenset(found)


def _collect(value: Any, node: Node | None, path: Path, found: set[Path]) -> None:
    if is_atomic(value, node):
        found.add(path)
        return
    for step, child, sub, declared in _items(value, node):
        here = (*path, step)
        _collect(child, sub, here, found)
        if not declared or child is None or child == {}:
            found.add(here)


def compare(old: Json, new: Json, node: Node | None) -> Difference:
    added: set[Path] = set()
    modified: set[Path] = set()
    removed: set[Path] = set()
    _compare(old, new, node, (), added, modified, removed)
    return Difference(frozenset(added), frozenset(modified), frozenset(removed))


def _compare(
    old: Any,
    new: Any,
    node: Node | None,
    path: Path,
    added: set[Path],
    modified: set[Path],
    removed: set[Path],
) -> None:
    if old is new:
        return
    if old is MISSING or new is MISSING:
        target, value = (added, new) if old is MISSING else (removed, old)
        _everything(value, node, path, target)
        return
    # A null container is an empty one, which its fields join without the container being set.
    if old is None and isinstance(new, dict | list) and new and not is_atomic(new, node):
        old = type(new)()
    elif new is None and isinstance(old, dict | list) and old and not is_atomic(old, node):
        new = type(old)()
    same = type(old) is type(new)
    if not same or is_atomic(new, node) or (not old and not new):
        if old != new:
            modified.add(path)
            if not same:  # a container that gave way to a scalar takes its fields along
                for value, target in ((old, removed), (new, added)):
                    if is_atomic(value, node):
                        continue
                    for step, child, sub, _ in _items(value, node):
                        _everything(child, sub, (*path, step), target)
        return
    before = {step: (child, sub) for step, child, sub, _ in _items(old, node)}
    for step, child, sub, _ in _items(new, node):
        previous = before.pop(step, None)
        earlier = MISSING if previous is None else previous[0]
        _compare(earlier, child, sub, (*path, step), added, modified, removed)
    for step, (child, sub) in before.items():
        _compare(child, MISSING, sub, (*path, step), added, modified, removed)


def _everything(value: Any, node: Node | None, path: Path, target: set[Path]) -> None:
    target.add(path)
    if not is_atomic(value, node):
        for step, child, sub, _ in _items(value, node):
            _everything(child, sub, (*path, step), target)


def merge(live: Any, config: Any, node: Node | None) -> Any:
    """Lay an applied configuration over the live object."""
    if live is MISSING or type(live) is not type(config) or is_atomic(config, node):
        return config
    if isinstance(config, dict):
        result = dict(live)
        for key, value in config.items():
            sub = node.child(key) if node is not None else None
            result[key] = merge(live.get(key, MISSING), value, sub)
        return result
    assert node is not None
    ours = {item_step(item, node): item for item in config}
    merged = []
    for item in live:
        step = item_step(item, node)
        merged.append(merge(item, ours.pop(step), node.items) if step in ours else item)
    return merged + list(ours.values())


def remove(value: Any, gone: Fields, node: Node | None) -> Any:
    """The value without the fields and items at these paths; containers left empty go too."""
    if not gone or is_atomic(value, node):
        return value
    by_step: dict[str, set[Path]] = {}
    for path in gone:
        if path:
            by_step.setdefault(path[0], set()).add(path[1:])
    kept: list[tuple[str, Any]] = []
    for step, child, sub, _ in _items(value, node):
        below = by_step.get(step, set())
        if () in below:
            continue
        left = remove(child, frozenset(below), sub) if below else child
        if left or not child or not isinstance(child, dict | list):
            kept.append((step, left))
    if isinstance(value, dict):
        return {step[2:]: child for step, child in kept}
    return [child for _, child in kept]


def misfit(value: Any, node: Node | None, path: Path = ()) -> str:
    """Why a configuration cannot be applied to this schema, or "" when it can."""
    if node is None or value is None:
        return ""
    here = dotted(path) or "."
    wanted = node.type
    shown = f"&value.valueUnstructured{{Value:{_go_value(value)}}}"
    if isinstance(value, dict) and wanted in ("object", ""):
        for key, child in value.items():
            if key in node.props or node.open or (not wanted and not node.props):
                problem = misfit(child, node.child(key), (*path, "f:" + key))
            else:
                problem = f"{here if path else ''}.{key}: field not declared in schema"
            if problem:
                return problem
        return ""
    if isinstance(value, list) and wanted in ("array", ""):
        for item in value:
            step = item_step(item, node) if node.list_type in ("set", "map") else f"v:{_dump(item)}"
            problem = misfit(item, node.items, (*path, step))
            if problem:
                return problem
        return ""
    if wanted == "object":
        return f"{here}: expected map, got {shown}"
    if wanted == "array":
        return f"{here}: expected list, got {shown}"
    if wanted == "string" and not isinstance(value, str):
        return f"{here}: expected string, got {shown}"
    if wanted == "boolean" and not isinstance(value, bool):
        return f"{here}: expected boolean, got {_scalar(value)}"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if wanted in ("integer", "number") and not number:
        return f"{here}: expected numeric (int or float), got {_scalar(value)}"
    return ""


def _scalar(value: Any) -> str:
    names = {str: "string", bool: "boolean", int: "int", float: "float", list: "list"}
    return names.get(type(value), "map")


def _go_value(value: Any) -> str:
    return _dump(value) if isinstance(value, str | int | float) else "..."


def with_named_parents(fields: Fields, node: Node | None) -> Fields:
    """Declared fields own their parents, which field_set leaves out (a map's keys do not)."""
    found = set(fields)
    for path in fields:
        current = node
        for depth, step in enumerate(path[:-1]):
            if current is None:
                break
            if step.startswith("f:"):
                if step[2:] in current.props:
                    found.add(path[: depth + 1])
                current = current.child(step[2:])
            else:
                current = current.items
    return frozenset(found)


def without_subtrees(fields: Fields, prefixes: Fields) -> Fields:
    """Drop every path at or below one of the prefixes."""
    if not prefixes:
        return fields
    return frozenset(path for path in fields if not any(path[: len(p)] == p for p in prefixes))


def to_v1(fields: Fields) -> Json:
    root: Json = {}
    for path in sorted(fields):
        at = root
        for step in path:
            at = at.setdefault(step, {})
        at["."] = {}
    return _tidy(root)


def _tidy(tree: Json) -> Json:
    """A leaf is written as {}, not as {".": {}}."""
    result: Json = {}
    for step in sorted(tree):
        if step == ".":
            result["."] = {}
        else:
            below = _tidy(tree[step])
            result[step] = {} if list(below) == ["."] else below
    return result


def from_v1(tree: Json) -> Fields:
    found: set[Path] = set()
    _read(tree, (), found)
    return frozenset(found)


def _read(tree: Json, path: Path, found: set[Path]) -> None:
    for step, below in tree.items():
        if step == ".":
            found.add(path)
            continue
        here = (*path, step)
        if not below:
            found.add(here)
        else:
            _read(below, here, found)


def dotted(path: Path) -> str:
    """A path as conflict messages print it."""
    text = ""
    for step in path:
        kind, rest = step[:2], step[2:]
        if kind == "f:":
            text += "." + rest
        elif kind == "k:":
            keys = orjson.loads(rest)
            inner = ",".join(f"{k}={orjson.dumps(keys[k]).decode()}" for k in sorted(keys))
            text += f"[{inner}]"
        else:
            text += f"[={rest}]"
    return text
