"""Access tokens: one that is given, or one that a ServiceAccount's token is exchanged for.

The exchange is that of Pulumi's documentation ("OAuth token exchange", after RFC 8693), with the fields that ESO sends.
"""

from __future__ import annotations

import time
from typing import Final, Protocol

from keyferry import transport
from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, Unreachable
from keyferry.jsonhttp import Answer, JsonHttp
from keyferry.kits.flight import Flight
from keyferry.ports import Context
from keyferry.providers.pulumi.config import PulumiConfig, PulumiOIDCAuth, PulumiProviderSecretRef

_SECONDS: Final = 600
"""Life of both tokens, where the manifest says nothing."""
_RENEWED_AT: Final = 0.8
"""The part of a token's life after which the next one is asked for."""
_GRANT: Final = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
    "requested_token_type": "urn:pulumi:token-type:access_token:organization",
    "scope": "",
}
_CODES: Final = frozenset(
    {
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)
"""Errors of RFC 6749 and RFC 8693, which may be repeated; anything else that is answered may hold the token."""


class Login(Protocol):
    """Where the access token comes from."""

    async def token(self, refused: str | None = None) -> str:
        """A token to use now, another one than ``refused`` if there can be one. Raises what an exchange raises."""
        ...


class Given:
    """An access token out of a Secret."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self, refused: str | None = None) -> str:  # noqa: ARG002 -- there is no other one
        """The token."""
        return self._token


class Exchanged:
    """Access tokens for the tokens of a ServiceAccount, each used for most of its life or until it is refused."""

    def __init__(self, config: PulumiOIDCAuth, http: JsonHttp, context: Context) -> None:
        self._config = config
        self._http = http
        self._context = context
        self._token = ""
        self._until = 0.0
        self._flight: Flight[str, str] = Flight()

    async def subject(self) -> str:
        """A token of the ServiceAccount. Raises what ``Credentials`` raises."""
        selector = self._config.service_account_ref
        token = await self._context.credentials.service_account_token(
            selector,
            where="auth.oidcConfig.serviceAccountRef",
            # Those of the manifest take the place of the default, as in ESO.
            audiences=() if selector.audiences else (self._http.address,),
            seconds=self._config.expiration_seconds or _SECONDS,
        )
        return token.value

    async def token(self, refused: str | None = None) -> str:
        """See ``Login``. Raises ``Denied`` where Pulumi does not trust the ServiceAccount's token."""
        if self._token and self._token != refused and time.monotonic() < self._until:
            return self._token
        return await self._flight.join("token", self._exchange)

    async def _exchange(self) -> str:
        since = time.monotonic()
        body = {
            **_GRANT,
            "audience": f"urn:pulumi:org:{self._config.organization}",
            "subject_token": await self.subject(),
            "expiration": self._config.expiration_seconds or _SECONDS,
        }

        async def once() -> Answer:
            with self._context.observe("ExchangeToken"):
                answer = await self._http.request("POST", "/api/oauth/token", body=body)
                refusal = self._judge(answer)
                if refusal is not None:
                    raise refusal
                return answer

        answered = (await transport.retried(once, self._context.retries)).json()
        token = answered.get("access_token") if isinstance(answered, dict) else None
        seconds = answered.get("expires_in") if isinstance(answered, dict) else None
        if not isinstance(token, str) or not token or not token.isascii() or not isinstance(seconds, int):
            raise Unreachable(f"{self._http.address} answers, but not as Pulumi does", remedy="check apiUrl")
        self._token, self._until = token, since + seconds * _RENEWED_AT
        return token

    def _judge(self, answer: Answer) -> KeyferryError | None:
        address = self._http.address
        if answer.status == 200:
            return None
        if answer.status == 429:
            pause = transport.retry_after(answer.headers.get("retry-after"))
            return Busy(f"{address} limits the rate of requests", retry_after=pause)
        if answer.status in {400, 401, 403}:
            body = answer.json()
            code = body.get("error") if isinstance(body, dict) else None
            told = f" ({code})" if code in _CODES else ""
            return Denied(
                f'{address} refuses the ServiceAccount\'s token for organization "{self._config.organization}"{told}',
                remedy="register the cluster's issuer of tokens there, with a policy for its audience and subject",
            )
        return Unreachable(f"{address} fails to exchange the token (HTTP {answer.status})", remedy="check apiUrl")


async def given(reference: PulumiProviderSecretRef, context: Context, *, where: str) -> Given:
    """The access token of a Secret. Raises ``BadSpec`` where there is none."""
    if reference.secret_ref is None:
        raise BadSpec(f"{where}.secretRef is not set", remedy="name the Secret that holds the access token")
    raw = await context.credentials.secret(reference.secret_ref, where=f"{where}.secretRef")
    try:
        token = raw.decode("ascii").strip()
    except UnicodeDecodeError:
        token = ""
    if not token or not token.isprintable():
        raise BadSpec(f"{where}.secretRef: the key does not hold a token", remedy="put one token into it")
    return Given(token)


async def login_of(config: PulumiConfig, http: JsonHttp, context: Context) -> Login:
    """The login that a store asks for, its credentials resolved once. Raises ``BadSpec`` and ``CallerNeeded``."""
    auth = config.auth
    methods = [config.access_token, auth.access_token if auth else None, auth.oidc_config if auth else None]
    if sum(method is not None for method in methods) != 1:
        raise BadSpec("there is no login, or more than one", remedy="set one of auth.accessToken and auth.oidcConfig")
    if auth is not None and auth.oidc_config is not None:
        exchanged = Exchanged(auth.oidc_config, http, context)
        # A store that names no ServiceAccount, or a forbidden one, is told so before it is used.
        await exchanged.subject()
        return exchanged
    if auth is not None and auth.access_token is not None:
        return await given(auth.access_token, context, where="auth.accessToken")
    return await given(config.access_token or PulumiProviderSecretRef(), context, where="accessToken")
