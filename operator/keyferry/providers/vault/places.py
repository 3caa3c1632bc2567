"""Where a key of a manifest lies on the server (eso-facts 5.5).

With a mount (``path`` of the store) a key is relative to it, and may repeat it: with the mount ``secret``, KV v2, the
keys ``db``, ``secret/db`` and ``secret/data/db`` are one secret. Without a mount, the key's first part is the mount, or
for KV v2 all that stands before ``/data/``.

One key has two readings: ``secret/db`` is also the secret ``secret/db`` *inside* the mount ``secret``. ESO never finds
that one. Here it is the second reading, tried where the first does not exist. Writing the mount twice
(``secret/secret/db``), or in full (``secret/data/secret/db``), names it without doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from keyferry.errors import BadSpec

KVVersion = Literal["v1", "v2"]
_CONTROL = frozenset(map(chr, [*range(32), 127]))
"""What servers refuse in paths."""


@dataclass(frozen=True, slots=True)
class Place:
    """A secret or a folder on the server. ``path`` is "" for the root of the mount."""

    mount: str
    path: str
    version: KVVersion

    @property
    def data(self) -> str:
        """API path of the value."""
        return self._below("data")

    @property
    def metadata(self) -> str:
        """API path of metadata and listings."""
        return self._below("metadata")

    @property
    def parent(self) -> Place:
        """The folder that holds it."""
        return Place(self.mount, self.path.rpartition("/")[0], self.version)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    def child(self, name: str) -> Place:
        """What lies in this folder under a name."""
        return Place(self.mount, f"{self.path}/{name}" if self.path else name, self.version)

    def _below(self, kind: str) -> str:
        return "/".join(part for part in (self.mount, kind if self.version == "v2" else "", self.path) if part)


class Places:
    """The reading of keys for one store."""

    def __init__(self, mount: str | None, version: KVVersion) -> None:
        self._mount = "/".join(_parts(mount or "", "path"))
        self._version: KVVersion = version

    def of(self, key: str) -> tuple[Place, ...]:
        """The readings of a key, likeliest first. Raises ``BadSpec`` where it cannot be a key."""
        return self._of(key, "key")

    def folder(self, path: str | None) -> Place:
        """The folder that ``find.path`` names, or the whole mount. Raises ``BadSpec`` where neither gives a mount."""
        if not self._mount and not path:
            raise BadSpec("find has no mount to look in", remedy="set path of the store, or find.path")
        if not path:
            return Place(self._mount, "", self._version)
        if not self._mount and self._version == "v2":
            # All that a listing returns may be used as a key, so keys of the form mount/data/… are understood.
            path = path if "/data/" in f"{path}/" else path.replace("/metadata/", "/data/", 1)
        return self._of(path, "find.path")[0]

    def key_of(self, place: Place, name: str) -> str:
        """A key whose first reading is ``place``: ``name`` itself wherever that is unambiguous."""
        try:
            if self.of(name)[0] == place:
                return name
        except BadSpec:
            # The name alone has no meaning, as where the store has no mount.
            pass
        return place.data

    def _of(self, key: str, field: str) -> tuple[Place, ...]:
        parts = _parts(key, field)
        if not parts:
            raise BadSpec(f"{field} is empty", remedy="name the secret")
        if self._mount:
            return self._within_mount(parts)
        if self._version == "v2" and "data" in parts[1:]:
            split = parts.index("data", 1)
            return (self._place(parts[:split], parts[split + 1 :]),)
        return (self._place(parts[:1], parts[1:]),)

    def _within_mount(self, parts: list[str]) -> tuple[Place, ...]:
        mount = self._mount.split("/")
        whole = self._place(mount, parts)
        if parts[: len(mount)] != mount or len(parts) == len(mount):
            return (whole,)
        rest = parts[len(mount) :]
        if self._version == "v2" and rest[0] == "data" and len(rest) > 1:
            return (self._place(mount, rest[1:]),)
        return (self._place(mount, rest), whole)

    def _place(self, mount: list[str], path: list[str]) -> Place:
        return Place("/".join(mount), "/".join(path), self._version)


def _parts(path: str, field: str) -> list[str]:
    """The parts of a path, without empty ones, as Go's path.Join leaves them."""
    if not _CONTROL.isdisjoint(path):
        raise BadSpec(f"{field} has a control character in it", remedy="write the path without it")
    parts = [part for part in path.split("/") if part]
    if any(part in {".", ".."} for part in parts):
        # Go's client would resolve them, out of the mount if need be.
        raise BadSpec(f'{field} "{path}" has "." or ".." as a part', remedy="write the path without them")
    return parts


def escaped(path: str) -> str:
    """A path as it is written in a URL."""
    return "/".join(quote(part, safe="") for part in path.split("/"))
