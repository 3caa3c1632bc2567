"""How long sessions are kept, and what happens when they end, are ended, or STS is away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from keyferry.errors import Busy, Denied, Unreachable
from keyferry.fetch.pool import needs_caller
from keyferry.ports import Ref, Retries, Token
from keyferry.providers.aws import Aws
from keyferry.providers.aws.identity import Lease
from tests.contract.aws.support import MANAGER, STORE, World, contents, value
from tests.sandbox.aws import Reply, Role

LIFE = 3600.0


class Clock:
    """Moves a lease through the life of its session."""

    def __init__(self, adapter: Aws) -> None:
        self._lease = adapter._identity
        assert isinstance(self._lease, Lease)
        self._real, self._ahead = self._lease._clock, 0.0
        self._lease._clock = lambda: self._real() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


def role(world: World, **about: Any) -> Role:
    return world.aws.directory.role(world.account, "reader", trusts=(world.user.arn,), **about)


def sessions(world: World) -> int:
    """How many sessions of roles the account has opened."""
    return sum(assumed.account == world.account for assumed, _ in world.aws.directory.sessions)


async def test_assuming_a_role_costs_one_call_per_life_however_many_read(world: World) -> None:
    names = [f"app/{number}" for number in range(30)]
    for name in names:
        world.aws.put_secret(world.account, name, name)
    adapter = await world.open(role=role(world).arn)
    answers = await asyncio.gather(*(adapter.read([Ref(name)]) for name in names * 3))
    assert [contents(found) for found in answers] == [[name.encode()] for name in names * 3]
    assert world.asked() == {"AssumeRole": 1, "GetSecretValue": 90}
    clock = Clock(adapter)
    clock.advance(LIFE - 400)
    await asyncio.gather(*(adapter.read([Ref(name)]) for name in names))
    assert world.asked() == {"GetSecretValue": 30}
    clock.advance(150)
    await asyncio.gather(*(adapter.read([Ref(name)]) for name in names))
    assert world.asked() == {"AssumeRole": 1, "GetSecretValue": 30}


async def test_a_service_accounts_token_is_asked_for_once_per_life(world: World) -> None:
    world.aws.put_parameter(world.account, "db", "v")
    place = ("default", "app")
    world.credentials.annotations[place] = {
        "eks.amazonaws.com/role-arn": role(world, subject="system:serviceaccount:default:app").arn
    }
    world.credentials.tokens[place] = Token(world.aws.directory.issue("system:serviceaccount:default:app"), 0.0)
    adapter = await world.open(STORE, auth={"jwt": {"serviceAccountRef": {"name": "app"}}})
    clock = Clock(adapter)
    for expected in (1, 1, 2):
        assert await value(adapter, "db") == b"v"
        assert (len(world.credentials.token_requests), sessions(world)) == (expected, expected)
        clock.advance((LIFE - 200) / 2)


async def test_while_a_session_lives_nobody_hears_that_sts_is_away(world: World) -> None:
    world.aws.put_secret(world.account, "db", "v")
    adapter = await world.open(role=role(world).arn)
    assert await value(adapter, "db") == b"v"
    clock = Clock(adapter)
    world.aws.scripts[world.account, "AssumeRole"] = lambda _: Reply(503, b"<html>", {"Content-Type": "text/html"})
    clock.advance(LIFE - 200)
    world.asked()
    for _ in range(5):
        assert await value(adapter, "db") == b"v"
    assert world.asked() == {"AssumeRole": 1, "GetSecretValue": 5}
    clock.advance(60)
    assert await value(adapter, "db") == b"v"
    assert world.asked() == {"AssumeRole": 1, "GetSecretValue": 1}
    clock.advance(200)
    with pytest.raises(Unreachable, match="STS in eu-central-1 failed to assume role"):
        await value(adapter, "db")
    world.aws.scripts.clear()
    assert await value(adapter, "db") == b"v"


async def test_trust_that_was_taken_away_is_told_at_the_next_renewal(world: World) -> None:
    world.aws.put_secret(world.account, "db", "v")
    trusted = role(world)
    adapter = await world.open(role=trusted.arn)
    assert await value(adapter, "db") == b"v"
    trusted.trusts = ()
    assert await value(adapter, "db") == b"v"
    Clock(adapter).advance(LIFE - 200)
    with pytest.raises(Denied, match="does not permit to assume role"):
        await value(adapter, "db")


@pytest.mark.parametrize("how", ["expired", "removed"])
async def test_a_session_that_was_ended_early_is_replaced_at_once(world: World, how: str) -> None:
    names = [f"app/{number}" for number in range(25)]
    for name in names:
        world.aws.put_secret(world.account, name, name)
    adapter = await world.open(role=role(world).arn)
    await adapter.read([Ref(names[0])])
    (session,) = (who for who in world.aws.directory.by_key.values() if who.account == world.account and who.token)
    world.asked()
    if how == "expired":
        session.ends = 0.0
    else:
        world.aws.directory.remove(session)
    assert contents(await adapter.read([Ref(name) for name in names])) == [name.encode() for name in names]
    asked = world.asked()
    assert asked.pop("AssumeRole") == 1
    # Two batches, of which those that were under way with the old session were refused.
    assert asked.keys() == {"BatchGetSecretValue"}


async def test_a_session_that_is_denied_is_replaced_when_it_is_old_and_not_before(world: World) -> None:
    world.aws.put_secret(world.account, "db", "v")
    reader = role(world)
    adapter = await world.open(role=reader.arn)
    assert await value(adapter, "db") == b"v"
    clock = Clock(adapter)
    (session,) = (who for who in world.aws.directory.by_key.values() if who.account == world.account and who.token)
    # What the console's "revoke sessions" does: those of before are denied everything.
    session.rights = type(reader.rights)(deny=[("*", "*")])
    world.asked()
    for _ in range(2):
        with pytest.raises(Denied):
            await value(adapter, "db")
    assert world.asked() == {"GetSecretValue": 2}
    clock.advance(301)
    assert await value(adapter, "db") == b"v"
    assert world.asked() == {"AssumeRole": 1, "GetSecretValue": 2}


async def test_a_session_that_lives_short_is_kept_for_two_thirds_of_its_life(world: World) -> None:
    world.aws.put_secret(world.account, "db", "v")
    adapter = await world.open(role=role(world, seconds=300.0).arn)
    clock = Clock(adapter)
    for expected in (1, 1, 2):
        assert await value(adapter, "db") == b"v"
        assert sessions(world) == expected
        clock.advance(110)


async def test_a_clock_that_is_wrong_does_not_make_every_read_a_login(world: World) -> None:
    world.aws.put_secret(world.account, "db", "v")
    adapter = await world.open(role=role(world).arn)
    Clock(adapter).advance(10 * LIFE)
    for _ in range(3):
        assert await value(adapter, "db") == b"v"
    assert sessions(world) == 1


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(429, b"slow down", {"Retry-After": "9"}), Busy),
        (Reply(400, b"<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>"), Busy),
        (Reply(500, b"<ErrorResponse><Error><Code>InternalFailure</Code></Error></ErrorResponse>"), Unreachable),
        (Reply(502, b"<html>canary</html>"), Unreachable),
        (Reply(404, b"canary"), Unreachable),
        (Reply(200, b"canary"), Unreachable),
        (Reply(200, b"<canary/>"), Unreachable),
        (Reply(200, b"<AssumeRoleResponse><AssumeRoleResult/></AssumeRoleResponse>"), Unreachable),
        (Reply(403, b"<ErrorResponse><Error><Code>RegionDisabledException</Code></Error></ErrorResponse>"), Denied),
        (Reply(400, b"<ErrorResponse><Error><Code>PackedPolicyTooLarge</Code></Error></ErrorResponse>"), Denied),
    ],
)
async def test_a_login_that_fails_says_why_and_nothing_else(world: World, reply: Reply, kind: type[Exception]) -> None:
    world.aws.scripts[world.account, "AssumeRole"] = lambda _: reply
    adapter = await world.open(role=role(world).arn)
    texts = set()
    for _ in range(2):
        with pytest.raises(kind) as caught:
            await value(adapter, "db")
        assert type(caught.value) is kind
        texts.add(str(caught.value))
        assert not caught.value.__cause__
    assert len(texts) == 1
    assert "canary" not in texts.pop()
    if reply.headers:
        assert isinstance(caught.value, Busy)
        assert caught.value.retry_after == 9.0


async def test_a_login_is_tried_again_as_the_store_says(world: World) -> None:
    world.aws.put_secret(world.account, "db", "v")
    world.context["retries"] = Retries(attempts=2, interval=0.01)
    replies: list[Reply | None] = [Reply(503, b""), Reply(500, b""), None]
    world.aws.scripts[world.account, "AssumeRole"] = lambda _: replies.pop(0)
    assert await value(await world.open(role=role(world).arn), "db") == b"v"
    assert world.asked() == {"AssumeRole": 3, "GetSecretValue": 1}
    world.aws.scripts[world.account, "AssumeRole"] = lambda _: Reply(503, b"")
    with pytest.raises(Unreachable):
        await value(await world.open(role=role(world).arn), "db")
    assert world.asked() == {"AssumeRole": 3}


async def test_a_request_is_signed_with_the_keys_that_it_was_meant_for(world: World) -> None:
    """Many at once, while the session ends again and again: no good session is thrown away."""
    names = [f"app/{number}" for number in range(8)]
    for name in names:
        world.aws.put_secret(world.account, name, name)
    adapter = await world.open(role=role(world).arn)
    for ended in range(1, 6):
        answers = await asyncio.gather(*(adapter.read([Ref(name)]) for name in names * 4))
        assert {len(contents(found)) for found in answers} == {1}
        assert sessions(world) == ended
        for who in list(world.aws.directory.by_key.values()):
            if who.account == world.account and who.token:
                world.aws.directory.remove(who)


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({}, False),
        ({"sessionTagsPolicy": "Simple"}, False),
        ({"sessionTagsPolicy": "None", "role": "r"}, False),
        ({"sessionTagsPolicy": "Simple", "role": "r"}, True),
        ({"sessionTagsPolicy": "Custom", "role": "r"}, True),
        ({"auth": {"jwt": {"serviceAccountRef": {"name": "app"}}}}, True),
        ({"auth": {"jwt": {"serviceAccountRef": {"name": "app", "namespace": "x"}}}}, False),
    ],
)
def test_callers_have_sessions_of_their_own_where_aws_is_told_who_they_are(
    changes: dict[str, Any], needed: bool
) -> None:
    spec = {"service": MANAGER, "region": "eu-central-1", **changes}
    assert needs_caller(Aws.Config.parse(spec)) is needed
