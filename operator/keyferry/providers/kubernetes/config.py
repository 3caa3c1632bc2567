"""The typed model of ``spec.provider.kubernetes``."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from keyferry.api.common import CAProvider, Model, Namespace, SecretKeySelector, ServiceAccountSelector


class Server(Model):
    """An API server."""

    url: str | None = None
    """URL of the API server; kubernetes.default where left out. Without a scheme it is reached by https."""
    ca_bundle: Annotated[str, Field(json_schema_extra={"format": "byte"})] | None = None
    """PEM certificates, base64-encoded, that the server's certificate is checked against."""
    ca_provider: CAProvider | None = None
    """Where such a bundle is kept in the cluster."""


class CertAuth(Model):
    """A client certificate."""

    client_cert: SecretKeySelector
    """The certificate, PEM."""
    client_key: SecretKeySelector
    """Its key, PEM."""


class TokenAuth(Model):
    """A bearer token."""

    bearer_token: SecretKeySelector
    """The token."""


class Auth(Model):
    """One way to log in."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    cert: CertAuth | None = None
    """By a client certificate."""
    service_account: ServiceAccountSelector | None = None
    """By a ServiceAccount of the cluster that the operator runs in."""
    token: TokenAuth | None = None
    """By a bearer token."""


class KubernetesConfig(Model):
    """A namespace of a Kubernetes cluster."""

    server: Server | None = None
    """The API server; that of the operator's own cluster where left out."""
    auth: Auth | None = None
    """How to log in; exactly one of auth and authRef is needed."""
    auth_ref: SecretKeySelector | None = None
    """A kubeconfig in a Secret, with all certificates and tokens inline; its server is used."""
    remote_namespace: Namespace | None = None
    """The namespace that is read; default where left out."""
