"""The objects of a vault: secrets, keys and certificates, as documents in ESO's form (eso-facts 5.3)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal, cast

from azure.core.async_paging import AsyncPageIterator
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline import PipelineResponse
from azure.keyvault.certificates import KeyVaultCertificate
from azure.keyvault.secrets import SecretProperties

from keyferry.errors import BadSpec, NotThere, PropertyNotThere
from keyferry.ports import Ref
from keyferry.providers.azurekv.answers import Purpose, lacks_rights, no_vault
from keyferry.providers.azurekv.door import Door

Kind = Literal["secret", "key", "cert"]
_Note = Callable[[PipelineResponse[Any, Any]], None]

PAGE: Final = 25
"""Entries of a listing's page: the most that the service gives."""
_CALLS: Final = {"secret": "GetSecret", "key": "GetKey", "cert": "GetCertificate"}
_CODES: Final = {"secret": "SecretNotFound", "key": "KeyNotFound", "cert": "CertificateNotFound"}
_WORDS: Final = {"secret": "secret", "key": "key", "cert": "certificate"}
_NAME: Final = re.compile(r"[0-9A-Za-z-]{1,127}")
_VERSION: Final = re.compile(r"[0-9A-Za-z]{1,64}")
_NUMBERS: Final = ("n", "e", "d", "dp", "dq", "qi", "p", "q", "k", "t", "x", "y")
_HTML: Final = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


@dataclass(frozen=True, slots=True)
class Target:
    """One object of the vault, in one version or, with version "", in whichever is current."""

    kind: Kind
    name: str
    version: str = ""

    @classmethod
    def of(cls, ref: Ref) -> Target:
        """The object that a ref names: ``NAME`` or ``KIND/NAME``. What follows a second slash is dropped, as in ESO.

        Raises ``BadSpec`` for what cannot be a name.
        """
        prefix, slash, rest = ref.key.partition("/")
        kind, name = (prefix, rest.partition("/")[0]) if slash else ("secret", ref.key)
        if kind not in {"secret", "key", "cert"}:
            raise BadSpec(f'"{ref.key}": a vault has no "{prefix}"', remedy="write secret/NAME, key/NAME or cert/NAME")
        if not _NAME.fullmatch(name):
            raise BadSpec(
                f'"{ref.key}": "{name}" cannot be a name', remedy="names have 1 to 127 letters, digits and hyphens"
            )
        if ref.version and not _VERSION.fullmatch(ref.version):
            raise BadSpec(
                f'"{ref.key}": "{ref.version}" cannot be a version',
                remedy="give the identifier of a version: 32 hexadecimal digits",
            )
        return cls(kind, name, ref.version)  # type: ignore[arg-type] # one of the three, by the check above

    def __str__(self) -> str:
        version = f' in version "{self.version}"' if self.version else ""
        return f'{_WORDS[self.kind]} "{self.name}"{version}'


@dataclass(frozen=True, slots=True)
class About:
    """What a vault tells of an object besides its value."""

    tags: Mapping[str, str]
    enabled: bool
    created: datetime | None
    updated: datetime | None
    expires: datetime | None
    not_before: datetime | None

    @classmethod
    def of(cls, properties: Any) -> About:
        """From the SDK's properties of a secret, a key or a certificate.

        Raises ``ValueError`` where the vault's answer holds something else than it should: the SDK lets that pass.
        """
        times = (properties.created_on, properties.updated_on, properties.expires_on, properties.not_before)
        tags = {name: value for name, value in dict(properties.tags or {}).items() if value is not None}
        if not all(at is None or isinstance(at, datetime) for at in times) or not _texts(tags):
            raise ValueError("attributes or tags of another type")
        return cls(tags, properties.enabled is not False, *times)

    def document(self) -> bytes:
        """``metadataPolicy: Fetch``: tags, and times under ``attribute.*``, as ESO names them, as a JSON object."""
        times = {
            "attribute.expires": self.expires,
            "attribute.created": self.created,
            "attribute.updated": self.updated,
            "attribute.notBefore": self.not_before,
        }
        told = {name: f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for name, at in times.items() if at is not None}
        return go_json(dict(sorted({**self.tags, **told}.items())))


@dataclass(frozen=True, slots=True, repr=False)
class Item:
    """An object that was read. ``read_at`` is the vault's own time of the answer, None where it gave none."""

    document: bytes
    version: str
    about: About
    read_at: datetime | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A secret in a listing."""

    name: str
    about: About


@dataclass(frozen=True, slots=True)
class Listing:
    """The secrets on the first ``pages`` pages of the vault; all of them where it is ``complete``."""

    entries: tuple[Listed, ...]
    pages: int
    complete: bool


class Objects:
    """Reads objects of one vault."""

    def __init__(self, door: Door, *, sorted_keys: bool) -> None:
        """``sorted_keys``: the JSON of a key has its fields in alphabetical order, as ESO's newer SDK writes it."""
        self._door = door
        self._sorted_keys = sorted_keys

    async def get(self, target: Target) -> Item:
        """Read an object.

        Raises:
            NotThere: the vault does not have it, or it is deleted.
            PropertyNotThere: it does not have this version of it.
            Denied, Busy, Unreachable, BadSpec: as the vault answers.
        """
        try:
            return await self._get(target)
        except NotThere:
            if not target.version:
                raise
        # The vault says the same of an absent version and of an absent secret; only the latter may cost a Secret.
        await self._get(Target(target.kind, target.name))
        raise PropertyNotThere(
            f'{_WORDS[target.kind]} "{target.name}" has no version "{target.version}"',
            remedy="set remoteRef.version to one that it has, or remove it",
        )

    async def secrets(self, *, pages: int | None = None) -> Listing:
        """All secrets, or those on the first ``pages`` pages."""
        purpose = Purpose(doing="list secrets", right="list on secrets")
        listing = self._door.secrets.list_properties_of_secrets(max_page_size=PAGE)
        entries: list[Listed] = []
        more: str | None = None
        read = 0

        async def page() -> tuple[list[Listed], str | None]:
            # A new iterator every time: one that has failed takes that for its end.
            iterator = cast("AsyncPageIterator[SecretProperties]", listing.by_page(more))
            found = [_listed(each) async for each in await anext(iterator)]
            return found, iterator.continuation_token

        while True:
            found, more = await self._door.ask("GetSecrets", purpose, page)
            entries += found
            read += 1
            if not more or read == pages:
                return Listing(tuple(entries), read, complete=not more)

    async def probe(self, *, hsm: bool) -> None:
        """The smallest request that shows that the vault is there and takes the login. Raises as ``get`` does."""
        what = "keys" if hsm else "secrets"
        purpose = Purpose(doing=f"list {what}", right=f"list on {what}")

        async def page() -> None:
            try:
                if hsm:
                    await anext(self._door.keys.list_properties_of_keys(max_page_size=1).by_page())
                else:
                    await anext(self._door.secrets.list_properties_of_secrets(max_page_size=1).by_page())
            except HttpResponseError as error:
                # Reading single objects needs no right to list them.
                if not lacks_rights(error):
                    raise

        await self._door.ask(f"Get{what.capitalize()}", purpose, page)

    async def _get(self, target: Target) -> Item:
        read = {"secret": self._secret, "key": self._key, "cert": self._certificate}[target.kind]
        word = _WORDS[target.kind]
        purpose = Purpose(
            doing=f'read {word} "{target.name}"',
            absent=f"{self._door.vault} has no {target}",
            code=_CODES[target.kind],
            right=f"get on {word}s",
        )
        at: list[datetime] = []

        def note(response: PipelineResponse[Any, Any]) -> None:
            at[:] = _date(response.http_response.headers.get("Date"))

        async def item() -> Item:
            document, properties = await read(target, note)
            if document is None or str(properties.name).lower() != target.name.lower():
                raise no_vault(self._door.vault)
            return Item(document, properties.version or "", About.of(properties), at[0] if at else None)

        return await self._door.ask(_CALLS[target.kind], purpose, item)

    async def _secret(self, target: Target, note: _Note) -> tuple[bytes | None, Any]:
        found = await self._door.secrets.get_secret(target.name, target.version, raw_response_hook=note)
        return None if found.value is None else _utf8(found.value), found.properties

    async def _key(self, target: Target, note: _Note) -> tuple[bytes | None, Any]:
        found = await self._door.keys.get_key(target.name, target.version, raw_response_hook=note)
        key: Any = found.key
        return self._jwk(key) if key.kty else None, found.properties

    async def _certificate(self, target: Target, note: _Note) -> tuple[bytes | None, Any]:
        client = self._door.certificates
        found: KeyVaultCertificate
        if target.version:
            found = await client.get_certificate_version(target.name, target.version, raw_response_hook=note)
        else:
            found = await client.get_certificate(target.name, raw_response_hook=note)
        return bytes(found.cer) if found.cer else None, found.properties

    def _jwk(self, key: Any) -> bytes:
        fields: dict[str, Any] = {
            "kid": key.kid,
            "kty": _plain(key.kty),
            "key_ops": None if key.key_ops is None else [_plain(each) for each in key.key_ops],
        }
        for name in _NUMBERS:
            if name == "x":
                fields["crv"] = _plain(key.crv)
            number = getattr(key, name)
            field = "key_hsm" if name == "t" else name
            fields[field] = base64.urlsafe_b64encode(number).rstrip(b"=").decode() if number else None
        present = {name: value for name, value in fields.items() if value is not None}
        return go_json(dict(sorted(present.items())) if self._sorted_keys else present)


def go_json(value: Mapping[str, Any]) -> bytes:
    """JSON as Go's encoding/json writes a map whose keys are in this order."""
    return _utf8(json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_HTML))


def _texts(tags: Mapping[object, object]) -> bool:
    return all(isinstance(each, str) for pair in tags.items() for each in pair)


def _utf8(text: str) -> bytes:
    """UTF-8, with U+FFFD for halves of characters, which JSON can carry and Go replaces."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def _plain(value: Any) -> Any:
    """The text of the SDK's enumerations, which know some values by name only."""
    return getattr(value, "value", value)


def _listed(properties: SecretProperties) -> Listed:
    if not properties.name:
        raise ValueError("an entry without a name")
    return Listed(properties.name, About.of(properties))


def _date(header: str | None) -> list[datetime]:
    try:
        return [parsedate_to_datetime(header)] if header else []
    except ValueError:
        return []
