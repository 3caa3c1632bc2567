"""Secrets, keys and certificates, as documents."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from keyferry.errors import BadSpec, BadValue, Denied, NotThere, PropertyNotThere
from keyferry.ports import Fetched, Ref
from keyferry.shape import extract
from tests.contract.azurekv.support import CANARY, World, failure, read
from tests.sandbox.azure import LARGEST, certificate


async def test_a_key_without_prefix_names_a_secret(world: World) -> None:
    world.vault.put("db", "s3cret")
    adapter = await world.open()
    assert await read(adapter, "db") == await read(adapter, "secret/db") == b"s3cret"


async def test_what_follows_a_second_slash_is_dropped_as_in_eso(world: World) -> None:
    world.vault.put("db", "s3cret")
    assert await read(await world.open(), "secret/db/tags") == b"s3cret"


async def test_a_name_is_found_whatever_its_case(world: World) -> None:
    world.vault.put("Db", "s3cret")
    assert await read(await world.open(), "dB") == b"s3cret"


async def test_a_certificate_is_its_der(world: World) -> None:
    pem, key = certificate("shop.example.com")
    world.vault.put_certificate("web", pem, key)
    der = await read(await world.open(), "cert/web")
    assert der == x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


async def test_a_certificate_brings_its_key_along_as_a_secret(world: World) -> None:
    pem, key = certificate("shop.example.com")
    world.vault.put_certificate("web", pem, key)
    assert await read(await world.open(), "web") == key + pem


@pytest.mark.parametrize("use_azure_sdk", [None, False, True])
async def test_an_rsa_key_is_a_json_web_key_in_the_order_of_the_sdk_that_eso_uses(
    world: World, use_azure_sdk: bool | None
) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    version = world.vault.put_key("signing", key)
    found = await read(await world.open(useAzureSDK=use_azure_sdk), "key/signing")
    decoded = json.loads(found)
    order = ["kid", "kty", "key_ops", "n", "e"]
    assert list(decoded) == (sorted(order) if use_azure_sdk else order)
    assert decoded["kid"] == f"{world.vault.url}/keys/signing/{version.id}"
    assert decoded["key_ops"] == ["sign", "verify"]
    assert (decoded["kty"], decoded["e"]) == ("RSA", "AQAB")
    assert int.from_bytes(base64.urlsafe_b64decode(decoded["n"] + "==")) == key.public_numbers().n
    assert b" " not in found


async def test_an_elliptic_key_has_its_curve_and_point(world: World) -> None:
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    world.vault.put_key("signing", key)
    decoded = json.loads(await read(await world.open(), "key/signing"))
    assert list(decoded) == ["kid", "kty", "key_ops", "crv", "x", "y"]
    assert (decoded["kty"], decoded["crv"]) == ("EC", "P-384")
    assert int.from_bytes(base64.urlsafe_b64decode(decoded["y"] + "==")) == key.public_numbers().y


async def test_properties_are_paths_first_and_literal_keys_second(world: World) -> None:
    world.vault.put("db", '{"a": {"b": "path"}, "a.b": "literal", "c.d": "only"}')
    adapter = await world.open()
    found = (await adapter.read([Ref("db")]))[Ref("db")]
    assert isinstance(found, Fetched)
    assert extract.one(found, "a.b", adapter.layout, key="db") == b"path"
    assert extract.one(found, "c.d", adapter.layout, key="db") == b"only"
    with pytest.raises(PropertyNotThere):
        extract.one(found, "x", adapter.layout, key="db")


async def test_a_property_of_a_certificate_is_an_error(world: World) -> None:
    world.vault.put_certificate("web", *certificate())
    adapter = await world.open()
    found = (await adapter.read([Ref("cert/web")]))[Ref("cert/web")]
    assert isinstance(found, Fetched)
    with pytest.raises(BadValue):
        extract.one(found, "subject", adapter.layout, key="cert/web")


@pytest.mark.parametrize("key", ["db", "key/signing", "cert/web"])
async def test_metadata_is_tags_and_times_in_go_s_json(world: World, key: str) -> None:
    tags = {"team": "red", "html": "<a&b>", "owner": '{"mail": "a@b"}', "ünï": "\u2028"}
    given: dict[str, Any] = {"tags": tags, "expires": 2_000_000_000, "not_before": 1_500_000_000}
    if key == "db":
        made = world.vault.put("db", CANARY, **given)
    elif key == "key/signing":
        made = world.vault.put_key("signing", ec.generate_private_key(ec.SECP256R1()).public_key(), **given)
    else:
        made = world.vault.put_certificate("web", *certificate(), **given)
    made.created, made.updated = 1_600_000_000, 1_700_000_000
    adapter = await world.open()
    ref = Ref(key, metadata=True)
    found = (await adapter.read([ref]))[ref]
    assert isinstance(found, Fetched)
    assert (
        found.document
        == (
            '{"attribute.created":"2020-09-13T12:26:40Z","attribute.expires":"2033-05-18T03:33:20Z",'
            '"attribute.notBefore":"2017-07-14T02:40:00Z","attribute.updated":"2023-11-14T22:13:20Z",'
            '"html":"\\u003ca\\u0026b\\u003e","owner":"{\\"mail\\": \\"a@b\\"}","team":"red","ünï":"\\u2028"}'
        ).encode()
    )
    assert extract.one(found, "team", adapter.layout, key=key, metadata=True) == b"red"
    assert extract.one(found, "owner.mail", adapter.layout, key=key, metadata=True) == b"a@b"
    assert extract.one(found, "attribute.expires", adapter.layout, key=key, metadata=True) == b"2033-05-18T03:33:20Z"


async def test_value_and_metadata_of_a_secret_are_one_download(world: World) -> None:
    world.vault.put("db", "s3cret", tags={"team": "red"})
    found = await (await world.open()).read([Ref("db"), Ref("db", metadata=True), Ref("secret/db")])
    assert [type(each) for each in found.values()] == [Fetched] * 3
    assert world.vault.count("GET /secrets/db") == 1


@pytest.mark.parametrize("kind", ["secret", "key", "cert"])
async def test_versions_of_every_kind_can_be_pinned(world: World, kind: str) -> None:
    versions: list[str] = []
    for _ in range(2):
        if kind == "secret":
            versions.append(world.vault.put("x", f"value-{len(versions)}").id)
        elif kind == "key":
            key = ec.generate_private_key(ec.SECP256R1()).public_key()
            versions.append(world.vault.put_key("x", key).id)
        else:
            versions.append(world.vault.put_certificate("x", *certificate()).id)
    adapter = await world.open()
    refs = [Ref(f"{kind}/x"), *(Ref(f"{kind}/x", version) for version in versions)]
    newest, first, second = [(await adapter.read(refs))[ref] for ref in refs]
    assert isinstance(newest, Fetched)
    assert isinstance(first, Fetched)
    assert isinstance(second, Fetched)
    assert newest.document == second.document != first.document
    assert [each.version for each in (newest, first, second)] == [versions[1], *versions]


@pytest.mark.parametrize("key", ["x", "key/x", "cert/x"])
async def test_what_is_absent_is_not_there(world: World, key: str) -> None:
    error = await failure(await world.open(), key)
    word = {"x": "secret", "key/x": "key", "cert/x": "certificate"}[key]
    assert type(error) is NotThere
    assert str(error) == f'{world.vault.url} has no {word} "x"'


async def test_a_version_that_is_absent_does_not_pass_for_an_absent_secret(world: World) -> None:
    world.vault.put("db", "s3cret")
    adapter = await world.open()
    error = await failure(adapter, "db", "0" * 32)
    assert type(error) is PropertyNotThere
    assert str(error).startswith(f'secret "db" has no version "{"0" * 32}": set remoteRef.version')
    assert type(await failure(adapter, "nothing", "0" * 32)) is NotThere


async def test_a_deleted_secret_is_not_there_until_it_is_recovered(world: World) -> None:
    world.vault.put("db", "s3cret")
    adapter = await world.open()
    world.vault.delete("secrets", "db")
    assert type(await failure(adapter)) is NotThere
    world.vault.recover("secrets", "db")
    assert await read(adapter, "db") == b"s3cret"


async def test_a_disabled_secret_is_no_absent_secret(world: World) -> None:
    version = world.vault.put("db", CANARY)
    version.enabled = False
    error = await failure(await world.open())
    assert type(error) is Denied
    assert str(error) == (
        f'{world.vault.url} refuses to read secret "db": it is disabled: '
        "enable its version, or set remoteRef.version to one that is enabled"
    )


async def test_a_secret_that_has_expired_or_is_not_valid_yet_is_read_all_the_same(world: World) -> None:
    world.vault.put("old", "past", expires=1_000_000_000)
    world.vault.put("new", "future", not_before=4_000_000_000)
    adapter = await world.open()
    assert [await read(adapter, name) for name in ("old", "new")] == [b"past", b"future"]


async def test_the_largest_value_arrives_whole(world: World) -> None:
    value = "ä" * (LARGEST // 2)
    world.vault.put("db", value)
    assert await read(await world.open(), "db") == value.encode()


@pytest.mark.parametrize("key", ["", "/", "secret/", "secrets/db", "certificate/x", "db_1", "x" * 128, "key/a.b"])
async def test_what_cannot_be_a_key_is_told_without_a_call(world: World, key: str) -> None:
    error = await failure(await world.open(), key)
    assert type(error) is BadSpec
    assert error.message.startswith(f'"{key}": ')
    assert error.remedy
    assert world.cloud.requests == []


@pytest.mark.parametrize("version", ["../x", "a/b", "v 1", "?x", "é"])
async def test_what_cannot_be_a_version_is_told_without_a_call(world: World, version: str) -> None:
    error = await failure(await world.open(), "db", version)
    assert type(error) is BadSpec
    assert world.cloud.requests == []


async def test_a_managed_hsm_holds_keys(world: World) -> None:
    world.vault = world.cloud.vault("shop-hsm", domain="managedhsm.azure.net")
    world.vault.rights["0a1b2c3d-reader"] = frozenset({"keys/get", "keys/list"})
    world.vault.put_key("signing", ec.generate_private_key(ec.SECP256R1()).public_key())
    adapter = await world.open()
    await adapter.validate()
    assert world.vault.count("GET /keys") == 1
    assert json.loads(await read(adapter, "key/signing"))["kty"] == "EC"


async def test_calls_are_counted_by_their_names(world: World) -> None:
    world.vault.put("db", "s3cret")
    adapter = await world.open()
    await adapter.read([Ref("db"), Ref("x"), Ref("key/x"), Ref("cert/x")])
    await adapter.validate()
    assert world.calls.counts == {
        ("GetToken", "success"): 1,
        ("GetSecret", "success"): 1,
        ("GetSecret", "error"): 1,
        ("GetKey", "error"): 1,
        ("GetCertificate", "error"): 1,
        ("GetSecrets", "success"): 1,
    }
