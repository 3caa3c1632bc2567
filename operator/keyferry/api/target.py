"""``spec.target`` of an ExternalSecret: the Secret to make, and the templates that make it (eso-facts 1.3, 1.5, 3)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from keyferry.api.common import Model, ObjectName, Rule, SecretKey

CreationPolicy = Literal["Owner", "Orphan", "Merge", "None", "CreateOrMerge"]
DecodingStrategy = Literal["Auto", "Base64", "Base64URL", "None"]
DeletionPolicy = Literal["Delete", "Merge", "Retain"]


class TemplateRefItem(Model):
    """One key of a ConfigMap or Secret that holds templates."""

    key: SecretKey
    """Key in the ConfigMap or Secret."""
    template_as: Literal["Values", "KeysAndValues"] = "Values"
    """Values: the key's name and the rendered text. KeysAndValues: the rendered text is YAML of keys and values.
    Left out: Values."""


class TemplateRef(Model):
    """A ConfigMap or Secret that holds templates."""

    name: ObjectName
    """Name of the object, in the namespace of the ExternalSecret."""
    items: tuple[TemplateRefItem, ...]
    """Keys to use."""


class TemplateFrom(Model):
    """A source of templates."""

    config_map: TemplateRef | None = None
    """ConfigMap that holds templates."""
    secret: TemplateRef | None = None
    """Secret that holds templates."""
    literal: str | None = None
    """Template itself; the rendered text is YAML of keys and values."""
    target: Annotated[str, Field(max_length=1024)] = "Data"
    """Where the result goes: Data, Annotations or Labels, in any case; a path where another manifest than a Secret is
    made. Left out: Data."""
    values_decoding_strategy: DecodingStrategy = "None"
    """How the rendered values are decoded. Left out: None."""


class TemplateMetadata(Model):
    """Metadata of the Secret. With it, nothing is copied from the ExternalSecret's own."""

    annotations: dict[str, str] = Field(default_factory=dict)
    """Annotations, rendered."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels, rendered."""
    finalizers: tuple[str, ...] = ()
    """Finalizers to add; they are never taken away again."""


class Template(Model):
    """How the Secret is made from the values that were read."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.type) || self.type != 'bootstrap.kubernetes.io/token'",
            'template.type="bootstrap.kubernetes.io/token" is not allowed',
        ),
        Rule(
            "!has(self.type) || self.type != 'kubernetes.io/service-account-token' || !has(self.metadata)"
            " || !has(self.metadata.annotations)"
            " || !('kubernetes.io/service-account.name' in self.metadata.annotations)",
            'template.type="kubernetes.io/service-account-token" with annotation'
            ' "kubernetes.io/service-account.name" is not allowed',
        ),
        Rule(
            "!has(self.type) || self.type != 'kubernetes.io/service-account-token' || !has(self.templateFrom)"
            " || !self.templateFrom.exists(from, has(from.target) && from.target.lowerAscii() == 'annotations')",
            'template.type="kubernetes.io/service-account-token" with templateFrom target="Annotations" is not allowed',
        ),
    )
    """No long-lived tokens beyond what the author of the ExternalSecret may do; also checked before rendering."""

    type: str = ""
    """Type of the Secret."""
    engine_version: Literal["v2"] = "v2"
    """Template engine. Left out: v2."""
    metadata: TemplateMetadata = TemplateMetadata()
    """Metadata of the Secret."""
    merge_policy: Literal["Replace", "Merge"] = "Replace"
    """Whether the values that were read stay beside the rendered ones (Merge). Left out: Replace."""
    data: dict[str, str] = Field(default_factory=dict)
    """Templates by key of the Secret."""
    template_from: Annotated[tuple[TemplateFrom, ...], Field(max_length=256)] = ()
    """Templates from elsewhere."""


class ManifestRef(Model):
    """The kind of object to make in place of a Secret."""

    api_version: Annotated[str, Field(min_length=1)]
    """API version of the object."""
    kind: Annotated[str, Field(min_length=1)]
    """Kind of the object."""

    @property
    def is_secret(self) -> bool:
        return self.api_version == "v1" and self.kind == "Secret"


class Target(Model):
    """The Secret to keep in step."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.deletionPolicy) || self.deletionPolicy != 'Delete' || !has(self.creationPolicy)"
            " || !(self.creationPolicy in ['Merge', 'None', 'CreateOrMerge'])",
            "deletionPolicy=Delete must not be used when the controller doesn't own the secret."
            " Please set creationPolicy=Owner",
        ),
        Rule(
            "!has(self.deletionPolicy) || self.deletionPolicy != 'Merge' || !has(self.creationPolicy)"
            " || self.creationPolicy != 'None'",
            "deletionPolicy=Merge must not be used with creationPolicy=None. There is no Secret to merge with",
        ),
        Rule(
            "!has(self.template) || !has(self.template.templateFrom)"
            " || (has(self.manifest) && !(self.manifest.apiVersion == 'v1' && self.manifest.kind == 'Secret'))"
            " || self.template.templateFrom.all(from, !has(from.target)"
            " || from.target.lowerAscii() in ['', 'data', 'annotations', 'labels'])",
            "templateFrom target is not allowed when targeting a Secret,"
            ' must be one of "Data", "Annotations" or "Labels"',
        ),
    )

    name: ObjectName | None = None
    """Name of the Secret. Left out: the name of the ExternalSecret."""
    creation_policy: CreationPolicy = "Owner"
    """Who makes and owns the Secret. Left out: Owner."""
    deletion_policy: DeletionPolicy = "Retain"
    """What happens when the remote values are gone. Left out: Retain."""
    template: Template | None = None
    """How the Secret is made from the values that were read."""
    manifest: ManifestRef | None = None
    """Object to make in place of a Secret."""
    immutable: bool = False
    """Whether the Secret is made immutable."""
