"""dataFrom.find."""

from __future__ import annotations

import dataclasses

import pytest
import re2

from keyferry.errors import Denied
from keyferry.ports import Fetched, Query, Ref, Retries
from tests.contract.azurekv.support import CLIENT, World
from tests.sandbox.azure import Fault, certificate


def by_name(pattern: str, **more: object) -> Query:
    compiled = re2.compile(pattern)
    return Query(name=pattern, matches=lambda name: bool(compiled.search(name)), **more)  # type: ignore[arg-type] # fields of Query


async def test_names_and_tags_both_have_to_match(world: World) -> None:
    world.vault.put("db-1", "x", tags={"team": "red"})
    world.vault.put("db-2", "x", tags={"team": "blue"})
    world.vault.put("web", "x", tags={"team": "red"})
    adapter = await world.open()
    assert await adapter.find(by_name("^db", tags=(("team", "red"),))) == {"db-1": Ref("db-1")}
    assert set(await adapter.find(by_name("^db"))) == {"db-1", "db-2"}
    assert set(await adapter.find(Query(tags=(("team", "red"),)))) == {"db-1", "web"}


async def test_a_path_is_not_looked_at_as_in_eso(world: World) -> None:
    world.vault.put("db", "x")
    assert await (await world.open()).find(Query(path="some/where")) == {"db": Ref("db")}


async def test_disabled_secrets_are_left_out(world: World) -> None:
    world.vault.put("db", "x")
    world.vault.put("off", "x").enabled = False
    assert await (await world.open()).find(Query()) == {"db": Ref("db")}


async def test_secrets_of_certificates_are_found_and_keys_are_not(world: World) -> None:
    world.vault.put_certificate("web", *certificate())
    adapter = await world.open()
    assert await adapter.find(Query()) == {"web": Ref("web")}


async def test_every_page_is_read(world: World) -> None:
    names = {f"s-{number:03}" for number in range(76)}
    for name in names:
        world.vault.put(name, name)
    adapter = await world.open()
    assert set(await adapter.find(Query())) == names
    assert world.vault.count("GET /secrets") == 4


async def test_500_secrets_are_found_and_read_with_one_login_and_one_challenge(world: World) -> None:
    names = {f"s-{number:03}" for number in range(500)}
    for name in names:
        world.vault.put(name, f"value of {name}")
    adapter = await world.open()
    found = await adapter.find(Query())
    refs = [ref for ref in found.values() if isinstance(ref, Ref)]
    documents = await adapter.read(refs)
    assert {ref.key: each.document for ref, each in documents.items() if isinstance(each, Fetched)} == {
        name: f"value of {name}".encode() for name in names
    }
    assert world.vault.count("GET /secrets") == 20 + 500
    assert (world.logins(), world.vault.challenges) == (1, 1)


async def test_many_reads_at_once_log_in_once(world: World) -> None:
    for number in range(40):
        world.vault.put(f"s-{number}", "x")
    adapter = await world.open()
    await adapter.read([Ref(f"s-{number}") for number in range(40)])
    assert (world.logins(), world.vault.challenges) == (1, 1)


@pytest.mark.parametrize(
    "fault", [Fault(503, left=1), Fault(200, body=b"[]", left=1), Fault(broken=True, body=b"{", left=1)]
)
async def test_a_page_that_fails_is_tried_again_by_itself(world: World, fault: Fault) -> None:
    for number in range(60):
        world.vault.put(f"s-{number}", "x")
    adapter = await world.open(context={"retries": Retries(attempts=1, interval=0.01)})
    await adapter.validate()
    world.cloud.faults[world.vault.host] = dataclasses.replace(fault)
    assert len(await adapter.find(Query())) == 60
    assert world.calls.counts["GetSecrets", "error"] == 1
    assert world.vault.count("GET /secrets") == 1 + 3


async def test_a_search_without_the_right_to_list_is_denied(world: World) -> None:
    world.vault.rights[CLIENT] = frozenset({"secrets/get"})
    with pytest.raises(Denied) as caught:
        await (await world.open()).find(Query())
    assert str(caught.value) == (
        f"{world.vault.url} refuses to list secrets: give the identity list on secrets in its access policies"
    )
