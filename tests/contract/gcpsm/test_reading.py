"""What a ref of the manifest gives, where Google's ways differ from other stores'."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from keyferry.errors import BadSpec, Denied, KeyferryError, NotThere, PropertyNotThere
from keyferry.ports import Fetched, Ref
from keyferry.providers.gcpsm import Gcpsm
from keyferry.shape import extract
from tests.contract.gcpsm.support import World, keyed, read, value
from tests.sandbox.gcp import NUMBER, PROJECT, REGION
from tests.sandbox.gcp.store import READER as MAY_READ

LATEST_OR_FETCH = {"secretVersionSelectionPolicy": "LatestOrFetch"}


@pytest.fixture(autouse=True)
def _key(world: World) -> None:
    world.plant_key()


def turn(world: World, key: str, number: int, state: str) -> None:
    """Change the state of a version."""
    world.gcp.store.secrets[f"projects/{NUMBER}/secrets/{key}"].versions[number - 1].state = state


async def test_a_value_comes_with_the_number_of_its_version(world: World) -> None:
    world.put("db", b"first")
    world.put("db", b"second")
    newest, pinned = await read(await world.open(), Ref("db"), Ref("db", "1"))
    assert isinstance(newest, Fetched)
    assert isinstance(pinned, Fetched)
    assert (newest.document, newest.version) == (b"second", "2")
    assert (pinned.document, pinned.version) == (b"first", "1")


async def test_a_version_can_be_named_by_its_alias(world: World) -> None:
    world.put("db", b"first")
    world.put("db", b"second")
    world.gcp.store.secrets[f"projects/{NUMBER}/secrets/db"].aliases["stable"] = 1
    assert await value(await world.open(), "db", "stable") == b"first"


async def test_the_largest_value_that_google_takes_arrives_whole(world: World) -> None:
    largest = os.urandom(64 * 1024)
    world.put("db", largest)
    assert await value(await world.open(), "db") == largest


async def test_a_project_may_be_named_by_its_number(world: World) -> None:
    world.put("db", b"value")
    assert await value(await world.open(projectID=NUMBER), "db") == b"value"


async def test_a_regional_secret_is_read_from_its_regions_own_endpoint(world: World) -> None:
    world.put("db", b"global")
    world.gcp.store.put(f"projects/{PROJECT}/locations/{REGION}/secrets/db", b"regional")
    assert await value(await world.open(location=REGION), "db") == b"regional"
    assert (world.gcp.regional.connections, world.gcp.front.connections) == (1, 0)
    assert world.gcp.rpcs.seen[-1].resource == f"projects/{PROJECT}/locations/{REGION}/secrets/db/versions/latest"


async def test_many_refs_take_one_login_one_connection_and_one_call_each(world: World) -> None:
    for number in range(200):
        world.put(f"key-{number}", str(number).encode())
    refs = [Ref(f"key-{number}") for number in range(200)]
    adapter = await world.open()
    found = await adapter.read([*refs, *refs])
    assert [answer.document for answer in found.values() if isinstance(answer, Fetched)] == [
        str(number).encode() for number in range(200)
    ]
    assert world.gcp.rpcs.calls == {"AccessSecretVersion": 200}
    assert world.gcp.identity.calls == {"/token": 1}
    assert world.gcp.front.connections == 1
    assert world.calls.counts == {("AccessSecretVersion", "success"): 200}


async def test_a_secret_without_versions_is_not_there(world: World) -> None:
    world.put("db")
    world.gcp.store.secrets[f"projects/{NUMBER}/secrets/db"].versions.clear()
    with pytest.raises(NotThere):
        await value(await world.open(), "db")


async def test_a_version_that_never_was_is_an_error_and_no_absent_secret(world: World) -> None:
    world.put("db")
    with pytest.raises(PropertyNotThere) as caught:
        await value(await world.open(), "db", "7")
    assert str(caught.value) == 'secret "db" has no version 7: give a number or alias that it has'


@pytest.mark.parametrize("version", ["9" * 64, "a/b", "1 2", "latest?"])
async def test_a_version_that_cannot_be_one_is_refused_before_google_is_asked(world: World, version: str) -> None:
    with pytest.raises(BadSpec):
        await value(await world.open(), "db", version)
    assert not world.gcp.rpcs.calls


class TestWhatIsSwitchedOff:
    @pytest.fixture(autouse=True)
    def _versions(self, world: World) -> None:
        for content in (b"first", b"second", b"third", b"fourth"):
            world.put("db", content)

    @pytest.mark.parametrize("state", ["DISABLED", "DESTROYED"])
    @pytest.mark.parametrize("policy", [None, "LatestOrFail"])
    async def test_a_newest_version_that_is_off_is_told_with_the_policy_that_would_help(
        self, world: World, state: str, policy: str | None
    ) -> None:
        turn(world, "db", 4, state)
        with pytest.raises(PropertyNotThere) as caught:
            await value(await world.open(secretVersionSelectionPolicy=policy), "db")
        assert f'version latest of secret "db" is {state.lower()}' in str(caught.value)
        assert "LatestOrFetch" in str(caught.value)
        assert world.gcp.rpcs.calls == {"AccessSecretVersion": 1}

    @pytest.mark.parametrize("asked", ["", "latest"])
    async def test_the_newest_enabled_version_stands_in_where_the_policy_says_so(
        self, world: World, asked: str
    ) -> None:
        turn(world, "db", 4, "DISABLED")
        turn(world, "db", 3, "DESTROYED")
        (found,) = await read(await world.open(**LATEST_OR_FETCH), Ref("db", asked))
        assert isinstance(found, Fetched)
        assert (found.document, found.version) == (b"second", "2")
        assert world.gcp.rpcs.calls == {"AccessSecretVersion": 2, "ListSecretVersions": 1}

    async def test_a_pinned_version_that_is_off_is_told_whatever_the_policy(self, world: World) -> None:
        turn(world, "db", 2, "DISABLED")
        with pytest.raises(PropertyNotThere) as caught:
            await value(await world.open(**LATEST_OR_FETCH), "db", "2")
        assert str(caught.value) == 'version 2 of secret "db" is disabled: enable it, or ask for another one'

    async def test_a_secret_with_nothing_enabled_says_so(self, world: World) -> None:
        for number in range(1, 5):
            turn(world, "db", number, "DISABLED")
        with pytest.raises(PropertyNotThere) as caught:
            await value(await world.open(**LATEST_OR_FETCH), "db")
        assert str(caught.value) == 'secret "db" has no enabled version: enable one, or add one'

    async def test_the_policy_needs_the_right_to_list_versions_and_says_which_role_has_it(self, world: World) -> None:
        world.plant_key("narrow", permissions=MAY_READ)
        turn(world, "db", 4, "DISABLED")
        with pytest.raises(Denied) as caught:
            await value(await world.open(keyed("narrow"), **LATEST_OR_FETCH), "db")
        assert "list the versions" in str(caught.value)
        assert "grant roles/secretmanager.viewer to narrow@shop.iam.gserviceaccount.com" in str(caught.value)

    async def test_an_enabled_newest_version_costs_no_more_under_the_policy(self, world: World) -> None:
        assert await value(await world.open(**LATEST_OR_FETCH), "db") == b"fourth"
        assert world.gcp.rpcs.calls == {"AccessSecretVersion": 1}


class TestMetadata:
    async def document(self, adapter: Gcpsm, key: str) -> Fetched:
        (found,) = await read(adapter, Ref(key, metadata=True))
        assert isinstance(found, Fetched)
        return found

    async def test_it_is_json_in_the_form_of_eso(self, world: World) -> None:
        world.put("db", labels={"team": "red", "env": "prod"}, annotations={"note": "a <b> & c", "ä": "ü"})
        found = await self.document(await world.open(), "db")
        annotations = '{"note":"a \\u003cb\\u003e \\u0026 c","ä":"ü"}'
        assert found.document == f'{{"annotations":{annotations},"labels":{{"env":"prod","team":"red"}}}}'.encode()

    async def test_a_secret_without_labels_and_annotations_has_null_for_them_as_in_eso(self, world: World) -> None:
        world.put("db")
        assert (await self.document(await world.open(), "db")).document == b'{"annotations":null,"labels":null}'

    async def test_its_version_changes_with_the_labels(self, world: World) -> None:
        world.put("db", labels={"team": "red"})
        adapter = await world.open()
        before = (await self.document(adapter, "db")).version
        assert (await self.document(adapter, "db")).version == before
        world.put("db", labels={"team": "blue"})
        assert (await self.document(adapter, "db")).version not in {before, ""}

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ("labels.team", b"red"),
            ("annotations.example.com/owner", b"shop"),
            ("labels", b'{"team":"red"}'),
            ("annotations", b'{"example.com/owner":"shop"}'),
        ],
    )
    async def test_a_property_names_a_label_or_an_annotation(self, world: World, wanted: str, found: bytes) -> None:
        world.put("db", labels={"team": "red"}, annotations={"example.com/owner": "shop"})
        document = await self.document(await world.open(), "db")
        assert extract.one(document, wanted, Gcpsm.layout, key="db", metadata=True) == found

    @pytest.mark.parametrize("wanted", ["labels.none", "annotations.none", "team", "labels.team.x"])
    async def test_a_property_that_names_neither_is_an_error(self, world: World, wanted: str) -> None:
        world.put("db", labels={"team": "red"})
        document = await self.document(await world.open(), "db")
        with pytest.raises(PropertyNotThere):
            extract.one(document, wanted, Gcpsm.layout, key="db", metadata=True)

    async def test_a_secret_that_does_not_exist_has_none(self, world: World) -> None:
        with pytest.raises(NotThere):
            await value(await world.open(), "none", metadata=True)

    async def test_it_takes_a_right_of_its_own_which_is_named(self, world: World) -> None:
        world.put("db")
        world.plant_key("narrow", permissions=MAY_READ)
        adapter = await world.open(keyed("narrow"))
        assert await value(adapter, "db") == b"value"
        with pytest.raises(Denied) as caught:
            await value(adapter, "db", metadata=True)
        assert "roles/secretmanager.viewer" in str(caught.value)


async def test_a_property_of_a_json_value_is_taken_by_the_rules_of_text(world: World) -> None:
    world.put("db", json.dumps({"user": "root", "a.b": 1, "nested": {"n": 1.0}}).encode())
    (found,) = await read(await world.open(), Ref("db"))
    assert isinstance(found, Fetched)
    assert [extract.one(found, name, Gcpsm.layout, key="db") for name in ("user", "a.b", "nested.n", "nested")] == [
        b"root",
        b"1",
        b"1",
        b'{"n": 1.0}',
    ]


async def test_two_stores_with_different_credentials_never_see_each_others_values(world: World) -> None:
    for name in ("red", "blue"):
        world.plant_key(name, permissions=MAY_READ, on=f"projects/{PROJECT}/secrets/{name}")
        world.put(name, f"value of {name}".encode())
    stores = {name: await world.open(keyed(name)) for name in ("red", "blue")}

    async def both(name: str) -> dict[Ref, Fetched | KeyferryError]:
        return dict(await stores[name].read([Ref("red"), Ref("blue")]))

    rounds = await asyncio.gather(*(both(name) for _ in range(50) for name in ("red", "blue")))
    for number, found in enumerate(rounds):
        mine, other = ("red", "blue") if number % 2 == 0 else ("blue", "red")
        answer = found[Ref(mine)]
        assert isinstance(answer, Fetched)
        assert answer.document == f"value of {mine}".encode()
        assert isinstance(found[Ref(other)], Denied)
    # A connection each, a login each, and each call by the identity of its store.
    assert world.gcp.front.connections == 2
    assert world.gcp.identity.calls == {"/token": 2}
    assert {call.identity for call in world.gcp.rpcs.seen} == {
        f"{name}@shop.iam.gserviceaccount.com" for name in ("red", "blue")
    }
