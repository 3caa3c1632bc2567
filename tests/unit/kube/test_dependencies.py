from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keyferry.kube.client import SECRETS, ObjectKey
from keyferry.kube.dependencies import Dependencies
from tests.support.memorykube import MemoryKube
from tests.support.objects import secret_body
from tests.support.virtual import run, settle, virtual

STORE = ObjectKey("SecretStore", "team", "store")
OTHER = ObjectKey("SecretStore", "team", "other")
KEY = ObjectKey("Secret", "team", "login")
SECOND = ObjectKey("ConfigMap", "team", "forms")


def make(server: MemoryKube | None = None) -> tuple[Dependencies, list[ObjectKey]]:
    told: list[ObjectKey] = []
    dependencies = Dependencies(
        (server or MemoryKube()).kube,
        told.append,
        namespaces=(),
        idle_timeout=70,
        restarted=lambda _resource, _reason: None,
    )
    return dependencies, told


def at(version: str) -> dict[str, object]:
    return secret_body("login", resourceVersion=version)


@virtual
async def test_a_change_and_a_deletion_are_told_to_every_dependent() -> None:
    dependencies, told = make()
    for dependent in (STORE, OTHER):
        dependencies.depend(dependent, KEY, "5", dependencies.expect(dependent, KEY))
    dependencies.seen(KEY, at("5"))
    assert told == []
    dependencies.seen(KEY, at("6"))
    dependencies.gone(KEY)
    dependencies.gone(KEY)
    assert sorted(told) == sorted([STORE, OTHER] * 2)
    assert dependencies.is_absent(KEY)
    await dependencies.aclose()


@virtual
async def test_a_change_while_it_is_read_is_told() -> None:
    dependencies, told = make()
    since = dependencies.expect(STORE, KEY)
    dependencies.seen(KEY, at("6"))
    dependencies.depend(STORE, KEY, "5", since)
    assert told == [STORE]
    await dependencies.aclose()


@virtual
async def test_what_comes_while_it_is_found_absent_is_told_once() -> None:
    dependencies, told = make()
    since = dependencies.expect(STORE, KEY)
    dependencies.seen(KEY, at("6"))
    dependencies.depend(STORE, KEY, "", since)
    assert told == [STORE]
    assert not dependencies.is_absent(KEY)
    # The watch is behind and its answer of a deletion still to come: no second bell until it does.
    dependencies.depend(STORE, KEY, "", dependencies.expect(STORE, KEY))
    assert told == [STORE]
    assert dependencies.is_absent(KEY)
    await dependencies.aclose()


@virtual
async def test_an_event_older_than_the_read_rings_nobody() -> None:
    dependencies, told = make()
    dependencies.depend(STORE, KEY, "9", dependencies.expect(STORE, KEY))
    for version in ("6", "7", "8", "9"):
        dependencies.seen(KEY, at(version))
    assert told == []
    dependencies.seen(KEY, at("10"))
    assert told == [STORE]
    await dependencies.aclose()


@virtual
async def test_the_coming_of_an_absent_object_is_told() -> None:
    dependencies, told = make()
    dependencies.depend(STORE, KEY, "", dependencies.expect(STORE, KEY))
    assert dependencies.is_absent(KEY)
    dependencies.seen(KEY, at("3"))
    assert told == [STORE]
    await dependencies.aclose()


@virtual
async def test_nothing_is_left_of_a_dependent_that_is_gone() -> None:
    dependencies, told = make()
    dependencies.depend(STORE, KEY, "5", dependencies.expect(STORE, KEY))
    dependencies.depend(OTHER, KEY, "5", dependencies.expect(OTHER, KEY))
    dependencies.seen(KEY, at("6"))
    dependencies.forget(STORE)
    told.clear()
    dependencies.seen(KEY, at("7"))
    assert told == [OTHER]
    dependencies.forget(OTHER)
    for held in (dependencies._versions, dependencies._dependents, dependencies._of, dependencies._last_change):
        assert held == {}
    await dependencies.aclose()


@virtual
async def test_objects_that_nobody_refers_to_are_not_remembered() -> None:
    server = MemoryKube()
    for number in range(50):
        server.put(SECRETS, secret_body(f"other-{number}"))
    server.put(SECRETS, secret_body("login"))
    dependencies, _ = make(server)
    dependencies.expect(STORE, KEY)
    await settle()
    assert dependencies.known("Secret", "") == {KEY}
    assert len(dependencies._versions) == 1
    assert len(server.watches) == 1
    await dependencies.aclose()


STEPS = st.lists(st.sampled_from(["write", "delete", "read", "deliver", "answer"]), max_size=40)


@given(STEPS)
def test_whatever_the_order_who_read_something_outdated_is_told(steps: list[str]) -> None:
    """The server's history is played against reads and a watch that lags; in the end all events are delivered."""

    async def main() -> None:
        dependencies, told = make()
        current, version = "", 10
        events: list[str] = []
        reading: tuple[str, int] | None = None
        built: str | None = None
        for step in (*steps, "answer"):
            if step == "write":
                version += 1
                current = str(version)
                events.append(current)
            elif step == "delete" and current:
                version += 1
                current = ""
                events.append("")
            elif step == "read" and reading is None:
                since = dependencies.expect(STORE, KEY)
                reading = (current, since)
            elif step == "answer" and reading is not None:
                told.clear()
                dependencies.depend(STORE, KEY, *reading)
                built, reading = reading[0], None
            elif step == "deliver" and events:
                _deliver(dependencies, events.pop(0))
        while events:
            _deliver(dependencies, events.pop(0))
        if built is not None and built != current:
            assert STORE in told
        await dependencies.aclose()

    run(main())


def _deliver(dependencies: Dependencies, version: str) -> None:
    if version:
        dependencies.seen(KEY, at(version))
    else:
        dependencies.gone(KEY)


@virtual
async def test_a_dependent_is_stale_from_a_change_until_it_is_built_anew() -> None:
    dependencies, _ = make()
    dependencies.depend(STORE, KEY, "5", dependencies.expect(STORE, KEY))
    assert not dependencies.is_stale(STORE)
    dependencies.seen(KEY, at("6"))
    assert dependencies.is_stale(STORE)
    assert not dependencies.is_stale(OTHER)
    dependencies.renew(STORE)
    assert not dependencies.is_stale(STORE)
    await dependencies.aclose()


@virtual
async def test_what_a_dependent_was_not_built_from_any_more_is_not_looked_after() -> None:
    dependencies, told = make()
    for key in (KEY, SECOND):
        dependencies.depend(STORE, key, "5", dependencies.expect(STORE, key))
    dependencies.depend(OTHER, KEY, "5", dependencies.expect(OTHER, KEY))
    dependencies.keep(STORE, [SECOND])
    assert dependencies.of(STORE) == {SECOND}
    dependencies.seen(KEY, at("6"))
    assert told == [OTHER]
    assert not dependencies.is_unread(KEY)
    dependencies.keep(OTHER, [])
    assert dependencies.is_unread(KEY)
    await dependencies.aclose()


@virtual
async def test_a_list_without_what_is_being_read_is_no_change_unless_it_was_found() -> None:
    dependencies, told = make()
    since = dependencies.expect(STORE, KEY)
    dependencies.gone(KEY)
    dependencies.depend(STORE, KEY, "", since)
    assert told == []
    since = dependencies.expect(OTHER, SECOND)
    dependencies.gone(SECOND)
    dependencies.depend(OTHER, SECOND, "5", since)
    assert told == [OTHER]
    await dependencies.aclose()
