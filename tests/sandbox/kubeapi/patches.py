"""JSON patch, merge patch and strategic merge patch. Apply is in apply.py."""

from __future__ import annotations

from typing import Any

from .schema import Node, clone
from .status import ApiError, Json, bad_request


class PatchFailed(Exception):
    """The patch does not fit this object (422 for JSON patch)."""


def merge_patch(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return clone(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def _steps(pointer: str) -> list[str]:
    if pointer == "":
        return []
    if not pointer.startswith("/"):
        raise PatchFailed(f"invalid JSON pointer: {pointer}")
    return [p.replace("~1", "/").replace("~0", "~") for p in pointer[1:].split("/")]


def _index(step: str, length: int) -> int:
    try:
        index = int(step)
    except ValueError:
        raise PatchFailed(f"invalid index referenced: {step}") from None
    if index < 0:
        index += length
    if not 0 <= index < length:
        raise PatchFailed(f"invalid index referenced: {step}")
    return index


def _walk(doc: Any, steps: list[str], op: str, pointer: str) -> Any:
    for step in steps:
        if isinstance(doc, list):
            doc = doc[_index(step, len(doc))]
        elif isinstance(doc, dict) and step in doc:
            doc = doc[step]
        else:
            raise PatchFailed(f"{op} operation does not apply: doc is missing path: {pointer}")
    return doc


def _add(doc: Any, pointer: str, value: Any) -> Any:
    steps = _steps(pointer)
    if not steps:
        return value
    parent = _walk(doc, steps[:-1], "add", pointer)
    last = steps[-1]
    if isinstance(parent, list):
        if last == "-":
            parent.append(value)
        else:
            index = len(parent) if last == str(len(parent)) else _index(last, len(parent))
            parent.insert(index, value)
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise PatchFailed(f"add operation does not apply: doc is missing path: {pointer}")
    return doc


def _remove(doc: Any, pointer: str) -> Any:
    steps = _steps(pointer)
    if not steps:
        raise PatchFailed("remove operation does not apply: the whole document")
    parent = _walk(doc, steps[:-1], "remove", pointer)
    last = steps[-1]
    if isinstance(parent, list):
        return parent.pop(_index(last, len(parent)))
    if not isinstance(parent, dict) or last not in parent:
        raise PatchFailed(f"remove operation does not apply: doc is missing path: {pointer}: missing value")
    return parent.pop(last)


def json_patch(target: Json, operations: Any) -> Json:
    if not isinstance(operations, list) or not all(isinstance(o, dict) for o in operations):
        raise bad_request("error decoding patch: json: cannot unmarshal into Go value of type []")
    if len(operations) > 10_000:
        text = "The allowed maximum operations in a JSON patch is 10000"
        raise ApiError(413, "RequestEntityTooLarge", f"{text}, got {len(operations)}")
    doc: Any = clone(target)
    for operation in operations:
        op, path = operation.get("op"), operation.get("path", "")
        if op == "add":
            doc = _add(doc, path, clone(operation.get("value")))
        elif op == "remove":
            _remove(doc, path)
        elif op == "replace":
            if path == "":
                doc = clone(operation.get("value"))
            else:
                # Replacing what is not there adds it: the real library is as lenient.
                steps = _steps(path)
                parent = _walk(doc, steps[:-1], "replace", path)
                if isinstance(parent, list):
                    parent[_index(steps[-1], len(parent))] = clone(operation.get("value"))
                else:
                    parent[steps[-1]] = clone(operation.get("value"))
        elif op == "test":
            try:
                actual = _walk(doc, _steps(path), "test", path)
            except PatchFailed:
                actual = None
            if actual != operation.get("value"):
                raise PatchFailed(f"testing value {path} failed: test failed")
        elif op == "move":
            value = _remove(doc, operation.get("from", ""))
            doc = _add(doc, path, value)
        elif op == "copy":
            source = operation.get("from", "")
            doc = _add(doc, path, clone(_walk(doc, _steps(source), "copy", source)))
        else:
            raise PatchFailed(f"unexpected kind: {op}")
    if not isinstance(doc, dict):
        raise bad_request("a patch must leave an object")
    return doc


_DIRECTIVES = ("$patch", "$retainKeys")


def strategic_merge(target: Any, patch: Any, node: Node | None) -> Any:
    if not isinstance(patch, dict):
        return clone(patch)
    how = patch.get("$patch")
    if how == "replace":
        return {k: clone(v) for k, v in patch.items() if k != "$patch"}
    if how == "delete":
        return {}
    result = dict(target) if isinstance(target, dict) else {}
    if isinstance(patch.get("$retainKeys"), list):
        kept = patch["$retainKeys"]
        result = {k: v for k, v in result.items() if k in kept}
    for key, value in patch.items():
        if key in _DIRECTIVES or key.startswith("$setElementOrder/"):
            continue
        if key.startswith("$deleteFromPrimitiveList/"):
            real = key.partition("/")[2]
            result[real] = [v for v in result.get(real) or [] if v not in value]
            continue
        sub = node.child(key) if node is not None else None
        if value is None:
            result.pop(key, None)
        elif isinstance(value, list) and sub is not None and sub.patch_merge:
            result[key] = _merge_list(result.get(key) or [], value, sub)
        elif isinstance(value, dict):
            result[key] = strategic_merge(result.get(key), value, sub)
        else:
            result[key] = clone(value)
    return result


def _merge_list(old: list[Any], patch: list[Any], node: Node) -> list[Any]:
    merge_key = node.raw.get("x-kubernetes-patch-merge-key", "")
    if not merge_key:  # a list of plain values behaves as a set
        return patch + [v for v in old if v not in patch]
    if any(isinstance(p, dict) and p.get("$patch") == "replace" for p in patch):
        return [clone(p) for p in patch if "$patch" not in p]
    result = list(old)
    for item in patch:
        if not isinstance(item, dict) or merge_key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {merge_key}")
        at = next((i for i, o in enumerate(result) if o.get(merge_key) == item[merge_key]), None)
        if item.get("$patch") == "delete":
            if at is not None:
                del result[at]
        elif at is None:
            result.append({k: clone(v) for k, v in item.items() if k not in _DIRECTIVES})
        else:
            result[at] = strategic_merge(result[at], item, node.items)
    return result
