"""The ExternalSecret: which remote values make which Secret.

The CRD has no defaults, so that nothing is written into users' objects; a default here is the one that ESO's CRD
writes (eso-facts 1.3). ``v1`` and ``v1beta1`` are one model: the older version is a subset of the newer one.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from keyferry.api.common import Condition, Model, ObjectMeta, ObjectName, Rule, SecretKey
from keyferry.api.duration import parse_duration
from keyferry.api.target import DecodingStrategy as DecodingStrategy  # noqa: PLC0414 - exported, as entries have it too
from keyferry.api.target import Target
from keyferry.errors import BadSpec

ConversionStrategy = Literal["Default", "Unicode"]
MetadataPolicy = Literal["None", "Fetch"]
NullBytePolicy = Literal["Ignore", "Fail"]
RefreshPolicy = Literal["CreatedOnce", "Periodic", "OnChange"]
StoreKind = Literal["SecretStore", "ClusterSecretStore"]
GeneratorKind = Literal[
    "ACRAccessToken",
    "BeyondtrustWorkloadCredentialsDynamicSecret",
    "CloudsmithAccessToken",
    "ClusterGenerator",
    "ECRAuthorizationToken",
    "Fake",
    "GCRAccessToken",
    "GithubAccessToken",
    "GitlabDeployToken",
    "Grafana",
    "MFA",
    "Password",
    "QuayAccessToken",
    "SSHKey",
    "STSSessionToken",
    "UUID",
    "VaultDynamicSecret",
    "Webhook",
]

DEFAULT_REFRESH_INTERVAL = "1h0m0s"
"""What ESO's CRD writes where ``spec.refreshInterval`` is left out."""

_NO_DATA = "either data or dataFrom should be specified"

# What the API server spends on a rule is bounded, by estimate when the CRD is made (hence the limits of lists, and
# "in" where "==" would be estimated by the length of both keys) and by count when the rule runs (hence 200).
_DISTINCT_KEYS = (
    "self.data.size() > 200 || self.data.all(one, self.data.exists_one(other, other.secretKey in [one.secretKey]))"
)

_SCHEDULE = r"^(@(annually|yearly|monthly|weekly|daily|midnight|hourly)|@every [^\s]+.*|[^\s]+( [^\s]+){4})$"

_ONE_PROPERTY = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})
_ATOMIC = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})


class SecretStoreRef(Model):
    """The store to read from."""

    name: ObjectName | None = None
    """Name of the store."""
    kind: StoreKind = "SecretStore"
    """Kind of the store. Left out: SecretStore."""


class GeneratorRef(Model):
    """The generator that makes the values."""

    api_version: str = "generators.external-secrets.io/v1alpha1"
    """API version of the generator. Left out: generators.external-secrets.io/v1alpha1."""
    kind: GeneratorKind
    """Kind of the generator."""
    name: ObjectName
    """Name of the generator."""


class SourceRef(Model):
    """Where this entry reads from, in place of spec.secretStoreRef. Exactly one of the properties is set."""

    model_config = _ONE_PROPERTY

    store_ref: SecretStoreRef | None = None
    """Store to read this entry from."""
    generator_ref: GeneratorRef | None = None
    """Generator that makes the values of this entry. Works in dataFrom only."""


class RemoteRef(Model):
    """What to read from the store, and how to treat it."""

    key: str
    """Key of the secret in the store: a name, a path or an id, as the provider has it."""
    property: str | None = None
    """Part of the secret to take, such as a key of a JSON object."""
    version: str | None = None
    """Version of the secret. Left out: the newest."""
    metadata_policy: MetadataPolicy = "None"
    """Fetch reads the metadata of the secret in place of its value. Left out: None."""
    conversion_strategy: ConversionStrategy = "Default"
    """How characters that a Secret's keys cannot have are replaced. Left out: Default, which makes them underscores."""
    decoding_strategy: DecodingStrategy = "None"
    """How values are decoded after they were read. Left out: None."""
    null_byte_policy: NullBytePolicy = "Ignore"
    """Whether a value with a null byte is an error. Left out: Ignore."""


class Data(Model):
    """One key of the Secret, from one remote value."""

    secret_key: SecretKey
    """Key in the Secret."""
    remote_ref: RemoteRef
    """What to read."""
    source_ref: SourceRef | None = None
    """Where to read it, in place of spec.secretStoreRef."""


class FindName(Model):
    """A choice of secrets by name."""

    regexp: str | None = None
    """Regular expression (RE2) that is found somewhere in the name."""


class Find(Model):
    """A search for secrets in the store."""

    path: str | None = None
    """Where to begin the search, for stores that have paths."""
    name: FindName | None = None
    """Names to look for."""
    tags: dict[str, str] | None = None
    """Tags that a secret must have, all of them."""
    conversion_strategy: ConversionStrategy = "Default"
    """How characters that a Secret's keys cannot have are replaced. Left out: Default, which makes them underscores."""
    decoding_strategy: DecodingStrategy = "None"
    """How values are decoded after they were read. Left out: None."""
    null_byte_policy: NullBytePolicy = "Ignore"
    """Whether a value with a null byte is an error. Left out: Ignore."""


class RewriteRegexp(Model):
    """New keys by replacing what a regular expression finds."""

    source: str
    """Regular expression (RE2) to look for."""
    target: str
    """What to put in its place; $1 stands for the first group."""


class RewriteTransform(Model):
    """New keys from a template."""

    template: str
    """Template of the new key; the old one is .value."""


class RewriteMerge(Model):
    """Several secrets made one."""

    into: str = ""
    """Key that takes the merged object, for the strategy JSON."""
    priority: tuple[str, ...] = ()
    """Keys whose values win, the last one most."""
    priority_policy: Literal["IgnoreNotFound", "Strict"] = "Strict"
    """Whether a key of priority may be missing. Left out: Strict, it may not."""
    conflict_policy: Literal["Ignore", "Error"] = "Error"
    """Whether two secrets with the same key are an error. Left out: Error."""
    strategy: Literal["Extract", "JSON"] = "Extract"
    """Extract spreads the merged keys, JSON keeps them together under into. Left out: Extract."""


class Rewrite(Model):
    """A change of keys. Exactly one of the properties is set."""

    model_config = _ONE_PROPERTY

    merge: RewriteMerge | None = None
    """Merge the objects that were read."""
    regexp: RewriteRegexp | None = None
    """Replace by a regular expression."""
    transform: RewriteTransform | None = None
    """Make the key with a template."""


class DataFrom(Model):
    """Several keys of the Secret, from one remote object, a search or a generator."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.extract) && has(self.find)) && !((has(self.extract) || has(self.find))"
            " && has(self.sourceRef) && has(self.sourceRef.generatorRef))",
            "extract, find, or generatorRef cannot be set at the same time",
        ),
        Rule(
            "has(self.extract) || has(self.find) || has(self.sourceRef)",
            "either extract, find, or sourceRef must be set to dataFrom",
        ),
    )

    extract: RemoteRef | None = None
    """Take all keys of one remote object."""
    find: Find | None = None
    """Take all secrets that a search finds."""
    rewrite: tuple[Rewrite, ...] = ()
    """Changes to the keys, one after the other."""
    source_ref: SourceRef | None = None
    """Store or generator to read from, in place of spec.secretStoreRef."""


class SyncWindow(Model):
    """Times at which a window opens, and how long it stays open.

    The patterns are for the CRD alone: what gets past it is ignored and reported (``window.problems``).
    """

    schedule: Annotated[str, Field(json_schema_extra={"minLength": 1, "pattern": _SCHEDULE})]
    """When the window opens, in UTC: five cron fields, a name such as @daily, or @every with a duration, which is
    counted from midnight of 1970-01-01."""
    duration: str
    """How long the window stays open, as a Go duration such as 8h."""


class SyncWindows(Model):
    """Windows that periodic refreshes keep to, or keep out of."""

    kind: Literal["allow", "deny"]
    """allow: refreshes inside of the windows only. deny: refreshes outside of them only."""
    windows: Annotated[tuple[SyncWindow, ...], Field(min_length=1)]
    """The windows."""


class ExternalSecretSpec(Model):
    """Which remote values make which Secret.

    Durations have no rule here, as in ESO's CRD: one that is none becomes a condition that says so.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.data) && size(self.data) > 0) || (has(self.dataFrom) && size(self.dataFrom) > 0)",
            _NO_DATA,
        ),
        Rule(
            "!has(self.data) || (has(self.target) && has(self.target.deletionPolicy)"
            f" && self.target.deletionPolicy != 'Retain') || {_DISTINCT_KEYS}",
            "duplicate secretKey found",
        ),
    )

    secret_store_ref: SecretStoreRef = SecretStoreRef()
    """Store that entries without a sourceRef are read from."""
    target: Target = Target()
    """Secret to keep in step."""
    refresh_policy: RefreshPolicy = "Periodic"
    """When values are read again: at every interval (Periodic), when the ExternalSecret changes (OnChange), or never
    (CreatedOnce). Left out: Periodic."""
    refresh_interval: str | None = None
    """Time between two refreshes, as a Go duration such as 1h30m; 0 means never. Left out: 1h."""
    sync_windows: SyncWindows | None = None
    """Windows for periodic refreshes."""
    data: Annotated[tuple[Data, ...], Field(max_length=512)] = ()
    """Keys of the Secret, one by one. They win over dataFrom."""
    data_from: Annotated[tuple[DataFrom, ...], Field(max_length=1000)] = ()
    """Keys of the Secret, several at a time. Later entries win over earlier ones."""

    @property
    def refresh_seconds(self) -> float:
        """Seconds between two refreshes; 0 or less means never. Raises ``BadSpec`` where it is no duration."""
        given = self.refresh_interval
        try:
            return parse_duration(DEFAULT_REFRESH_INTERVAL if given is None else given)
        except ValueError as error:
            raise BadSpec(f"spec.refreshInterval: {error}") from None

    @property
    def duplicate_keys(self) -> tuple[str, ...]:
        """Keys of the Secret that ``data`` makes more than once, which is wrong where ``deletionPolicy`` is Retain.

        Rule 7 of eso-facts 1.3. The CRD refuses it too, in lists of up to 200 entries.
        """
        if self.target.deletion_policy != "Retain":
            return ()
        counts = Counter(entry.secret_key for entry in self.data)
        return tuple(key for key, count in counts.items() if count > 1)


class Binding(Model):
    """The Secret, as the service binding specification wants it named."""

    model_config = _ATOMIC

    name: str = ""
    """Name of the Secret."""


class ExternalSecretStatus(Model):
    """How the Secret was last kept in step."""

    refresh_time: Annotated[datetime | None, Field(json_schema_extra={"nullable": True})] = None
    """When the values were last read."""
    synced_resource_version: str = ""
    """Generation of the ExternalSecret and hash of its labels and annotations at that time."""
    observed_generation: int | None = None
    """Generation of the ExternalSecret that this status speaks of."""
    conditions: tuple[Condition, ...] = ()
    """State of the ExternalSecret."""
    binding: Binding = Binding()
    """Secret that was made."""


class ExternalSecret(Model):
    """Keeps a Secret in step with values of an external store."""

    rules: ClassVar[tuple[Rule, ...]] = (Rule("has(self.spec)", _NO_DATA),)

    api_version: str = "external-secrets.io/v1"
    """API version of this object."""
    kind: Literal["ExternalSecret"] = "ExternalSecret"
    """Kind of this object."""
    metadata: ObjectMeta = ObjectMeta()
    """Metadata of this object."""
    spec: ExternalSecretSpec = ExternalSecretSpec()
    """What is wanted."""
    status: ExternalSecretStatus = ExternalSecretStatus()
    """What was found."""

    @property
    def target_name(self) -> str:
        """Name of the Secret: the ExternalSecret's own where the target names none."""
        return self.spec.target.name or self.metadata.name

    @property
    def makes_secret(self) -> bool:
        """Whether the target is a Secret of core/v1: there is no manifest, or it says so."""
        manifest = self.spec.target.manifest
        return manifest is None or manifest.is_secret
