from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator

import pytest

from keyferry.errors import BadSpec, Denied, Unreachable
from keyferry.ports import Validation
from tests.contract.vault.stub import Reply, server_context, serving
from tests.contract.vault.support import World, token_of, value
from tests.sandbox.certificates import Authority, Pair
from tests.sandbox.openbao import OpenBao


@pytest.fixture(scope="module")
def clients() -> Authority:
    return Authority("clients")


@pytest.fixture(scope="module")
def ann(clients: Authority) -> Pair:
    return clients.client("ann")


@pytest.fixture(scope="module")
def secure() -> Iterator[OpenBao]:
    with OpenBao(tls=True) as server:
        server.client().secrets.kv.v2.create_or_update_secret("db", {"k": "v"})
        yield server


@pytest.fixture(scope="module")
def guarded(clients: Authority, ann: Pair) -> Iterator[OpenBao]:
    """A server that accepts connections with a client certificate only."""
    with OpenBao(client_ca=clients.pem, client_pair=ann) as server:
        server.client().secrets.kv.v2.create_or_update_secret("db", {"k": "v"})
        yield server


@pytest.fixture
async def world(secure: OpenBao) -> AsyncIterator[World]:
    world = World.of(secure)
    yield world
    await world.aclose()


async def test_the_authority_of_the_store_is_trusted(world: World) -> None:
    assert await value(await world.vault(), "db") == {"k": "v"}
    assert await (await world.openbao()).validate() is Validation.READY


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
async def test_the_authority_may_be_kept_in_the_cluster(world: World, kind: str) -> None:
    world.plant("ca", **{"ca.crt": world.ca_pem})
    world.credentials.config_maps["default", "ca"] = {"ca.crt": world.ca_pem}
    adapter = await world.vault(caBundle=None, caProvider={"type": kind, "name": "ca", "key": "ca.crt"})
    assert await value(adapter, "db") == {"k": "v"}


@pytest.mark.parametrize("authority", ["none", "another"])
async def test_an_authority_that_did_not_sign_is_told_with_the_remedy(world: World, authority: str) -> None:
    bundle = None if authority == "none" else base64.b64encode(Authority("another").pem).decode()
    adapter = await world.vault(caBundle=bundle)
    with pytest.raises(Unreachable) as error:
        await value(adapter, "db")
    assert str(error.value).startswith(f"the certificate of {world.url} is not trusted: ")
    assert "set caBundle or caProvider" in error.value.remedy
    assert "(_ssl.c" not in str(error.value)


async def test_the_name_in_the_certificate_is_checked(world: World) -> None:
    stranger = Authority("stranger")
    certificate = stranger.client("elsewhere.example")
    with serving(lambda _: Reply(), context=server_context(certificate)) as stub:
        bundle = base64.b64encode(stranger.pem).decode()
        with pytest.raises(Unreachable, match="is not trusted"):
            await value(await world.vault(server=stub.url, caBundle=bundle), "db")


async def test_only_the_authority_of_the_store_is_trusted_even_after_requests(world: World) -> None:
    adapter = await world.vault()
    await value(adapter, "db")
    connections = adapter._door._session._http.get_adapter("https://x")
    assert len(connections._context.get_ca_certs()) == 1  # type: ignore[attr-defined] # our own class


async def test_plain_http_to_a_tls_port_and_tls_to_a_plain_port_are_told_apart(world: World, bao: OpenBao) -> None:
    with pytest.raises(Unreachable, match="does not speak TLS: check scheme and port"):
        await value(await world.vault(server=bao.url.replace("http:", "https:")), "db")
    with pytest.raises((Unreachable, BadSpec)):
        await value(await world.vault(server=world.url.replace("https:", "http:")), "db")


async def test_a_client_certificate_is_presented(guarded: OpenBao, ann: Pair) -> None:
    world = World.of(guarded)
    world.plant("pair", **{"tls.crt": ann.cert, "tls.key": ann.key})
    adapter = await world.vault(tls={"certSecretRef": {"name": "pair"}, "keySecretRef": {"name": "pair"}})
    assert await value(adapter, "db") == {"k": "v"}
    await world.aclose()


async def test_a_client_certificate_that_is_needed_and_not_given_is_told(guarded: OpenBao) -> None:
    world = World.of(guarded)
    with pytest.raises(Unreachable, match=r"asks for a client certificate.*: set tls\.certSecretRef"):
        await value(await world.vault(), "db")
    await world.aclose()


async def test_a_client_certificate_of_a_stranger_is_told(guarded: OpenBao) -> None:
    world = World.of(guarded)
    stranger = Authority("stranger").client("ann")
    world.plant("pair", **{"tls.crt": stranger.cert, "tls.key": stranger.key})
    adapter = await world.vault(tls={"certSecretRef": {"name": "pair"}, "keySecretRef": {"name": "pair"}})
    with pytest.raises(Unreachable, match="client certificate"):
        await value(adapter, "db")
    await world.aclose()


async def test_half_a_client_certificate_is_refused(world: World) -> None:
    with pytest.raises(BadSpec, match=r"tls\.keySecretRef is not set: set both"):
        await world.vault(tls={"certSecretRef": {"name": "pair"}})


async def test_a_client_certificate_without_its_key_is_refused_with_both_fields(
    world: World, clients: Authority
) -> None:
    world.plant("pair", **{"tls.crt": clients.client("a").cert, "tls.key": clients.client("b").key})
    with pytest.raises(BadSpec, match=r"auth\.cert\.clientCert and auth\.cert\.secretRef do not belong together"):
        await world.vault(auth={"cert": {"clientCert": {"name": "pair"}, "secretRef": {"name": "pair"}}})


async def test_a_certificate_logs_in(secure: OpenBao, world: World, clients: Authority, ann: Pair) -> None:
    client = secure.client()
    client.sys.enable_auth_method("cert")
    client.sys.create_or_update_policy("cert", 'path "secret/data/*" { capabilities = ["read"] }')
    for role, name in {"ann": "ann", "bob": "bob"}.items():
        client.adapter.post(
            f"/v1/auth/cert/certs/{role}",
            json={"certificate": clients.pem.decode(), "allowed_common_names": name, "token_policies": "cert"},
        )
    world.plant("pair", cert=ann.cert, key=ann.key)
    source = {"clientCert": {"name": "pair", "key": "cert"}, "secretRef": {"name": "pair", "key": "key"}}
    adapter = await world.vault(auth={"cert": source})
    assert await value(adapter, "db") == {"k": "v"}
    assert secure.client(token_of(adapter)).lookup_token()["data"]["path"] == "auth/cert/login"
    named = await world.vault(auth={"cert": {**source, "vaultRole": "ann"}})
    assert await value(named, "db") == {"k": "v"}
    with pytest.raises(Denied, match=r"check auth\.cert and its role"):
        await value(await world.vault(auth={"cert": {**source, "vaultRole": "bob"}}), "db")
