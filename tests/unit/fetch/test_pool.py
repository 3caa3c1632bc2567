from __future__ import annotations

import asyncio

import pytest

from keyferry.api.store import SecretStore
from keyferry.errors import BadSpec, Broken, Denied, KeyferryError, Unreachable
from keyferry.fetch.pool import Pool, identify, retries
from keyferry.ports import Retries
from tests.support.objects import store_body
from tests.support.virtual import settle, virtual
from tests.unit.fetch.adapters import Stub, make, stub_store


async def use(pool: Pool, store: SecretStore, caller: str = "team", seconds: float = 0.0) -> Stub:
    async with pool.lease(store, caller) as entry:
        assert isinstance(entry.adapter, Stub)
        assert not entry.adapter.closed
        await asyncio.sleep(seconds)
        assert not entry.adapter.closed
        return entry.adapter


@virtual
async def test_everybody_shares_one_adapter() -> None:
    stub, pool = make()
    await asyncio.gather(*(use(pool, stub_store()) for _ in range(50)))
    assert len(stub.opened) == len(pool) == 1


@virtual
async def test_two_callers_of_a_borrowing_cluster_store_never_share_one() -> None:
    stub, pool = make()
    one, two, again = [await use(pool, stub_store(borrowed=True), caller) for caller in ("a", "b", "a")]
    assert one is again
    assert one is not two
    assert [each.context.store.caller for each in stub.opened] == ["a", "b"]


@virtual
async def test_callers_of_a_cluster_store_with_its_own_credentials_share_one() -> None:
    stub, pool = make()
    store = SecretStore.parse(store_body("store", "", provider={"stub": {}}))
    await use(pool, store, "a")
    await use(pool, store, "b")
    assert len(stub.opened) == 1


@virtual
async def test_a_new_generation_has_an_adapter_of_its_own_and_ends_the_old_one() -> None:
    stub, pool = make()
    await use(pool, stub_store(generation=1))
    await use(pool, stub_store(generation=2))
    await settle()
    assert [each.closed for each in stub.opened] == [True, False]


@virtual
async def test_a_caller_with_an_old_generation_does_not_end_the_new_one() -> None:
    stub, pool = make()
    await use(pool, stub_store(generation=2))
    await use(pool, stub_store(generation=1))
    await settle()
    assert not stub.opened[0].closed


@virtual
async def test_a_retired_adapter_serves_its_users_to_the_end_and_nobody_else() -> None:
    stub, pool = make()
    first = asyncio.create_task(use(pool, stub_store(), seconds=10))
    second = asyncio.create_task(use(pool, stub_store(), seconds=20))
    await asyncio.sleep(1)
    pool.retire(stub_store().metadata.uid)
    third = await use(pool, stub_store())
    assert await first is await second is not third
    await settle()
    assert [each.closed for each in stub.opened] == [True, False]


@virtual
async def test_a_change_while_it_opens_is_not_missed() -> None:
    stub, pool = make()
    early = asyncio.create_task(use(pool, stub_store()))
    await asyncio.sleep(0.05)
    pool.retire(stub_store().metadata.uid)
    first = await early
    assert await use(pool, stub_store()) is not first
    await settle()
    assert [each.closed for each in stub.opened] == [True, False]


@virtual
async def test_nobody_is_handed_an_adapter_that_was_closed_before_his_turn() -> None:
    stub, pool = make()
    original = stub.opening

    async def opening() -> None:
        await original()
        if not stub.opened:
            # Rings after the adapter is in the pool, and before the callers that wait for it have their turn.
            asyncio.get_running_loop().call_soon(pool.retire, stub_store().metadata.uid)

    stub.opening = opening
    users = [asyncio.create_task(use(pool, stub_store(), seconds=number)) for number in range(3)]
    used = await asyncio.gather(*users)
    await settle()
    assert stub.opened[0].closed
    assert used[1] is used[2]


@virtual
async def test_what_was_opened_for_callers_who_all_left_is_closed_by_the_sweep() -> None:
    stub, pool = make()
    caller = asyncio.create_task(use(pool, stub_store()))
    await asyncio.sleep(0.05)
    caller.cancel()
    pool.retire(stub_store().metadata.uid)
    await asyncio.sleep(1)
    assert [each.closed for each in stub.opened] == [False]
    pool.sweep()
    await settle()
    assert [each.closed for each in stub.opened] == [True]


@virtual
async def test_idle_adapters_are_closed_and_busy_ones_are_not() -> None:
    stub, pool = make()
    busy = asyncio.create_task(use(pool, stub_store(namespace="busy"), "busy", seconds=4000))
    await use(pool, stub_store())
    await asyncio.sleep(1900)
    pool.sweep()
    await settle()
    assert sorted((each.context.store.namespace, each.closed) for each in stub.opened) == [
        ("busy", False),
        ("team", True),
    ]
    await busy


@virtual
async def test_an_adapter_may_fail_to_open_in_any_way_and_opens_when_it_can() -> None:
    stub, pool = make()
    original = stub.opening

    async def silent() -> None:
        await asyncio.Event().wait()

    for error, expected in (
        (Denied("no"), Denied),
        (ValueError("canary-c0ffee"), Broken),
        (TimeoutError(), Unreachable),
        (None, Unreachable),
    ):

        async def opening(error: Exception | None = error) -> None:
            if error is None:
                await silent()
            else:
                raise error

        stub.opening = opening
        results = await asyncio.gather(*(use(pool, stub_store()) for _ in range(3)), return_exceptions=True)
        assert {type(each) for each in results} == {expected}
        assert "canary" not in str(results)
    stub.opening = original
    assert len(pool) == 0
    await use(pool, stub_store())


@virtual
async def test_closing_closes_all_even_where_one_refuses() -> None:
    stub, pool = make()
    await use(pool, stub_store())
    await use(pool, stub_store(namespace="other"), "other")

    async def refuse() -> None:
        raise OSError("no")

    stub.opened[0].aclose = refuse  # type: ignore[method-assign] # an adapter that refuses to close
    await pool.aclose()
    assert stub.opened[1].closed
    assert len(pool) == 0


def test_a_store_is_named_for_its_caller() -> None:
    assert identify(stub_store(), "x").caller == "team"
    assert (identify(stub_store(borrowed=True), "x").caller, identify(stub_store(borrowed=True), "x").namespace) == (
        "x",
        "",
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, Retries()),
        ({}, Retries()),
        ({"maxRetries": 2}, Retries(2, 5.0)),
        ({"retryInterval": "1m"}, Retries(3, 60.0)),
    ],
)
def test_half_of_the_retry_settings_takes_the_other_from_the_defaults(
    given: dict[str, object] | None, expected: Retries
) -> None:
    assert retries(SecretStore.parse(store_body(retrySettings=given))) == expected


@pytest.mark.parametrize("given", [{"maxRetries": -1}, {"retryInterval": "-1s"}, {"retryInterval": "soon"}])
def test_retry_settings_that_make_no_sense_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(BadSpec, match="retrySettings"):
        retries(SecretStore.parse(store_body(retrySettings=given)))


@virtual
async def test_a_wrong_configuration_is_told_by_its_fields() -> None:
    _, pool = make()
    wrong = SecretStore.parse(store_body(provider={"stub": {"token": {"name": ["canary-c0ffee"]}}}))
    with pytest.raises(KeyferryError, match=r"spec\.provider\.stub\.token\.name") as refused:
        await use(pool, wrong)
    assert "canary" not in str(refused.value)
