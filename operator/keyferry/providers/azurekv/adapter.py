"""The provider ``azurekv``: one vault, read as one identity."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from keyferry.api.common import Model
from keyferry.errors import Denied, KeyferryError
from keyferry.ports import Capabilities, Context, Fetched, Layout, Query, Ref, Validation
from keyferry.providers.azurekv.config import AzureKVConfig
from keyferry.providers.azurekv.door import Door
from keyferry.providers.azurekv.identity import identity
from keyferry.providers.azurekv.login import Login
from keyferry.providers.azurekv.objects import About, Item, Objects, Target
from keyferry.providers.azurekv.places import places
from keyferry.providers.azurekv.shelf import Shelf
from keyferry.providers.azurekv.wire import Session, Wire

Found = Item | About | KeyferryError


@dataclass(slots=True)
class _Wanted:
    """What is asked of one object."""

    value: bool = False
    metadata: bool = False


class AzureKeyVault:
    """``spec.provider.azurekv``."""

    name: ClassVar[str] = "azurekv"
    label: ClassVar[str] = "Azure/KeyVault"
    capabilities: ClassVar[Capabilities] = Capabilities.READ_ONLY
    layout: ClassVar[Layout] = Layout("text", "path-first", "error")
    Config: ClassVar[type[Model]] = AzureKVConfig

    def __init__(self, door: Door, *, hsm: bool, sorted_keys: bool, shelf: Shelf | None = None) -> None:
        self._door = door
        self._hsm = hsm
        self._objects = Objects(door, sorted_keys=sorted_keys)
        self._shelf = shelf or Shelf()
        self._pages = 1
        """Pages that a listing of the vault's secrets has at least, as far as is known."""
        self._may_list = True

    @classmethod
    async def open(cls, config: Model, context: Context) -> Self:
        """Build the adapter. Resolves every credential, sends nothing to Azure.

        Raises:
            BadSpec: what the store says cannot be, or names what is not there.
            Denied: its author may not reach the address that it names.
            CallerNeeded: credentials are the caller's, and there is none.
        """
        if not isinstance(config, AzureKVConfig):
            raise TypeError(f"expected {AzureKVConfig.__name__}, got {type(config).__name__}")
        where = places(config, context.addresses)
        session = Session(timeout=context.timeout, addresses=context.addresses)
        try:
            who = await identity(
                config, where, store=context.store, credentials=context.credentials, wire=Wire(session)
            )
        except BaseException:
            await session.aclose()
            raise
        login = Login(who, audience=where.audience, observe=context.observe)
        door = Door(where, login, session, context)
        return cls(door, hsm=where.hsm, sorted_keys=bool(config.use_azure_sdk))

    async def read(self, refs: Sequence[Ref]) -> Mapping[Ref, Fetched | KeyferryError]:
        """Read every ref, each object once, several at a time. What is known to be unchanged is not downloaded."""
        answers, _ = await self._read(refs)
        return answers

    async def reread(self, refs: Sequence[Ref], known: Mapping[Ref, Fetched]) -> Mapping[Ref, Fetched | KeyferryError]:
        """See ``Comparer.reread``. A version does not tell whether the secret is still enabled: the shelf decides."""
        answers, recognised = await self._read(refs)
        same = {ref: last for ref, last in known.items() if ref in recognised and last == answers[ref]}
        return {**answers, **same}

    async def _read(self, refs: Sequence[Ref]) -> tuple[dict[Ref, Fetched | KeyferryError], set[Ref]]:
        """An answer per ref, and the refs whose values were not downloaded."""
        answers: dict[Ref, Fetched | KeyferryError] = {}
        targets: dict[Ref, Target] = {}
        wanted: dict[Target, _Wanted] = {}
        for ref in dict.fromkeys(refs):
            try:
                targets[ref] = target = Target.of(ref)
            except KeyferryError as error:
                answers[ref] = error
                continue
            asked = wanted.setdefault(target, _Wanted())
            asked.metadata |= ref.metadata
            asked.value |= not ref.metadata
        found = self._pinned(wanted)
        found |= await self._recognised({each: asked for each, asked in wanted.items() if each not in found})
        recognised = {target for target, item in found.items() if not isinstance(item, KeyferryError)}
        missing = [target for target in wanted if target not in found]
        found |= zip(missing, await asyncio.gather(*map(self._download, missing)), strict=True)
        answers |= {ref: _answer(ref, found[target]) for ref, target in targets.items()}
        return answers, {ref for ref, target in targets.items() if target in recognised}

    async def find(self, query: Query) -> Mapping[str, Ref | Fetched]:
        """Enabled secrets whose name matches and that have all tags; ``path`` is not looked at, as in ESO."""
        listing = await self._objects.secrets()
        self._pages = listing.pages
        tags = dict(query.tags or ())
        found: dict[str, Ref | Fetched] = {}
        for each in listing.entries:
            if each.about.enabled and tags.items() <= each.about.tags.items() and query.matches(each.name):
                known = self._shelf.unchanged(Target("secret", each.name), each.about)
                found[each.name] = Fetched(known.document, known.version) if known else Ref(each.name)
        return found

    async def validate(self) -> Validation:
        """Log in, and see that the vault takes it. What the identity may read is shown by reading it."""
        await self._objects.probe(hsm=self._hsm)
        return Validation.READY

    async def aclose(self) -> None:
        """Forget token and documents, and close the connections. Idempotent."""
        self._shelf.clear()
        await self._door.aclose()

    def _pinned(self, wanted: Mapping[Target, _Wanted]) -> dict[Target, Found]:
        """Objects in a version of their own, which never changes. Their tags do."""
        pinned = (target for target, asked in wanted.items() if target.version and not asked.metadata)
        return {target: item for target in pinned if (item := self._shelf.get(target)) is not None}

    async def _recognised(self, wanted: Mapping[Target, _Wanted]) -> dict[Target, Found]:
        """What a listing can answer, where it takes no more calls than there are downloads to be saved."""
        candidates = {
            target: asked
            for target, asked in wanted.items()
            if target.kind == "secret" and not target.version and (not asked.value or self._shelf.get(target))
        }
        if not self._may_list or len(candidates) < self._pages:
            return {}
        try:
            listing = await self._objects.secrets(pages=len(candidates))
        except Denied:
            # Reading does not need this right.
            self._may_list = False
            return {}
        except KeyferryError as error:
            return dict.fromkeys(candidates, error)
        self._pages = listing.pages if listing.complete else listing.pages + 1
        if not listing.complete:
            return {}
        now = {each.name.lower(): each.about for each in listing.entries}
        found: dict[Target, Found] = {}
        for target, asked in candidates.items():
            about = now.get(target.name.lower())
            if about is None or not about.enabled:
                self._shelf.drop(target)
            elif (known := self._shelf.unchanged(target, about)) is not None:
                found[target] = known
            elif not asked.value:
                found[target] = about
        return found

    async def _download(self, target: Target) -> Found:
        try:
            item = await self._objects.get(target)
        except KeyferryError as error:
            return error
        self._shelf.keep(target, item)
        return item


def _answer(ref: Ref, found: Found) -> Fetched | KeyferryError:
    if isinstance(found, KeyferryError):
        return found.copy()
    if isinstance(found, About):
        return Fetched(found.document())
    return Fetched(found.about.document() if ref.metadata else found.document, found.version)
