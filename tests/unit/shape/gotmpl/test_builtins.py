"""What vectors cannot show of text/template's own functions: its ``slice``, which sprig's hides, and errors."""

from __future__ import annotations

import re

import pytest

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.functions.builtins import REGISTRY, truth
from keyferry.shape.gotmpl.types import INT64, STRINGS
from keyferry.shape.gotmpl.values import Number, TypedSlice, Value, strings, type_of

CANARY = "canary-" + "1c2e"
slice_ = REGISTRY.functions["slice"].call


@pytest.mark.parametrize(
    ("item", "indexes", "cut"),
    [
        ("abcd", (), "abcd"),
        ("abcd", (1,), "bcd"),
        ("abcd", (1, 3), "bc"),
        ("abcd", (4,), ""),
        ("é", (1,), "\udca9"),
        (b"abcd", (1, 2), b"b"),
        ([1, 2, 3], (1,), [2, 3]),
        ([1, 2, 3], (0, 2, 3), [1, 2]),
        ([1, 2, 3], (Number(1, INT64), 3), [2, 3]),
        ([], (0, 0), []),
    ],
)
def test_a_slice_is_a_part(item: Value, indexes: tuple[Value, ...], cut: Value) -> None:
    assert slice_(item, *indexes) == cut
    assert type_of(slice_(item, *indexes)) == type_of(item)


def test_a_slice_keeps_its_type() -> None:
    part = slice_(strings(["a", "b"]), 1)
    assert isinstance(part, TypedSlice)
    assert part.go_type is STRINGS


@pytest.mark.parametrize(
    ("item", "indexes", "told"),
    [
        (None, (), "nil has no parts"),
        ({"a": CANARY}, (0,), "a value of type map[string]interface {} has no parts"),
        (CANARY, (0, 1, 2), "a string takes two indexes at most"),
        ([CANARY], (0, 0, 0, 0), "too many slice indexes: 4"),
        ([CANARY], (2,), "the index is out of range"),
        ([CANARY], (-1,), "the index is out of range"),
        ([CANARY], (1, 0), "the indexes are not in ascending order"),
        ([CANARY], (0, 1, 0), "the indexes are not in ascending order"),
        ([CANARY], (CANARY,), "an index is an integer, not string"),
        ([CANARY], (True,), "an index is an integer, not bool"),
        ([CANARY], (None,), "an index is an integer, not nil"),
    ],
)
def test_what_cannot_be_sliced_is_refused(item: Value, indexes: tuple[Value, ...], told: str) -> None:
    with pytest.raises(FunctionError, match=re.escape(told)) as caught:
        slice_(item, *indexes)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("eq", ([CANARY], [CANARY])),
        ("eq", ([CANARY], {})),
        ("eq", (1, CANARY)),
        ("ne", (True, CANARY)),
        ("lt", ([CANARY], 1)),
        ("gt", (CANARY, 1)),
        ("index", ([CANARY], 7)),
        ("index", ({"a": 1}, 7)),
        ("index", (7, CANARY)),
        ("call", (CANARY, CANARY)),
        ("len", (7,)),
    ],
)
def test_no_error_tells_a_value(name: str, arguments: tuple[Value, ...]) -> None:
    with pytest.raises(FunctionError) as caught:
        REGISTRY.functions[name].call(*arguments)
    assert CANARY not in str(caught.value)
    assert not re.search(r"\b7\b", str(caught.value))


@pytest.mark.parametrize("value", [None, False, 0, 0.0, 0j, "", b"", [], {}, Number(0, INT64), strings([])])
def test_what_is_empty_is_false(value: Value) -> None:
    assert not truth(value)


@pytest.mark.parametrize("value", [True, -1, 0.1, float("nan"), 1j, "0", b"\0", [None], {"": None}, Number(2, INT64)])
def test_the_rest_is_true(value: Value) -> None:
    assert truth(value)
