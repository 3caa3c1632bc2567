from __future__ import annotations

import base64
import json
import math
from collections import UserDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.errors import BadValue
from keyferry.shape.gojson import MAX_DEPTH, Number, dumps, float_text
from keyferry.shape.jsontext import GO_UTF8, bytes_of, depth_of, elements, is_json, loads, members, text_of, unquote
from tests.unit.shape.data import vectors

DATA = vectors("gojson")

# Beyond these, Python reads an integer that has more digits than the float64 has.
scalars = st.none() | st.booleans() | st.integers() | st.floats(-1e15, 1e15) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)


@pytest.mark.parametrize("case", DATA["round_trips"], ids=lambda case: case["json"])
def test_what_go_reads_and_writes_we_read_and_write(case: dict[str, str]) -> None:
    assert dumps(loads(case["json"].encode(), floats=True)).decode() == case["go"]


@pytest.mark.parametrize("case", DATA["strings"], ids=lambda case: case["value"])
def test_bytes_that_are_no_utf8_are_escaped(case: dict[str, str]) -> None:
    assert dumps(base64.b64decode(case["value"]).decode("utf-8", "surrogateescape")).decode() == case["go"]


@pytest.mark.parametrize("case", DATA["floats"], ids=lambda case: case["number"])
def test_floats_are_written_in_both_of_gos_formats(case: dict[str, str]) -> None:
    assert dumps(float(case["number"])).decode() == case["json"]
    assert float_text(float(case["number"])) == case["text"]


@pytest.mark.parametrize("document", DATA["documents"]["valid"])
def test_what_go_takes_for_json_is_json(document: str) -> None:
    loads(base64.b64decode(document))
    assert is_json(base64.b64decode(document))


@pytest.mark.parametrize("document", DATA["documents"]["invalid"])
def test_what_go_does_not_take_for_json_is_none(document: str) -> None:
    assert not is_json(base64.b64decode(document))
    with pytest.raises(BadValue, match=r"\Athe value is not JSON\Z") as caught:
        loads(base64.b64decode(document))
    assert caught.value.__context__ is None


def test_numbers_keep_their_text_unless_floats_are_asked_for() -> None:
    document = b"[1.50, 1e3, 123456789012345678901234567890, -0, 1e999]"
    assert dumps(loads(document)) == b"[1.50,1e3,123456789012345678901234567890,-0,1e999]"
    assert dumps(loads(document, floats=True)) == b"[1.5,1000,123456789012345678901234567890,-0,1e999]"
    assert type(loads(b"1")) is Number


def test_html_and_order_are_left_alone_on_request() -> None:
    value = {"b": "<&>\u2028", "a": 1}
    assert dumps(value) == rb'{"a":1,"b":"\u003c\u0026\u003e\u2028"}'
    assert dumps(value, html=False) == rb'{"a":1,"b":"<&>\u2028"}'
    assert dumps(value, sort=False) == rb'{"b":"\u003c\u0026\u003e\u2028","a":1}'


def test_mappings_and_tuples_are_objects_and_arrays() -> None:
    assert dumps(UserDict({"a": (1, 2)})) == b'{"a":[1,2]}'


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, [math.nan], object(), b"bytes", {"a": {1}}])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(BadValue, match="no place in JSON"):
        dumps(value)


def test_depth_is_bounded_both_ways() -> None:
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert dumps(loads(deepest)) == deepest
    with pytest.raises(BadValue, match="nested more than 256 levels"):
        loads(b"[" + deepest + b"]")
    value: list[Any] = []
    for _ in range(MAX_DEPTH + 1):
        value = [value]
    with pytest.raises(BadValue, match="nested more than 256 levels"):
        dumps(value)


def test_the_handler_of_bytes_that_are_no_utf8_is_for_decoding_only() -> None:
    assert b"a\xff\xe2\x82b".decode("utf-8", GO_UTF8) == "a\ufffd\ufffd\ufffdb"
    with pytest.raises(UnicodeEncodeError):
        "ä".encode("ascii", GO_UTF8)


def test_brackets_in_strings_are_no_levels() -> None:
    document = b'["' + b"[" * 1000 + rb'\"[[", [{}]]'
    assert depth_of(document) == 3
    assert is_json(document)


@given(values)
def test_python_reads_what_dumps_writes(value: Any) -> None:
    assert json.loads(dumps(value)) == value
    assert json.loads(dumps(value, html=False, sort=False)) == value


@given(values)
def test_dumps_is_stable_under_reading_and_writing(value: Any) -> None:
    once = dumps(value)
    assert dumps(loads(once)) == once


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_comes_back_from_both_texts(number: float) -> None:
    assert float(dumps(number)) == number
    assert float(float_text(number)) == number
    assert "e" not in float_text(number)


@given(st.dictionaries(st.text(), values), st.sampled_from([None, 0, 3]))
def test_members_are_the_text_of_an_object(document: dict[str, Any], indent: int | None) -> None:
    text = text_of(json.dumps(document, indent=indent, ensure_ascii=False).encode())
    read = {json.loads(bytes_of(key)): json.loads(bytes_of(raw)) for key, raw in members(text)}
    assert read == document
    assert [bytes_of(unquote(key)).decode() for key, _ in members(text)] == list(document)


@given(st.lists(values), st.sampled_from([None, 0, 3]))
def test_elements_are_the_text_of_an_array(items: list[Any], indent: int | None) -> None:
    text = text_of(json.dumps(items, indent=indent).encode())
    assert [json.loads(bytes_of(raw)) for raw in elements(text)] == items


@given(st.binary(max_size=40))
def test_any_bytes_are_json_or_not(document: bytes) -> None:
    try:
        json.loads(document.decode("utf-8", "replace"), parse_constant=int)
        expected = True
    except ValueError:
        expected = False
    assert is_json(document) == (expected and not document.startswith(b"\xef\xbb\xbf"))
