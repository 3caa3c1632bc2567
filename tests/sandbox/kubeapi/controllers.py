"""What kube-controller-manager does in a cluster: namespaces, garbage, default accounts.

An envtest control plane has none of this, hence the switch. CRD bookkeeping is the API server's
own and always on.
"""

from __future__ import annotations

import asyncio
import contextlib

from . import crds, meta
from .deletes import Deleter
from .registry import Registry, Resource
from .schema import clone
from .status import ApiError, Json
from .store import Event, Key, Store, Version

CRDS = ("apiextensions.k8s.io", "customresourcedefinitions")
_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
SPACES = ("", "namespaces")


class CrdController:
    """Keeps the registry in step with the stored CRDs, within the writing request."""

    def __init__(self, store: Store, registry: Registry, deleter: Deleter) -> None:
        self.store, self.registry, self.deleter = store, registry, deleter
        self.ending: dict[tuple[str, str], Key] = {}
        store.hooks.append(self.on_event)

    def on_event(self, event: Event) -> None:
        key = event.version.key
        if key.bucket == CRDS:
            if event.type == "DELETED":
                self._gone(event.version.obj)
            else:
                self._changed(event.version)
        elif event.type == "DELETED" and key.bucket in self.ending:
            self._finish(key.bucket)

    def _changed(self, version: Version) -> None:
        obj = version.obj
        if obj["metadata"].get("deletionTimestamp"):
            self._end(version)
            return
        settled = crds.conditions(obj, self.registry)
        if settled != obj:
            self.store.put(version.key, settled)  # comes back here, settled
            return
        if crds.is_established(obj):
            crds.install(self.registry, obj)
            # Its history begins now, not with its first object.
            self.store.table((obj["spec"]["group"], obj["spec"]["names"]["plural"]))

    def _end(self, version: Version) -> None:
        spec = version.obj["spec"]
        bucket = (spec["group"], spec["names"]["plural"])
        if bucket in self.ending or _CLEANUP not in version.obj["metadata"].get("finalizers", ()):
            return
        self.ending[bucket] = version.key
        resource = self.registry.of_bucket(bucket)
        if resource is not None:
            for instance in self.store.listing(bucket):
                self.deleter.one(resource, instance, {})
        self._finish(bucket)

    def _finish(self, bucket: tuple[str, str]) -> None:
        if len(self.store.table(bucket)):
            return
        key = self.ending.pop(bucket, None)
        found = self.store.get(key) if key is not None else None
        if key is None or found is None:
            return
        obj: Json = clone(found.obj)
        left = [f for f in obj["metadata"].get("finalizers", ()) if f != _CLEANUP]
        obj["metadata"]["finalizers"] = left
        if left:
            self.store.put(key, obj)
        else:
            del obj["metadata"]["finalizers"]
            self.store.remove(key, obj)

    def _gone(self, obj: Json) -> None:
        spec = obj["spec"]
        self.registry.drop(spec["group"], spec["names"]["plural"])
        self.store.drop_table((spec["group"], spec["names"]["plural"]))


class Controllers:
    """Namespace deletion, the garbage collector and every namespace's default contents."""

    def __init__(
        self, store: Store, registry: Registry, deleter: Deleter, ca_pem: str, errors: list[Exception]
    ) -> None:
        self.errors = errors
        self.store, self.registry, self.deleter = store, registry, deleter
        self.ca_pem = ca_pem
        self.dependents: dict[str, set[Key]] = {}  # owner's uid to its dependents
        self.uids: dict[str, Key] = {}
        self.ending: set[str] = set()
        self.queue: asyncio.Queue[Event] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None
        store.hooks.append(self.queue.put_nowait)
        for version in store.iterate():
            self.uids[version.obj["metadata"]["uid"]] = version.key

    def start(self) -> None:
        self.task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task

    async def _run(self) -> None:
        while True:
            event = await self.queue.get()
            try:
                self._handle(event)
            except ApiError:
                continue  # lost a race with a client; a further event follows
            except Exception as exc:  # noqa: BLE001 - a bug of ours must be seen, not end the worker
                self.errors.append(exc)

    def _handle(self, event: Event) -> None:
        key, data = event.version.key, event.version.obj["metadata"]
        uid = data["uid"]
        owners = data.get("ownerReferences") or ()
        if event.type == "DELETED":
            self.uids.pop(uid, None)
            for ref in owners:
                self.dependents.get(ref["uid"], set()).discard(key)
            for dependent in list(self.dependents.pop(uid, ())):
                self._collect(dependent)
            for ref in owners:
                self._foreground(ref["uid"])
            if key.namespace in self.ending:
                self._empty(key.namespace)
            return
        self.uids[uid] = key
        before = event.previous.obj["metadata"].get("ownerReferences") if event.previous else ()
        for ref in before or ():
            self.dependents.get(ref["uid"], set()).discard(key)
        for ref in owners:
            self.dependents.setdefault(ref["uid"], set()).add(key)
        if owners:
            self._collect(key)
        if data.get("deletionTimestamp"):
            if "orphan" in data.get("finalizers", ()):
                self._orphan(uid, key)
            self._foreground(uid)
        if key.bucket == SPACES:
            self._namespace(key.name, event.version)

    # -- garbage --------------------------------------------------------------------------------

    def _resource(self, key: Key) -> Resource | None:
        return self.registry.of_bucket(key.bucket)

    def _alive(self, ref: Json, namespace: str) -> bool:
        """An owner counts by uid, and only within reach of its dependent."""
        key = self.uids.get(ref["uid"])
        if key is None or self.store.get(key) is None:
            resource = self.registry.by_kind(ref["apiVersion"], ref["kind"])
            return resource is None  # an unknown kind may come back: the real collector waits
        return key.namespace in ("", namespace) and key.name == ref["name"]

    def _collect(self, key: Key) -> None:
        found, resource = self.store.get(key), self._resource(key)
        if found is None or resource is None:
            return
        data = found.obj["metadata"]
        refs = data.get("ownerReferences") or []
        if not refs or data.get("deletionTimestamp"):
            return
        solid = [r for r in refs if self._alive(r, key.namespace)]
        if not solid:
            self.deleter.one(resource, found, {"propagationPolicy": "Background"})
        elif len(solid) < len(refs):
            obj: Json = clone(found.obj)
            obj["metadata"]["ownerReferences"] = solid
            self.store.put(key, obj)

    def _orphan(self, uid: str, key: Key) -> None:
        for dependent in list(self.dependents.get(uid, ())):
            found = self.store.get(dependent)
            if found is None:
                continue
            obj: Json = clone(found.obj)
            left = [r for r in obj["metadata"].get("ownerReferences", ()) if r["uid"] != uid]
            if left:
                obj["metadata"]["ownerReferences"] = left
            else:
                obj["metadata"].pop("ownerReferences", None)
            self.store.put(dependent, obj)
        self.dependents.pop(uid, None)
        self._release(key, "orphan")

    def _foreground(self, uid: str) -> None:
        key = self.uids.get(uid)
        found = self.store.get(key) if key is not None else None
        if key is None or found is None:
            return
        data = found.obj["metadata"]
        if "foregroundDeletion" not in data.get("finalizers", ()):
            return
        waiting = False
        for dependent in list(self.dependents.get(uid, ())):
            child, resource = self.store.get(dependent), self._resource(dependent)
            if child is None or resource is None:
                continue
            if not child.obj["metadata"].get("deletionTimestamp"):
                self.deleter.one(resource, child, {"propagationPolicy": "Foreground"})
            blocks = any(
                r["uid"] == uid and r.get("blockOwnerDeletion")
                for r in child.obj["metadata"].get("ownerReferences", ())
            )
            waiting = waiting or (blocks and self.store.get(dependent) is not None)
        if not waiting:
            self._release(key, "foregroundDeletion")

    def _release(self, key: Key, finalizer: str) -> None:
        found = self.store.get(key)
        if found is None:
            return
        obj: Json = clone(found.obj)
        left = [f for f in obj["metadata"].get("finalizers", ()) if f != finalizer]
        if left:
            obj["metadata"]["finalizers"] = left
            self.store.put(key, obj)
        else:
            obj["metadata"].pop("finalizers", None)
            self.store.remove(key, obj)

    # -- namespaces -----------------------------------------------------------------------------

    def _namespace(self, name: str, version: Version) -> None:
        if version.obj["metadata"].get("deletionTimestamp"):
            self.ending.add(name)
            for child in self.store.in_namespace(name):
                resource = self._resource(child.key)
                if resource is not None:
                    self.deleter.one(resource, child, {"propagationPolicy": "Background"})
            self._empty(name)
        else:
            furnish(self.store, name, self.ca_pem)

    def _empty(self, name: str) -> None:
        key = Key("", "namespaces", "", name)
        found = self.store.get(key)
        if found is None or self.store.in_namespace(name):
            return
        self.ending.discard(name)
        obj: Json = clone(found.obj)
        obj["spec"] = {}
        if obj["metadata"].get("finalizers"):
            self.store.put(key, obj)
        else:
            self.store.remove(key, obj)


def furnish(store: Store, namespace: str, ca_pem: str) -> None:
    """Every namespace has a default account and the cluster's CA certificate."""
    for plural, kind, name, more in (
        ("serviceaccounts", "ServiceAccount", "default", {}),
        ("configmaps", "ConfigMap", "kube-root-ca.crt", {"data": {"ca.crt": ca_pem}}),
    ):
        key = Key("", plural, namespace, name)
        if store.get(key) is None:
            data = {"name": name, "namespace": namespace, "uid": meta.new_uid(), "creationTimestamp": meta.now()}
            store.put(key, {"apiVersion": "v1", "kind": kind, "metadata": data, **more})


def create_namespace(store: Store, name: str) -> None:
    data: Json = {
        "name": name,
        "uid": meta.new_uid(),
        "creationTimestamp": meta.now(),
        "labels": {"kubernetes.io/metadata.name": name},
    }
    store.put(
        Key("", "namespaces", "", name),
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": data,
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        },
    )
