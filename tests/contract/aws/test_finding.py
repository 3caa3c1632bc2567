"""Searching both services, by names and by tags."""

from __future__ import annotations

import re

import pytest

from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, Unreachable
from keyferry.ports import Fetched, Query, Ref
from keyferry.providers.aws import Aws
from tests.contract.aws.support import MANAGER, STORE, World, content
from tests.sandbox.aws import Reply

BOTH = pytest.mark.parametrize("service", [MANAGER, STORE])


def named(pattern: str, path: str | None = None, **tags: str) -> Query:
    compiled = re.compile(pattern)
    found = tuple(tags.items()) or None
    return Query(path=path, name=pattern, tags=found, matches=lambda name: bool(compiled.search(name)))


def tagged(path: str | None = None, **tags: str) -> Query:
    return Query(path=path, tags=tuple(tags.items()))


def put(world: World, service: str, name: str, **tags: str) -> None:
    """A thing whose value is its name."""
    if service == MANAGER:
        world.aws.put_secret(world.account, name, name, tags=tags)
    else:
        world.aws.put_parameter(world.account, name, name, tags=tags)


async def found_by(adapter: Aws, query: Query) -> dict[str, bytes]:
    """Names and values, whether or not the listing brought the values along."""
    found = await adapter.find(query)
    read = await adapter.read([ref for ref in found.values() if isinstance(ref, Ref)])
    return {name: content(read[item] if isinstance(item, Ref) else item) for name, item in found.items()}


@BOTH
async def test_a_path_limits_a_search_by_name_and_names_stay_whole(world: World, service: str) -> None:
    for name in ("/red/db", "/red/web", "/blue/db"):
        put(world, service, name)
    adapter = await world.open(service)
    assert await found_by(adapter, named("db$", "/red")) == {"/red/db": b"/red/db"}
    assert await found_by(adapter, named("", "/red")) == {"/red/db": b"/red/db", "/red/web": b"/red/web"}
    assert await found_by(adapter, named("^/blue")) == {"/blue/db": b"/blue/db"}


@BOTH
async def test_a_prefix_does_not_get_in_the_way_of_what_was_found(world: World, service: str) -> None:
    for name in ("/red/db", "/blue/db"):
        put(world, service, name, team="x")
    adapter = await world.open(service, prefix="/red/")
    whole = {"/red/db": b"/red/db", "/blue/db": b"/blue/db"}
    assert await found_by(adapter, named("db")) == whole
    assert await found_by(adapter, tagged(team="x")) == whole


@BOTH
async def test_a_tag_is_a_pair(world: World, service: str) -> None:
    put(world, service, "/a", team="red", owner="blue")
    put(world, service, "/b", team="blue", owner="red")
    put(world, service, "/c", team="redder")
    adapter = await world.open(service)
    assert await found_by(adapter, tagged(team="red")) == {"/a": b"/a"}
    assert await found_by(adapter, tagged(team="blue", owner="red")) == {"/b": b"/b"}
    assert await found_by(adapter, tagged("/b", team="blue")) == ({"/b": b"/b"} if service == MANAGER else {})


async def test_any_number_of_tags_of_any_form_can_be_asked_of_secrets(world: World) -> None:
    tags = {f"key-{number}": f"value-{number}" for number in range(7)} | {"odd": "ä!(*)", "!no": "!yes", "empty": ""}
    put(world, MANAGER, "a", **tags)
    put(world, MANAGER, "b", **(tags | {"odd": "ä"}))
    assert set(await (await world.open()).find(tagged(**tags))) == {"a"}


async def test_secrets_are_found_by_name_and_tags_together(world: World) -> None:
    put(world, MANAGER, "red-db", team="red")
    put(world, MANAGER, "red-web", team="red")
    put(world, MANAGER, "blue-db", team="blue")
    assert set(await (await world.open()).find(named("db", team="red"))) == {"red-db"}


async def test_tags_are_not_looked_at_where_parameters_are_asked_for_by_name(world: World) -> None:
    put(world, STORE, "/red/db", team="red")
    put(world, STORE, "/blue/db", team="blue")
    assert set(await (await world.open(STORE)).find(named("db", team="red"))) == {"/red/db", "/blue/db"}


async def test_500_secrets_found_by_name_cost_a_call_per_100_and_one_per_20_to_read(world: World) -> None:
    for number in range(500):
        put(world, MANAGER, f"app-{number:03}")
    found = await found_by(await world.open(), named(r"^app-\d+$"))
    assert len(found) == 500
    assert all(name.encode() == value for name, value in found.items())
    # moto says that there is more behind a page that is just full.
    assert world.asked() in ({"ListSecrets": calls, "BatchGetSecretValue": 25} for calls in (5, 6))


async def test_parameters_found_by_name_come_with_their_values_10_at_a_time(world: World) -> None:
    for number in range(45):
        put(world, STORE, f"/app/{number}")
    found = await (await world.open(STORE)).find(named(""))
    assert {type(each) for each in found.values()} == {Fetched}
    assert len(found) == 45
    assert world.asked() == {"GetParametersByPath": 5}


async def test_parameters_found_by_tags_are_read_10_at_a_time(world: World) -> None:
    for number in range(30):
        put(world, STORE, f"/app/{number}", team="red")
    assert len(await found_by(await world.open(STORE), tagged(team="red"))) == 30
    asked = world.asked()
    assert asked.pop("GetParameters") == 3
    assert asked.keys() == {"DescribeParameters"}


async def test_where_paths_are_denied_parameters_are_described_and_read_in_batches(world: World) -> None:
    for number in range(30):
        put(world, STORE, f"/app/{number:02}")
    world.rights.deny.append(("ssm:GetParametersByPath", "*"))
    adapter = await world.open(STORE)
    for first in (1, 0):
        assert len(await found_by(adapter, named(r"/app/\d+"))) == 30
        asked = world.asked()
        assert asked.get("GetParametersByPath", 0) == first
        assert asked["GetParameters"] == 3
        assert "GetParameter" not in asked


async def test_where_both_ways_to_parameters_are_denied_the_better_one_is_asked_for(world: World) -> None:
    world.rights.allow.clear()
    adapter = await world.open(STORE)
    for _ in range(2):
        with pytest.raises(Denied) as caught:
            await adapter.find(named("db"))
        assert str(caught.value) == (
            'Parameter Store in eu-central-1 does not permit to list parameters below "/": no identity-based policy '
            f"allows it: allow ssm:GetParametersByPath to arn:aws:iam::{world.account}:user/reader"
        )
        assert world.asked() == {"GetParametersByPath": 1, "DescribeParameters": 1}


async def test_secrets_scheduled_for_deletion_are_not_found(world: World) -> None:
    put(world, MANAGER, "db")
    put(world, MANAGER, "old-db")
    world.aws.admin(world.account, "secretsmanager", "DeleteSecret", SecretId="old-db")
    assert set(await (await world.open()).find(named("db"))) == {"db"}


@BOTH
async def test_asking_for_nothing_is_refused(world: World, service: str) -> None:
    adapter = await world.open(service)
    for query in (Query(), Query(path="/app"), Query(tags=())):
        with pytest.raises(BadSpec, match=r"set find\.name or find\.tags"):
            await adapter.find(query)
    assert world.asked() == {}


async def test_a_path_that_aws_does_not_take_is_told_with_the_remedy(world: World) -> None:
    refused = Reply(400, {"__type": "ValidationException", "message": "must begin with a forward slash"})
    world.aws.scripts[world.account, "GetParametersByPath"] = lambda _: refused
    with pytest.raises(BadSpec) as caught:
        await (await world.open(STORE)).find(named("db", "red"))
    assert str(caught.value) == (
        'Parameter Store in eu-central-1 cannot list parameters below "red" (Validation): '
        "check find.path: it begins with a slash"
    )


@pytest.mark.parametrize(
    ("service", "call", "good"),
    [
        (MANAGER, "ListSecrets", {"SecretList": [{"Name": "db", "ARN": "arn:x"}]}),
        (STORE, "GetParametersByPath", {"Parameters": [{"Name": "db", "Value": "v"}]}),
        (STORE, "DescribeParameters", {"Parameters": [{"Name": "db"}]}),
    ],
)
class TestOddAnswers:
    async def test_what_is_no_listing_is_no_empty_one(
        self, world: World, service: str, call: str, good: dict[str, object]
    ) -> None:
        adapter = await world.open(service)
        (items,) = good
        query = tagged(a="b") if call == "DescribeParameters" else named("")
        values: list[object] = [None, [{}], [{"Name": 7}], [7], "x"]
        bodies = [{items: each} for each in values]
        for body in ({}, *bodies):
            reply = Reply(200, body)
            world.aws.scripts[world.account, call] = lambda _, reply=reply: reply  # type: ignore[misc] # bound
            with pytest.raises(Unreachable, match="does not answer as AWS does"):
                await adapter.find(query)

    async def test_pages_that_never_end_are_given_up(
        self, world: World, service: str, call: str, good: dict[str, object]
    ) -> None:
        world.aws.scripts[world.account, call] = lambda _: Reply(200, {**good, "NextToken": "again"})
        with pytest.raises(Unreachable):
            await (await world.open(service)).find(tagged(a="b") if call == "DescribeParameters" else named(""))
        assert world.asked() == {call: 2}

    @pytest.mark.parametrize(("code", "kind"), [("ThrottlingException", Busy), ("InternalServerError", Unreachable)])
    async def test_a_listing_that_fails_in_the_middle_fails_as_a_whole(
        self,
        world: World,
        service: str,
        call: str,
        good: dict[str, object],
        code: str,
        kind: type[KeyferryError],
    ) -> None:
        world.aws.scripts[world.account, call] = lambda asked: (
            Reply(400, {"__type": code}) if "NextToken" in asked else Reply(200, {**good, "NextToken": "2"})
        )
        with pytest.raises(kind):
            await (await world.open(service)).find(tagged(a="b") if call == "DescribeParameters" else named(""))
