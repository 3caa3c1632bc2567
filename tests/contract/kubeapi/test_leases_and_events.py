from __future__ import annotations

from typing import Any

import pytest

from tests.contract.kubeapi.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")
NOW = "2026-01-02T03:04:05.678900Z"


@pytest.fixture
def leases(space: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{space}/leases"


def _lease(name: str = "a", *, version: str = "", **spec: Any) -> Any:
    meta = {"name": name, **({"resourceVersion": version} if version else {})}
    return {"metadata": meta, "spec": spec}


async def test_a_lease_is_taken_and_renewed_under_its_version(cluster: Client, leases: str) -> None:
    spec: Any = {"holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": NOW}
    made = (await cluster.post(leases, _lease(**spec))).expect(201)
    assert made.body["spec"] == spec
    assert "generation" not in made.meta
    later = NOW.replace("05.", "07.")
    renewed = _lease(version=made.version, **{**spec, "renewTime": later})
    put = (await cluster.put(f"{leases}/a", renewed)).expect(200)
    assert put.body["spec"]["renewTime"] == later
    (await cluster.put(f"{leases}/a", renewed)).expect(409)


async def test_a_lease_is_never_overwritten_blindly(cluster: Client, leases: str) -> None:
    await cluster.post(leases, _lease(holderIdentity="me"))
    (await cluster.put(f"{leases}/a", _lease(holderIdentity="you"))).expect(422)


async def test_a_lease_can_be_created_by_put(cluster: Client, leases: str) -> None:
    (await cluster.put(f"{leases}/a", _lease(holderIdentity="me"))).expect(201)


async def test_micro_times_have_six_digits(cluster: Client, leases: str) -> None:
    answer = await cluster.post(leases, _lease(renewTime="2026-01-02T03:04:05Z"))
    assert "parsing time" in answer.expect(400).message
    (await cluster.post(leases, _lease(renewTime="2026-01-02T03:04:05.000001Z"))).expect(201)


async def test_durations_are_positive(cluster: Client, leases: str) -> None:
    answer = await cluster.post(leases, _lease(leaseDurationSeconds=0, leaseTransitions=-1))
    assert [f for f, _ in answer.expect(422).causes()] == [
        "spec.leaseDurationSeconds",
        "spec.leaseTransitions",
    ]


async def test_an_empty_holder_is_kept(cluster: Client, leases: str) -> None:
    made = await cluster.post(leases, _lease(holderIdentity=""))
    assert made.expect(201).body["spec"] == {"holderIdentity": ""}


def _event(space: str, name: str = "e", **more: Any) -> Any:
    about = {"kind": "Secret", "apiVersion": "v1", "name": "a", "namespace": space, "uid": "u"}
    return {
        "metadata": {"name": name},
        "involvedObject": about,
        "reason": "Synced",
        "message": "done",
        "type": "Normal",
        **more,
    }


async def test_events_are_found_by_what_they_are_about(cluster: Client, ns: str, space: str) -> None:
    more: Any = {"count": 1, "firstTimestamp": "2026-01-02T03:04:05Z", "source": {"component": "c"}}
    (await cluster.post(f"{ns}/events", _event(space, **more))).expect(201)
    other = _event(space, "f")
    other["involvedObject"]["name"] = "b"
    await cluster.post(f"{ns}/events", other)
    query = "involvedObject.name=a,involvedObject.uid=u,type=Normal"
    found = await cluster.get(f"{ns}/events", fieldSelector=query)
    assert [i["metadata"]["name"] for i in found.expect(200).body["items"]] == ["e"]
    bumped = await cluster.merge(f"{ns}/events/e", {"count": 2})
    assert bumped.expect(200).body["count"] == 2


async def test_events_belong_to_the_namespace_of_their_object(cluster: Client, ns: str) -> None:
    answer = await cluster.post(f"{ns}/events", _event("elsewhere"))
    assert answer.expect(422).causes() == [("involvedObject.namespace", "FieldValueInvalid")]


async def test_events_with_a_time_follow_the_new_rules(cluster: Client, ns: str, space: str) -> None:
    answer = await cluster.post(f"{ns}/events", _event(space, eventTime=NOW))
    assert {"reportingComponent", "reportingInstance", "action"} <= {f for f, _ in answer.expect(422).causes()}
    full: Any = {
        "eventTime": NOW,
        "reportingComponent": "keyferry.dev/x",
        "reportingInstance": "pod",
        "action": "Sync",
    }
    (await cluster.post(f"{ns}/events", _event(space, **full))).expect(201)
    long = _event(space, "long", **full)
    long["message"] = "x" * 1025
    (await cluster.post(f"{ns}/events", long)).expect(422)


async def test_both_event_apis_show_the_same_events(cluster: Client, ns: str, space: str) -> None:
    path = f"/apis/events.k8s.io/v1/namespaces/{space}/events"
    body = {
        "metadata": {"name": "e"},
        "eventTime": NOW,
        "reason": "Synced",
        "note": "done",
        "type": "Normal",
        "action": "Sync",
        "reportingController": "keyferry.dev/x",
        "reportingInstance": "pod",
        "regarding": {"kind": "Secret", "name": "a", "namespace": space},
    }
    made = (await cluster.post(path, body)).expect(201)
    assert made.body["note"] == "done"
    core = (await cluster.get(f"{ns}/events/e")).expect(200)
    assert core.body["message"] == "done"
    assert core.body["reportingComponent"] == "keyferry.dev/x"
    assert core.body["involvedObject"]["name"] == "a"
