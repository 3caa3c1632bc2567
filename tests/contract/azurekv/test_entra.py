"""What users see when the login fails."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from keyferry.errors import Busy, Denied, KeyferryError, Unreachable
from keyferry.ports import Ref
from tests.contract.azurekv.support import CANARY, CLIENT, LOGIN, SECRET, World, failure, selector, text
from tests.sandbox.azure import Fault, certificate

QUICK = {"timeout": 0.3}


class TestEntra:
    @pytest.mark.parametrize(
        ("code", "remedy"),
        [
            (7000215, "put the client secret's value, not its id, under authSecretRef.clientSecret"),
            (7000222, "the client secret has expired: make a new one"),
            (700016, "check client id, tenantId and environmentType"),
            (7000112, "the application is disabled: enable it"),
            (90002, "check tenantId and environmentType"),
            (700027, "add the certificate to the app registration"),
        ],
    )
    async def test_a_refused_login_is_told_by_its_code_in_the_same_words_every_time(
        self, world: World, code: int, remedy: str
    ) -> None:
        application = world.cloud.entra.register(CLIENT)
        changes: dict[str, Any] = {}
        match code:
            case 7000215:
                application.secrets.clear()
            case 7000222:
                application.secrets[SECRET] = 0.0
            case 700016:
                world.plant("login", id=f"{CANARY}-unknown", secret=SECRET)
            case 7000112:
                application.enabled = False
            case 90002:
                changes["tenantId"] = "no-such-tenant"
            case 700027:
                pem, key = certificate()
                world.plant("login", id=CLIENT, pair=pem + key)
                refs = {"clientId": selector("login", "id"), "clientCertificate": selector("login", "pair")}
                changes["authSecretRef"] = refs
        adapter = await world.open(**changes)
        texts = set()
        for _ in range(3):
            error = await failure(adapter)
            assert type(error) is Denied
            texts.add(str(error))
        assert texts == {f"https://{LOGIN} refuses to log in its service principal (AADSTS{code}): {remedy}"}
        with pytest.raises(Denied) as caught:
            await adapter.validate()
        assert str(caught.value) in texts

    @pytest.mark.parametrize(
        ("status", "body", "kind"),
        [
            (200, "", Unreachable),
            (200, CANARY, Unreachable),
            (200, "[]", Unreachable),
            (200, "{}", Unreachable),
            (200, json.dumps({"access_token": CANARY}), Unreachable),
            (200, json.dumps({"access_token": CANARY, "expires_in": CANARY}), Unreachable),
            (200, json.dumps({"expires_in": 3600}), Unreachable),
            (400, json.dumps({"error": "invalid_request", "error_description": CANARY}), Denied),
            (400, json.dumps({"error": CANARY * 9, "error_description": CANARY}), Denied),
            (400, CANARY, Unreachable),
            (401, json.dumps({"error": "x", "error_description": f"AADSTS1234567: {CANARY}"}), Denied),
            (400, json.dumps({"error": "temporarily_unavailable", "error_description": CANARY}), Unreachable),
            (404, CANARY, Unreachable),
            (429, CANARY, Busy),
            (400, json.dumps({"error": "x", "error_description": "AADSTS90055: throttled"}), Busy),
            (302, CANARY, Unreachable),
            (500, CANARY, Unreachable),
            (503, json.dumps({"error": "service_unavailable"}), Unreachable),
        ],
    )
    async def test_whatever_it_answers_is_told_without_its_words(
        self, world: World, status: int, body: str, kind: type[KeyferryError]
    ) -> None:
        adapter = await world.open()
        headers = {"Retry-After": "9", "Location": f"https://{LOGIN}/x"}
        world.cloud.faults[LOGIN] = Fault(status, headers, body.encode())
        error = await failure(adapter)
        assert type(error) is kind, repr(error)
        assert LOGIN in str(error)
        if isinstance(error, Busy):
            assert error.retry_after == 9
        assert sum(request.startswith(LOGIN) for request in world.cloud.requests) == 1

    async def test_it_being_slow_is_told_of_it_and_not_of_the_vault(self, world: World) -> None:
        adapter = await world.open(context=QUICK)
        world.cloud.faults[LOGIN] = Fault(delay=60.0)
        error = await failure(adapter)
        assert str(error).startswith(f"https://{LOGIN} did not answer in time")

    async def test_it_comes_back(self, world: World) -> None:
        world.vault.put("db", "s3cret")
        adapter = await world.open()
        world.cloud.faults[LOGIN] = Fault(broken=True)
        assert type(await failure(adapter)) is Unreachable
        world.cloud.clear(LOGIN)
        async with asyncio.timeout(10):
            while isinstance((found := await adapter.read([Ref("db")]))[Ref("db")], Unreachable):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.05)
        assert text(found[Ref("db")]) == b"s3cret"

    @pytest.mark.parametrize("status", [400, 403, 404, 410, 429, 500])
    @pytest.mark.parametrize("body", ["", CANARY, json.dumps({"error": "x", "error_description": CANARY})])
    async def test_so_does_the_metadata_service(self, world: World, status: int, body: str) -> None:
        world.cloud.faults["imds"] = Fault(status, {"Retry-After": "5"}, body.encode())
        error = await failure(await world.open(authType="ManagedIdentity"))
        kinds = {400: Denied, 403: Denied, 429: Busy} if body.startswith("{") else {429: Busy}
        assert type(error) is kinds.get(status, Unreachable), repr(error)
