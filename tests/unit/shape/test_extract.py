from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry import errors
from keyferry.errors import BadValue, KeyferryError, PropertyNotThere
from keyferry.ports import Fetched, Layout
from keyferry.shape import extract
from tests.unit.shape.data import vectors

CANARY = "canary-5f1b"
DATA = vectors("extract")
TEXT, OBJECT, KEYED = Layout(form="text"), Layout(form="object"), Layout(form="keyed")
CASES = DATA["cases"]


def fetched(name: str) -> Fetched:
    document = DATA["documents"][name]
    if isinstance(document, dict):
        return Fetched({key: value.encode() for key, value in document.items()})
    return Fetched(document.encode())


def spread(kind: str) -> list[Any]:
    return [
        pytest.param(case, wanted, expected, id=f"{case['rule']}: {wanted!r}")
        for case in CASES
        for wanted, expected in case.get(kind, {}).items()
    ]


def test_vectors_are_plenty() -> None:
    assert len(spread("one")) + len(spread("many")) + len(spread("error")) + len(spread("many_error")) > 80


@pytest.mark.parametrize(("case", "wanted", "expected"), spread("one"))
def test_one_value_is_the_property_of_the_document(case: dict[str, Any], wanted: str, expected: str) -> None:
    value = extract.one(
        fetched(case["document"]),
        wanted,
        Layout(**case["layout"]),
        key="the-key",
        metadata=case.get("metadata", False),
    )
    assert value.decode() == expected


@pytest.mark.parametrize(("case", "wanted", "expected"), spread("many"))
def test_many_values_are_the_members_of_an_object(case: dict[str, Any], wanted: str, expected: dict[str, str]) -> None:
    values = extract.many(
        fetched(case["document"]),
        wanted,
        Layout(**case["layout"]),
        key="the-key",
        metadata=case.get("metadata", False),
    )
    assert {name: value.decode() for name, value in values.items()} == expected


@pytest.mark.parametrize(("case", "wanted", "expected"), spread("error"))
@pytest.mark.parametrize("call", [extract.one, extract.many])
def test_what_cannot_be_had_is_told_with_its_reason(
    case: dict[str, Any], wanted: str, expected: dict[str, str], call: Any
) -> None:
    with pytest.raises(KeyferryError) as caught:
        call(
            fetched(case["document"]),
            wanted,
            Layout(**case["layout"]),
            key="the-key",
            metadata=case.get("metadata", False),
        )
    assert type(caught.value) is getattr(errors, expected["type"])
    assert expected["says"] in str(caught.value)


@pytest.mark.parametrize(("case", "wanted", "expected"), spread("many_error"))
def test_a_map_is_made_of_an_object_only(case: dict[str, Any], wanted: str, expected: str) -> None:
    with pytest.raises(BadValue) as caught:
        extract.many(fetched(case["document"]), wanted, Layout(**case["layout"]), key="the-key")
    assert str(caught.value) == f"{expected}: extract needs one; read a single value with spec.data"


@pytest.mark.parametrize(
    ("document", "wanted", "layout"),
    [
        (CANARY.encode(), "x", TEXT),
        (f'{{"a": "{CANARY}"'.encode(), "a", TEXT),
        (f'{{"a": "{CANARY}"'.encode(), "", OBJECT),
        (f'{{"a": "{CANARY}"}}'.encode(), "b", TEXT),
        (f'{{"a": "{CANARY}"}}'.encode(), "a.b", TEXT),
        (f'["{CANARY}"]'.encode(), "x", TEXT),
        (f'"{CANARY}"'.encode(), "", OBJECT),
        ({"a": CANARY.encode()}, "a.b", KEYED),
        ({"a": f'{{"c": "{CANARY}"}}'.encode()}, "a.b", KEYED),
    ],
)
@pytest.mark.parametrize("call", [extract.one, extract.many])
def test_no_error_holds_the_value(document: Any, wanted: str, layout: Layout, call: Any) -> None:
    with pytest.raises(KeyferryError) as caught:
        call(Fetched(document), wanted, layout, key="k")
    error: BaseException | None = caught.value
    while error is not None:
        assert CANARY not in repr(error)
        assert CANARY not in str(error)
        assert CANARY not in repr(vars(error))
        error = error.__cause__ or error.__context__


def test_at_most_three_names_are_shown_and_long_ones_are_cut() -> None:
    document = json.dumps({f"name-{number}" + "x" * 200: "" for number in range(9)}).encode()
    with pytest.raises(PropertyNotThere) as caught:
        extract.one(Fetched(document), "name-4", TEXT, key="k")
    assert caught.value.remedy.count('"') == 6
    assert len(caught.value.remedy) < 300


def test_names_of_other_types_and_depths_do_not_break_the_suggestion() -> None:
    document = b'{"a": [{"b": {"c": 1}}], "d": null}'
    with pytest.raises(PropertyNotThere, match=r'did you mean "a\.0\.b\.c"'):
        extract.one(Fetched(document), "a.0.b.d", TEXT, key="k")


def test_binary_values_of_a_flat_map_stay_as_they_are() -> None:
    document = {"cert": b"\x30\x82\xff"}
    assert extract.one(Fetched(document), "cert", KEYED, key="k") == b"\x30\x82\xff"
    assert extract.many(Fetched(document), "", KEYED, key="k") == document


def test_bytes_that_are_no_utf8_are_escaped_in_the_json_of_a_flat_map() -> None:
    assert extract.one(Fetched({"a": b"\xff<"}), "", KEYED, key="k") == b'{"a":"\\ufffd<"}'


def test_bytes_that_are_no_utf8_stay_in_a_property_and_become_u_fffd_in_a_map() -> None:
    document = b'{"a": "\xff", "b": ["\xff"]}'
    assert extract.one(Fetched(document), "a", TEXT, key="k") == b"\xff"
    assert extract.many(Fetched(document), "", TEXT, key="k") == {"a": "\ufffd".encode(), "b": b'["\xff"]'}


numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), values), st.sampled_from([TEXT, OBJECT]))
def test_every_member_of_a_map_can_be_read_back(document: dict[str, Any], layout: Layout) -> None:
    members = extract.many(Fetched(json.dumps(document).encode()), "", layout, key="k")
    assert members.keys() == document.keys()
    for name, value in document.items():
        if isinstance(value, str):
            assert members[name].decode() == value
        elif value is None:
            assert members[name] == b""
        else:
            assert json.loads(members[name], parse_int=float) == value


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_a_literal_key_is_found_whatever_it_is_called(document: dict[str, str]) -> None:
    body = Fetched(json.dumps(document).encode())
    for layout in (OBJECT, Layout(form="object", paths="literal-only"), Layout(paths="literal-only")):
        for name, value in document.items():
            assert extract.one(body, name, layout, key="k").decode() == value


@given(st.dictionaries(st.text(alphabet="abc.-_", min_size=1), st.binary()), st.text(alphabet="abc.-_"))
def test_a_flat_map_answers_exact_keys_with_their_bytes(document: dict[str, bytes], wanted: str) -> None:
    for name, value in document.items():
        assert extract.one(Fetched(document), name, KEYED, key="k") == value
    whole = json.loads(extract.one(Fetched(document), "", KEYED, key="k"))
    assert whole.keys() == document.keys()


@given(st.binary(), st.text(max_size=20), st.sampled_from([TEXT, OBJECT]))
def test_any_bytes_and_any_property_give_a_value_or_an_error_of_ours(
    document: bytes, wanted: str, layout: Layout
) -> None:
    try:
        value = extract.one(Fetched(document), wanted, layout, key="k")
    except KeyferryError:
        return
    assert isinstance(value, bytes)
