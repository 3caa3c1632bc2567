"""Who can log in to the double: service accounts and their keys, trusted tokens from elsewhere, access tokens.

Nothing here speaks a protocol; ``identity`` does.
"""

from __future__ import annotations

import base64
import functools
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

TOKEN_URI: Final = "https://oauth2.googleapis.com/token"
_LIFE: Final = 3600.0
_PAIRS: Final = 4
"""RSA keys that are made; making one takes a tenth of a second, and tests want many."""


class BadGrant(Exception):
    """A login that is refused; the text is what Google says as ``error_description``."""


@dataclass
class AwsKey:
    """An access key of AWS, and the role it stands for."""

    secret: str
    session_token: str
    arn: str


@dataclass
class Accounts:
    """``life`` is how long tokens are valid that are issued from now on, in seconds."""

    life: float = _LIFE
    trusted: dict[tuple[str, str], str] = field(default_factory=dict)
    """Audience and token of another issuer → the principal that it stands for."""
    impersonators: dict[str, set[str]] = field(default_factory=dict)
    """Service account → the principals that may act as it."""
    aws_keys: dict[str, AwsKey] = field(default_factory=dict)
    """By access key id."""
    issued: list[str] = field(default_factory=list)
    """Every access token that was ever given out."""
    _keys: dict[str, tuple[str, rsa.RSAPublicKey]] = field(default_factory=dict)
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict)

    def create_key(self, email: str) -> dict[str, Any]:
        """A new key of a service account, as the file that Google gives out."""
        number = len(self._keys)
        key = _pair(number % _PAIRS)
        key_id = secrets.token_hex(20)
        self._keys[key_id] = (email, key.public_key())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "project_id": email.partition("@")[2].partition(".")[0],
            "private_key_id": key_id,
            "private_key": pem.decode(),
            "client_email": email,
            "client_id": "100000000000000000001",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": TOKEN_URI,
            "universe_domain": "googleapis.com",
        }

    def delete_key(self, info: dict[str, Any]) -> None:
        del self._keys[info["private_key_id"]]

    def issue(self, identity: str) -> str:
        """A new access token. It may well be used in headers."""
        token = f"ya29.{secrets.token_urlsafe(24)}"
        self._tokens[token] = (identity, time.monotonic() + self.life)
        self.issued.append(token)
        return token

    def revoke(self, identity: str) -> None:
        """End all tokens of an identity."""
        self._tokens = {token: held for token, held in self._tokens.items() if held[0] != identity}

    def holder(self, token: str) -> str | None:
        """Whose token it is; None where it is unknown or has expired."""
        identity, ends = self._tokens.get(token, (None, 0.0))
        return identity if time.monotonic() < ends else None

    def sign_in(self, assertion: str) -> str:
        """The service account that signed a JWT for Google's token endpoint. Raises ``BadGrant``."""
        head, claims, signed, signature = _parts(assertion)
        email, public = self._keys.get(str(head.get("kid")), ("", None))
        if public is None or claims.get("iss") != email:
            raise BadGrant("Invalid grant: account not found")
        try:
            public.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise BadGrant("Invalid JWT Signature.") from None
        now = time.time()
        if claims.get("aud") != TOKEN_URI or not claims.get("scope"):
            raise BadGrant("Invalid JWT: audience or scope.")
        if not (claims["iat"] - 300 < now < claims["exp"] <= claims["iat"] + 3600):
            raise BadGrant("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.")
        return email

    def exchange(self, audience: str, token: str) -> str:
        """The principal behind another issuer's token. Raises ``BadGrant``."""
        try:
            return self.trusted[audience, token]
        except KeyError:
            raise BadGrant(f"The audience {audience} does not trust the token.") from None


def _parts(assertion: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    try:
        head, claims, signature = assertion.split(".")
        decoded = (json.loads(_decode(head)), json.loads(_decode(claims)))
    except ValueError:
        raise BadGrant("Invalid JWT.") from None
    return *decoded, f"{head}.{claims}".encode(), _decode(signature)


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@functools.cache
def _pair(_: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
