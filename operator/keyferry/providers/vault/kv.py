"""Reading and listing a KV secrets engine, version 1 or 2 (eso-facts 5.5)."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from keyferry.errors import BadSpec, BadValue, KeyferryError, NotThere, PropertyNotThere
from keyferry.ports import Fetched, Ref
from keyferry.providers.vault.answers import Answer, Purpose
from keyferry.providers.vault.door import Door
from keyferry.providers.vault.places import KVVersion, Place, Places, escaped

_SYSTEM_METADATA = ("created_time", "current_version", "delete_version_after")
"""What ``metadataPolicy: Fetch`` shows besides custom_metadata."""
_NEAREST = 3
"""Names that an error suggests at most."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A secrets engine, as the server describes it."""

    type: str
    version: str


class KV:
    """The secrets of one store."""

    def __init__(self, door: Door, places: Places, version: KVVersion) -> None:
        self._door = door
        self._places = places
        self._version = version
        self._checked: set[str] = set()

    async def fetch(self, ref: Ref) -> Fetched:
        """The document of a ref: the secret's data, or its metadata, as a JSON object.

        Raises:
            BadSpec: a key or version that cannot be, a mount that is not there or of the other version.
            NotThere: no such secret, or it (or the version asked for) is deleted.
            PropertyNotThere: the secret has no such version.
            Denied, Busy, Unreachable: as the server answers.
        """
        if ref.metadata:
            return await self._metadata_document(ref)
        params = self._params(ref)
        places = self._places.of(ref.key)
        for place in places:
            found = await self._read(ref, place, params)
            if found is not None:
                return found
        await self._check_mount(places[0])
        if ref.version:
            await self._tell_newest(ref, places[0])
        raise await self._absent(ref, places[0])

    async def metadata(self, place: Place) -> dict[str, str] | None:
        """Custom metadata and some of the server's own, as text. None where the secret does not exist. KV v2 only."""
        purpose = _reading("metadata of", place.metadata)
        answer = await self._door.ask("ReadSecretData", "get", escaped(place.metadata), purpose=purpose)
        if answer.status == 404:
            return None
        data = answer.section("data")
        found = {name: str(data[name]) for name in _SYSTEM_METADATA if data.get(name) is not None}
        return found | {name: str(value) for name, value in answer.section("data", "custom_metadata").items()}

    async def names(self, folder: Place) -> list[str] | None:
        """What lies in a folder; names of folders end with a slash. None where there is no such folder."""
        purpose = Purpose(
            doing=f'list folder "{folder.metadata}"', denied=f'allow it to list "{folder.metadata}" in a policy'
        )
        return _keys(await self._door.ask("ListSecrets", "list", escaped(folder.metadata), purpose=purpose))

    async def walk(self, folder: Place) -> list[str] | None:
        """The paths of all secrets below a folder, relative to it, in order. None where there is no such folder."""
        names = await self.names(folder)
        if names is None:
            return None
        folders = [name.rstrip("/") for name in names if name.endswith("/")]
        found = [name for name in names if not name.endswith("/")]
        async with asyncio.TaskGroup() as group:
            walks = {name: group.create_task(_outcome(self, folder.child(name))) for name in folders}
        for name, walk in walks.items():
            below = walk.result()
            if isinstance(below, KeyferryError):
                raise below
            # A folder may be gone since it was listed.
            found += [f"{name}/{path}" for path in below or ()]
        return sorted(found)

    async def mount(self, path: str, *, insist: bool = True) -> Mount:
        """The secrets engine that is mounted at a path, or above it."""
        purpose = Purpose(
            doing=f'look at mount "{path}"', denied=f'check path, and that a policy gives access to "{path}"'
        )
        where = f"sys/internal/ui/mounts/{escaped(path)}"
        answer = await self._door.ask("GetMount", "get", where, purpose=purpose, insist=insist)
        version = answer.section("data", "options").get("version") or "1"
        return Mount(type=str(answer.section("data").get("type", "")), version=f"v{version}")

    def mismatch(self, path: str, mount: Mount) -> BadSpec | None:
        """What is wrong with a mount for this store."""
        if mount.type not in {"kv", "generic"}:
            return BadSpec(
                f'mount "{path}" is a secrets engine of type "{mount.type}", not kv', remedy="check path of the store"
            )
        if mount.version != self._version:
            return BadSpec(
                f'mount "{path}" holds KV version {mount.version[1:]}, the store says {self._version}',
                remedy=f"set version: {mount.version}",
            )
        return None

    def _params(self, ref: Ref) -> dict[str, str]:
        if not ref.version:
            return {}
        if self._version == "v1":
            raise BadSpec(f'version "{ref.version}" of "{ref.key}": KV v1 keeps no versions', remedy="remove version")
        if not (ref.version.isascii() and ref.version.isdigit()):
            raise BadSpec(f'version "{ref.version}" of "{ref.key}" is no number', remedy="give the number of a version")
        return {"version": ref.version}

    async def _read(self, ref: Ref, place: Place, params: Mapping[str, str]) -> Fetched | None:
        """The document; None where the server knows of no such secret, or of no such version."""
        purpose = _reading("secret", place.data)
        answer = await self._door.ask("ReadSecretData", "get", escaped(place.data), purpose=purpose, params=params)
        if self._version == "v1":
            if answer.status == 404:
                return None
            return _document(ref, answer.exact().get("data"), "")
        outer, metadata = answer.section("data"), answer.section("data", "metadata")
        if "data" not in outer:
            if answer.status == 404:
                return None
            raise BadSpec(f'"{place.data}" is not read as a KV v2 secret', remedy="check path and version of the store")
        if outer["data"] is None:
            raise _deleted(ref, metadata)
        return _document(ref, answer.exact()["data"]["data"], str(metadata.get("version", "")))

    async def _metadata_document(self, ref: Ref) -> Fetched:
        if self._version == "v1":
            raise BadSpec(
                f'metadata of "{ref.key}": KV v1 keeps no metadata', remedy="remove metadataPolicy: Fetch, or use KV v2"
            )
        places = self._places.of(ref.key)
        for place in places:
            found = await self.metadata(place)
            if found is not None:
                return Fetched(document=orjson.dumps(found), version=found.get("current_version", ""))
        await self._check_mount(places[0])
        raise await self._absent(ref, places[0])

    async def _check_mount(self, place: Place) -> None:
        """Raise ``BadSpec`` where a secret is not found because the store names the wrong KV version.

        Asked once per mount: deletion policies act on secrets that are not there, so it must not be a mistake.
        """
        if place.mount in self._checked:
            return
        try:
            mount = await self.mount(place.mount, insist=False)
        except KeyferryError:
            return
        wrong = self.mismatch(place.mount, mount)
        if wrong is not None:
            raise wrong
        self._checked.add(place.mount)

    async def _tell_newest(self, ref: Ref, place: Place) -> None:
        """Raise ``PropertyNotThere`` where the secret exists and only the version does not."""
        purpose = _reading("secret", place.data)
        answer = await self._door.ask("ReadSecretData", "get", escaped(place.data), purpose=purpose)
        metadata = answer.section("data", "metadata")
        if metadata:
            raise PropertyNotThere(
                f'secret "{ref.key}" has no version {ref.version}', remedy=f"its newest is {metadata.get('version')}"
            )

    async def _absent(self, ref: Ref, place: Place) -> NotThere:
        """The error for a secret that does not exist, with the names that come nearest where they may be listed."""
        try:
            purpose = Purpose(doing="list the folder")
            siblings = _keys(
                await self._door.ask(
                    "ListSecrets", "list", escaped(place.parent.metadata), purpose=purpose, insist=False
                )
            )
        except KeyferryError:
            siblings = None
        nearest = difflib.get_close_matches(place.name, sorted(siblings or ()), _NEAREST)
        folder = ref.key.rstrip("/").rpartition("/")[0]
        prefix = f"{folder}/" if folder else ""
        hint = ", ".join(f'"{prefix}{name}"' for name in nearest)
        return NotThere(
            f'secret "{ref.key}" does not exist in mount "{place.mount}"',
            remedy=f"did you mean {hint}?" if hint else "",
        )


def _reading(kind: str, path: str) -> Purpose:
    return Purpose(
        doing=f'read {kind} "{path}"',
        denied=f'allow it to read "{path}" in a policy, and check that its token is valid',
    )


def _keys(answer: Answer) -> list[str] | None:
    if answer.status == 404:
        return None
    keys = answer.section("data").get("keys")
    return [str(key) for key in keys] if isinstance(keys, list) else []


def _document(ref: Ref, data: Any, version: str) -> Fetched:
    if not isinstance(data, dict):
        raise BadValue(f'secret "{ref.key}" is no map of keys to values')
    return Fetched(document=orjson.dumps(data), version=version)


def _deleted(ref: Ref, metadata: Mapping[str, Any]) -> NotThere:
    version = ref.version or metadata.get("version", "")
    if metadata.get("destroyed"):
        return NotThere(f'version {version} of secret "{ref.key}" is destroyed', remedy="write a new version")
    return NotThere(f'version {version} of secret "{ref.key}" is deleted', remedy="undelete it, or write a new one")


async def _outcome(kv: KV, folder: Place) -> list[str] | KeyferryError | None:
    # As a value, so that one denied folder is told as it is and not as a group of errors.
    try:
        return await kv.walk(folder)
    except KeyferryError as error:
        return error
