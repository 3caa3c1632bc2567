"""Patches of every kind, server-side apply among them."""

from __future__ import annotations

import orjson

from . import fields, managed, meta, patches
from .calls import Call, flag
from .decode import Strictness, decode, parse_body
from .registry import Resource
from .schema import clone
from .status import (
    ApiError,
    Json,
    bad_request,
    conflict,
    forbidden_field,
    invalid,
    invalid_object,
    not_found,
    required,
    stale,
)
from .writes import Writer

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


class Patcher(Writer):
    """A writer that also understands patches: they end in the same path as updates."""

    def patch(self, call: Call) -> tuple[int, Json]:
        kind = call.content_type
        known = [JSON_PATCH, MERGE, APPLY] if call.resource.custom else [JSON_PATCH, MERGE, STRATEGIC, APPLY]
        if kind == STRATEGIC and kind not in known:
            raise ApiError(
                415,
                "UnsupportedMediaType",
                (
                    "the body of the request was in an unknown format - accepted media types include: "
                    + ", ".join(known)
                ),
            )
        if kind not in known:
            raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type")
        call.check_options("PatchOptions")
        if kind == APPLY:
            return self._apply(call)
        if "force" in call.query:
            raise invalid_object(
                "PatchOptions",
                "meta.k8s.io",
                "",
                [forbidden_field("force", "may not be specified for non-apply patch")],
            )
        resource = call.resource
        old = self.store.get(self._url_key(call))
        if old is None:
            raise not_found(resource.plural, resource.group, call.name)
        patch = parse_body(call.body, kind)
        current = {**old.obj, "apiVersion": resource.api_version}
        try:
            if kind == JSON_PATCH:
                patched = patches.json_patch(current, patch)
            elif not isinstance(patch, dict):
                raise bad_request(
                    "error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}"
                )
            elif kind == MERGE:
                patched = patches.merge_patch(clone(current), patch)
            else:
                patched = patches.strategic_merge(clone(current), patch, resource.node)
        except patches.PatchFailed as exc:
            text = "the server rejected our request due to an error in our request"
            raise ApiError(422, "Invalid", text) from exc
        new = self._patched(call, patched)
        data = new["metadata"]
        if data.get("name") != call.name:
            raise bad_request(
                f"the name of the object ({data.get('name', '')}) does not match the name on the URL ({call.name})"
            )
        if resource.namespaced and data.get("namespace") != call.namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        return 200, self.replace(call, old, new)

    def _patched(self, call: Call, patched: Json) -> Json:
        strict = Strictness(call.query.get("fieldValidation") or "Warn")
        if call.resource.custom:
            new = decode(patched, call.resource, strict)
            call.warnings += strict.finish()
            return new
        shown = orjson.dumps(patched).decode()
        try:
            new = decode(patched, call.resource, strict)
            call.warnings += strict.finish()
        except ApiError as exc:
            # As the real one: the whole patched object stands in the answer, even a Secret.
            detail = exc.message.rpartition("cannot be handled as a ")[2].partition(": ")[2]
            error = invalid("patch", shown, detail or exc.message)
            raise invalid_object("", "", "", [error]) from None
        return new

    def _apply(self, call: Call) -> tuple[int, Json]:
        resource = call.resource
        if not call.query.get("fieldManager"):
            raise invalid_object(
                "PatchOptions", "meta.k8s.io", "", [required("fieldManager", "is required for apply patch")]
            )
        config = parse_body(call.body, "application/yaml")
        if not isinstance(config, dict):
            raise bad_request("error decoding YAML: the body is not an object")
        if "metadata" in config and (config["metadata"] or {}).get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        for word in ("kind", "apiVersion"):
            if not config.get(word):
                raise bad_request(f"Object '{word[0].upper()}{word[1:]}' is missing in the body")
        if config["apiVersion"] != resource.api_version:
            group, _, version = config["apiVersion"].rpartition("/")
            raise bad_request(f"invalid object type: {group}/{version}, Kind={config['kind']}")
        config = self._typed_config(call, orjson.loads(orjson.dumps(config)))
        data = config["metadata"]
        data.setdefault("name", call.name)
        if data["name"] != call.name:
            raise bad_request(
                f"the name of the object ({data['name']}) does not match the name on the URL ({call.name})"
            )
        self._fit_namespace(call, config)
        old = self.store.get(self._url_key(call))
        given = data.pop("resourceVersion", None)
        uid = data.get("uid")
        if old is None and (call.subresource or uid):
            if uid and not call.subresource:
                raise conflict(
                    resource.plural,
                    resource.group,
                    call.name,
                    f"uid mismatch: the provided object specified uid {uid}, and no existing object was found",
                )
            raise not_found(resource.plural, resource.group, call.name)
        if old is not None and given and given != str(old.rv):
            raise stale(resource.plural, resource.group, call.name)
        who = managed.Manager(call.query["fieldManager"], "Apply", resource.api_version, call.subresource)
        live = None if old is None else {**old.obj, "apiVersion": resource.api_version}
        result = managed.apply(
            live,
            config,
            resource.node,
            who,
            meta.now(),
            flag(call.query, "force"),
            self._reset_fields(resource, call.subresource),
        )
        result = self._decode_applied(call, result)
        if old is None:
            return 201, self.insert(call, result, who)
        return 200, self.replace(call, old, result, applied=True)

    @staticmethod
    def _typed_config(call: Call, config: Json) -> Json:
        """An applied configuration must fit the schema: nothing unknown is ever pruned."""
        resource = call.resource
        problem = fields.misfit(config, resource.node)
        if problem:
            where = (config.get("metadata") or {}).get("namespace", "")
            raise ApiError(
                500, "", (f"failed to create typed patch object ({where}/{call.name}; {_gvk(resource)}): {problem}")
            )
        if not isinstance(config.get("metadata"), dict):
            config["metadata"] = {}
        return config

    @staticmethod
    def _decode_applied(call: Call, result: Json) -> Json:
        try:
            return decode(result, call.resource, Strictness("Ignore"))
        except ApiError as exc:
            why = exc.message.rpartition("cannot be handled as a ")[2].partition(": ")[2]
            kind = _gvk(call.resource)
            raise ApiError(
                500,
                "",
                (
                    f"failed to convert new object ({call.namespace}/{call.name}; {kind}) to proper "
                    f"version: unable to convert unstructured object to {kind}: error decoding from "
                    f"json: {why}"
                ),
            ) from None


def _gvk(resource: Resource) -> str:
    return f"{resource.group}/{resource.version}, Kind={resource.kind}"
