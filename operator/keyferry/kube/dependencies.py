"""Who depends on which Secret or ConfigMap, and the watches that tell of their changes.

The watches carry metadata only and select nothing, since an administrator's credentials carry no label of ours. Of all
that passes by, only the objects that a store refers to are remembered, by resourceVersion. A watch starts with the
first reference to its kind.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any

from keyferry.kube.client import CONFIG_MAPS, SECRETS, Kube, ObjectKey
from keyferry.kube.watch import Reflector, newer

_UNREAD = "unread"
"""In place of a resourceVersion: the object is about to be read."""


class Dependencies:
    """Objects that others were built from. ``changed`` is called with each dependent of an object that changed."""

    def __init__(
        self,
        kube: Kube,
        changed: Callable[[ObjectKey], None],
        *,
        namespaces: tuple[str, ...],
        idle_timeout: float,
        restarted: Callable[[str, str], None],
    ) -> None:
        self._kube = kube
        self._changed = changed
        self._namespaces = namespaces
        self._idle_timeout = idle_timeout
        self._restarted = restarted
        self._versions: dict[ObjectKey, str] = {}
        self._dependents: dict[ObjectKey, set[ObjectKey]] = defaultdict(set)
        self._of: dict[ObjectKey, set[ObjectKey]] = defaultdict(set)
        self._stale: set[ObjectKey] = set()
        self._passed = 0
        self._last_change: dict[ObjectKey, int] = {}
        self._watches: dict[str, list[asyncio.Task[None]]] = {}

    def expect(self, dependent: ObjectKey, key: ObjectKey) -> int:
        """``dependent`` is about to read this object: remember what passes by from now on. The answer is a moment."""
        self._versions.setdefault(key, _UNREAD)
        self._dependents[key].add(dependent)
        self._of[dependent].add(key)
        self._start(key.kind)
        return self._passed

    def depend(self, dependent: ObjectKey, key: ObjectKey, version: str, since: int) -> None:
        """``dependent`` was built from this object at this version, "" where it did not exist.

        ``since`` is what ``expect`` answered before the object was read.
        """
        passed = self._versions.get(key, _UNREAD)
        if self._last_change.get(key, 0) > since and bool(version) is not bool(passed):
            # It came or went while we read, and no version says which was first: read again.
            self._wake(dependent)
        elif passed == _UNREAD or newer(version, passed):
            self._versions[key] = version
        elif version != passed:
            # It changed between our read and this call.
            self._wake(dependent)

    async def look_for(self, dependent: ObjectKey, secret: ObjectKey) -> None:
        """Find out whether a Secret is there, and look out for it from now on; nothing where ``dependent`` does so.

        Raises what reading it raises.
        """
        if secret in self.of(dependent):
            return
        since = self.expect(dependent, secret)
        found = await self._kube.get(SECRETS, secret.namespace, secret.name)
        self.depend(dependent, secret, found["metadata"]["resourceVersion"] if found else "", since)

    def is_absent(self, key: ObjectKey) -> bool:
        """Whether the object was looked for and not found, and has not come since."""
        return self._versions.get(key) == ""

    def awaits(self, dependent: ObjectKey, key: ObjectKey) -> bool:
        """Whether ``dependent`` looked for the object, did not find it, and is woken when it comes."""
        return self.is_absent(key) and key in self._of.get(dependent, ())

    def is_at(self, key: ObjectKey, version: str) -> bool:
        """Whether the object is still what it was at this version, as far as anybody has seen."""
        return self._versions.get(key) == version

    def is_unread(self, key: ObjectKey) -> bool:
        """Whether nobody knows the object's version yet."""
        return self._versions.get(key, _UNREAD) == _UNREAD

    def of(self, dependent: ObjectKey) -> frozenset[ObjectKey]:
        """The objects that ``dependent`` was built from."""
        return frozenset(self._of.get(dependent, ()))

    def is_stale(self, dependent: ObjectKey) -> bool:
        """Whether an object that ``dependent`` was built from has changed since ``renew``."""
        return dependent in self._stale

    def renew(self, dependent: ObjectKey) -> None:
        """``dependent`` is about to be built anew."""
        self._stale.discard(dependent)

    def forget(self, dependent: ObjectKey) -> None:
        """``dependent`` is gone."""
        self._stale.discard(dependent)
        self.keep(dependent, ())

    def keep(self, dependent: ObjectKey, keys: Collection[ObjectKey]) -> None:
        """``dependent`` was built from nothing but these."""
        for key in self.of(dependent) - set(keys):
            self._of[dependent].discard(key)
            self._dependents[key].discard(dependent)
            if not self._dependents[key]:
                del self._dependents[key]
                self._versions.pop(key, None)
                self._last_change.pop(key, None)
        if not self.of(dependent):
            self._of.pop(dependent, None)

    def seen(self, key: ObjectKey, body: Mapping[str, Any]) -> None:
        """See ``watch.Sink``."""
        known = self._versions.get(key)
        version: str = body["metadata"]["resourceVersion"]
        if known is None or (known not in {"", _UNREAD} and not newer(version, known)):
            return
        self._pass(key, version)
        if known != _UNREAD:
            self._tell(key)

    def gone(self, key: ObjectKey) -> None:
        """See ``watch.Sink``."""
        known = self._versions.get(key)
        if known:
            self._pass(key, "")
            if known != _UNREAD:
                self._tell(key)

    def known(self, kind: str, namespace: str) -> set[ObjectKey]:
        """See ``watch.Sink``."""
        there = (key for key, version in self._versions.items() if version and key.kind == kind)
        return {key for key in there if namespace in {"", key.namespace}}

    async def aclose(self) -> None:
        """End the watches."""
        tasks = [task for started in self._watches.values() for task in started]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _pass(self, key: ObjectKey, version: str) -> None:
        self._passed += 1
        self._last_change[key] = self._passed
        self._versions[key] = version

    def _tell(self, key: ObjectKey) -> None:
        for dependent in tuple(self._dependents.get(key, ())):
            self._wake(dependent)

    def _wake(self, dependent: ObjectKey) -> None:
        self._stale.add(dependent)
        self._changed(dependent)

    def _start(self, kind: str) -> None:
        if kind in self._watches or kind not in {"Secret", "ConfigMap"}:
            return
        resource = SECRETS if kind == "Secret" else CONFIG_MAPS
        self._watches[kind] = [
            asyncio.create_task(
                Reflector(
                    self._kube,
                    resource,
                    self,
                    namespace=namespace,
                    metadata_only=True,
                    idle_timeout=self._idle_timeout,
                    restarted=self._restarted,
                ).run(),
                name=f"watch {resource.plural} {namespace or 'everywhere'}",
            )
            for namespace in self._namespaces or ("",)
        ]
