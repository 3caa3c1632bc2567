"""Hostile templates: each ends with an error, soon, and without taking the memory or the stack of the operator."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import time

import pytest

from keyferry.shape.gotmpl import LimitError, Limits, ParseError, Template, World
from keyferry.shape.gotmpl.values import string_map

MIB = 1 << 20
WORLD = World(now=lambda: dt.datetime.now(dt.UTC), monotonic=time.monotonic, entropy=os.urandom)
DATA = string_map({"a": "x"})
GROWN = "{{ $x := list 1 2 3 }}{{ $y := list 1 2 3 }}{{ range 60 }}{{ $x = list $x $x }}{{ $y = list $y $y }}{{ end }}"
DEEP = "{{ $x := list 1 2 3 }}{{ range 5000 }}{{ $x = list $x }}{{ end }}"

REFUSED = {
    "parentheses that never close": "{{" + "(" * MIB,
    "parentheses that all close": "{{ " + "(" * 101 + "1" + ")" * 101 + " }}",
    "calls within calls": "{{ " + "(print " * (MIB // 16) + "1" + ")" * (MIB // 16) + " }}",
    "conditions that never end": "{{if 1}}" * (MIB // 8),
    "conditions that all end": "{{if 1}}" * 101 + "{{end}}" * 101,
    "ranges that never end": "{{range .}}" * (MIB // 11),
    "blocks that never end": '{{block "b" .}}' * (MIB // 15),
    "blocks and parentheses together": "{{if 1}}" * 60 + "{{ " + "(" * 60 + "1" + ")" * 60 + " }}" + "{{end}}" * 60,
    "very many actions": "{{.}}" * (MIB // 5),
    "very many arguments": "{{ print " + "1 " * (MIB // 2) + "}}",
    "very many stages of a pipeline": "{{ 1 " + "|len " * (MIB // 5) + "}}",
    "a very long chain": "{{ " + ".a" * (MIB // 2) + " }}",
    "very many conditions in a row": "{{if 0}}" + "{{else if 0}}" * (MIB // 13) + "{{end}}",
    "very many variables": "{{$x:=1}}" * (MIB // 9),
    "very many definitions": '{{define ""}}{{end}}' * (MIB // 20),
    "an unclosed string": '{{"' + "a" * MIB,
    "a string of backslashes": '{{"' + "\\" * MIB,
    "an unclosed raw string": "{{`" + "a" * MIB,
    "an unclosed comment": "{{/*" + "*" * MIB,
    "a long character constant": "{{'" + "a" * MIB + "'}}",
    "a long number": "{{" + "1" * MIB + "}}",
    "a long fraction": "{{0." + "0" * MIB + "1}}",
    "a long exponent": "{{1e" + "9" * MIB + "}}",
    "a long hexadecimal number": "{{0x" + "p1" * (MIB // 2) + "}}",
    "a long complex number": "{{0x" + "1" * MIB + "p1+1i}}",
    "a long name of a function": "{{" + "a" * MIB + "}}",
    "a long name with hyphens": "{{." + "a-" * (MIB // 2) + "}}",
    "a hyphen behind a long chain": "{{" + ".a" * 20_000 + ".b-c}}",
    "dollar signs": "{{" + "$" * MIB + "}}",
    "opening delimiters": "{{" * (MIB // 2),
    "blanks": "{{" + " " * MIB + "}}",
    "trim markers": "{{" + " -" * (MIB // 2) + "}}",
}

STOPPED = {
    "an endless range": "{{ range 1000000000000 }}{{ end }}",
    "an endless range that writes": "{{ range 1000000000000 }}{{ . }}{{ end }}",
    "ranges within ranges": "{{ range 10000 }}{{ range 10000 }}{{ end }}{{ end }}",
    "a template within itself": '{{ define "t" }}{{ template "t" . }}{{ end }}{{ template "t" . }}',
    "two templates within each other": (
        '{{ define "t" }}{{ template "u" }}{{ end }}{{ define "u" }}{{ template "t" }}{{ end }}{{ template "t" }}'
    ),
    "a template within itself in deep blocks": '{{ define "t" }}'
    + "{{if 1}}" * 90
    + '{{ template "t" }}'
    + "{{end}}" * 90
    + '{{ end }}{{ template "t" }}',
    "a template within itself in deep parentheses": '{{ define "t" }}{{ template "t" '
    + "(print " * 90
    + "1"
    + ")" * 90
    + ' }}{{ end }}{{ template "t" }}',
    "a template twice within itself": (
        '{{ define "t" }}{{ if lt . 90 }}{{ $n := int (add . 1) }}{{ template "t" $n }}{{ template "t" $n }}{{ end }}'
        '{{ end }}{{ template "t" 0 }}'
    ),
    "a template with many variables within itself": '{{ define "t" }}'
    + "{{$x:=1}}" * 9000
    + '{{ template "t" }}{{ end }}{{ template "t" }}',
    "a string that doubles": '{{ $x := "aaaaaaaa" }}{{ range 100 }}{{ $x = print $x $x }}{{ end }}',
    "a list that doubles": "{{ $x := list 1 2 3 }}{{ range 100 }}{{ $x = concat $x $x }}{{ end }}",
    "a text that is written often": "{{ range 100000 }}" + "x" * 1000 + "{{ end }}",
    "a value that is written often": '{{ $x := repeat 100000 "x" }}{{ range 1000 }}{{ $x }}{{ end }}',
    "a list that prints large": GROWN + "{{ $x }}",
    "a list that is formatted large": GROWN + '{{ printf "%v" $x }}',
    "a list that is large as JSON": GROWN + "{{ toJson $x }}",
    "a list that is large as YAML": GROWN + "{{ toYaml $x }}",
    "a list that is copied large": GROWN + "{{ deepCopy $x }}",
    "a list that nests deep and prints": DEEP + "{{ $x }}",
    "a list that nests deep as JSON": DEEP + "{{ toJson $x }}",
    "a dict within itself that prints": '{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ $d }}',
    "a dict within itself as JSON": '{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ toJson $d }}',
    "a dict within itself that is copied": '{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ deepCopy $d }}',
    "many numbers": "{{ until 1000000000 }}",
    "a long repetition": '{{ repeat 1000000000 "x" }}',
    "a deep indentation": '{{ indent 1000000 (repeat 10000 "\\n") }}',
    "a replacement that grows": '{{ replace "a" (repeat 10000 "b") (repeat 10000 "a") }}',
    "a join that grows": '{{ join (repeat 100000 "x") (until 10000) }}',
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in REFUSED.items()])
def test_a_hostile_text_is_refused(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        Template.parse(text)
    assert len(str(caught.value)) < 500
    assert len(caught.value.context) < 500


@pytest.mark.timeout(30)
@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in STOPPED.items()])
def test_a_hostile_execution_is_stopped(text: str) -> None:
    template = Template.parse(text)
    with pytest.raises(LimitError) as caught:
        template.render(DATA, WORLD)
    assert caught.value.line > 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{ range 1000 }}{{ end }}", "more than 50 steps"),
        ("{{ range 200 }}{{ . }}{{ end }}", "more than 50 steps"),
        ('{{ block "t" . }}{{ template "t" }}{{ end }}', "more than 3 templates within each other"),
        ("{{ range 20 }}" + "x" * 100 + "{{ end }}", "writes more than 1 KiB"),
        ('{{ $x := repeat 2000000 "x" }}', "more than 1 MiB of values"),
    ],
)
def test_the_limits_may_be_chosen(text: str, says: str) -> None:
    limits = Limits(steps=50, depth=3, output=1024, memory=MIB)
    with pytest.raises(LimitError, match=says):
        Template.parse(text).render(DATA, WORLD, limits)


def test_an_execution_ends_when_its_time_is_over() -> None:
    clock = itertools.count()
    world = World(now=WORLD.now, monotonic=lambda: float(next(clock)), entropy=WORLD.entropy)
    with pytest.raises(LimitError, match="takes longer than 2 s"):
        Template.parse("{{ range 100000 }}{{ end }}").render(DATA, world)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("a" * MIB, MIB),
        ('{{"' + "a" * MIB + '"}}', MIB),
        ('{{"' + "\\n" * (MIB // 2) + '"}}', MIB // 2),
        ("{{/**/}}" * (MIB // 8), 0),
        ((" " * 1000 + "{{- 1 -}}" + " " * 1000) * 500, 500),
        ("{{if 0}}" + "{{else if 0}}" * 5000 + "{{else}}x{{end}}", 1),
        ("{{if 1}}" * 90 + "x" + "{{end}}" * 90, 1),
        ("{{ " + "(print " * 90 + "1" + ")" * 90 + " }}", 1),
        ("{{$x:=1}}" * 5000 + "{{$x}}" * 5000, 5000),
        ('{{define "t"}}' + " {{/**/}}" * 20_000 + "{{.}}{{end}}" + '{{define "t"}}{{end}}' * 3000, 0),
        ('{{define "t"}}{{if gt . 0}}x{{template "t" (int (sub . 1))}}{{end}}{{end}}{{template "t" 40}}', 40),
    ],
)
def test_a_large_text_within_the_limits_is_rendered(text: str, length: int) -> None:
    assert len(Template.parse(text).render(DATA, WORLD).text) == length
