"""Flags of ESO that a Deployment may carry over although they mean nothing here, each with the reason.

They are accepted with a warning, value and all (eso-facts 2.3). Two of them are refused when they are switched on:
whoever asks for protected metrics must not get open ones without noticing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_WATCHES = "Keyferry holds hashes and metadata of what it watches, and reads the rest when it is needed"
_WEBHOOK = "Keyferry has no webhook; its CRDs carry their rules"
_CERTIFICATES = "Keyferry has no webhook that would need a certificate"
_METRICS = "metrics are served over plain HTTP"
_GENERATORS = "Keyferry writes no GeneratorState objects"
_KINDS = "this version serves ExternalSecret, SecretStore and ClusterSecretStore only"
_TOKENS = "tokens are shared between the objects of a store, and closed with it"
_PROVIDER = "Keyferry has no cache of this provider's own"

WITHOUT_EFFECT: Mapping[str, str] = MappingProxyType(
    {
        "--enable-secrets-caching": _WATCHES,
        "--enable-configmaps-caching": _WATCHES,
        "--enable-managed-secrets-caching": _WATCHES,
        "--enable-secret-api-read-on-cache-mismatch": _WATCHES,
        "--enable-partial-cache": _WATCHES,
        "--enable-http2": _METRICS,
        "--metrics-secure": _METRICS,
        "--metrics-auth": _METRICS,
        "--metrics-cert-dir": _METRICS,
        "--metrics-cert-name": _METRICS,
        "--metrics-key-name": _METRICS,
        "--enable-cluster-external-secret-reconciler": _KINDS,
        "--enable-push-secret-reconciler": _KINDS,
        "--enable-cluster-push-secret-reconciler": _KINDS,
        "--enable-generator-state": _GENERATORS,
        "--generator-gc-grace-period": _GENERATORS,
        "--unsafe-allow-generic-targets": "Keyferry writes Secrets only",
        "--enable-vault-token-cache": _TOKENS,
        "--vault-token-cache-size": _TOKENS,
        "--experimental-vault-token-cache-size": _TOKENS,
        "--doppler-etag-cache-size": _PROVIDER,
        "--experimental-enable-doppler-oidc-cache": _PROVIDER,
        "--experimental-doppler-oidc-cache-size": _PROVIDER,
        "--mysterybox-tokens-cache-size": _PROVIDER,
        "--mysterybox-connections-cache-size": _PROVIDER,
        "--pulumi-oidc-cache-size": _PROVIDER,
        "--port": _WEBHOOK,
        "--dns-name": _WEBHOOK,
        "--cert-dir": _WEBHOOK,
        "--healthz-addr": _WEBHOOK,
        "--check-interval": _CERTIFICATES,
        "--lookahead-interval": _CERTIFICATES,
        "--tls-ciphers": _CERTIFICATES,
        "--tls-min-version": _CERTIFICATES,
        "--crd-names": _CERTIFICATES,
        "--crd-requeue-interval": _CERTIFICATES,
        "--secret-name": _CERTIFICATES,
        "--secret-namespace": _CERTIFICATES,
        "--service-name": _CERTIFICATES,
        "--service-namespace": _CERTIFICATES,
    }
)
"""The flag and why it has no effect."""

REFUSED_WHEN_ON: Mapping[str, str] = MappingProxyType(
    {
        "--metrics-secure": "metrics are served over plain HTTP only; restrict them by a NetworkPolicy or a proxy",
        "--metrics-auth": "metrics are served without authentication; restrict them by a NetworkPolicy or a proxy",
    }
)
"""The flag and what to do instead."""

GONE_COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "webhook": f"{_WEBHOOK}. Remove this Deployment and its ValidatingWebhookConfigurations",
        "certcontroller": f"{_CERTIFICATES}. Remove this Deployment",
    }
)
"""Subcommands of ESO that a chart may still start."""
