"""What all kinds share: the model's base, selectors, and the rules that the CRDs carry.

Patterns and lengths are those of ESO 2.9's CRDs (eso-facts 1.2), so that a manifest is accepted here exactly where
it is accepted there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from keyferry.errors import BadSpec


class Rule(NamedTuple):
    """A CEL rule of a schema (``x-kubernetes-validations``).

    ``message_expression`` is CEL that makes the message; ``message`` is what is said where it cannot be evaluated.
    """

    rule: str
    message: str
    field_path: str = ""
    message_expression: str = ""


class Model(BaseModel):
    """Base of all models: camelCase in manifests, immutable, silent about inputs, tolerant of unknown fields.

    The API server prunes unknown fields; being tolerant lets an older operator serve objects of a newer CRD.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        # A reused base of several kinds must not leak its docstring's line breaks into the CRD.
        use_attribute_docstrings=True,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()
    """CEL rules that the CRD carries for this object."""

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, given: Any) -> Any:
        """A field that is null is a field left out, as Go's decoder has it."""
        if isinstance(given, dict):
            return {name: value for name, value in given.items() if value is not None}
        return given

    @classmethod
    def parse(cls, given: Mapping[str, Any], *, at: str = "") -> Self:
        """The model of a JSON object. ``at`` is the object's path in its manifest, such as ``spec.provider.vault``.

        Raises ``BadSpec`` that names every wrong field by its path, and shows no value.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            wrong = [
                f"{_path(at, detail['loc'])}: {detail['msg']}"
                for detail in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        raise BadSpec("; ".join(wrong))


def _path(at: str, steps: tuple[int | str, ...]) -> str:
    """``spec.data[0].secretKey``, from pydantic's location of an error."""
    path = at
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


ObjectName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    ),
]
Namespace = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]


class CallersReference(Model):
    """Base of references that, where they name no ``namespace``, mean that of a ClusterSecretStore's caller."""

    @property
    def of_caller(self) -> bool:
        """Whether it depends on the caller what this means."""
        return getattr(self, "namespace", None) is None


class SecretKeySelector(CallersReference):
    """One key of a Secret."""

    name: ObjectName | None = None
    """Name of the Secret."""
    namespace: Namespace | None = None
    """Namespace of the Secret. Only a ClusterSecretStore may name one; left out there, it is the caller's."""
    key: SecretKey | None = None
    """Key in the Secret's data. Some fields have a default key."""


class ServiceAccountSelector(CallersReference):
    """A ServiceAccount."""

    name: ObjectName
    """Name of the ServiceAccount."""
    namespace: Namespace | None = None
    """Namespace of the ServiceAccount. Only a ClusterSecretStore may name one; left out there, it is the caller's."""
    audiences: list[str] | None = None
    """Audiences of the token, besides those that the provider needs."""


class CAProvider(Model):
    """Where a CA bundle is kept in the cluster."""

    type: Literal["Secret", "ConfigMap"]
    """Kind of the object that holds the bundle."""
    name: ObjectName
    """Name of that object."""
    key: SecretKey | None = None
    """Key in that object that holds PEM certificates."""
    namespace: Namespace | None = None
    """Namespace of that object. Only a ClusterSecretStore may name one."""


class OwnerReference(Model):
    """An object that owns this one."""

    api_version: str
    """API version of the owner."""
    kind: str
    """Kind of the owner."""
    name: str
    """Name of the owner."""
    uid: str
    """UID of the owner."""
    controller: bool = False
    """Whether the owner is the managing controller."""
    block_owner_deletion: bool = False
    """Whether the owner's foreground deletion waits for this object."""


class ObjectMeta(Model):
    """The part of an object's metadata that is read here. What the API server has not set yet is empty."""

    name: str = ""
    """Name of the object."""
    namespace: str = ""
    """Namespace of the object; empty for a cluster-wide one."""
    uid: str = ""
    """UID of the object."""
    generation: int = 0
    """Counts the changes of the spec."""
    resource_version: str = ""
    """Version of the object, opaque."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels of the object."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Annotations of the object."""
    finalizers: tuple[str, ...] = ()
    """What has to be done before the object may go."""
    owner_references: tuple[OwnerReference, ...] = ()
    """Owners of the object."""
    creation_timestamp: datetime | None = None
    """When the object was created."""
    deletion_timestamp: datetime | None = None
    """When the deletion of the object was asked for."""


class Condition(Model):
    """One aspect of the state of an object."""

    type: str
    """Which aspect: Ready, or Deleted."""
    status: str
    """Whether it holds: True, False or Unknown."""
    reason: str | None = None
    """Why, in one word for programs."""
    message: str | None = None
    """Why, in a sentence for people."""
    last_transition_time: datetime | None = None
    """When the status last changed from one value to another."""
    observed_generation: int | None = None
    """Generation of the object that the condition speaks of."""


class LabelSelectorRequirement(Model):
    """A demand on one label."""

    key: str
    """Label that the demand is about."""
    operator: str
    """How the label relates to the values: In, NotIn, Exists or DoesNotExist."""
    values: tuple[str, ...] = ()
    """Values for In and NotIn; empty for Exists and DoesNotExist."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Raises ``BadSpec`` for an unknown operator and for values that do not fit the operator."""
        if self.operator not in {"In", "NotIn", "Exists", "DoesNotExist"}:
            raise BadSpec(
                f'label selector: unknown operator "{self.operator}" for "{self.key}"',
                remedy="use In, NotIn, Exists or DoesNotExist",
            )
        if bool(self.values) != (self.operator in {"In", "NotIn"}):
            need = "at least one value" if self.operator in {"In", "NotIn"} else "no values"
            raise BadSpec(f'label selector: {self.operator} for "{self.key}" takes {need}')
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case _:
                return self.key not in labels


class LabelSelector(Model):
    """A choice of objects by their labels; an empty one chooses all. All demands have to be met."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    match_labels: dict[str, str] = Field(default_factory=dict)
    """Labels that an object must have, with these values."""
    match_expressions: tuple[LabelSelectorRequirement, ...] = Field(
        default=(), json_schema_extra={"x-kubernetes-list-type": "atomic"}
    )
    """Demands on single labels."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is chosen. Raises ``BadSpec`` for a demand that makes no sense."""
        expressions = [expression.matches(labels) for expression in self.match_expressions]
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(expressions)
