"""Users, roles, sessions, and what they may."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any


class Refused(Exception):
    """A request that AWS answers with an error. The text is AWS's."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.status = status


@dataclass
class Rights:
    """Pairs of patterns: an action, such as ``ssm:Get*``, and a name, such as ``app/*``.

    Actions that concern no single thing need ``*`` as the name.
    """

    allow: list[tuple[str, str]] = field(default_factory=lambda: [("*", "*")])
    deny: list[tuple[str, str]] = field(default_factory=list)

    def check(self, who: Principal, action: str, name: str = "*") -> None:
        """Raises ``Refused`` in AWS's words."""

        def covered(rules: list[tuple[str, str]]) -> bool:
            return any(fnmatchcase(action, a) and (n == "*" or fnmatchcase(name, n)) for a, n in rules)

        words = f"User: {who.arn} is not authorized to perform: {action} on resource: {name}"
        if covered(self.deny):
            raise Refused("AccessDeniedException", f"{words} with an explicit deny in an identity-based policy")
        if not covered(self.allow):
            raise Refused(
                "AccessDeniedException", f"{words} because no identity-based policy allows the {action} action"
            )


@dataclass(eq=False)
class Principal:
    """Somebody with keys: a user, or a session of a role."""

    account: str
    arn: str
    rights: Rights
    token: str = ""
    ends: float = math.inf
    tags: Mapping[str, str] = field(default_factory=dict)
    access_key: str = field(default_factory=lambda: f"AKIA{secrets.token_hex(8).upper()}")
    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(30))


@dataclass(eq=False)
class Role:
    """Somebody to become. ``trusts`` are patterns of ARNs."""

    account: str
    arn: str
    rights: Rights
    trusts: tuple[str, ...] = ()
    external_id: str = ""
    subject: str = ""
    """Of a ServiceAccount's token: ``system:serviceaccount:NAMESPACE:NAME``."""
    audience: str = "sts.amazonaws.com"
    tags: Mapping[str, str] = field(default_factory=dict)
    """Session tags that are asked for."""
    seconds: float = 3600.0
    """How long a session lives."""


class Directory:
    """Everybody who is known."""

    def __init__(self) -> None:
        self.by_key: dict[str, Principal] = {}
        self.roles: dict[str, Role] = {}
        self.sessions: list[tuple[Role, Mapping[str, Any]]] = []
        """Roles that were assumed, with what was asked."""
        self._secret = secrets.token_bytes(32)

    def user(self, account: str, rights: Rights | None = None, *, name: str = "reader") -> Principal:
        """A user with a key of its own."""
        who = Principal(account, f"arn:aws:iam::{account}:user/{name}", rights or Rights())
        self.by_key[who.access_key] = who
        return who

    def role(self, account: str, name: str, **about: Any) -> Role:
        """A role; ``about`` sets its other fields."""
        role = Role(account, f"arn:aws:iam::{account}:role/{name}", about.pop("rights", None) or Rights(), **about)
        self.roles[role.arn] = role
        return role

    def remove(self, who: Principal) -> None:
        """Delete a user's key, or end a session as if it had never been."""
        del self.by_key[who.access_key]

    def open(self, role: Role, asked: Mapping[str, Any]) -> Principal:
        """A session of a role."""
        self.sessions.append((role, asked))
        arn = f"{role.arn.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/{asked['RoleSessionName']}"
        who = Principal(
            role.account,
            arn,
            role.rights,
            token=f"{secrets.token_urlsafe(60)}==",
            ends=time.time() + role.seconds,
            tags=asked.get("Tags", {}),
            access_key=f"ASIA{secrets.token_hex(8).upper()}",
        )
        self.by_key[who.access_key] = who
        return who

    def issue(self, subject: str, audience: str = "sts.amazonaws.com", *, seconds: float = 600.0) -> str:
        """A ServiceAccount's token, signed by the one issuer that is trusted."""
        parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": subject, "aud": [audience], "exp": time.time() + seconds})
        head = ".".join(_encoded(json.dumps(part).encode()) for part in parts)
        return f"{head}.{self._signature(head)}"

    def claims(self, token: str) -> dict[str, Any]:
        """What a token says. Raises ``Refused`` where it is not one of ours, or too old."""
        head, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._signature(head), signature):
            raise Refused("InvalidIdentityToken", "No OpenIDConnect provider found in your account for https://oidc")
        body = head.partition(".")[2]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        if claims["exp"] < time.time():
            raise Refused("ExpiredTokenException", "Token expired: current date/time must be before the expiration")
        return claims

    def _signature(self, head: str) -> str:
        return _encoded(hmac.new(self._secret, head.encode(), hashlib.sha256).digest())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
