"""What is told when it does not work."""

from __future__ import annotations

import pytest

from keyferry.errors import BadSpec, Denied, Unreachable
from keyferry.ports import Retries
from tests.contract.pulumi.world import NAME, World, value
from tests.support.faults import FaultProxy


async def test_an_environment_that_the_token_cannot_see_is_no_absence(world: World) -> None:
    world.put(a="x")
    adapter = await world.open(environment="pord")
    for call in (value(adapter, "a"), value(adapter, "a", "1"), adapter.validate()):
        with pytest.raises(Denied, match='shows the access token no environment "acme/shop/pord": check organization'):
            await call


async def test_a_token_that_is_not_accepted_is_told(world: World) -> None:
    world.put(a="x")
    world.server.tokens.clear()
    adapter = await world.open()
    for call in (value(adapter, "a"), adapter.validate()):
        with pytest.raises(Denied, match="does not accept the access token: check that it is one of this Pulumi"):
            await call


async def test_a_missing_permission_is_told(world: World) -> None:
    world.put(a="x")
    world.server.tokens[world.token][NAME] = "read"
    with pytest.raises(Denied, match='may not open environment "acme/shop/prod": give it the permission to open it'):
        await value(await world.open(), "a")


async def test_an_environment_that_cannot_be_evaluated_is_told_by_its_place_and_not_by_its_texts(world: World) -> None:
    world.put(a="x")
    span = {"environment": "shop/base", "begin": {"line": 7, "column": 3, "byte": 90}}
    world.server.environments[NAME].diagnostics = [
        {"summary": "canary: request 17 failed", "range": span},
        {"summary": "canary"},
    ]
    with pytest.raises(BadSpec) as caught:
        await value(await world.open(), "a")
    assert str(caught.value) == (
        'environment "acme/shop/prod" cannot be evaluated: 2 errors, the first in line 7 of "shop/base": '
        "open it with Pulumi's own tools to see them"
    )


@pytest.mark.parametrize("body", ['{"id": ""}', '{"id": 7}', '{"properties": []}', '{"properties": {"a": "canary"}}'])
async def test_an_answer_of_another_form_is_an_error(world: World, body: str) -> None:
    async with FaultProxy(world.server.url, tls=False) as proxy:
        adapter = await world.open(apiUrl=f"{proxy.url}/api/esc")
        proxy.garbage(body)
        with pytest.raises(Unreachable, match="not as Pulumi does") as caught:
            await value(adapter, "a")
        assert "canary" not in str(caught.value)


async def test_calls_are_tried_again_as_the_store_says_and_counted_each(world: World) -> None:
    async with FaultProxy(world.server.url, tls=False) as proxy:
        context = {"retries": Retries(attempts=2, interval=0.001)}
        adapter = await world.open(apiUrl=f"{proxy.url}/api/esc", context=context)
        proxy.fail(503)
        with pytest.raises(Unreachable):
            await value(adapter, "a")
    assert world.calls.counts == {("OpenEnvironment", "error"): 3}
