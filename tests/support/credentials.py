"""A stand-in for the cluster behind ``keyferry.ports.Credentials``: objects in a dict, namespace rules left out."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from keyferry.addresses import Addresses
from keyferry.api.common import CAProvider, SecretKeySelector, ServiceAccountSelector
from keyferry.errors import BadSpec
from keyferry.ports import Context, Retries, StoreIdentity, Token


@dataclass
class DictCredentials:
    """``secrets[namespace, name][key]`` and so on; ``tokens`` answers TokenRequests by (namespace, name)."""

    namespace: str = "default"
    secrets: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    config_maps: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    tokens: dict[tuple[str, str], Token] = field(default_factory=dict)
    annotations: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    labels: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    own: str = "own-token"
    lends: bool = True
    """A store may log in as Keyferry itself."""
    token_requests: list[tuple[str, str, tuple[str, ...], int]] = field(default_factory=list)

    async def secret(self, selector: SecretKeySelector, *, where: str, default_key: str = "") -> bytes:
        place = (selector.namespace or self.namespace, selector.name or "")
        key = selector.key or default_key
        try:
            return self.secrets[place][key]
        except KeyError:
            raise BadSpec(f'{where}: no key "{key}" in Secret {"/".join(place)}') from None

    async def labelled_secret(
        self, selector: SecretKeySelector, *, where: str, label: tuple[str, str]
    ) -> Mapping[str, bytes]:
        place = (selector.namespace or self.namespace, selector.name or "")
        if place not in self.secrets or self.labels.get(place) != label:
            raise BadSpec(f"{where}: no Secret {'/'.join(place)} with the label {label[0]}: {label[1]}")
        return self.secrets[place]

    async def config_map(self, name: str, key: str, *, namespace: str | None, where: str) -> str:
        place = (namespace or self.namespace, name)
        try:
            return self.config_maps[place][key]
        except KeyError:
            raise BadSpec(f'{where}: no key "{key}" in ConfigMap {"/".join(place)}') from None

    async def ca_bundle(self, bundle: str | None, provider: CAProvider | None, *, where: str) -> bytes | None:
        if bundle:
            return base64.b64decode(bundle)
        if provider is None:
            return None
        place = (provider.namespace or self.namespace, provider.name)
        key = provider.key or "ca.crt"
        try:
            if provider.type == "Secret":
                return self.secrets[place][key]
            return self.config_maps[place][key].encode()
        except KeyError:
            raise BadSpec(f'{where}: no key "{key}" in {provider.type} {"/".join(place)}') from None

    async def service_account_token(
        self, selector: ServiceAccountSelector, *, where: str, audiences: Sequence[str] = (), seconds: int = 600
    ) -> Token:
        place = (selector.namespace or self.namespace, selector.name)
        self.token_requests.append((*place, (*audiences, *(selector.audiences or ())), seconds))
        try:
            return self.tokens[place]
        except KeyError:
            raise BadSpec(f"{where}: no ServiceAccount {'/'.join(place)}") from None

    async def service_account_annotations(self, selector: ServiceAccountSelector, *, where: str) -> Mapping[str, str]:
        place = (selector.namespace or self.namespace, selector.name)
        try:
            return self.annotations[place]
        except KeyError:
            raise BadSpec(f"{where}: no ServiceAccount {'/'.join(place)}") from None

    async def permit_own_identity(self) -> None:
        if not self.lends:
            raise BadSpec("a SecretStore may not log in with Keyferry's own ServiceAccount")

    async def own_token(self) -> str:
        await self.permit_own_identity()
        return self.own


@dataclass
class Calls:
    """Counts what an adapter observes: ``counts[call, outcome]``."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    @contextmanager
    def __call__(self, call: str) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.counts[call, "error"] = self.counts.get((call, "error"), 0) + 1
            raise
        self.counts[call, "success"] = self.counts.get((call, "success"), 0) + 1


def _fill(template: str, values: Mapping[str, Mapping[str, str]]) -> str:
    # Imported on use: few providers have templates.
    from tests.support.templates import renderer

    return renderer().fill(template, values)


def make_context(credentials: DictCredentials | None = None, **changes: Any) -> Context:
    """A Context for a namespaced store ``default/store``; ``changes`` replace its fields."""
    given: dict[str, Any] = {
        "store": StoreIdentity(kind="SecretStore", name="store", namespace="default", caller="default"),
        "credentials": credentials or DictCredentials(),
        "retries": Retries(),
        "timeout": 10.0,
        "observe": Calls(),
        "fill": _fill,
        # Tests' servers are on this machine.
        "addresses": Addresses(everything=True),
        "expires": lambda _at: None,
    }
    return Context(**(given | changes))
