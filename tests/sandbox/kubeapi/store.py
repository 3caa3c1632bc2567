"""Objects in memory: one global revision, an index by namespace, and a bounded log per resource.

Stored objects are never mutated. A version is serialised at most once per representation, and all
watchers share the bytes; that is what keeps 10,000 objects with several watchers linear.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from .status import Json

EventType = Literal["ADDED", "MODIFIED", "DELETED"]
Bucket = tuple[str, str]  # (group, plural)


class Key(NamedTuple):
    group: str
    plural: str
    namespace: str
    name: str

    @property
    def bucket(self) -> Bucket:
        return (self.group, self.plural)


@dataclass(slots=True, eq=False)
class Version:
    """One immutable version of one object, with its encodings."""

    key: Key
    obj: Json
    rv: int
    encoded: dict[str, bytes] = field(default_factory=dict)


class Event(NamedTuple):
    type: EventType
    version: Version
    previous: Version | None


@dataclass(slots=True, eq=False)
class Feed:
    """What one watcher has yet to send."""

    namespace: str
    name: str
    pending: deque[Event] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    closed: str = ""  # "" while open; "expired", "gone" or "drop" say how to end


@dataclass(slots=True, eq=False)
class Table:
    """All objects of one resource."""

    by_namespace: dict[str, dict[str, Version]] = field(default_factory=dict)
    log: deque[Event] = field(default_factory=deque)
    compacted: int = 0  # events up to this revision are forgotten
    feeds: set[Feed] = field(default_factory=set)

    def __len__(self) -> int:
        return sum(len(names) for names in self.by_namespace.values())


class Store:
    def __init__(self, window: int = 20_000) -> None:
        self.revision = 100
        self.window = window
        self.tables: dict[Bucket, Table] = {}
        self.dropped: set[Bucket] = set()
        self.hooks: list[Callable[[Event], None]] = []
        # Every version a Secret ever had, so that a test can prove that none was ever emptied.
        self.secret_history: dict[tuple[str, str], list[tuple[int, EventType, Json]]] = {}
        # Snapshots that `continue` tokens point into, oldest first.
        self.snapshots: dict[tuple[int, Bucket, str], list[Version]] = {}

    def table(self, bucket: Bucket) -> Table:
        found = self.tables.get(bucket)
        if found is None:
            # A CRD that comes back starts a new history: the old one's revisions are too old.
            past = self.revision if bucket in self.dropped else 0
            found = self.tables[bucket] = Table(compacted=past)
        return found

    def get(self, key: Key) -> Version | None:
        table = self.tables.get(key.bucket)
        if table is None:
            return None
        return table.by_namespace.get(key.namespace, {}).get(key.name)

    def put(self, key: Key, obj: Json) -> Version:
        """Write one version. The caller hands the object over and must not touch it again."""
        table = self.table(key.bucket)
        names = table.by_namespace.setdefault(key.namespace, {})
        previous = names.get(key.name)
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        version = Version(key, obj, self.revision)
        names[key.name] = version
        self._publish(table, Event("MODIFIED" if previous else "ADDED", version, previous))
        return version

    def remove(self, key: Key, last: Json | None = None) -> Version:
        table = self.table(key.bucket)
        names = table.by_namespace[key.namespace]
        previous = names.pop(key.name)
        if not names:
            del table.by_namespace[key.namespace]
        self.revision += 1
        base = last if last is not None else previous.obj
        meta = {**base["metadata"], "resourceVersion": str(self.revision)}
        version = Version(key, {**base, "metadata": meta}, self.revision)
        self._publish(table, Event("DELETED", version, previous))
        return version

    def drop_table(self, bucket: Bucket) -> None:
        table = self.tables.pop(bucket, None)
        self.dropped.add(bucket)
        if table is not None:
            for feed in table.feeds:
                feed.closed = feed.closed or "gone"
                feed.wake.set()

    def _publish(self, table: Table, event: Event) -> None:
        key = event.version.key
        table.log.append(event)
        while len(table.log) > self.window:
            table.compacted = table.log.popleft().version.rv
        if key.bucket == ("", "secrets"):
            past = self.secret_history.setdefault((key.namespace, key.name), [])
            past.append((event.version.rv, event.type, event.version.obj))
        for feed in table.feeds:
            if feed.namespace and feed.namespace != key.namespace:
                continue
            if feed.name and feed.name != key.name:
                continue
            feed.pending.append(event)
            feed.wake.set()
        for hook in self.hooks:
            hook(event)

    def listing(self, bucket: Bucket, namespace: str = "") -> list[Version]:
        """In etcd's order: by namespace, then name."""
        table = self.tables.get(bucket)
        if table is None:
            return []
        spaces = [namespace] if namespace else sorted(table.by_namespace)
        found: list[Version] = []
        for space in spaces:
            names = table.by_namespace.get(space, {})
            found.extend(names[name] for name in sorted(names))
        return found

    def iterate(self) -> Iterator[Version]:
        for table in list(self.tables.values()):
            for names in list(table.by_namespace.values()):
                yield from list(names.values())

    def in_namespace(self, namespace: str) -> list[Version]:
        return [
            version
            for table in list(self.tables.values())
            for version in list(table.by_namespace.get(namespace, {}).values())
        ]

    def subscribe(self, bucket: Bucket, namespace: str, name: str) -> Feed:
        feed = Feed(namespace, name)
        self.table(bucket).feeds.add(feed)
        return feed

    def unsubscribe(self, bucket: Bucket, feed: Feed) -> None:
        table = self.tables.get(bucket)
        if table is not None:
            table.feeds.discard(feed)

    def since(self, bucket: Bucket, revision: int, namespace: str, name: str) -> list[Event]:
        """Events after a revision. The caller has checked `compacted`."""
        newer: list[Event] = []
        for event in reversed(self.table(bucket).log):
            if event.version.rv <= revision:
                break
            key = event.version.key
            if namespace in ("", key.namespace) and name in ("", key.name):
                newer.append(event)
        newer.reverse()
        return newer

    def snapshot(self, bucket: Bucket, namespace: str, versions: list[Version]) -> int:
        """Keep a listing for its later pages; the oldest listings expire first."""
        self.snapshots[(self.revision, bucket, namespace)] = versions
        while len(self.snapshots) > 256:
            del self.snapshots[next(iter(self.snapshots))]
        return self.revision

    def expire(self) -> None:
        """Forget all history: every revision handed out so far is now too old."""
        self.revision += 1000
        self.snapshots.clear()
        for table in self.tables.values():
            table.log.clear()
            table.compacted = self.revision
            for feed in table.feeds:
                feed.closed = feed.closed or "expired"
                feed.wake.set()
