"""Watches that kopf cannot make: by label, or of metadata only, with deletions that no gap can hide.

A reflector lists, then watches from there. It survives what a long-lived stream meets: an API server that restarts, a
window that has passed (410), a stream that falls silent, errors of any status. After a gap it lists again and tells
of objects that went meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from keyferry.kube.client import JSON, METADATA, METADATA_LIST, Kube, ObjectKey, Resource
from keyferry.kubehttp import KubeError
from keyferry.telemetry import get_logger

_log = get_logger(__name__)
_SERVER_TIMEOUT = 290
"""Seconds after which the API server ends a watch; a new one resumes where it ended."""
_BACKOFF_MAX = 30.0
_SHORT = 1.0
"""Seconds below which a watch that ended is taken for one that failed."""
_PATIENCE = 5
"""Failures in a row after which the version is doubted: a restored API server refuses those that it never had."""


class Sink(Protocol):
    """What becomes of objects. All methods are quick and do not wait."""

    def seen(self, key: ObjectKey, body: Mapping[str, Any]) -> None:
        """The object is there: new, changed, or listed again."""
        ...

    def gone(self, key: ObjectKey) -> None:
        """The object is gone."""
        ...

    def known(self, kind: str, namespace: str) -> set[ObjectKey]:
        """The objects that are thought to be there, in a namespace or in all (""), so that a list shows which went."""
        ...


class Reflector:
    """Follows one resource in one namespace, or in all ("")."""

    def __init__(
        self,
        kube: Kube,
        resource: Resource,
        sink: Sink,
        *,
        namespace: str = "",
        label_selector: str = "",
        metadata_only: bool = False,
        idle_timeout: float = 70.0,
        restarted: Callable[[str, str], None] = lambda _resource, _reason: None,
    ) -> None:
        self._kube = kube
        self._resource = resource
        self._sink = sink
        self._namespace = namespace
        self._query = {"labelSelector": label_selector} if label_selector else {}
        self._list_accept = METADATA_LIST if metadata_only else JSON
        self._watch_accept = METADATA if metadata_only else JSON
        self._idle_timeout = idle_timeout
        self._restarted = restarted
        self._version = ""
        self._failures = 0
        self.listed = asyncio.Event()
        """Set once the first list is complete."""

    async def run(self) -> None:
        """Follow until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            try:
                if not self._version:
                    await self._list()
                    self.listed.set()
                await self._watch()
                if clock() - began < _SHORT:
                    await self._pause("Short", 200)
                else:
                    self._failures = 0
            except KubeError as error:
                if error.gone or self._failures >= _PATIENCE:
                    self._version = ""
                await self._pause("Expired" if error.gone else error.reason or "Unreachable", error.status)
            except Exception as error:  # noqa: BLE001 -- whoever ends here leaves a process that is alive and deaf
                # What was missed comes with the next list.
                self._version = ""
                _log.exception("watch failed because of a defect", resource=self._resource.plural)
                await self._pause(type(error).__name__, 0)

    async def _pause(self, reason: str, status: int) -> None:
        self._restarted(self._resource.plural, reason)
        delay = min(_BACKOFF_MAX, 2.0 ** min(self._failures, 5)) * random.uniform(0.5, 1.0)  # noqa: S311 -- jitter
        self._failures += 1
        _log.info(
            "watch interrupted",
            resource=self._resource.plural,
            namespace=self._namespace,
            reason=reason,
            status=status,
            retry_seconds=round(delay, 1),
        )
        await asyncio.sleep(delay)

    async def _list(self) -> None:
        # What is noted from here on, such as writes of our own, the list may be too old to show.
        before = self._sink.known(self._resource.kind, self._namespace)
        found: set[ObjectKey] = set()
        version = ""
        async for page in self._kube.pages(
            self._resource, self._namespace, query=self._query, accept=self._list_accept
        ):
            version = page["metadata"]["resourceVersion"]
            for body in page.get("items") or ():
                key = self._key(body)
                self._sink.seen(key, body)
                found.add(key)
            # A page of many objects is decoded in one go; let the others have a turn.
            await asyncio.sleep(0)
        for key in before - found:
            self._sink.gone(key)
        self._version = version
        self._failures = 0

    async def _watch(self) -> None:
        query = {
            **self._query,
            "watch": "1",
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_SERVER_TIMEOUT),
        }
        stream = self._kube.http.stream(
            self._resource.path(self._namespace),
            query=query,
            accept=self._watch_accept,
            idle_timeout=self._idle_timeout,
        )
        async with contextlib.aclosing(stream) as events:
            async for event in events:
                body = event["object"]
                self._failures = 0
                self._version = body["metadata"]["resourceVersion"]
                if event["type"] == "BOOKMARK":
                    continue
                key = self._key(body)
                if event["type"] == "DELETED":
                    self._sink.gone(key)
                else:
                    self._sink.seen(key, body)

    def _key(self, body: Mapping[str, Any]) -> ObjectKey:
        metadata = body["metadata"]
        return ObjectKey(self._resource.kind, metadata.get("namespace", ""), metadata["name"])


def newer(version: str, than: str) -> bool:
    """Whether a resourceVersion is later than another of the same resource."""
    # Comparable as numbers by the API's own contract (KEP-5504); compared for inequality where they are not.
    if version.isdecimal() and than.isdecimal():
        return int(version) > int(than)
    return version != than
