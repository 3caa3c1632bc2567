"""``dataFrom.find``: names, labels, paths; what Google filters, and what is filtered again here."""

from __future__ import annotations

import pytest
import re2

from keyferry.errors import BadSpec, Denied
from keyferry.ports import Query, Ref
from tests.contract.gcpsm.support import World, keyed
from tests.sandbox.gcp import NUMBER, PROJECT, REGION
from tests.sandbox.gcp.store import READER as MAY_READ


@pytest.fixture(autouse=True)
def _key(world: World) -> None:
    world.plant_key()


def named(pattern: str, path: str | None = None, tags: tuple[tuple[str, str], ...] | None = None) -> Query:
    compiled = re2.compile(pattern)
    return Query(path=path, name=pattern, tags=tags, matches=lambda name: bool(compiled.search(name)))


def filters(world: World) -> list[str]:
    """The filters that Google was sent."""
    return world.gcp.rpcs.filters


async def test_a_search_gives_names_and_refs_and_reads_no_value(world: World) -> None:
    for name in ("db-user", "db-password", "web"):
        world.put(name)
    found = await (await world.open()).find(named("^db-"))
    assert found == {"db-password": Ref("db-password"), "db-user": Ref("db-user")}
    assert world.gcp.rpcs.calls == {"ListSecrets": 1}


async def test_a_listing_is_followed_to_its_last_page(world: World) -> None:
    for number in range(250):
        world.put(f"key-{number:03}")
    assert len(await (await world.open()).find(named("."))) == 250
    assert world.gcp.rpcs.calls == {"ListSecrets": 3}
    assert world.calls.counts == {("ListSecrets", "success"): 3}


async def test_a_path_is_how_names_begin_though_google_finds_it_anywhere(world: World) -> None:
    for name in ("shop-db", "old-shop-db", "SHOP-db"):
        world.put(name)
    assert set(await (await world.open()).find(named("db", path="shop"))) == {"shop-db"}
    assert filters(world) == ["name:shop"]


async def test_a_path_limits_a_search_by_labels_too(world: World) -> None:
    world.put("shop-db", labels={"team": "red"})
    world.put("web-db", labels={"team": "red"})
    found = await (await world.open()).find(Query(path="shop", tags=(("team", "red"),)))
    assert set(found) == {"shop-db"}
    assert filters(world) == ["labels.team=red AND name:shop"]


async def test_where_a_name_is_asked_for_labels_are_not_looked_at_as_in_eso(world: World) -> None:
    world.put("db", labels={"team": "red"})
    assert set(await (await world.open()).find(named("db", tags=(("team", "blue"),)))) == {"db"}


async def test_regional_secrets_are_found_by_labels_in_their_region_only(world: World) -> None:
    world.put("everywhere", labels={"team": "red"})
    world.gcp.store.put(f"projects/{PROJECT}/locations/{REGION}/secrets/here", b"v", labels={"team": "red"})
    red = Query(tags=(("team", "red"),))
    assert set(await (await world.open(location=REGION)).find(red)) == {"here"}
    assert set(await (await world.open()).find(red)) == {"everywhere"}


@pytest.mark.parametrize(
    ("key", "wanted"),
    [("größe", "zwölf"), ("team", ""), ("team", "a b"), ("team", 'x" OR name:"'), ("a b", "c"), ("team=red", "x")],
)
async def test_labels_that_do_not_fit_into_a_filter_are_compared_here(world: World, key: str, wanted: str) -> None:
    world.put("db", labels={key: wanted})
    world.put("other", labels={"team": "red"})
    assert set(await (await world.open()).find(Query(tags=((key, wanted),)))) == {"db"}


@pytest.mark.parametrize("path", ['x" OR name:"', "a b", "/", "a.b"])
async def test_a_path_that_no_name_can_have_finds_nothing(world: World, path: str) -> None:
    world.put("db")
    assert await (await world.open()).find(named(".", path=path)) == {}
    assert filters(world) == [""]


@pytest.mark.parametrize("query", [Query(), Query(path="shop"), Query(tags=())])
async def test_a_search_for_nothing_in_particular_is_refused_as_in_eso(world: World, query: Query) -> None:
    with pytest.raises(BadSpec):
        await (await world.open()).find(query)


async def test_a_search_in_a_project_that_does_not_exist_deletes_nothing(world: World) -> None:
    with pytest.raises(BadSpec) as caught:
        await (await world.open(projectID="nowhere")).find(named("."))
    assert str(caught.value) == 'project "nowhere" does not exist, or may not be used: check projectID'


async def test_a_search_without_the_right_to_list_names_the_role(world: World) -> None:
    world.plant_key("narrow", permissions=MAY_READ)
    with pytest.raises(Denied) as caught:
        await (await world.open(keyed("narrow"))).find(named("."))
    assert str(caught.value) == (
        'Google does not permit to list secrets in project "shop": '
        "grant roles/secretmanager.viewer to narrow@shop.iam.gserviceaccount.com"
    )


async def test_a_name_is_told_without_the_projects_number(world: World) -> None:
    world.put("db")
    (name,) = await (await world.open()).find(named("."))
    assert NUMBER not in name
