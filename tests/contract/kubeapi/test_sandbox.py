"""What only the sandbox's own server can do: fail on purpose, remember, and hold many objects."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.contract.kubeapi.client import Client, b64, configmap, from_kubeconfig, secret
from tests.sandbox.kubeapi import KubeApi, Match

pytestmark = pytest.mark.asyncio(loop_scope="session")
NS = "/api/v1/namespaces/default"


@pytest_asyncio.fixture(loop_scope="session")
async def api() -> AsyncIterator[KubeApi]:
    async with KubeApi(controllers=False) as server:
        yield server
        assert not server.errors, [repr(e) for e in server.errors]


@pytest_asyncio.fixture(loop_scope="session")
async def admin(api: KubeApi) -> AsyncIterator[Client]:
    context = ssl.create_default_context(cadata=api.ca_pem)
    async with Client(api.url, context, api.admin_token) as client:
        yield client


async def test_requests_fail_as_often_as_told(api: KubeApi, admin: Client) -> None:
    api.faults.fail(429, count=2, match=Match(resource="secrets"), retry_after=3)
    for _ in range(2):
        answer = (await admin.get(f"{NS}/secrets")).expect(429)
        assert answer.body["reason"] == "TooManyRequests"
        assert answer.body["details"]["retryAfterSeconds"] == 3
    (await admin.get(f"{NS}/secrets")).expect(200)
    (await admin.get(f"{NS}/configmaps")).expect(200)


async def test_the_log_knows_every_request(api: KubeApi, admin: Client) -> None:
    await admin.post(f"{NS}/secrets", secret("a"), fieldManager="me")
    await admin.merge(f"{NS}/secrets/a", {"data": {"k": b64("v")}})
    await admin.get(f"{NS}/secrets/none")
    assert [r.verb for r in api.requests] == ["create", "patch", "get"]
    [created] = api.requests.matching(verb="create")
    assert (created.resource, created.namespace, created.code) == ("secrets", "default", 201)
    assert (created.user_agent, created.field_manager) == ("contract/1.0", "me")
    assert api.requests.count(code=404) == 1
    assert [r.verb for r in api.requests.writes(resource="secrets")] == ["create", "patch"]


async def test_every_version_of_a_secret_is_remembered(api: KubeApi, admin: Client) -> None:
    await admin.post(f"{NS}/secrets", secret("a", stringData={"k": "1"}))
    await admin.merge(f"{NS}/secrets/a", {"data": {"k": None}})
    await admin.merge(f"{NS}/secrets/a", {"stringData": {"k": "2"}})
    await admin.delete(f"{NS}/secrets/a")
    past = api.secret_versions("default", "a")
    assert [(kind, obj.get("data")) for _, kind, obj in past] == [
        ("ADDED", {"k": b64("1")}),
        ("MODIFIED", None),
        ("MODIFIED", {"k": b64("2")}),
        ("DELETED", {"k": b64("2")}),
    ]


async def test_an_expired_window_ends_watches_with_410(api: KubeApi, admin: Client) -> None:
    made = await admin.post(f"{NS}/configmaps", configmap("a"))
    async with admin.watch(f"{NS}/configmaps", resourceVersion=made.version) as watch:
        api.faults.expire_watches()
        event = await watch.next()
        assert event is not None
        assert event["object"]["code"] == 410
    async with admin.watch(f"{NS}/configmaps", resourceVersion=made.version) as watch:
        event = await watch.next()
        assert event is not None
        assert event["object"]["reason"] == "Expired"
    fresh = await admin.get(f"{NS}/configmaps")
    async with admin.watch(f"{NS}/configmaps", resourceVersion=fresh.version) as watch:
        await admin.merge(f"{NS}/configmaps/a", {"data": {"k": "v"}})
        assert await watch.events(1) == [("MODIFIED", "a")]


async def test_an_expired_page_is_410(api: KubeApi, admin: Client) -> None:
    for name in "ab":
        await admin.post(f"{NS}/configmaps", configmap(name))
    token = (await admin.get(f"{NS}/configmaps", limit="1")).meta["continue"]
    api.faults.expire_watches()
    answer = await admin.get(f"{NS}/configmaps", limit="1", **{"continue": token})
    assert answer.expect(410).body["reason"] == "Expired"


async def test_a_hung_watch_is_silent_until_it_is_freed(api: KubeApi, admin: Client) -> None:
    made = await admin.post(f"{NS}/configmaps", configmap("a"))
    async with admin.watch(f"{NS}/configmaps", resourceVersion=made.version) as watch:
        api.faults.hang_watches(Match(resource="configmaps"))
        await admin.merge(f"{NS}/configmaps/a", {"data": {"k": "v"}})
        with pytest.raises(TimeoutError):
            await watch.next(0.2)
        api.faults.clear()
        assert await watch.events(1) == [("MODIFIED", "a")]


async def test_requests_can_be_slow(api: KubeApi, admin: Client) -> None:
    api.faults.slow(0.2, Match(verb="get"))
    start = time.monotonic()
    await admin.get(f"{NS}/secrets/none")
    assert time.monotonic() - start >= 0.2


async def test_dropped_connections_are_felt_and_the_next_work(api: KubeApi, admin: Client) -> None:
    made = await admin.post(f"{NS}/configmaps", configmap("a"))
    async with admin.watch(f"{NS}/configmaps", resourceVersion=made.version) as watch:
        assert api.faults.drop_connections() > 0
        with contextlib.suppress(aiohttp.ClientError):
            assert await watch.next() is None
    (await admin.get(f"{NS}/configmaps/a")).expect(200)


async def test_a_restart_keeps_state_and_address(api: KubeApi, admin: Client) -> None:
    made = await admin.post(f"{NS}/configmaps", configmap("a"))
    url = api.url
    await api.restart()
    assert api.url == url
    assert (await admin.get(f"{NS}/configmaps/a")).expect(200).version == made.version


async def test_without_controllers_nothing_is_collected(admin: Client) -> None:
    await admin.post("/api/v1/namespaces", {"metadata": {"name": "stuck"}})
    (await admin.get("/api/v1/namespaces/stuck/serviceaccounts/default")).expect(404)
    await admin.delete("/api/v1/namespaces/stuck")
    (await admin.get("/api/v1/namespaces/stuck")).expect(200)


async def test_client_certificates_are_admins(api: KubeApi, tmp_path: Path) -> None:
    url, context, token = from_kubeconfig(api.kubeconfig_path(tmp_path, certificate=True))
    assert not token
    async with Client(url, context) as client:
        (await client.get(f"{NS}/secrets")).expect(200)


async def test_ten_thousand_objects_and_five_watchers(api: KubeApi, admin: Client) -> None:
    """Linear work: each object is serialised once for all watchers."""
    path, count = f"{NS}/configmaps", 10_000
    listed = await admin.get(path)

    async def count_events() -> int:
        async with admin.watch(path, resourceVersion=listed.version) as watch:
            return len(await watch.events(count))

    watchers = [asyncio.create_task(count_events()) for _ in range(5)]
    # Straight into the store: what is measured is the fan-out, not 10,000 TLS round trips.
    await asyncio.sleep(0.1)
    from tests.sandbox.kubeapi.store import Key

    for i in range(count):
        meta = {"name": f"c{i}", "namespace": "default", "uid": str(i)}
        api.store.put(
            Key("", "configmaps", "default", f"c{i}"),
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"k": "v"}},
        )
        if i % 500 == 0:
            await asyncio.sleep(0)
    start = time.monotonic()
    assert await asyncio.gather(*watchers) == [count] * 5
    answer = (await admin.get(path)).expect(200)
    assert len(answer.body["items"]) == count
    assert time.monotonic() - start < 30


async def test_it_runs_as_a_process_with_levers_over_http(tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.sandbox.kubeapi",
        "--kubeconfig",
        str(config),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert process.stdout is not None
    try:
        line = json.loads(await process.stdout.readline())
        url, context, token = from_kubeconfig(config)
        assert line["url"] == url
        async with Client(url, context, token) as client:
            await client.post(f"{NS}/secrets", secret("a", stringData={"k": "v"}))
            fault: Any = {"code": 503, "match": {"resource": "secrets"}}
            (await client.post("/sandbox/faults/fail", fault)).expect(200)
            (await client.get(f"{NS}/secrets/a")).expect(503)
            found = (await client.get("/sandbox/requests", resource="secrets")).expect(200)
            assert [r["code"] for r in found.body["items"]] == [201, 503]
            past = await client.get("/sandbox/secrets/default/a/versions")
            assert past.expect(200).body["items"][0]["object"]["data"] == {"k": b64("v")}
            (await client.post("/sandbox/faults/restart", {})).expect(200)
            (await client.delete("/sandbox/requests")).expect(200)
        async with Client(url, context) as nobody:
            (await nobody.get("/sandbox/requests")).expect(403)
    finally:
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    assert process.returncode == 0
