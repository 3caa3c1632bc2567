"""A double of Google, a cluster's objects, and the adapters opened in one test."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Final

from keyferry.errors import KeyferryError
from keyferry.ports import Fetched, Ref, Token
from keyferry.providers.gcpsm import Gcpsm
from keyferry.providers.gcpsm.sites import Sites
from tests.sandbox.gcp import NUMBER, PROJECT, Gcp
from tests.support.credentials import Calls, DictCredentials, make_context

AUDIENCE: Final = (
    f"//iam.googleapis.com/projects/{NUMBER}/locations/global/workloadIdentityPools/pool/providers/cluster"
)
READER: Final = f"reader@{PROJECT}.iam.gserviceaccount.com"
KUBE_TOKEN: Final = "kube-token-7d1f"
CANARY: Final = "canary-5e0c7a"


@dataclass
class World:
    """Opens adapters for a double; closes them in the end."""

    gcp: Gcp
    credentials: DictCredentials = field(default_factory=DictCredentials)
    calls: Calls = field(default_factory=Calls)
    context: dict[str, Any] = field(default_factory=dict)
    changed_sites: dict[str, Any] = field(default_factory=dict)
    opened: list[Gcpsm] = field(default_factory=list)

    @property
    def sites(self) -> Sites:
        return replace(Sites(self.gcp.hosts, self.gcp.ca_pem), **self.changed_sites)

    def put(self, key: str, value: bytes = b"value", **more: Any) -> str:
        """Add a version to a global secret of the project."""
        return self.gcp.store.put(f"projects/{PROJECT}/secrets/{key}", value, **more)

    def plant(self, name: str, **keys: str | bytes) -> None:
        """A Secret in the namespace of the store."""
        data = {key: value.encode() if isinstance(value, str) else value for key, value in keys.items()}
        self.credentials.secrets["default", name] = data

    def plant_key(self, name: str = "reader", **rights: Any) -> dict[str, Any]:
        """A Secret with a new key of the service account of that name."""
        key = self.gcp.key(name, **rights)
        self.plant(name, key=json.dumps(key))
        return key

    def plant_account(self, name: str = "app", *, acts_as: str = "", token: str = KUBE_TOKEN) -> None:
        """A ServiceAccount in the namespace of the store."""
        self.credentials.tokens["default", name] = Token(token, 0)
        self.credentials.annotations["default", name] = {"iam.gke.io/gcp-service-account": acts_as} if acts_as else {}

    def plant_configuration(self, **configuration: Any) -> None:
        """A ConfigMap ``federation`` with a credential configuration under ``config.json``."""
        self.credentials.config_maps["default", "federation"] = {"config.json": json.dumps(configuration)}

    async def open(self, auth: Any = None, **changes: Any) -> Gcpsm:
        """An adapter of the project, that logs in by ``auth``; left out, by the key in the Secret ``reader``."""
        spec = {"projectID": PROJECT, "auth": keyed("reader") if auth is None else auth} | changes
        given = {name: value for name, value in spec.items() if value is not None}
        context = make_context(self.credentials, **({"observe": self.calls} | self.context))
        adapter = await Gcpsm.open(Gcpsm.Config.parse(given, at="spec.provider.gcpsm"), context, sites=self.sites)
        self.opened.append(adapter)
        return adapter

    async def aclose(self) -> None:
        """Close what was opened."""
        for adapter in self.opened:
            await adapter.aclose()


def keyed(name: str) -> dict[str, Any]:
    """``auth`` by the key in a Secret."""
    return {"secretRef": {"secretAccessKeySecretRef": {"name": name, "key": "key"}}}


def federated(**fields: Any) -> dict[str, Any]:
    """``auth`` by workload identity federation."""
    return {"workloadIdentityFederation": fields}


def configured(**fields: Any) -> dict[str, Any]:
    """``auth`` by the credential configuration in the ConfigMap ``federation``."""
    return federated(credConfig={"name": "federation", "key": "config.json"}, **fields)


async def read(adapter: Gcpsm, *refs: Ref) -> list[Fetched | KeyferryError]:
    """What each ref is answered with."""
    found = await adapter.read(refs)
    assert set(found) == set(refs)
    return [found[ref] for ref in refs]


async def value(adapter: Gcpsm, key: str, version: str = "", *, metadata: bool = False) -> bytes:
    """The document of a key. Raises the error that it is answered with."""
    (answer,) = await read(adapter, Ref(key, version, metadata))
    if isinstance(answer, KeyferryError):
        raise answer
    assert isinstance(answer.document, bytes)
    return answer.document
