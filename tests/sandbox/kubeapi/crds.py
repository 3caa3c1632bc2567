"""CustomResourceDefinitions: defaults, names, status, and the resources they bring to life."""

from __future__ import annotations

import re
from typing import Any

from . import meta
from .builtin_schemas import META, SCHEMAS
from .builtins import Hooks
from .crd_schema import check_schema
from .managed import Manager, track_update
from .registry import Registry, Resource
from .schema import clone, parse
from .status import FieldError, Json, duplicate, invalid, required, unsupported

_DNS = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?\Z")
AGE: Json = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def prepare(new: Json, old: Json | None) -> None:
    spec = new["spec"]
    names = spec["names"]
    if not names.get("singular"):
        names["singular"] = names.get("kind", "").lower()
    if not names.get("listKind") and names.get("kind"):
        names["listKind"] = names["kind"] + "List"
    spec.setdefault("conversion", {"strategy": "None"})
    if spec.get("preserveUnknownFields") is False:
        del spec["preserveUnknownFields"]
    storage = [v["name"] for v in spec.get("versions") or () if v.get("storage")]
    if old is None:
        new["status"] = {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": storage}
    else:
        stored = new["status"].setdefault("storedVersions", [])
        stored += [name for name in storage if name not in stored]


def check(new: Json, old: Json | None) -> list[FieldError]:
    spec, errors = new["spec"], []
    names, group = spec["names"], spec.get("group", "")
    wanted = f"{names.get('plural', '')}.{group}"
    if new["metadata"].get("name") != wanted:
        text = 'must be spec.names.plural+"."+spec.group'
        errors.append(invalid("metadata.name", new["metadata"].get("name", ""), text))
    if not group:
        errors.append(required("spec.group"))
    elif "." not in group:
        text = "should be a domain with at least one dot"
        errors.append(invalid("spec.group", group, text))
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        errors.append(unsupported("spec.scope", spec.get("scope", ""), ["Cluster", "Namespaced"]))
    errors += [required(f"spec.names.{key}") for key in ("plural", "kind") if not names.get(key)]
    errors += [
        invalid(f"spec.names.{key}", names[key], meta.LABEL_TEXT)
        for key in ("plural", "singular")
        if names.get(key) and not _DNS.match(names[key])
    ]
    errors += _versions(spec.get("versions") or [])
    errors += _schemas(spec.get("versions") or [])
    if group.endswith((".k8s.io", ".kubernetes.io")) or group in ("k8s.io", "kubernetes.io"):
        notes = new["metadata"].get("annotations") or {}
        if "api-approved.kubernetes.io" not in notes:
            errors.append(
                required(
                    "metadata.annotations[api-approved.kubernetes.io]",
                    'protected groups must have approval annotation "api-approved.kubernetes.io", '
                    "see https://github.com/kubernetes/enhancements/pull/1111",
                )
            )
    if old is not None:
        for path, a, b in (
            ("spec.group", spec["group"], old["spec"]["group"]),
            ("spec.scope", spec["scope"], old["spec"]["scope"]),
            ("spec.names.plural", names["plural"], old["spec"]["names"]["plural"]),
            ("spec.names.kind", names["kind"], old["spec"]["names"]["kind"]),
        ):
            if a != b:
                errors.append(invalid(path, a, "field is immutable"))
    return errors


def _versions(versions: list[Json]) -> list[FieldError]:
    errors: list[FieldError] = []
    if sum(bool(v.get("storage")) for v in versions) != 1:
        shown = [v.get("name", "") for v in versions]
        errors.append(invalid("spec.versions", shown, "must have exactly one version marked as storage version"))
    seen: set[str] = set()
    for index, version in enumerate(versions):
        at = f"spec.versions[{index}]"
        name = version.get("name", "")
        if name in seen:
            errors.append(duplicate(f"{at}.name", name))
        seen.add(name)
        if not _DNS.match(name):
            errors.append(invalid(f"{at}.name", name, meta.LABEL_TEXT))
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        for number, column in enumerate(version.get("additionalPrinterColumns") or ()):
            here = f"{at}.additionalPrinterColumns[{number}]"
            kinds = ["boolean", "date", "integer", "number", "string"]
            if column.get("type") not in kinds:
                text = "must be one of " + ",".join(kinds)
                errors.append(invalid(f"{here}.type", column.get("type", ""), text))
            if not str(column.get("jsonPath", "")).startswith("."):
                text = "must be a simple json path starting with ."
                errors.append(invalid(f"{here}.JSONPath", column.get("jsonPath", ""), text))
        for number, field in enumerate(version.get("selectableFields") or ()) if schema else ():
            errors += _selectable(field.get("jsonPath", ""), schema or {}, f"{at}.selectableFields[{number}].jsonPath")
    return errors


def _schemas(versions: list[Json]) -> list[FieldError]:
    """One schema for all versions is stored, and complained about, in one place."""
    found: list[Any] = [(v.get("schema") or {}).get("openAPIV3Schema") for v in versions]
    errors: list[FieldError] = []
    if found and all(schema and schema == found[0] for schema in found):
        return check_schema(found[0], "spec.validation.openAPIV3Schema")
    for index, schema in enumerate(found):
        at = f"spec.versions[{index}].schema.openAPIV3Schema"
        if schema:
            errors += check_schema(schema, at)
        else:
            errors.append(required(at))
    return errors


def _selectable(path: str, schema: Json, at: str) -> list[FieldError]:
    found = schema
    for part in path.lstrip(".").split("."):
        found = (found.get("properties") or {}).get(part) or {}
    if found.get("type") not in ("string", "integer", "boolean"):
        return [invalid(at, path, "is an invalid path: must point to a field of type string, boolean or integer")]
    return []


HOOKS = Hooks(prepare, check=check)


def conditions(obj: Json, registry: Registry) -> Json:
    """The status the apiextensions controllers write: names accepted, then established."""
    new = clone(obj)
    _settle(new, registry)
    if new["status"] != obj["status"]:
        who = Manager("kube-apiserver", "Update", new["apiVersion"], "status")
        track_update(obj, new, _NODE, who, meta.now(), frozenset({("f:spec",)}))
    return dict(new)


_NODE = parse(SCHEMAS[("apiextensions.k8s.io", "customresourcedefinitions")])


def _settle(new: Json, registry: Registry) -> None:
    names = new["spec"]["names"]
    taken = next(
        (
            r
            for r in registry.served.values()
            if r.group == new["spec"]["group"] and r.plural != names["plural"] and r.kind == names["kind"]
        ),
        None,
    )
    time = meta.now()
    if taken is not None:
        text = f'"{names["kind"]}" is already in use'
        new["status"]["conditions"] = [
            _condition("NamesAccepted", "False", "KindConflict", text, time),
            _condition("Established", "False", "NotAccepted", "not all names are accepted", time),
        ]
        return
    new["status"]["acceptedNames"] = clone(names)
    existing = {c["type"] for c in new["status"].get("conditions") or () if c["status"] == "True"}
    if not {"NamesAccepted", "Established"} <= existing:
        new["status"]["conditions"] = [
            _condition("NamesAccepted", "True", "NoConflicts", "no conflicts found", time),
            _condition(
                "Established",
                "True",
                "InitialNamesAccepted",
                "the initial names have been accepted",
                time,
            ),
        ]


def _condition(kind: str, status: str, reason: str, message: str, time: str) -> Json:
    return {
        "lastTransitionTime": time,
        "message": message,
        "reason": reason,
        "status": status,
        "type": kind,
    }


def is_established(obj: Json) -> bool:
    return any(
        c["type"] == "Established" and c["status"] == "True" for c in (obj.get("status") or {}).get("conditions") or ()
    )


def install(registry: Registry, obj: Json) -> None:
    """(Re)build the served resources of one CRD."""
    spec = obj["spec"]
    registry.drop(spec["group"], spec["names"]["plural"])
    for version in spec["versions"]:
        if version.get("served"):
            registry.add(_resource(spec, version))


def _resource(spec: Json, version: Json) -> Resource:
    names = spec["names"]
    raw = clone(version["schema"]["openAPIV3Schema"])
    raw.setdefault("properties", {})
    # The server's own knowledge of metadata rules, whatever the CRD says of it.
    raw["properties"]["metadata"] = META
    raw["properties"].setdefault("apiVersion", {"type": "string"})
    raw["properties"].setdefault("kind", {"type": "string"})
    basic = {"metadata.name"} | ({"metadata.namespace"} if spec["scope"] == "Namespaced" else set())
    chosen = {f["jsonPath"].lstrip(".") for f in version.get("selectableFields") or ()}
    deprecation = ""
    if version.get("deprecated"):
        deprecation = version.get("deprecationWarning") or (
            f"{spec['group']}/{version['name']} {names['kind']} is deprecated"
        )
    return Resource(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        kind=names["kind"],
        namespaced=spec["scope"] == "Namespaced",
        node=parse(raw),
        custom=True,
        singular=names.get("singular", ""),
        list_kind=names.get("listKind") or names["kind"] + "List",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        has_status=(version.get("subresources") or {}).get("status") is not None,
        has_generation=True,
        put_needs_rv=True,
        fields=frozenset(basic | chosen),
        columns=tuple(version.get("additionalPrinterColumns") or (AGE,)),
        deprecation=deprecation,
    )
