"""``spec.provider.azurekv``: every field that ESO's v1 and v1beta1 CRDs know.

Defaults live here, in code, where ESO's CRD writes them into the object. What a field means is told where it is used:
addresses in ``places``, logins in ``identity``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from keyferry.api.common import Model, SecretKeySelector, ServiceAccountSelector

AuthType = Literal["ServicePrincipal", "ManagedIdentity", "WorkloadIdentity"]
EnvironmentType = Literal["PublicCloud", "USGovernmentCloud", "ChinaCloud", "GermanCloud", "AzureStackCloud"]


class AzureAuth(Model):
    client_id: SecretKeySelector | None = None
    """Where the client id of the service principal, or of the workload identity, is kept."""
    tenant_id: SecretKeySelector | None = None
    """Where the tenant id is kept, if not given by tenantId."""
    client_secret: SecretKeySelector | None = None
    """Where the service principal's secret is kept."""
    client_certificate: SecretKeySelector | None = None
    """Where the service principal's certificate and its RSA key are kept, as PEM or PKCS#12 without a password."""


class CustomCloud(Model):
    active_directory_endpoint: str
    """Address of Entra ID, or of AD FS, to log in to."""
    key_vault_endpoint: str | None = None
    """Address that tokens are for, like https://vault.local.azurestack.external/. vaultUrl has to be below it."""
    key_vault_dns_suffix: str | None = Field(default=None, alias="keyVaultDNSSuffix")
    """DNS name that vaultUrl has to be below, like vault.local.azurestack.external. Wins over keyVaultEndpoint."""
    resource_manager_endpoint: str | None = None
    """Accepted, and without effect: reading secrets does not need it."""


class AzureKVConfig(Model):
    """Azure Key Vault: secrets, keys and certificates of one vault."""

    vault_url: str
    """Address of the vault, like https://my-vault.vault.azure.net."""
    auth_type: AuthType = "ServicePrincipal"
    """How to log in. ServicePrincipal: with authSecretRef. ManagedIdentity: as an identity of the node or pod that
    Keyferry runs on. WorkloadIdentity: with a ServiceAccount that Entra ID trusts. Default: ServicePrincipal."""
    tenant_id: str | None = None
    """Entra ID tenant to log in to. Required for ServicePrincipal."""
    environment_type: EnvironmentType = "PublicCloud"
    """Azure cloud that the vault is in. Default: PublicCloud."""
    auth_secret_ref: AzureAuth | None = None
    """Credentials of a service principal; for WorkloadIdentity, client id and tenant id where the ServiceAccount has no
    annotations for them."""
    service_account_ref: ServiceAccountSelector | None = None
    """WorkloadIdentity: the ServiceAccount to log in with. Left out, it is Keyferry's own."""
    identity_id: str | None = None
    """ManagedIdentity: client id of the identity to use, where there are several."""
    use_azure_sdk: bool | None = Field(default=None, alias="useAzureSDK")
    """Which of ESO's two SDKs a Secret was written with. Says how the JSON of a key is ordered."""
    custom_cloud_config: CustomCloud | None = None
    """Endpoints of a cloud that is none of the above, or that differ from those of environmentType. Required for
    AzureStackCloud."""
