"""An endpoint, Secrets for its templates, and the adapters opened in one test."""

from __future__ import annotations

from typing import Any

from keyferry.errors import KeyferryError
from keyferry.ports import Fetched, Ref, StoreIdentity
from keyferry.providers.webhook import Webhook
from keyferry.shape import extract
from tests.sandbox.webhook import Hooks
from tests.support.credentials import Calls, DictCredentials, make_context

CANARY = "canary-8d1f"
"""The value of every secret here."""
LABEL = ("external-secrets.io/type", "webhook")
ADMIN = StoreIdentity(kind="ClusterSecretStore", name="store", namespace="", caller="team-a")


class World:
    """See the module. The Secret ``login`` holds ``token`` and ``weird key``, the canary both."""

    def __init__(self, hooks: Hooks) -> None:
        self.hooks = hooks
        self.credentials = DictCredentials()
        self.secret("login", token=CANARY.encode())
        self.calls = Calls()
        self._opened: list[Webhook] = []

    def secret(self, name: str, *, labelled: bool = True, namespace: str = "default", **keys: bytes) -> None:
        """A Secret of the cluster."""
        self.credentials.secrets[namespace, name] = keys
        if labelled:
            self.credentials.labels[namespace, name] = LABEL

    async def open(self, path: str = "/", *, context: dict[str, Any] | None = None, **spec: Any) -> Webhook:
        """An adapter whose url is a path of the endpoint, or a whole address."""
        given = {
            "url": path if "://" in path else f"{self.hooks.url}{path}",
            "secrets": [{"name": "login", "secretRef": {"name": "login"}}],
        }
        made = make_context(self.credentials, **({"observe": self.calls} | (context or {})))
        adapter = await Webhook.open(Webhook.Config.parse(given | spec), made)
        self._opened.append(adapter)
        return adapter

    async def aclose(self) -> None:
        for adapter in self._opened:
            await adapter.aclose()


async def ask(adapter: Webhook, key: str = "db", property: str = "", version: str = "") -> bytes:  # noqa: A002 - its name
    """The document of a ref. Raises the error that it is answered with."""
    ref = Ref(key, version, property=property)
    answer = (await adapter.read([ref]))[ref]
    if isinstance(answer, KeyferryError):
        raise answer
    assert isinstance(answer.document, bytes)
    return answer.document


async def spread(adapter: Webhook, key: str = "db") -> dict[str, bytes]:
    """What ``dataFrom.extract`` makes of a ref."""
    return extract.many(Fetched(await ask(adapter, key)), "", adapter.layout, key=key)
