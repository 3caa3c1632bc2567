"""Checks on a whole request, before the object's own validation."""

from __future__ import annotations

from .calls import Call
from .status import Json, forbidden, not_found
from .store import Key, Store


def admit_namespace(store: Store, call: Call, obj: Json) -> None:
    """NamespaceLifecycle: nothing new in a namespace that is absent or going."""
    if not call.resource.namespaced:
        return
    space = store.get(Key("", "namespaces", "", call.namespace))
    if space is None:
        raise not_found("namespaces", "", call.namespace)
    if not space.obj["metadata"].get("deletionTimestamp"):
        return
    why = f"unable to create new content in namespace {call.namespace} because it is being terminated"
    error = forbidden(call.resource.plural, call.resource.group, obj["metadata"].get("name", ""), why)
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {call.namespace} is being terminated",
        "field": "metadata.namespace",
    }
    error.details = {**(error.details or {}), "causes": [cause]}
    raise error
