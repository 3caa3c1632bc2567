"""Get, list and watch."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable

import orjson

from .calls import Call, flag, number
from .registry import Resource
from .represent import FULL, Shape, converted, encode, listing, table
from .selectors import Predicate, field_selector, label_selector, lookup, parse_fields
from .status import (
    ApiError,
    Json,
    bad_request,
    expired,
    forbidden_field,
    invalid_object,
    not_found,
    unsupported,
)
from .store import Event, Feed, Key, Store, Version


def selection(call: Call) -> Predicate | None:
    labels = label_selector(call.query.get("labelSelector", ""))
    fields = field_selector(call.query.get("fieldSelector", ""), call.resource.fields)
    if labels is None or fields is None:
        return labels or fields
    return lambda obj: labels(obj) and fields(obj)


def one_name(call: Call) -> str:
    """A watch of a single object is indexed by its name, so that 10,000 of them stay cheap."""
    for key, op, value in parse_fields(call.query.get("fieldSelector", "")):
        if key == "metadata.name" and op == "=":
            return value
    return ""


class Reader:
    def __init__(self, store: Store, bookmark_interval: float = 60.0) -> None:
        self.store = store
        self.bookmark_interval = bookmark_interval
        self.hang: Callable[[Call], bool] = lambda call: False

    def get(self, call: Call) -> Json:
        resource = call.resource
        self._not_too_new(call.query.get("resourceVersion", ""))
        space = call.namespace if resource.namespaced else ""
        found = self.store.get(Key(*resource.bucket, space, call.name))
        if found is None:
            raise not_found(resource.plural, resource.group, call.name)
        return converted(resource, found.obj)

    def _not_too_new(self, text: str) -> int:
        revision = _revision(text)
        if revision > self.store.revision:
            text = f"Too large resource version: {revision}, current: {self.store.revision}"
            raise ApiError(
                504,
                "Timeout",
                f"Timeout: {text}",
                {
                    "retryAfterSeconds": 1,
                    "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                },
            )
        return revision

    def versions(self, call: Call) -> list[Version]:
        resource = call.resource
        found = self.store.listing(resource.bucket, call.namespace)
        matches = selection(call)
        if matches is not None:
            found = [v for v in found if matches(v.obj)]
        return found

    def list(self, call: Call, shape: Shape) -> bytes:
        resource = call.resource
        self._check_list(call)
        token, limit = call.query.get("continue", ""), number(call.query, "limit")
        matches = selection(call)
        if token:
            revision, start = _read_token(token)
            found = self.store.snapshots.get((revision, resource.bucket, call.namespace))
            if found is None:
                raise expired(
                    "The provided continue parameter is too old to display a consistent list "
                    "result. You can start a new list without the continue parameter, or use the "
                    "continue token in this response to retrieve the remainder of the results. "
                    "Continuing with the provided token results in an inconsistent list - "
                    "objects that were created, modified, or deleted between the time the first "
                    "chunk was returned and now may show up in the list."
                )
        else:
            self._not_too_new(call.query.get("resourceVersion", ""))
            found, start = self.store.listing(resource.bucket, call.namespace), 0
            revision = self.store.revision
        meta: Json = {"resourceVersion": str(revision)}
        if resource.custom and shape.form == "full":
            meta["continue"] = ""  # lists of custom resources always show it
        page: list[Version] = []
        index = start
        while index < len(found) and (not limit or len(page) < limit):
            if matches is None or matches(found[index].obj):
                page.append(found[index])
            index += 1
        more = index
        if matches is not None:  # a further page exists only if something on it matches
            while more < len(found) and not matches(found[more].obj):
                more += 1
        if limit and more < len(found):
            if not token:
                revision = self.store.snapshot(resource.bucket, call.namespace, found)
            meta["continue"] = _token(revision, index)
            if matches is None:
                meta["remainingItemCount"] = len(found) - index
        return listing(resource, page, shape, meta)

    def _check_list(self, call: Call) -> None:
        match, revision = call.query.get("resourceVersionMatch"), call.query.get("resourceVersion")
        errors = []
        if match and not revision and not flag(call.query, "watch"):
            errors.append(
                forbidden_field(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                )
            )
        if match not in (None, "", "Exact", "NotOlderThan"):
            choices = ["Exact", "NotOlderThan", ""]
            errors.append(unsupported("resourceVersionMatch", match, choices))
        if match == "Exact" and revision == "0":
            errors.append(
                forbidden_field(
                    "resourceVersionMatch",
                    'resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
                )
            )
        if call.query.get("continue") and revision not in (None, "", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        if errors:
            raise invalid_object("ListOptions", "meta.k8s.io", "", errors)
        if match == "Exact" and revision and int(revision) != self.store.revision:
            table_ = self.store.table(call.resource.bucket)
            newest = table_.log[-1].version.rv if table_.log else table_.compacted
            if int(revision) < newest:
                raise expired("The resourceVersion for the provided list is too old.")

    # -- watch ----------------------------------------------------------------------------------

    async def watch(self, call: Call, shape: Shape) -> AsyncIterator[bytes]:
        """Frames of the stream. Raises before the first frame where the real one answers 4xx."""
        resource, store = call.resource, self.store
        matches = selection(call)
        text = call.query.get("resourceVersion", "")
        if text and not text.isdigit():
            raise ApiError(
                500,
                "",
                f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax',
            )
        revision = int(text or 0)
        number(call.query, "timeoutSeconds")
        initial = self._initial_events(call)
        name, space = one_name(call), call.namespace
        if shape.include == "PartialObjectMetadataList":
            # A list's type asked of a watch: the real server accepts it and then has nothing to say.
            return
        framer = _Framer(resource, shape, matches)
        current = store.table(resource.bucket)
        feed = store.subscribe(resource.bucket, space, name)
        bookmarks = flag(call.query, "allowWatchBookmarks")
        try:
            if revision == 0 or initial:
                for version in store.listing(resource.bucket, space):
                    if name in ("", version.key.name) and (matches is None or matches(version.obj)):
                        yield framer.frame("ADDED", version)
                if initial and bookmarks:
                    yield framer.bookmark(store.revision, True)
            elif revision < current.compacted:
                text = f"too old resource version: {revision} ({current.compacted})"
                yield _error(expired(text))
                return
            else:
                feed.pending.extendleft(reversed(store.since(resource.bucket, revision, space, name)))
            async for frame in self._follow(call, feed, framer, bookmarks):
                yield frame
        finally:
            store.unsubscribe(resource.bucket, feed)

    def _initial_events(self, call: Call) -> bool:
        if "sendInitialEvents" not in call.query:
            if call.query.get("resourceVersionMatch"):
                raise invalid_object(
                    "ListOptions",
                    "meta.k8s.io",
                    "",
                    [
                        forbidden_field(
                            "resourceVersionMatch",
                            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                        )
                    ],
                )
            return False
        if call.query.get("resourceVersionMatch") != "NotOlderThan":
            raise invalid_object(
                "ListOptions",
                "meta.k8s.io",
                "",
                [
                    forbidden_field(
                        "resourceVersionMatch",
                        "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                    )
                ],
            )
        return flag(call.query, "sendInitialEvents")

    async def _follow(self, call: Call, feed: Feed, framer: _Framer, bookmarks: bool) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        timeout = number(call.query, "timeoutSeconds")
        end = loop.time() + (timeout or 1800)
        next_mark = min(loop.time() + self.bookmark_interval, end - 2 if timeout > 2 else end)
        while True:
            feed.wake.clear()
            if self.hang(call):
                await asyncio.sleep(0.05)
                if feed.closed:
                    return
                continue
            while feed.pending:
                frame = framer.event(feed.pending.popleft())
                if frame is not None:
                    yield frame
            if feed.closed:
                if feed.closed == "expired":
                    yield _error(expired("too old resource version: the window has moved on"))
                return
            now = loop.time()
            if now >= end:
                return
            if now >= next_mark and bookmarks:
                yield framer.bookmark(self.store.revision, False)
                next_mark = now + self.bookmark_interval
                if next_mark > end - 2:  # one more, shortly before the end, and then no other
                    next_mark = end - 2 if now < end - 2 else end + 1
            wait = min(end, next_mark) - now if bookmarks else end - now
            try:
                async with asyncio.timeout(max(wait, 0.01)):
                    await feed.wake.wait()
            except TimeoutError:
                continue


class _Framer:
    """Turns store events into stream frames, as seen through a selector."""

    def __init__(self, resource: Resource, shape: Shape, matches: Predicate | None) -> None:
        self.resource = resource
        self.shape = shape
        self.matches = matches
        self.headers = shape.form == "table"

    def frame(self, kind: str, version: Version) -> bytes:
        if self.headers:  # the first Table of a stream names the columns
            self.headers = False
            obj = converted(self.resource, version.obj)
            meta = {"resourceVersion": str(version.rv)}
            body = orjson.dumps(table(self.resource, [obj], self.shape, True, meta))
        else:
            body = encode(self.resource, version, self.shape)
        return b'{"type":"' + kind.encode() + b'","object":' + body + b"}\n"

    def event(self, event: Event) -> bytes | None:
        if self.matches is None:
            return self.frame(event.type, event.version)
        # Entering and leaving a selection look like creation and deletion.
        before = event.previous is not None and self.matches(event.previous.obj)
        after = event.type != "DELETED" and self.matches(event.version.obj)
        if after:
            return self.frame("MODIFIED" if before else "ADDED", event.version)
        if not before:
            return None
        assert event.previous is not None
        old = event.previous.obj
        meta = {**old["metadata"], "resourceVersion": str(event.version.rv)}
        last = Version(event.version.key, {**old, "metadata": meta}, event.version.rv)
        return self.frame("DELETED", last)

    def bookmark(self, revision: int, initial: bool) -> bytes:
        meta: Json = {"resourceVersion": str(revision), "creationTimestamp": None}
        if initial:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        obj: Json = {"kind": self.resource.kind, "apiVersion": self.resource.api_version, "metadata": meta}
        if self.shape.form == "partial":
            obj.update(kind="PartialObjectMetadata", apiVersion="meta.k8s.io/v1")
        elif self.shape.form == "table":
            obj = table(self.resource, [], self.shape, False, {"resourceVersion": str(revision)})
        return orjson.dumps({"type": "BOOKMARK", "object": obj}) + b"\n"


def _error(error: ApiError) -> bytes:
    return orjson.dumps({"type": "ERROR", "object": error.body()}) + b"\n"


def _revision(text: str) -> int:
    if not text:
        return 0
    if not text.isdigit():
        raise bad_request(
            f'invalid resource version: resourceVersion: Invalid value: "{text}": '
            f'strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return int(text)


def _token(revision: int, index: int) -> str:
    return (
        base64.urlsafe_b64encode(orjson.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": str(index)}))
        .decode()
        .rstrip("=")
    )


def _read_token(text: str) -> tuple[int, int]:
    try:
        raw = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return int(raw["rv"]), int(raw["start"])
    except (ValueError, KeyError, TypeError):
        raise bad_request("invalid continue token: continue key is not valid") from None


__all__ = ["FULL", "Reader", "lookup", "selection"]
