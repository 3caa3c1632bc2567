"""Who a store logs in as: from the manifest to a credential of azure-identity.

Each way names its credential class outright. Nothing here looks for credentials of developers (CLI, editor, browser),
and what the process's environment says of an authority is not read: ``environmentType`` says it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from azure.core.credentials_async import AsyncSupportsTokenInfo
from azure.identity.aio import (
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
)

from keyferry.api.common import SecretKeySelector, ServiceAccountSelector
from keyferry.errors import BadSpec, Unreachable
from keyferry.ports import Credentials, StoreIdentity, secret_text
from keyferry.providers.azurekv.config import AzureAuth, AzureKVConfig
from keyferry.providers.azurekv.places import Places
from keyferry.providers.azurekv.wire import Wire

Maker = Callable[[], Awaitable[AsyncSupportsTokenInfo]]

CLIENT_ID: Final = "azure.workload.identity/client-id"
TENANT_ID: Final = "azure.workload.identity/tenant-id"
AUDIENCE: Final = "api://AzureADTokenExchange"
"""Audience of ServiceAccount tokens that Entra ID exchanges."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who logs in. ``credential`` gives a new credential, good for one token."""

    name: str
    """For error texts: "its service principal"."""
    address: str
    """Where it logs in, for error texts."""
    credential: Maker


async def identity(
    config: AzureKVConfig, places: Places, *, store: StoreIdentity, credentials: Credentials, wire: Wire
) -> Identity:
    """The identity of a store. Reads all that the manifest names, and logs in nowhere yet.

    Raises:
        BadSpec: the store does not say enough, contradicts itself, or would send Keyferry's own identity to a host that
            neither Microsoft nor an administrator chose.
        CallerNeeded: credentials are the caller's, and there is none.
    """
    # One attempt: the operator knows when to try again, and must not be kept waiting.
    options = {"transport": wire, "retry_total": 0}
    if config.auth_type == "ManagedIdentity":
        _may_lend(store, places, "a managed identity")
        return Identity("the managed identity", "the managed identity endpoint", _managed(config, options))
    options["authority"] = places.authority
    if config.auth_type == "ServicePrincipal":
        return Identity(
            "its service principal", places.authority, await _service_principal(config, credentials, options)
        )
    if config.service_account_ref is None:
        _may_lend(store, places, "Keyferry's own workload identity")
        return Identity("Keyferry's workload identity", places.authority, _mounted(options))
    selector = config.service_account_ref
    maker = await _workload(config, selector, credentials, options)
    return Identity(f'ServiceAccount "{selector.name}"', places.authority, maker)


def _may_lend(store: StoreIdentity, places: Places, what: str) -> None:
    if store.kind == "SecretStore" and not places.known:
        # Its author would choose who is sent a token, or what a token can be had for, of an identity that is not his.
        raise BadSpec(
            f"customCloudConfig: a SecretStore may not send {what} to endpoints that are not Microsoft's",
            remedy="use a ClusterSecretStore, a serviceAccountRef, or a service principal",
        )


def _managed(config: AzureKVConfig, options: Mapping[str, Any]) -> Maker:
    async def make() -> AsyncSupportsTokenInfo:
        # The pod's workload identity, if it has one, is another one; WorkloadIdentity is for that.
        credential: AsyncSupportsTokenInfo = ManagedIdentityCredential(
            client_id=config.identity_id or None, _exclude_workload_identity_credential=True, **options
        )
        return credential

    return make


async def _service_principal(config: AzureKVConfig, credentials: Credentials, options: Mapping[str, Any]) -> Maker:
    auth = config.auth_secret_ref
    if auth is None or auth.client_id is None:
        raise BadSpec("authSecretRef.clientId is not set", remedy="name the Secret that holds it, or set authType")
    if (auth.client_secret is None) == (auth.client_certificate is None):
        raise BadSpec(
            "authSecretRef has neither clientSecret nor clientCertificate, or both", remedy="set exactly one of them"
        )
    client_id = await secret_text(credentials, auth.client_id, "authSecretRef.clientId")
    tenant_id = _tenant(config.tenant_id or await _optional(credentials, auth.tenant_id, "authSecretRef.tenantId"))
    if auth.client_secret is not None:
        secret = await secret_text(credentials, auth.client_secret, "authSecretRef.clientSecret")

        async def by_secret() -> AsyncSupportsTokenInfo:
            return ClientSecretCredential(tenant_id, client_id, secret, **options)

        return by_secret
    where = "authSecretRef.clientCertificate"
    data = await credentials.secret(_set(auth.client_certificate, where), where=where)

    async def by_certificate() -> AsyncSupportsTokenInfo:
        try:
            return CertificateCredential(tenant_id, client_id, certificate_data=data, **options)
        except (ValueError, TypeError):
            raise BadSpec(
                f"{where} holds no certificate with an RSA key",
                remedy="give it both as PEM, or as PKCS#12 without a password",
            ) from None

    # A certificate that cannot be used is told before it is.
    await (await by_certificate()).close()
    return by_certificate


def _mounted(options: Mapping[str, Any]) -> Maker:
    names = ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE")
    client_id, tenant_id, path = (os.environ.get(name, "") for name in names)
    if not (client_id and tenant_id and path):
        raise BadSpec(
            "serviceAccountRef is not set, and Keyferry has no workload identity of its own",
            remedy='set serviceAccountRef, or label Keyferry\'s pod azure.workload.identity/use: "true"',
        )

    async def assertion() -> str:
        try:
            return (await asyncio.to_thread(Path(path).read_text, encoding="utf-8")).strip()
        except (OSError, ValueError):
            raise Unreachable("Keyferry's workload identity token cannot be read", remedy="check its pod") from None

    return _asserting(_tenant(tenant_id), client_id, assertion, options)


async def _workload(
    config: AzureKVConfig, selector: ServiceAccountSelector, credentials: Credentials, options: Mapping[str, Any]
) -> Maker:
    where = "serviceAccountRef"
    auth = config.auth_secret_ref or AzureAuth()
    if config.auth_secret_ref is not None and auth.client_id is None:
        raise BadSpec("authSecretRef.clientId is not set", remedy="set it, or remove authSecretRef")
    annotations = await credentials.service_account_annotations(selector, where=where)
    client_id = _agreed(
        "client id",
        await _optional(credentials, auth.client_id, "authSecretRef.clientId"),
        annotations.get(CLIENT_ID, ""),
    )
    if not client_id:
        raise BadSpec(
            f'ServiceAccount "{selector.name}" has no annotation {CLIENT_ID}',
            remedy="annotate it, or set authSecretRef.clientId",
        )
    said = await _optional(credentials, auth.tenant_id, "authSecretRef.tenantId") or config.tenant_id or ""
    annotated = annotations.get(TENANT_ID, "")
    # ESO's newer SDK lets the store win, the older one refuses.
    tenant_id = said if said and config.use_azure_sdk else _agreed("tenant id", said, annotated)

    async def assertion() -> str:
        token = await credentials.service_account_token(selector, where=where, audiences=(AUDIENCE,))
        return token.value

    return _asserting(_tenant(tenant_id or os.environ.get("AZURE_TENANT_ID")), client_id, assertion, options)


def _asserting(
    tenant_id: str, client_id: str, assertion: Callable[[], Awaitable[str]], options: Mapping[str, Any]
) -> Maker:
    async def make() -> AsyncSupportsTokenInfo:
        # The SDK asks for the assertion by a function that cannot wait, so it is fetched first.
        token = await assertion()
        return ClientAssertionCredential(tenant_id, client_id, lambda: token, **options)

    return make


def _agreed(what: str, said: str, annotated: str) -> str:
    if said and annotated and said != annotated:
        raise BadSpec(
            f"the store and its ServiceAccount name different values for the {what}", remedy="remove one of them"
        )
    return said or annotated


def _tenant(value: str | None) -> str:
    tenant = (value or "").strip()
    if not tenant:
        raise BadSpec("tenantId is not set", remedy="set it to the Entra ID tenant to log in to")
    if not all(letter.isascii() and (letter.isalnum() or letter in "-.") for letter in tenant):
        raise BadSpec("tenantId is no tenant id", remedy="give it as a GUID or as a domain")
    return tenant


async def _optional(credentials: Credentials, selector: SecretKeySelector | None, where: str) -> str:
    return "" if selector is None else await secret_text(credentials, selector, where)


def _set(selector: SecretKeySelector | None, where: str) -> SecretKeySelector:
    if selector is None:
        raise BadSpec(f"{where} is not set")
    return selector
