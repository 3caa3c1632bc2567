from __future__ import annotations

from typing import Any

import pytest

from keyferry.api.externalsecret import ExternalSecret
from keyferry.errors import BadSpec, Conflict, NotReady
from keyferry.kube.client import EXTERNAL_SECRETS, SECRETS, ObjectKey
from keyferry.kube.managed import CREATED_BY, MANAGED, ManagedSecrets
from keyferry.kube.plan import Desired
from keyferry.kube.target import Order, Targets
from keyferry.kubehttp import KubeError
from keyferry.shape.hashes import created_by
from tests.support.memorykube import MemoryKube
from tests.support.objects import Json, es, es_body, secret_body
from tests.support.virtual import virtual

KEY = ObjectKey("ExternalSecret", "team", "app")
PATH = SECRETS.path("team", "app")


def wanted(**data: bytes) -> Order:
    async def make() -> Desired:
        return Desired(data=data, labels={}, annotations={})

    return Order(repr(data).encode(), make)


def make() -> tuple[MemoryKube, ManagedSecrets, Targets]:
    server = MemoryKube()
    managed = ManagedSecrets(lambda _: None)
    return server, managed, Targets(server.kube, managed, adopt=False)


def owner(name: str = "app", uid: str = "uid-of-app") -> Json:
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "name": name,
        "uid": uid,
        "controller": True,
    }


@virtual
async def test_what_is_in_step_costs_no_request() -> None:
    server, _, targets = make()
    assert (await targets.apply(KEY, es(), wanted(key=b"1"))).action == "created"
    server.requests.clear()
    assert (await targets.apply(KEY, es(), wanted(key=b"1"))).action == "unchanged"
    assert server.requests == []
    assert (await targets.apply(KEY, es(), wanted(key=b"2"))).action == "updated"


@virtual
async def test_a_secret_that_is_not_there_is_created_without_looking_for_it_first() -> None:
    server, _, targets = make()
    await targets.apply(KEY, es(), wanted(key=b"1"))
    assert [method for method, _ in server.requests] == ["POST"]


@virtual
@pytest.mark.parametrize(
    "refusal",
    [KubeError(409, "AlreadyExists", "there is one"), KubeError(403, "Forbidden", "exceeded quota: secrets")],
)
async def test_a_secret_without_our_label_is_found_where_creating_it_is_refused(refusal: KubeError) -> None:
    server, _, targets = make()
    server.put(SECRETS, secret_body(data={"key": b"1"}, ownerReferences=[owner()]))

    def before(method: str, path: str) -> None:
        if method == "POST":
            raise refusal

    server.before = before
    assert (await targets.apply(KEY, es(), wanted(key=b"1", more=b"2"))).action == "updated"
    assert [method for method, _ in server.requests] == ["POST", "GET", "PUT"]
    assert server.objects[PATH]["data"] == {"key": "MQ==", "more": "Mg=="}


@virtual
async def test_what_may_not_be_created_is_refused_again_without_trying_blindly_twice() -> None:
    server, _, targets = make()
    server.put(SECRETS, secret_body(data={"foreign": b"1"}))
    for requests in (["POST", "GET"], ["GET"]):
        server.requests.clear()
        with pytest.raises(BadSpec, match="foreign"):
            await targets.apply(KEY, es(), wanted(key=b"1"))
        assert [method for method, _ in server.requests] == requests


@virtual
async def test_a_secret_that_somebody_touched_is_looked_at_again() -> None:
    server, managed, targets = make()
    await targets.apply(KEY, es(), wanted(key=b"1"))
    touched = server.objects[PATH]
    touched["data"] = {}
    managed.note(server.put(SECRETS, touched))
    assert (await targets.apply(KEY, es(), wanted(key=b"1"))).action == "updated"
    assert server.objects[PATH]["data"] == {"key": "MQ=="}


@virtual
async def test_a_target_that_stays_immutable_is_told_each_time() -> None:
    server, _, targets = make()
    server.put(SECRETS, {**secret_body(data={"key": b"1"}, ownerReferences=[owner()]), "immutable": True})
    for _ in range(3):
        applied = await targets.apply(KEY, es(), wanted(key=b"2"))
        assert "immutable" in str(applied.blocked)


@virtual
async def test_a_target_that_changes_or_goes_between_reading_and_writing_is_a_conflict() -> None:
    server, _, targets = make()
    for interfere in (
        lambda: server.put(SECRETS, server.objects[PATH]),
        lambda: server.objects.pop(PATH),
    ):
        server.put(SECRETS, secret_body(ownerReferences=[owner()]))

        def before(method: str, path: str, act: object = interfere) -> None:
            if method == "PUT":
                act()  # type: ignore[operator] # the table holds callables and None

        server.before = before
        with pytest.raises(Conflict):
            await targets.apply(KEY, es(), wanted(key=b"1"))


@virtual
async def test_a_namespace_that_is_not_there_is_waited_for() -> None:
    server, _, targets = make()

    def before(method: str, path: str) -> None:
        if method == "POST":
            raise KubeError(404, "NotFound", 'namespaces "team" not found')

    server.before = before
    with pytest.raises(NotReady, match="team"):
        await targets.apply(KEY, es(), wanted(key=b"1"))


@virtual
async def test_only_the_controller_deletes_its_target() -> None:
    server, _, targets = make()
    server.put(SECRETS, secret_body(ownerReferences=[owner(uid="somebody-else")]))
    with pytest.raises(BadSpec, match="not controlled by this ExternalSecret"):
        await targets.delete(es())
    await targets.delete_if_owned(es())
    assert PATH in server.objects
    server.put(SECRETS, secret_body(ownerReferences=[owner()]))
    assert await targets.delete(es()) is True
    assert PATH not in server.objects


@virtual
async def test_a_target_that_was_found_to_be_gone_is_not_looked_for_again_until_there_is_another() -> None:
    server, managed, targets = make()
    for _ in range(2):
        assert await targets.delete(es()) is False
    assert len(server.requests) == 1
    assert await targets.delete(es(metadata={"uid": "another"})) is False
    assert len(server.requests) == 2
    made = server.put(SECRETS, secret_body(ownerReferences=[owner()], labels={MANAGED: "true"}))
    managed.seen(ObjectKey("Secret", "team", "app"), made)
    assert await targets.delete(es()) is True


def labelled(name: str, **metadata: Any) -> Json:
    labels = {MANAGED: "true", CREATED_BY: created_by("team", "app")}
    return secret_body(name, labels=labels, **metadata)


@virtual
async def test_orphans_are_the_secrets_of_an_earlier_name_and_no_others() -> None:
    server, managed, targets = make()
    for body in (
        labelled("app", ownerReferences=[owner()]),
        labelled("old", ownerReferences=[owner()]),
        labelled("copied-label"),
        labelled("of-another", ownerReferences=[owner("other", "uid-of-other")]),
        secret_body("unlabelled", ownerReferences=[owner()]),
    ):
        managed.note(server.put(SECRETS, body))
    assert await targets.delete_orphans(es()) == ["old"]
    assert {path.rsplit("/", 1)[1] for path in server.objects} == {"app", "copied-label", "of-another", "unlabelled"}


@virtual
async def test_an_orphan_that_changed_meanwhile_is_left_for_another_look() -> None:
    server, managed, targets = make()
    managed.note(server.put(SECRETS, labelled("old", ownerReferences=[owner()])))
    server.put(SECRETS, labelled("old", ownerReferences=[owner()]))
    assert await targets.delete_orphans(es()) == []
    assert len(server.objects) == 1


@virtual
async def test_a_finalizer_is_taken_off_alone() -> None:
    server, _, targets = make()
    body = server.put(EXTERNAL_SECRETS, es_body(metadata={"finalizers": ["keep", "ours"]}))
    await targets.drop_finalizer(ExternalSecret.parse(body), "ours")
    assert server.objects[EXTERNAL_SECRETS.path("team", "app")]["metadata"]["finalizers"] == ["keep"]


@virtual
async def test_nothing_is_remembered_of_what_is_gone() -> None:
    _, _, targets = make()
    await targets.apply(KEY, es(), wanted(key=b"1"))
    targets.forget(KEY)
    assert targets._last == {}
