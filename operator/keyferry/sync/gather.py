"""Reads all that an ExternalSecret asks for and makes one map of it: fetch, convert, validate, decode, merge.

The order and the rules are those of eso-facts 1.7: the entries of ``dataFrom`` one after the other, then those of
``data``; a later one wins. Each store is asked once for all entries together.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from keyferry.api.externalsecret import DataFrom, ExternalSecret, Find, RemoteRef, Rewrite, SecretStoreRef
from keyferry.api.store import SecretStore
from keyferry.errors import BadSpec, BadValue, ClusterUnavailable, KeyferryError, NotThere, Pending, Unreachable
from keyferry.kube.client import ObjectKey
from keyferry.ports import Fetched, Layout, Query, Reading, Ref
from keyferry.shape import decode, extract, keys


class Reader(Protocol):
    """What is needed of ``fetch.Fetcher``."""

    async def layout(self, store: SecretStore) -> Layout:
        """How the store's documents answer a property."""
        ...

    async def read(self, store: SecretStore, caller: str, refs: Sequence[Ref], after: float) -> Reading[Ref]:
        """A document or an error for every ref, read later than ``after``, a moment of the loop's clock."""
        ...

    async def find(self, store: SecretStore, caller: str, query: Query, after: float) -> Reading[str]:
        """A document or an error for every name that matches, listed and read later than that."""
        ...


class Rename(Protocol):
    """Carries out ``rewrite``."""

    async def __call__(
        self, values: Mapping[str, bytes], steps: Sequence[Rewrite]
    ) -> tuple[dict[str, bytes], list[str]]:
        """The values under their new keys, and what to tell of keys that became one."""
        ...


class StoreLookup(Protocol):
    """Finds the store of an entry."""

    def __call__(self, ref: SecretStoreRef) -> SecretStore:
        """The store, if it may be used. Raises a KeyferryError otherwise."""
        ...


Told = Callable[[str, str, Mapping[str, bytes]], None]
"""Hears the place of an entry, a stage, and what the entry gives there: for those who explain."""


@dataclass(slots=True)
class Gathered:
    """The map that was made, the entries that are absent in their store, and what got lost."""

    data: dict[str, bytes] = field(default_factory=dict, repr=False)
    absent: list[str] = field(default_factory=list)
    collisions: list[str] = field(default_factory=list)
    """Keys that a rewrite made one, with different values."""
    as_of: float = float("inf")
    """When the oldest of it began to be read, in seconds of the loop's clock; infinite where nothing was."""


class GatherFailed(Exception):
    """At least one entry could not be had. ``suspects`` are the stores that did not answer."""

    def __init__(self, error: KeyferryError, suspects: tuple[ObjectKey, ...]) -> None:
        super().__init__(str(error))
        self.error = error
        self.suspects = suspects


@dataclass(frozen=True, slots=True)
class _Entry:
    place: str
    store: SecretStore
    wanted: RemoteRef | Find
    secret_key: str = ""
    query: Query | None = None
    rewrite: tuple[Rewrite, ...] = ()

    def ref(self, layout: Layout) -> Ref | None:
        if isinstance(self.wanted, Find):
            return None
        return Ref(
            key=self.wanted.key,
            version=self.wanted.version or "",
            metadata=self.wanted.metadata_policy == "Fetch",
            property=(self.wanted.property or "") if layout.paths == "asked" else "",
        )


@dataclass(slots=True)
class _Answers:
    layout: Layout
    documents: Mapping[Ref, Fetched | KeyferryError]
    found: Mapping[Query, Mapping[str, Fetched | KeyferryError] | KeyferryError]
    as_of: float


async def gather(
    es: ExternalSecret,
    lookup: StoreLookup,
    reader: Reader,
    rename: Rename,
    told: Told = lambda _place, _stage, _values: None,
    *,
    after: float,
) -> Gathered:
    """The data of the ExternalSecret's Secret, before any template.

    All of it was read later than ``after``, a moment of the loop's clock. ``told`` hears of every entry what it gave
    when it was ``read``, ``rewritten`` and ``taken``.

    Raises ``GatherFailed``. An entry that is absent in its store fails under the deletion policy Retain only.
    """
    retain = es.spec.target.deletion_policy == "Retain"
    gathered = Gathered()
    failures: list[KeyferryError] = []
    suspects: list[ObjectKey] = []
    entries = []
    for place, entry in _entries(es, lookup):
        if isinstance(entry, KeyferryError):
            failures.append(_told(place, entry))
        else:
            entries.append(entry)
    answers = {} if failures else await _ask(entries, es.metadata.namespace, reader, after)
    for entry in entries if not failures else ():
        answer = answers[entry.store.metadata.uid]
        try:
            values = _values(entry, answer)
            told(entry.place, "read", values)
            if not entry.secret_key:
                values, lost = await _shaped(values, entry, rename, told)
                gathered.collisions += lost
            gathered.data.update(values)
        except NotThere as error:
            if retain:
                failures.append(_told(entry.place, error.within(_named(entry.store))))
            else:
                gathered.absent.append(entry.place)
        except KeyferryError as error:
            if isinstance(error, Unreachable) and not isinstance(error, ClusterUnavailable):
                suspects.append(_key(entry.store))
            failures.append(_told(entry.place, error.within(_named(entry.store))))
    if failures:
        raise GatherFailed(_first(failures), tuple(dict.fromkeys(suspects)))
    gathered.as_of = min(_moments(answers.values()), default=gathered.as_of)
    return gathered


def _entries(es: ExternalSecret, lookup: StoreLookup) -> list[tuple[str, _Entry | KeyferryError]]:
    """All entries in the order in which they are merged, each with its store or with what is wrong with it."""
    entries: list[tuple[str, _Entry | KeyferryError]] = []
    for number, each in enumerate(es.spec.data_from):
        place = f"spec.dataFrom[{number}]"
        if each.extract is not None:
            place = f"{place}.extract (key: {each.extract.key})"
        elif each.find is not None:
            place = f"{place}.find"
        try:
            entries.append((place, _from_entry(place, each, es, lookup)))
        except KeyferryError as error:
            entries.append((place, error))
    for number, one in enumerate(es.spec.data):
        place = f"spec.data[{number}] (key: {one.remote_ref.key})"
        try:
            if one.source_ref is not None and one.source_ref.generator_ref is not None:
                raise BadSpec("sourceRef.generatorRef makes no single value", remedy="use it in spec.dataFrom")
            store = lookup(_store_ref(one.source_ref.store_ref if one.source_ref else None, es))
            entries.append((place, _Entry(place, store, one.remote_ref, secret_key=one.secret_key)))
        except KeyferryError as error:
            entries.append((place, error))
    return entries


def _from_entry(place: str, each: DataFrom, es: ExternalSecret, lookup: StoreLookup) -> _Entry:
    if each.source_ref is not None and each.source_ref.generator_ref is not None:
        raise BadSpec("sourceRef.generatorRef: generators are not served by this version of Keyferry")
    store = lookup(_store_ref(each.source_ref.store_ref if each.source_ref else None, es))
    if each.extract is not None:
        return _Entry(place, store, each.extract, rewrite=each.rewrite)
    if each.find is None:
        raise BadSpec("it names neither extract nor find", remedy="say what to read")
    pattern = each.find.name.regexp if each.find.name else None
    tags = None if each.find.tags is None else tuple(sorted(each.find.tags.items()))
    query = Query(path=each.find.path, name=pattern, tags=tags, matches=keys.compile_name(pattern or ""))
    return _Entry(place, store, each.find, query=query, rewrite=each.rewrite)


def _store_ref(own: SecretStoreRef | None, es: ExternalSecret) -> SecretStoreRef:
    return es.spec.secret_store_ref if own is None else own


async def _ask(
    entries: Sequence[_Entry], caller: str, reader: Reader, after: float
) -> dict[str, _Answers | KeyferryError]:
    by_store: dict[str, list[_Entry]] = defaultdict(list)
    for entry in entries:
        by_store[entry.store.metadata.uid].append(entry)
    answers = await asyncio.gather(*(_ask_store(group, caller, reader, after) for group in by_store.values()))
    return dict(zip(by_store, answers, strict=True))


async def _ask_store(entries: Sequence[_Entry], caller: str, reader: Reader, after: float) -> _Answers | KeyferryError:
    store = entries[0].store
    queries = list(dict.fromkeys(entry.query for entry in entries if entry.query is not None))
    documents: Mapping[Ref, Fetched | KeyferryError] = {}
    as_of = float("inf")
    try:
        layout = await reader.layout(store)
        refs = [ref for ref in dict.fromkeys(entry.ref(layout) for entry in entries) if ref is not None]
        if refs:
            read = await reader.read(store, caller, refs, after)
            documents, as_of = read.answers, read.as_of
    except KeyferryError as error:
        return error
    found: dict[Query, Mapping[str, Fetched | KeyferryError] | KeyferryError] = {}
    for query in queries:
        try:
            matching = await reader.find(store, caller, query, after)
        except KeyferryError as error:
            found[query] = error
        else:
            found[query], as_of = matching.answers, min(as_of, matching.as_of)
    return _Answers(layout, documents, found, as_of)


def _moments(answers: Iterable[_Answers | KeyferryError]) -> Iterator[float]:
    return (each.as_of for each in answers if isinstance(each, _Answers))


def _values(entry: _Entry, answers: _Answers | KeyferryError) -> dict[str, bytes]:
    """What one entry asks for: a single value decoded under its key, or several as read. Raises a KeyferryError."""
    if isinstance(answers, KeyferryError):
        raise answers.copy()
    wanted = entry.wanted
    if isinstance(wanted, Find):
        return _found(entry, answers)
    ref = entry.ref(answers.layout)
    if ref is None:
        return {}
    document = answers.documents[ref]
    if isinstance(document, KeyferryError):
        raise document.copy()
    if entry.secret_key:
        value = extract.one(document, wanted.property or "", answers.layout, key=wanted.key, metadata=ref.metadata)
        data = {entry.secret_key: decode.decode(value, wanted.decoding_strategy)}
        decode.check_null_bytes(data, wanted.null_byte_policy)
        return data
    return extract.many(document, wanted.property or "", answers.layout, key=wanted.key, metadata=ref.metadata)


def _found(entry: _Entry, answers: _Answers) -> dict[str, bytes]:
    if entry.query is None:
        return {}
    found = answers.found[entry.query]
    if isinstance(found, KeyferryError):
        raise found.copy()
    values = {}
    for name, document in found.items():
        if isinstance(document, NotThere):
            # It went between the listing and the reading.
            continue
        if isinstance(document, KeyferryError):
            raise document.within(f'"{name}"')
        values[name] = extract.one(document, "", answers.layout, key=name)
    return values


async def _shaped(
    values: Mapping[str, bytes], entry: _Entry, rename: Rename, told: Told
) -> tuple[dict[str, bytes], list[str]]:
    """Several values under keys that a Secret can have, decoded; and the keys that a rewrite made one.

    Keys that were rewritten are not converted.
    """
    wanted = entry.wanted
    lost: list[str] = []
    if entry.rewrite:
        values, lost = await rename(values, entry.rewrite)
        told(entry.place, "rewritten", values)
    else:
        values = keys.convert(values, wanted.conversion_strategy)
    named = keys.validate(values)
    decoded = {}
    for key, value in named.items():
        try:
            decoded[key] = decode.decode(value, wanted.decoding_strategy)
        except BadValue as error:
            raise error.within(f'key "{key}"') from None
    decode.check_null_bytes(decoded, wanted.null_byte_policy)
    told(entry.place, "taken", decoded)
    return decoded, [f"{entry.place}: {text}" for text in lost]


def _key(store: SecretStore) -> ObjectKey:
    return ObjectKey(store.kind, store.metadata.namespace, store.metadata.name)


def _named(store: SecretStore) -> str:
    return f'{store.kind} "{store.metadata.name}"'


def _told(place: str, error: KeyferryError) -> KeyferryError:
    """The error as ESO's users know it: which entry, then why."""
    told = error.copy()
    told.message = f"error processing {place}, err: {error.message}"
    return told


def _first(failures: Sequence[KeyferryError]) -> KeyferryError:
    late = next((each for each in failures if isinstance(each, Pending)), None)
    if late is not None or len(failures) == 1:
        return late or failures[0]
    first = failures[0].copy()
    more = f"{len(failures) - 1} more {'entry fails' if len(failures) == 2 else 'entries fail'}"
    first.remedy = f"{first.remedy}; {more}" if first.remedy else more
    return first
