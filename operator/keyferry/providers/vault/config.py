"""``spec.provider.vault`` and ``spec.provider.openBao``: every field that ESO's v1 and v1beta1 CRDs know.

Defaults live here, in code, where ESO's CRD writes them into the object. What a field means for requests is told where
it is used: paths in ``places``, logins in ``auth``, the rest in ``session``.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from keyferry.api.common import CAProvider, Model, Rule, SecretKeySelector, ServiceAccountSelector

Base64 = Annotated[str, Field(json_schema_extra={"format": "byte"})]


def _count(names: tuple[str, ...], comparison: str, message: str) -> Rule:
    """A rule on how many of some fields are set."""
    present = ",".join(f"has(self.{name})" for name in names)
    return Rule(rule=f"[{present}].filter(x,x==true).size() {comparison}", message=message)


class AppRole(Model):
    path: str = "approle"
    """Mount path of the AppRole auth method. Default: approle."""
    role_id: str | None = None
    """The role's id, in plain text. Wins over roleRef."""
    role_ref: SecretKeySelector | None = None
    """Where the role's id is kept, if not given by roleId."""
    secret_ref: SecretKeySelector
    """Where the role's secret id is kept."""


class KubernetesAuth(Model):
    mount_path: str = "kubernetes"
    """Mount path of the Kubernetes auth method. Default: kubernetes."""
    role: str
    """Role of the auth method to log in with."""
    service_account_ref: ServiceAccountSelector | None = None
    """ServiceAccount for which a token is requested to log in with. Wins over secretRef."""
    secret_ref: SecretKeySelector | None = None
    """Where a ServiceAccount token is kept. Default key: token. With neither, the operator's own token is used."""


class Ldap(Model):
    path: str = "ldap"
    """Mount path of the LDAP auth method. Default: ldap."""
    username: str
    """Name of the LDAP user."""
    secret_ref: SecretKeySelector | None = None
    """Where the user's password is kept."""


class UserPass(Model):
    path: str = "userpass"
    """Mount path of the userpass auth method. Default: userpass."""
    username: str
    """Name of the user."""
    secret_ref: SecretKeySelector | None = None
    """Where the user's password is kept."""


class KubernetesServiceAccountToken(Model):
    service_account_ref: ServiceAccountSelector
    """ServiceAccount for which a token is requested."""
    audiences: list[str] | None = None
    """Audiences of the token, besides those of serviceAccountRef. Default: vault."""
    expiration_seconds: Annotated[int, Field(json_schema_extra={"format": "int64"})] | None = None
    """How long the token is valid. Default: 600."""


class Jwt(Model):
    path: str = "jwt"
    """Mount path of the JWT/OIDC auth method. Default: jwt."""
    role: str | None = None
    """Role of the auth method to log in with. Left out, the method's default role applies."""
    secret_ref: SecretKeySelector | None = None
    """Where a JWT is kept. Wins over kubernetesServiceAccountToken."""
    kubernetes_service_account_token: KubernetesServiceAccountToken | None = None
    """A ServiceAccount token to log in with."""


class Cert(Model):
    path: str = "cert"
    """Mount path of the TLS certificate auth method. Default: cert."""
    vault_role: str | None = None
    """Role of the auth method. Left out, the server tries every role that trusts the certificate."""
    client_cert: SecretKeySelector | None = None
    """Where the client's certificate is kept. Default key: tls.crt."""
    secret_ref: SecretKeySelector | None = None
    """Where the certificate's private key is kept. Default key: tls.key."""


class IamJwt(Model):
    service_account_ref: ServiceAccountSelector | None = None
    """ServiceAccount whose annotations name the AWS role."""


class IamSecretRef(Model):
    access_key_id_secret_ref: SecretKeySelector | None = Field(default=None, alias="accessKeyIDSecretRef")
    """Where the access key id is kept."""
    secret_access_key_secret_ref: SecretKeySelector | None = None
    """Where the secret access key is kept."""
    session_token_secret_ref: SecretKeySelector | None = None
    """Where the session token of temporary credentials is kept."""


class Iam(Model):
    path: str | None = None
    """Mount path of the AWS auth method. Default: aws."""
    region: str | None = None
    """AWS region whose STS the server asks who we are. Default: us-east-1."""
    role: str | None = None
    """AWS role to assume before the login."""
    vault_role: str
    """Role of the auth method to log in with."""
    external_id: str | None = Field(default=None, alias="externalID")
    """External id for assuming the AWS role."""
    vault_aws_iam_server_id: str | None = Field(default=None, alias="vaultAwsIamServerID")
    """Value of the header X-Vault-AWS-IAM-Server-ID, where the server asks for it."""
    secret_ref: IamSecretRef | None = None
    """Keys of AWS. With neither jwt nor secretRef, Keyferry's own identity is used."""
    jwt: IamJwt | None = None
    """A ServiceAccount that may assume an AWS role (IRSA). Wins over secretRef."""


class GcpSecretRef(Model):
    secret_access_key_secret_ref: SecretKeySelector | None = None
    """Where the service account's key is kept, as JSON."""


class GcpWorkloadIdentity(Model):
    service_account_ref: ServiceAccountSelector
    """Kubernetes ServiceAccount that is bound to a Google one, which its annotation names."""
    cluster_location: str | None = None
    """Location of the cluster. Default: asked of the metadata server."""
    cluster_name: str | None = None
    """Name of the cluster. Default: asked of the metadata server."""
    cluster_project_id: str | None = Field(default=None, alias="clusterProjectID")
    """Project of the cluster. Default: asked of the metadata server."""


class Gcp(Model):
    path: str = "gcp"
    """Mount path of the Google Cloud auth method. Default: gcp."""
    role: str
    """Role of the auth method to log in with."""
    project_id: str | None = Field(default=None, alias="projectID")
    """Google Cloud project. Not needed to log in."""
    location: str | None = None
    """Google Cloud location. Not needed to log in."""
    secret_ref: GcpSecretRef | None = None
    """A key of a Google service account. Wins over workloadIdentity."""
    workload_identity: GcpWorkloadIdentity | None = None
    """Workload identity of a ServiceAccount. With neither, Keyferry's own identity is used."""
    service_account_ref: ServiceAccountSelector | None = None
    """Not looked at: Keyferry's own identity is used, as by ESO."""


class VaultAuth(Model):
    namespace: str | None = None
    """Namespace of the server to log in to. Default: the one that secrets are read from."""
    token_secret_ref: SecretKeySelector | None = None
    """Where a token is kept. It is renewed while it is in use, and never revoked."""
    app_role: AppRole | None = None
    """Log in with a role id and a secret id."""
    kubernetes: KubernetesAuth | None = None
    """Log in with a ServiceAccount token that the server reviews."""
    ldap: Ldap | None = None
    """Log in as an LDAP user."""
    user_pass: UserPass | None = None
    """Log in with user name and password."""
    jwt: Jwt | None = None
    """Log in with a JWT."""
    cert: Cert | None = None
    """Log in with a TLS client certificate."""
    iam: Iam | None = None
    """Log in with an identity of AWS."""
    gcp: Gcp | None = None
    """Log in with an identity of Google Cloud."""


class ClientTLS(Model):
    cert_secret_ref: SecretKeySelector | None = None
    """Where the client's certificate is kept. Default key: tls.crt."""
    key_secret_ref: SecretKeySelector | None = None
    """Where the certificate's private key is kept. Default key: tls.key."""


class CheckAndSet(Model):
    required: bool | None = None
    """Writes carry the version that they replace, and fail where somebody was faster. KV v2 only."""


class VaultConfig(Model):
    """HashiCorp Vault, or a server with its API such as OpenBao: KV secrets engine, version 1 or 2."""

    server: str
    """Address of the server, like https://vault.example.com:8200."""
    path: str | None = None
    """Mount path of the KV secrets engine. Left out, the first part of a key is the mount."""
    version: Literal["v1", "v2"] = "v2"
    """Version of the KV secrets engine. Default: v2."""
    namespace: str | None = None
    """Namespace of the server that secrets are read from."""
    auth: VaultAuth | None = None
    """How to log in. Left out, requests carry no token, as behind an agent. Of several, the first in this order is
    used: tokenSecretRef, appRole, kubernetes, ldap, userPass, jwt, cert, iam, gcp."""
    ca_bundle: Base64 | None = None
    """PEM of the authorities that may have signed the server's certificate. Wins over caProvider."""
    ca_provider: CAProvider | None = None
    """Where these authorities are kept in the cluster. With neither, the system's authorities are trusted."""
    tls: ClientTLS | None = None
    """Client certificate for the connection."""
    headers: dict[str, str] | None = None
    """Headers of every request."""
    read_your_writes: bool | None = None
    """Ask replicas for a state that is at least as new as the one seen last."""
    forward_inconsistent: bool | None = None
    """Together with readYourWrites: replicas that are behind forward a request instead of refusing it."""
    check_and_set: CheckAndSet | None = None
    """Guards of writes. Reading pays no attention to it."""


class OpenBaoAppRole(Model):
    rules: ClassVar = (
        _count(("roleId", "roleRef"), "== 1", "exactly one of the fields in [roleId roleRef] must be set"),
    )

    path: str = "approle"
    """Mount path of the AppRole auth method. Default: approle."""
    role_id: Annotated[str, Field(min_length=1)] | None = None
    """The role's id, in plain text."""
    role_ref: SecretKeySelector | None = None
    """Where the role's id is kept."""
    secret_ref: SecretKeySelector
    """Where the role's secret id is kept."""


class OpenBaoAuth(Model):
    rules: ClassVar = (
        _count(
            ("appRole", "tokenSecretRef", "userPass"),
            "== 1",
            "exactly one of the fields in [appRole tokenSecretRef userPass] must be set",
        ),
    )

    namespace: str | None = None
    """Namespace of the server to log in to. Default: the one that secrets are read from."""
    token_secret_ref: SecretKeySelector | None = None
    """Where a token is kept. It is renewed while it is in use, and never revoked."""
    app_role: OpenBaoAppRole | None = None
    """Log in with a role id and a secret id."""
    user_pass: UserPass | None = None
    """Log in with user name and password."""


class OpenBaoConfig(Model):
    """OpenBao: KV secrets engine, version 1 or 2. The vault provider knows more ways to log in and to search."""

    rules: ClassVar = (
        _count(("caBundle", "caProvider"), "<= 1", "at most one of the fields in [caBundle caProvider] may be set"),
    )

    server: str
    """Address of the server, like https://openbao.example.com:8200."""
    path: str | None = None
    """Mount path of the KV secrets engine. Default: kv."""
    version: Literal["v1", "v2"] = "v2"
    """Version of the KV secrets engine. Default: v2."""
    namespace: str | None = None
    """Namespace of the server that secrets are read from."""
    auth: OpenBaoAuth | None = None
    """How to log in. Left out, requests carry no token, as behind an agent."""
    ca_bundle: Base64 | None = None
    """PEM of the authorities that may have signed the server's certificate."""
    ca_provider: CAProvider | None = None
    """Where these authorities are kept in the cluster. With neither, the system's authorities are trusted."""
