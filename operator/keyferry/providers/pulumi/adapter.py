"""The provider: an environment opened once for all keys that are asked for together."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Self

from keyferry import transport
from keyferry.api.common import Model
from keyferry.errors import BadSpec, KeyferryError, NotThere
from keyferry.jsonhttp import JsonHttp
from keyferry.ports import Capabilities, Context, Fetched, Layout, Ref, Validation
from keyferry.providers.pulumi.api import Api
from keyferry.providers.pulumi.config import DEFAULT_API_URL, PulumiConfig
from keyferry.providers.pulumi.login import login_of
from keyferry.providers.pulumi.paths import ANY, document, parse, select

_PARALLEL: Final = 8
"""Requests to one Pulumi at a time."""
_PREFIX: Final = "/api/esc"
"""How the address of ESC ends; tokens are exchanged at what stands before."""


class Pulumi:
    """See the package."""

    name: ClassVar[str] = "pulumi"
    label: ClassVar[str] = "Pulumi"
    capabilities: ClassVar[Capabilities] = Capabilities.READ_ONLY
    layout: ClassVar[Layout] = Layout("text", "literal-first", "error")
    Config: ClassVar[type[Model]] = PulumiConfig

    def __init__(self, api: Api) -> None:
        self._api = api

    @classmethod
    async def open(cls, config: Model, context: Context) -> Self:
        """Build the adapter. Resolves the credentials, sends nothing to Pulumi.

        Raises ``BadSpec``, ``CallerNeeded`` and ``Unreachable``.
        """
        if not isinstance(config, PulumiConfig):
            raise TypeError(type(config))
        environment = (config.organization, config.project, config.environment)
        for field, value in zip(("organization", "project", "environment"), environment, strict=True):
            if not value:
                raise BadSpec(f"{field} is empty", remedy="set it to the name that Pulumi shows")
        url = (config.api_url or DEFAULT_API_URL).strip().rstrip("/")
        tls = None
        if transport.server_url(url, where="apiUrl").scheme == "https":
            tls = transport.ssl_context()
        http = JsonHttp(
            url.removesuffix(_PREFIX), where="apiUrl", ssl=tls, timeout=context.timeout, headers={}, limit=_PARALLEL
        )
        login = await login_of(config, http, context)
        prefix = _PREFIX if url.endswith(_PREFIX) else ""
        return cls(Api(http, login, context, prefix=prefix, environment=environment))

    async def read(self, refs: Sequence[Ref]) -> Mapping[Ref, Fetched | KeyferryError]:
        """See ``Provider.read``. Two requests for each version that is asked for, however many refs ask for it.

        ``metadata`` of a ref is not looked at, as in ESO.
        """
        by_version: defaultdict[str, list[Ref]] = defaultdict(list)
        for ref in refs:
            by_version[ref.version].append(ref)
        answers = await asyncio.gather(*(self._read(version, asking) for version, asking in by_version.items()))
        return {ref: answer for found in answers for ref, answer in found.items()}

    async def validate(self) -> Validation:
        """See ``Provider.validate``. Raises ``Denied`` where the token may not open the environment."""
        await self._api.check()
        return Validation.READY

    async def aclose(self) -> None:
        """See ``Provider.aclose``."""
        await self._api.aclose()

    async def _read(self, version: str, refs: Sequence[Ref]) -> Mapping[Ref, Fetched | KeyferryError]:
        try:
            session = await self._api.open(version)
            properties = await self._api.read(session)
        except KeyferryError as error:
            return {ref: error.copy() for ref in refs}
        answers = await asyncio.gather(*(self._one(ref, session, properties) for ref in refs))
        return dict(zip(refs, answers, strict=True))

    async def _one(self, ref: Ref, session: str, properties: Mapping[str, object]) -> Fetched | KeyferryError:
        try:
            steps = parse(ref.key)
            try:
                value = select(properties, ref.key, steps)
            except NotThere:
                if ANY not in steps:
                    raise
                value = await self._api.read_property(session, ref.key)
                if value is None:
                    # Selecting nothing is no absence of a secret.
                    raise BadSpec(f'"{ref.key}" selects no property', remedy="check the path") from None
            return Fetched(document(value, ref.key), ref.version)
        except KeyferryError as error:
            return error.copy()
