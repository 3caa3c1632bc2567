"""OpenAPI v3 schemas, read once into nodes that every other file walks.

Built-in kinds and custom resources share this: pruning, defaults, validation, field ownership and
merging all follow the same tree. `None` in place of a node means "no schema": Kubernetes then
treats objects as granular maps and lists as atomic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .status import Json

MISSING: Any = object()


@dataclass(slots=True, eq=False)
class Node:
    raw: Json
    type: str = ""
    props: dict[str, Node] = field(default_factory=dict)
    extra: Node | None = None
    extra_any: bool = False
    items: Node | None = None
    preserve: bool = False
    embedded: bool = False
    int_or_string: bool = False
    nullable: bool = False
    list_type: str = "atomic"
    list_keys: tuple[str, ...] = ()
    atomic_map: bool = False
    default: Any = MISSING
    rules: list[Json] = field(default_factory=list)
    # Whole subtrees without defaults or rules are skipped: 10,000 objects pass through here.
    deep_default: bool = False
    deep_rules: bool = False
    deep_formats: bool = False
    patch_merge: bool = False
    keep_empty: bool = False
    pointer: bool = False

    @property
    def is_map(self) -> bool:
        """An object of free keys (additionalProperties), as against one of named fields."""
        return not self.props and (self.extra is not None or self.extra_any)

    @property
    def open(self) -> bool:
        """Unknown keys survive."""
        return self.preserve or self.extra is not None or self.extra_any

    def child(self, key: str) -> Node | None:
        found = self.props.get(key)
        return found if found is not None else self.extra


def parse(raw: Json) -> Node:
    node = Node(raw=raw)
    node.int_or_string = bool(raw.get("x-kubernetes-int-or-string"))
    node.type = "" if node.int_or_string else raw.get("type", "")
    node.props = {k: parse(v) for k, v in (raw.get("properties") or {}).items()}
    extra = raw.get("additionalProperties")
    if isinstance(extra, dict):
        node.extra = parse(extra)
    elif extra is True:
        node.extra_any = True
    items = raw.get("items")
    if isinstance(items, dict):
        node.items = parse(items)
    node.preserve = bool(raw.get("x-kubernetes-preserve-unknown-fields"))
    node.embedded = bool(raw.get("x-kubernetes-embedded-resource"))
    node.nullable = bool(raw.get("nullable"))
    node.list_type = raw.get("x-kubernetes-list-type", "atomic")
    node.list_keys = tuple(raw.get("x-kubernetes-list-map-keys", ()))
    node.atomic_map = raw.get("x-kubernetes-map-type") == "atomic"
    node.default = raw.get("default", MISSING)
    node.rules = list(raw.get("x-kubernetes-validations") or ())
    node.patch_merge = "merge" in str(raw.get("x-kubernetes-patch-strategy", ""))
    node.pointer = bool(raw.get("x-sandbox-pointer"))
    node.keep_empty = bool(raw.get("x-sandbox-keep-empty"))
    below = list(children(node))
    node.deep_default = any(n.default is not MISSING or n.deep_default for n in below)
    named = raw.get("format") in ("byte", "date-time", "date", "duration")
    node.deep_formats = named or any(n.deep_formats for n in below)
    node.deep_rules = bool(node.rules) or any(n.deep_rules for n in below)
    return node


def children(node: Node) -> Iterator[Node]:
    yield from node.props.values()
    if node.extra is not None:
        yield node.extra
    if node.items is not None:
        yield node.items


def clone(value: Any) -> Any:
    """A deep copy of JSON, several times quicker than copy.deepcopy."""
    if isinstance(value, dict):
        return {k: clone(v) for k, v in value.items()}
    if isinstance(value, list):
        return [clone(v) for v in value]
    return value


def apply_defaults(value: Any, node: Node) -> None:
    """Fill defaults in place. A null where null is not allowed gives way to the default."""
    if not node.deep_default:
        return
    if isinstance(value, dict):
        for key, sub in node.props.items():
            if sub.default is not MISSING:
                gone = key in value and value[key] is None and not sub.nullable
                if key not in value or gone:
                    value[key] = clone(sub.default)
            if key in value:
                apply_defaults(value[key], sub)
        if node.extra is not None and node.extra.deep_default:
            for key, item in value.items():
                if key not in node.props:
                    apply_defaults(item, node.extra)
    elif isinstance(value, list) and node.items is not None:
        for item in value:
            apply_defaults(item, node.items)


def drop_nulls(value: Any, node: Node | None) -> None:
    """Nulls in named fields vanish where the schema does not allow null."""
    if isinstance(value, dict) and node is not None:
        for key in list(value):
            sub = node.props.get(key)
            if sub is None:
                if node.extra is None:
                    continue
                if value[key] is None and not node.extra.nullable:
                    del value[key]
                else:
                    drop_nulls(value[key], node.extra)
            elif value[key] is None and not sub.nullable:
                del value[key]
            else:
                drop_nulls(value[key], sub)
    elif isinstance(value, list) and node is not None and node.items is not None:
        for item in value:
            drop_nulls(item, node.items)


def whole_numbers(value: Any) -> Any:
    """Go prints 1.0 as 1, and so it is stored. Changes in place."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, float | dict | list):
                value[key] = whole_numbers(item)
    elif isinstance(value, list):
        value[:] = [whole_numbers(item) for item in value]
    return value


_EMBEDDED = ("apiVersion", "kind", "metadata")


def prune(value: Any, node: Node, path: str = "", root: bool = False) -> list[str]:
    """Remove fields the schema does not name, in place; returns their paths for the warnings."""
    gone: list[str] = []
    if isinstance(value, dict):
        if node.type not in ("object", ""):
            return gone
        for key in list(value):
            if (root or node.embedded) and key in _EMBEDDED:
                continue
            sub = node.props.get(key)
            here = f"{path}.{key}" if path else key
            if sub is not None:
                gone += prune(value[key], sub, here)
            elif node.extra is not None:
                gone += prune(value[key], node.extra, here)
            elif not node.preserve and not node.extra_any:
                gone.append(here)
                del value[key]
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            gone += prune(item, node.items, f"{path}[{index}]")
    return gone
