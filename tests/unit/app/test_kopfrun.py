from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kopf
import pytest

from keyferry.app.kopfrun import kopf_settings, run_kopf
from keyferry.app.kopfsession import Watched
from keyferry.kubehttp import KubeHttp, config
from keyferry.settings import Kube, Scope, Settings
from keyferry.telemetry import Metrics
from tests.sandbox.kubeapi import KubeApi, Match
from tests.unit.app.oddapi import GROUP, OddApi, odd_api, widget

WIDGETS = Watched(GROUP, "v1", "widgets")
OTHERS = Watched(GROUP, "v1", "others")
SCHEMA = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"widgets.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": SCHEMA}],
    },
}
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
OBJECTS = f"/apis/{GROUP}/v1/namespaces/default/widgets"


async def eventually(holds: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not holds():  # noqa: ASYNC110 - what is waited for happens in several places
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"never happened: {what}") from None


@dataclass
class Running:
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    metrics: Metrics = field(default_factory=Metrics)
    events: list[tuple[str | None, str]] = field(default_factory=list)
    listed: int = 0
    task: asyncio.Task[None] | None = None

    def was_listed(self) -> None:
        self.listed += 1

    def saw(self, kind: str | None, name: str) -> bool:
        return (kind, name) in self.events

    def restarts(self, reason: str, resource: str = "widgets") -> float:
        return self.metrics.value("keyferry_watch_restarts_total", resource=resource, reason=reason) or 0


@asynccontextmanager
async def running(
    endpoint: config.Endpoint, settings: Settings | None = None, watched: tuple[Watched, ...] = (WIDGETS,)
) -> AsyncIterator[Running]:
    run = Running()
    registry = kopf.OperatorRegistry()

    @kopf.on.event(GROUP, "v1", "widgets", registry=registry)
    async def on_widget(event: kopf.RawEvent, **_: Any) -> None:
        run.events.append((event["type"], event["object"]["metadata"]["name"]))

    http = KubeHttp(endpoint, limit=4, user_agent="test")
    run.task = asyncio.create_task(
        run_kopf(
            registry,
            settings or Settings(),
            endpoint,
            http,
            watched=watched,
            stop=run.stop,
            metrics=run.metrics,
            listed=run.was_listed,
        )
    )
    try:
        yield run
    finally:
        run.stop.set()
        async with asyncio.timeout(10):
            await run.task
        await http.aclose()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            loop.remove_signal_handler(number)


def odd_endpoint(api: OddApi, authorization: Callable[[str | None], Awaitable[str]] | None = None) -> config.Endpoint:
    async def nobody(_: str | None) -> str:
        return ""

    return config.Endpoint(api.url, ssl=True, authorization=authorization or nobody)


async def cluster(api: KubeApi, folder: Path) -> config.Endpoint:
    return await config.from_environment(str(api.kubeconfig_path(folder)), None)


async def create_widget(http: KubeHttp, name: str) -> None:
    body = {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": {"name": name}}
    await http.request("POST", OBJECTS, body=body)


@asynccontextmanager
async def sandbox(folder: Path) -> AsyncIterator[tuple[KubeApi, KubeHttp, config.Endpoint]]:
    async with KubeApi(controllers=False) as api:
        endpoint = await cluster(api, folder)
        http = KubeHttp(endpoint, limit=4, user_agent="driver")
        try:
            yield api, http, endpoint
        finally:
            await http.aclose()


async def test_objects_that_exist_and_objects_that_come_are_told_and_the_list_is_reported_once(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as (api, http, endpoint):
        await http.request("POST", CRDS, body=CRD)
        await create_widget(http, "old")
        async with running(endpoint) as run:
            await eventually(lambda: run.listed == 1 and run.saw(None, "old"), "the list")
            await create_widget(http, "new")
            await eventually(lambda: run.saw("ADDED", "new"), "the event")
            assert run.listed == 1
        assert api.requests.writes(user_agent="keyferry") == []


async def test_it_runs_as_a_user_that_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", unknown)
    async with sandbox(tmp_path) as (_, http, endpoint):
        await http.request("POST", CRDS, body=CRD)
        await create_widget(http, "one")
        async with running(endpoint) as run:
            await eventually(lambda: run.saw(None, "one"), "the object was told")
            assert run.restarts("KeyError", "none") == 0


async def test_a_crd_that_is_missing_at_start_is_waited_for(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as (_, http, endpoint), running(endpoint) as run:
        await asyncio.sleep(0)
        assert run.listed == 0
        await http.request("POST", CRDS, body=CRD)
        await eventually(lambda: run.listed == 1, "the list of the new kind")
        await create_widget(http, "new")
        await eventually(lambda: run.saw("ADDED", "new"), "the event")


async def test_a_kind_is_served_again_after_its_crd_was_deleted_and_created(tmp_path: Path) -> None:
    chosen = Settings(scope=Scope(namespaces=("default",)))
    async with sandbox(tmp_path) as (_, http, endpoint):
        await http.request("POST", CRDS, body=CRD)
        async with running(endpoint, chosen) as run:
            await eventually(lambda: run.listed == 1, "the list")
            await http.request("DELETE", f"{CRDS}/widgets.{GROUP}")
            await eventually(lambda: run.restarts("http-404") > 0, "the end of the watch")
            await http.request("POST", CRDS, body=CRD)
            await create_widget(http, "reborn")
            await eventually(lambda: any(name == "reborn" for _, name in run.events), "the object of the new CRD")


async def test_events_go_on_after_the_api_server_was_away(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as (api, http, endpoint):
        await http.request("POST", CRDS, body=CRD)
        async with running(endpoint) as run:
            await eventually(lambda: run.listed == 1, "the list")
            await api.restart(seconds=0.5)
            await create_widget(http, "after")
            await eventually(lambda: any(name == "after" for _, name in run.events), "the event")
            assert run.task is not None
            assert not run.task.done()


async def test_an_api_server_that_is_down_at_start_is_waited_for(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as (api, http, endpoint):
        await http.request("POST", CRDS, body=CRD)
        restarting = asyncio.create_task(api.restart(seconds=1.0))
        await asyncio.sleep(0)
        async with running(endpoint) as run:
            await restarting
            await eventually(lambda: run.listed == 1, "the list")


async def test_chosen_namespaces_are_watched_one_by_one_and_nothing_else_is_asked_for(tmp_path: Path) -> None:
    chosen = Settings(scope=Scope(namespaces=("default", "kube-system")))
    async with sandbox(tmp_path) as (api, http, endpoint):
        await http.request("POST", CRDS, body=CRD)
        async with running(endpoint, chosen) as run:
            await eventually(lambda: run.listed == 1, "the lists")
        asked = {request.resource for request in api.requests.matching(user_agent="keyferry") if request.resource}
        assert asked == {"widgets"}
        watches = api.requests.matching(user_agent="keyferry", verb="watch")
        assert {request.namespace for request in watches} == {"default", "kube-system"}


async def test_a_listing_that_is_forbidden_for_a_while_is_survived(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as (api, http, endpoint):
        await http.request("POST", CRDS, body=CRD)
        api.faults.fail(403, count=2, match=Match(resource="widgets", verb="list"))
        async with running(endpoint) as run:
            await eventually(lambda: run.listed == 1, "the list")


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"lists": [404]}, "http-404"),
        ({"lists": [410]}, "http-410"),
        ({"watches": [410]}, "http-410"),
        ({"watches": [406]}, "http-406"),
        ({"watches": [{"type": "ERROR", "object": {"kind": "Status", "code": 500}}]}, "WatchingError"),
    ],
    ids=["404 to a list", "410 to a list", "410 to a watch", "406 to a watch", "error 500 in a watch"],
)
async def test_what_ends_kopf_starts_it_again_and_is_counted(odd: dict[str, Any], reason: str) -> None:
    async with odd_api(objects=[widget("one")], **odd) as api, running(odd_endpoint(api)) as run:
        await eventually(lambda: run.restarts(reason) == 1, reason)
        seen = len(run.events)
        await eventually(lambda: run.listed == 1 and len(run.events) > seen, "objects are told again")
        api.later.set()
        await eventually(lambda: run.saw("MODIFIED", "one"), "an event of the new watch")
        assert run.restarts(reason) == 1


async def test_error_410_in_a_watch_lists_again_without_a_restart() -> None:
    gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410}}
    async with odd_api(objects=[widget("one")], watches=[gone]) as api, running(odd_endpoint(api)) as run:
        await eventually(lambda: api.seen.count("list") == 2, "the second list")
        assert run.restarts("WatchingError") == 0


async def test_a_silent_watch_is_opened_again() -> None:
    impatient = Settings(kube=Kube(watch_idle_timeout=0.3))
    async with odd_api(objects=[widget("one")], watches=["hang"]) as api, running(odd_endpoint(api), impatient) as run:
        await eventually(lambda: api.seen.count("watch") >= 2, "the second watch")
        api.later.set()
        await eventually(lambda: run.saw("MODIFIED", "one"), "an event of the second watch")


async def test_a_renewed_token_is_used_without_a_new_login() -> None:
    async def token(refused: str | None) -> str:
        return "Bearer new" if refused else "Bearer old"

    async with odd_api(objects=[widget("one")], expected="Bearer new") as api:
        endpoint = odd_endpoint(api, token)
        async with running(endpoint) as run:
            await eventually(lambda: run.listed == 1, "the list")


async def test_logins_that_do_not_help_are_not_repeated_in_a_hot_loop() -> None:
    async def token(_: str | None) -> str:
        return "Bearer right"

    impatient = Settings(kube=Kube(watch_idle_timeout=0.2))
    async with (
        odd_api(objects=[widget("one")], expected="Bearer right") as api,
        running(odd_endpoint(api, token), impatient) as run,
    ):
        await eventually(lambda: run.listed == 1, "the list")
        api.expected = "Bearer other"
        with pytest.raises(AssertionError):
            await eventually(lambda: api.seen.count("401") > 40, "a hot loop", seconds=2)
        assert api.seen.count("401") > 0
        api.expected = "Bearer right"
        api.later.set()
        await eventually(lambda: run.saw("MODIFIED", "one"), "events after the credential is good again")


async def test_stopping_takes_less_than_two_seconds_and_leaves_no_task_and_no_foreign_task_is_cancelled() -> None:
    before = asyncio.all_tasks()
    async with odd_api(objects=[widget(f"w{n}") for n in range(300)]) as api:
        serving = asyncio.all_tasks() - before
        async with running(odd_endpoint(api)) as run:
            await eventually(lambda: run.listed == 1, "the list")
            ours = asyncio.create_task(asyncio.Event().wait())
            run.stop.set()
            async with asyncio.timeout(2):
                assert run.task is not None
                await run.task
            assert not ours.done()
            ours.cancel()
        names = {task.get_name() for task in asyncio.all_tasks() - before - serving - {ours}}
        assert not {name for name in names if "widgets" in name or "kopf" in name or "watcher" in name}


async def test_stopping_while_waiting_for_the_api_server_is_immediate() -> None:
    async with odd_api() as api:
        endpoint = odd_endpoint(api)
    async with running(endpoint) as run:
        await asyncio.sleep(0)
        run.stop.set()
        async with asyncio.timeout(1):
            assert run.task is not None
            await run.task


def test_kopf_writes_nothing_and_arms_no_timer_that_kills_the_process() -> None:
    configured = kopf_settings(Settings())
    assert configured.posting.enabled is False
    assert configured.process.ultimate_exiting_timeout is None
    assert configured.queueing.worker_limit is None
    assert configured.scanning.disabled is False
    assert configured.watching.initial_streaming is False


def test_in_chosen_namespaces_kopf_asks_for_nothing_cluster_wide() -> None:
    assert kopf_settings(Settings(scope=Scope(namespaces=("a",)))).scanning.disabled is True
