from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keyferry.app.leader import Elector, KubeLease, LeaseLost, lease_namespace, new_identity, while_leading
from keyferry.errors import BadSpec
from keyferry.kubehttp import KubeError, KubeHttp, config
from keyferry.settings import Election
from tests.sandbox.kubeapi import KubeApi
from tests.support.virtual import elapsed, virtual
from tests.unit.app.elections import SETTINGS, TAKEOVER, Candidate, Server, started


@virtual
async def test_the_first_candidate_takes_the_lease_at_once_and_writes_it_as_client_go_does() -> None:
    server = Server()
    one = Candidate(server, "one")
    await started(one, within=1)
    assert dict(server.spec) == {
        "holderIdentity": "one",
        "leaseDurationSeconds": 15,
        "acquireTime": "2030-01-01T00:00:00.010000Z",
        "renewTime": "2030-01-01T00:00:00.010000Z",
        "leaseTransitions": 0,
    }
    assert one.leading == [True]
    await one.stop()


@virtual
async def test_a_renewal_is_one_request_per_retry_period() -> None:
    server = Server()
    one = Candidate(server, "one")
    await started(one, within=1)
    server.requests = 0
    await asyncio.sleep(60)
    assert 28 <= server.requests <= 30
    assert server.spec["renewTime"] > server.spec["acquireTime"]
    await one.stop()


@virtual
async def test_only_one_of_two_candidates_works() -> None:
    server = Server()
    one, two = Candidate(server, "one"), Candidate(server, "two")
    await asyncio.sleep(300)
    assert sorted([one.began is None, two.began is None]) == [False, True]
    await one.stop()
    await two.stop()


@virtual
async def test_a_standby_takes_over_when_the_holder_was_killed_and_not_before_its_lease_ran_out() -> None:
    server = Server()
    one = Candidate(server, "one")
    await started(one, within=1)
    two = Candidate(server, "two")
    await asyncio.sleep(30)
    await one.die()
    last = server.written[-1]
    await started(two, within=TAKEOVER)
    assert two.began is not None
    assert two.began >= last + SETTINGS.lease_duration
    assert server.spec["leaseTransitions"] == 1
    await two.stop()


@virtual
async def test_a_holder_that_stops_gives_the_lease_back_and_the_standby_takes_it_at_its_next_try() -> None:
    server = Server()
    one = Candidate(server, "one")
    await started(one, within=1)
    two = Candidate(server, "two")
    await asyncio.sleep(30)
    await one.stop()
    assert (server.holder, server.spec["leaseDurationSeconds"]) == ("", 1)
    await started(two, within=2.2 * SETTINGS.retry_period + 0.2)
    assert server.spec["leaseTransitions"] == 1
    await two.stop()


@virtual
async def test_a_wrong_clock_of_either_side_neither_steals_the_lease_nor_keeps_it_for_ever() -> None:
    for skew in (timedelta(hours=-5), timedelta(hours=5)):
        server = Server()
        one = Candidate(server, "one", skew=skew)
        await started(one, within=1)
        two = Candidate(server, "two")
        await asyncio.sleep(120)
        assert two.began is None
        await one.die()
        await started(two, within=TAKEOVER)
        await two.stop()


@virtual
async def test_an_old_lease_that_is_found_at_start_is_waited_out_by_our_own_clock() -> None:
    server = Server()
    await server.create({"holderIdentity": "gone", "leaseDurationSeconds": 40, "renewTime": "2020-01-01T00:00:00.0Z"})
    found_at = elapsed()
    one = Candidate(server, "one")
    await started(one, within=60)
    assert one.began is not None
    assert one.began >= found_at + 40
    assert server.spec["leaseTransitions"] == 1
    await one.stop()


@virtual
async def test_an_api_server_that_is_away_for_less_than_the_renew_deadline_costs_nothing() -> None:
    server = Server()
    one = Candidate(server, "one")
    await started(one, within=1)
    for _ in range(3):
        server.trouble = KubeError(0, "Connection", "away")
        await asyncio.sleep(SETTINGS.renew_deadline - SETTINGS.retry_period - 0.6)
        server.trouble = None
        await asyncio.sleep(SETTINGS.retry_period + 0.5)
    assert one.ended is None
    assert not one.task.done()
    await one.stop()


@virtual
async def test_work_stops_and_the_process_ends_when_the_lease_cannot_be_renewed() -> None:
    for away in ("refuses", "silent"):
        server = Server()
        one = Candidate(server, "one")
        await started(one, within=1)
        await asyncio.sleep(7)
        last = server.written[-1]
        if away == "silent":
            server.silent = True
        else:
            server.trouble = KubeError(503, "ServiceUnavailable", "away")
        await asyncio.wait({one.task})
        assert isinstance(one.task.exception(), LeaseLost)
        assert one.ended is not None
        # Before another may begin, and not before the deadline.
        assert last + SETTINGS.renew_deadline - 0.1 <= one.ended <= last + SETTINGS.renew_deadline + 0.1
        assert one.leading == [True, False]


@virtual
async def test_two_never_work_at_the_same_time_while_one_is_cut_off() -> None:
    server = Server()
    one = Candidate(server, "one")
    await started(one, within=1)
    two = Candidate(server, "two")
    await asyncio.sleep(20)

    one.elector._client = Server(trouble=KubeError(0, "Connection", "away"))
    await started(two, within=TAKEOVER)
    assert one.ended is not None
    assert two.began is not None
    assert one.ended < two.began
    await two.stop()


@virtual
async def test_a_lease_taken_by_another_ends_the_work_at_the_next_renewal() -> None:
    server = Server()
    one = Candidate(server, "one")
    await started(one, within=1)
    assert server.lease is not None
    server._store({**server.lease, "spec": {**server.spec, "holderIdentity": "thief"}})
    began = elapsed()
    await asyncio.wait({one.task})
    assert isinstance(one.task.exception(), LeaseLost)
    assert one.ended is not None
    assert one.ended <= began + 2 * SETTINGS.retry_period + 0.1
    assert server.holder == "thief"


@virtual
async def test_a_renewal_whose_answer_was_lost_is_recognised_as_our_own() -> None:
    server = Server()
    one = Candidate(server, "one")
    await started(one, within=1)
    true_update = server.update

    async def lose_answer(lease: Mapping[str, Any]) -> Mapping[str, Any]:
        await true_update(lease)
        server.update = true_update  # type: ignore[method-assign] # one answer is lost
        raise KubeError(0, "Broken", "the connection broke off")

    server.update = lose_answer  # type: ignore[method-assign] # one answer is lost
    await asyncio.sleep(60)
    assert not one.task.done()
    assert server.spec["leaseTransitions"] == 0
    await one.stop()
    assert server.holder == ""


@virtual
async def test_a_lease_that_somebody_deleted_is_created_again_by_its_holder() -> None:
    server = Server()
    one = Candidate(server, "one")
    await started(one, within=1)
    server.lease = None
    await asyncio.sleep(2 * SETTINGS.retry_period + 0.5)
    assert server.holder == "one"
    assert one.ended is None
    await one.stop()


@virtual
async def test_fields_of_the_lease_that_we_do_not_know_are_kept() -> None:
    server = Server()
    await server.create({"holderIdentity": "", "strategy": "OldestEmulationVersion"})
    one = Candidate(server, "one")
    await started(one, within=1)
    assert server.spec["strategy"] == "OldestEmulationVersion"
    await one.stop()


@virtual
async def test_what_the_work_returns_or_raises_is_passed_on_and_the_lease_is_given_back() -> None:
    async def returns() -> int:
        return 7

    async def raises() -> int:
        raise BadSpec("no")

    server = Server()
    assert await while_leading(Elector(server, SETTINGS, identity="one"), returns) == 7
    assert server.holder == ""
    with pytest.raises(BadSpec, match="no"):
        await while_leading(Elector(server, SETTINGS, identity="two"), raises)
    assert server.holder == ""


@virtual
async def test_giving_back_does_not_wait_for_a_silent_api_server() -> None:
    server = Server()
    one = Candidate(server, "one")
    await started(one, within=1)
    server.silent = True
    began = elapsed()
    await one.stop()
    assert elapsed() - began <= 2.1


@virtual
async def test_a_standby_that_is_stopped_leaves_the_lease_alone() -> None:
    server = Server()
    one = Candidate(server, "one")
    await started(one, within=1)
    two = Candidate(server, "two")
    await asyncio.sleep(10)
    await two.stop()
    assert server.holder == "one"
    await one.stop()


def test_the_namespace_is_that_of_the_flag_or_the_pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("keyferry.app.leader._NAMESPACE_FILE", tmp_path / "namespace")
    assert lease_namespace(Election(namespace="a"), {"POD_NAMESPACE": "b"}) == "a"
    assert lease_namespace(Election(), {"POD_NAMESPACE": "b"}) == "b"
    with pytest.raises(BadSpec, match="--leader-election-namespace"):
        lease_namespace(Election(), {})
    (tmp_path / "namespace").write_text("c\n")
    assert lease_namespace(Election(), {}) == "c"


def test_no_two_identities_are_equal() -> None:
    assert new_identity() != new_identity()


async def test_the_protocol_works_against_an_api_server(tmp_path: Path) -> None:
    async with KubeApi(controllers=False) as api:
        endpoint = await config.from_environment(str(api.kubeconfig_path(tmp_path)), None)
        http = KubeHttp(endpoint, limit=4, user_agent="test")
        client = KubeLease(http, namespace="default", name="keyferry", timeout=5)
        quick = Election(enabled=True, lease_duration=5, renew_deadline=3, retry_period=0.05)
        began = asyncio.Event()

        async def work() -> None:
            began.set()
            await asyncio.Event().wait()

        first = asyncio.create_task(while_leading(Elector(client, quick, identity="first"), work))
        try:
            async with asyncio.timeout(10):
                await began.wait()
            began.clear()
            second = asyncio.create_task(while_leading(Elector(client, quick, identity="second"), work))
            holder = (await client.get())["spec"]
            assert holder["holderIdentity"] == "first"
            first.cancel()
            async with asyncio.timeout(4):
                await began.wait()
            taken = (await client.get())["spec"]
            assert (taken["holderIdentity"], taken["leaseTransitions"]) == ("second", 1)
            second.cancel()
            await asyncio.wait({first, second})
            assert not (await client.get())["spec"].get("holderIdentity")
        finally:
            await http.aclose()
