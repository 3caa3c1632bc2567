from __future__ import annotations

from keyferry.kube.client import ObjectKey
from keyferry.kube.managed import CREATED_BY, DATA_HASH, MANAGED, ManagedSecrets
from keyferry.shape.hashes import object_hash
from tests.support.objects import Json, secret_body

KEY = ObjectKey("Secret", "team", "app")


def body(version: str, *, uid: str = "u", data: bytes = b"1", creator: str = "c") -> Json:
    return secret_body(
        data={"key": data},
        uid=uid,
        resourceVersion=version,
        labels={MANAGED: "true", CREATED_BY: creator},
        annotations={DATA_HASH: object_hash({"key": b"1"})},
    )


def make() -> tuple[ManagedSecrets, list[ObjectKey]]:
    told: list[ObjectKey] = []
    return ManagedSecrets(told.append), told


def test_the_echo_of_our_own_write_rings_nobody() -> None:
    managed, told = make()
    managed.note(body("7"))
    managed.seen(KEY, body("7"))
    assert told == []


def test_an_event_older_than_our_write_is_passed_over() -> None:
    managed, told = make()
    managed.note(body("10"))
    managed.seen(KEY, body("9", data=b"drift"))
    seen = managed.get("team", "app")
    assert seen is not None
    assert (told, seen.intact, seen.version) == ([], True, "10")


def test_drift_and_deletion_ring_and_are_seen() -> None:
    managed, told = make()
    managed.seen(KEY, body("7"))
    managed.seen(KEY, body("8", data=b"drift"))
    seen = managed.get("team", "app")
    assert seen is not None
    assert not seen.intact
    managed.gone(KEY)
    assert told == [KEY, KEY, KEY]
    assert managed.get("team", "app") is None
    assert managed._by_creator == {}


def test_a_secret_without_our_label_is_not_ours_to_remember() -> None:
    managed, _ = make()
    managed.note(secret_body())
    assert len(managed) == 0


def test_a_change_of_the_creator_moves_the_secret_between_indexes() -> None:
    managed, _ = make()
    managed.note(body("7", creator="c"))
    managed.note(body("8", creator="d"))
    assert managed.created_by("c", "team", "") == []
    assert [name for name, _ in managed.created_by("d", "team", "")] == ["app"]
    assert managed.created_by("d", "elsewhere", "") == []


def test_what_is_known_shows_no_value() -> None:
    managed, _ = make()
    managed.note(body("7", data=b"canary-c0ffee"))
    assert "canary" not in repr(managed.get("team", "app"))
    assert managed.known("Secret", "") == {KEY} == managed.known("Secret", "team")
    assert managed.known("Secret", "elsewhere") == set()
