"""``spec.provider.pulumi``: the fields of ESO's CRD."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from keyferry.api.common import Model, Rule, SecretKeySelector, ServiceAccountSelector

DEFAULT_API_URL = "https://api.pulumi.com/api/esc"


class PulumiProviderSecretRef(Model):
    secret_ref: SecretKeySelector | None = None
    """Where the access token is kept."""


class PulumiOIDCAuth(Model):
    organization: str
    """Organization of Pulumi that trusts the cluster's issuer of tokens."""
    service_account_ref: ServiceAccountSelector
    """ServiceAccount whose token is exchanged for an access token. Default audience: the address of the API."""
    expiration_seconds: Annotated[int, Field(ge=600, json_schema_extra={"format": "int64"})] | None = None
    """How long both tokens are valid. Default: 600."""


class PulumiAuth(Model):
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.accessToken) && !has(self.oidcConfig)) || (!has(self.accessToken) && has(self.oidcConfig))",
            "Exactly one of 'accessToken' or 'oidcConfig' must be specified",
        ),
    )

    access_token: PulumiProviderSecretRef | None = None
    """Log in with an access token."""
    oidc_config: PulumiOIDCAuth | None = None
    """Log in with the token of a ServiceAccount."""


class PulumiConfig(Model):
    """Pulumi ESC: the values of one environment."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.auth) && !has(self.accessToken)) || (!has(self.auth) && has(self.accessToken))",
            "Exactly one of 'auth' or deprecated 'accessToken' must be specified",
        ),
    )

    api_url: str | None = None
    """Address of the API. Default: https://api.pulumi.com/api/esc."""
    auth: PulumiAuth | None = None
    """How to log in."""
    organization: str
    """Organization that the environment belongs to."""
    project: str
    """Project that the environment belongs to."""
    environment: str
    """Name of the environment."""
    access_token: PulumiProviderSecretRef | None = None
    """Deprecated: use auth.accessToken."""
