"""SecretStore and ClusterSecretStore: how to reach a backend, and who may use it (eso-facts 1.10)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from keyferry.api.common import Condition, LabelSelector, Model, Namespace, ObjectMeta, Rule
from keyferry.api.duration import DURATION_PATTERN, parse_duration
from keyferry.errors import BadSpec

ONE_BACKEND = "secret stores must only have exactly one backend specified"
"""What ESO's webhook says, followed by how many there are."""


class RetrySettings(Model):
    """How often a call to the backend is tried again."""

    max_retries: Annotated[int | None, Field(json_schema_extra={"format": "int32"})] = None
    """Number of tries after the first."""
    retry_interval: str | None = None
    """Time between two tries, as a Go duration such as 5s."""


class NamespaceCondition(Model):
    """Namespaces that may use a ClusterSecretStore. One match of any property is enough."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.namespaceRegexes) || self.namespaceRegexes.all(one, 'x'.matches(one) in [true, false])",
            "namespaceRegexes must be regular expressions of RE2",
        ),
    )

    namespace_selector: LabelSelector | None = None
    """Namespaces by their labels."""
    namespaces: tuple[Namespace, ...] = ()
    """Namespaces by their names."""
    namespace_regexes: Annotated[tuple[Annotated[str, Field(max_length=1024)], ...], Field(max_length=50)] = ()
    """Namespaces by regular expressions (RE2) that are found somewhere in their names."""


class StoreSpec(Model):
    """How to reach a backend."""

    controller: str = ""
    """Class of the controller that serves this store. Left out: any."""
    provider: dict[str, Any] = Field(default_factory=dict)
    """Backend and its settings. Exactly one of the properties is set."""
    retry_settings: RetrySettings | None = None
    """How often calls to the backend are tried again."""
    refresh_interval: Annotated[
        int | str | None,
        # The pattern is asked of texts, the minimum of numbers. Models do not ask: see ``refresh_seconds``.
        Field(json_schema_extra={"minimum": 0, "pattern": DURATION_PATTERN.replace("[-+]", "[+]")}),
    ] = None
    """Time between two checks of the store, as a Go duration such as 5m or as a number of seconds. Left out or 0:
    what the operator's settings say."""
    conditions: Annotated[tuple[NamespaceCondition, ...], Field(max_length=100)] = ()
    """Namespaces that may use a ClusterSecretStore; any of the entries is enough. Left out: all."""

    @property
    def provider_name(self) -> str:
        """The one property of ``provider``. Raises ``BadSpec`` where there is none, or more than one."""
        names = sorted(name for name, config in self.provider.items() if config is not None)
        if len(names) != 1:
            found = f"{len(names)} ({', '.join(names)})" if names else "0"
            raise BadSpec(f"spec.provider: {ONE_BACKEND}, found {found}")
        return names[0]

    @property
    def refresh_seconds(self) -> float | None:
        """Seconds between two checks; ``None`` where the operator's setting is to be used.

        Raises ``BadSpec`` for a negative number and for a text that is no duration.
        """
        given = self.refresh_interval
        try:
            seconds = parse_duration(given) if isinstance(given, str) else float(given or 0)
        except ValueError as error:
            raise BadSpec(f"spec.refreshInterval: {error}") from None
        if seconds < 0:
            raise BadSpec(f'spec.refreshInterval: "{given}" must not be negative')
        return seconds or None


class StoreStatus(Model):
    """What the last check of the store found."""

    conditions: tuple[Condition, ...] = ()
    """State of the store."""
    capabilities: str | None = None
    """What can be done with the store: ReadOnly, WriteOnly or ReadWrite."""
    observed_generation: int | None = None
    """Generation of the store that this status speaks of."""


class SecretStore(Model):
    """A backend that holds secrets. One model for SecretStore and ClusterSecretStore; ``kind`` tells them apart."""

    rules: ClassVar[tuple[Rule, ...]] = (Rule("has(self.spec)", f"{ONE_BACKEND}, found 0"),)

    api_version: str = "external-secrets.io/v1"
    """API version of this object."""
    kind: Literal["SecretStore", "ClusterSecretStore"] = "SecretStore"
    """Kind of this object."""
    metadata: ObjectMeta = ObjectMeta()
    """Metadata of this object."""
    spec: StoreSpec = StoreSpec()
    """What is wanted."""
    status: StoreStatus = StoreStatus()
    """What was found."""
