"""Lists, dicts, defaults and reflection beyond the vectors: bounds, order, secrecy, and what holds for any value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.shape.gotmpl import LimitError
from keyferry.shape.gotmpl.functions.dicts import deep_copy, merge_overwrite, must_merge
from keyferry.shape.gotmpl.functions.lists import chunk, concat, has, uniq, without
from keyferry.shape.gotmpl.functions.reflection import deep_equal
from keyferry.shape.gotmpl.types import INT64
from keyferry.shape.gotmpl.values import Number, Value, ints, strings
from tests.unit.shape.gotmpl.rendering import new_run, refused, render, rendered

CANARY = "canary-" + "77e1c0"
OWN = "{{ $d := dict }}{{ $_ := set $d `x` $d }}"
SHARED = "{{ $d := dict `a` 1 }}{{ range until 60 }}{{ $d = dict `a` $d `b` $d }}{{ end }}"

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, -0.0])
    | st.sampled_from(["", "a", "b", "\udcff"])
    | st.integers(-1, 1).map(lambda number: Number(number, INT64))
)
values: st.SearchStrategy[Value] = st.recursive(
    scalars | st.lists(st.sampled_from(["a", "b"]), max_size=2).map(strings),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=8,
)
dicts = st.dictionaries(st.sampled_from(["a", "b", "c"]), values, max_size=3)


@pytest.mark.parametrize(
    "template",
    [
        OWN + "{{ $_ := deepCopy $d }}",
        OWN + "{{ $_ := merge $d $d }}",
        OWN + "{{ $_ := mergeOverwrite $d $d }}",
        OWN + "{{ $e := dict }}{{ $_ := set $e `x` $e }}{{ $_ := merge $d $e }}",
        SHARED + "{{ $_ := deepCopy $d }}",
        SHARED + "{{ $_ := merge $d $d }}",
        "{{ $l := list 1 }}{{ range until 60 }}{{ $l = concat $l $l }}{{ end }}",
        "{{ $l := list 1 }}{{ range until 60 }}{{ $l = list $l $l }}{{ end }}{{ $_ := deepCopy $l }}",
        "{{ $l := list }}{{ range until 100000 }}{{ $l = append $l $l }}{{ end }}",
        "{{ $l := list }}{{ range $i := until 3000 }}{{ $l = append $l (list $i) }}{{ end }}{{ $_ := uniq $l }}",
    ],
)
def test_values_that_hold_themselves_or_grow_without_end_are_stopped(template: str) -> None:
    with pytest.raises(LimitError):
        rendered(template)


def test_a_value_that_holds_itself_equals_itself_and_its_like() -> None:
    shared = "{{ $c := $d }}" + SHARED.removeprefix("{{ $d := dict `a` 1 }}")
    assert render(OWN + "{{ deepEqual $d (dict `x` $d) }}") == "true"
    assert render(f"{{{{ $d := dict `a` 1 }}}}{shared}{{{{ deepEqual $d $d }}}}") == "true"


def test_two_values_of_the_same_shape_are_compared_in_time_however_much_they_share() -> None:
    twin = SHARED.replace("$d", "$e")
    assert render(SHARED + twin + "{{ deepEqual $d $e }}") == "true"


def test_where_the_order_is_random_in_go_it_is_sorted_here() -> None:
    made = '{{ $d := dict "b" 1 "ä" 2 "a" 3 "Z" 4 }}'
    assert render(made + "{{ keys $d }} {{ values $d }}") == "[Z a b ä] [4 3 1 2]"
    assert render('{{ keys (dict "b" 1 "a" 2) (dict "c" 1 "0" 2) }}') == "[a b 0 c]"


def test_slice_cannot_see_behind_the_end_of_a_list() -> None:
    # Go's append makes room for more, and slice shows it as nil.
    assert "the bounds of the slice" in refused("{{ slice (append (list 1 2 3) 4) 0 (len .k) }}", k="12345")


def test_long_lists_of_plain_values_are_made_unique_in_time() -> None:
    assert (
        render("{{ $l := until 20000 }}{{ len (uniq (concat $l $l)) }} {{ len (without $l 1 2 3) }}") == "20000 19997"
    )


@pytest.mark.parametrize(
    "template",
    [
        "{{ first .k }}",
        "{{ append .k 1 }}",
        "{{ concat .k }}",
        "{{ chunk 2 .k }}",
        "{{ slice .k 1 }}",
        "{{ has 1 .k }}",
        '{{ dig .k "x" (list .k) }}',
        '{{ dig "a" .k "x" (dict "a" .k) }}',
        '{{ dig (list .k) "x" (dict) }}',
        "{{ merge (dict .k .) (dict .k (dict .k .k)) }}",
        "{{ set . .k .k }}",
        "{{ slice (list .k) (.k | len) }}",
    ],
)
def test_errors_show_no_value(template: str) -> None:
    assert CANARY not in refused(template, k=CANARY)


@given(st.lists(values, max_size=8), st.integers(1, 9))
def test_chunks_put_together_are_the_list(items: list[Value], size: int) -> None:
    run = new_run()
    pieces = chunk(run, size, items)
    assert concat(run, *pieces) == items
    assert all(len(piece) == size for piece in pieces[:-1] if isinstance(piece, list))


@given(values)
def test_a_deep_copy_equals_its_original(value: Value) -> None:
    run = new_run()
    if value is not None:
        assert deep_equal(run, deep_copy(run, value), value)


@given(values, values)
def test_equality_is_symmetric_and_agrees_with_has(one: Value, other: Value) -> None:
    run = new_run()
    equal = deep_equal(run, one, other)
    assert deep_equal(run, other, one) is equal
    assert has(run, one, [other]) is equal
    assert len(uniq(run, [one, other])) == (1 if equal else 2)
    assert len(without(run, [one], other)) == (0 if equal else 1)


@given(dicts, dicts)
def test_a_merge_loses_nothing_of_the_side_that_wins(one: dict[str, Value], other: dict[str, Value]) -> None:
    run = new_run()
    merged = must_merge(run, _copied(one), other)
    overwritten = merge_overwrite(run, _copied(one), other)
    assert merged.keys() <= one.keys() | other.keys()
    assert overwritten.keys() == one.keys() | other.keys()
    for key, value in one.items():
        if value and not isinstance(value, dict):
            assert deep_equal(run, merged[key], value)
    for key, value in other.items():
        if not isinstance(value, dict):
            assert deep_equal(run, overwritten[key], value)


def test_equality_of_typed_lists_asks_for_their_type() -> None:
    run = new_run()
    assert not deep_equal(run, ints([]), strings([]))
    assert not deep_equal(run, [], strings([]))
    assert deep_equal(run, ints([1]), ints([1]))


def _copied(given_dict: dict[str, Value]) -> dict[str, Value]:
    copied = deep_copy(new_run(), given_dict)
    assert isinstance(copied, dict)
    return copied
