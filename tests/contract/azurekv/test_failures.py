"""What users see when Azure, the network, or what stands between, does not do its part."""

from __future__ import annotations

import asyncio
import json

import pytest

from keyferry.errors import BadSpec, Broken, Busy, Denied, KeyferryError, Unreachable
from keyferry.ports import Query, Ref, Retries, Validation
from tests.contract.azurekv.support import (
    CANARY,
    CLIENT,
    LOGIN,
    World,
    failure,
    read,
)
from tests.sandbox.azure import Fault

QUICK = {"timeout": 0.3}


def told(world: World, words: str) -> str:
    return f"{world.vault.url} {words}"


class TestVault:
    async def test_a_right_that_is_missing_is_named_with_where_to_give_it(self, world: World) -> None:
        world.vault.put("db", CANARY)
        world.vault.rights[CLIENT] = frozenset()
        adapter = await world.open()
        texts = set()
        for _ in range(2):
            error = await failure(adapter)
            assert type(error) is Denied
            texts.add(str(error))
        world.vault.lack = "ForbiddenByRbac"
        texts.add(str(await failure(adapter, "key/x")))
        texts.add(str(await failure(adapter, "cert/x")))
        assert texts == {
            told(world, 'refuses to read secret "db": give the identity get on secrets in its access policies'),
            told(world, 'refuses to read key "x": give the identity get on keys by a role'),
            told(world, 'refuses to read certificate "x": give the identity get on certificates by a role'),
        }

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            (
                "ForbiddenByFirewall",
                "its firewall does not let the cluster in: "  # noqa: ISC004 - one text
                "add the cluster's outbound addresses or its subnet to the vault's network rules",
            ),
            (
                "ForbiddenByConnection",
                "its public network access is disabled: reach it by a private endpoint, or allow public access",
            ),
        ],
    )
    async def test_a_vault_that_is_closed_to_the_cluster_says_so(self, world: World, code: str, words: str) -> None:
        world.vault.closed = code
        adapter = await world.open()
        texts = {str(await failure(adapter)) for _ in range(3)}
        assert texts == {told(world, f'refuses to read secret "db": {words}')}
        with pytest.raises(Denied, match="refuses to list secrets"):
            await adapter.validate()

    async def test_a_store_is_ready_whatever_its_identity_may_read(self, world: World) -> None:
        world.vault.rights[CLIENT] = frozenset()
        assert await (await world.open()).validate() is Validation.READY

    async def test_a_vault_whose_name_is_unknown_is_told_by_its_address(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HTTPS_PROXY")
        adapter = await world.open(
            vaultUrl="https://nothing.invalid",
            customCloudConfig={"activeDirectoryEndpoint": f"https://{LOGIN}", "keyVaultDNSSuffix": "invalid"},
        )
        error = await failure(adapter)
        assert type(error) is Unreachable
        assert str(error) == "the name in https://nothing.invalid cannot be resolved: check the address and DNS"

    @pytest.mark.parametrize("seconds", [None, 7])
    async def test_throttling_is_busy_for_as_long_as_the_vault_says(self, world: World, seconds: int | None) -> None:
        adapter = await world.open()
        headers = {} if seconds is None else {"Retry-After": str(seconds)}
        body = {"error": {"code": "Throttled", "message": CANARY}}
        world.cloud.faults[world.vault.host] = Fault(429, headers, json.dumps(body).encode())
        error = await failure(adapter)
        assert isinstance(error, Busy)
        assert (str(error), error.retry_after) == (told(world, "limits the rate of requests"), seconds)
        assert len(world.cloud.requests) == 1

    async def test_retry_settings_of_the_store_are_followed(self, world: World) -> None:
        world.vault.put("db", "s3cret")
        adapter = await world.open(context={"retries": Retries(attempts=2, interval=0.01)})
        world.cloud.faults[world.vault.host] = Fault(503, left=2)
        assert await read(adapter, "db") == b"s3cret"
        assert world.calls.counts["GetSecret", "error"] == 2

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    async def test_a_redirect_is_not_followed(self, world: World, status: int) -> None:
        world.vault.put("db", "s3cret")
        other = world.cloud.vault("elsewhere")
        adapter = await world.open()
        await read(adapter, "db")
        world.cloud.faults[world.vault.host] = Fault(status, {"Location": f"{other.url}/secrets/db"})
        error = await failure(adapter, "x")
        assert type(error) is Unreachable
        assert str(error).startswith(told(world, "redirects to another address, which is not followed"))
        assert not any(request.startswith(other.host) for request in world.cloud.requests)

    async def test_a_page_of_a_listing_on_another_host_is_not_fetched(self, world: World) -> None:
        other = world.cloud.vault("elsewhere")
        adapter = await world.open()
        await adapter.validate()
        page = {"value": [], "nextLink": f"{other.url}/secrets?$skiptoken=1"}
        world.cloud.faults[world.vault.host] = Fault(200, body=json.dumps(page).encode())
        with pytest.raises(Unreachable, match="leads to another host, which is not followed"):
            await adapter.find(Query())
        assert not any(request.startswith(other.host) for request in world.cloud.requests)

    @pytest.mark.parametrize(
        ("status", "body", "kind"),
        [
            (400, '{"error": {"code": "BadParameter", "message": "' + CANARY + '"}}', BadSpec),
            (400, CANARY, Unreachable),
            (403, CANARY, Unreachable),
            (404, '{"error": {"code": "NotFound", "message": "' + CANARY + '"}}', Unreachable),
            (404, '{"error": {"code": "KeyNotFound", "message": "x"}}', Unreachable),
            (404, CANARY, Unreachable),
            (408, CANARY, Unreachable),
            (418, CANARY, Unreachable),
            (500, '{"error": {"code": "InternalServerError", "message": "' + CANARY + '"}}', Unreachable),
            (503, "", Unreachable),
            (200, "", Unreachable),
            (200, CANARY, Unreachable),
            (200, '{"value": "' + CANARY + '"}', Unreachable),
            (200, '{"value": "x", "id": "https://x/secrets/other/1", "attributes": {}}', Unreachable),
            (200, '{"value": ["' + CANARY + '"], "id": 7, "attributes": []}', Unreachable),
            (200, '{"value": "x", "id": "https://x/secrets/db/1", "attributes": {"created": "x"}}', Unreachable),
            (200, '{"value": "x", "id": "https://x/secrets/db/1", "tags": "' + CANARY + '"}', Unreachable),
            (200, '{"value": null, "id": "https://x/secrets/db/1", "attributes": {}}', Unreachable),
            (401, CANARY, Denied),
        ],
    )
    async def test_other_answers_are_told_without_their_words(
        self, world: World, status: int, body: str, kind: type[KeyferryError]
    ) -> None:
        adapter = await world.open()
        await adapter.validate()
        world.cloud.faults[world.vault.host] = Fault(status, body=body.encode())
        texts = set()
        for _ in range(2):
            error = await failure(adapter)
            assert type(error) is kind, repr(error)
            texts.add(str(error))
        assert len(texts) == 1

    @pytest.mark.parametrize("coding", ["gzip", "deflate", "x-unknown"])
    async def test_a_body_that_is_not_compressed_as_it_says_is_no_accident(self, world: World, coding: str) -> None:
        adapter = await world.open()
        world.cloud.faults[world.vault.host] = Fault(200, {"Content-Encoding": coding}, CANARY.encode())
        assert type(await failure(adapter)) is Unreachable

    async def test_a_slow_vault_costs_no_more_than_the_time_out(self, world: World) -> None:
        adapter = await world.open(context=QUICK)
        world.cloud.faults[world.vault.host] = Fault(delay=60.0)
        loop = asyncio.get_running_loop()
        began = loop.time()
        found = await adapter.read([Ref(f"s-{number}") for number in range(40)])
        assert loop.time() - began < 5.0
        assert {str(each) for each in found.values()} == {
            told(world, "did not answer in time: check the network and network policies")
        }

    async def test_a_connection_that_breaks_off_in_the_middle_is_told(self, world: World) -> None:
        adapter = await world.open()
        await adapter.validate()
        world.cloud.faults[world.vault.host] = Fault(broken=True, body=b'{"value": "' + CANARY.encode())
        error = await failure(adapter)
        assert type(error) is Unreachable
        assert str(error).startswith(world.vault.url)

    async def test_a_certificate_that_is_not_trusted_is_told(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SSL_CERT_FILE")
        error = await failure(await world.open())
        assert type(error) is Unreachable
        assert str(error).startswith(f"the certificate of {world.vault.url} is not trusted")

    async def test_a_vault_that_asks_for_a_token_of_something_else_gets_none(self, world: World) -> None:
        for resource in ("https://management.azure.com", "https://azure.net", "https://vault.azure.cn", "x"):
            world.vault.resource = resource
            error = await failure(await world.open())
            assert isinstance(error, BadSpec | Unreachable)
        assert world.logins() == 0

    async def test_a_vault_without_a_challenge_gets_no_token(self, world: World) -> None:
        for header in ("", "Bearer", "Basic realm=x", 'Bearer resource="https://vault.azure.net"', "Bearer ,=,"):
            headers = {"WWW-Authenticate": header} if header else {}
            world.cloud.faults[world.vault.host] = Fault(401, headers)
            assert isinstance(await failure(await world.open()), KeyferryError)
        assert world.logins() == 0

    async def test_a_value_with_half_a_character_is_mended_as_go_does(self, world: World) -> None:
        world.vault.put("db", "a\ud800b\U0001f511")
        assert await read(await world.open(), "db") == "a\ufffdb\U0001f511".encode()

    async def test_an_adapter_that_is_closed_answers_and_breaks_nothing(self, world: World) -> None:
        world.vault.put("db", "s3cret")
        adapter = await world.open()
        await read(adapter, "db")
        await adapter.aclose()
        assert type(await failure(adapter)) is Broken
