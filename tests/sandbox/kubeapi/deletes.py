"""Delete and deletecollection: preconditions, finalizers, propagation."""

from __future__ import annotations

from typing import Any

from . import meta
from .calls import Call
from .decode import parse_body
from .registry import Registry, Resource
from .schema import clone
from .status import (
    Json,
    conflict,
    forbidden,
    forbidden_field,
    invalid_object,
    not_found,
    qualified,
    success,
    unsupported,
)
from .store import Key, Store, Version

POLICIES = ("Foreground", "Background", "Orphan")
_IMMORTAL = ("default", "kube-system", "kube-public")
_CRD_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
# These registries answer a finished deletion with the object instead of a Status.
_RETURNS_OBJECT = frozenset({("", "serviceaccounts"), ("", "pods"), ("", "namespaces")})


def options(call: Call) -> Json:
    found: Json = {}
    if call.body.strip():
        parsed = parse_body(call.body, call.content_type)
        found = parsed if isinstance(parsed, dict) else {}
    if "propagationPolicy" in call.query:
        found["propagationPolicy"] = call.query["propagationPolicy"]
    if call.query.get("orphanDependents"):
        found["orphanDependents"] = call.query["orphanDependents"] == "true"
    if call.query.get("dryRun") and not found.get("dryRun"):
        found["dryRun"] = [call.query["dryRun"]]
    policy = found.get("propagationPolicy")
    if policy is not None and policy not in POLICIES:
        raise invalid_object(
            "DeleteOptions", "meta.k8s.io", "", [unsupported("propagationPolicy", policy, [*POLICIES, "nil"])]
        )
    if policy is not None and found.get("orphanDependents") is not None:
        raise invalid_object(
            "DeleteOptions",
            "meta.k8s.io",
            "",
            [
                forbidden_field(
                    "propagationPolicy",
                    "orphanDependents and deletionPropagation cannot be both set",
                )
            ],
        )
    if any(value != "All" for value in found.get("dryRun") or ()):
        raise invalid_object("DeleteOptions", "meta.k8s.io", "", [unsupported("dryRun", found["dryRun"], ["All"])])
    return found


class Deleter:
    def __init__(self, store: Store, registry: Registry, collects: bool) -> None:
        self.store = store
        self.registry = registry
        self.collects = collects  # is there a garbage collector?

    def delete(self, call: Call) -> tuple[int, Json]:
        resource = call.resource
        space = call.namespace if resource.namespaced else ""
        old = self.store.get(Key(*resource.bucket, space, call.name))
        if old is None:
            raise not_found(resource.plural, resource.group, call.name)
        if resource.bucket == ("", "namespaces") and call.name in _IMMORTAL:
            raise forbidden(resource.plural, "", call.name, "this namespace may not be deleted")
        return 200, self.one(resource, old, options(call))

    def one(self, resource: Resource, old: Version, wanted: Json) -> Json:
        self._preconditions(resource, old, wanted.get("preconditions") or {})
        last = self._mark(resource, old, wanted)
        if wanted.get("dryRun"):
            return self._answer(resource, old, last is None)
        if last is None:
            gone = self.store.remove(old.key)
            return self._answer(resource, gone, True)
        if last is old.obj:
            return {**old.obj, "apiVersion": resource.api_version}
        stored = self.store.put(old.key, last)
        return {**stored.obj, "apiVersion": resource.api_version}

    @staticmethod
    def _answer(resource: Resource, version: Version, done: bool) -> Json:
        if not done or resource.bucket in _RETURNS_OBJECT:
            return {**version.obj, "apiVersion": resource.api_version}
        details: Json = {"name": version.key.name}
        if resource.group:
            details["group"] = resource.group
        details["kind"] = resource.plural
        details["uid"] = version.obj["metadata"]["uid"]
        return success(details)

    @staticmethod
    def _preconditions(resource: Resource, old: Version, wanted: Json) -> None:
        uid, revision = wanted.get("uid"), wanted.get("resourceVersion")
        actual = old.obj["metadata"]["uid"]
        if uid is not None and uid != actual:
            raise conflict(
                resource.kind,
                resource.group,
                old.key.name,
                (
                    f"the UID in the precondition ({uid}) does not match the UID in record "
                    f"({actual}). The object might have been deleted and then recreated"
                ),
            )
        if revision is not None and revision != str(old.rv):
            raise conflict(
                resource.kind,
                resource.group,
                old.key.name,
                (
                    f"the ResourceVersion in the precondition ({revision}) does not match the "
                    f"ResourceVersion in record ({old.rv}). The object might have been modified"
                ),
            )

    def _mark(self, resource: Resource, old: Version, wanted: Json) -> Json | None:
        """The object as it waits for its finalizers, or None when it can go at once."""
        data = old.obj["metadata"]
        finalizers: list[str] = list(data.get("finalizers") or ())
        policy = wanted.get("propagationPolicy")
        if wanted.get("orphanDependents") is not None:
            policy = "Orphan" if wanted["orphanDependents"] else "Background"
        for name, chosen in (("orphan", "Orphan"), ("foregroundDeletion", "Foreground")):
            if policy == chosen and name not in finalizers:
                finalizers.append(name)
            elif policy not in (None, chosen) and name in finalizers:
                finalizers.remove(name)
        is_crd = resource.plural == "customresourcedefinitions"
        if is_crd and _CRD_CLEANUP not in finalizers and not data.get("deletionTimestamp"):
            finalizers.append(_CRD_CLEANUP)
        held = resource.bucket == ("", "namespaces") and old.obj["spec"].get("finalizers")
        if not finalizers and not held:
            return None
        new: Json = clone(old.obj)
        fresh = new["metadata"]
        if finalizers:
            fresh["finalizers"] = finalizers
        if not data.get("deletionTimestamp"):
            fresh["deletionTimestamp"] = meta.now()
            if resource.bucket != ("", "namespaces") and not is_crd:
                fresh["deletionGracePeriodSeconds"] = 0
            if fresh.get("generation") and not is_crd:
                fresh["generation"] += 1
            if held:
                new["status"] = {**(new.get("status") or {}), "phase": "Terminating"}
            if is_crd:
                new["status"]["conditions"] = [
                    *(new["status"].get("conditions") or ()),
                    {
                        "type": "Terminating",
                        "status": "True",
                        "reason": "InstanceDeletionPending",
                        "message": "CustomResourceDefinition marked for deletion; CustomResource "
                        "deletion will begin soon",
                        "lastTransitionTime": meta.now(),
                    },
                ]
        return old.obj if new == old.obj else new

    def collection(self, call: Call, matching: list[Version]) -> list[Json]:
        wanted = options(call)
        wanted.pop("preconditions", None)
        removed: list[Any] = []
        for version in matching:
            item = {**version.obj, "apiVersion": call.resource.api_version}
            if not call.resource.custom:  # as in any list of built-in objects
                del item["apiVersion"], item["kind"]
            removed.append(item)
            self.one(call.resource, version, wanted)
        return removed


def plural_name(resource: Resource) -> str:
    return qualified(resource.plural, resource.group)
