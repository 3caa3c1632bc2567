"""ESO and Keyferry in one cluster, told apart by the controller classes of their stores."""

from __future__ import annotations

import pytest

from tests.support.cluster import Cluster
from tests.support.rights import Account
from tests.takeover import eso
from tests.takeover.cases import CASES, Case
from tests.takeover.world import STORE, World, ago, until

pytestmark = pytest.mark.cluster

ALL = ("secrets", "externalsecrets", "secretstores")
OURS = (Case(name="ours"), Case(name="ours-merged", target={"creationPolicy": "Merge"}, before={"by-hand": "kept"}))
BOTH = Case(
    name="both",
    spec={
        "data": [
            {"secretKey": "user", "remoteRef": {"key": "both", "property": "user"}},
            {
                "secretKey": "password",
                "remoteRef": {"key": "both", "property": "password"},
                "sourceRef": {"storeRef": {"kind": "SecretStore", "name": "ours"}},
            },
        ]
    },
)
"""It reads from a store of each."""


async def test_keyferry_leaves_alone_what_belongs_to_eso_until_its_store_changes_hands(
    cluster: Cluster, namespace: str, release: Account
) -> None:
    async with World(cluster, namespace, release) as world:
        await world.fill((*CASES, BOTH), ago(hours=2), controller="default")
        await world.add_store("ours", ago(hours=2), controller="keyferry")
        await world.add(OURS, ago(hours=2), store="ours")
        before = await world.versions(*ALL)

        async with world.operating(controller_class="keyferry"):
            ours = {case.name for case in OURS}
            assert world.kv.asked() == dict.fromkeys(ours, 1)
            after = await world.versions(*ALL)
            assert {place for place in before if before[place] != after[place]} == {
                ("secretstores", "ours"),
                *(("externalsecrets", name) for name in ours),
            }

            # What users do to ESO's objects waits for ESO: an edit, a deletion, a Secret that is gone.
            await world.patch("externalsecrets", "on-change", {"metadata": {"labels": {"team": "b"}}}, "kubectl-label")
            await world.delete("externalsecrets", "owner-renamed")
            await world.delete("secrets", "owner")
            await world.patch("externalsecrets", "ours", {"metadata": {"labels": {"team": "b"}}}, "kubectl-label")

            async def is_ours_done() -> bool:
                return bool(world.kv.reads["ours"])

            await until(is_ours_done)
            await world.at_rest()
            assert world.kv.asked() == {"ours": 1}
            assert (await world.bodies("externalsecrets"))["owner-renamed"]["metadata"]["finalizers"] == [eso.FINALIZER]
            secrets = await world.bodies("secrets")
            assert "owner" not in secrets
            assert "another-name" in secrets

            # The store changes hands: with it the objects that read from it alone, or from it and ours.
            since = await world.moment()
            await world.patch("secretstores", STORE, {"spec": {"controller": "keyferry"}}, "kubectl-edit")

            async def are_taken_over() -> bool:
                secrets = await world.bodies("secrets")
                return "owner" in secrets and "another-name" not in secrets

            await until(are_taken_over)
            await world.at_rest()
            due = {
                case.name for case in CASES if case.read_when_due and not case.key and "secretStoreRef" not in case.spec
            }
            changed = {"on-change", "both"}
            assert {key for key in world.kv.reads if key in world.cases} == due - {"owner-renamed"} | changed
            # Only what was deleted is made again, and what was edited follows.
            assert set(await world.writes("secrets", since=since)) == {"owner", "another-name", "on-change"}
