"""The floor: list, watch, read, write, and nothing else. No framework, no cache, no schedule but the interval.

It reads what ``tests.bench.fleet`` applies, one GET per object and refresh, makes its Secret and its condition, and
writes no more while the values stay. What it cannot do without, no operator can.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import ssl
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import uvloop
import yaml

from keyferry.api.duration import parse_duration

_GROUP = "/apis/external-secrets.io/v1"
_PAGE = "500"

Key = tuple[str, str]


class BareLoop:
    """Workers over a queue of keys."""

    def __init__(self, session: aiohttp.ClientSession, provider: aiohttp.ClientSession, server: str) -> None:
        self._session = session
        self._provider = provider
        self._server = server
        self._queue: asyncio.Queue[Key] = asyncio.Queue()
        self._objects: dict[Key, dict[str, Any]] = {}
        self._held: dict[Key, int] = {}
        self._stores: dict[Key, asyncio.Task[tuple[str, str, str]]] = {}
        self._loop = asyncio.get_running_loop()

    async def run(self, workers: int) -> None:
        """List, then watch, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work())
            await self._watch(await self._list())

    async def _list(self) -> str:
        query = {"limit": _PAGE}
        while True:
            page = await self._ask("GET", f"{_GROUP}/externalsecrets", query=query)
            for body in page["items"]:
                self._take(body)
            query["continue"] = page["metadata"].get("continue", "")
            if not query["continue"]:
                version: str = page["metadata"]["resourceVersion"]
                return version

    async def _watch(self, version: str) -> None:
        url = f"{self._server}{_GROUP}/externalsecrets?watch=true&resourceVersion={version}&timeoutSeconds=7200"
        async with self._session.get(url, timeout=aiohttp.ClientTimeout(total=None)) as answer:
            async for line in answer.content:
                event = orjson.loads(line)
                if event["type"] == "DELETED":
                    self._objects.pop(_key(event["object"]), None)
                else:
                    self._take(event["object"])

    def _take(self, body: dict[str, Any]) -> None:
        key = _key(body)
        before = self._objects.get(key)
        self._objects[key] = {"spec": body["spec"], "uid": body["metadata"]["uid"]}
        if before is None:
            self._queue.put_nowait(key)

    async def _work(self) -> None:
        while True:
            await self._sync(await self._queue.get())

    async def _sync(self, key: Key) -> None:
        found = self._objects.get(key)
        if found is None:
            return
        spec = found["spec"]
        server, mount, token = await self._store((key[0], spec["secretStoreRef"]["name"]))
        document: dict[str, dict[str, str]] = {}
        for remote in {entry["remoteRef"]["key"] for entry in spec["data"]}:
            url = f"{server}/v1/{mount}/data/{remote}"
            async with self._provider.get(url, headers={"X-Vault-Token": token}) as answer:
                answer.raise_for_status()
                document[remote] = orjson.loads(await answer.read())["data"]["data"]
        data = {
            entry["secretKey"]: base64.b64encode(
                document[entry["remoteRef"]["key"]][entry["remoteRef"]["property"]].encode()
            ).decode()
            for entry in spec["data"]
        }
        told = hash(tuple(sorted(data.items())))
        if self._held.get(key) != told:
            await self._write(key, found["uid"], data)
            self._held[key] = told
        self._loop.call_later(parse_duration(spec["refreshInterval"]), self._queue.put_nowait, key)

    async def _store(self, key: Key) -> tuple[str, str, str]:
        """Server, mount and token of a store, looked up once."""
        if key not in self._stores:
            self._stores[key] = asyncio.create_task(self._look_up(*key))
        return await self._stores[key]

    async def _look_up(self, namespace: str, name: str) -> tuple[str, str, str]:
        store = await self._ask("GET", f"{_GROUP}/namespaces/{namespace}/secretstores/{name}")
        vault = store["spec"]["provider"]["vault"]
        selector = vault["auth"]["tokenSecretRef"]
        secret = await self._ask("GET", f"/api/v1/namespaces/{namespace}/secrets/{selector['name']}")
        return vault["server"], vault["path"], base64.b64decode(secret["data"][selector["key"]]).decode()

    async def _write(self, key: Key, uid: str, data: dict[str, str]) -> None:
        namespace, name = key
        owner = {
            "apiVersion": "external-secrets.io/v1",
            "kind": "ExternalSecret",
            "name": name,
            "uid": uid,
            "controller": True,
        }
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace, "ownerReferences": [owner]},
            "data": data,
        }
        path = f"/api/v1/namespaces/{namespace}/secrets"
        if key in self._held:
            await self._ask("PUT", f"{path}/{name}", body)
        else:
            await self._ask("POST", path, body)
        condition = {"type": "Ready", "status": "True", "reason": "SecretSynced", "message": "secret synced"}
        path = f"{_GROUP}/namespaces/{namespace}/externalsecrets/{name}/status"
        await self._ask("PATCH", path, {"status": {"conditions": [condition]}})

    async def _ask(self, method: str, path: str, body: object = None, query: dict[str, str] | None = None) -> Any:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Content-Type": kind} if body is not None else {}
        data = None if body is None else orjson.dumps(body)
        async with self._session.request(
            method, self._server + path, data=data, headers=headers, params=query
        ) as answer:
            answer.raise_for_status()
            return orjson.loads(await answer.read())


def _key(body: dict[str, Any]) -> Key:
    return body["metadata"]["namespace"], body["metadata"]["name"]


def _connection(kubeconfig: Path) -> tuple[str, ssl.SSLContext, dict[str, str]]:
    """Server, TLS and headers of a kubeconfig that holds its CA, and a token or a client certificate."""
    given = yaml.safe_load(kubeconfig.read_text("utf-8"))
    cluster, user = given["clusters"][0]["cluster"], given["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if "client-certificate-data" in user:
        with tempfile.NamedTemporaryFile() as pair:
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[part]))
            pair.flush()
            context.load_cert_chain(pair.name)
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    return cluster["server"], context, headers


async def _run(kubeconfig: Path, workers: int) -> None:
    server, context, headers = _connection(kubeconfig)
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=workers), headers=headers, read_bufsize=2**21
        ) as session,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=workers)) as provider,
    ):
        await BareLoop(session, provider, server).run(workers)


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bareloop", description=__doc__)
    parser.add_argument("--kubeconfig", required=True, type=Path)
    parser.add_argument("--concurrent", type=int, default=64)
    given = parser.parse_args()
    uvloop.run(_run(given.kubeconfig, given.concurrent))


if __name__ == "__main__":
    main()
