"""``spec.provider.gcpsm``: every field that ESO's v1 and v1beta1 CRDs know.

Defaults live here, in code, where ESO's CRD writes them into the object.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from keyferry.api.common import (
    CallersReference,
    Model,
    Namespace,
    ObjectName,
    SecretKeySelector,
    ServiceAccountSelector,
)
from keyferry.api.common import SecretKey as Key


class KeyAuth(Model):
    secret_access_key_secret_ref: SecretKeySelector | None = None
    """Where the service account's key is kept, as the JSON file that Google gives out."""


class WorkloadIdentity(Model):
    service_account_ref: ServiceAccountSelector
    """ServiceAccount of a GKE cluster. Its annotation iam.gke.io/gcp-service-account names the Google service account
    to act as; without it the ServiceAccount itself is the principal."""
    cluster_location: str | None = None
    """Location of the cluster. Default: asked of the metadata server."""
    cluster_name: str | None = None
    """Name of the cluster. Default: asked of the metadata server."""
    cluster_project_id: str | None = Field(default=None, alias="clusterProjectID")
    """Project of the cluster. Default: asked of the metadata server."""


class ConfigMapReference(CallersReference):
    name: ObjectName
    """Name of the ConfigMap."""
    namespace: Namespace | None = None
    """Namespace of the ConfigMap. Only a ClusterSecretStore may name one; left out there, it is the caller's."""
    key: Key
    """Key in the ConfigMap that holds the configuration."""


class SecretReference(CallersReference):
    name: ObjectName
    """Name of the Secret."""
    namespace: Namespace | None = None
    """Namespace of the Secret. Only a ClusterSecretStore may name one; left out there, it is the caller's."""


class AwsCredentials(Model):
    region: Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[a-z0-9-]+$")]
    """AWS region whose security token service vouches for the credentials."""
    aws_credentials_secret_ref: SecretReference
    """Secret with the keys aws_access_key_id, aws_secret_access_key and, for temporary credentials,
    aws_session_token."""


class Federation(Model):
    cred_config: ConfigMapReference | None = None
    """Credential configuration of type external_account, as gcloud writes it. Files and executables are not served as
    its source."""
    service_account_ref: ServiceAccountSelector | None = None
    """ServiceAccount whose token is exchanged. Its audiences are those that the provider of the pool accepts."""
    aws_security_credentials: AwsCredentials | None = None
    """AWS credentials that are exchanged."""
    audience: str | None = None
    """Full name of the pool's provider, like
    //iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER. Wins over the
    audience of credConfig."""
    external_token_endpoint: str | None = None
    """Has to be the URL that credConfig takes tokens from, where it takes them from a URL."""
    gcp_service_account_email: (
        Annotated[str, Field(min_length=1, pattern=r"^.*@.*\.iam\.gserviceaccount\.com$")] | None
    ) = None
    """Google service account to act as. Wins over credConfig and over the ServiceAccount's annotation
    iam.gke.io/gcp-service-account."""


class GcpsmAuth(Model):
    secret_ref: KeyAuth | None = None
    """Log in with a key of a Google service account."""
    workload_identity: WorkloadIdentity | None = None
    """Log in as a ServiceAccount of a GKE cluster."""
    workload_identity_federation: Federation | None = None
    """Log in as a workload that a pool's provider vouches for."""


class GcpsmConfig(Model):
    """Google Secret Manager."""

    auth: GcpsmAuth | None = None
    """How to log in. Of several, the first in this order is used: secretRef, workloadIdentity,
    workloadIdentityFederation. Left out, Keyferry's own identity is used: GOOGLE_APPLICATION_CREDENTIALS, or the
    metadata server."""
    project_id: str | None = Field(default=None, alias="projectID")
    """Project of the secrets. Default: workloadIdentity.clusterProjectID, or that of the metadata server. Has to be set
    with secretRef."""
    location: str | None = None
    """Location of regional secrets. Left out, secrets are global."""
    secret_version_selection_policy: str | None = None
    """What is read where the newest version is disabled or destroyed: LatestOrFail (default) reads nothing,
    LatestOrFetch the newest version that is enabled."""
