"""One resolver for every reference that a store makes to an object of this cluster.

The rule, for Secrets, ConfigMaps and ServiceAccounts alike: a namespaced store reaches its own namespace and no other;
a ClusterSecretStore reaches the namespace that the selector names and, where a credential names none, that of the
object on whose behalf it reads. A CA has to be named with its namespace: it is part of the store, not of its callers.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509

from keyferry.api.common import CAProvider, SecretKeySelector, ServiceAccountSelector
from keyferry.errors import BadSpec, KeyferryError, NotThere, Unreachable
from keyferry.kube.client import CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS, Kube, ObjectKey, Resource
from keyferry.kube.dependencies import Dependencies
from keyferry.ports import CallerNeeded, StoreIdentity, Token

OWN_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_MIN_TOKEN_SECONDS = 600
"""The API server refuses TokenRequests for less."""


class StoreCredentials:
    """``ports.Credentials`` for one store and one caller."""

    def __init__(
        self,
        kube: Kube,
        store: StoreIdentity,
        dependencies: Dependencies,
        *,
        lend_own_token: bool = False,
        own_token: Path = OWN_TOKEN,
    ) -> None:
        """``lend_own_token``: a namespaced store may log in as Keyferry itself, as under ESO."""
        self._kube = kube
        self._store = store
        self._dependent = ObjectKey(store.kind, store.namespace, store.name)
        self._dependencies = dependencies
        self._lend_own_token = lend_own_token
        self._own_token = own_token

    async def secret(self, selector: SecretKeySelector, *, where: str, default_key: str = "") -> bytes:
        """See ``ports.Credentials``."""
        if not selector.name:
            raise BadSpec(f"{where}.name is empty", remedy="name the Secret that holds the credential")
        key = selector.key or default_key
        if not key:
            raise BadSpec(f"{where}.key is empty", remedy="name the key of the Secret that holds the credential")
        namespace = self._namespace(selector.namespace, where)
        found = await self._get(SECRETS, namespace, selector.name, where)
        data: Mapping[str, str] = found.get("data") or {}
        return base64.b64decode(_entry(data, key, SECRETS.kind, namespace, selector.name, where))

    async def labelled_secret(
        self, selector: SecretKeySelector, *, where: str, label: tuple[str, str]
    ) -> Mapping[str, bytes]:
        """See ``ports.Credentials``."""
        if not selector.name:
            raise BadSpec(f"{where}.name is empty", remedy="name the Secret")
        namespace = self._namespace(selector.namespace, where)
        found = await self._get(SECRETS, namespace, selector.name, where)
        name, value = label
        if (found["metadata"].get("labels") or {}).get(name) != value:
            raise BadSpec(
                f'{where}: Secret "{namespace}/{selector.name}" does not carry the label {name}: {value}',
                remedy="set it, if the Secret is meant for this use",
            )
        data: Mapping[str, str] = found.get("data") or {}
        return {key: base64.b64decode(text) for key, text in data.items()}

    async def config_map(self, name: str, key: str, *, namespace: str | None, where: str) -> str:
        """See ``ports.Credentials``."""
        place = self._namespace(namespace, where)
        found = await self._get(CONFIG_MAPS, place, name, where)
        return _entry(found.get("data") or {}, key, CONFIG_MAPS.kind, place, name, where)

    async def ca_bundle(self, bundle: str | None, provider: CAProvider | None, *, where: str) -> bytes | None:
        """See ``ports.Credentials``."""
        if bundle:
            return _pem(_unbase64(bundle, where), where)
        if provider is None:
            return None
        if self._store.kind == "ClusterSecretStore" and not provider.namespace:
            raise BadSpec(
                f"{where}.namespace is empty", remedy="a ClusterSecretStore has to name the namespace of its CA"
            )
        namespace = self._namespace(provider.namespace, where)
        key = provider.key or "ca.crt"
        if provider.type == "Secret":
            found = await self._get(SECRETS, namespace, provider.name, where)
            text = base64.b64decode(_entry(found.get("data") or {}, key, SECRETS.kind, namespace, provider.name, where))
        else:
            found = await self._get(CONFIG_MAPS, namespace, provider.name, where)
            text = _entry(found.get("data") or {}, key, CONFIG_MAPS.kind, namespace, provider.name, where).encode()
        return _pem(text, where)

    async def service_account_token(
        self, selector: ServiceAccountSelector, *, where: str, audiences: Sequence[str] = (), seconds: int = 600
    ) -> Token:
        """See ``ports.Credentials``."""
        namespace = self._namespace(selector.namespace, where)
        wanted = list(dict.fromkeys((*audiences, *(selector.audiences or ()))))
        try:
            status = await self._kube.token(namespace, selector.name, wanted, max(seconds, _MIN_TOKEN_SECONDS))
        except NotThere:
            raise _absent(SERVICE_ACCOUNTS, namespace, selector.name, where) from None
        except KeyferryError as error:
            raise error.within(where) from None
        expires = dt.datetime.fromisoformat(status["expirationTimestamp"])
        return Token(value=status["token"], expires_at=expires.timestamp())

    async def service_account_annotations(self, selector: ServiceAccountSelector, *, where: str) -> Mapping[str, str]:
        """See ``ports.Credentials``."""
        namespace = self._namespace(selector.namespace, where)
        found = await self._get(SERVICE_ACCOUNTS, namespace, selector.name, where)
        annotations: Mapping[str, str] = found["metadata"].get("annotations") or {}
        return annotations

    async def permit_own_identity(self) -> None:
        """See ``ports.Credentials``."""
        if self._store.kind == "SecretStore" and not self._lend_own_token:
            # Its author names the server, and would be sent the token of an account that reads every Secret.
            raise BadSpec(
                "a SecretStore may not log in with Keyferry's own ServiceAccount",
                remedy="name one of its namespace in serviceAccountRef, or a token in secretRef",
            )

    async def own_token(self) -> str:
        """See ``ports.Credentials``."""
        await self.permit_own_identity()
        try:
            return self._own_token.read_text(encoding="utf-8").strip()
        except OSError:
            raise Unreachable(
                "Keyferry's own ServiceAccount token is not mounted", remedy="set serviceAccountRef or secretRef"
            ) from None

    def _namespace(self, named: str | None, where: str) -> str:
        if self._store.kind == "SecretStore":
            if named and named != self._store.namespace:
                raise BadSpec(
                    f'{where}.namespace "{named}" is not the namespace of the SecretStore',
                    remedy="leave it out, or use a ClusterSecretStore",
                )
            return self._store.namespace
        if named:
            return named
        if not self._store.caller:
            raise CallerNeeded(f"{where} is taken from the namespace of each ExternalSecret")
        return self._store.caller

    async def _get(self, resource: Resource, namespace: str, name: str, where: str) -> dict[str, Any]:
        key = ObjectKey(resource.kind, namespace, name)
        since = self._dependencies.expect(self._dependent, key)
        try:
            found = await self._kube.get(resource, namespace, name)
        except KeyferryError as error:
            raise error.within(where) from None
        self._dependencies.depend(self._dependent, key, found["metadata"]["resourceVersion"] if found else "", since)
        if found is None:
            raise _absent(resource, namespace, name, where)
        return found


def _absent(resource: Resource, namespace: str, name: str, where: str) -> BadSpec:
    return BadSpec(
        f'{where}: {resource.kind} "{name}" does not exist in namespace "{namespace}"',
        remedy="create it, or correct the reference",
    )


def _entry(data: Mapping[str, str], key: str, kind: str, namespace: str, name: str, where: str) -> str:
    if key in data:
        return data[key]
    has = ", ".join(sorted(data)[:10]) or "no keys"
    raise BadSpec(f'{where}: {kind} "{namespace}/{name}" has no key "{key}"', remedy=f"it has {has}")


def _unbase64(text: str, where: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:
        raise BadSpec(f"{where} is not base64", remedy="encode the PEM certificates as base64") from None


def _pem(text: bytes, where: str) -> bytes:
    try:
        x509.load_pem_x509_certificates(text)
    except ValueError:
        raise BadSpec(f"{where} holds no PEM certificate", remedy="give one or more CERTIFICATE blocks") from None
    return text
