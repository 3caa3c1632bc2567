"""What templates make of values, whatever stands in them: a Secret's data, or an error that shows no value."""

from __future__ import annotations

import random
import traceback
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyferry.api.target import Template
from keyferry.errors import BadSpec, BadValue, KeyferryError
from keyferry.shape import template
from keyferry.shape.gotmpl import Limits
from keyferry.shape.render import Renderer
from keyferry.shape.template import Made, Source
from tests.support.templates import renderer
from tests.unit.shape.gotmpl.differential.grammar import Grammar

CANARY = "canary-" + "4ce21d"
HELD_CANARY = "canary-" + "held-77"
Held = dict[Source, dict[str, bytes]]


def made(
    spec: Mapping[str, Any], data: Mapping[str, bytes], held: Held | None = None, *, maker: Renderer | None = None
) -> Made:
    return template.make(Template.model_validate(spec), data, held or {}, maker or renderer())


def refused(kind: type[KeyferryError], spec: Mapping[str, Any], data: Mapping[str, bytes], **more: Any) -> str:
    with pytest.raises(kind) as caught:
        made(spec, data, **more)
    check_error(caught.value)
    return str(caught.value)


def check_error(error: KeyferryError) -> None:
    """No value in what is shown, and it is a text."""
    shown = "".join(traceback.format_exception(error))
    assert CANARY not in shown
    assert HELD_CANARY not in str(error)
    assert str(error).encode()


def literal(text: str, **more: Any) -> dict[str, Any]:
    return {"literal": text, **more}


def from_object(kind: str, name: str, *items: tuple[str, str], **more: Any) -> dict[str, Any]:
    given = [{"key": key, "templateAs": scope} for key, scope in items]
    return {kind: {"name": name, "items": given}, **more}


def test_later_templates_win_over_earlier_ones_and_none_sees_what_another_made() -> None:
    spec = {
        "mergePolicy": "Merge",
        "templateFrom": [
            from_object("configMap", "c", ("k1", "Values"), ("all", "KeysAndValues")),
            from_object("secret", "s", ("k2", "Values")) | literal("k2: literal\nk3: literal"),
            literal("k3: later\nk4: later"),
        ],
        "data": {"k4": "data {{ .k4 }}"},
    }
    held: Held = {
        ("ConfigMap", "c"): {"k1": b"{{ .k1 }}!", "all": b"k2: map\nk3: map"},
        ("Secret", "s"): {"k2": b"secret"},
    }
    read = {"k0": b"0", "k1": b"1", "k4": b"4"}
    assert made(spec, read, held).data == {
        "k0": b"0",
        "k1": b"1!",
        "k2": b"literal",
        "k3": b"later",
        "k4": b"data 4",
    }


def test_what_was_read_stays_where_nothing_is_made_of_it() -> None:
    read = {"a": b"\xff"}
    assert made({}, read).data == read
    assert made({"metadata": {"labels": {"l": "x"}}}, read).data == read
    assert made({"data": {"b": "1"}}, read).data == {"b": b"1"}
    assert made({"templateFrom": [literal("")]}, read).data == {}


def test_labels_and_annotations_are_made_of_their_own_and_of_template_from() -> None:
    spec = {
        "metadata": {"labels": {"l": "{{ .a }}"}, "annotations": {"x": "{{ .a }} {{ .a }}"}},
        "templateFrom": [
            literal("l: early\nm: '{{ .a }}'", target="Labels"),
            literal("x: early\nz: '{{ .a }}'", target="ANNOTATIONS"),
        ],
    }
    done = made(spec, {"a": b"1"})
    assert done.data == {}
    assert done.labels == {"l": "1", "m": "1"}
    assert done.annotations == {"x": "1 1", "z": "1"}


def test_values_are_decoded_after_they_are_rendered() -> None:
    spec = {"templateFrom": [literal("a: '{{ .v | b64enc }}'", valuesDecodingStrategy="Base64")]}
    assert made(spec, {"v": b"\xff\x00"}).data == {"a": b"\xff\x00"}


def test_functions_whose_result_differs_another_time_are_named() -> None:
    spec = {"data": {"a": "{{ now | unixEpoch }}"}, "metadata": {"labels": {"b": "{{ randAlpha 3 }}"}}}
    assert made(spec, {}).unrepeatable == {"now", "randAlpha"}


@pytest.mark.parametrize(
    ("spec", "kind", "part"),
    [
        ({"data": {"k": "{{ .v"}}, BadSpec, 'could not execute template: spec.target.template.data, key "k": line 1'),
        ({"data": {"k": "{{ fail .v }}"}}, BadValue, 'template.data, key "k": line 1, column 4: fail'),
        ({"data": {"k": "{{ .none }}"}}, BadValue, 'there is no key "none"'),
        ({"metadata": {"labels": {"l": "{{ .w }}"}}}, BadValue, 'template.metadata.labels, key "l": '),
        ({"metadata": {"annotations": {"x": '{{ b64dec "/w==" }}'}}}, BadValue, "the result is not UTF-8"),
        ({"templateFrom": [literal("{{ .v }}")]}, BadValue, "templateFrom[0].literal: the rendered text is not YAML"),
        ({"templateFrom": [literal("k: {{ .w }}")]}, BadValue, "the rendered text is not YAML of keys and strings"),
        ({"templateFrom": [literal("k: {{ .v }}", valuesDecodingStrategy="Base64")]}, BadValue, "is not padded base64"),
        ({"templateFrom": [literal("", target="spec.x")]}, BadSpec, 'templateFrom[0].target "spec.x" is not allowed'),
        (
            {"templateFrom": [from_object("secret", "s", ("x", "Values"))]},
            BadSpec,
            "in secret s: missing key x: it has k",
        ),
        ({"templateFrom": [from_object("secret", "s", ("k", "Values"))]}, BadSpec, '(Secret s), key "k": the template'),
        ({"type": "bootstrap.kubernetes.io/token"}, BadSpec, "is not allowed"),
        ({"data": {"k": "{{ range until 10000000 }}{{ end }}"}}, BadSpec, "more than"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(spec: dict[str, Any], kind: type[KeyferryError], part: str) -> None:
    read = {"v": CANARY.encode(), "w": f"- {CANARY}: {{a: [{CANARY}]}}".encode()}
    assert part in refused(kind, spec, read, held={("Secret", "s"): {"k": b"\xff"}})


@pytest.mark.parametrize("target", ["Data", "Labels", "Annotations"])
@pytest.mark.parametrize(
    "value", [f"{CANARY}@: x", f"{CANARY}: {{a: b}}", CANARY * 40 + ": x", f"..{CANARY}: x", f"x\n{CANARY} 1: [y]"]
)
def test_a_piece_of_a_value_that_becomes_a_key_is_not_shown(value: str, target: str) -> None:
    for text in ("{{ .a }}", "k: {{ .a }}"):
        told = refused(BadValue, {"templateFrom": [literal(text, target=target)]}, {"a": value.encode()})
        assert "spec.target.template.templateFrom[0].literal: " in told


@pytest.mark.parametrize(
    ("text", "target", "part"),
    [
        ("a/b: 1", "Data", 'key "a/b" has invalid character "/"'),
        ("'a b': 1", "Labels", '"a b" is no name that labels may have'),
        ("a/b/c: 1", "Annotations", '"a/b/c" is no name that annotations may have'),
        ("a: {b: c}", "Data", '"a" holds a mapping'),
    ],
)
def test_a_key_that_the_template_spells_is_shown(text: str, target: str, part: str) -> None:
    assert part in refused(BadValue, {"templateFrom": [literal(text, target=target)]}, {})


def test_names_that_kubernetes_accepts_pass() -> None:
    spec = {
        "templateFrom": [
            literal("a.b/c-D_e.f: '1'\ng: '2'", target="Labels"),
            literal("x-y.z/0: ''", target="Annotations"),
        ]
    }
    done = made(spec, {})
    assert done.labels == {"a.b/c-D_e.f": "1", "g": "2"}
    assert done.annotations == {"x-y.z/0": ""}


DOCUMENTS = ("fromJson", "fromYaml", "mustFromJson")
"""Makers of maps whose keys are told, as they are names."""
KEYS = ("a", "b", "list", "map", "text")
VALUES = st.one_of(
    st.tuples(
        st.text(alphabet=" \n\t:-{}[]&*!|>'\"%@`#?,=<~0.", max_size=4), st.text(alphabet=": \n}]'\"=,", max_size=3)
    ).map(lambda around: around[0] + CANARY + around[1]),
    st.sampled_from(
        [
            *(f'{{"{CANARY}": ["{CANARY}"]}}', f"{CANARY}: {{a: b}}", f"!{CANARY} 1", f"!!int {CANARY}"),
            *(f"*{CANARY}", f"a: 1\n{CANARY}", f"x\n  {CANARY}: y\n z: [", f"{CANARY}/{CANARY}: x"),
            *(f"-----BEGIN {CANARY}-----\nYQ==\n-----END {CANARY}-----\n", f"https://u:{CANARY}@h:p/%zz"),
            *(f"{CANARY}: |\n  x", f"? {CANARY}\n: y", f"%{CANARY} 1\n---\n", f"<<: {CANARY}", f"&{CANARY} x"),
            *(f"\x00{CANARY}\ufeff", f"{CANARY}==", CANARY * 40, ""),
        ]
    ),
).map(str.encode)
BODIES = st.sampled_from(
    [
        *("{{ .a }}", "{{ .b }}", "k: {{ .a }}", "k: {{ .a | quote }}", "{{ .a }}: v", "k: |\n  {{ .a }}"),
        *("{{ .none }}", "{{ range $k, $v := . }}{{ $k }}: {{ $v }}\n{{ end }}", "{{ toYaml . }}"),
        *("{{ toJson . }}", "{{ .a.b }}", "x", "{{ .a | b64dec }}", "{{ .a | mustFromJson }}", "{{ fail .a }}"),
        *("{{ index . .a }}", "{{ .a | atoi }}", "", "{{ mustRegexMatch .a .b }}", "{{ mustToDate .a .b }}"),
        *("{{ semver .a }}", "{{ urlParse .a }}", "{{ printf .a }}", "{{ filterPEM .a .b }}"),
        *("{{ rsaDecrypt .a .b .a .b }}", "{{ jwkPublicKeyPem .a }}", "{{ pkcs12keyPass .a .b }}"),
        *("{{ genSignedCert .a (list .a) nil 1 .b }}", "{{ dict .a }}", "{{ decryptAES .a .b }}"),
        *("{{ template .a }}", "{{ .a", "{{ if eq .a 1 }}{{ end }}", "{{ repeat 999999999 .a }}"),
        *("{{ htpasswd .a .b .a }}", "{{ $x := .a }}{{ $x.y }}", "{{ range until 9999999 }}{{ end }}"),
        *("{{ dig .a (dict .b 1) }}", "{{ get . .a }}", "{{ set . .a .b }}", "{{ slice .a 9 }}"),
        *("{{ index .a 99 }}", "{{ dateModify .a now }}", "{{ certSANs .a }}"),
        *("{{ list .a | first | nindent -1 }}", "{{ ternary 1 2 .a }}", "{{ lt .a 1 }}"),
        *("{{ buildCustomCert .a .b }}", "{{ (dict .a (dict .b 1)).none.x }}", "{{ call .a }}"),
        *("{{ len .none }}", "{{ 1 | .a }}", "{{ without .a .b }}"),
    ]
)
TEMPLATES = st.one_of(
    BODIES,
    BODIES,
    st.lists(BODIES, min_size=2, max_size=3).map("\n".join),
    st.integers(min_value=0).map(lambda seed: str(Grammar(random.Random(seed), without=DOCUMENTS).template())),
)
NAMES = st.sampled_from(["k", "l", "m"])
TARGETS = st.sampled_from(["Data", "Data", "Labels", "annotations"])
STRATEGIES = st.sampled_from(["None", "None", "Base64", "Base64URL", "Auto"])
LITERALS = st.builds(
    lambda text, target, strategy: literal(text, target=target, valuesDecodingStrategy=strategy),
    TEMPLATES,
    TARGETS,
    STRATEGIES,
)
OBJECTS = st.builds(
    lambda kind, items, target: from_object(kind, "o", *items, target=target),
    st.sampled_from(["configMap", "secret"]),
    st.lists(st.tuples(NAMES, st.sampled_from(["Values", "KeysAndValues"])), max_size=2),
    TARGETS,
)
TEXTS = st.dictionaries(NAMES, TEMPLATES, max_size=2)
SPECS = st.builds(
    lambda policy, sources, data, labels, annotations: {
        "mergePolicy": policy,
        "templateFrom": sources,
        "data": data,
        "metadata": {"labels": labels, "annotations": annotations},
    },
    st.sampled_from(["Replace", "Merge"]),
    st.lists(st.one_of(LITERALS, OBJECTS), max_size=2),
    TEXTS,
    st.dictionaries(NAMES, TEMPLATES, max_size=1),
    st.dictionaries(NAMES, TEMPLATES, max_size=1),
)
READ = st.fixed_dictionaries(dict.fromkeys(KEYS, VALUES), optional={"c": VALUES})
HELD = st.fixed_dictionaries(
    dict.fromkeys(["k", "l"], TEMPLATES.map(lambda text: text.encode("utf-8", "surrogateescape"))),
    optional={"m": st.just(b"\xff" + HELD_CANARY.encode())},
)
LIMITS = Limits(steps=3000, depth=20, output=1 << 16, memory=1 << 20, seconds=10)


def outcome(spec: Mapping[str, Any], read: Mapping[str, bytes], held: Held) -> Made | str:
    try:
        return made(spec, read, held, maker=replace(renderer(), limits=LIMITS))
    except (BadSpec, BadValue) as error:
        check_error(error)
        return str(error)


def backwards(given: Any) -> Any:
    """The same with each mapping in the opposite order."""
    if isinstance(given, dict):
        return {key: backwards(value) for key, value in reversed(given.items())}
    return [backwards(each) for each in given] if isinstance(given, list) else given


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(NAMES, st.sampled_from("1234")), max_size=4), st.dictionaries(NAMES, st.just("data")))
def test_the_last_template_of_a_key_wins_and_data_wins_over_all(
    sources: list[dict[str, str]], data: dict[str, str]
) -> None:
    texts = ["\n".join(f'{key}: "{{{{ .v }}}}{value}"' for key, value in each.items()) for each in sources]
    done = made({"templateFrom": [literal(text) for text in texts], "data": data or {"z": ""}}, {"v": b"v"})
    wanted = {key: f"v{value}" for each in sources for key, value in each.items()} | (data or {"z": ""})
    assert done.data == {key: value.encode() for key, value in wanted.items()}


@settings(max_examples=400, deadline=None)
@given(SPECS, READ, HELD)
def test_any_template_makes_bounded_data_or_an_error_without_a_value_whatever_the_order(
    spec: dict[str, Any], read: dict[str, bytes], texts: dict[str, bytes]
) -> None:
    held: Held = {("ConfigMap", "o"): texts, ("Secret", "o"): texts}
    done = outcome(spec, read, held)
    assert outcome(backwards(spec), backwards(read), backwards(held)) == done
    if isinstance(done, Made):
        assert max(map(len, done.data.values()), default=0) <= LIMITS.output
        assert CANARY not in repr(done)
