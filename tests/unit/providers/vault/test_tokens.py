"""The rules of a token's life, on a virtual clock."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace

import pytest

from keyferry.errors import Broken, Denied, KeyferryError, Unreachable
from keyferry.providers.vault.tokens import Grant, Tokens


@dataclass
class Vault:
    """Source and server in one: counts, and answers as told. Time stands still unless a test moves it."""

    now: float = 1000.0
    seconds: float = 300.0
    renewable: bool = True
    renewed_seconds: float = 300.0
    fixed: bool = False
    anonymous: bool = False
    logins: int = 0
    renewals: int = 0
    lookups: int = 0
    revoked: list[str] = field(default_factory=list)
    invalid: set[str] = field(default_factory=set)
    login_error: KeyferryError | None = None
    renew_error: KeyferryError | None = None
    gate: asyncio.Event | None = None

    async def login(self) -> Grant:
        if self.gate is not None:
            await self.gate.wait()
        self.logins += 1
        if self.login_error is not None:
            raise self.login_error
        return Grant(
            token=f"t{self.logins}",
            since=self.now,
            seconds=self.seconds,
            renewable=self.renewable,
            revocable=not self.fixed,
        )

    async def look_up(self, token: str) -> None:
        self.lookups += 1
        if token in self.invalid:
            raise Denied("no such token")

    async def renew(self, grant: Grant) -> Grant:
        self.renewals += 1
        if self.renew_error is not None:
            raise self.renew_error
        return replace(grant, since=self.now, seconds=self.renewed_seconds)

    async def revoke(self, token: str) -> None:
        self.revoked.append(token)

    def clock(self) -> float:
        return self.now


@pytest.fixture
def vault() -> Vault:
    return Vault()


@pytest.fixture
def tokens(vault: Vault) -> Tokens:
    return Tokens(vault, vault, clock=vault.clock)


async def test_a_token_is_used_as_it_is_for_two_thirds_of_its_life(vault: Vault, tokens: Tokens) -> None:
    await tokens.current()
    vault.now += 199
    await tokens.current()
    assert (vault.logins, vault.renewals) == (1, 0)
    vault.now += 2
    assert (await tokens.current()).token == "t1"
    assert (vault.logins, vault.renewals) == (1, 1)


async def test_a_token_without_an_end_is_never_renewed(vault: Vault, tokens: Tokens) -> None:
    vault.seconds = 0
    await tokens.current()
    vault.now += 1e9
    await tokens.current()
    assert (vault.logins, vault.renewals) == (1, 0)


async def test_a_token_that_cannot_be_renewed_is_replaced(vault: Vault, tokens: Tokens) -> None:
    vault.renewable = False
    await tokens.current()
    vault.now += 201
    assert (await tokens.current()).token == "t2"
    assert vault.renewals == 0


async def test_an_expired_token_is_replaced_without_asking(vault: Vault, tokens: Tokens) -> None:
    await tokens.current()
    vault.now += 301
    assert (await tokens.current()).token == "t2"
    assert vault.renewals == 0


async def test_a_token_near_its_last_end_is_replaced_after_a_short_renewal(vault: Vault, tokens: Tokens) -> None:
    await tokens.current()
    vault.now += 201
    vault.renewed_seconds = 60
    assert (await tokens.current()).token == "t1"
    vault.now += 41
    assert (await tokens.current()).token == "t2"
    assert vault.renewals == 1


async def test_a_refused_renewal_is_followed_by_a_login(vault: Vault, tokens: Tokens) -> None:
    await tokens.current()
    vault.now += 201
    vault.renew_error = Denied("no")
    assert (await tokens.current()).token == "t2"


async def test_while_the_server_is_away_a_token_serves_to_its_end(vault: Vault, tokens: Tokens) -> None:
    await tokens.current()
    vault.now += 201
    vault.renew_error = vault.login_error = Unreachable("away")
    assert (await tokens.current()).token == "t1"
    assert (await tokens.current()).token == "t1"
    assert vault.renewals == 1
    vault.now += 30
    await tokens.current()
    assert vault.renewals == 2
    vault.now += 100
    with pytest.raises(Unreachable):
        await tokens.current()


async def test_a_failed_login_reaches_all_who_wait_and_the_next_one_tries_again(vault: Vault, tokens: Tokens) -> None:
    vault.login_error = Denied("wrong")
    outcomes = await asyncio.gather(*(tokens.current() for _ in range(5)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Denied}
    assert vault.logins == 1
    vault.login_error = None
    assert (await tokens.current()).token == "t2"


async def test_a_caller_that_is_cancelled_does_not_take_the_login_along(vault: Vault, tokens: Tokens) -> None:
    vault.gate = asyncio.Event()
    first, second = (asyncio.ensure_future(tokens.current()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    vault.gate.set()
    assert (await second).token == "t1"
    assert vault.logins == 1


async def test_a_refused_token_that_is_not_valid_is_replaced_once_for_all(vault: Vault, tokens: Tokens) -> None:
    grant = await tokens.current()
    vault.invalid.add("t1")
    fresh = await asyncio.gather(*(tokens.after_refusal(grant) for _ in range(5)))
    assert {found.token for found in fresh if found} == {"t2"}
    assert (vault.lookups, vault.logins) == (1, 2)


async def test_a_refused_token_that_others_have_replaced_is_not_examined(vault: Vault, tokens: Tokens) -> None:
    old = await tokens.current()
    vault.now += 301
    await tokens.current()
    found = await tokens.after_refusal(old)
    assert found is not None
    assert found.token == "t2"
    assert vault.lookups == 0


async def test_a_young_valid_token_that_is_refused_stays(vault: Vault, tokens: Tokens) -> None:
    grant = await tokens.current()
    assert await tokens.after_refusal(grant) is None
    assert vault.logins == 1


async def test_an_old_valid_token_that_is_refused_is_replaced_for_newer_policies(vault: Vault, tokens: Tokens) -> None:
    vault.seconds = 86400
    grant = await tokens.current()
    vault.now += 301
    found = await tokens.after_refusal(grant)
    assert found is not None
    assert found.token == "t2"
    assert await tokens.after_refusal(found) is None


async def test_many_refusals_in_a_row_ask_once(vault: Vault, tokens: Tokens) -> None:
    grant = await tokens.current()
    for _ in range(10):
        assert await tokens.after_refusal(grant) is None
    assert vault.lookups == 1
    vault.now += 6
    await tokens.after_refusal(grant)
    assert vault.lookups == 2


async def test_a_given_token_is_never_replaced(vault: Vault, tokens: Tokens) -> None:
    vault.fixed = True
    grant = await tokens.current()
    vault.now += 201
    vault.renew_error = Denied("not permitted to renew")
    assert (await tokens.current()).token == "t1"
    assert await tokens.after_refusal(tokens._grant or grant) is None
    vault.now += 6
    vault.invalid.add("t1")
    with pytest.raises(Denied):
        await tokens.after_refusal(tokens._grant or grant)
    assert vault.logins == 1


async def test_without_a_token_a_refusal_is_final(vault: Vault, tokens: Tokens) -> None:
    vault.anonymous = vault.fixed = True
    assert await tokens.after_refusal(await tokens.current()) is None
    assert vault.lookups == 0


async def test_at_most_two_tokens_live_and_all_are_revoked_in_the_end(vault: Vault, tokens: Tokens) -> None:
    vault.renewable = False
    for _ in range(4):
        await tokens.current()
        vault.now += 201
    assert vault.logins == 4
    # t1 expired by itself before its turn came.
    assert vault.revoked == []
    vault.now -= 200
    await tokens.aclose()
    assert vault.revoked == ["t3", "t4"]


async def test_closing_ends_with_the_login_under_way_and_revokes_its_token(vault: Vault, tokens: Tokens) -> None:
    vault.gate = asyncio.Event()
    reader = asyncio.ensure_future(tokens.current())
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(tokens.aclose())
    await asyncio.sleep(0)
    vault.gate.set()
    await closing
    assert vault.revoked == ["t1"]
    with pytest.raises(Broken):
        await reader


async def test_after_closing_nothing_logs_in_again(vault: Vault, tokens: Tokens) -> None:
    await tokens.current()
    await tokens.aclose()
    await tokens.aclose()
    with pytest.raises(Broken):
        await tokens.current()
    assert vault.logins == 1
    assert vault.revoked == ["t1"]


async def test_verifying_makes_one_call_at_most(vault: Vault, tokens: Tokens) -> None:
    await tokens.verify()
    assert (vault.logins, vault.lookups) == (1, 0)
    await tokens.verify()
    assert (vault.logins, vault.lookups) == (1, 1)
    vault.invalid.add("t1")
    await tokens.verify()
    assert (vault.logins, vault.lookups) == (2, 2)


def test_a_grant_does_not_show_its_token() -> None:
    assert "canary" not in repr(Grant(token="canary", since=0))


@pytest.mark.parametrize(
    ("renewable", "seconds", "told"),
    [(False, 300.0, 300.0), (True, 300.0, None), (False, 0.0, None)],
)
async def test_the_end_of_a_given_token_is_told_unless_it_is_renewed(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, renewable: bool, seconds: float, told: float | None
) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    ends: list[float | None] = []
    vault.fixed, vault.renewable, vault.seconds = True, renewable, seconds
    await Tokens(vault, vault, clock=vault.clock, expires=ends.append).current()
    assert ends == [told]


async def test_the_end_of_a_given_token_is_told_once_it_cannot_be_renewed_further(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    ends: list[float | None] = []
    vault.fixed, vault.renewed_seconds = True, 100.0
    tokens = Tokens(vault, vault, clock=vault.clock, expires=ends.append)
    await tokens.current()
    vault.now += 201
    await tokens.current()
    assert ends == [None, 100.0]


async def test_the_end_of_a_given_token_is_told_where_its_renewal_is_refused(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    ends: list[float | None] = []
    vault.fixed, vault.renew_error = True, Denied("no")
    tokens = Tokens(vault, vault, clock=vault.clock, expires=ends.append)
    await tokens.current()
    vault.now += 201
    await tokens.current()
    assert ends == [None, 99.0]


async def test_nothing_is_told_of_tokens_that_a_login_replaces(vault: Vault) -> None:
    ends: list[float | None] = []
    vault.renewable = False
    await Tokens(vault, vault, clock=vault.clock, expires=ends.append).current()
    assert ends == [None]
