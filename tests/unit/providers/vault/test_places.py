from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.errors import BadSpec
from keyferry.providers.vault.places import KVVersion, Places, escaped


@pytest.mark.parametrize(
    ("mount", "version", "key", "data"),
    [
        ("secret", "v2", "foo", ["secret/data/foo"]),
        ("secret", "v2", "secret/foo", ["secret/data/foo", "secret/data/secret/foo"]),
        ("secret", "v2", "secret/data/foo", ["secret/data/foo"]),
        ("secret", "v2", "data/foo", ["secret/data/data/foo"]),
        ("secret", "v2", "secret", ["secret/data/secret"]),
        ("secret", "v2", "secret/data", ["secret/data/data", "secret/data/secret/data"]),
        ("secret", "v2", "secretive/foo", ["secret/data/secretive/foo"]),
        ("secret/path", "v2", "foo", ["secret/path/data/foo"]),
        ("secret/path", "v2", "secret/path/foo", ["secret/path/data/foo", "secret/path/data/secret/path/foo"]),
        ("secret/path", "v2", "secret/path/data/foo", ["secret/path/data/foo"]),
        ("secret/path", "v1", "secret/path/foo", ["secret/path/foo", "secret/path/secret/path/foo"]),
        ("secret/path", "v1", "foo", ["secret/path/foo"]),
        ("secret", "v1", "secret/data/foo", ["secret/data/foo", "secret/secret/data/foo"]),
        (None, "v2", "secret/path/foo", ["secret/data/path/foo"]),
        (None, "v2", "secret/path/data/foo", ["secret/path/data/foo"]),
        (None, "v2", "data/foo", ["data/data/foo"]),
        (None, "v1", "secret/path/foo", ["secret/path/foo"]),
        ("/secret/", "v2", "//foo/", ["secret/data/foo"]),
    ],
)
def test_keys_are_read_as_eso_reads_them_first(
    mount: str | None, version: KVVersion, key: str, data: list[str]
) -> None:
    assert [place.data for place in Places(mount, version).of(key)] == data


@pytest.mark.parametrize("key", ["", "/", "a/../b", "..", "./a", "a/..", "a\nb", "a\x00"])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(BadSpec):
        Places("secret", "v2").of(key)


def test_a_mount_is_no_way_out() -> None:
    with pytest.raises(BadSpec, match="path"):
        Places("secret/../sys", "v2")


def test_what_stands_in_a_path_is_escaped_part_by_part() -> None:
    assert escaped("a b/c?d#e/100%/ü") == "a%20b/c%3Fd%23e/100%25/%C3%BC"


PARTS = st.lists(st.sampled_from(["secret", "data", "metadata", "kv", "a", "b"]), min_size=1, max_size=5)


@given(mount=PARTS, path=PARTS, version=st.sampled_from(["v1", "v2"]))
def test_the_key_of_a_place_leads_back_to_it(mount: list[str], path: list[str], version: KVVersion) -> None:
    places = Places("/".join(mount), version)
    name = "/".join(path)
    place = places.folder(None).child(name)
    assert places.of(places.key_of(place, name))[0] == place
