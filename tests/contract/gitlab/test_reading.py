"""Which variable a key gives: scopes, groups, kinds of variables."""

from __future__ import annotations

from typing import Any

import pytest

from keyferry.errors import BadSpec, BadValue, KeyferryError, NotThere
from keyferry.ports import Ref, Validation
from tests.contract.gitlab.world import World, value
from tests.sandbox.gitlab import LONGEST_VALUE


class TestScopes:
    async def test_the_environment_of_the_store_wins_over_all_environments(self, world: World) -> None:
        for scope in ("*", "production", "staging"):
            world.server.put(world.project, "DB", f"for {scope}", scope=scope)
        assert await value(await world.open(environment="production"), "DB") == "for production"
        assert await value(await world.open(environment="staging"), "DB") == "for staging"

    async def test_a_variable_for_all_environments_serves_where_there_is_none_for_one(self, world: World) -> None:
        world.server.put(world.project, "DB", "for all")
        world.server.put(world.project, "DB", "for staging", scope="staging")
        assert await value(await world.open(environment="production"), "DB") == "for all"

    async def test_the_environment_of_all_has_no_other_to_fall_back_on(self, world: World) -> None:
        world.server.put(world.project, "DB", "for staging", scope="staging")
        with pytest.raises(NotThere, match=r'does not exist for environment "\*": it does for "staging"'):
            await value(await world.open(environment="*"), "DB")

    async def test_a_pattern_counts_as_it_is_written(self, world: World) -> None:
        world.server.put(world.project, "DB", "for reviews", scope="review/*")
        assert await value(await world.open(environment="review/*"), "DB") == "for reviews"
        with pytest.raises(NotThere, match=r'it does for "review/\*"'):
            await value(await world.open(environment="review/a"), "DB")

    async def test_without_an_environment_the_only_variable_is_taken_whatever_its_scope(self, world: World) -> None:
        world.server.put(world.project, "DB", "for staging", scope="staging")
        assert await value(await world.open(), "DB") == "for staging"

    @pytest.mark.parametrize("others", [0, 500])
    async def test_without_an_environment_several_variables_are_told_apart_by_nobody(
        self, world: World, others: int
    ) -> None:
        fill(world, others)
        world.server.put(world.project, "DB", "a", scope="production")
        world.server.put(world.project, "DB", "b", scope="staging")
        with pytest.raises(BadSpec, match=r"exists for several environments.*set environment of the store"):
            await value(await world.open(), "DB")


class TestGroups:
    async def test_the_project_wins_over_groups_and_the_last_group_over_the_others(self, world: World) -> None:
        for place, key in [(world.project, "A"), (world.company, "A"), (world.company, "B"), (world.shop, "B")]:
            world.server.put(place, key, str(place))
        world.server.put(world.shop, "C", "shop")
        adapter = await world.open(groupIDs=[str(world.shop), str(world.company)])
        assert await value(adapter, "A") == str(world.project)
        assert await value(adapter, "B") == str(world.company)
        assert await value(adapter, "C") == "shop"

    async def test_inherited_groups_count_from_the_nearest_to_the_farthest(self, world: World) -> None:
        for place, key in [(world.company, "A"), (world.shop, "A"), (world.company, "B")]:
            world.server.put(place, key, str(place))
        adapter = await world.open(inheritFromGroups=True)
        assert await value(adapter, "A") == str(world.shop)
        assert await value(adapter, "B") == str(world.company)

    async def test_a_group_that_is_nearer_wins_even_with_a_variable_for_all_environments(self, world: World) -> None:
        world.server.put(world.shop, "A", "nearer")
        world.server.put(world.company, "A", "farther", scope="production")
        assert await value(await world.open(inheritFromGroups=True, environment="production"), "A") == "nearer"

    async def test_groups_can_be_read_without_a_project(self, world: World) -> None:
        world.server.put(world.shop, "A", "shop")
        adapter = await world.open(projectID=None, groupIDs=[str(world.shop)])
        assert await value(adapter, "A") == "shop"
        with pytest.raises(NotThere, match="does not exist in the groups"):
            await value(adapter, "B")

    async def test_projects_and_groups_can_be_named_by_their_paths(self, world: World) -> None:
        world.server.put(world.project, "A", "project")
        world.server.put(world.shop, "B", "shop")
        adapter = await world.open(projectID="company/shop/web", groupIDs=["company/shop"])
        assert (await value(adapter, "A"), await value(adapter, "B")) == ("project", "shop")
        assert await adapter.validate() is Validation.READY

    async def test_a_project_without_groups_inherits_nothing(self, world: World) -> None:
        lone = world.server.project("ann/notes")
        world.server.tokens[world.token].roles[lone] = "Maintainer"
        adapter = await world.open(projectID=str(lone), inheritFromGroups=True)
        with pytest.raises(NotThere):
            await value(adapter, "A")


class TestRequests:
    async def test_many_refs_take_one_request(self, world: World) -> None:
        for number in range(60):
            world.server.put(world.project, f"KEY_{number}", str(number))
        adapter = await world.open(inheritFromGroups=True, environment="production")
        answers = await adapter.read([Ref(f"KEY_{number}") for number in range(60)])
        assert not any(isinstance(answer, KeyferryError) for answer in answers.values())
        assert world.asked() == [f"/projects/{world.project}/variables"]

    async def test_groups_are_asked_only_for_what_is_still_missing(self, world: World) -> None:
        world.server.put(world.shop, "B", "shop")
        adapter = await world.open(inheritFromGroups=True)
        await value(adapter, "B")
        assert world.asked() == [
            f"/projects/{world.project}/variables",
            f"/projects/{world.project}/groups",
            f"/groups/{world.shop}/variables",
        ]

    async def test_a_few_refs_of_very_many_variables_are_read_one_by_one(self, world: World) -> None:
        fill(world, 1000)
        world.server.put(world.project, "DB", "for all")
        world.server.put(world.project, "NAME", "for production", scope="production")
        adapter = await world.open(environment="production")
        answers = await adapter.read([Ref("DB"), Ref("NAME"), Ref("NONE")])
        assert isinstance(answers[Ref("NONE")], NotThere)
        variables = f"/projects/{world.project}/variables"
        # The first page, then each for the environment, then those that are missing for all environments.
        assert sorted(world.asked()) == sorted(
            [variables, *[f"{variables}/{key}" for key in ("DB", "DB", "NAME", "NONE", "NONE")]]
        )
        assert await value(adapter, "DB") == "for all"
        assert await value(adapter, "NAME") == "for production"

    @pytest.mark.parametrize("without_totals", [False, True])
    async def test_many_refs_of_very_many_variables_are_all_found(self, world: World, without_totals: bool) -> None:
        fill(world, 450)
        world.server.without_totals = without_totals
        adapter = await world.open()
        refs = [Ref(f"FILL_{number:04}") for number in range(0, 450, 30)]
        answers = await adapter.read([*refs, Ref("NONE")])
        assert isinstance(answers[Ref("NONE")], NotThere)
        assert all(not isinstance(answers[ref], KeyferryError) for ref in refs)

    async def test_a_listing_that_changes_under_way_is_made_again(self, world: World) -> None:
        fill(world, 150)
        changes = iter(range(1))

        def change(page: int) -> None:
            if page == 2 and next(changes, None) is not None:
                world.server.delete(world.project, "FILL_0003")

        world.server.before_page = change
        adapter = await world.open()
        assert await value(adapter, "FILL_0100") == "0100"
        assert len(world.asked()) == 4

    async def test_a_listing_that_changes_again_and_again_says_nothing_of_absence(self, world: World) -> None:
        fill(world, 150)
        numbers = iter(range(1000))
        world.server.before_page = lambda page: world.server.put(world.project, f"NEW_{next(numbers)}", "x")
        with pytest.raises(KeyferryError, match="change while they are listed") as caught:
            await value(await world.open(), "NONE")
        assert not isinstance(caught.value, NotThere)


class TestVariables:
    async def test_hyphens_of_a_key_are_underscores(self, world: World) -> None:
        world.server.put(world.project, "db_password", "x")
        adapter = await world.open()
        assert await value(adapter, "db-password") == "x"
        with pytest.raises(NotThere, match=r'"db-passwor": variable "db_passwor".*did you mean "db_password"\?'):
            await value(adapter, "db-passwor")

    @pytest.mark.parametrize(
        "attributes", [{"variable_type": "file"}, {"protected": True}, {"masked": True}, {"raw": True}]
    )
    async def test_every_kind_of_variable_is_read_as_it_stands(self, world: World, attributes: dict[str, Any]) -> None:
        world.server.put(world.project, "A", "$HOME and\nmore ", **attributes)
        assert await value(await world.open(), "A") == "$HOME and\nmore "

    @pytest.mark.parametrize("others", [0, 500])
    async def test_a_hidden_variable_is_told_as_such(self, world: World, others: int) -> None:
        fill(world, others)
        world.server.put(world.project, "A", "canary", masked=True, hidden=True)
        with pytest.raises(BadValue, match="is hidden: GitLab keeps its value to itself"):
            await value(await world.open(), "A")

    async def test_the_longest_value_arrives_whole(self, world: World) -> None:
        world.server.put(world.project, "A", "ü" * LONGEST_VALUE)
        assert await value(await world.open(), "A") == "ü" * LONGEST_VALUE

    async def test_version_and_metadata_policy_are_not_looked_at(self, world: World) -> None:
        world.server.put(world.project, "A", "x")
        refs = [Ref("A", version="7"), Ref("A", metadata=True)]
        answers = await (await world.open()).read(refs)
        assert {ref: getattr(answer, "document", None) for ref, answer in answers.items()} == dict.fromkeys(refs, b"x")


def fill(world: World, count: int) -> None:
    """Variables that nobody asks for."""
    for number in range(count):
        world.server.put(world.project, f"FILL_{number:04}", f"{number:04}")
