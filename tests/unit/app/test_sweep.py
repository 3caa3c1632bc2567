from __future__ import annotations

from keyferry.kube.client import EXTERNAL_SECRETS, SECRET_STORES, ObjectKey
from keyferry.kubehttp import KubeError
from tests.support.objects import es_body
from tests.support.rig import KEY, STORE, Rig
from tests.support.virtual import virtual

PATH = EXTERNAL_SECRETS.path("team", "app")


@virtual
async def test_what_went_unnoticed_is_dropped_and_the_rest_stays() -> None:
    rig = Rig()
    rig.apply_store()
    rig.apply()
    rig.apply(es_body("stays"))
    rig.server.objects.pop(PATH)
    rig.server.objects.pop(SECRET_STORES.path("team", "store"))
    await rig.sweep.run()
    assert set(rig.world.keys()) == {ObjectKey("ExternalSecret", "team", "stays")}
    assert rig.world.store(*STORE) is None


@virtual
async def test_what_comes_while_it_lists_is_not_taken_for_gone() -> None:
    rig = Rig()
    rig.apply(es_body("old"))
    rig.apply()
    rig.server.objects.pop(PATH)

    def before(method: str, path: str) -> None:
        if not path.endswith("/externalsecrets"):
            return
        # Both are made after the list was, the second one anew; the watch is faster than the list's answer.
        for name in ("late", "app"):
            rig.bells.external_secret("ADDED", es_body(name, metadata={"uid": f"new-{name}", "resourceVersion": "900"}))

    rig.server.before = before
    await rig.sweep.run()
    assert {key.name for key in rig.world.keys()} == {"old", "late", "app"}  # noqa: SIM118 -- not a mapping
    assert rig.world.uid(KEY) == "new-app"


@virtual
async def test_a_list_that_fails_drops_nobody() -> None:
    rig = Rig()
    rig.apply()
    rig.server.objects.clear()

    def before(method: str, path: str) -> None:
        raise KubeError(503, "ServiceUnavailable", "no")

    rig.server.before = before
    await rig.sweep.run()
    assert rig.world.uid(KEY) is not None
