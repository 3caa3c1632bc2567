"""Entra ID: tenants, applications and their credentials, tokens. And the metadata service of a node.

What is checked is checked for good: secrets and their expiry, signatures of client certificates (PS256, RS256), issuer,
subject, audience, lifetime and signature (RS256) of federated tokens. Refusals have the form of the real one, with its
ids and times, so that whoever repeats them is found out.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

TENANT = "5a7c3a4e-21f0-4f0c-9f5c-0c8f1f0a7b11"
"""A tenant to use where one is as good as another."""
_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True)
class Federated:
    """A federated credential: whose tokens count as the application."""

    issuer: str
    subject: str
    audience: str = "api://AzureADTokenExchange"


@dataclass
class Application:
    """An app registration with its service principal. ``secrets`` says until when each is good (epoch seconds)."""

    client_id: str
    secrets: dict[str, float] = field(default_factory=dict)
    certificates: list[bytes] = field(default_factory=list)
    federated: list[Federated] = field(default_factory=list)
    enabled: bool = True


@dataclass(frozen=True)
class Principal:
    """Whom a token speaks for, and what it is good for."""

    client_id: str
    tenant: str
    resource: str
    expires: float


class Refused(Exception):
    """A refusal: status, OAuth error and AADSTS code with its words."""

    def __init__(self, status: int, error: str, code: int, words: str) -> None:
        super().__init__(words)
        self.status, self.error, self.code, self.words = status, error, code, words

    def body(self) -> dict[str, Any]:
        """As Entra ID writes it; no two are alike."""
        trace, correlation = uuid.uuid4(), uuid.uuid4()
        at = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
        return {
            "error": self.error,
            "error_description": f"AADSTS{self.code}: {self.words} Trace ID: {trace} Correlation ID: {correlation} "
            f"Timestamp: {at}",
            "error_codes": [self.code],
            "timestamp": at,
            "trace_id": str(trace),
            "correlation_id": str(correlation),
            "error_uri": f"https://login.microsoftonline.com/error?code={self.code}",
        }


class Issuer:
    """A cluster's issuer of ServiceAccount tokens."""

    def __init__(self, url: str = "https://oidc.cluster.example.com/") -> None:
        self.url = url
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.public_key = self._key.public_key()

    def token(self, namespace: str, name: str, *, audiences: tuple[str, ...], seconds: float = 600) -> str:
        """A token of a ServiceAccount."""
        now = time.time()
        claims = {
            "iss": self.url,
            "sub": f"system:serviceaccount:{namespace}:{name}",
            "aud": list(audiences),
            "iat": int(now),
            "exp": int(now + seconds),
        }
        head = b".".join(_encode(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
        return b".".join([head, _encode(self._key.sign(head, padding.PKCS1v15(), hashes.SHA256()))]).decode()


class Entra:
    """All tenants. ``calls`` lists every request for a token: tenant, or ``imds``, and client id."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.tenants: dict[str, dict[str, Application]] = {TENANT: {}}
        self.issuers: dict[str, Issuer] = {}
        self.assigned: dict[str, str] = {}
        """Managed identities of the node: client id → tenant. The first one is used where none is named."""
        self.life = 3600.0
        """Seconds that a token lives."""
        self.calls: list[tuple[str, str]] = []
        self._tokens: dict[str, Principal] = {}
        self.clock = clock

    def register(self, client_id: str, *, tenant: str = TENANT) -> Application:
        """A new application."""
        return self.tenants.setdefault(tenant, {}).setdefault(client_id, Application(client_id))

    def who(self, token: str) -> Principal | None:
        """Whom a token speaks for; None for one that was never issued, was revoked, or is over."""
        found = self._tokens.get(token)
        return found if found and found.expires > self.clock() else None

    def revoke(self, client_id: str) -> None:
        """End all tokens of an application."""
        self._tokens = {token: found for token, found in self._tokens.items() if found.client_id != client_id}

    def grant(self, tenant: str, form: Mapping[str, str], audience: str) -> dict[str, Any]:
        """The answer of the token endpoint. ``audience`` is the endpoint's address. Raises ``Refused``."""
        client_id = form.get("client_id", "")
        self.calls.append((tenant, client_id))
        if tenant not in self.tenants:
            raise Refused(400, "invalid_tenant", 90002, f"Tenant '{tenant}' not found.")
        application = self.tenants[tenant].get(client_id)
        if application is None:
            words = f"Application with identifier '{client_id}' was not found in the directory '{tenant}'."
            raise Refused(400, "unauthorized_client", 700016, words)
        if not application.enabled:
            raise Refused(400, "unauthorized_client", 7000112, f"Application '{client_id}' is disabled.")
        if form.get("grant_type") != "client_credentials":
            raise Refused(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
        if form.get("client_assertion_type") == _BEARER:
            self._check_assertion(application, form.get("client_assertion", ""), audience)
        else:
            self._check_secret(application, form.get("client_secret", ""))
        return self._issue(client_id, tenant, form.get("scope", "").removesuffix("/.default"))

    def managed(self, client_id: str, resource: str) -> dict[str, Any] | None:
        """A token of a managed identity; None where the node does not have it."""
        self.calls.append(("imds", client_id))
        chosen = client_id or next(iter(self.assigned), "")
        if chosen not in self.assigned:
            return None
        answer = self._issue(chosen, self.assigned[chosen], resource)
        expires = {"expires_in": str(answer["expires_in"]), "expires_on": str(int(self.clock() + self.life))}
        return answer | expires | {"resource": resource, "client_id": chosen}

    def _issue(self, client_id: str, tenant: str, resource: str) -> dict[str, Any]:
        token = f"eyJ0eXAiOiJKV1Qi.{secrets.token_urlsafe(30)}.{secrets.token_urlsafe(30)}"
        self._tokens[token] = Principal(client_id, tenant, resource, self.clock() + self.life)
        return {"token_type": "Bearer", "expires_in": int(self.life), "ext_expires_in": int(self.life)} | {
            "access_token": token
        }

    def _check_secret(self, application: Application, secret: str) -> None:
        until = application.secrets.get(secret)
        if until is None:
            words = "Invalid client secret provided. Ensure the secret being sent is the client secret value."
            raise Refused(401, "invalid_client", 7000215, words)
        if until < self.clock():
            raise Refused(401, "invalid_client", 7000222, "The provided client secret keys are expired.")

    def _check_assertion(self, application: Application, assertion: str, audience: str) -> None:
        try:
            head, payload, signature = assertion.split(".")
            header, claims = json.loads(_decode(head)), json.loads(_decode(payload))
        except ValueError:
            raise Refused(401, "invalid_client", 50027, "JWT token is invalid or malformed.") from None
        signed = f"{head}.{payload}".encode()
        if claims.get("iss") == application.client_id:
            self._check_certificate(application, header, claims, signed, _decode(signature), audience)
        else:
            self._check_federated(application, claims, signed, _decode(signature))

    def _check_certificate(
        self,
        application: Application,
        header: Mapping[str, str],
        claims: Mapping[str, Any],
        signed: bytes,
        signature: bytes,
        audience: str,
    ) -> None:
        for pem in application.certificates:
            certificate = x509.load_pem_x509_certificate(pem)
            prints = {
                "x5t": certificate.fingerprint(hashes.SHA1()),  # the name of the field, in the protocol
                "x5t#S256": certificate.fingerprint(hashes.SHA256()),
            }
            if any(_decode(header[name]) == value for name, value in prints.items() if name in header):
                break
        else:
            raise Refused(
                401, "invalid_client", 700027, "The certificate with identifier used to sign is not registered."
            )
        key = certificate.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        sha = hashes.SHA256()
        scheme = padding.PSS(padding.MGF1(sha), sha.digest_size) if header["alg"] == "PS256" else padding.PKCS1v15()
        try:
            key.verify(signature, signed, scheme, sha)
        except InvalidSignature:
            raise Refused(401, "invalid_client", 700027, "Client assertion failed signature validation.") from None
        if claims.get("aud") != audience or not claims["nbf"] - 300 <= time.time() < claims["exp"]:
            raise Refused(401, "invalid_client", 700024, "Client assertion is not within its valid time range.")

    def _check_federated(
        self, application: Application, claims: Mapping[str, Any], signed: bytes, signature: bytes
    ) -> None:
        issuer = self.issuers.get(claims.get("iss", ""))
        try:
            if issuer is None:
                raise InvalidSignature
            issuer.public_key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise Refused(
                401, "invalid_client", 700211, "No matching federated identity record for the issuer."
            ) from None
        same = [each for each in application.federated if each.issuer == claims["iss"]]
        if not any(each.audience in claims["aud"] for each in same):
            raise Refused(401, "invalid_client", 700212, "No matching federated identity record for the audience.")
        if not any(each.subject == claims["sub"] and each.audience in claims["aud"] for each in same):
            words = f"No matching federated identity record found for presented assertion subject '{claims['sub']}'."
            raise Refused(401, "invalid_client", 700213, words)
        if claims["exp"] < time.time():
            raise Refused(401, "invalid_client", 700024, "Client assertion is not within its valid time range.")


def certificate(name: str = "service principal") -> tuple[bytes, bytes]:
    """A self-signed certificate and its RSA key, both PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), plain


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
