"""A cluster that ESO 2.9 has filled changes hands, and could change back."""

from __future__ import annotations

import base64
from collections import Counter

import pytest

from tests.support.cluster import Cluster
from tests.support.rights import Account
from tests.takeover import eso
from tests.takeover.cases import CASES, Case
from tests.takeover.world import STORE, World, ago, until

pytestmark = pytest.mark.cluster

ALL = ("secrets", "externalsecrets", "configmaps")
TRACKING = "argocd.argoproj.io/tracking-id"
DUE = {case.name for case in CASES if case.read_when_due}
HELD = {case.name for case in CASES if case.holds and case.left is None}
"""ExternalSecrets whose Secret holds what the provider holds."""


def keys_of(names: set[str]) -> Counter[str]:
    """How often each key is read when these ExternalSecrets are read once."""
    return Counter({case.key or case.name: 1 for case in CASES if case.name in names})


async def test_what_eso_left_is_neither_written_nor_read_before_it_is_due(
    cluster: Cluster, namespace: str, release: Account
) -> None:
    failing = {case.name for case in CASES if case.read_at_start}
    async with World(cluster, namespace, release) as world:
        await world.fill(CASES, ago(minutes=1))
        before, since = await world.versions(*ALL), await world.moment()

        async with world.operating():
            pass

        after = await world.versions(*ALL)
        assert {place for place in before | after if before.get(place) != after.get(place)} == {
            ("externalsecrets", name) for name in failing
        }
        assert world.kv.reads == keys_of(failing)
        # One check for each store; because of the key that is missing, the mount and its neighbours.
        assert world.kv.others == {"token/lookup-self": 2, "internal/ui/mounts/kv": 1, "metadata": 1}
        assert await world.writes("secretstores", "externalsecrets", since=since) == {STORE: 1} | dict.fromkeys(
            failing, 1
        )
        events = (await world.bodies("events")).values()
        assert {each["involvedObject"]["name"] for each in events} == failing


async def test_a_refresh_that_finds_nothing_new_reads_once_and_writes_no_secret(
    cluster: Cluster, namespace: str, release: Account
) -> None:
    async with World(cluster, namespace, release) as world:
        await world.fill(CASES, ago(hours=2))
        before, since = await world.versions(*ALL), await world.moment()

        async with world.operating():
            pass

        assert world.kv.reads == keys_of(DUE)
        assert await world.writes("secrets", "externalsecrets", since=since) == dict.fromkeys(DUE, 1)
        after = await world.versions("secrets", "configmaps")
        assert after == {place: version for place, version in before.items() if place[0] != "externalsecrets"}
        await assert_eso_takes_back(world)


async def test_a_refresh_that_finds_new_values_writes_each_secret_once_as_eso_would(
    cluster: Cluster, namespace: str, release: Account
) -> None:
    async with World(cluster, namespace, release) as world:
        await world.fill(CASES, ago(hours=2))
        since = await world.moment()
        world.kv.rotate()

        async with world.operating():
            pass

        assert world.kv.reads == keys_of(DUE)
        objects = await world.bodies("externalsecrets")
        changed = [eso.target_name(objects[name]) for name in DUE & HELD - {"immutable"}]
        assert await world.writes("secrets", since=since) == dict.fromkeys(changed, 1)
        secrets = await world.bodies("secrets")
        assert base64.b64decode(secrets["owner"]["data"]["password"]) == b"p-owner-2"
        assert base64.b64decode(secrets["merge"]["data"]["by-hand"]) == b"kept"
        await assert_eso_takes_back(world)


async def test_edits_and_new_objects_leave_what_eso_would_have_left(
    cluster: Cluster, namespace: str, release: Account
) -> None:
    async with World(cluster, namespace, release) as world:
        await world.fill(CASES, ago(minutes=1))
        async with world.operating():
            world.kv.asked()
            since = await world.moment()
            for name in ("owner", "template", "created-once"):
                await world.patch("externalsecrets", name, {"metadata": {"labels": {"team": "b"}}}, "kubectl-label")
            fewer = [{"secretKey": "password", "remoteRef": {"key": "merge", "property": "password"}}]
            await world.patch("externalsecrets", "merge", {"spec": {"data": fewer}}, "kubectl-edit")
            tracked = {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}, "annotations": {TRACKING: "shop:new"}}
            new = Case(name="new", metadata=tracked)
            world.kv.values["new"] = {"user": "u", "password": "p"}
            await world.create("externalsecrets", new.manifest(namespace, STORE))

            async def are_done() -> bool:
                secrets = await world.bodies("secrets")
                labelled = secrets["owner"]["metadata"]["labels"].get("team") == "b"
                return labelled and "user" not in secrets["merge"]["data"] and "new" in secrets

            await until(are_done)
            await world.at_rest()

        # A template takes no labels of the object over, and CreatedOnce is over.
        assert await world.writes("secrets", since=since) == {"owner": 1, "merge": 1, "new": 1}
        assert world.kv.asked() == {"owner": 1, "merge": 1, "template": 1, "new": 1}
        secrets = await world.bodies("secrets")
        assert set(secrets["merge"]["data"]) == {"by-hand", "password"}
        await assert_eso_takes_back(world, besides={"merge", "created-once"})
        es = (await world.bodies("externalsecrets"))["new"]
        assert not eso.should_refresh(es, ago())
        assert eso.is_valid(es, secrets["new"])
        # What GitOps tools know their objects by is all that ESO would add.
        made = eso.written(es, new.wanted(world.kv.values), secrets["new"])
        assert [made["metadata"][place].pop(key) for place in tracked for key in tracked[place]] == ["apps", "shop:new"]
        assert made == secrets["new"]
        assert es["status"]["binding"] == {"name": "new"}


async def test_an_external_secret_of_eso_goes_as_its_policies_say(
    cluster: Cluster, namespace: str, release: Account
) -> None:
    async with World(cluster, namespace, release) as world:
        await world.fill(CASES, ago(minutes=1))
        kept = await world.versions("secrets")
        async with world.operating():
            for name in world.cases:
                await world.delete("externalsecrets", name)

            async def are_gone() -> bool:
                owned = (each["metadata"].get("ownerReferences") for each in (await world.bodies("secrets")).values())
                # What an ExternalSecret owns is the garbage collector's to delete, where there is one.
                return not await world.bodies("externalsecrets") and not (cluster.controllers and any(owned))

            await until(are_gone)

        left = await world.versions("secrets")
        stay = {("secrets", name) for name in ("orphan", "merge", "create-or-merge")}
        assert {place: left.get(place) for place in stay} == {place: kept[place] for place in stay}
        assert ("secrets", "another-name") not in left
        assert not cluster.controllers or set(left) == stay


async def assert_eso_takes_back(world: World, *, besides: frozenset[str] | set[str] = frozenset()) -> None:
    """ESO would neither read nor write because of what it finds, and at its next refresh write nothing either."""
    objects, secrets = await world.bodies("externalsecrets"), await world.bodies("secrets")
    for name in set(world.cases) - besides:
        case, es = world.cases[name], objects[name]
        secret = secrets.get(eso.target_name(es))
        assert es["metadata"]["finalizers"] == [eso.FINALIZER]
        assert "keyferry" not in str(es["metadata"].get("annotations", {})) + str(es["metadata"].get("labels", {}))
        if not es["spec"].get("syncWindows"):
            assert not eso.should_refresh(es, ago()) or case.read_at_start, name
        if case.holds:
            assert eso.is_valid(es, secret), name
            assert secret is not None
            assert {entry["manager"] for entry in secret["metadata"]["managedFields"]} <= {
                "kubectl-client-side-apply",
                eso.manager(name),
            }
        if name in HELD and case.read_when_due and name != "immutable":
            assert eso.written(es, case.wanted(world.kv.values), secret) == secret, name
