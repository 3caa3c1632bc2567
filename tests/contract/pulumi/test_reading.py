"""What a key leads to, and how many requests that takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keyferry.errors import BadSpec, BadValue, KeyferryError, NotThere, PropertyNotThere
from keyferry.ports import Ref
from tests.contract.pulumi.world import World, text, value
from tests.sandbox.pulumi import Unknown

VALUES: dict[str, Any] = {
    "root": {
        "nested": "a",
        "list": [{"name": "first"}, ["x", "y"]],
        "key with a .": "dotted",
        'key with "quotes"': "quoted",
        "two words": "spaced",
        "größe": "groß",
    },
    "root key with a .": ["r0"],
}


class TestPaths:
    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("root.nested", "a"),
            ('root["nested"]', "a"),
            ('["root"].nested', "a"),
            ('["root"]["nested"]', "a"),
            ("root.list[0].name", "first"),
            ("root.list[1][1]", "y"),
            ('root["key with a ."]', "dotted"),
            (r'root["key with \"quotes\""]', "quoted"),
            ("root.two words", "spaced"),
            ("root.größe", "groß"),
            ('["root key with a ."][0]', "r0"),
            (".root..nested.", "a"),
        ],
    )
    async def test_a_path_leads_to_its_property(self, world: World, path: str, expected: str) -> None:
        world.put(**VALUES)
        assert await value(await world.open(), path) == expected

    @pytest.mark.parametrize("path", ["root[", "root[x]", 'root["a', 'root["a"', "root[-1]", "root[0]]["])
    async def test_what_is_no_path_is_told_with_its_rest(self, world: World, path: str) -> None:
        world.put(**VALUES)
        with pytest.raises(BadSpec, match=r"is no property path: .* cannot be read: write it like root\.list"):
            await value(await world.open(), path)

    @pytest.mark.parametrize("path", [".", "...", ""])
    async def test_a_path_that_names_nothing_is_not_the_whole_environment(self, world: World, path: str) -> None:
        world.put(**VALUES)
        with pytest.raises(BadSpec, match="names no property"):
            await value(await world.open(), path)

    @pytest.mark.parametrize(
        ("path", "hint"),
        [
            ("roott.nested", "did you mean root"),
            ("root.neste", r"did you mean root\.nested\?"),
            ("root.two word", r'did you mean root\["two words"\]\?'),
            ("root.list[7]", r"root\.list is a list of 2"),
            ("root.list.name", r"root\.list is a list of 2"),
            ("root.nested.more", r"root\.nested is neither a list nor an object"),
            ("root[0]", "does not exist$"),
        ],
    )
    async def test_a_property_that_is_missing_is_told_with_what_is_near(
        self, world: World, path: str, hint: str
    ) -> None:
        world.put(**VALUES)
        with pytest.raises(NotThere, match=f"does not exist.*{hint}" if "$" not in hint else hint):
            await value(await world.open(), path)

    async def test_a_star_is_left_to_pulumi(self, world: World) -> None:
        world.put(users=[{"name": "ann"}, {"name": "bob"}])
        adapter = await world.open()
        assert json.loads(await value(adapter, "users[*].name")) == ["ann", "bob"]
        with pytest.raises(BadSpec, match="selects no property"):
            await value(adapter, "users[*].mail")


class TestValues:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ("text\n", "text\n"),
            ("", ""),
            ("007", "007"),
            (True, "true"),
            (False, "false"),
            (None, ""),
            (42, "42"),
            (-1, "-1"),
            (12345678901234567890123, "12345678901234567890123"),
            (1.5, "1.5"),
            (1.0, "1"),
            (1e21, "1000000000000000000000"),
            (1.5e-7, "0.00000015"),
        ],
    )
    async def test_a_scalar_is_written_as_under_eso(self, world: World, given: object, expected: str) -> None:
        world.put(a=given)
        assert await value(await world.open(), "a") == expected

    async def test_what_is_composed_is_json_without_what_surrounds_its_values(self, world: World) -> None:
        given = {"b": [1, 2.5, {"c": None, "d": True}], "a": "ü", "big": 12345678901234567890123}
        world.put(a=given)
        got = await value(await world.open(), "a")
        assert got == '{"b":[1,2.5,{"c":null,"d":true}],"a":"ü","big":12345678901234567890123}'

    async def test_a_value_that_could_not_be_evaluated_is_an_error(self, world: World) -> None:
        world.put(a=Unknown, b={"c": Unknown, "d": "x"})
        adapter = await world.open()
        for path in ("a", "b", "b.c"):
            with pytest.raises(BadValue, match="has no value: Pulumi could not evaluate it"):
                await value(adapter, path)
        assert await value(adapter, "b.d") == "x"

    async def test_an_environment_without_values_has_no_properties(self, world: World) -> None:
        world.put()
        with pytest.raises(NotThere):
            await value(await world.open(), "a")

    async def test_the_metadata_policy_is_not_looked_at(self, world: World) -> None:
        world.put(a="x")
        ref = Ref("a", metadata=True)
        assert text((await (await world.open()).read([ref]))[ref]) == "x"


class TestVersions:
    async def test_a_version_is_the_number_of_a_revision_or_a_tag(self, world: World) -> None:
        world.put(a="first")
        world.server.put("acme/shop/prod", {"a": "second"}, tag="stable")
        world.put(a="third")
        adapter = await world.open()
        refs = [Ref("a"), Ref("a", "1"), Ref("a", "stable")]
        answers = await adapter.read(refs)
        assert [text(answers[ref]) for ref in refs] == ["third", "first", "second"]

    @pytest.mark.parametrize("version", ["7", "old", "../../x"])
    async def test_a_version_that_does_not_exist_is_no_absence(self, world: World, version: str) -> None:
        world.put(a="x")
        with pytest.raises(PropertyNotThere, match=f'environment "acme/shop/prod" has no version "{version}"'):
            await value(await world.open(), "a", version)


class TestRequests:
    async def test_an_environment_is_opened_once_for_all_keys(self, world: World) -> None:
        world.put(**{f"key{number}": str(number) for number in range(50)})
        adapter = await world.open()
        answers = await adapter.read([Ref(f"key{number}") for number in range(50)])
        assert not any(isinstance(answer, KeyferryError) for answer in answers.values())
        opened, read = world.server.requests
        assert opened == "POST /api/esc/environments/acme/shop/prod/open?duration=15m"
        assert read.startswith("GET /api/esc/environments/acme/shop/prod/open/")

    async def test_every_read_sees_what_is_there_by_then(self, world: World) -> None:
        adapter = await world.open()
        for given in ("first", "second"):
            world.put(a=given)
            assert await value(adapter, "a") == given

    async def test_names_cannot_lead_to_another_path(self, world: World) -> None:
        adapter = await world.open(project="..", environment="a/b?c")
        with pytest.raises(KeyferryError):
            await value(adapter, "a")
        assert world.server.requests == ["POST /api/esc/environments/acme/%2E%2E/a%2Fb%3Fc/open?duration=15m"]
