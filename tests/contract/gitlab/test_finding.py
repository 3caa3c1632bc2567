"""What a search finds: the rules of ESO, duplicate keys included."""

from __future__ import annotations

from typing import Any

import pytest

from keyferry.errors import BadSpec
from keyferry.ports import Query
from tests.contract.gitlab.world import World, found


async def test_keys_are_searched_in_project_and_groups(world: World) -> None:
    for place, key in [(world.project, "PROD_A"), (world.shop, "PROD_B"), (world.company, "PROD_C")]:
        world.server.put(place, key, key.lower())
    world.server.put(world.project, "OTHER", "x")
    adapter = await world.open(inheritFromGroups=True)
    assert await found(adapter, "^PROD_") == {"PROD_A": "prod_a", "PROD_B": "prod_b", "PROD_C": "prod_c"}


async def test_every_page_is_searched(world: World) -> None:
    for number in range(505):
        world.server.put(world.project, f"KEY_{number}", str(number))
    for without_totals in (False, True):
        world.server.without_totals = without_totals
        assert len(await found(await world.open(), "^KEY")) == 505


async def test_the_environment_of_the_store_limits_a_search(world: World) -> None:
    world.server.put(world.project, "A", "for staging", scope="staging")
    world.server.put(world.project, "A", "for all")
    world.server.put(world.project, "B", "for all")
    world.server.put(world.project, "C", "for production", scope="production")
    assert await found(await world.open(environment="staging")) == {"A": "for staging", "B": "for all"}


async def test_a_tag_names_the_environment_where_the_store_does_not(world: World) -> None:
    world.server.put(world.project, "A", "for staging", scope="staging")
    world.server.put(world.project, "B", "for production", scope="production")
    tags = (("environment_scope", "staging"),)
    assert await found(await world.open(), tags=tags) == {"A": "for staging"}
    assert await found(await world.open(environment="*"), tags=tags) == {"A": "for staging"}
    with pytest.raises(BadSpec, match='the store reads environment "production" already'):
        await found(await world.open(environment="production"), tags=tags)


@pytest.mark.parametrize("environment", [None, "*"])
async def test_without_an_environment_variables_for_any_one_are_found(world: World, environment: str | None) -> None:
    world.server.put(world.project, "A", "for all")
    world.server.put(world.project, "A", "for staging", scope="staging")
    world.server.put(world.project, "B", "for production", scope="production")
    adapter = await world.open(environment=environment)
    assert await found(adapter) == {"A": "for staging", "B": "for production"}


async def test_a_project_wins_over_groups_whatever_the_scopes(world: World) -> None:
    world.server.put(world.project, "A", "of the project")
    world.server.put(world.shop, "A", "of the group", scope="production")
    adapter = await world.open(inheritFromGroups=True, environment="production")
    assert await found(adapter) == {"A": "of the project"}


async def test_of_groups_the_last_one_for_the_environment_wins_or_else_the_first_one_for_all(world: World) -> None:
    world.server.put(world.company, "A", "company")
    world.server.put(world.shop, "A", "shop")
    world.server.put(world.company, "B", "company", scope="production")
    world.server.put(world.shop, "B", "shop", scope="production")
    world.server.put(world.company, "C", "company", scope="production")
    world.server.put(world.shop, "C", "shop")
    adapter = await world.open(inheritFromGroups=True, environment="production")
    assert await found(adapter) == {"A": "company", "B": "shop", "C": "company"}


async def test_a_hidden_variable_is_found_as_an_empty_value(world: World) -> None:
    world.server.put(world.project, "A", "canary", masked=True, hidden=True)
    assert await found(await world.open()) == {"A": ""}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"path": "a", "name": "."}, "find.path: GitLab keeps variables in no folders"),
        ({"tags": (("environment_scope", "x"),)}, r"find.name is missing: set find\.name\.regexp"),
        ({"name": ".", "tags": (("team", "red"),)}, "find.tags: GitLab knows environment_scope only"),
    ],
)
async def test_what_cannot_be_searched_by_is_told(world: World, query: dict[str, Any], message: str) -> None:
    with pytest.raises(BadSpec, match=message):
        await (await world.open()).find(Query(**query))
