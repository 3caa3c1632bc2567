from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.errors import BadSpec, BadValue
from keyferry.shape.keys import compile_name, convert, validate
from tests.unit.shape.data import vectors

DATA = vectors("keys")


@pytest.mark.parametrize("case", DATA["conversion"], ids=lambda case: case["name"])
def test_keys_are_converted(case: dict[str, Any]) -> None:
    data = {key: f"value of {key}".encode() for key in case["keys"]}
    wanted = {new: f"value of {old}".encode() for old, new in case["keys"].items()}
    assert convert(data, case["strategy"]) == wanted


@pytest.mark.parametrize("case", DATA["collisions"], ids=lambda case: case["key"])
def test_two_keys_that_become_one_are_both_named(case: dict[str, Any]) -> None:
    with pytest.raises(BadValue) as caught:
        convert(dict.fromkeys(case["keys"], b"canary"), case["strategy"])
    message = str(caught.value)
    assert message.startswith(f"secret name collision during conversion: {case['key']} (from ")
    assert all(f'"{key}"' in message for key in sorted(case["keys"])[:2])
    assert ("conversionStrategy: Unicode" in message) == (case["strategy"] != "Unicode")
    assert "canary" not in message


@pytest.mark.parametrize("key", DATA["valid"])
def test_keys_that_kubernetes_accepts_pass(key: str) -> None:
    assert validate({key: b"v"}) == {key: b"v"}


@pytest.mark.parametrize("case", DATA["invalid"], ids=lambda case: repr(case["key"]))
def test_keys_that_kubernetes_refuses_are_refused(case: dict[str, str]) -> None:
    with pytest.raises(BadValue) as caught:
        validate({case["key"]: b"canary", "fine": b""})
    assert case["says"] in str(caught.value)
    assert "rewrite" in caught.value.remedy
    assert "canary" not in str(caught.value)


def test_letters_beyond_ascii_have_a_remedy_of_their_own() -> None:
    with pytest.raises(BadValue, match="conversionStrategy does not touch letters and numbers outside ASCII"):
        validate({"käse": b""})


def test_the_empty_key_is_dropped() -> None:
    assert validate({"": b"x", "a": b"y"}) == {"a": b"y"}


def test_a_key_of_253_bytes_is_the_longest() -> None:
    assert validate({"x" * 253: b""}) == {"x" * 253: b""}
    with pytest.raises(BadValue, match=r"\Akey has length 254 but max is 253: x{64}…: shorten it"):
        validate({"x" * 254: b""})
    with pytest.raises(BadValue, match="key has length 254 but max is 253"):
        validate({"ä" * 127: b""})


def test_the_alphabetically_first_wrong_key_is_told() -> None:
    with pytest.raises(BadValue, match='key "a b"'):
        validate({"z z": b"", "a b": b"", "m": b""})


@given(st.dictionaries(st.text(), st.binary()), st.sampled_from(["Default", "Unicode", None]))
def test_conversion_keeps_every_value_or_fails(data: dict[str, bytes], strategy: Any) -> None:
    try:
        converted = convert(data, strategy)
    except BadValue:
        return
    assert sorted(converted.values()) == sorted(data.values())
    assert len(converted) == len(data)


@given(st.dictionaries(st.text(alphabet=st.characters(codec="ascii"), min_size=1, max_size=30), st.binary()))
def test_ascii_keys_are_legal_after_conversion(data: dict[str, bytes]) -> None:
    try:
        converted = convert(data, "Unicode")
    except BadValue:
        return
    legal = {key: value for key, value in converted.items() if key != "." and not key.startswith("..")}
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]+", key) for key in legal)
    if max(map(len, legal), default=0) <= 253:
        assert validate(legal) == legal


@given(st.dictionaries(st.from_regex(r"\A[-_a-zA-Z0-9]([-._a-zA-Z0-9]{0,20})\Z"), st.binary()))
def test_legal_keys_go_through_everything_unchanged(data: dict[str, bytes]) -> None:
    assert validate(convert(data)) == data


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("db", "my-db-1", True),
        ("^db", "my-db", False),
        ("^db$", "db", True),
        ("", "anything", True),
        ("a.c", "abc", True),
        (r"^k\pL+e$", "käse", True),
        ("(?i)DB", "db", True),
        ("^(a+)+$", "a" * 5000 + "b", False),
    ],
)
def test_a_pattern_matches_anywhere_unless_anchored(pattern: str, name: str, *, matches: bool) -> None:
    assert compile_name(pattern)(name) is matches


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(a", "missing closing ): `(a`"),
        ("a(?=b)", "invalid or unsupported Perl syntax: `(?=`"),
        ("[z-a]", "invalid character class range: `z-a`"),
    ],
)
def test_a_pattern_that_does_not_compile_is_refused_with_its_reason(
    pattern: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadSpec) as caught:
        compile_name(pattern)
    assert f'the regular expression "{pattern}" does not compile: {reason}' in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_pattern_is_compiled_once() -> None:
    assert compile_name("once-only") is compile_name("once-only")
