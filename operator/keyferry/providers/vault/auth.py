"""How to log in: every method of ``auth``, each a request below ``auth/`` (eso-facts 5.5).

Credentials are resolved anew for each login, so that a ServiceAccount token is never too old; the first resolution is
made when the store is opened, so that a missing credential is told before anything is sent.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

from pydantic.alias_generators import to_camel

from keyferry.api.common import SecretKeySelector
from keyferry.errors import BadSpec, Denied
from keyferry.ports import Credentials, secret_text
from keyferry.providers.vault.answers import Answer, Purpose
from keyferry.providers.vault.config import (
    AppRole,
    Cert,
    Jwt,
    KubernetesAuth,
    Ldap,
    OpenBaoAppRole,
    OpenBaoAuth,
    UserPass,
    VaultAuth,
)
from keyferry.providers.vault.places import escaped
from keyferry.providers.vault.session import Session
from keyferry.providers.vault.tokens import Grant

_FRESH_SECONDS: Final = 60.0
"""How long credentials resolved at opening may wait for the first login; tokens requested live 600 s."""
_DEFAULT_AUDIENCES: Final = ("vault",)
_TOKEN_SECONDS: Final = 600


@dataclass(frozen=True, slots=True, repr=False)
class LoginRequest:
    """A login: POST of ``body`` to ``path``. The repr shows neither."""

    path: str
    body: dict[str, str]


Resolve = Callable[[], Awaitable[LoginRequest]]


class CloudLogin(Protocol):
    """What a module of a cloud's login holds."""

    async def login_request(self, method: Any, session: Session, credentials: Credentials) -> LoginRequest:
        """The login with an identity of the cloud."""
        ...


class Anonymous:
    """No ``auth``: requests carry no token, as behind an agent that adds its own."""

    fixed = True
    anonymous = True

    async def login(self) -> Grant:
        """A grant of nothing, for ever."""
        return Grant(token="", since=time.monotonic())


@dataclass(slots=True, repr=False)
class GivenToken:
    """``tokenSecretRef``: a token that somebody else issued. It is renewed in use, and never revoked."""

    session: Session
    namespace: str
    token: str
    fixed: bool = field(default=True, init=False)
    anonymous: bool = field(default=False, init=False)
    _known: bool = field(default=False, init=False)

    async def login(self) -> Grant:
        """The token with its time to live, where it may look itself up. Raises ``Denied`` once it has ended."""
        try:
            answer = await look_up(self.session, self.token, self.namespace)
        except Denied:
            if self._known:
                raise
            # Its policies may permit to read secrets and not this. Reading will tell.
            return Grant(token=self.token, since=time.monotonic(), proven=False)
        self._known = True
        data = answer.section("data")
        return Grant(
            token=self.token,
            since=time.monotonic(),
            seconds=_seconds(data.get("ttl")),
            renewable=bool(data.get("renewable")),
        )


@dataclass(slots=True, repr=False)
class Method:
    """A login method: ``resolve`` gives the request, the answer to it carries the token."""

    session: Session
    namespace: str
    field: str
    resolve: Resolve
    fixed: bool = False
    anonymous: bool = False
    _ready: tuple[float, LoginRequest] | None = None

    async def prepare(self) -> None:
        """Resolve the credentials for the first login. Raises what ``Credentials`` raises."""
        self._ready = (time.monotonic(), await self.resolve())

    async def login(self) -> Grant:
        """Log in. Raises ``Denied`` where the server refuses the credentials."""
        ready, self._ready = self._ready, None
        if ready is None or time.monotonic() - ready[0] > _FRESH_SECONDS:
            request = await self.resolve()
        else:
            request = ready[1]
        purpose = Purpose(doing=f"log in with {self.field}", denied=f"check {self.field} and its role", login=True)
        answer = await self.session.call(
            "Login", "post", request.path, purpose=purpose, namespace=self.namespace, body=request.body
        )
        return granted(answer, self.field)


def granted(answer: Answer, where: str) -> Grant:
    """The token that an answer to a login or a renewal carries."""
    auth = answer.section("auth")
    token = auth.get("client_token")
    if not isinstance(token, str) or not token:
        remedy = "use a role without MFA" if auth.get("mfa_requirement") else f"check {where} and its path"
        raise Denied(f"the login with {where} gives no token", remedy=remedy)
    batch = auth.get("token_type") == "batch"
    return Grant(
        token=token,
        since=time.monotonic(),
        seconds=_seconds(auth.get("lease_duration")),
        renewable=bool(auth.get("renewable")) and not batch,
        # Batch tokens cannot be revoked; they end by themselves.
        revocable=not batch,
    )


async def look_up(session: Session, token: str, namespace: str) -> Answer:
    """What the server knows of a token. Raises ``Denied`` where it does not know it, or does not say."""
    purpose = Purpose(doing="look up the token", denied="it is expired or revoked: give the store a valid one")
    return await session.call(
        "LookupSelf", "get", "auth/token/lookup-self", purpose=purpose, token=token, namespace=namespace
    )


Source = Anonymous | GivenToken | Method


async def source_of(
    auth: VaultAuth | OpenBaoAuth | None, *, session: Session, credentials: Credentials, namespace: str
) -> Source:
    """The way to log in that a store asks for, its credentials resolved once.

    Raises:
        BadSpec: no method, or credentials that are not there.
        CallerNeeded: the credentials are the caller's, and there is none.
        Denied, Busy, Unreachable: a cloud that has to be asked for credentials.
    """
    if auth is None:
        return Anonymous()
    namespace = auth.namespace or namespace
    if auth.token_secret_ref is not None:
        token = await secret_text(credentials, auth.token_secret_ref, "auth.tokenSecretRef")
        if not token.isascii() or not token.isprintable():
            raise BadSpec("auth.tokenSecretRef: the key does not hold a token", remedy="put one token into it")
        return GivenToken(session=session, namespace=namespace, token=token)
    name, resolve = _method(auth, session, credentials)
    method = Method(session=session, namespace=namespace, field=f"auth.{name}", resolve=resolve)
    await method.prepare()
    return method


def _method(auth: VaultAuth | OpenBaoAuth, session: Session, credentials: Credentials) -> tuple[str, Resolve]:
    """The first method that is set, in ESO's order."""
    for name, request in _METHODS.items():
        # The openBao provider has a few of them only.
        method = getattr(auth, name, None)
        if method is not None:
            return to_camel(name), partial(request, method, credentials)
    for name, module in _CLOUDS.items():
        method = getattr(auth, name, None)
        if method is not None:
            return name, partial(_of_cloud, module, method, session, credentials)
    raise BadSpec("auth names no method", remedy="set one, or leave auth out where an agent adds the token")


async def _app_role(method: AppRole | OpenBaoAppRole, credentials: Credentials) -> LoginRequest:
    if method.role_id:
        role = method.role_id.strip()
    elif method.role_ref is not None:
        role = await secret_text(credentials, method.role_ref, "auth.appRole.roleRef")
    else:
        raise BadSpec("auth.appRole has neither roleId nor roleRef", remedy="set one of them")
    secret = await secret_text(credentials, method.secret_ref, "auth.appRole.secretRef")
    return LoginRequest(login_path(method.path), {"role_id": role, "secret_id": secret})


async def _kubernetes(method: KubernetesAuth, credentials: Credentials) -> LoginRequest:
    if method.service_account_ref is not None:
        where = "auth.kubernetes.serviceAccountRef"
        found = await credentials.service_account_token(method.service_account_ref, where=where, seconds=_TOKEN_SECONDS)
        token = found.value
    elif method.secret_ref is not None:
        token = await secret_text(credentials, method.secret_ref, "auth.kubernetes.secretRef", default_key="token")
    else:
        token = (await credentials.own_token()).strip()
    return LoginRequest(login_path(method.mount_path), {"role": method.role, "jwt": token})


async def _ldap(method: Ldap, credentials: Credentials) -> LoginRequest:
    return await _password("ldap", method.path, method.username, method.secret_ref, credentials)


async def _user_pass(method: UserPass, credentials: Credentials) -> LoginRequest:
    return await _password("userPass", method.path, method.username, method.secret_ref, credentials)


async def _password(
    name: str, mount: str, username: str, selector: SecretKeySelector | None, credentials: Credentials
) -> LoginRequest:
    password = await secret_text(credentials, selector, f"auth.{name}.secretRef")
    return LoginRequest(f"{login_path(mount)}/{escaped(username.strip())}", {"password": password})


async def _jwt(method: Jwt, credentials: Credentials) -> LoginRequest:
    if method.secret_ref is not None:
        token = await secret_text(credentials, method.secret_ref, "auth.jwt.secretRef")
    elif method.kubernetes_service_account_token is not None:
        wanted = method.kubernetes_service_account_token
        found = await credentials.service_account_token(
            wanted.service_account_ref,
            where="auth.jwt.kubernetesServiceAccountToken.serviceAccountRef",
            audiences=_DEFAULT_AUDIENCES if wanted.audiences is None else wanted.audiences,
            seconds=wanted.expiration_seconds or _TOKEN_SECONDS,
        )
        token = found.value
    else:
        raise BadSpec("auth.jwt has neither secretRef nor kubernetesServiceAccountToken", remedy="set one of them")
    return LoginRequest(login_path(method.path), {"role": (method.role or "").strip(), "jwt": token})


async def _cert(method: Cert, _: Credentials) -> LoginRequest:
    # The certificate itself is the connection's.
    return LoginRequest(login_path(method.path), {"name": method.vault_role} if method.vault_role else {})


async def _of_cloud(module: str, method: object, session: Session, credentials: Credentials) -> LoginRequest:
    # The clouds' libraries take half a second to import.
    loaded: CloudLogin = await session.aside(partial(importlib.import_module, module))
    return await loaded.login_request(method, session, credentials)


_METHODS: Mapping[str, Callable[[Any, Credentials], Awaitable[LoginRequest]]] = {
    "app_role": _app_role,
    "kubernetes": _kubernetes,
    "ldap": _ldap,
    "user_pass": _user_pass,
    "jwt": _jwt,
    "cert": _cert,
}
"""Attribute of ``auth`` → its login, in ESO's order of precedence."""

_CLOUDS: Mapping[str, str] = {"iam": "keyferry.providers.vault.iam", "gcp": "keyferry.providers.vault.gcp"}
"""The attributes that follow → the module of their login, imported on first use."""


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def login_path(mount: str) -> str:
    """Where to log in at a mount."""
    return f"auth/{escaped(mount.strip('/'))}/login"
