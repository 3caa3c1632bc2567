"""A namespace that is filled as ESO fills it, request by request, and what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Self

from keyferry.kubehttp import KubeError, KubeHttp
from tests.support.cluster import Cluster, opaque, vault
from tests.support.operator import Operator
from tests.support.rights import Account
from tests.takeover import eso
from tests.takeover.cases import EMPTY, Case
from tests.takeover.eso import Json
from tests.takeover.provider import TOKEN, Kv

STORE = "store"
_GROUP = "/apis/external-secrets.io/v1"
_CORE = "/api/v1"
_USER = "kubectl-client-side-apply"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_AT_ONCE = 16
_BUSY = re.compile(r"^(?:workqueue_depth|controller_runtime_active_workers)\{.*\} (\S+)$", re.MULTILINE)
_LOOKED_AT = re.compile(
    r'^externalsecret_sync_calls_total\{name="([^"]+)",namespace="([^"]+)"\} (?!0\.0$)', re.MULTILINE
)

Versions = dict[tuple[str, str], str]
"""resourceVersion by plural and name."""


class World:
    """``async with World(cluster, namespace, account) as world``; ``world.kv`` is the provider behind its stores.

    ``account`` is the one that Keyferry works as, with the rights of the chart.
    """

    def __init__(self, cluster: Cluster, namespace: str, account: Account) -> None:
        self.kv = Kv()
        self.cases: dict[str, Case] = {}
        self.namespace = namespace
        self._cluster = cluster
        self._account = account
        self._kube: KubeHttp
        self._operator: Operator

    async def fill(self, cases: Iterable[Case], refreshed: dt.datetime, *, controller: str = "") -> None:
        """Stores of a controller class, and these ExternalSecrets as ESO leaves them, last refreshed at this moment."""
        self.kv.values[EMPTY] = {}
        await self.create("secrets", opaque("kv-token", self.namespace, token=TOKEN))
        await self.create("configmaps", _config_map(self.namespace))
        await self.add_store(STORE, refreshed, controller=controller)
        await self.add_store("", refreshed, controller=controller)
        await self.add(cases, refreshed)

    async def add_store(self, name: str, checked: dt.datetime, *, controller: str = "") -> None:
        """A SecretStore that ESO found to be good; without a name, a ClusterSecretStore that has the namespace's."""
        plural, kind = ("secretstores", "SecretStore") if name else ("clustersecretstores", "ClusterSecretStore")
        provider = vault(self.kv.url, "kv", secret="kv-token")
        metadata = {"name": name or self.namespace}
        if name:
            metadata["namespace"] = self.namespace
        else:
            provider["vault"]["auth"]["tokenSecretRef"]["namespace"] = self.namespace
        spec = {"provider": provider, **({"controller": controller} if controller else {})}
        await self.create(
            plural, {"apiVersion": "external-secrets.io/v1", "kind": kind, "metadata": metadata, "spec": spec}
        )
        condition = {
            "type": "Ready",
            "status": "True",
            "reason": "Valid",
            "message": "store validated",
            "lastTransitionTime": checked.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        status = {"capabilities": "ReadWrite", "conditions": [condition]}
        await self.patch(plural, metadata["name"], {"status": status}, part="/status")

    async def add(self, cases: Iterable[Case], refreshed: dt.datetime, *, store: str = STORE) -> None:
        """Further ExternalSecrets as ESO leaves them."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(case: Case) -> None:
            async with gate:
                await self._leave(case, refreshed, store)

        new = {case.name: case for case in cases}
        for case in new.values():
            if not case.key:
                self.kv.values[case.name] = {"user": f"user-of-{case.name}", "password": f"p-{case.name}"}
        await asyncio.gather(*map(one, new.values()))
        self.cases |= new

    async def pass_time(self, moment: dt.datetime) -> None:
        """Every ExternalSecret was last refreshed at this moment: as if the time since had passed."""
        patch = {"status": {"refreshTime": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}}
        names = await self.bodies("externalsecrets")
        await asyncio.gather(*(self.patch("externalsecrets", name, patch, part="/status") for name in names))

    async def create(self, plural: str, body: Json, manager: str = _USER) -> Json:
        """The new object."""
        return await self._send("POST", self._path(plural), body, manager)

    async def patch(self, plural: str, name: str, patch: Json, manager: str = eso.OWN, *, part: str = "") -> Json:
        """The object after a merge patch to it, or to its ``part`` "/status"."""
        kind = "application/merge-patch+json"
        return await self._send("PATCH", f"{self._path(plural)}/{name}{part}", patch, manager, kind=kind)

    async def delete(self, plural: str, name: str) -> None:
        """Delete the object as a user does."""
        await self._kube.request("DELETE", f"{self._path(plural)}/{name}")

    async def bodies(self, plural: str) -> dict[str, Json]:
        """The objects of a kind in the namespace by name, without the credential of the store."""
        found = await self._kube.request("GET", self._path(plural))
        return {each["metadata"]["name"]: each for each in found["items"] if each["metadata"]["name"] != "kv-token"}

    async def versions(self, *plurals: str) -> Versions:
        """What changes with every write to an object of these kinds."""
        return {
            (plural, name): body["metadata"]["resourceVersion"]
            for plural in plurals
            for name, body in (await self.bodies(plural)).items()
        }

    async def moment(self) -> str:
        """Where ``writes`` can begin."""
        listed = await self._kube.request("GET", self._path("secrets"), query={"limit": "1"})
        version: str = listed["metadata"]["resourceVersion"]
        return version

    async def writes(self, *plurals: str, since: str) -> Counter[str]:
        """How often objects of these kinds were written since a moment, by name."""
        query = {"watch": "true", "resourceVersion": since, "timeoutSeconds": "1"}
        found: Counter[str] = Counter()

        async def look(plural: str) -> None:
            stream = self._kube.stream(self._path(plural), query=query, idle_timeout=30)
            async with contextlib.aclosing(stream) as events:
                async for event in events:
                    found[event["object"]["metadata"]["name"]] += 1

        await asyncio.gather(*map(look, plurals))
        return found

    @contextlib.asynccontextmanager
    async def operating(self, **flags: str) -> AsyncIterator[Operator]:
        """Keyferry, at work, which has looked at every ExternalSecret of the namespace once."""
        self._operator = operator = Operator(self._account.kubeconfig, **flags)
        await asyncio.to_thread(operator.start)
        try:
            await self.at_rest()
            yield operator
        finally:
            await asyncio.to_thread(operator.stop)

    async def at_rest(self) -> None:
        """Return once Keyferry has looked at every ExternalSecret, and nothing is left to be done now."""
        await until(self._is_at_rest, told=self._operator.process.tail)

    async def _is_at_rest(self) -> bool:
        _, text = await asyncio.to_thread(self._operator.get, "metrics", "/metrics")
        busy = sum(float(value) for value in _BUSY.findall(text))
        looked_at = {name for name, namespace in _LOOKED_AT.findall(text) if namespace == self.namespace}
        return not busy and looked_at >= set(await self.bodies("externalsecrets"))

    async def _leave(self, case: Case, refreshed: dt.datetime, store: str) -> None:
        """The requests of a user and of ESO for one ExternalSecret, in their order."""
        applied = case.manifest(self.namespace, store)
        annotations = {**applied["metadata"].get("annotations", {}), _LAST_APPLIED: json.dumps(applied)}
        es = await self.create(
            "externalsecrets", {**applied, "metadata": {**applied["metadata"], "annotations": annotations}}
        )
        es = await self.patch("externalsecrets", case.name, {"metadata": {"finalizers": [eso.FINALIZER]}})
        existing = None
        writer = eso.manager(case.name)
        if case.before is not None:
            await self.create("secrets", opaque(eso.target_name(es), self.namespace, **case.before))
            label = {"metadata": {"labels": {eso.MANAGED: "true"}}}
            existing = await self.patch("secrets", eso.target_name(es), label, writer)
        if case.holds:
            rendered = case.wanted(self.kv.values) if case.left is None else eso.Rendered(case.left)
            secret = eso.written(es, rendered, existing)
            if existing is None:
                await self.create("secrets", secret, writer)
            else:
                await self._send("PUT", f"{self._path('secrets')}/{eso.target_name(es)}", secret, writer)
        status = eso.status(es, case.condition, refreshed)
        await self._send(
            "PUT", f"{self._path('externalsecrets')}/{case.name}/status", {**es, "status": status}, eso.OWN
        )

    async def _send(self, method: str, path: str, body: Json, manager: str, *, kind: str = "application/json") -> Json:
        query = {"fieldManager": manager}
        answer: Json = await self._kube.request(method, path, query=query, body=body, content_type=kind)
        return answer

    def _path(self, plural: str) -> str:
        if plural == "clustersecretstores":
            return f"{_GROUP}/{plural}"
        root = _CORE if plural in {"secrets", "configmaps", "events"} else _GROUP
        return f"{root}/namespaces/{self.namespace}/{plural}"

    async def __aenter__(self) -> Self:
        self._kube = await KubeHttp.from_environment(kubeconfig=str(self._cluster.kubeconfig), user_agent="takeover")
        await self.kv.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(KubeError):
            await self.delete("clustersecretstores", self.namespace)
        for es in (await self.bodies("externalsecrets")).values():
            if es["metadata"].get("finalizers"):
                await self.patch("externalsecrets", es["metadata"]["name"], {"metadata": {"finalizers": None}})
        await self.kv.__aexit__()
        await self._kube.aclose()


def ago(**given: float) -> dt.datetime:
    """The moment that lies back so far, as ``timedelta`` takes it."""
    return dt.datetime.now(dt.UTC) - dt.timedelta(**given)


async def until(probe: Callable[[], Any], *, seconds: float = 60.0, told: Callable[[], str] = lambda: "") -> None:
    """Return once the probe, a coroutine function, answers True. Asks again every 100 ms."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not await probe():
        if loop.time() > deadline:
            raise AssertionError(f"it did not happen within {seconds:g} s\n{told()}")
        await asyncio.sleep(0.1)


def _config_map(namespace: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "templates", "namespace": namespace},
        "data": {"app.conf": "password={{ .password }}"},
    }
