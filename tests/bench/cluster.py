"""The API server that is measured with: the sandbox's, a real control plane, or a running cluster; and its counts."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp
import orjson
import yaml

from keyferry.kubehttp import config
from tests.sandbox.controlplane import ControlPlane
from tests.support.processes import ROOT, Process

_AGENT = "keyferry-bench"
_READS = frozenset({"get", "list"})
_WRITES = frozenset({"post", "create", "put", "update", "patch", "apply", "delete", "deletecollection"})
_COUNTED = frozenset({"secrets", "events", "externalsecrets", "secretstores", "clustersecretstores"})
"""What operators read and write for their objects; Leases, tokens and discovery are left out."""
_SAMPLE = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)
_VERBS = {"POST": "post", "DELETE": "deletecollection", "GET": "list"}


class Cluster:
    """Requests to the API server, of an identity that is left out of its counts."""

    def __init__(self, kubeconfig: Path, endpoint: config.Endpoint, kind: str) -> None:
        self.kubeconfig = kubeconfig
        self.kind = kind
        """``sandbox``, ``control plane`` or ``cluster``."""
        self.version = ""
        self._endpoint = endpoint
        self._own: Counter[str] = Counter()
        self._session: aiohttp.ClientSession

    async def request(
        self, method: str, path: str, body: object = None, *, query: Mapping[str, str] | None = None
    ) -> Any:
        """The decoded answer, None where it is no JSON object. Raises ``RuntimeError`` for 4xx and 5xx."""
        raw = await self.text(method, path, body, query=query)
        return orjson.loads(raw) if raw.startswith(b"{") else None

    async def text(
        self, method: str, path: str, body: object = None, *, query: Mapping[str, str] | None = None
    ) -> bytes:
        """The answer as it came."""
        if path.rpartition("/")[2] in _COUNTED:
            self._own[_VERBS[method]] += 1
        data = None if body is None else io.BytesIO(orjson.dumps(body))
        headers = {"Content-Type": "application/json"} if data else {}
        async with self._session.request(
            method, self._url(path), data=data, headers=headers, params=query, ssl=self._endpoint.ssl
        ) as answer:
            if answer.status >= 400:
                raise RuntimeError(f"{method} {path}: {answer.status} {(await answer.text())[:300]}")
            return await answer.read()

    async def watch(self, path: str, *, version: str, metadata: bool) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Type and object of every event after a resourceVersion; does not end. Raises ``RuntimeError``."""
        kind = ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1" if metadata else ""
        while True:
            query = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
            async with self._session.get(
                self._url(path),
                params=query,
                headers={"Accept": f"application/json{kind}"},
                ssl=self._endpoint.ssl,
                timeout=aiohttp.ClientTimeout(total=None),
            ) as answer:
                answer.raise_for_status()
                # The server ends a watch when it likes: it goes on where it stopped.
                async for line in answer.content:
                    event = orjson.loads(line)
                    if event["type"] == "ERROR":
                        raise RuntimeError(f"the watch of {path} failed: {event['object'].get('message')}")
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield event["type"], event["object"]

    async def requests(self) -> Counter[str]:
        """``reads`` and ``writes`` of others than the bench since the API server started, as it has counted them."""
        if self.kind == "sandbox":
            items = (await self.request("GET", "/sandbox/requests"))["items"]
            verbs = Counter(
                each["verb"] for each in items if each["resource"] in _COUNTED and each["user_agent"] != _AGENT
            )
        else:
            verbs = Counter()
            for labels, value in _SAMPLE.findall((await self.text("GET", "/metrics")).decode()):
                told = dict(re.findall(r'(\w+)="([^"]*)"', labels))
                if told["resource"] in _COUNTED:
                    verbs[told["verb"].lower()] += int(float(value))
            verbs.subtract(self._own)
        return Counter(
            reads=sum(count for verb, count in verbs.items() if verb in _READS),
            writes=sum(count for verb, count in verbs.items() if verb in _WRITES),
        )

    async def install(self) -> None:
        """Create the CRDs that are not there, and wait until they are served."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        there = {item["metadata"]["name"] for item in (await self.request("GET", path))["items"]}
        for file in sorted((ROOT / "crds").glob("*.yaml")):
            body = yaml.safe_load(file.read_text("utf-8"))
            if body["metadata"]["name"] not in there:
                await self.request("POST", path, body)
        for plural in ("clustersecretstores", "externalsecrets", "secretstores"):
            await self._served(f"/apis/external-secrets.io/v1/{plural}")

    async def version_of_list(self, path: str) -> str:
        """The resourceVersion of a collection as it stands."""
        version: str = (await self.request("GET", path, query={"limit": "1"}))["metadata"]["resourceVersion"]
        return version

    async def _served(self, path: str) -> None:
        async with asyncio.timeout(30.0):
            while True:
                with contextlib.suppress(RuntimeError):
                    await self.request("GET", path, query={"limit": "1"})
                    return
                await asyncio.sleep(0.05)

    def _url(self, path: str) -> str:
        return self._endpoint.server.rstrip("/") + path

    async def __aenter__(self) -> Self:
        authorization = await self._endpoint.authorization(None)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            headers={"User-Agent": _AGENT, **({"Authorization": authorization} if authorization else {})},
            read_bufsize=2**21,
        )
        self.version = (await self.request("GET", "/version"))["gitVersion"]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()


@contextlib.asynccontextmanager
async def running_cluster(folder: Path, kubeconfig: str) -> AsyncIterator[Cluster]:
    """The cluster of a kubeconfig, a control plane of ``KUBEBUILDER_ASSETS``, or the sandbox's; with our CRDs."""
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    async with contextlib.AsyncExitStack() as stack:
        if kubeconfig:
            path, kind = Path(kubeconfig), "cluster"
        elif assets:
            # No controllers: what they do meanwhile would be measured as well.
            plane = await stack.enter_async_context(ControlPlane(assets))
            path, kind = plane.kubeconfig_path(folder), "control plane"
        else:
            path, kind = folder / "kubeconfig", "sandbox"
            words = ("--no-controllers", "--kubeconfig", str(path))
            server = stack.enter_context(Process("tests.sandbox.kubeapi", *words))
            await asyncio.to_thread(server.wait_for, lambda line: "kubeconfig" in line)
        endpoint = await config.from_environment(str(path), None)
        cluster = await stack.enter_async_context(Cluster(path, endpoint, kind))
        await cluster.install()
        yield cluster
