"""One access token for one adapter: when it is taken, replaced and given up."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest

from keyferry.errors import Broken, Busy, Denied, KeyferryError, Unreachable
from keyferry.ports import Ref
from keyferry.providers.gcpsm.config import GcpsmConfig
from keyferry.providers.gcpsm.door import Door
from keyferry.providers.gcpsm.logins import login_of
from keyferry.providers.gcpsm.tokens import Grant, Tokens
from tests.contract.gcpsm.support import AUDIENCE, CANARY, KUBE_TOKEN, READER, World, federated, keyed, read, value
from tests.support.credentials import make_context

SHORT = 0.3
"""Seconds that a login may take where a test waits for its end."""


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _key(world: World) -> None:
    world.plant_key()
    world.put("db", b"value")


async def tokens_of(world: World, clock: Clock, *, auth: Any = None, patience: float = 10.0) -> Tokens:
    door = Door(world.sites, timeout=patience)
    spec = GcpsmConfig.parse({"auth": auth or keyed("reader")})
    made = Tokens(
        await login_of(spec, make_context(world.credentials), world.sites, door), door, timeout=patience, clock=clock
    )
    await made.prepare()
    return made


def logins(world: World) -> int:
    return world.gcp.identity.calls["/token"]


async def test_a_token_is_taken_at_the_first_use_and_shared(world: World) -> None:
    tokens = await tokens_of(world, Clock())
    assert logins(world) == 0
    grants = await asyncio.gather(*(tokens.current() for _ in range(50)))
    assert len({grant.token for grant in grants}) == 1
    assert logins(world) == 1
    assert tokens.identity == READER


async def test_a_token_is_replaced_shortly_before_its_end_and_not_earlier(world: World) -> None:
    clock = Clock()
    tokens = await tokens_of(world, clock)
    first = await tokens.current()
    assert 3595 < first.ends - clock.now <= 3600
    clock.now = first.due - 1
    assert await tokens.current() is first
    clock.now = first.due + 1
    assert (await tokens.current()).token != first.token
    assert logins(world) == 2


async def test_a_short_token_is_replaced_after_half_of_its_life(world: World) -> None:
    world.gcp.accounts.life = 100.0
    clock = Clock()
    grant = await (await tokens_of(world, clock)).current()
    assert grant.due - clock.now == pytest.approx(50, abs=2)


async def test_an_outage_of_the_token_server_is_not_felt_while_the_token_lives(world: World) -> None:
    clock = Clock()
    tokens = await tokens_of(world, clock)
    first = await tokens.current()
    world.gcp.identity.fail("/token", 503)
    clock.now = first.due + 1
    assert (await tokens.current()).token == first.token
    asked = logins(world)
    assert (await tokens.current()).token == first.token
    assert logins(world) == asked, "not asked again at every use"
    clock.now = first.ends
    with pytest.raises(Unreachable):
        await tokens.current()
    world.gcp.identity.clear()
    assert (await tokens.current()).token != first.token


async def test_a_refused_token_is_replaced_once_for_all_who_hold_it(world: World) -> None:
    tokens = await tokens_of(world, Clock())
    refused = await tokens.current()
    others = await asyncio.gather(*(tokens.instead_of(refused) for _ in range(20)))
    assert {grant.token for grant in others} != {refused.token}
    assert len({grant.token for grant in others}) == 1
    assert logins(world) == 2


async def test_a_token_of_the_cluster_is_asked_for_anew_when_it_would_be_too_old(world: World) -> None:
    world.plant_account()
    world.gcp.accounts.trusted[AUDIENCE, KUBE_TOKEN] = "principal"
    clock = Clock()
    auth = federated(serviceAccountRef={"name": "app"}, audience=AUDIENCE)
    tokens = await tokens_of(world, clock, auth=auth)
    assert len(world.credentials.token_requests) == 1
    await tokens.current()
    assert len(world.credentials.token_requests) == 1, "the first login uses what opening asked for"
    clock.now += 3600
    await tokens.current()
    assert len(world.credentials.token_requests) == 2

    late = await tokens_of(world, clock, auth=auth)
    clock.now += 600
    await late.current()
    assert len(world.credentials.token_requests) == 4


async def test_a_closed_adapter_gives_no_token(world: World) -> None:
    tokens = await tokens_of(world, Clock())
    await tokens.current()
    await tokens.aclose()
    await tokens.aclose()
    with pytest.raises(Broken):
        await tokens.current()


async def test_closing_does_not_wait_for_a_login_under_way(world: World) -> None:
    world.gcp.identity.hang("/token")
    tokens = await tokens_of(world, Clock())
    waiting = asyncio.create_task(tokens.current())
    while not logins(world):  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.01)
    async with asyncio.timeout(2):
        await tokens.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    world.gcp.identity.end()


async def test_a_token_is_shown_by_no_repr(world: World) -> None:
    grant = await (await tokens_of(world, Clock())).current()
    assert grant.token in world.gcp.accounts.issued
    assert grant.token not in repr(grant)
    assert "Grant" in repr(Grant("t", 1.0, 2.0))


class TestWhatTheTokenServerSays:
    async def refusal(self, world: World, **changes: Any) -> KeyferryError:
        world.context |= changes
        (answer,) = await read(await world.open(), Ref("db"))
        assert isinstance(answer, KeyferryError)
        assert CANARY not in f"{answer!r} {vars(answer)}"
        assert not world.gcp.rpcs.calls
        return answer

    async def test_a_key_that_was_deleted_is_told_with_googles_words(self, world: World) -> None:
        key = world.plant_key()
        world.gcp.accounts.delete_key(key)
        error = await self.refusal(world)
        assert type(error) is Denied
        assert str(error) == (
            "oauth2.googleapis.com refuses to exchange the key for an access token: "
            "invalid_grant: Invalid grant: account not found: "
            "check that the key and its service account are enabled"
        )

    async def test_a_key_whose_signature_is_not_the_accounts_is_told(self, world: World) -> None:
        first, second = world.gcp.key("reader"), world.gcp.key("reader")
        world.plant("reader", key=json.dumps(first | {"private_key": second["private_key"]}))
        assert "invalid_grant: Invalid JWT Signature" in str(await self.refusal(world))

    @pytest.mark.parametrize(("header", "seconds"), [({}, None), ({"Retry-After": "7"}, 7.0)])
    async def test_a_rate_limit_is_busy(self, world: World, header: dict[str, str], seconds: float | None) -> None:
        world.gcp.identity.fail("/token", 429, CANARY, header)
        error = await self.refusal(world)
        assert isinstance(error, Busy)
        assert error.retry_after == seconds

    @pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 302])
    async def test_trouble_is_unreachable_after_one_request(self, world: World, status: int) -> None:
        world.gcp.identity.fail("/token", status, CANARY)
        assert type(await self.refusal(world)) is Unreachable
        assert logins(world) == 1

    @pytest.mark.parametrize(
        "body",
        [
            "",
            CANARY,
            "{}",
            "[]",
            "null",
            f'{{"access_token": ["{CANARY}"], "expires_in": 3600}}',
            f'{{"token": "{CANARY}"}}',
            f'{{"access_token": "{CANARY}", "expires_in": "soon"}}',
        ],
    )
    async def test_an_answer_that_makes_no_sense_is_unreachable(self, world: World, body: str) -> None:
        world.gcp.identity.fail("/token", 200, body)
        error = await self.refusal(world)
        assert type(error) is Unreachable
        assert "answers, but not as Google does" in str(error)

    async def test_silence_is_unreachable_in_time(self, world: World) -> None:
        world.gcp.identity.hang("/token")
        async with asyncio.timeout(5):
            error = await self.refusal(world, timeout=SHORT)
        assert type(error) is Unreachable
        world.gcp.identity.end()

    async def test_a_server_that_is_not_there_is_told_by_googles_name(self, world: World) -> None:
        world.changed_sites["substitutes"] = world.gcp.hosts | {"oauth2.googleapis.com": "127.0.0.1:1"}
        error = await self.refusal(world)
        assert str(error).startswith("https://oauth2.googleapis.com refuses connections")

    async def test_a_certificate_that_is_not_trusted_is_told(self, world: World) -> None:
        world.changed_sites["roots"] = None
        assert "the certificate of https://oauth2.googleapis.com is not trusted" in str(await self.refusal(world))

    @pytest.mark.parametrize(
        "words",
        [
            f"invalid token eyJhbGciOiJSUzI1NiIsImtpZCI6.eyJzdWIiOiJ4Iiwibm90Ijoi.{CANARY}",
            f"token ya29.{CANARY} is wrong",
        ],
    )
    async def test_a_credential_in_googles_words_is_not_repeated(self, world: World, words: str) -> None:
        world.gcp.identity.fail("/token", 400, f'{{"error": "invalid_grant", "error_description": "{words}"}}')
        assert "invalid_grant" in str(await self.refusal(world))

    async def test_times_and_ids_in_googles_words_are_left_out(self, world: World) -> None:
        texts = set()
        adapter = await world.open()
        for varying in (
            "2026-01-01T00:00:00Z 1767225600 0a1b2c3d-0000-0000-0000-000000000001",
            "2027-02-02T11:11:11Z 1790000000 0a1b2c3d-0000-0000-0000-00000000000f",
        ):
            world.gcp.identity.fail("/token", 400, f'{{"error": "invalid_grant", "error_description": "{varying}"}}')
            (answer,) = await read(adapter, Ref("db"))
            texts.add(str(answer))
        assert len(texts) == 1


async def test_a_token_that_google_does_not_accept_any_more_is_replaced_without_a_word(world: World) -> None:
    adapter = await world.open()
    assert await value(adapter, "db") == b"value"
    world.gcp.accounts.revoke(READER)
    assert await value(adapter, "db") == b"value"
    assert logins(world) == 2
    assert world.calls.counts["AccessSecretVersion", "error"] == 1


async def test_a_token_that_is_never_accepted_is_denied_after_one_more_try(world: World) -> None:
    world.gcp.accounts.life = 0.0
    (answer,) = await read(await world.open(), Ref("db"))
    assert type(answer) is not Unreachable
    assert isinstance(answer, Denied)
    assert str(answer) == 'Google does not accept the access token to read secret "db": check auth of the store'
    assert world.gcp.rpcs.calls["AccessSecretVersion"] == 2
