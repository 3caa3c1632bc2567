"""From the manifest to an API server and a credential for it."""

from __future__ import annotations

import asyncio
import base64
import ssl
import time

from keyferry.api.common import SecretKeySelector, ServiceAccountSelector
from keyferry.errors import BadSpec
from keyferry.kubehttp import Endpoint, inline
from keyferry.kubehttp.config import Authorization
from keyferry.ports import Credentials
from keyferry.providers.kubernetes.config import Auth, KubernetesConfig, Server
from keyferry.transport import ssl_context

_FIELD = "provider.kubernetes"
_TOKEN_SECONDS = 3600
"""How long a ServiceAccount's token is asked for; eso-facts 5.6."""
_RENEWED_AT = 0.8
"""The part of a token's life after which the next one is asked for."""


async def connect(config: KubernetesConfig, credentials: Credentials) -> Endpoint:
    """Resolve what the manifest names. Nothing is sent to the API server yet.

    Raises ``BadSpec``, and what ``Credentials`` raises.
    """
    if config.auth_ref:
        if config.auth:
            raise BadSpec(f"{_FIELD}: auth and authRef are both set", remedy="keep one of them")
        where = f"{_FIELD}.authRef"
        return _from_kubeconfig(
            inline.parse(await credentials.secret(config.auth_ref, where=where), where=where), where
        )
    auth, server = config.auth or Auth(), config.server or Server()
    if sum(way is not None for way in (auth.cert, auth.service_account, auth.token)) != 1:
        remedy = "set exactly one of auth.cert, auth.serviceAccount, auth.token and authRef"
        raise BadSpec(f"{_FIELD}: there is no login, or more than one", remedy=remedy)
    ca = await credentials.ca_bundle(server.ca_bundle, server.ca_provider, where=f"{_FIELD}.server")
    cert = key = None
    authorization: Authorization = _fixed("")
    if auth.cert:
        cert = await credentials.secret(auth.cert.client_cert, where=f"{_FIELD}.auth.cert.clientCert")
        key = await credentials.secret(auth.cert.client_key, where=f"{_FIELD}.auth.cert.clientKey")
    elif auth.token:
        authorization = _fixed(f"Bearer {await _token(auth.token.bearer_token, credentials)}")
    elif auth.service_account:
        authorization = _ServiceAccount(auth.service_account, credentials)
        # A store that names no ServiceAccount, or a forbidden one, is told so before it is used.
        await authorization(None)
    url = server.url or "kubernetes.default"
    # Where nothing else is said, credentials travel encrypted.
    context = ssl_context(
        ca,
        cert,
        key,
        ca_field=f"{_FIELD}.server.caBundle",
        cert_field=f"{_FIELD}.auth.cert.clientCert",
        key_field=f"{_FIELD}.auth.cert.clientKey",
    )
    return Endpoint(url if "://" in url else f"https://{url}", context, authorization)


def _from_kubeconfig(found: inline.InlineKubeconfig, where: str) -> Endpoint:
    if not found.server:
        raise BadSpec(f"{where}: the kubeconfig's current cluster has no server")
    header = f"Bearer {found.token}" if found.token else ""
    if found.username and not header:
        header = f"Basic {base64.b64encode(f'{found.username}:{found.password}'.encode()).decode()}"
    context = ssl_context(
        found.ca,
        found.cert,
        found.key,
        ca_field=f"{where}: certificate-authority-data",
        cert_field=f"{where}: client-certificate-data",
        key_field=f"{where}: client-key-data",
    )
    if found.insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    url = found.server if "://" in found.server else f"https://{found.server}"
    return Endpoint(url, context, _fixed(header), found.proxy, found.server_hostname)


def _fixed(header: str) -> Authorization:
    async def authorization(_: str | None) -> str:
        return header

    return authorization


async def _token(selector: SecretKeySelector, credentials: Credentials) -> str:
    where = f"{_FIELD}.auth.token.bearerToken"
    value = await credentials.secret(selector, where=where)
    try:
        # A line break at the end is what most editors leave behind.
        return value.decode("ascii").strip()
    except UnicodeDecodeError:
        raise BadSpec(f"{where}: the token is no ASCII text") from None


class _ServiceAccount:
    """Tokens of a ServiceAccount, each used for most of its life or until it is refused."""

    def __init__(self, selector: ServiceAccountSelector, credentials: Credentials) -> None:
        self._selector = selector
        self._credentials = credentials
        self._header = ""
        self._renew_at = 0.0
        self._asking = asyncio.Lock()

    async def __call__(self, refused: str | None) -> str:
        async with self._asking:
            if not self._header or self._header == refused or time.time() >= self._renew_at:
                where = f"{_FIELD}.auth.serviceAccount"
                token = await self._credentials.service_account_token(
                    self._selector, where=where, seconds=_TOKEN_SECONDS
                )
                now = time.time()
                self._renew_at = now + _RENEWED_AT * (token.expires_at - now)
                self._header = f"Bearer {token.value}"
        return self._header
