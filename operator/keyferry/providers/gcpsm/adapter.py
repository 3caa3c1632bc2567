"""The provider ``gcpsm``."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import ClassVar, Final, Self

from google.cloud.secretmanager_v1 import types as sm
from google.iam.v1.iam_policy_pb2 import TestIamPermissionsRequest

from keyferry.api.common import Model
from keyferry.errors import BadSpec, KeyferryError, PropertyNotThere
from keyferry.ports import Capabilities, Context, Fetched, Layout, Query, Ref, Validation
from keyferry.providers.gcpsm.answers import Purpose, VersionOff, not_google
from keyferry.providers.gcpsm.config import GcpsmConfig
from keyferry.providers.gcpsm.door import Door
from keyferry.providers.gcpsm.logins import login_of, project_of
from keyferry.providers.gcpsm.places import LATEST, Place, last_part
from keyferry.providers.gcpsm.session import Session, first_page_of
from keyferry.providers.gcpsm.sites import Sites
from keyferry.providers.gcpsm.tokens import Tokens

_POLICIES: Final = ("LatestOrFail", "LatestOrFetch")
_PLAIN: Final = re.compile(r"[\w-]+")
"""What may stand in a filter as it is."""
_HTML: Final = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
"""What Go writes differently in JSON."""


class Gcpsm:
    """``spec.provider.gcpsm``."""

    name: ClassVar[str] = "gcpsm"
    label: ClassVar[str] = "GCP/SecretManager"
    capabilities: ClassVar[Capabilities] = Capabilities.READ_ONLY
    layout: ClassVar[Layout] = Layout("text", "literal-first", "error")
    Config: ClassVar[type[Model]] = GcpsmConfig

    def __init__(self, place: Place, session: Session, tokens: Tokens, door: Door, *, fetch_enabled: bool) -> None:
        """``fetch_enabled``: the newest enabled version stands in for a newest one that is disabled or destroyed."""
        self._place = place
        self._session = session
        self._tokens = tokens
        self._door = door
        self._fetch_enabled = fetch_enabled

    @classmethod
    async def open(cls, config: Model, context: Context, *, sites: Sites | None = None) -> Self:
        """Build the adapter. Resolves every credential; asks the metadata server for what the store leaves to it.

        ``sites`` is where Google's hosts are; left out, the process's environment says it.

        Raises:
            BadSpec: what the store says cannot be, or names what is not there.
            CallerNeeded: credentials are the caller's, and there is none.
            Unreachable: the metadata server does not answer.
        """
        if not isinstance(config, GcpsmConfig):
            raise TypeError(f"expected GcpsmConfig, got {type(config).__name__}")
        policy = config.secret_version_selection_policy or _POLICIES[0]
        if policy not in _POLICIES:
            raise BadSpec(
                "secretVersionSelectionPolicy is none of Google's provider", remedy=f"use {' or '.join(_POLICIES)}"
            )
        sites = sites or Sites.of(os.environ)
        door = Door(sites, timeout=context.timeout)
        try:
            tokens = Tokens(await login_of(config, context, sites, door), door, timeout=context.timeout)
            await tokens.prepare()
            place = Place(await project_of(config, door), config.location or "")
        except BaseException:
            door.close()
            raise
        session = Session(place.host, sites, tokens, context)
        return cls(place, session, tokens, door, fetch_enabled=policy == "LatestOrFetch")

    async def read(self, refs: Sequence[Ref]) -> Mapping[Ref, Fetched | KeyferryError]:
        """Read every ref, each once, several at a time: Secret Manager reads one secret per call."""
        unique = list(dict.fromkeys(refs))
        answers = await asyncio.gather(*(self._answer(ref) for ref in unique))
        return dict(zip(unique, answers, strict=True))

    async def find(self, query: Query) -> Mapping[str, Ref | Fetched]:
        """The secrets whose name matches, or that have all labels; ``path`` is how their names have to begin.

        As in ESO, tags are looked at only where no name is asked for. What can be said in Google's filter is filtered
        there, and everything again here: a filter's ``:`` finds parts of names in any case.
        """
        by_name = query.name is not None
        tags = {} if by_name else dict(query.tags or ())
        if not by_name and not tags:
            raise BadSpec("find names neither name nor tags", remedy="say what to look for")
        terms = [f"labels.{key}={value}" for key, value in tags.items() if _plain(key, value)]
        if query.path and _plain(query.path):
            terms.append(f"name:{query.path}")
        found: dict[str, Ref | Fetched] = {}
        async for secret in self._listed(" AND ".join(terms)):
            name = last_part(secret.name)
            labelled = tags.items() <= dict(secret.labels).items()
            if name.startswith(query.path or "") and labelled and (not by_name or query.matches(name)):
                found[name] = Ref(name)
        return found

    async def validate(self) -> Validation:
        """Log in, and ask Secret Manager what may be done with a secret; that takes no right, and no secret.

        Rights are given per secret, so that nothing follows from having none here.
        """
        request = TestIamPermissionsRequest(
            resource=self._place.secret("keyferry"), permissions=["secretmanager.versions.access"]
        )
        purpose = self._purpose("ask for the rights of the store's identity")
        method = self._session.client.test_iam_permissions
        await self._session.ask("TestIamPermissions", method, request, purpose)
        return Validation.READY

    async def aclose(self) -> None:
        """Close the channel and the connections. Idempotent."""
        await self._tokens.aclose()
        await self._session.aclose()
        self._door.close()

    async def _answer(self, ref: Ref) -> Fetched | KeyferryError:
        try:
            return await (self._metadata(ref.key) if ref.metadata else self._value(ref.key, ref.version))
        except KeyferryError as error:
            return error.copy()

    async def _value(self, key: str, version: str) -> Fetched:
        asked = version or LATEST
        try:
            return await self._version(key, asked)
        except VersionOff:
            if asked != LATEST or not self._fetch_enabled:
                raise
        return await self._version(key, await self._newest_enabled(key))

    async def _version(self, key: str, version: str) -> Fetched:
        request = sm.AccessSecretVersionRequest(name=self._place.version(key, version))
        answer: sm.AccessSecretVersionResponse = await self._session.ask(
            "AccessSecretVersion",
            self._session.client.access_secret_version,
            request,
            self._purpose(f'read secret "{key}"', "roles/secretmanager.secretAccessor", key, version),
        )
        if not answer.name:
            raise not_google(self._session.host)
        return Fetched(answer.payload.data, version=last_part(answer.name))

    async def _newest_enabled(self, key: str) -> str:
        """The number of the newest version that is enabled: Google lists versions from the newest on."""
        purpose = self._purpose(f'list the versions of secret "{key}"', "roles/secretmanager.viewer", key)
        token = ""
        while True:
            request = sm.ListSecretVersionsRequest(
                parent=self._place.secret(key), filter="state:ENABLED", page_token=token
            )
            page: sm.ListSecretVersionsResponse = await self._session.ask(
                "ListSecretVersions", first_page_of(self._session.client.list_secret_versions), request, purpose
            )
            if page.versions:
                return last_part(page.versions[0].name)
            token = page.next_page_token
            if not token:
                raise PropertyNotThere(f'secret "{key}" has no enabled version', remedy="enable one, or add one")

    async def _metadata(self, key: str) -> Fetched:
        """Annotations and labels, as ESO writes them: sorted, and null where there are none."""
        secret: sm.Secret = await self._session.ask(
            "GetSecret",
            self._session.client.get_secret,
            sm.GetSecretRequest(name=self._place.secret(key)),
            self._purpose(f'read the metadata of secret "{key}"', "roles/secretmanager.viewer", key),
        )
        if not secret.name:
            raise not_google(self._session.host)
        document = {"annotations": dict(secret.annotations) or None, "labels": dict(secret.labels) or None}
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        return Fetched(text.translate(_HTML).encode(), version=secret.etag.strip('"'))

    async def _listed(self, terms: str) -> AsyncIterator[sm.Secret]:
        """All secrets that a filter lets through, page by page."""
        purpose = self._purpose("list secrets", "roles/secretmanager.viewer")
        token = ""
        while True:
            request = sm.ListSecretsRequest(parent=self._place.parent, filter=terms, page_token=token)
            page: sm.ListSecretsResponse = await self._session.ask(
                "ListSecrets", first_page_of(self._session.client.list_secrets), request, purpose
            )
            for secret in page.secrets:
                yield secret
            token = page.next_page_token
            if not token:
                return

    def _purpose(
        self, doing: str, role: str = "roles/secretmanager.secretAccessor", secret: str = "", version: str = ""
    ) -> Purpose:
        return Purpose(doing=doing, place=str(self._place), role=role, secret=secret, version=version)


def _plain(*texts: str) -> bool:
    return all(_PLAIN.fullmatch(text) for text in texts)
