"""Logging in: every way, for how long, and as whom."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from azure.core.credentials_async import AsyncSupportsTokenInfo
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from keyferry.errors import BadSpec, Denied, Unreachable
from keyferry.ports import Ref, StoreIdentity
from keyferry.providers.azurekv.identity import Identity
from keyferry.providers.azurekv.login import Login
from keyferry.providers.azurekv.wire import CONNECTIONS
from tests.contract.azurekv.support import CANARY, CLIENT, LOGIN, SECRET, World, failure, read, selector, text
from tests.sandbox.azure import READ, TENANT, Fault, certificate
from tests.support.credentials import Calls


def clock_ahead(seconds: float) -> Callable[[], float]:
    return lambda: time.time() + seconds


class TestServicePrincipal:
    async def test_with_a_secret_whose_line_break_is_not_part_of_it(self, world: World) -> None:
        world.plant("login", id=f"{CLIENT}\n", secret=f"{SECRET}\n")
        world.vault.put("db", "s3cret")
        assert await read(await world.open(authType="ServicePrincipal"), "db") == b"s3cret"

    @pytest.mark.parametrize("form", ["pem", "pem-key-first", "pkcs12"])
    async def test_with_a_certificate(self, world: World, form: str) -> None:
        pem, key = certificate()
        world.cloud.entra.tenants[TENANT][CLIENT].certificates.append(pem)
        if form == "pkcs12":
            private = serialization.load_pem_private_key(key, None)
            assert isinstance(private, rsa.RSAPrivateKey)
            both = pkcs12.serialize_key_and_certificates(
                b"", private, x509.load_pem_x509_certificate(pem), None, serialization.NoEncryption()
            )
        else:
            both = pem + key if form == "pem" else key + pem
        world.plant("login", id=CLIENT, pair=both)
        world.vault.put("db", "s3cret")
        refs = {"clientId": selector("login", "id"), "clientCertificate": selector("login", "pair")}
        assert await read(await world.open(authSecretRef=refs), "db") == b"s3cret"

    @pytest.mark.parametrize("form", ["none", "key only", "certificate only", "elliptic"])
    async def test_a_certificate_that_cannot_be_used_is_told_when_the_store_is_opened(
        self, world: World, form: str
    ) -> None:
        pem, key = certificate()
        elliptic = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        forms = {"none": CANARY.encode(), "key only": key, "certificate only": pem, "elliptic": pem + elliptic}
        world.plant("login", id=CLIENT, pair=forms[form])
        refs = {"clientId": selector("login", "id"), "clientCertificate": selector("login", "pair")}
        with pytest.raises(BadSpec) as caught:
            await world.open(authSecretRef=refs)
        assert str(caught.value).startswith("authSecretRef.clientCertificate holds no certificate with an RSA key")

    async def test_a_tenant_may_be_kept_in_a_secret(self, world: World) -> None:
        world.plant("login", id=CLIENT, secret=SECRET, tenant=f"{TENANT}\n")
        world.vault.put("db", "s3cret")
        refs = {
            "clientId": selector("login", "id"),
            "clientSecret": selector("login", "secret"),
            "tenantId": selector("login", "tenant"),
        }
        assert await read(await world.open(tenantId=None, authSecretRef=refs), "db") == b"s3cret"

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"authSecretRef": None}, "authSecretRef.clientId is not set"),
            ({"authSecretRef": {"clientSecret": selector("login", "secret")}}, "authSecretRef.clientId is not set"),
            ({"authSecretRef": {"clientId": selector("login", "id")}}, "neither clientSecret nor clientCertificate"),
            (
                {
                    "authSecretRef": dict.fromkeys(
                        ("clientId", "clientSecret", "clientCertificate"), selector("login", "id")
                    )
                },
                "neither clientSecret nor clientCertificate, or both",
            ),
            ({"tenantId": None}, "tenantId is not set"),
            ({"tenantId": "../other"}, "tenantId is no tenant id"),
        ],
    )
    async def test_what_is_missing_or_too_much_is_told(self, world: World, changes: dict[str, Any], told: str) -> None:
        with pytest.raises(BadSpec) as caught:
            await world.open(**changes)
        assert told in str(caught.value)
        assert world.cloud.requests == []

    async def test_a_tenant_given_as_a_domain_is_logged_in_to(self, world: World) -> None:
        domain = "contoso.onmicrosoft.com"
        world.cloud.entra.register(CLIENT, tenant=domain).secrets[SECRET] = math.inf
        # The vault knows its tenant by id, and says so; the store says where to log in.
        world.vault.tenant = domain
        world.vault.authority = f"https://{LOGIN}/{TENANT}/ignored?"
        world.vault.put("db", "s3cret")
        assert await read(await world.open(tenantId=domain), "db") == b"s3cret"
        assert world.cloud.entra.calls == [(domain, CLIENT)]


class TestManagedIdentity:
    async def test_the_only_identity_of_the_node(self, world: World) -> None:
        world.cloud.entra.assigned["node"] = TENANT
        world.vault.rights["node"] = READ
        world.vault.put("db", "s3cret")
        adapter = await world.open(authType="ManagedIdentity", authSecretRef=None, tenantId=None)
        assert await read(adapter, "db") == b"s3cret"
        assert world.cloud.entra.calls == [("imds", "")]

    async def test_one_of_several(self, world: World) -> None:
        world.cloud.entra.assigned |= {"node": TENANT, "shop": TENANT}
        world.vault.rights["shop"] = READ
        world.vault.put("db", "s3cret")
        assert await read(await world.open(authType="ManagedIdentity", identityId="shop"), "db") == b"s3cret"
        assert world.cloud.entra.calls == [("imds", "shop")]

    async def test_one_that_is_not_assigned_is_denied(self, world: World) -> None:
        error = await failure(await world.open(authType="ManagedIdentity", identityId="nobody"))
        assert type(error) is Denied
        assert str(error) == (
            "the managed identity endpoint refuses to log in the managed identity (invalid_request): "
            "check that it exists, and that it is assigned to where Keyferry runs"
        )

    async def test_it_is_not_the_workload_identity_of_the_pod(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST"):
            monkeypatch.setenv(name, "another-one")
        world.cloud.entra.assigned["node"] = TENANT
        world.vault.rights["node"] = READ
        world.vault.put("db", "s3cret")
        assert await read(await world.open(authType="ManagedIdentity"), "db") == b"s3cret"

    async def test_the_metadata_service_is_asked_once_and_not_again_and_again(self, world: World) -> None:
        world.cloud.faults["imds"] = Fault(status=500)
        error = await failure(await world.open(authType="ManagedIdentity"))
        assert type(error) is Unreachable
        assert sum(request.startswith("imds") for request in world.cloud.requests) == 1


class TestTokens:
    async def test_a_token_is_used_for_all_reads_and_all_kinds(self, world: World) -> None:
        world.vault.put("db", "s3cret")
        adapter = await world.open()
        for key in ("db", "key/x", "cert/x", "db"):
            await adapter.read([Ref(key)])
        await adapter.validate()
        assert world.logins() == 1

    @pytest.mark.parametrize(("life", "replaced"), [(60.0, 30.0), (3600.0, 3300.0)])
    async def test_a_token_is_replaced_before_it_ends(self, world: World, life: float, replaced: float) -> None:
        world.vault.put("db", "s3cret")
        world.cloud.entra.life = life
        adapter = await world.open()
        login = adapter._door._login
        await read(adapter, "db")
        for later, wanted in ((replaced - 5.0, 1), (replaced + 1.0, 2)):
            login._clock = clock_ahead(later)
            # As if the SDK's client had found out by itself that it is time; it goes by the real time.
            adapter._door.secrets._client._config.authentication_policy._token = None
            assert await read(adapter, "db") == b"s3cret"
            assert world.logins() == wanted

    async def test_a_token_that_still_works_outlives_trouble_with_logins(self, world: World) -> None:
        world.vault.put("db", "s3cret")
        world.cloud.entra.life = 60.0
        adapter = await world.open()
        await read(adapter, "db")
        held = adapter._door._login._held
        assert held is not None
        held.renew_at = 0.0
        # As if the SDK's client had found out by itself that it is time.
        adapter._door.secrets._client._config.authentication_policy._token = None
        world.cloud.faults[LOGIN] = Fault(status=503)
        assert await read(adapter, "db") == b"s3cret"
        assert world.calls.counts["GetToken", "error"] == 1

    @pytest.mark.parametrize("evaluates", [False, True])
    async def test_a_token_that_was_revoked_is_replaced_if_the_credential_is_good(
        self, world: World, evaluates: bool
    ) -> None:
        names = [f"s-{number}" for number in range(20)]
        for name in names:
            world.vault.put(name, name)
        world.vault.evaluates = evaluates
        adapter = await world.open()
        await read(adapter, "s-0")
        world.cloud.entra.revoke(CLIENT)
        found = await adapter.read([Ref(name) for name in names])
        assert [text(each) for each in found.values()] == [name.encode() for name in names]
        assert world.logins() == 2

    async def test_a_login_that_the_vault_never_accepts_is_not_tried_again_and_again(self, world: World) -> None:
        world.cloud.entra.register(CLIENT, tenant="other-tenant").secrets[SECRET] = math.inf
        adapter = await world.open(tenantId="other-tenant")
        for _ in range(3):
            error = await failure(adapter)
            assert type(error) is Denied
            assert str(error) == (
                f"{world.vault.url} does not accept logins of this tenant (AKV10032): "
                "set tenantId to the tenant that the vault belongs to"
            )
        assert world.logins() == 1

    async def test_a_refused_login_is_not_repeated_for_every_secret(self, world: World) -> None:
        world.cloud.entra.register(CLIENT).secrets.clear()
        found = await (await world.open()).read([Ref(f"s-{number}") for number in range(40)])
        assert {type(each) for each in found.values()} == {Denied}
        # Whoever waits at the same time shares an attempt; there are as many at a time as there are connections.
        assert world.logins() <= 1 + math.ceil(39 / CONNECTIONS)

    async def test_a_failed_login_is_told_for_a_second_without_another_attempt(self) -> None:
        now = 1000.0
        attempts = 0

        async def refuse() -> AsyncSupportsTokenInfo:
            nonlocal attempts
            attempts += 1
            raise Denied("refused")

        login = Login(Identity("x", "y", refuse), audience="", observe=Calls(), clock=lambda: now)
        for moment, wanted in ((0.0, 1), (0.9, 1), (1.0, 2), (1.5, 2)):
            now = 1000.0 + moment
            with pytest.raises(Denied):
                await login.get_token_info("scope")
            assert attempts == wanted

    async def test_nothing_of_an_adapter_shows_credentials(self, world: World) -> None:
        world.vault.put("db", CANARY)
        adapter = await world.open()
        await read(adapter, "db")
        held = adapter._door._login._held
        for thing in (adapter, adapter._door, adapter._door._login, adapter._shelf, held):
            shown = f"{thing!r} {thing}"
            assert CANARY not in shown
            assert held is not None
            assert held.info.token not in shown


class TestTogether:
    async def test_stores_with_different_logins_never_share_one(self, world: World) -> None:
        """Two identities may read different secrets of one vault, and a third vault has secrets of the same names."""
        other = world.cloud.vault("other-shop")
        world.cloud.entra.register("second").secrets["second-secret"] = math.inf
        world.plant("second", id="second", secret="second-secret")
        refs = {"clientId": selector("second", "id"), "clientSecret": selector("second", "secret")}
        other.rights["second"] = READ
        for number in range(10):
            world.vault.put(f"s-{number}", f"first {number}")
            other.put(f"s-{number}", f"second {number}")
        first, second, stranger = (
            await world.open(),
            await world.open(vaultUrl=other.url, authSecretRef=refs),
            await world.open(authSecretRef=refs),
        )
        wanted = [Ref(f"s-{number}") for number in range(10)]
        for _ in range(3):
            mine, theirs, nothing = await asyncio.gather(*(each.read(wanted) for each in (first, second, stranger)))
            assert [text(each) for each in mine.values()] == [f"first {number}".encode() for number in range(10)]
            assert [text(each) for each in theirs.values()] == [f"second {number}".encode() for number in range(10)]
            assert {type(each) for each in nothing.values()} == {Denied}
        assert {client for client, _, _ in other.calls} == {"second"}

    async def test_a_cluster_store_asks_as_its_caller(self, world: World) -> None:
        world.vault.put("db", "s3cret")
        store = StoreIdentity(kind="ClusterSecretStore", name="store", namespace="", caller="default")
        assert await read(await world.open(context={"store": store}), "db") == b"s3cret"
