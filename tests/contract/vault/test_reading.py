from __future__ import annotations

import json

import pytest

from keyferry.errors import BadSpec, Denied, NotThere, PropertyNotThere
from keyferry.ports import Fetched, Ref
from tests.contract.vault.support import World, fetched, text, value
from tests.sandbox.openbao import OpenBao


@pytest.fixture(scope="module")
def v1_mount(bao: OpenBao) -> str:
    bao.client().sys.enable_secrets_engine("kv", path="old", options={"version": "1"})
    return "old"


def put(bao: OpenBao, key: str, data: dict[str, object], mount: str = "secret") -> None:
    bao.client().secrets.kv.v2.create_or_update_secret(key, data, mount_point=mount)


async def test_a_secret_is_read_as_a_json_object_with_its_version(bao: OpenBao, world: World) -> None:
    put(bao, "read/db", {"user": "u", "password": "one"})
    put(bao, "read/db", {"user": "u", "password": "two"})
    answer = await fetched(await world.vault(), Ref("read/db"))
    assert json.loads(text(answer)) == {"user": "u", "password": "two"}
    assert answer.version == "2"


@pytest.mark.parametrize("key", ["same/db", "secret/same/db", "secret/data/same/db", "/same//db/"])
async def test_a_key_may_repeat_the_mount(bao: OpenBao, world: World, key: str) -> None:
    put(bao, "same/db", {"k": "v"})
    assert await value(await world.vault(), key) == {"k": "v"}


@pytest.mark.parametrize("key", ["secret/mountless", "secret/data/mountless"])
async def test_without_a_mount_the_key_begins_with_it(bao: OpenBao, world: World, key: str) -> None:
    put(bao, "mountless", {"k": "v"})
    assert await value(await world.vault(path=None), key) == {"k": "v"}


async def test_a_mount_may_have_several_parts(bao: OpenBao, world: World) -> None:
    bao.client().sys.enable_secrets_engine("kv", path="team/a/kv", options={"version": "2"})
    put(bao, "db", {"k": "v"}, mount="team/a/kv")
    adapter = await world.vault(path="team/a/kv/")
    assert await value(adapter, "db") == {"k": "v"}
    assert await value(adapter, "team/a/kv/db") == {"k": "v"}
    assert await value(await world.vault(path=None), "team/a/kv/data/db") == {"k": "v"}


async def test_a_secret_whose_path_repeats_the_mount_is_found_where_no_other_has_its_name(
    bao: OpenBao, world: World
) -> None:
    put(bao, "secret/nested", {"k": "inside"})
    adapter = await world.vault()
    assert await value(adapter, "secret/nested") == {"k": "inside"}
    put(bao, "nested", {"k": "outside"})
    assert await value(adapter, "secret/nested") == {"k": "outside"}
    assert await value(adapter, "secret/secret/nested") == {"k": "inside"}
    assert await value(adapter, "secret/data/secret/nested") == {"k": "inside"}


async def test_a_deleted_secret_does_not_give_way_to_another_reading_of_its_key(bao: OpenBao, world: World) -> None:
    put(bao, "secret/shadow", {"k": "inside"})
    put(bao, "shadow", {"k": "outside"})
    bao.client().secrets.kv.v2.delete_latest_version_of_secret("shadow")
    with pytest.raises(NotThere, match="is deleted"):
        await value(await world.vault(), "secret/shadow")


async def test_names_may_hold_any_character(bao: OpenBao, world: World) -> None:
    names = ["grüße/日本", "with space", "a?b=c&d", "100%", "%2F", "a#b", "a+b", "semi;colon"]
    adapter = await world.vault()
    for name in names:
        bao.client().secrets.kv.v2.create_or_update_secret(f"odd/{name}", {"name": name})
        assert await value(adapter, f"odd/{name}") == {"name": name}


async def test_a_large_value_arrives_whole(bao: OpenBao, world: World) -> None:
    large = 'é\\"\n' * 16 * 1024
    put(bao, "large", {"k": large})
    assert await value(await world.vault(), "large") == {"k": large}


async def test_numbers_keep_the_text_that_the_server_sends(bao: OpenBao, world: World, v1_mount: str) -> None:
    body = b'{"big":123456789012345678901234567890,"fraction":1.10,"nested":{"list":[1,2.50]}}'
    bao.client().adapter.post(f"/v1/{v1_mount}/numbers", data=body)
    sent = bao.client().adapter.session.get(
        f"{bao.url}/v1/{v1_mount}/numbers", headers={"X-Vault-Token": bao.root_token}, timeout=5
    )
    answer = await fetched(await world.vault(path=v1_mount, version="v1"), Ref("numbers"))
    assert text(answer) in sent.content
    assert b"123456789012345678901234567890" in text(answer)


async def test_an_older_version_can_be_asked_for(bao: OpenBao, world: World) -> None:
    for number in ("one", "two", "three"):
        put(bao, "versions", {"k": number})
    adapter = await world.vault()
    assert await value(adapter, "versions", "1") == {"k": "one"}
    assert await value(adapter, "versions", "3") == {"k": "three"}


async def test_a_version_that_is_not_there_names_the_newest(bao: OpenBao, world: World) -> None:
    put(bao, "newest", {"k": "1"})
    put(bao, "newest", {"k": "2"})
    with pytest.raises(PropertyNotThere, match=r'"newest" has no version 9: its newest is 2'):
        await value(await world.vault(), "newest", "9")


async def test_a_version_of_a_secret_that_is_not_there_is_a_secret_that_is_not_there(world: World) -> None:
    with pytest.raises(NotThere):
        await value(await world.vault(), "never/was", "3")


@pytest.mark.parametrize("version", ["latest", "-1", "1.0", "٣"])
async def test_a_version_that_is_no_number_is_refused(world: World, version: str) -> None:
    with pytest.raises(BadSpec, match="is no number"):
        await value(await world.vault(), "any", version)


async def test_deleted_and_destroyed_versions_are_not_there(bao: OpenBao, world: World) -> None:
    kv = bao.client().secrets.kv.v2
    put(bao, "dead", {"k": "1"})
    put(bao, "dead", {"k": "2"})
    put(bao, "dead", {"k": "3"})
    kv.destroy_secret_versions("dead", [1])
    kv.delete_secret_versions("dead", [2])
    adapter = await world.vault()
    with pytest.raises(NotThere, match='version 1 of secret "dead" is destroyed'):
        await value(adapter, "dead", "1")
    with pytest.raises(NotThere, match='version 2 of secret "dead" is deleted: undelete it'):
        await value(adapter, "dead", "2")
    assert await value(adapter, "dead") == {"k": "3"}
    kv.delete_latest_version_of_secret("dead")
    with pytest.raises(NotThere, match="version 3"):
        await value(adapter, "dead")


async def test_a_secret_that_is_not_there_names_its_neighbours(bao: OpenBao, world: World) -> None:
    put(bao, "near/database", {"k": "v"})
    put(bao, "near/unlike", {"k": "v"})
    with pytest.raises(NotThere) as error:
        await value(await world.vault(), "near/databse")
    assert str(error.value) == ('secret "near/databse" does not exist in mount "secret": did you mean "near/database"?')


async def test_neighbours_that_may_not_be_listed_are_left_out(bao: OpenBao, world: World) -> None:
    put(bao, "private/database", {"k": "v"})
    client = bao.client()
    client.sys.create_or_update_policy("read-only", 'path "secret/data/*" { capabilities = ["read"] }')
    world.plant("narrow", token=client.auth.token.create(policies=["read-only"])["auth"]["client_token"])
    adapter = await world.vault(auth={"tokenSecretRef": {"name": "narrow", "key": "token"}})
    with pytest.raises(NotThere) as error:
        await value(adapter, "private/databse")
    assert error.value.remedy == ""


async def test_metadata_is_read_where_it_is_asked_for(bao: OpenBao, world: World) -> None:
    put(bao, "described", {"k": "v"})
    bao.client().secrets.kv.v2.update_metadata("described", custom_metadata={"owner": "team a"})
    answer = await fetched(await world.vault(), Ref("described", metadata=True))
    document = json.loads(text(answer))
    assert document.pop("created_time").startswith("20")
    assert document == {"owner": "team a", "current_version": "1", "delete_version_after": "0s"}
    assert answer.version == "1"


async def test_metadata_of_a_secret_that_is_not_there(world: World) -> None:
    with pytest.raises(NotThere):
        await fetched(await world.vault(), Ref("never/was", metadata=True))


async def test_one_bad_ref_does_not_sink_the_others(bao: OpenBao, world: World) -> None:
    put(bao, "good", {"k": "v"})
    refs = [Ref("good"), Ref("never/was"), Ref("a/../b"), Ref(""), Ref("good", version="x")]
    answers = await (await world.vault()).read(refs)
    assert [type(answers[ref]) for ref in refs] == [Fetched, NotThere, BadSpec, BadSpec, BadSpec]


async def test_a_ref_that_is_asked_for_twice_is_read_once(bao: OpenBao, world: World) -> None:
    put(bao, "once", {"k": "v"})
    await (await world.vault()).read([Ref("once")] * 20)
    assert len(bao.audited("read", "secret/data/once")) == 1


async def test_many_refs_are_read_together(bao: OpenBao, world: World) -> None:
    for number in range(40):
        put(bao, f"many/{number}", {"n": str(number)})
    refs = [Ref(f"many/{number}") for number in range(40)]
    answers = await (await world.vault()).read(refs)
    found = [json.loads(text(answer)) for answer in answers.values() if isinstance(answer, Fetched)]
    assert found == [{"n": str(number)} for number in range(40)]


async def test_kv_v1_is_read(bao: OpenBao, world: World, v1_mount: str) -> None:
    bao.client().secrets.kv.v1.create_or_update_secret("app/db", {"k": "v"}, mount_point=v1_mount)
    adapter = await world.vault(path=v1_mount, version="v1")
    assert (await fetched(adapter, Ref("app/db"))).version == ""
    assert await value(adapter, "old/app/db") == {"k": "v"}
    assert await value(await world.vault(path=None, version="v1"), "old/app/db") == {"k": "v"}
    with pytest.raises(NotThere, match='did you mean "app/db"'):
        await value(adapter, "app/dbs")


async def test_kv_v1_has_no_versions_and_no_metadata(world: World, v1_mount: str) -> None:
    adapter = await world.vault(path=v1_mount, version="v1")
    with pytest.raises(BadSpec, match="KV v1 keeps no versions: remove version"):
        await value(adapter, "app/db", "1")
    with pytest.raises(BadSpec, match="KV v1 keeps no metadata"):
        await fetched(adapter, Ref("app/db", metadata=True))


@pytest.mark.parametrize(("mount", "said", "right"), [("old", "v2", "v1"), ("secret", "v1", "v2")])
async def test_the_wrong_kv_version_is_not_taken_for_a_missing_secret(
    world: World, v1_mount: str, mount: str, said: str, right: str
) -> None:
    with pytest.raises(BadSpec, match=f"set version: {right}"):
        await value(await world.vault(path=mount, version=said), "any")


async def test_a_mount_that_is_not_there_is_not_taken_for_a_missing_secret(world: World) -> None:
    with pytest.raises(BadSpec, match="nothing is mounted"):
        await value(await world.vault(path="nowhere"), "any")


async def test_a_path_that_no_policy_permits_is_denied_with_the_policy_to_write(bao: OpenBao, world: World) -> None:
    world.plant("nobody", token=bao.client().auth.token.create(policies=["default"])["auth"]["client_token"])
    adapter = await world.vault(auth={"tokenSecretRef": {"name": "nobody", "key": "token"}})
    with pytest.raises(Denied) as error:
        await value(adapter, "db")
    assert str(error.value) == (
        f'{bao.url} does not permit to read secret "secret/data/db": allow it to read "secret/data/db" in a policy, '
        "and check that its token is valid"
    )


async def test_namespaces_keep_secrets_apart(bao: OpenBao, world: World) -> None:
    bao.client().sys.create_namespace("team-a")
    inside = bao.client(namespace="team-a")
    inside.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
    inside.secrets.kv.v2.create_or_update_secret("db", {"k": "of team a"})
    assert await value(await world.vault(namespace="team-a"), "db") == {"k": "of team a"}
    with pytest.raises(BadSpec, match="the namespace does not exist"):
        await value(await world.vault(namespace="team-b"), "db")


async def test_the_login_may_be_in_another_namespace_than_the_secrets(bao: OpenBao, world: World) -> None:
    client = bao.client()
    client.sys.create_namespace("team-c")
    inside = bao.client(namespace="team-c")
    inside.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
    inside.secrets.kv.v2.create_or_update_secret("db", {"k": "of team c"})
    client.sys.create_or_update_policy("into-c", 'path "team-c/secret/*" { capabilities = ["read", "list"] }')
    client.sys.enable_auth_method("userpass", path="outer")
    client.auth.userpass.create_or_update_user("u", "pw", policies="into-c", mount_point="outer")
    world.plant("pw", password="pw")
    login = {"path": "outer", "username": "u", "secretRef": {"name": "pw", "key": "password"}}
    # "root" is the name of the outermost namespace; "" would mean the store's.
    adapter = await world.vault(namespace="team-c", auth={"namespace": "root", "userPass": login})
    assert await value(adapter, "db") == {"k": "of team c"}
    with pytest.raises(Denied):
        await value(await world.vault(namespace="team-c", auth={"userPass": login}), "db")


async def test_the_openbao_provider_reads_from_kv_by_default(bao: OpenBao, world: World) -> None:
    bao.client().sys.enable_secrets_engine("kv", path="kv", options={"version": "2"})
    put(bao, "db", {"k": "v"}, mount="kv")
    adapter = await world.openbao(path=None)
    assert await value(adapter, "db") == {"k": "v"}
    with pytest.raises(NotThere, match='did you mean "db"'):
        await value(adapter, "dbs")
