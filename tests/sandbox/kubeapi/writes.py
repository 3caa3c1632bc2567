"""Create and update: one common path from a decoded body to a stored version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import builtins, cel_rules, crds, fields, managed, meta, protobuf, secrets, validate
from .admission import admit_namespace
from .calls import Call
from .decode import Strictness, decode, duplicate_keys, parse_body
from .registry import Registry, Resource
from .schema import MISSING, clone
from .status import (
    ApiError,
    FieldError,
    Json,
    already_exists,
    bad_request,
    conflict,
    invalid,
    invalid_object,
    not_found,
    stale,
)
from .store import Key, Store, Version

STATUS: fields.Fields = frozenset({("f:status",)})
SPEC: fields.Fields = frozenset({("f:spec",)})
_HOOKS = {**builtins.HOOKS, ("apiextensions.k8s.io", "customresourcedefinitions"): crds.HOOKS}
_CRDS = ("apiextensions.k8s.io", "customresourcedefinitions")
_BLOCKING = frozenset(
    {
        "FieldValueNotSupported",
        "FieldValueRequired",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueTypeInvalid",
    }
)
_UNCHECKED = FieldError(
    "<nil>",
    "FieldValueInvalid",
    (
        "Invalid value: null: some validation rules were not checked because the object was invalid; "
        "correct the existing errors to complete validation"
    ),
)
_NO_HOOKS = builtins.Hooks()


class Writer:
    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self.registry = registry
        # Admission: RBAC's escalation check is plugged in by the server.
        self.admit: list[Callable[[Call, Json, Json | None], None]] = []

    # -- create ---------------------------------------------------------------------------------

    def create(self, call: Call) -> tuple[int, Json]:
        call.check_options("CreateOptions")
        self._check_media(call)
        strict = self._strict(call)
        obj = decode(parse_body(call.body, call.content_type), call.resource, strict)
        call.warnings += strict.finish()
        return 201, self.insert(call, obj, None)

    def insert(self, call: Call, obj: Json, applied: managed.Manager | None) -> Json:
        resource = call.resource
        self._fit_namespace(call, obj)
        data = obj["metadata"]
        if data.get("resourceVersion") not in (None, "", "0"):
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        admit_namespace(self.store, call, obj)
        prefix = data.get("generateName")
        given = data.get("name")
        for attempt in range(8):
            if not given and prefix:
                data["name"] = meta.generated(prefix)
            if given or not prefix or self.store.get(self._key(resource, data)) is None:
                break
            assert attempt < 7
        for gone in ("selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion"):
            data.pop(gone, None)
        data["uid"] = meta.new_uid()
        data["creationTimestamp"] = meta.now()
        ignored = self._reset_fields(resource, "")
        if resource.has_status and resource.plural != "namespaces":
            obj.pop("status", None)
            if not resource.custom:
                builtins.decode(obj, resource.node, resource.kind, resource.version)
        self._hooks(resource).prepare(obj, None)
        if resource.has_generation:
            data["generation"] = 1
        if applied is None:
            who = managed.Manager(call.manager, "Update", resource.api_version, "")
            empty = {} if resource.custom else builtins.blank(resource.node)
            managed.track_update(None, obj, resource.node, who, meta.now(), ignored, empty)
        self._hooks(resource).late(obj, None)
        for check in self.admit:
            check(call, obj, None)
        errors = self._validate(resource, obj, None)
        if errors:
            raise self._invalid(resource, data.get("name") or prefix or "", errors)
        key = self._key(resource, data)
        if self.store.get(key) is not None:
            raise already_exists(resource.plural, resource.group, key.name)
        if resource.bucket == ("", "secrets"):
            call.warnings += secrets.warnings(obj)
        if call.dry_run:
            return obj
        return self._put(key, obj).obj

    # -- update ---------------------------------------------------------------------------------

    def update(self, call: Call) -> tuple[int, Json]:
        call.check_options("UpdateOptions")
        self._check_media(call)
        resource = call.resource
        strict = self._strict(call)
        obj = decode(parse_body(call.body, call.content_type), resource, strict)
        call.warnings += strict.finish()
        self._fit_namespace(call, obj)
        name = obj["metadata"].get("name")
        if not name and not obj["metadata"].get("generateName"):
            raise bad_request(
                f"the name of the object ({call.name} based on URL) was undeterminable: name must be provided"
            )
        if name != call.name:
            raise bad_request(f"the name of the object ({name or ''}) does not match the name on the URL ({call.name})")
        old = self.store.get(self._key(resource, obj["metadata"]))
        given = obj["metadata"].get("resourceVersion")
        if old is None:
            uid = obj["metadata"].get("uid")
            if resource.put_creates and not call.subresource:
                obj["metadata"].pop("resourceVersion", None)
                return 201, self.insert(call, obj, None)
            raise not_found(resource.plural, resource.group, call.name)
        uid = obj["metadata"].get("uid")
        if uid and uid != old.obj["metadata"]["uid"]:
            raise conflict(
                resource.plural,
                resource.group,
                call.name,
                (
                    f"StorageError: invalid object, Code: 4, Key: {self._path(old.key)}, "
                    "ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in "
                    f"precondition: {uid}, UID in object meta: {old.obj['metadata']['uid']}"
                ),
            )
        if not given and resource.put_needs_rv:
            error = invalid("metadata.resourceVersion", 0, "must be specified for an update")
            # The real one names the resource here, where other errors name the kind.
            raise invalid_object(resource.plural, resource.group, call.name, [error])
        return 200, self.replace(call, old, obj)

    def replace(self, call: Call, old: Version, new: Json, applied: bool = False) -> Json:
        """From an existing version to the next; the no-op is found here."""
        resource, data, before = call.resource, new["metadata"], old.obj["metadata"]
        status = call.subresource == "status"
        given = data.get("resourceVersion")
        if given and not given.isdigit():
            raise ApiError(500, "", f'strconv.ParseUint: parsing "{given}": invalid syntax')
        if given not in (None, "", "0") and given != str(old.rv):
            raise stale(resource.plural, resource.group, call.name)
        data["creationTimestamp"] = before["creationTimestamp"]
        data.setdefault("uid", before["uid"])
        for key in ("selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
            data.pop(key, None)
            if key in before:
                data[key] = before[key]
        if status:
            new = self._status_only(resource, new, old.obj)
        elif resource.has_status:
            new.pop("status", None)
            if "status" in old.obj:
                new["status"] = clone(old.obj["status"])
        data = new["metadata"]
        if call.subresource != "finalize":
            self._hooks(resource).prepare(new, old.obj)
        if not applied:
            who = managed.Manager(call.manager, "Update", resource.api_version, call.subresource)
            ignored = self._reset_fields(resource, call.subresource)
            converted = {**old.obj, "apiVersion": resource.api_version}
            managed.track_update(converted, new, resource.node, who, meta.now(), ignored)
        if call.subresource != "finalize":
            self._hooks(resource).late(new, old.obj)
        if resource.has_generation and not status and self._spec_changed(resource, new, old.obj):
            data["generation"] = before.get("generation", 0) + 1
        for check in self.admit:
            check(call, new, old.obj)
        errors = self._validate(resource, new, old.obj)
        if errors and status:  # the real status validation starts below the root
            errors = [
                FieldError(
                    e.field,
                    e.reason,
                    e.text.replace(f": {e.field} in body", f": {e.field.removeprefix('status.')} in body"),
                )
                for e in errors
            ]
        if errors:
            raise self._invalid(resource, call.name, errors)
        return self._store_update(call, old, new)

    def _store_update(self, call: Call, old: Version, new: Json) -> Json:
        data = new["metadata"]
        data["resourceVersion"] = str(old.rv)
        if self._same(new, old.obj):
            return {**old.obj, "apiVersion": new["apiVersion"]}
        if call.dry_run:
            return new
        gone = data.get("deletionTimestamp") and not data.get("finalizers")
        held = call.resource.plural == "namespaces" and (new.get("spec") or {}).get("finalizers")
        if gone and not held and call.resource.bucket != ("", "pods"):
            return self.store.remove(old.key, new).obj
        return self._put(old.key, new).obj

    @staticmethod
    def _same(new: Json, old: Json) -> bool:
        return {**new, "apiVersion": ""} == {**old, "apiVersion": ""}

    @staticmethod
    def _spec_changed(resource: Resource, new: Json, old: Json) -> bool:
        if not resource.custom:
            return bool(new.get("spec") != old.get("spec"))
        skip = {"metadata", "apiVersion"} | ({"status"} if resource.has_status else set())
        return any(new.get(k) != old.get(k) for k in (new.keys() | old.keys()) - skip)

    @staticmethod
    def _status_only(resource: Resource, new: Json, old: Json) -> Json:
        kept = {**clone(old), "apiVersion": new["apiVersion"]}
        if "status" in new:
            kept["status"] = new["status"]
        else:
            kept.pop("status", None)
        entries = new["metadata"].get("managedFields")
        if entries:
            kept["metadata"]["managedFields"] = entries
        return kept

    # -- shared ---------------------------------------------------------------------------------

    @staticmethod
    def _check_media(call: Call) -> None:
        known = ["application/json", "application/yaml"]
        if call.content_type == protobuf.MEDIA and not call.resource.custom:
            return
        if call.content_type not in known:
            listed = ", ".join([*known, protobuf.MEDIA])
            raise ApiError(
                415,
                "UnsupportedMediaType",
                (f"the body of the request was in an unknown format - accepted media types include: {listed}"),
            )

    @staticmethod
    def _strict(call: Call) -> Strictness:
        strict = Strictness(call.query.get("fieldValidation") or "Warn")
        strict.kind, strict.version = call.resource.kind, call.resource.version
        if strict.mode != "Ignore" and "json" in call.content_type:
            strict.add(duplicate_keys(call.body))
        return strict

    @staticmethod
    def _path(key: Key) -> str:
        group = f"/{key.group}" if key.group else ""
        space = f"/{key.namespace}" if key.namespace else ""
        return f"/registry{group}/{key.plural}{space}/{key.name}"

    @staticmethod
    def _hooks(resource: Resource) -> builtins.Hooks:
        return _HOOKS.get(resource.bucket, _NO_HOOKS)

    @staticmethod
    def _reset_fields(resource: Resource, subresource: str) -> fields.Fields:
        if subresource == "status":
            return SPEC
        return STATUS if resource.has_status and not subresource else fields.EMPTY

    @staticmethod
    def _invalid(resource: Resource, name: str, errors: list[FieldError]) -> ApiError:
        return invalid_object(resource.kind, resource.group, name, errors)

    @staticmethod
    def _key(resource: Resource, data: Json) -> Key:
        space = data.get("namespace", "") if resource.namespaced else ""
        return Key(*resource.bucket, space, data.get("name", ""))

    @staticmethod
    def _url_key(call: Call) -> Key:
        space = call.namespace if call.resource.namespaced else ""
        return Key(*call.resource.bucket, space, call.name)

    def _put(self, key: Key, obj: Json) -> Version:
        return self.store.put(key, obj)

    @staticmethod
    def _fit_namespace(call: Call, obj: Json) -> None:
        data = obj["metadata"]
        if not call.resource.namespaced:
            return
        if not call.namespace:
            raise bad_request("an empty namespace may not be set during creation")
        if data.setdefault("namespace", call.namespace) != call.namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")

    def _validate(self, resource: Resource, new: Json, old: Json | None) -> list[FieldError]:
        errors = meta.check(new["metadata"], resource.namespaced, resource.name_style)
        if old is not None:
            errors += meta.check_update(new["metadata"], old["metadata"])
            # The real one checks metadata twice and reports both.
            errors += meta.check_update(new["metadata"], old["metadata"])
        errors += self._hooks(resource).check(new, old)
        if resource.custom:
            node = resource.node
            found = validate.check(new, node, "", root=True)
            found += validate.check_lists(new, node, "")
            if node.deep_rules and any(e.reason in _BLOCKING for e in found):
                found.append(_UNCHECKED)
            else:
                before: Any = MISSING if old is None else old
                found += cel_rules.check_rules(new, before, node, "", root=True)
            errors += found
        return errors
