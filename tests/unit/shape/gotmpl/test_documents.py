"""What vectors cannot show of JSON and YAML: bounds, and that no error tells a value."""

from __future__ import annotations

import datetime as dt
import json
import math
import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.shape.gotmpl import FUNCTIONS, Limits, World
from keyferry.shape.gotmpl.documents import Unfit, dumps, loads
from keyferry.shape.gotmpl.errors import FunctionError, LimitError
from keyferry.shape.gotmpl.registry import declare
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.types import CERTIFICATE
from keyferry.shape.gotmpl.values import Struct, Value

CANARY = "canary-" + "33de"
WORLD = World(now=lambda: dt.datetime.now(dt.UTC), monotonic=time.monotonic, entropy=bytes)

texts = st.text(st.characters(exclude_categories=["Cs"]))
documents = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


class Both(Struct):
    go_type = CERTIFICATE

    def __init__(self, key: str) -> None:
        self.key = key

    def fields(self) -> Mapping[str, Value]:
        return {"Key": self.key, "Cert": [1, None]}


def refuse(_value: Struct) -> bytes:
    raise FunctionError("the year is too large", detail=CANARY)


class Refusing(Both):
    methods = {"MarshalJSON": declare("MarshalJSON", "func() ([]uint8, error)", refuse)}  # noqa: RUF012 -- as the contract has it


def run(**limits: Any) -> Run:
    return Run(WORLD, Limits(**limits))


def call(function: str, value: Value, **limits: Any) -> Any:
    return FUNCTIONS[function].call(run(**limits), value)


@given(documents)
def test_what_was_written_is_read_again(value: Any) -> None:
    for name in ("toJson", "toRawJson", "toPrettyJson"):
        assert call("fromJson", call(name, value)) == value


@given(documents)
def test_pretty_json_is_what_python_makes_of_it(value: Any) -> None:
    compact = dumps(run(), value)
    strings = json.dumps(json.loads(compact, parse_float=str, parse_int=str), indent=2, sort_keys=False)
    assert json.loads(call("toPrettyJson", value)) == json.loads(compact)
    assert call("toPrettyJson", value).count("\n") == strings.count("\n")


def test_a_struct_is_an_object_of_its_fields_in_their_order() -> None:
    assert call("toJson", [Both("k")]) == '[{"Key":"k","Cert":[1,null]}]'
    assert call("toYaml", Both("k")) == "Cert:\n- 1\n- null\nKey: k"


def test_a_struct_that_refuses_to_be_json_is_none() -> None:
    assert call("toJson", Refusing("k")) == ""
    assert call("toYaml", [Refusing("k")]) == ""
    with pytest.raises(Unfit, match=r"\Athe year is too large\Z") as caught:
        call("mustToJson", Refusing("k"))
    assert CANARY in caught.value.detail


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ('{"a": "CANARY",\n "b" 1}', "this is not JSON: line 2, column 6"),
        ('"CANARY', "this is not JSON: line 1, column 1"),
        ('["CANARY", NaN]', "this is not JSON: NaN and infinity have no place in it"),
        ('["CANARY", 1e999]', "a number is too large for a float"),
    ],
)
def test_an_error_tells_the_place_and_no_value(document: str, told: str) -> None:
    with pytest.raises(Unfit) as caught:
        call("mustFromJson", document.replace("CANARY", CANARY))
    assert str(caught.value) == told
    assert caught.value.__context__ is None


def test_a_map_that_holds_itself_is_refused_by_all() -> None:
    loop: dict[str, Value] = {}
    loop["a"] = [loop]
    for name in ("toJson", "mustToJson", "toPrettyJson", "mustToPrettyJson", "toRawJson", "mustToRawJson", "toYaml"):
        with pytest.raises(LimitError, match="nested more than 100 levels deep"):
            call(name, loop)


def test_a_list_that_is_shared_many_times_is_refused() -> None:
    shared: list[Value] = ["x"]
    for _ in range(50):
        shared = [shared, shared]
    for name in ("toJson", "toPrettyJson", "toYaml"):
        with pytest.raises(LimitError):
            call(name, shared)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("name", ["fromJson", "mustFromJson", "fromYaml"])
def test_text_that_is_nested_too_deep_is_refused(name: str, opening: str) -> None:
    for levels in (101, 100_000):
        with pytest.raises(LimitError, match="nested more than 100 levels deep"):
            call(name, opening * levels + "1" + ("]" if opening == "[" else "}") * levels)


def test_text_at_the_limit_is_read() -> None:
    assert call("fromJson", "[" * 100 + "]" * 100)
    assert call("fromYaml", "{a: " * 99 + "1" + "}" * 99)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fromJson", "[" + "1," * 20_000 + "1]"),
        ("fromJson", '"' + "x" * 200_000 + '"'),
        ("fromYaml", "a: " + "x" * 200_000),
    ],
)
def test_what_is_read_is_counted(name: str, text: str) -> None:
    assert call(name, text)
    with pytest.raises(LimitError):
        call(name, text, memory=100_000)


@pytest.mark.parametrize(
    "text", ["- 1\n" * 5000, "a: 1\n" * 5000, "[1" + ",1" * 5000, "{a: &a 1" + ", b: *a" * 3000 + "}"]
)
def test_reading_yaml_takes_steps(text: str) -> None:
    with pytest.raises(LimitError, match="takes more than 5000 steps"):
        call("fromYaml", text, steps=5000)


def test_indentation_is_counted_before_it_is_made() -> None:
    deep: Value = "\n".join(["x"] * 50_000)
    for _ in range(90):
        deep = [deep]
    with pytest.raises(LimitError, match="makes more than"):
        call("toYaml", deep, memory=4 << 20)
    many: Value = [1] * 20_000
    for _ in range(90):
        many = [many]
    with pytest.raises(LimitError, match="makes more than"):
        call("toPrettyJson", many, memory=2 << 20)


@pytest.mark.parametrize("value", [math.nan, math.inf, [-math.inf], {"a": 1j}])
def test_what_json_cannot_hold_is_nothing_or_an_error(value: Value) -> None:
    for name in ("toJson", "toPrettyJson", "toYaml"):
        assert call(name, value) == ""
    for name in ("mustToJson", "mustToPrettyJson", "toRawJson", "mustToRawJson"):
        with pytest.raises(Unfit, match="no place in JSON"):
            call(name, value)


@given(st.text(max_size=30) | st.text('{}[]",:0123456789.eE+-tfn \\u\udcff', max_size=30))
def test_any_text_is_read_as_python_reads_it_or_refused(text: str) -> None:
    try:
        value = loads(run(), text)
    except Unfit:
        return
    readable = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    assert value == json.loads(readable, parse_int=float)


@given(st.text(max_size=40))
def test_any_yaml_gives_a_map(text: str) -> None:
    read = call("fromYaml", text)
    assert isinstance(read, dict)
    assert isinstance(call("toYaml", read), str)
