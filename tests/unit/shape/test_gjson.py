from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.errors import BadValue
from keyferry.shape.gjson import Result, get
from keyferry.shape.gjson.modifiers import NAMES
from tests.unit.shape.data import vectors

DATA = vectors("gjson")
CASES = [
    pytest.param(DATA["documents"][rule["json"]], case, id=f"{rule['rule']}: {case['path']!r} of {rule['json']}")
    for rule in DATA["rules"]
    for case in rule["cases"]
]
SPECIAL = re.compile(r'([.*?|\\#@!{}\[\]()"])')

keys = st.text(alphabet=st.sampled_from('ab.*?|\\#@!{}[]()":, é"'), max_size=5)
scalars = st.none() | st.booleans() | st.integers() | st.text(alphabet='ab<&é"\\\n', max_size=4)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)
PIECES = [*'ab.*?|#()[]{}@!"\\:,=<>%~0', *(f"@{name}" for name in sorted(NAMES)), "#(", ")#", "==", '"a"', "..", "|@"]
paths = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def test_vectors_are_plenty() -> None:
    assert len(CASES) >= 150


@pytest.mark.parametrize(("document", "case"), CASES)
def test_a_path_leads_where_go_says(document: str, case: dict[str, str]) -> None:
    result = get(document.encode(), case["path"])
    assert result.exists == ("raw" in case)
    assert result.raw.decode() == case.get("raw", "")
    assert result.text.decode() == case.get("text", case.get("raw", ""))


@pytest.mark.parametrize(
    ("document", "path", "raw"),
    [
        pytest.param('{"a":"\\ud800\\u0041"}', "a", '"\\ud800\\u0041"', id="raw text with half a surrogate pair"),
        pytest.param('{"a":["[1]"]}', "a.0|0", "", id="brackets in a string are no JSON"),
        pytest.param('"{\\"a\\":1}"', "a", "", id="a string that holds JSON has no members"),
        pytest.param('{"a":"1 and more"}', "a.@fromstr", "", id="@fromstr gives nothing where a string is no JSON"),
        pytest.param("{}", "[!1.2.3,!2]", "[2]", id="a literal that is no JSON is left out"),
        pytest.param("{}", "!inf", "", id="infinity is no JSON"),
        pytest.param('[{},{"a":1}]', '@join:{"preserve":true}', '{"a":1}', id="@join leaves no empty places"),
        pytest.param("[[1]]", '@flatten:{"deep":tru}', "[1]", id="an argument that is no JSON is ignored"),
        pytest.param("[1,2]", "18446744073709551616", "", id="an index does not wrap round"),
    ],
)
def test_where_go_gives_what_is_no_json_we_do_not(document: str, path: str, raw: str) -> None:
    assert get(document.encode(), path).raw.decode() == raw


def test_half_a_surrogate_pair_swallows_nothing() -> None:
    assert get(rb'{"a":"\ud800\u0041"}', "a").text == "\ufffdA".encode()


def test_a_number_beyond_float64_keeps_its_text() -> None:
    assert get(b'{"a":1e999}', "a").text == b"1e999"


@pytest.mark.parametrize(
    ("document", "kind"),
    [("null", "null"), ("true", "true"), ("false", "false"), ("1", "number"), ('"x"', "string"), ("{}", "json")],
)
def test_a_result_has_a_kind(document: str, kind: str) -> None:
    assert get(document.encode(), "@this").kind == kind


def test_a_result_that_does_not_exist_is_empty() -> None:
    missing = get(b"{}", "a")
    assert (missing.exists, missing.kind, missing.raw, missing.text) == (False, "null", b"", b"")


def test_the_repr_of_a_result_shows_no_value() -> None:
    assert repr(Result(b'"canary"')) == "Result(exists=True, kind='string')"


def test_bytes_that_are_no_utf8_are_kept_and_can_be_matched() -> None:
    document = b'{"k\xff":"\xfe","list":["a\xff","b"]}'
    assert get(document, "k*").raw == b'"\xfe"'
    assert get(document, "k*").text == b"\xfe"
    assert get(document, 'list.#(%"a?")').raw == b'"a\xff"'
    assert get(document, "list.0.@tostr").raw == rb'"\"a\ufffd\""'


def test_json_lines_are_the_elements_of_an_array() -> None:
    lines = b'{"a":1}\n\n{"a":2}\r\n[3]\n'
    assert get(lines, "..#").raw == b"3"
    assert get(lines, "..#.a").raw == b"[1,2]"
    assert get(lines, "..2.0").raw == b"3"


@pytest.mark.parametrize("document", [b"", b"canary", b'{"a":1', b'{"a":1}{"a":2}', b"{'a':1}", b'{"a":1,}'])
@pytest.mark.parametrize("path", ["a", "..0", "@this"])
def test_what_is_not_json_is_refused_without_showing_it(document: bytes, path: str) -> None:
    with pytest.raises(BadValue) as caught:
        get(document, path)
    assert str(caught.value) == "the value is not JSON"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


SMALL = b'{"a":[1,2,{"b":"x"}]}'
BIG = dumped([{"a": number, "b": {"c": ["x" * 20]}} for number in range(4000)])
NESTED = b"[" * 250 + b"]" * 250


@pytest.mark.parametrize(
    ("document", "path"),
    [
        pytest.param(b"[" * 100_000, "0", id="100,000 arrays"),
        pytest.param(b'{"a":' * 100_000, "a", id="100,000 objects"),
        pytest.param(b"[" * 257 + b"]" * 257, "@this", id="one level too many"),
        pytest.param(SMALL, "[" * 4000 + "a" + "]" * 4000, id="multipaths in multipaths"),
        pytest.param(NESTED, "#(" * 200 + ")" * 200, id="queries in queries"),
        pytest.param(NESTED, "0." * 249 + "0", id="a long way down"),
        pytest.param(SMALL, "[@this,@this]|" * 200 + "@this", id="doubling"),
        pytest.param(SMALL, "[@this]|" * 2000 + "@pretty", id="nesting by pipes"),
        pytest.param(SMALL, "[@this]|" * 2000 + '@flatten:{"deep":true}', id="flattening what pipes have nested"),
        pytest.param(SMALL, "[@this]|" * 600 + "@pretty", id="laying out what pipes have nested"),
        pytest.param(SMALL, "@dig:" * 300 + "a", id="digging while digging"),
        pytest.param(BIG, "@dig:@dig:@dig:a", id="digging in a large document"),
        pytest.param(BIG, "@tostr|" * 40 + "@this", id="quotes of quotes"),
        pytest.param(BIG, "[" + ",".join(["#.a"] * 2000) + "]", id="many readings"),
    ],
)
def test_hostile_documents_and_paths_are_refused_in_time(document: bytes, path: str) -> None:
    began = time.process_time()
    with pytest.raises(BadValue) as caught:
        get(document, path)
    assert "deep" in str(caught.value) or "too much" in str(caught.value)
    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    ("document", "path"),
    [
        pytest.param(SMALL, "[" * 4000, id="open brackets"),
        pytest.param(SMALL, "#(" * 4000 + ")" * 4000, id="queries where there is no array"),
        pytest.param(SMALL, "a." * 50_000, id="many components"),
        pytest.param(SMALL, "\\" * 9999, id="backslashes"),
        pytest.param(SMALL, "9" * 9999, id="a large index"),
        pytest.param(b"[1,2]", "9" * 9999, id="a large index of an array"),
        pytest.param(b'{"%b":1}' % (b"a" * 300_000), "*a" * 300 + "*b", id="a pattern that backtracks elsewhere"),
        pytest.param(BIG, '#(b.c.0%"' + "*x" * 500 + 'y")#.a', id="a pattern in a query"),
    ],
)
def test_odd_paths_lead_nowhere_in_time(document: bytes, path: str) -> None:
    began = time.process_time()
    assert get(document, path).raw in {b"", b"[]"}
    assert time.process_time() - began < 20


def test_ordinary_work_on_a_large_document_is_within_bounds() -> None:
    assert get(BIG, "#.a.@reverse.0").raw == b"[]"
    assert get(BIG, "#(a>3990)#.b.c.0|#").raw == b"9"
    assert len(get(BIG, "@pretty").raw) > len(BIG)
    assert get(BIG, "@dig:c.0|#").raw == b"4000"


@given(st.dictionaries(keys.filter(bool), values, max_size=4))
def test_an_escaped_key_leads_to_its_value(document: dict[str, Any]) -> None:
    for key, value in document.items():
        found = get(dumped(document), SPECIAL.sub(r"\\\1", key))
        assert json.loads(found.raw) == value


@given(values, st.integers(min_value=0, max_value=5))
def test_raw_text_is_the_text_of_the_document(value: Any, indent: int) -> None:
    document = json.dumps({"a": {"b": [value, value]}}, indent=indent).encode()
    raw = get(document, "a.b.1").raw
    assert raw in document
    assert json.loads(raw) == value


@given(values)
def test_ugly_and_pretty_change_white_space_only(value: Any) -> None:
    document = dumped(value)
    assert json.loads(get(document, "@pretty").raw) == value
    assert get(document, "@pretty|@ugly").raw == json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    assert json.loads(get(document, '@pretty:{"sortKeys":true,"width":3}').raw) == value


@given(values)
def test_a_value_survives_being_a_string(value: Any) -> None:
    assert json.loads(get(dumped(value), "@tostr|@fromstr|@this").raw) == value


@given(st.lists(values, max_size=5))
def test_arrays_can_be_counted_turned_round_and_opened(items: list[Any]) -> None:
    document = dumped(items)
    assert json.loads(get(document, "#").raw) == len(items)
    assert json.loads(get(document, "@reverse").raw) == items[::-1]
    opened = [inner for item in items for inner in (item if isinstance(item, list) else [item])]
    assert json.loads(get(document, "@flatten").raw) == opened
    assert json.loads(get(document, "@values").raw) == items


@given(st.dictionaries(keys, values, max_size=5))
def test_objects_are_their_keys_and_values(document: dict[str, Any]) -> None:
    body = dumped(document)
    assert json.loads(get(body, "@keys").raw) == list(document)
    assert json.loads(get(body, "@values").raw) == list(document.values())
    assert json.loads(get(body, "[@this,{}]|@join").raw) == document


@given(st.lists(st.integers(-5, 5), max_size=6), st.integers(-5, 5))
def test_queries_compare_numbers(items: list[int], limit: int) -> None:
    document = dumped([{"n": item} for item in items])
    for operator, wanted in (("<", [i for i in items if i < limit]), (">=", [i for i in items if i >= limit])):
        assert json.loads(get(document, f"#(n{operator}{limit})#.n").raw) == wanted


@given(values, paths)
def test_any_path_gives_json_or_nothing_or_an_error_of_ours(value: Any, path: str) -> None:
    try:
        result = get(dumped(value), path)
    except BadValue:
        return
    if result.exists:
        json.loads(result.raw)
    assert isinstance(result.text, bytes)
