from __future__ import annotations

import re
from typing import Any

import pytest

from keyferry.errors import BadSpec, Denied, NotThere
from keyferry.ports import Fetched, Query, Ref
from tests.contract.vault.support import World, value
from tests.sandbox.openbao import OpenBao


@pytest.fixture
def mount(bao: OpenBao, request: pytest.FixtureRequest) -> str:
    """A KV v2 mount for this test alone."""
    path = re.sub(r"\W", "-", request.node.name)[:60]
    bao.client().sys.enable_secrets_engine("kv", path=path, options={"version": "2"})
    return str(path)


def put(bao: OpenBao, mount: str, *keys: str, **tags: str) -> None:
    kv = bao.client().secrets.kv.v2
    for key in keys:
        kv.create_or_update_secret(key, {"key": key}, mount_point=mount)
        if tags:
            kv.update_metadata(key, mount_point=mount, custom_metadata=tags)


def named(pattern: str, **more: Any) -> Query:
    return Query(name=pattern, matches=lambda name: re.search(pattern, name) is not None, **more)


async def test_names_are_searched_below_every_folder(bao: OpenBao, world: World, mount: str) -> None:
    put(bao, mount, "db", "app/db", "app/deep/er/db", "app/web")
    found = await (await world.vault(path=mount)).find(named("db$"))
    assert found == {key: Ref(key) for key in ("app/db", "app/deep/er/db", "db")}


async def test_the_pattern_sees_the_whole_path(bao: OpenBao, world: World, mount: str) -> None:
    put(bao, mount, "db", "app/db")
    assert list(await (await world.vault(path=mount)).find(named("^app/"))) == ["app/db"]


@pytest.mark.parametrize("path", ["app", "app/", "/app"])
async def test_a_path_narrows_the_search_and_stays_in_the_names(
    bao: OpenBao, world: World, mount: str, path: str
) -> None:
    put(bao, mount, "db", "app/db", "app/deep/db")
    assert list(await (await world.vault(path=mount)).find(named("db", path=path))) == ["app/db", "app/deep/db"]


async def test_without_name_and_tags_everything_is_found(bao: OpenBao, world: World, mount: str) -> None:
    put(bao, mount, "a", "b/c")
    assert list(await (await world.vault(path=mount)).find(Query())) == ["a", "b/c"]


async def test_what_is_found_can_be_read_even_where_its_path_repeats_the_mount(
    bao: OpenBao, world: World, mount: str
) -> None:
    put(bao, mount, "db", f"{mount}/db", f"{mount}/data/db", "data/db", "odd ?/#1")
    adapter = await world.vault(path=mount)
    found = await adapter.find(Query())
    assert len(found) == 5
    for name, ref in found.items():
        assert isinstance(ref, Ref)
        assert await value(adapter, ref.key) == {"key": name}


async def test_tags_are_custom_metadata_and_all_must_fit(bao: OpenBao, world: World, mount: str) -> None:
    put(bao, mount, "one", team="a", stage="prod")
    put(bao, mount, "deep/two", team="a", stage="test")
    put(bao, mount, "three")
    adapter = await world.vault(path=mount)
    assert list(await adapter.find(Query(tags=(("team", "a"),)))) == ["deep/two", "one"]
    assert list(await adapter.find(Query(tags=(("team", "a"), ("stage", "prod"))))) == ["one"]
    assert list(await adapter.find(Query(tags=(("team", "b"),)))) == []


async def test_a_name_wins_over_tags(bao: OpenBao, world: World, mount: str) -> None:
    put(bao, mount, "one", team="a")
    put(bao, mount, "two", team="b")
    found = await (await world.vault(path=mount)).find(named("two", tags=(("team", "a"),)))
    assert list(found) == ["two"]


async def test_a_deleted_secret_is_listed_and_not_there_when_read(bao: OpenBao, world: World, mount: str) -> None:
    put(bao, mount, "alive", "dead")
    bao.client().secrets.kv.v2.delete_latest_version_of_secret("dead", mount_point=mount)
    adapter = await world.vault(path=mount)
    found = await adapter.find(Query())
    assert set(found) == {"alive", "dead"}
    answers = await adapter.read([ref for ref in found.values() if isinstance(ref, Ref)])
    assert isinstance(answers[Ref("alive")], Fetched)
    assert isinstance(answers[Ref("dead")], NotThere)


async def test_an_empty_folder_is_not_there(world: World, mount: str) -> None:
    adapter = await world.vault(path=mount)
    with pytest.raises(NotThere, match=f'mount "{mount}" holds no secrets'):
        await adapter.find(Query())
    with pytest.raises(NotThere, match='folder "none" holds no secrets'):
        await adapter.find(Query(path="none"))


async def test_a_folder_that_may_not_be_listed_is_named(bao: OpenBao, world: World, mount: str) -> None:
    put(bao, mount, "open/a", "closed/b")
    client = bao.client()
    rules = [(f"{mount}/metadata/*", "list"), (f"{mount}/metadata/closed/*", "deny"), (f"{mount}/metadata/", "list")]
    client.sys.create_or_update_policy(
        mount, "\n".join(f'path "{path}" {{ capabilities = ["{what}"] }}' for path, what in rules)
    )
    world.plant("some", token=client.auth.token.create(policies=[mount])["auth"]["client_token"])
    adapter = await world.vault(path=mount, auth={"tokenSecretRef": {"name": "some", "key": "token"}})
    with pytest.raises(Denied, match=f'list folder "{mount}/metadata/closed"'):
        await adapter.find(Query())
    assert list(await adapter.find(Query(path="open"))) == ["open/a"]


async def test_five_hundred_secrets_are_found_and_read(bao: OpenBao, world: World, mount: str) -> None:
    put(bao, mount, *(f"team-{number % 10}/app-{number}" for number in range(500)))
    adapter = await world.vault(path=mount)
    found = await adapter.find(named("app-"))
    assert len(found) == 500
    assert world.made("ListSecrets") == 11
    answers = await adapter.read([ref for ref in found.values() if isinstance(ref, Ref)])
    assert all(isinstance(answer, Fetched) for answer in answers.values())
    assert world.made("ReadSecretData") == 500


async def test_kv_v1_is_searched_by_name_only(bao: OpenBao, world: World) -> None:
    client = bao.client()
    client.sys.enable_secrets_engine("kv", path="find-v1", options={"version": "1"})
    for key in ("a", "deep/b"):
        client.secrets.kv.v1.create_or_update_secret(key, {"k": "v"}, mount_point="find-v1")
    adapter = await world.vault(path="find-v1", version="v1")
    assert list(await adapter.find(named("."))) == ["a", "deep/b"]
    with pytest.raises(BadSpec, match=r"find\.tags: KV v1"):
        await adapter.find(Query(tags=(("a", "b"),)))


@pytest.mark.parametrize("form", ["{mount}/app", "{mount}/data/app", "{mount}/metadata/app"])
async def test_without_a_mount_the_path_begins_with_it(bao: OpenBao, world: World, mount: str, form: str) -> None:
    put(bao, mount, "app/db")
    adapter = await world.vault(path=None)
    path = form.format(mount=mount)
    found = await adapter.find(named("db", path=path))
    assert list(found) == [f"{path}/db"]
    ref = found[f"{path}/db"]
    assert isinstance(ref, Ref)
    assert await value(adapter, ref.key) == {"key": "app/db"}


async def test_without_a_mount_and_a_path_there_is_nowhere_to_look(world: World) -> None:
    with pytest.raises(BadSpec, match=r"set path of the store, or find\.path"):
        await (await world.vault(path=None)).find(Query())


async def test_the_openbao_provider_searches_one_folder(bao: OpenBao, world: World, mount: str) -> None:
    put(bao, mount, "db", "app/db", "app/web", "app/deep/db")
    adapter = await world.openbao(path=mount)
    assert await adapter.find(named("db")) == {"db": Ref("db")}
    for path in ("app", "/app/"):
        assert await adapter.find(named("db", path=path)) == {"db": Ref("app/db")}
    assert await adapter.find(named("db", path="none")) == {}
    with pytest.raises(BadSpec, match="not served by the openBao provider"):
        await adapter.find(Query(tags=(("a", "b"),)))
