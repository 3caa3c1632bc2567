"""Whatever stands in a template: it renders within its limits, or there is a TemplateError."""

from __future__ import annotations

import datetime as dt

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyferry.shape.gotmpl import FUNCTIONS, Limits, Template, TemplateError, World
from keyferry.shape.gotmpl.values import Value, from_bytes, string_map

CANARY = "canary-" + "5b0c44"
LIMITS = Limits(steps=5000, depth=20, output=1 << 16, memory=4 << 20, seconds=10)
SLOW = {
    name for name in FUNCTIONS if name.startswith(("gen", "bcrypt", "htpasswd", "derivePassword", "buildCustomCert"))
}
NAMES = [*sorted(set(FUNCTIONS) - SLOW), "and", "or"]
WORLD = World(now=lambda: dt.datetime(2024, 5, 6, 7, 8, 9, tzinfo=dt.UTC), monotonic=lambda: 0.0, entropy=bytes)
DATA = string_map({"a": CANARY, "b": "", "n": "7", "bytes": from_bytes(b"\xff\xc3\x28")})
DOCUMENT: Value = {"a": CANARY, "n": 2.5, "m": {"a": None, "b": {"c": True}}, "l": [1.0, None, "x", [1.0]]}

TOKENS = st.sampled_from(
    [
        *(
            "{{",
            "}}",
            "{{-",
            "-}}",
            "{{ ",
            " }}",
            "{{- ",
            " -}}",
            "/*",
            "*/",
            "(",
            ")",
            " ",
            "\n",
            "|",
            ",",
            ":=",
            "=",
            ":",
        ),
        *("if ", "else", "else if ", "end", "range ", "with ", "define ", "template ", "block ", "break", "continue"),
        *(
            ".",
            ".a",
            ".n",
            ".m.b.c",
            ".l",
            ".no-such",
            "$",
            "$x",
            "$x.a",
            "nil",
            "true",
            '"a"',
            '"%v"',
            '"\\x',
            "`r`",
            "'c'",
        ),
        *(
            "1",
            "-1",
            "1.5",
            "0x1F",
            "08",
            "1i",
            "1e400",
            "99999999999999999999",
            "é",
            "😀",
            "\udcff",
            "\0",
            "-",
            "'",
            '"',
            "`",
        ),
    ]
)


def operands(commands: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    plain = st.sampled_from(
        [".", ".a", ".n", ".m", ".l", ".m.b", "$", "$x", "nil", "true", '"a"', '"1s"', "1", "-1", "3", "2.5", "`x`"]
    )
    return st.one_of(plain, plain, commands.map(lambda inner: f"({inner})"))


def commands() -> st.SearchStrategy[str]:
    def call(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        arguments = st.lists(operands(inner), max_size=4).map(" ".join)
        return st.tuples(st.sampled_from(NAMES), arguments).map(" ".join)

    plain = st.sampled_from([".", ".a", "$x", "list 1 2", 'dict "a" 1', "now"])
    return st.recursive(plain, call, max_leaves=5)


def pipelines() -> st.SearchStrategy[str]:
    return st.lists(commands(), min_size=1, max_size=3).map(" | ".join)


def blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(inner, max_size=3).map("".join)
    shapes = [
        "if {}",
        "with {}",
        "range {}",
        "range $x := {}",
        "range $i, $x := {}",
        "range $x = {}",
        'template "t" {}',
    ]
    opened = st.tuples(st.sampled_from(shapes), pipelines())
    return st.tuples(opened, body, body).map(
        lambda parts: (
            "{{ "
            + parts[0][0].format(parts[0][1])
            + " }}"
            + ("" if parts[0][0].startswith("template") else parts[1] + "{{ else }}" + parts[2] + "{{ end }}")
        )
    )


STATEMENTS = st.recursive(
    st.one_of(
        st.text(max_size=5),
        pipelines().map(lambda pipe: f"{{{{ {pipe} }}}}"),
        pipelines().map(lambda pipe: f"{{{{- $x = {pipe} -}}}}"),
        st.sampled_from(["{{ break }}", "{{ continue }}", "{{/* c */}}"]),
    ),
    blocks,
    max_leaves=8,
)


def holds(text: str, data: Value) -> None:
    try:
        made = Template.parse(text).render(data, WORLD, LIMITS)
    except TemplateError as error:
        assert CANARY not in str(error)  # noqa: PT017  # there is nothing to raise where the template renders
        assert CANARY not in error.context  # noqa: PT017 - any error is welcome, a leak is not
    else:
        assert len(made.text) <= LIMITS.output


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STATEMENTS, max_size=4).map("".join), st.sampled_from([DATA, DOCUMENT]))
def test_a_random_template_renders_or_fails_with_a_template_error(text: str, data: Value) -> None:
    holds('{{ $x := 1 }}{{ define "t" }}[{{ . }}]{{ end }}' + text, data)


@settings(max_examples=300, deadline=None)
@given(st.lists(TOKENS, max_size=40).map("".join))
def test_random_tokens_render_or_fail_with_a_template_error(text: str) -> None:
    holds(text, DATA)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200).map(lambda raw: "{{" + from_bytes(raw) + "}}"))
def test_random_bytes_render_or_fail_with_a_template_error(text: str) -> None:
    holds(text, DATA)


@settings(max_examples=200, deadline=None)
@given(st.lists(TOKENS, max_size=20).map("".join), st.text(min_size=1, max_size=3), st.text(min_size=1, max_size=3))
def test_random_delimiters_render_or_fail_with_a_template_error(text: str, left: str, right: str) -> None:
    try:
        Template.parse(left + text + right, left=left, right=right).render(DATA, WORLD, LIMITS)
    except TemplateError as error:
        assert error.line > 0  # noqa: PT017  # as above


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters="{", exclude_categories=["Cs"]), max_size=50))
def test_text_without_actions_is_copied(text: str) -> None:
    assert Template.parse(text).render(DATA, WORLD).text == text.encode()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=50))
def test_a_value_is_copied_byte_by_byte(raw: bytes) -> None:
    assert Template.parse("{{ .a }}").render(string_map({"a": from_bytes(raw)}), WORLD).text == raw
