from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.api.externalsecret import DecodingStrategy
from keyferry.errors import BadValue
from keyferry.shape.decode import check_null_bytes, decode
from tests.unit.shape.data import vectors

CASES = [pytest.param(case, id=case["name"]) for case in vectors("base64")["cases"]]
CANARY = b"canary!"


def expected(case: dict[str, str | None], alphabet: str) -> bytes | None:
    text = case[alphabet]
    return None if text is None else base64.b64decode(text)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("strategy", "alphabet"), [("Base64", "standard"), ("Base64URL", "url")])
def test_base64_is_what_go_takes_for_it(case: dict[str, str | None], strategy: DecodingStrategy, alphabet: str) -> None:
    value = base64.b64decode(case["value"] or "")
    wanted = expected(case, alphabet)
    if wanted is not None:
        assert decode(value, strategy) == wanted
        return
    with pytest.raises(BadValue, match=rf"\Athe value is not padded base64 as decodingStrategy {strategy} needs it: "):
        decode(value, strategy)


@pytest.mark.parametrize("case", CASES)
def test_auto_tries_both_alphabets_and_then_leaves_the_value(case: dict[str, str | None]) -> None:
    value = base64.b64decode(case["value"] or "")
    attempts = [expected(case, "standard"), expected(case, "url"), value]
    assert decode(value, "Auto") == next(attempt for attempt in attempts if attempt is not None)


@pytest.mark.parametrize("strategy", [None, "None"])
@given(value=st.binary())
def test_without_a_strategy_a_value_stays(strategy: DecodingStrategy | None, value: bytes) -> None:
    assert decode(value, strategy) == value


@given(st.binary(), st.sampled_from([b"", b"\n", b"\r\n"]))
def test_what_was_encoded_is_decoded(value: bytes, line_break: bytes) -> None:
    standard = line_break.join(base64.b64encode(value)[place : place + 4] for place in range(0, 2 * len(value), 4))
    url = base64.urlsafe_b64encode(value)
    assert decode(standard, "Base64") == value
    assert decode(standard, "Auto") == value
    assert decode(url, "Base64URL") == value
    assert decode(url, "Auto") == value


@given(st.binary())
def test_auto_never_fails(value: bytes) -> None:
    assert isinstance(decode(value, "Auto"), bytes)


@pytest.mark.parametrize(
    ("value", "strategy", "remedy"),
    [
        (b"-_-_", "Base64", "it is Base64URL"),
        (b"+/+/", "Base64URL", "it is Base64"),
        (b"YWI", "Base64", "its padding is missing; store it with padding"),
        (b"_-8", "Base64URL", "its padding is missing; store it with padding"),
        (CANARY, "Base64", "store it encoded, or use decodingStrategy None or Auto"),
    ],
)
def test_the_remedy_fits_the_failure(value: bytes, strategy: DecodingStrategy, remedy: str) -> None:
    with pytest.raises(BadValue) as caught:
        decode(value, strategy)
    assert caught.value.remedy == remedy
    assert CANARY.decode() not in repr(caught.value)
    assert caught.value.__context__ is None


def test_the_first_key_with_a_null_byte_is_named() -> None:
    data = {"z": b"\0", "b": CANARY + b"\0", "a": b"fine"}
    with pytest.raises(BadValue, match='the value of "b" holds a null byte') as caught:
        check_null_bytes(data, "Fail")
    assert CANARY.decode() not in str(caught.value)


@pytest.mark.parametrize("policy", [None, "Ignore"])
def test_null_bytes_are_allowed_unless_the_policy_is_fail(policy: None) -> None:
    check_null_bytes({"a": b"\0"}, policy)


def test_values_without_null_bytes_pass() -> None:
    check_null_bytes({"a": b"", "b": b"0\x01"}, "Fail")
