"""``spec.provider.consul``: values of Consul's key/value store."""

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self
from urllib.parse import quote

import aiohttp

from keyferry.api.common import CAProvider, Model, SecretKeySelector
from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, NotThere, Unreachable
from keyferry.ports import Capabilities, Context, Fetched, Layout, Query, Ref, Validation
from keyferry.transport import retry_after, server_url, ssl_context, unreachable


class ConsulConfig(Model):
    """Where Consul is, and who asks."""

    server: str
    """Address of Consul, such as https://consul.example.com:8501."""
    token_secret_ref: SecretKeySelector
    """ACL token."""
    ca_bundle: str | None = None
    """PEM of the authorities of Consul's certificate, in base64."""
    ca_provider: CAProvider | None = None
    """Object that holds the PEM."""


class Consul:
    """A key is the path of an entry."""

    name: ClassVar[str] = "consul"
    label: ClassVar[str] = "Consul"
    capabilities: ClassVar[Capabilities] = Capabilities.READ_ONLY
    layout: ClassVar[Layout] = Layout(form="text", absent_property="not-there")
    Config: ClassVar[type[Model]] = ConsulConfig

    def __init__(self, session: aiohttp.ClientSession, server: str, context: Context) -> None:
        self._session = session
        self._server = server
        self._context = context

    @classmethod
    async def open(cls, config: Model, context: Context) -> Self:
        """Resolve what the configuration refers to. Raises ``BadSpec``."""
        assert isinstance(config, ConsulConfig)
        place = "provider.consul"
        server_url(config.server, where=f"{place}.server")
        token = await context.credentials.secret(config.token_secret_ref, where=f"{place}.tokenSecretRef")
        ca = await context.credentials.ca_bundle(config.ca_bundle, config.ca_provider, where=f"{place}.caBundle")
        session = aiohttp.ClientSession(
            headers={"X-Consul-Token": token.decode().strip()},
            connector=aiohttp.TCPConnector(ssl=ssl_context(ca)),
            timeout=aiohttp.ClientTimeout(total=context.timeout),
        )
        return cls(session, config.server.rstrip("/"), context)

    async def read(self, refs: Sequence[Ref]) -> Mapping[Ref, Fetched | KeyferryError]:
        """One answer per ref; an error is an answer, too."""
        return {ref: await self._one(ref) for ref in refs}

    async def find(self, query: Query) -> Mapping[str, Ref]:
        """The keys below ``find.path`` whose names match."""
        if query.tags is not None:
            raise BadSpec("Consul has no tags", remedy="use find.name or find.path")
        found = await self._get(f"{quote(query.path or '')}?keys")
        return {key: Ref(key) for key in _names(found) if query.matches(key)}

    async def validate(self) -> Validation:
        """Whether Consul takes the token."""
        await self._get("?keys&separator=/")
        return Validation.READY

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def _one(self, ref: Ref) -> Fetched | KeyferryError:
        if ref.version or ref.metadata:
            return BadSpec("Consul keeps neither versions nor metadata", remedy="leave version and metadataPolicy out")
        try:
            found = await self._get(f"{quote(ref.key)}?raw")
            return found or NotThere(f'key "{ref.key}" does not exist')
        except KeyferryError as error:
            return error

    async def _get(self, path: str) -> Fetched | None:
        """The answer, or None for a key that is not there. Every status and failure has its error here."""
        try:
            with self._context.observe("ReadKV"):
                async with self._session.get(f"{self._server}/v1/kv/{path}", allow_redirects=False) as answer:
                    body = await answer.read()
        except (aiohttp.ClientError, OSError) as error:
            raise unreachable(error, self._server) from None
        match answer.status:
            case 200:
                return Fetched(body, version=answer.headers.get("X-Consul-Index", ""))
            case 404:
                return None
            case 401 | 403:
                raise Denied("Consul refuses the token", remedy="check tokenSecretRef and the token's policies")
            case 429:
                raise Busy("Consul limits the rate", retry_after=retry_after(answer.headers.get("Retry-After")))
            case status:
                raise Unreachable(f"Consul answers with status {status}")


def _names(found: Fetched | None) -> list[str]:
    if found is None or not isinstance(found.document, bytes):
        return []
    try:
        names: list[str] = json.loads(found.document)
    except ValueError:
        raise Unreachable("Consul answers with something else than JSON") from None
    return names
