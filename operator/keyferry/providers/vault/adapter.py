"""The providers ``vault`` and ``openBao``: one server and API, two sets of rules."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self, TypeVar

from keyferry import transport
from keyferry.api.common import Model, SecretKeySelector
from keyferry.errors import BadSpec, KeyferryError, NotThere
from keyferry.ports import Capabilities, Context, Credentials, Fetched, Layout, Query, Ref, Validation
from keyferry.providers.vault.answers import Purpose
from keyferry.providers.vault.auth import source_of
from keyferry.providers.vault.config import OpenBaoAuth, OpenBaoConfig, VaultAuth, VaultConfig
from keyferry.providers.vault.door import Door
from keyferry.providers.vault.kv import KV
from keyferry.providers.vault.places import KVVersion, Place, Places
from keyferry.providers.vault.session import Consistency, Session

T = TypeVar("T", bound=Model)


class _Reader:
    """What both providers share."""

    def __init__(self, *, door: Door, places: Places, version: KVVersion, anonymous: bool) -> None:
        self._door = door
        self._places = places
        self._version = version
        self._kv = KV(door, places, version)
        self._anonymous = anonymous

    async def read(self, refs: Sequence[Ref]) -> Mapping[Ref, Fetched | KeyferryError]:
        """Read every ref, each once, several at a time."""
        unique = list(dict.fromkeys(refs))
        answers = await asyncio.gather(*(self._answer(ref) for ref in unique))
        return dict(zip(unique, answers, strict=True))

    async def aclose(self) -> None:
        """Revoke the token, unless it was given by the store, and close the connections. Idempotent."""
        await self._door.aclose()

    async def _answer(self, ref: Ref) -> Fetched | KeyferryError:
        try:
            return await self._kv.fetch(ref)
        except KeyferryError as error:
            return error.copy()

    async def _check_health(self) -> None:
        """Without a token the server can only be asked how it is. Standbys are well: they answer, or redirect."""
        await self._door.ask(
            "Health",
            "get",
            "sys/health",
            purpose=Purpose(doing="tell its health"),
            params={"standbyok": "true", "perfstandbyok": "true"},
        )

    @classmethod
    async def _assemble(
        cls,
        context: Context,
        session: Session,
        auth: VaultAuth | OpenBaoAuth | None,
        *,
        namespace: str | None,
        path: str | None,
        version: KVVersion,
    ) -> Self:
        namespace = namespace or ""
        source = await source_of(auth, session=session, credentials=context.credentials, namespace=namespace)
        login_namespace = (auth.namespace if auth else None) or namespace
        return cls(
            door=Door(
                session,
                source,
                namespace=namespace,
                login_namespace=login_namespace,
                expires=context.expires,
            ),
            places=Places(path, version),
            version=version,
            anonymous=source.anonymous,
        )


class Vault(_Reader):
    """``spec.provider.vault``."""

    name: ClassVar[str] = "vault"
    label: ClassVar[str] = "HashiCorp/Vault"
    capabilities: ClassVar[Capabilities] = Capabilities.READ_ONLY
    layout: ClassVar[Layout] = Layout("object", "literal-first", "error")
    Config: ClassVar[type[Model]] = VaultConfig

    @classmethod
    async def open(cls, config: Model, context: Context) -> Self:
        """Build the adapter. Resolves every credential, sends nothing to the server.

        Raises:
            BadSpec: what the store says cannot be, or names what is not there.
            CallerNeeded: credentials are the caller's, and there is none.
        """
        spec = _typed(config, VaultConfig)
        session = Session(
            server=spec.server,
            context=context,
            tls=await _tls(spec, context.credentials),
            headers=spec.headers,
            consistency=Consistency(bool(spec.read_your_writes), bool(spec.forward_inconsistent)),
        )
        if spec.check_and_set is not None and spec.check_and_set.required and spec.version == "v1":
            raise BadSpec("checkAndSet.required needs KV v2", remedy="remove it, or set version: v2")
        return await cls._assemble(
            context, session, spec.auth, namespace=spec.namespace, path=spec.path, version=spec.version
        )

    async def validate(self) -> Validation:
        """Look the token up, or log in; without ``auth`` ask for the server's health."""
        if self._anonymous:
            await self._check_health()
        else:
            await self._door.tokens.verify()
        return Validation.READY

    async def find(self, query: Query) -> Mapping[str, Ref | Fetched]:
        """All secrets below ``path`` whose full path, relative to the mount, matches; or whose custom metadata does.

        As in ESO, tags are looked at only where no name is asked for. A secret whose newest version is deleted is still
        listed by the server: reading its ref gives ``NotThere``.
        """
        if query.tags is not None and self._version == "v1":
            raise BadSpec("find.tags: KV v1 keeps no metadata to search by", remedy="use find.name, or KV v2")
        folder = self._places.folder(query.path)
        paths = await self._kv.walk(folder)
        if paths is None:
            where = f'folder "{query.path}"' if query.path else f'mount "{folder.mount}"'
            raise NotThere(f"{where} holds no secrets")
        prefix = _tidy(query.path)
        found = {f"{prefix}/{path}" if prefix else path: folder.child(path) for path in paths}
        if query.name is not None or not query.tags:
            found = {name: place for name, place in found.items() if query.matches(name)}
        else:
            found = await self._tagged(found, dict(query.tags))
        return {name: Ref(self._places.key_of(place, name)) for name, place in found.items()}

    async def _tagged(self, places: Mapping[str, Place], tags: Mapping[str, str]) -> dict[str, Place]:
        async def fits(place: Place) -> bool | KeyferryError:
            try:
                metadata = await self._kv.metadata(place)
            except KeyferryError as error:
                return error
            return metadata is not None and tags.items() <= metadata.items()

        verdicts = await asyncio.gather(*(fits(place) for place in places.values()))
        for verdict in verdicts:
            if isinstance(verdict, KeyferryError):
                raise verdict
        return {name: place for (name, place), verdict in zip(places.items(), verdicts, strict=True) if verdict}


class OpenBao(_Reader):
    """``spec.provider.openBao``: fewer ways to log in, one folder at a time, read only."""

    name: ClassVar[str] = "openBao"
    label: ClassVar[str] = "OpenBao"
    capabilities: ClassVar[Capabilities] = Capabilities.READ_ONLY
    layout: ClassVar[Layout] = Layout("object", "literal-only", "error")
    Config: ClassVar[type[Model]] = OpenBaoConfig

    @classmethod
    async def open(cls, config: Model, context: Context) -> Self:
        """Build the adapter. Resolves every credential, sends nothing to the server.

        Raises ``BadSpec`` and ``CallerNeeded`` as ``Vault.open`` does.
        """
        spec = _typed(config, OpenBaoConfig)
        session = Session(server=spec.server, context=context, tls=await _tls(spec, context.credentials))
        return await cls._assemble(
            context, session, spec.auth, namespace=spec.namespace, path=spec.path or "kv", version=spec.version
        )

    async def validate(self) -> Validation:
        """Look at the mount: that it is there, is a KV engine, and of the version that the store says."""
        if self._anonymous:
            await self._check_health()
            return Validation.READY
        path = self._places.folder(None).mount
        wrong = self._kv.mismatch(path, await self._kv.mount(path))
        if wrong is not None:
            raise wrong
        return Validation.READY

    async def find(self, query: Query) -> Mapping[str, Ref | Fetched]:
        """The secrets in one folder whose name in it matches; a folder that is not there holds none.

        ESO lists ``find.path`` too, but then reads the names without it; here they are read where they were found.
        """
        if query.tags is not None:
            raise BadSpec(
                "find.tags is not served by the openBao provider", remedy="use the vault provider, or find.name"
            )
        folder = self._places.folder(query.path)
        names = await self._kv.names(folder) or []
        prefix = _tidy(query.path)
        return {
            name: Ref(self._places.key_of(folder.child(name), "/".join(filter(None, (prefix, name)))))
            for name in sorted(names)
            if not name.endswith("/") and query.matches(name)
        }


def _tidy(path: str | None) -> str:
    return "/".join(part for part in (path or "").split("/") if part)


def _typed(config: Model, kind: type[T]) -> T:
    if not isinstance(config, kind):
        raise TypeError(f"expected {kind.__name__}, got {type(config).__name__}")
    return config


async def _tls(spec: VaultConfig | OpenBaoConfig, credentials: Credentials) -> ssl.SSLContext | None:
    """The TLS context of a store; None for plain http, which it would be ignored for."""
    if transport.server_url(spec.server, where="server").scheme == "http":
        return None
    ca = await credentials.ca_bundle(spec.ca_bundle, spec.ca_provider, where="caBundle")
    cert_ref, key_ref, cert_field, key_field = _client_pair(spec)
    if cert_ref is None and key_ref is None:
        return transport.ssl_context(ca)
    if cert_ref is None or key_ref is None:
        missing = cert_field if cert_ref is None else key_field
        raise BadSpec(f"{missing} is not set", remedy=f"set both {cert_field} and {key_field}")
    cert = await credentials.secret(cert_ref, where=cert_field, default_key="tls.crt")
    key = await credentials.secret(key_ref, where=key_field, default_key="tls.key")
    return transport.ssl_context(ca, cert, key, cert_field=cert_field, key_field=key_field)


def _client_pair(
    spec: VaultConfig | OpenBaoConfig,
) -> tuple[SecretKeySelector | None, SecretKeySelector | None, str, str]:
    """The client certificate of the connection: that of the login, where it logs in by certificate."""
    if not isinstance(spec, VaultConfig):
        return None, None, "", ""
    auth = spec.auth
    earlier = (
        (auth.token_secret_ref, auth.app_role, auth.kubernetes, auth.ldap, auth.user_pass, auth.jwt) if auth else ()
    )
    if auth and auth.cert is not None and not any(earlier):
        return auth.cert.client_cert, auth.cert.secret_ref, "auth.cert.clientCert", "auth.cert.secretRef"
    tls = spec.tls
    names = ("tls.certSecretRef", "tls.keySecretRef")
    return (tls.cert_secret_ref, tls.key_secret_ref, *names) if tls else (None, None, *names)
