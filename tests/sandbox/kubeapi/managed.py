"""Field managers: who set which field, by Update and by server-side Apply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from . import fields as f
from .schema import Node, clone
from .status import ApiError, Json, quote


class Manager(NamedTuple):
    name: str
    operation: str  # "Apply" or "Update"
    api_version: str
    subresource: str


@dataclass(slots=True)
class Claim:
    fields: f.Fields
    time: str


Claims = dict[Manager, Claim]

_STRIPPED: f.Fields = frozenset(
    {("f:apiVersion",), ("f:kind",), ("f:metadata",)}
    | {
        ("f:metadata", f"f:{name}")
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "generation",
            "managedFields",
            "resourceVersion",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        )
    }
)
_MANAGED: f.Fields = frozenset({("f:metadata", "f:managedFields")})


def read(obj: Json) -> Claims:
    claims: Claims = {}
    for entry in obj["metadata"].get("managedFields") or ():
        manager = Manager(
            entry.get("manager", ""),
            entry.get("operation", ""),
            entry.get("apiVersion", ""),
            entry.get("subresource", ""),
        )
        claims[manager] = Claim(f.from_v1(entry.get("fieldsV1") or {}), entry.get("time", ""))
    return claims


def write(obj: Json, claims: Claims) -> None:
    entries: list[Json] = []
    for manager, claim in claims.items():
        entry: Json = {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": manager.api_version,
        }
        if claim.time:
            entry["time"] = claim.time
        entry["fieldsType"] = "FieldsV1"
        entry["fieldsV1"] = f.to_v1(claim.fields)
        if manager.subresource:
            entry["subresource"] = manager.subresource
        entries.append(entry)
    entries.sort(
        key=lambda e: (
            e["operation"],
            e.get("time", ""),
            e["manager"],
            e["apiVersion"],
            e.get("subresource", ""),
        )
    )
    if entries:
        obj["metadata"]["managedFields"] = entries
    else:
        obj["metadata"].pop("managedFields", None)


def was_reset(obj: Json) -> bool:
    """`managedFields: [{}]` is the documented way to clear all ownership."""
    return bool(obj["metadata"].get("managedFields") == [{}])


def _strip(fields: f.Fields, ignored: f.Fields) -> f.Fields:
    return f.without_subtrees(fields - _STRIPPED, ignored | _MANAGED)


def track_update(
    old: Json | None,
    new: Json,
    node: Node | None,
    manager: Manager,
    now: str,
    ignored: f.Fields,
    blank: Json | None = None,
) -> None:
    """Record in `new` what this write set, and take changed fields from everybody else."""
    if was_reset(new):
        new["metadata"].pop("managedFields", None)
        return
    if old is None:
        claims: Claims = {}
        # A Go struct is born with its fields that are always written: those are not "set".
        before: Json = {"metadata": {}, **(blank or {})}
    else:
        claims = read(new if new["metadata"].get("managedFields") else old)
        before = old
        if not claims:
            # Ownership was cleared: only an apply starts it again.
            new["metadata"].pop("managedFields", None)
            return
    difference = f.compare(before, new, node)
    taken = _strip(difference.added | difference.modified, ignored)
    lost = taken | difference.removed
    for other in list(claims):
        if other != manager or lost & claims[other].fields:
            left = claims[other].fields - lost
            if left != claims[other].fields:
                claims[other] = Claim(left, claims[other].time)
    if taken:
        mine = claims[manager].fields if manager in claims else f.EMPTY
        claims[manager] = Claim(mine | taken, now)
    write(new, {m: c for m, c in claims.items() if c.fields})


def apply(
    live: Json | None,
    config: Json,
    node: Node | None,
    manager: Manager,
    now: str,
    force: bool,
    ignored: f.Fields,
) -> Json:
    """Server-side apply: the new object, or a conflict. Returns an equal object on a no-op."""
    config = clone(config)
    if ("f:status",) in ignored:
        config.pop("status", None)
    if ("f:spec",) in ignored:
        config = {k: v for k, v in config.items() if k in _STATUS_KEEPS}
    base: Json = clone(live) if live is not None else _blank(config)
    claims = read(base)
    base["metadata"].pop("managedFields", None)
    if live is not None and not claims:
        # An object written before ownership was tracked: its fields must conflict, not vanish.
        everything = f.compare({"metadata": {}}, base, node).added
        first = Manager("before-first-apply", "Update", manager.api_version, "")
        claims[first] = Claim(_strip(everything, ignored), "")
    merged = f.merge(base, config, node)
    previous = claims[manager].fields if manager in claims else f.EMPTY
    wanted = _strip(f.field_set(config, node), ignored)
    owned = {m: c.fields for m, c in claims.items() if m != manager} | {manager: wanted}
    result = _prune(merged, node, previous, owned)
    difference = f.compare(base, result, node)
    changed = difference.added | difference.modified
    conflicts = {m: c.fields & changed for m, c in claims.items() if m != manager and c.fields & changed}
    if conflicts and not force:
        raise _conflict(conflicts)
    before = {m: c.fields for m, c in claims.items()}
    for other in list(claims):
        if other != manager:
            left = claims[other].fields - changed - difference.removed
            claims[other] = Claim(left, claims[other].time)
    unchanged = base == result and before.get(manager) == wanted
    stamp = claims[manager].time if unchanged and manager in claims else now
    claims[manager] = Claim(wanted, stamp)
    final: Json = clone(result)
    write(final, {m: c for m, c in claims.items() if c.fields})
    return final


_STATUS_KEEPS = ("apiVersion", "kind", "metadata", "status")


def _blank(config: Json) -> Json:
    meta = {k: v for k, v in config["metadata"].items() if k in ("name", "namespace")}
    return {"apiVersion": config["apiVersion"], "kind": config["kind"], "metadata": meta}


def _prune(merged: Json, node: Node | None, previous: f.Fields, owned: dict[Manager, f.Fields]) -> Json:
    """Drop what this manager applied before and nobody claims now."""
    if not previous:
        return merged
    last = f.with_named_parents(previous, node)
    claimed: f.Fields = frozenset().union(*owned.values())
    present = f.with_named_parents(f.field_set(merged, node), node)
    stays = f.with_named_parents(claimed, node)
    # An item claimed anywhere below keeps the keyed items above it.
    stays |= {("f:metadata",)}
    stays |= frozenset(path[:n] for path in stays for n in range(1, len(path)))
    gone = (present & last) - stays
    pruned: Json = f.remove(merged, gone, node)
    return pruned


def _conflict(conflicts: dict[Manager, f.Fields]) -> ApiError:
    causes: list[Json] = []
    blocks: list[str] = []
    for manager in sorted(conflicts):
        who = quote(manager.name)
        if manager.subresource:
            who += f" with subresource {quote(manager.subresource)}"
        if manager.operation == "Update":
            who += f" using {manager.api_version}"
        paths = [f.dotted(p) for p in sorted(conflicts[manager])]
        blocks.append(f"conflicts with {who}:\n" + "\n".join(f"- {p}" for p in paths))
        said = f"conflict with {who}"
        causes += [{"reason": "FieldManagerConflict", "message": said, "field": p} for p in paths]
    count = len(causes)
    if count == 1:
        text = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        text = f"Apply failed with {count} conflicts: " + "\n".join(blocks)
    return ApiError(409, "Conflict", text, {"causes": causes})
