"""Key Vaults: their data plane, as REST API 7.4 describes it, for secrets, keys and certificates.

Objects have versions, tags and attributes; deleted ones can be recovered or purged; listings come in pages. Who asks is
known by his token, and may do what ``rights`` says. A request without a token is answered with the challenge.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.sandbox.azure.entra import Entra, Principal

Kind = Literal["secrets", "keys", "certificates"]
KINDS: tuple[Kind, ...] = ("secrets", "keys", "certificates")
LARGEST = 25_600
"""Bytes of a secret's value at most."""
PAGE = 25
"""Entries of a page at most."""
ALL = frozenset(f"{kind}/{right}" for kind in KINDS for right in ("get", "list", "set", "delete"))
READ = frozenset({f"{kind}/{right}" for kind in KINDS for right in ("get", "list")})
_SINGULAR = {"secrets": "Secret", "keys": "Key", "certificates": "Certificate"}


class VaultError(Exception):
    """A refusal, as the vault tells it."""

    def __init__(self, status: int, code: str, message: str, inner: str = "") -> None:
        super().__init__(message)
        self.status = status
        error: dict[str, Any] = {"code": code, "message": message}
        if inner:
            error["innererror"] = {"code": inner}
        self.body = {"error": error}


@dataclass
class Version:
    """One version of an object. ``content`` is what is particular to its kind."""

    name: str
    content: dict[str, Any]
    created: int
    updated: int
    tags: dict[str, str] = field(default_factory=dict)
    enabled: bool = True
    expires: int | None = None
    not_before: int | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(16))

    def attributes(self) -> dict[str, Any]:
        """As they stand in answers: times in seconds since the epoch."""
        found: dict[str, Any] = {"enabled": self.enabled, "created": self.created, "updated": self.updated}
        times = {"exp": self.expires, "nbf": self.not_before}
        return found | {key: at for key, at in times.items() if at is not None} | {"recoveryLevel": "Recoverable"}


@dataclass
class Answer:
    """Status, JSON and further headers."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Vault:
    """One vault.

    ``calls`` lists every request that came with a token that counts: client id, method and path. ``challenges`` counts
    those that were told to log in.
    """

    def __init__(self, host: str, *, resource: str, authority: str, tenant: str, entra: Entra) -> None:
        self.host = host
        self.url = f"https://{host}"
        self.resource = resource
        self.authority = authority
        self.tenant = tenant
        self.rights: dict[str, frozenset[str]] = {}
        self.lack = "ForbiddenByPolicy"
        """How the vault tells that a right is missing: ``ForbiddenByRbac`` where roles are used."""
        self.closed = ""
        """``ForbiddenByFirewall`` or ``ForbiddenByConnection``: nobody is let in."""
        self.evaluates = False
        """Tell that a token was revoked with a claims challenge (continuous access evaluation)."""
        self.calls: list[tuple[str, str, str]] = []
        self.challenges = 0
        self._entra = entra
        self._live: dict[tuple[Kind, str], list[Version]] = {}
        self._deleted: dict[tuple[Kind, str], list[Version]] = {}
        self.clock: Callable[[], float] = entra.clock

    def count(self, call: str) -> int:
        """How many calls began like this: ``GET /secrets/db``."""
        return sum(f"{method} {path}".startswith(call) for _, method, path in self.calls)

    # What tests and demos put into it.

    def put(self, name: str, value: str, *, tags: Mapping[str, str] | None = None, **attributes: Any) -> Version:
        """A new version of a secret."""
        return self._add("secrets", name, {"value": value}, tags, attributes)

    def put_key(
        self,
        name: str,
        key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
        *,
        tags: Mapping[str, str] | None = None,
        **attributes: Any,
    ) -> Version:
        """A new version of a key. The vault shows its public half only."""
        return self._add("keys", name, {"key": jwk(key)}, tags, attributes)

    def put_certificate(
        self, name: str, pem: bytes, key: bytes, *, tags: Mapping[str, str] | None = None, **attributes: Any
    ) -> Version:
        """A new version of a certificate, and of the key and the secret that it brings along."""
        certificate = x509.load_pem_x509_certificate(pem)
        content = {
            "cer": base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode(),
            "x5t": _b64(certificate.fingerprint(hashes.SHA1())),  # the name of the field, in the protocol
        }
        made = self._add("certificates", name, content, tags, attributes)
        public = certificate.public_key()
        assert isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
        bundle = {"value": (key + pem).decode(), "contentType": "application/x-pem-file", "managed": True}
        for kind, part in (("secrets", bundle), ("keys", {"key": jwk(public), "managed": True})):
            self._add(kind, name, part, tags, attributes).id = made.id  # type: ignore[arg-type] # the objects of a certificate share its id
        return made

    def newest(self, kind: Kind, name: str) -> Version:
        """The current version of an object; changes to it take effect, and ``touch`` dates them."""
        return self._live[kind, name][-1]

    def touch(self, version: Version) -> None:
        """What a change of tags or attributes does to a version."""
        version.updated = int(self.clock())

    def delete(self, kind: Kind, name: str) -> None:
        """Delete an object with all its versions; ``recover`` brings it back."""
        self._deleted[kind, name] = self._live.pop((kind, name))

    def recover(self, kind: Kind, name: str) -> None:
        """Undo ``delete``."""
        self._live[kind, name] = self._deleted.pop((kind, name))

    # What clients see of it.

    def answer(self, method: str, path: str, query: str, body: Any, authorization: str) -> Answer:
        """The answer to a request."""
        token = authorization.removeprefix("Bearer ")
        who = self._entra.who(token) if authorization else None
        if who is None:
            self.challenges += 1
            return self._challenge(revoked=bool(authorization))
        try:
            self._admit(who)
            self.calls.append((who.client_id, method, path))
            return Answer(200, self._handle(who, method, path, parse_qs(query), body or {}))
        except VaultError as error:
            return Answer(error.status, error.body, {"WWW-Authenticate": self._where()} if error.status == 401 else {})

    def _where(self) -> str:
        return f'Bearer authorization="{self.authority}/{self.tenant}", resource="{self.resource}"'

    def _challenge(self, *, revoked: bool) -> Answer:
        header = self._where()
        message = "AKV10000: Request is missing a Bearer or PoP token."
        if revoked:
            message = "AKV10035: Token is expired or revoked."
        if revoked and self.evaluates:
            claims = base64.b64encode(b'{"access_token":{"nbf":{"essential":true,"value":"1"}}}').decode()
            header = (
                f'Bearer authorization="{self.authority}/{self.tenant}", error="insufficient_claims", claims="{claims}"'
            )
        body = VaultError(401, "Unauthorized", message).body
        return Answer(401, body, {"WWW-Authenticate": header})

    def _admit(self, who: Principal) -> None:
        if who.tenant != self.tenant:
            issuers = (
                f"Expected one of https://sts.windows.net/{self.tenant}/, found https://sts.windows.net/{who.tenant}/."
            )
            raise VaultError(401, "Unauthorized", f"AKV10032: Invalid issuer. {issuers}")
        if who.resource.rstrip("/") != self.resource:
            words = f"AKV10022: Invalid audience. Expected {self.resource}, found: {who.resource}."
            raise VaultError(401, "Unauthorized", words)
        if self.closed:
            address = f"Client address: 10.9.8.{secrets.randbelow(255)}"
            words = f"Client address is not authorized and caller is not a trusted service.\r\n{address}"
            raise VaultError(403, "Forbidden", words, self.closed)

    def _demand(self, who: Principal, right: str) -> None:
        if right not in self.rights.get(who.client_id, frozenset()):
            words = f"The user, group or application 'appid={who.client_id};oid={secrets.token_hex(16)}' does not have "
            words += f"{right} permission on key vault '{self.host.split('.')[0]};location=westeurope'."
            raise VaultError(403, "Forbidden", words, self.lack)

    def _handle(self, who: Principal, method: str, path: str, query: Mapping[str, list[str]], body: Any) -> Any:
        kind_of, _, rest = path.strip("/").partition("/")
        name, _, sub = rest.partition("/")
        if kind_of not in KINDS:
            raise VaultError(404, "NotFound", f"No resource at {path}.")
        kind: Kind = kind_of
        if method == "PUT" and kind == "secrets" and name:
            self._demand(who, "secrets/set")
            return self._set(name, body)
        if method == "DELETE" and name:
            self._demand(who, f"{kind}/delete")
            found = self._find(kind, name)
            self.delete(kind, name)
            return self._bundle(kind, found) | {"recoveryId": f"{self.url}/deleted{kind}/{name}"}
        if method != "GET":
            raise VaultError(405, "MethodNotAllowed", "The method is not served here.")
        if not name:
            self._demand(who, f"{kind}/list")
            current = (versions[-1] for (each, _), versions in sorted(self._live.items()) if each == kind)
            return self._page(path, query, (self._row(kind, version, bare=True) for version in current))
        if sub == "versions":
            self._demand(who, f"{kind}/list")
            versions = self._live.get((kind, name), [])
            return self._page(path, query, (self._row(kind, version, bare=False) for version in versions))
        self._demand(who, f"{kind}/get")
        found = self._find(kind, name, sub)
        if kind == "secrets" and not found.enabled:
            raise VaultError(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
        return self._bundle(kind, found)

    def _find(self, kind: Kind, name: str, version: str = "") -> Version:
        if not re.fullmatch(r"[0-9A-Za-z-]{1,127}", name):
            raise VaultError(400, "BadParameter", f"The request URI contains an invalid name: {name}")
        versions = next(
            (found for (each, called), found in self._live.items() if each == kind and called.lower() == name.lower()),
            [],
        )
        for found in reversed(versions):
            if version in {"", found.id}:
                return found
        word = _SINGULAR[kind]
        words = f"A {word.lower()} with (name/id) {name}/{version} was not found in this key vault. "
        words += f"If you recently deleted this {word.lower()} you may be able to recover it."
        raise VaultError(404, f"{word}NotFound", words)

    def _set(self, name: str, body: Any) -> Any:
        if not re.fullmatch(r"[0-9A-Za-z-]{1,127}", name):
            raise VaultError(400, "BadParameter", f"The request URI contains an invalid name: {name}")
        if len(body["value"].encode()) > LARGEST:
            raise VaultError(400, "BadParameter", "The value is longer than a secret's may be.")
        if ("secrets", name) in self._deleted:
            words = f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused."
            raise VaultError(409, "Conflict", words, "ObjectIsDeletedButRecoverable")
        return self._bundle("secrets", self.put(name, body["value"], tags=body.get("tags")))

    def _add(
        self,
        kind: Kind,
        name: str,
        content: dict[str, Any],
        tags: Mapping[str, str] | None,
        attributes: Mapping[str, Any],
    ) -> Version:
        now = int(self.clock())
        version = Version(name, content, now, now, dict(tags or {}), **attributes)
        self._live.setdefault((kind, name), []).append(version)
        return version

    def _bundle(self, kind: Kind, version: Version) -> dict[str, Any]:
        link = f"{self.url}/{kind}/{version.name}/{version.id}"
        found = {**version.content, "attributes": version.attributes(), "tags": version.tags}
        if kind == "keys":
            key: dict[str, Any] = {"kid": link, **version.content["key"]}
            return found | {"key": key}
        return found | {"id": link}

    def _row(self, kind: Kind, version: Version, *, bare: bool) -> dict[str, Any]:
        link = f"{self.url}/{kind}/{version.name}" + ("" if bare else f"/{version.id}")
        found = {"attributes": version.attributes(), "tags": version.tags, "kid" if kind == "keys" else "id": link}
        kept = {name: version.content[name] for name in ("contentType", "managed", "x5t") if name in version.content}
        return found | kept

    def _page(self, path: str, query: Mapping[str, list[str]], rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
        entries = list(rows)
        size = int(query.get("maxresults", [str(PAGE)])[0])
        if not 1 <= size <= PAGE:
            raise VaultError(400, "BadParameter", f"maxresults has to be between 1 and {PAGE}.")
        start = int(query.get("$skiptoken", ["0"])[0])
        more = start + size < len(entries)
        # Like the real one, which names the port.
        link = f"{self.url}:443{path}?api-version=7.4&$skiptoken={start + size}&maxresults={size}"
        return {"value": entries[start : start + size], "nextLink": link if more else None}


def jwk(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> dict[str, Any]:
    """A public key as JSON Web Key, without its id."""
    operations = ["sign", "verify"]
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return {"kty": "RSA", "key_ops": operations, "n": _number(numbers.n), "e": _number(numbers.e)}
    point = key.public_numbers()
    size = (key.curve.key_size + 7) // 8
    curve = {256: "P-256", 384: "P-384", 521: "P-521"}[key.curve.key_size]
    places = {"x": _number(point.x, size), "y": _number(point.y, size)}
    return {"kty": "EC", "key_ops": operations, "crv": curve, **places}


def _number(value: int, size: int = 0) -> str:
    return _b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
