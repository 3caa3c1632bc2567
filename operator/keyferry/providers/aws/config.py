"""``spec.provider.aws``: every field that ESO's v1 and v1beta1 CRDs know.

Defaults live here, in code, where ESO's CRD writes them into the object. What a field means for requests is told where
it is used: credentials in ``identity`` and ``sts``, the rest in ``adapter``.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from keyferry.api.common import CallersReference, Model, Rule, SecretKeySelector, ServiceAccountSelector

_INJECTED = ("esoNamespace", "esoStoreName", "esoStoreKind")


class AwsSecretRef(Model):
    access_key_id_secret_ref: SecretKeySelector | None = Field(default=None, alias="accessKeyIDSecretRef")
    """Where the access key id is kept."""
    secret_access_key_secret_ref: SecretKeySelector | None = None
    """Where the secret access key is kept."""
    session_token_secret_ref: SecretKeySelector | None = None
    """Where the session token is kept, if the keys are temporary ones."""


class AwsJwt(Model):
    service_account_ref: ServiceAccountSelector | None = None
    """ServiceAccount whose annotation eks.amazonaws.com/role-arn names the role to assume (IRSA). Its annotation
    eks.amazonaws.com/audience names the audience of the token. Default: sts.amazonaws.com."""


class AwsAuth(Model):
    secret_ref: AwsSecretRef | None = None
    """Access keys that are kept in Secrets."""
    jwt: AwsJwt | None = None
    """A ServiceAccount that may assume a role. Wins over secretRef."""


class AwsTag(Model):
    key: str
    """Key of the tag."""
    value: str
    """Value of the tag."""


class AwsSecretsManager(Model):
    rules: ClassVar = (
        Rule(
            rule="!has(self.recoveryWindowInDays) || self.recoveryWindowInDays == 0 || "
            "(self.recoveryWindowInDays >= 7 && self.recoveryWindowInDays <= 30)",
            message="recoveryWindowInDays must be between 7 and 30 days",
        ),
        Rule(
            rule="!has(self.recoveryWindowInDays) || self.recoveryWindowInDays == 0 || "
            "!has(self.forceDeleteWithoutRecovery) || !self.forceDeleteWithoutRecovery",
            message="forceDeleteWithoutRecovery conflicts with recoveryWindowInDays",
        ),
    )

    force_delete_without_recovery: bool | None = None
    """Delete secrets for good at once. Reading pays no attention to it."""
    recovery_window_in_days: Annotated[int, Field(json_schema_extra={"format": "int64"})] | None = None
    """Days during which a deleted secret can be restored, 7 to 30. Default: 30. Reading pays no attention to it."""


class AwsConfig(CallersReference):
    """AWS Secrets Manager or Systems Manager Parameter Store."""

    rules: ClassVar = (
        Rule(
            rule="!has(self.customSessionTags) || !("
            + " || ".join(f"'{name}' in self.customSessionTags" for name in _INJECTED)
            + ")",
            message="customSessionTags cannot contain automatically injected reserved keys: " + ", ".join(_INJECTED),
        ),
    )

    service: Literal["SecretsManager", "ParameterStore", "CertificateManager"]
    """Service to read from. CertificateManager is not served yet."""
    region: str
    """Region of the service, like eu-central-1."""
    auth: AwsAuth | None = None
    """Whose keys to use. Left out, those that the AWS SDK finds in Keyferry's own environment: variables, the role of
    its ServiceAccount (IRSA or EKS Pod Identity), the role of its node."""
    role: str | None = None
    """ARN of a role to assume with these keys."""
    additional_roles: list[str] | None = None
    """ARNs of roles to assume one after the other before role."""
    external_id: str | None = Field(default=None, alias="externalID")
    """External id for assuming role."""
    session_tags: list[AwsTag] | None = None
    """Session tags for assuming role. Not used with a sessionTagsPolicy of Simple or Custom."""
    transitive_tag_keys: list[str] | None = None
    """Keys of session tags that stay on when the session assumes further roles."""
    session_tags_policy: Literal["None", "Simple", "Custom"] = "None"
    """Simple tags the session of role with esoNamespace (the namespace that reads), esoStoreName and esoStoreKind;
    Custom adds customSessionTags. Default: None."""
    custom_session_tags: dict[str, str] | None = None
    """Session tags for a sessionTagsPolicy of Custom."""
    secrets_manager: AwsSecretsManager | None = None
    """How secrets are deleted in Secrets Manager. Reading pays no attention to it."""
    prefix: str | None = None
    """Put before every key that is not an ARN."""

    @property
    def of_caller(self) -> bool:
        """Whether AWS is told the namespace that reads, so that each one needs a session of its own."""
        return self.session_tags_policy != "None" and bool(self.role)

    @property
    def metrics_label(self) -> str:
        """The ``provider`` label of API calls, as ESO spells it."""
        return "AWS/ParameterStore" if self.service == "ParameterStore" else "AWS/SecretsManager"
