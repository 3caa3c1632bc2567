"""How objects leave: whole, metadata only, or as rows of a Table. Bytes are cached per version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from .printers import columns_of, row_of
from .registry import Resource
from .status import Json, invalid_object, not_acceptable, required
from .store import Version

META_VERSION = "meta.k8s.io/v1"
_JSON_TYPES = ("application/json", "*/*", "application/*", "")
_ACCEPTED = "application/json, application/yaml, application/vnd.kubernetes.protobuf"


@dataclass(frozen=True, slots=True)
class Shape:
    """The representation a client asked for."""

    form: str = "full"  # full, partial, table
    include: str = "Metadata"  # what a Table's rows carry
    yaml: bool = False

    @property
    def tag(self) -> str:
        return f"{self.form}/{self.include}" if self.form == "table" else self.form


FULL = Shape()


def negotiate(accept: str, include: str) -> Shape:
    """The first acceptable clause wins; a clause with unknown parameters is no clause."""
    for clause in accept.split(",") or [""]:
        media, *params = [p.strip() for p in clause.split(";")]
        if media not in _JSON_TYPES and media != "application/yaml":
            continue
        given = dict(p.partition("=")[::2] for p in params)
        yaml = media == "application/yaml"
        kind = given.get("as")
        if kind is None:  # parameters nobody knows are ignored
            return Shape(yaml=yaml)
        # A typo such as ";v1" for ";v=v1" leaves the version out, and the clause counts for nothing.
        if given.get("g") == "meta.k8s.io" and given.get("v") == "v1":
            if kind == "Table":
                return Shape("table", include or "Metadata", yaml)
            if kind in ("PartialObjectMetadata", "PartialObjectMetadataList"):
                return Shape("partial", kind, yaml)
    raise not_acceptable(_ACCEPTED)


def metadata_only(obj: Json) -> Json:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": META_VERSION,
        "metadata": obj["metadata"],
    }


def table(resource: Resource, objects: list[Json], shape: Shape, headers: bool, meta: Json) -> Json:
    rows = [_row(resource, obj, shape) for obj in objects]
    found: Json = {"kind": "Table", "apiVersion": META_VERSION, "metadata": meta}
    found["columnDefinitions"] = columns_of(resource) if headers else []
    found["rows"] = rows
    return found


def _row(resource: Resource, obj: Json, shape: Shape) -> Json:
    row: Json = {"cells": row_of(resource, obj)}
    if shape.include == "Object":
        row["object"] = obj
    else:
        row["object"] = None if shape.include == "None" else metadata_only(obj)
    return row


def converted(resource: Resource, obj: Json) -> Json:
    """The object in this resource's version. Conversion changes the apiVersion alone."""
    if resource.stored_as[1]:
        return _as_new_event(resource, obj)
    if obj.get("apiVersion") == resource.api_version:
        return obj
    return {**obj, "apiVersion": resource.api_version}


_EVENT_NAMES = (
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
)


def _as_new_event(resource: Resource, obj: Json) -> Json:
    names = dict(_EVENT_NAMES)
    empty = ("reportingComponent", "reportingInstance")
    found = {names.get(k, k): v for k, v in obj.items() if v or k not in empty}
    return found | {"apiVersion": resource.api_version}


def as_core_event(obj: Json) -> Json:
    names = {new: old for old, new in _EVENT_NAMES}
    if not obj.get("eventTime"):
        raise invalid_object("Event", "", (obj.get("metadata") or {}).get("name", ""), [required("eventTime")])
    return {names.get(k, k): v for k, v in obj.items()} | {"apiVersion": "v1"}


def encode(resource: Resource, version: Version, shape: Shape, bare: bool = False) -> bytes:
    """One object for a list or a watch. Built-in lists leave out the items' kind, as Go does."""
    tag = f"{resource.api_version}/{shape.tag}/{bare}"
    found = version.encoded.get(tag)
    if found is None:
        obj: Any = converted(resource, version.obj)
        if shape.form == "partial":
            obj = metadata_only(obj)
        elif shape.form == "table":
            obj = table(resource, [obj], shape, False, {"resourceVersion": str(version.rv)})
        elif bare:
            obj = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind")}
        found = version.encoded[tag] = orjson.dumps(obj)
    return found


def listing(resource: Resource, versions: list[Version], shape: Shape, meta: Json) -> bytes:
    if shape.form == "table":
        objects = [converted(resource, v.obj) for v in versions]
        return orjson.dumps(table(resource, objects, shape, True, meta))
    kind, api_version, bare = resource.list_kind, resource.api_version, not resource.custom
    if shape.form == "partial":
        kind, api_version, bare = "PartialObjectMetadataList", META_VERSION, False
    head = orjson.dumps({"kind": kind, "apiVersion": api_version, "metadata": meta})
    items = b",".join(encode(resource, v, shape, bare) for v in versions)
    return head[:-1] + b',"items":[' + items + b"]}"
