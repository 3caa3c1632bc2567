"""Rewrites of keys (eso-facts 1.8 and 10.4), and what holds whatever they are applied to."""

from __future__ import annotations

import json
import traceback
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyferry.api.externalsecret import Rewrite
from keyferry.errors import BadSpec, BadValue, KeyferryError
from keyferry.shape import keys
from keyferry.shape.rewrite import Rewritten, rewrite
from tests.support.templates import renderer

CANARY = "canary-" + "b3f190"
S1, S2 = b'{"a":1}', b'{"a":2,"b":3}'


def steps(*given: dict[str, Any]) -> list[Rewrite]:
    return [Rewrite.model_validate(each) for each in given]


def rewritten(data: dict[str, bytes], *given: dict[str, Any]) -> Rewritten:
    return rewrite(data, steps(*given), renderer().renaming())


def refused(kind: type[KeyferryError], data: dict[str, bytes], *given: dict[str, Any]) -> str:
    with pytest.raises(kind) as caught:
        rewritten(data, *given)
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def regexp(source: str, target: str) -> dict[str, Any]:
    return {"regexp": {"source": source, "target": target}}


def transform(template: str) -> dict[str, Any]:
    return {"transform": {"template": template}}


def merge(**policies: Any) -> dict[str, Any]:
    return {"merge": policies}


@pytest.mark.parametrize(
    ("names", "step", "wanted"),
    [
        (["db/host", "db/port"], regexp("db/(.*)", "$1"), ["host", "port"]),
        (["db/host", "other"], regexp("^db/(?P<name>.*)$", "${name}_x"), ["host_x", "other"]),
        (["db/host"], regexp("db/(.*)", "$1x"), [""]),
        (["aXbXc"], regexp("X", "-"), ["a-b-c"]),
        (["abc"], regexp("", "."), [".a.b.c."]),
        (["a$b"], regexp(r"\$", "$$"), ["a$b"]),
        (["a", "b"], transform("{{ .value | upper }}_X"), ["A_X", "B_X"]),
        (["a"], transform("{{ .other }}{{ . | len }}"), ["<no value>1"]),
        (["käse"], transform("{{ .value }}"), ["käse"]),
        (["a", "b"], {}, ["a", "b"]),
    ],
)
def test_keys_are_renamed(names: list[str], step: dict[str, Any], wanted: list[str]) -> None:
    data = {name: f"value of {name}".encode() for name in names}
    done = rewritten(data, step)
    assert done.data == dict(zip(wanted, data.values(), strict=True))
    assert done.lost == []


def test_a_step_takes_what_the_one_before_gives() -> None:
    data = {"team/db/host": b"1", "team/db/port": b"2"}
    done = rewritten(data, regexp("^team/", ""), transform('{{ .value | replace "/" "_" }}'), regexp("_", "."))
    assert done.data == {"db.host": b"1", "db.port": b"2"}


def test_no_step_changes_nothing_and_the_data_that_are_given_stay_as_they_are() -> None:
    data = {"a/b": b"1"}
    assert rewritten(data).data == data
    assert rewritten(data).data is not data
    rewritten(data, regexp("/", "_"))
    assert data == {"a/b": b"1"}


def test_of_two_keys_that_become_one_the_alphabetically_last_wins_and_the_loss_is_told() -> None:
    done = rewritten({"b": b"2", "a": b"1", "c": b"3"}, transform("x"))
    assert done.data == {"x": b"3"}
    assert done.lost == [
        '"a" and "b" both become "x", which takes the value of "b"',
        '"b" and "c" both become "x", which takes the value of "c"',
    ]


def test_equal_values_under_one_key_are_no_loss() -> None:
    assert rewritten({"a": b"1", "b": b"1"}, transform("x")).lost == []


@pytest.mark.parametrize(
    ("policies", "wanted"),
    [
        ({"conflictPolicy": "Ignore"}, {"a": b"2", "b": b"3"}),
        ({"conflictPolicy": "Ignore", "priority": ["s1"]}, {"a": b"1", "b": b"3"}),
        ({"conflictPolicy": "Ignore", "priority": ["s2", "s1"]}, {"a": b"1", "b": b"3"}),
        ({"conflictPolicy": "Ignore", "priority": ["s1", "s2"]}, {"a": b"2", "b": b"3"}),
        (
            {"conflictPolicy": "Ignore", "priority": ["s1", "s3"], "priorityPolicy": "IgnoreNotFound"},
            {"a": b"1", "b": b"3"},
        ),
        (
            {"conflictPolicy": "Ignore", "strategy": "JSON", "into": "all"},
            {"s1": S1, "s2": S2, "all": b'{"a":2,"b":3}'},
        ),
        ({"conflictPolicy": "Ignore", "strategy": "JSON", "into": "s1"}, {"s1": b'{"a":2,"b":3}', "s2": S2}),
    ],
)
def test_objects_are_merged(policies: dict[str, Any], wanted: dict[str, bytes]) -> None:
    assert rewritten({"s2": S2, "s1": S1}, merge(**policies)).data == wanted


def test_objects_without_a_common_member_merge_by_default() -> None:
    assert rewritten({"x": b'{"b":1}', "y": b'{"a":2}'}, merge()).data == {"a": b"2", "b": b"1"}


def test_merged_members_become_values_as_their_types_are_written() -> None:
    document = b'{"s":"x<y","n":null,"t":true,"f":1.50,"i":7,"o":{"b":["<"],"a":1},"e":1e3}'
    assert rewritten({"k": document}, merge()).data == {
        "s": b"x<y",
        "n": b"",
        "t": b"true",
        "f": b"1.5",
        "i": b"7",
        "o": b'{"a":1,"b":["\\u003c"]}',
        "e": b"1000",
    }


def test_a_merged_object_is_compact_sorted_and_free_of_html_escapes() -> None:
    made = rewritten({"k": b'{"z": "<&>", "a": [1, 2]}'}, merge(strategy="JSON", into="all")).data["all"]
    assert made == b'{"a":[1,2],"z":"<&>"}'


def test_null_merges_as_an_object_without_members() -> None:
    assert rewritten({"k": b"null", "l": b'{"a":1}'}, merge()).data == {"a": b"1"}


def test_conflicts_are_an_error_that_names_them_once_and_sorted() -> None:
    told = refused(BadValue, {"s1": S2, "s2": S2, "s3": S2}, merge())
    assert "rewrite[0]: merge failed with conflicts: a, b: " in told
    assert "conflictPolicy: Ignore" in told


@pytest.mark.parametrize("value", [b"[1]", b'"text"', b"1", b"not JSON", b"", b"\xff", b'{"a":1} x', b"true"])
def test_what_is_no_object_cannot_be_merged_and_its_key_is_told(value: bytes) -> None:
    told = refused(BadValue, {"good": S1, "bad": value}, merge())
    assert 'rewrite[0]: merge failed: the value of "bad" is not a JSON object' in told


def test_a_key_of_priority_that_is_missing_is_told_with_the_keys_that_there_are() -> None:
    told = refused(BadValue, {"s1": S1}, regexp("s", "t"), merge(priority=["s1"]))
    assert 'rewrite[1]: merge failed with key "s1" not found in input map' in told
    assert "there is t1" in told


def test_merging_into_a_key_without_a_name_is_refused() -> None:
    assert "missing 'into' field" in refused(BadSpec, {"s1": S1}, merge(strategy="JSON"))


def test_a_pattern_that_does_not_compile_is_told_with_its_step() -> None:
    told = refused(BadSpec, {"a": b"1"}, transform("x"), regexp("(", ""))
    assert told.startswith('rewrite[1]: the regular expression "(" does not compile')


@pytest.mark.parametrize(
    ("template", "kind", "part"),
    [
        ("{{ .value", BadSpec, "line 1"),
        ("{{ nosuch .value }}", BadSpec, "nosuch"),
        ("{{ fail .value }}", BadValue, "line 1, column 4"),
        ("{{ range until 10000000 }}{{ . }}{{ end }}", BadSpec, "more than"),
    ],
)
def test_a_template_that_fails_is_told_with_its_step(template: str, kind: type[KeyferryError], part: str) -> None:
    told = refused(kind, {"a": CANARY.encode()}, transform(template))
    assert told.startswith("rewrite[0]: ")
    assert part in told


@pytest.mark.parametrize("step", [merge(), merge(priority=["x"]), transform("x")])
def test_a_key_that_is_no_text_is_told_escaped(step: dict[str, Any]) -> None:
    bytes_and = transform('{{ b64dec "/w==" }}{{ .value }}')
    try:
        told = "".join(rewritten({"a": b"1", "b": b"2"}, bytes_and, step).lost)
    except BadValue as error:
        told = str(error)
    assert r"\udcff" in told
    assert told.encode()


NAMES = st.text(alphabet="ab/_.0ä日\n", max_size=4)
VALUES = st.one_of(
    st.dictionaries(
        st.sampled_from("xyz"),
        st.sampled_from([CANARY, 1, 2.5, None, True, [CANARY], {"k": CANARY}]),
        max_size=3,
    ).map(lambda value: json.dumps(value).encode()),
    st.sampled_from([CANARY.encode(), b"", b"\xff" + CANARY.encode(), f'["{CANARY}"]'.encode(), b'{"a":' + b"[" * 300]),
)
STEPS = st.one_of(
    st.builds(
        regexp,
        st.sampled_from(["a", "^(.*)/(.*)$", "", "(", ".", "(?P<n>b)", r"[^a]", "\n"]),
        st.sampled_from(["", "x", "$1", "${n}", "$2.$1", "$", "ä"]),
    ),
    st.builds(
        transform,
        st.sampled_from(
            [
                *("{{ .value }}", "{{ .value | upper }}", "x", "", "{{ .nosuch }}", "{{ .value.a }}", "{{ if }}"),
                *('{{ b64dec "/w==" }}{{ .value }}', "{{ fail .value }}", "{{ index . .value }}", '{{ "\\x00" }}'),
            ]
        ),
    ),
    st.builds(
        lambda policies, priority: merge(**policies, priority=priority),
        st.fixed_dictionaries(
            {},
            optional={
                "strategy": st.sampled_from(["Extract", "JSON"]),
                "into": st.sampled_from(["all", "a", ""]),
                "conflictPolicy": st.sampled_from(["Ignore", "Error"]),
                "priorityPolicy": st.sampled_from(["Strict", "IgnoreNotFound"]),
            },
        ),
        st.lists(NAMES, max_size=2),
    ),
)


def outcome(data: dict[str, bytes], given: list[dict[str, Any]]) -> object:
    """What is made of the data, as far as a Secret's; or the error."""
    try:
        done = rewritten(data, *given)
        told = done.lost
        return keys.validate(done.data), told
    except (BadSpec, BadValue) as error:
        assert CANARY not in "".join(traceback.format_exception(error))  # noqa: PT017  # either end is fine
        told = [str(error)]
        return told
    finally:
        # What is told goes to the API server as JSON.
        "".join(told).encode()


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=4), st.lists(STEPS, max_size=3), st.randoms())
def test_any_rewrite_gives_data_or_an_error_without_a_value_whatever_the_order(
    data: dict[str, bytes], given: list[dict[str, Any]], rng: Any
) -> None:
    order = list(data)
    rng.shuffle(order)
    assert outcome({key: data[key] for key in order}, given) == outcome(data, given)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=4), st.lists(STEPS.filter(lambda step: "merge" not in step), max_size=3))
def test_renaming_makes_no_value_up_and_loses_none_in_silence(
    data: dict[str, bytes], given: list[dict[str, Any]]
) -> None:
    try:
        done = rewritten(data, *given)
    except (BadSpec, BadValue):
        return
    assert set(done.data.values()) <= set(data.values())
    assert done.lost or set(done.data.values()) == set(data.values())
