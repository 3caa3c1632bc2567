"""What vectors cannot show of Go's ``fmt``: bounds, addresses, and types that no template makes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.shape.gotmpl import Limits, World
from keyferry.shape.gotmpl.errors import FunctionError, LimitError
from keyferry.shape.gotmpl.fmt import print_value, quote, sprint, sprintf, sprintln, string_method
from keyferry.shape.gotmpl.literals import unquote
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.types import (
    BYTES,
    DURATION,
    INT64,
    MONTH,
    STRING_MAP,
    STRINGS,
    UINT8,
    WEEKDAY,
    GoType,
    slice_of,
)
from keyferry.shape.gotmpl.values import Number, Struct, TypedMap, TypedSlice, Value, runes

CANARY = "canary-" + "90aa"
WORLD = World(now=lambda: dt.datetime.now(dt.UTC), monotonic=lambda: 0.0, entropy=bytes)


class Pair(Struct):
    go_type = GoType("sprig.pair", "struct")

    def __init__(self, left: Value, right: Value) -> None:
        self.left, self.right = left, right

    def fields(self) -> Mapping[str, Value]:
        return {"Left": self.left, "Right": self.right}


class PointerToPair(Pair):
    go_type = GoType("*sprig.pair", "ptr")


class Named(Pair):
    def go_string(self) -> str:
        return f"<{self.left!s}>"


def run(**limits: Any) -> Run:
    return Run(WORLD, Limits(**limits))


@pytest.mark.parametrize(
    ("form", "printed"),
    [
        ("%v", "{a [1 <nil>]}"),
        ("%+v", "{Left:a Right:[1 <nil>]}"),
        ("%#v", 'sprig.pair{Left:"a", Right:[]interface {}{1, interface {}(nil)}}'),
        ("%d", "{%!d(string=a) [1 <nil>]}"),
    ],
)
def test_a_struct_is_printed_by_its_fields(form: str, printed: str) -> None:
    assert sprintf(run(), form, [Pair("a", [1, None])]) == printed
    assert sprintf(run(), form, [PointerToPair("a", [1, None])]) == f"&{printed}"


def test_a_pointer_within_something_else_would_be_an_address() -> None:
    with pytest.raises(FunctionError, match=r"\*sprig\.pair cannot be printed with this verb"):
        print_value(run(), [PointerToPair(CANARY, 1)])


@pytest.mark.parametrize("value", [[1], {"a": 1}, b"a", PointerToPair(CANARY, 1)])
def test_the_address_of_a_value_means_nothing(value: Value) -> None:
    with pytest.raises(FunctionError, match="is an address in memory") as caught:
        sprintf(run(), "%p", [value])
    assert CANARY not in str(caught.value)


def test_a_struct_with_a_method_is_printed_by_it_or_not_at_all() -> None:
    value = Named("a", 1)
    assert sprintf(run(), "%v|%s|%q|%5v|%x", [value] * 5) == '<a>|<a>|"<a>"|  <a>|3c613e'
    assert sprint(run(), [[value]]) == "[<a>]"
    for form in ("%d", "%#v", "%t"):
        with pytest.raises(FunctionError, match="use %v or %s"):
            sprintf(run(), form, [value])


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Number(1, MONTH), "January"),
        (Number(12, MONTH), "December"),
        (Number(0, MONTH), "%!Month(0)"),
        (Number(13, MONTH), "%!Month(13)"),
        (Number(-1, MONTH), "%!Month(18446744073709551615)"),
        (Number(0, WEEKDAY), "Sunday"),
        (Number(6, WEEKDAY), "Saturday"),
        (Number(7, WEEKDAY), "%!Weekday(7)"),
        (Number(-(1 << 63), DURATION), "-2562047h47m16.854775808s"),
        (Number((1 << 63) - 1, DURATION), "2562047h47m16.854775807s"),
        (Number(1_100_000, DURATION), "1.1ms"),
        (Number(5, INT64), None),
        (5, None),
        ("a", None),
    ],
)
def test_numbers_with_names_are_named(number: Value, text: str | None) -> None:
    assert string_method(number) == text
    assert print_value(run(), number) == (str(number) if text is None else text)


@pytest.mark.parametrize(
    ("value", "printed", "syntax"),
    [
        (TypedMap({}, STRING_MAP, is_nil=True), "map[]", "map[string]string(nil)"),
        (TypedMap({"a": "b"}, STRING_MAP), "map[a:b]", 'map[string]string{"a":"b"}'),
        (TypedSlice([], STRINGS, is_nil=True), "[]", "[]string(nil)"),
        (TypedSlice([b"a", None], slice_of(BYTES)), "[[97] <nil>]", "[][]uint8{[]uint8{0x61}, []uint8(nil)}"),
        ([Number(97, UINT8)], "[97]", "[]interface {}{0x61}"),
    ],
)
def test_typed_values_are_printed_like_others_and_named_in_go_syntax(value: Value, printed: str, syntax: str) -> None:
    assert print_value(run(), value) == printed
    assert sprintf(run(), "%#v", [value]) == syntax


@pytest.mark.parametrize("form", ["%v", "%+v", "%#v", "%d"])
def test_a_map_that_holds_itself_is_refused(form: str) -> None:
    loop: dict[str, Value] = {}
    loop["a"] = loop
    with pytest.raises(LimitError, match="nested more than 100 levels deep"):
        sprintf(run(), form, [loop])
    with pytest.raises(LimitError, match="nested more than 100 levels deep"):
        print_value(run(), loop)


def test_a_list_that_is_shared_many_times_is_refused_before_it_is_printed() -> None:
    shared: list[Value] = ["x"]
    for _ in range(50):
        shared = [shared, shared]
    with pytest.raises(LimitError):
        print_value(run(), shared)


@pytest.mark.parametrize(
    ("form", "values"),
    [
        ("%1000000d", [1]),
        ("%-1000000s", ["a"]),
        ("%.1000000f", [1.5]),
        ("%.1000000d", [1]),
        ("%.1000000U", [1]),
        ("%0*d", [1000000, 1]),
        ("%1000v", [[1] * 1000]),
        ("%1000000v", [b"ab"]),
        ("%09000000e", [1.5]),
    ],
)
def test_widths_are_counted_before_anything_is_made(form: str, values: list[Value]) -> None:
    with pytest.raises(LimitError, match="makes more than"):
        sprintf(run(memory=900_000), form, values)
    assert len(sprintf(run(), form, values)) >= 1_000_000


def test_printing_takes_steps() -> None:
    with pytest.raises(LimitError, match="takes more than"):
        print_value(run(steps=1000), [1] * 2000)
    with pytest.raises(LimitError, match="takes more than"):
        sprintf(run(steps=1000), "%%" * 2000, [])


@given(st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_what_is_quoted_can_be_unquoted(text: str) -> None:
    quoted = quote(text)
    assert quoted == sprintf(run(), "%q", [text])
    unquoted = unquote(quoted)
    assert unquoted is not None
    assert runes(unquoted) == runes(text)


pieces = st.sampled_from([*"%%%%vdsqxfgeTbcU#+- 0*.[]123é", "%v", "[1]", "\udcff"])
leaves = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats() | st.text(max_size=5)
values = st.recursive(
    leaves | st.binary(max_size=3) | st.complex_numbers(), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


@given(st.lists(pieces, max_size=12).map("".join), st.lists(values, max_size=3))
def test_any_format_prints_any_values(form: str, arguments: list[Value]) -> None:
    assert isinstance(sprintf(run(), form.replace("p", ""), arguments), str)


@given(st.lists(values, max_size=4))
def test_println_is_print_with_blanks_everywhere(arguments: list[Value]) -> None:
    assert sprintln(run(), arguments) == " ".join(sprint(run(), [each]) for each in arguments) + "\n"
