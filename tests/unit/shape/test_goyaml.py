from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyferry.errors import BadValue
from keyferry.shape import goyaml
from keyferry.shape.goyaml import TooDeep, YamlError, marshal, unmarshal, unmarshal_map, unmarshal_string_map
from tests.unit.shape.data import vectors

CANARY = "canary-" + "71f0"
STRING_MAPS = vectors("goyaml")["string_maps"]

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f\x85\ufffe\uffff", min_codepoint=0))
readable = texts.filter(lambda text: not any("\x7f" <= each <= "\x9f" for each in text))
values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | readable,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(readable, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("vector", STRING_MAPS, ids=lambda vector: vector["rule"])
def test_a_map_of_strings_is_what_go_makes_of_it(vector: dict[str, Any]) -> None:
    document = vector["yaml"].encode()
    if "map" in vector:
        assert unmarshal_string_map(document) == vector["map"]
        return
    with pytest.raises(YamlError) as caught:
        unmarshal_string_map(document)
    assert vector["error"].startswith(caught.value.detail.removesuffix("..."))


def test_a_nested_value_is_named_by_its_key() -> None:
    with pytest.raises(BadValue, match=r'\A"db" holds a mapping, but a string, number or boolean is needed\Z'):
        unmarshal_string_map(f"a: b\ndb: {{host: {CANARY}}}".encode())


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("a: 1\nb: {}: x", "line 2: mapping values are not allowed in this context"),
        ("- {}\nb: c", "line 2: did not find expected '-' indicator"),
        ("a: 1\nb: !!int {}", "line 2: a !!str stands where its tag says !!int"),
        ("a: *{}", "line 1: an alias refers to an anchor that is not there"),
        ("a: &{0} [*{0}]", "line 1: an anchor's value contains an alias to itself"),
        ("a: 1\nb:\n  {{{{ .{} }}}}: 2", "line 3: a mapping or a list stands where a key has to"),
        ("a: {}\n~: b", "line 2: a key is null, put it into quotes"),
        ("a: {}\n18446744073709551615: b", "line 2: a key is too large an integer, put it into quotes"),
        ("a: {}\nb: !!binary x", "line 2: !!binary value contains invalid base64 data"),
        ("a: {}\n<<: [1]", "line 2: map merge requires map or sequence of maps as the value"),
        ("a: {}\nb: \x07", "line 2: control characters are not allowed"),
        ("a: 1\nb: '{}", "line 2: found unexpected end of stream"),
        ("- {}", "the document is of type array, but a mapping is needed"),
        ("{}", "the document is of type string, but a mapping is needed"),
        ("a: [{}, .nan]", "NaN and infinity have no place in JSON"),
    ],
)
def test_an_error_names_the_line_and_no_value(document: str, told: str) -> None:
    with pytest.raises(YamlError) as caught:
        unmarshal_map(document.format(CANARY).encode())
    assert told in str(caught.value)
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


@given(values)
def test_what_was_written_is_read_again(value: Any) -> None:
    assert unmarshal(marshal(value).encode()) == value


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "ignore")))
def test_any_bytes_are_read_or_refused(document: bytes) -> None:
    try:
        unmarshal(document)
    except YamlError as error:
        assert error.message  # noqa: PT017 -- most documents are refused, some are read


@given(st.lists(st.sampled_from([*"a:-?[]{},&*!|>'\"%@`#~ \n\t", "- ", ": ", "<<: ", "*a", "&a ", "  ", "---\n"])))
@settings(max_examples=300)
def test_any_marks_are_read_or_refused(marks: list[str]) -> None:
    document = "".join(marks).encode()
    try:
        value = unmarshal(document)
    except YamlError:
        return
    assert value == unmarshal(document)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
CHAIN = "a0: &a0 {x: y}\n" + "".join(f"a{level + 1}: &a{level + 1} [*a{level}]\n" for level in range(200))
MERGES = "a0: &a0 {x: y}\n" + "".join(f"a{n + 1}: &a{n + 1} {{b: {{<<: *a{n}}}}}\n" for n in range(200))


@pytest.mark.parametrize("document", ["[" * 100_000, "- " * 100_000, "{a: " * 50_000, "? " * 100_000, CHAIN, MERGES])
def test_a_document_that_is_nested_too_deep_is_refused(document: str) -> None:
    with pytest.raises(TooDeep, match="nested more than 100 levels deep"):
        unmarshal(document.encode())


@pytest.mark.parametrize(
    "document",
    [
        "[" * 100 + "]" * 100,
        "- " * 100 + "a",
        "{a: " * 100 + "1" + "}" * 100,
        "".join("  " * level + f"k{level}:\n" for level in range(99)) + "  " * 99 + "- a",
        "".join(f"a{level}: &a{level} {{<<: {f'*a{level - 1}' if level else '{}'}}}\n" for level in range(98)),
    ],
)
def test_a_document_at_the_limit_is_read(document: str) -> None:
    assert unmarshal(document.encode())


def test_aliases_do_not_multiply_beyond_go_s_bounds() -> None:
    started = time.process_time()
    with pytest.raises(YamlError, match="document contains excessive aliasing"):
        unmarshal(BOMB.encode())
    assert time.process_time() - started < 20


def test_aliases_give_values_of_their_own() -> None:
    read = unmarshal_map(b"a: &a {x: [1]}\nb: *a\n")
    assert read["a"] == read["b"]
    assert read["a"] is not read["b"]


def test_a_document_of_too_many_values_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(goyaml, "COUNT", 100)
    assert unmarshal_string_map(b"a: b\n" * 10) == {"a": "b"}
    with pytest.raises(YamlError, match="too long to be read as YAML"):
        unmarshal_string_map(b"a: b\n" * 50)


def counting(limit: int) -> Callable[[], None]:
    left = limit

    def count() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OverflowError

    return count


def test_the_caller_may_put_an_end_to_reading() -> None:
    assert unmarshal(b"[1, 2, 3]", count=counting(50)) == [1.0, 2.0, 3.0]
    with pytest.raises(OverflowError):
        unmarshal(b"[" + b"1, " * 1000 + b"]", count=counting(500))
    with pytest.raises(OverflowError):
        unmarshal(b"[" + b"1, " * 1000, count=counting(500))


def test_the_caller_may_put_an_end_to_writing() -> None:
    made: list[int] = []
    text = marshal({"a": {"b": {"c": "x\n" * 1000}}}, made.append)
    assert sum(made) >= len(text) - 100


@pytest.mark.parametrize(
    "blanks", [" " * 200_000, "é" + " " * 200_000, "é" + " x" * 100_000, ":" * 200_000, "'" * 200_000]
)
def test_long_strings_take_no_long_time(blanks: str) -> None:
    started = time.process_time()
    assert unmarshal(marshal(blanks).encode()) == blanks
    assert time.process_time() - started < 5


def test_utf_16_is_read() -> None:
    for encoding, mark in (("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")):
        assert unmarshal(mark + "a: é😀".encode(encoding)) == {"a": "é😀"}
        with pytest.raises(YamlError):
            unmarshal(mark + "a: é".encode(encoding) + b"x")


@pytest.mark.parametrize("value", ["\x7f", "a\x80", "\uffff", {"\x9f": 1}, {"k" * 1023: 1}, {"a\x85": 1}, "\x85--- x"])
def test_what_go_cannot_read_back_cannot_be_written(value: Any) -> None:
    with pytest.raises(YamlError):
        marshal(value)
