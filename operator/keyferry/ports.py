"""Contracts between rooms: what a provider is given, and what it owes.

A provider ("adapter") is one class in one file of ``keyferry.providers``. It is constructed for one generation of one
store and one credential, and never changes after birth. Caching, coalescing, limits, time-outs and metrics are added
around it by ``keyferry.fetch``; turning documents into Secret data is the work of ``keyferry.shape``. So all that an
adapter does is: take many refs, answer per ref.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Literal, Protocol, Self, TypeVar, runtime_checkable

from keyferry.addresses import Addresses
from keyferry.api.common import CAProvider, Model, SecretKeySelector, ServiceAccountSelector
from keyferry.errors import BadSpec, KeyferryError

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Ref:
    """One document to read. Entries that differ in ``property`` only share one Ref, unless the store is ``asked``."""

    key: str
    version: str = ""
    metadata: bool = False
    """``metadataPolicy: Fetch``: the document asked for is the secret's metadata, as a JSON object."""
    property: str = ""
    """``remoteRef.property``, where the layout's ``paths`` is ``asked``."""


@dataclass(frozen=True, slots=True, repr=False)
class Fetched:
    """One document as the store holds it, before any property is taken from it.

    ``document`` is ``bytes`` for stores whose secrets are one opaque value, and a mapping of key to bytes for stores
    whose secrets are flat maps (Kubernetes). ``version`` is the store's own version of the document, "" if it has none.
    The repr never shows the document.
    """

    document: bytes | Mapping[str, bytes]
    version: str = ""

    def __repr__(self) -> str:
        return f"Fetched(version={self.version!r})"


@dataclass(frozen=True, slots=True)
class Reading(Generic[K]):
    """A document or an error for everything that was asked for, and how old the oldest of the answers is.

    ``as_of`` is the moment at which its reading began, in seconds of the loop's clock; infinite where nothing was read.
    """

    answers: Mapping[K, Fetched | KeyferryError]
    as_of: float


@dataclass(frozen=True, slots=True)
class Layout:
    """How a provider's documents answer a property: the rules of the provider's ESO counterpart.

    ``form``
        ``text``: the document is the value; a property needs it to be JSON, whose text is kept as it stands.
        ``object``: the document is a JSON object whose values are re-written as Go's encoding/json writes them.
        ``keyed``: the document is a flat map of key to bytes.
    ``paths``
        ``literal-first``: a property is tried as a literal key first, then as a gjson path; ``path-first``: the other
        way round; ``path-only``: gjson path only; ``literal-only``: exact top-level key only; ``asked``: the store
        itself is asked for the property (``Ref.property``), and the document is the answer.
    ``absent_property``
        whether a property that is missing counts as the secret missing (``not-there``) or as an ``error``.
    """

    form: Literal["text", "object", "keyed"] = "text"
    paths: Literal["literal-first", "path-first", "path-only", "literal-only", "asked"] = "literal-first"
    absent_property: Literal["error", "not-there"] = "error"


@dataclass(frozen=True, slots=True)
class Query:
    """What ``dataFrom.find`` looks for. ``None`` means that the manifest does not ask by it.

    ``matches`` is the compiled ``name.regexp`` (RE2, unanchored as in Go); with no name it accepts everything.
    """

    path: str | None = None
    name: str | None = None
    tags: tuple[tuple[str, str], ...] | None = None
    matches: Callable[[str], bool] = field(default=lambda _: True, compare=False)


class Capabilities(enum.StrEnum):
    """``status.capabilities`` of a store."""

    READ_ONLY = "ReadOnly"
    WRITE_ONLY = "WriteOnly"
    READ_WRITE = "ReadWrite"


class Validation(enum.Enum):
    """What a store's self-check found. A failure is raised as a KeyferryError instead."""

    READY = "Ready"
    UNKNOWN = "Unknown"
    """Nothing can be said without a caller, as for a ClusterSecretStore whose credentials are in each namespace."""


@dataclass(frozen=True, slots=True)
class StoreIdentity:
    """The store that an adapter belongs to. ``caller`` is the namespace of the object that uses it."""

    kind: Literal["SecretStore", "ClusterSecretStore"]
    name: str
    namespace: str
    """The store's namespace; "" for a ClusterSecretStore."""
    caller: str
    """The namespace of the object on whose behalf we read; "" while the store itself is validated."""

    def __str__(self) -> str:
        return f'{self.kind} "{self.name}"'


@dataclass(frozen=True, slots=True)
class Retries:
    """``spec.retrySettings``: how often one call is tried again, and how long to wait between, in seconds."""

    attempts: int = 0
    interval: float = 0.0


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """A ServiceAccount's token and its expiry, in seconds since the epoch. The repr never shows the token."""

    value: str
    expires_at: float

    def __repr__(self) -> str:
        return f"Token(expires_at={self.expires_at})"


class Credentials(Protocol):
    """The only way for an adapter to reach objects of the cluster. Bound to one store and one caller.

    Namespace rules are enforced here, and here only: a namespaced store reaches its own namespace; a
    ClusterSecretStore reaches the namespace that the selector names, or the caller's where it names none. ``where`` is
    the path of the field in the manifest, for the error text. All methods raise ``BadSpec`` (not allowed, absent
    object, absent key) or ``Unreachable`` (the API server does not answer).

    Every object that is read through this door is remembered, so that its change closes the adapter.
    """

    async def secret(self, selector: SecretKeySelector, *, where: str, default_key: str = "") -> bytes:
        """The value of one key of a Secret."""
        ...

    async def labelled_secret(
        self, selector: SecretKeySelector, *, where: str, label: tuple[str, str]
    ) -> Mapping[str, bytes]:
        """All keys of a Secret that carries a label, by which its owner agrees to this use; ``key`` does not count."""
        ...

    async def config_map(self, name: str, key: str, *, namespace: str | None, where: str) -> str:
        """The value of one key of a ConfigMap."""
        ...

    async def ca_bundle(self, bundle: str | None, provider: CAProvider | None, *, where: str) -> bytes | None:
        """PEM of the CA bundle: ``caBundle`` (base64 of PEM) or what ``caProvider`` names; None where neither is set.

        Raises ``BadSpec`` where the result is no PEM certificate.
        """
        ...

    async def service_account_token(
        self, selector: ServiceAccountSelector, *, where: str, audiences: Sequence[str] = (), seconds: int = 600
    ) -> Token:
        """A token of a ServiceAccount, from TokenRequest. ``selector.audiences`` are added to ``audiences``."""
        ...

    async def service_account_annotations(self, selector: ServiceAccountSelector, *, where: str) -> Mapping[str, str]:
        """The annotations of a ServiceAccount."""
        ...

    async def permit_own_identity(self) -> None:
        """Raises ``BadSpec`` where the store may not log in as Keyferry itself: its author chooses who hears of it.

        ``own_token`` asks by itself; to be asked before an identity of Keyferry's in a cloud is shown to a server that
        the store names.
        """
        ...

    async def own_token(self) -> str:
        """The operator's own ServiceAccount token, read from where the kubelet keeps it fresh."""
        ...


async def secret_text(
    credentials: Credentials, selector: SecretKeySelector | None, where: str, *, default_key: str = ""
) -> str:
    """A credential without the line break that often ends it, as ESO takes it.

    Raises ``BadSpec`` where it is absent, empty or no text.
    """
    if selector is None:
        raise BadSpec(f"{where} is not set", remedy="name the Secret that holds the credential")
    raw = await credentials.secret(selector, where=where, default_key=default_key)
    try:
        text = raw.decode().strip()
    except UnicodeDecodeError:
        text = None
    if text is None:
        raise BadSpec(f"{where}: the key does not hold text", remedy="store the credential as UTF-8 text")
    if not text:
        raise BadSpec(f"{where}: the key is empty", remedy="store the credential under it")
    return text


class CallerNeeded(KeyferryError):
    """Raised by ``Credentials`` when a ClusterSecretStore takes a credential from the caller and there is no caller."""


@dataclass(frozen=True, slots=True)
class Context:
    """All that an adapter gets besides its configuration."""

    store: StoreIdentity
    credentials: Credentials
    retries: Retries
    timeout: float
    """Seconds that one call to the store may take."""
    observe: Callable[[str], AbstractContextManager[None]]
    """``with context.observe("ReadSecretData"):`` counts one API call of the store, and whether it succeeded."""
    fill: Callable[[str, Mapping[str, Mapping[str, str]]], str]
    """Renders a template of the store's own manifest over named maps of strings. Blocking: call it in a thread.

    Raises ``BadSpec`` and ``BadValue``, which show no value.
    """
    addresses: Addresses
    """Where a server that the store's author names may be."""
    expires: Callable[[float | None], None]
    """Hears when the credential that the store was given ends, in Unix time; None for one that lasts or is renewed."""


@runtime_checkable
class Provider(Protocol):
    """A store's adapter. Readers implement ``read``; those that can search implement ``Finder`` as well."""

    name: ClassVar[str]
    """The property of ``spec.provider`` that selects this provider."""
    label: ClassVar[str]
    """The ``provider`` label of ``externalsecret_provider_api_calls_count``, as ESO spells it."""
    capabilities: ClassVar[Capabilities]
    layout: ClassVar[Layout]
    Config: ClassVar[type[Model]]
    """The typed model of ``spec.provider.<name>``; the CRD's schema is made from it."""

    @classmethod
    async def open(cls, config: Model, context: Context) -> Self:
        """Build the adapter: resolve credentials, prepare clients. No call to the store yet, if it can wait.

        Raises ``BadSpec``, ``CallerNeeded``, ``Unreachable``, ``Denied``.
        """
        ...

    async def read(self, refs: Sequence[Ref]) -> Mapping[Ref, Fetched | KeyferryError]:
        """Read every ref; one that fails does not sink the rest. Every ref given has an entry in the result.

        It is given the refs of many objects at once, up to 100; a class may say another number in ``batch``.
        """
        ...

    async def validate(self) -> Validation:
        """Check that the store can be used. Raises a KeyferryError where it cannot."""
        ...

    async def aclose(self) -> None:
        """Release connections, and revoke what was issued for this adapter. Idempotent."""
        ...


@runtime_checkable
class Finder(Protocol):
    """A store that can be searched."""

    async def find(self, query: Query) -> Mapping[str, Ref | Fetched]:
        """Names that match, each with the Ref to read it by, or with its document where the listing brought it along.

        Raises a KeyferryError where the listing as a whole fails.
        """
        ...


@runtime_checkable
class Comparer(Protocol):
    """A store that can tell that a document has not changed, without sending it."""

    async def reread(self, refs: Sequence[Ref], known: Mapping[Ref, Fetched]) -> Mapping[Ref, Fetched | KeyferryError]:
        """``read``, by somebody who has read some of it before: ``known``, each of which has a ``version``.

        Where the store says, now and to this credential, that a document is still the same, the answer is the very
        object that was given. How that is known is the adapter's own affair; in doubt it reads.
        """
        ...
