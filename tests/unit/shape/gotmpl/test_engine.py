"""What templates promise beyond their output, which the vectors pin: errors, secrecy, sharing, values of every type."""

from __future__ import annotations

import datetime as dt
import importlib
import pkgutil
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

from keyferry.shape.gotmpl import FUNCTIONS, ExecError, LimitError, Limits, ParseError, Template, TemplateError, World
from keyferry.shape.gotmpl import functions as topics
from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.registry import Function, declare
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.types import CERTIFICATE, DICT, INT64, STRINGS, GoType, map_of
from keyferry.shape.gotmpl.values import Number, Struct, TypedMap, TypedSlice, Value, string_map, strings

CANARY = "canary-" + "7f3a9c"
WORLD = World(now=lambda: dt.datetime(2024, 5, 6, 7, 8, 9, tzinfo=dt.UTC), monotonic=lambda: 0.0, entropy=bytes)


def render(text: str, data: Value = None, *, functions: Mapping[str, Function] = FUNCTIONS, **options: str) -> str:
    return Template.parse(text, functions=functions, **options).render(data, WORLD).text.decode()


def failing(text: str, data: Value = None, *, functions: Mapping[str, Function] = FUNCTIONS) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        render(text, data, functions=functions)
    return caught.value


def with_function(signature: str, call: Callable[..., Any], *, run: bool = False) -> dict[str, Function]:
    return {**FUNCTIONS, "probe": declare("probe", signature, call, run=run)}


class Box(Struct):
    go_type = CERTIFICATE
    hidden = CANARY

    def __init__(self, inside: Value) -> None:
        self.inside = inside

    def fields(self) -> Mapping[str, Value]:
        return {"Inside": self.inside}

    def twice(self) -> str:
        return str(self.inside) * 2

    methods: ClassVar[Mapping[str, Function]] = {
        "Twice": declare("Twice", "func() string", twice),
        "Join": declare("Join", "func(string, ...string) string", lambda _, *parts: "".join(parts)),
        "Made": declare("Made", "func(int) string", lambda run, _, size: run.entropy(size, "Made").hex(), run=True),
        "Self": declare("Self", "func() sprig.certificate", lambda self: self),
    }


def test_a_template_renders_the_same_every_time_and_in_every_thread() -> None:
    template = Template.parse(
        "{{ $n := 0 }}{{ range $k, $v := . }}{{ $n = add $n 1 }}{{ $k }}={{ $v }}{{ or 0 ($x := $n) }};{{ end }}"
    )
    data = [string_map({f"k{number}": str(number), "z": "x" * number}) for number in range(20)]
    alone = [template.render(each, WORLD).text for each in data]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda each: template.render(each, WORLD).text, data * 20))
    assert together == alone * 20


def test_rendering_says_which_functions_made_it_unrepeatable() -> None:
    template = Template.parse("{{ if .a }}{{ now | unixEpoch }}{{ randAlpha 3 | len }}{{ end }}")
    assert template.render({"a": True}, WORLD).unrepeatable == {"now", "randAlpha"}
    assert template.render({"a": False}, WORLD).unrepeatable == frozenset()


def test_the_result_is_not_shown_by_its_repr() -> None:
    assert CANARY not in repr(Template.parse("{{ . }}").render(CANARY, WORLD))


def test_an_unknown_way_to_treat_missing_keys_is_refused() -> None:
    with pytest.raises(ValueError, match="error, default, invalid, zero"):
        Template.parse("x", missing="ignore")


def test_an_error_knows_line_column_context_and_the_text_of_go() -> None:
    error = failing("a\n  {{ .usr | upper }}", string_map({"user": CANARY}))
    assert (error.line, error.column, error.context) == (2, 6, "{{ .usr | upper }}")
    assert error.message == 'there is no key "usr"; the keys are "user"'
    assert error.remedy == 'did you mean "user"?'
    assert error.detail == 'map has no entry for key "usr"'
    assert str(error) == f"line 2, column 6: {error.message}: {error.remedy}"


def test_the_context_of_an_error_in_a_long_text_is_cut() -> None:
    error = failing("{{ nosuch " + "1 " * 500 + "}}")
    assert error.context.startswith("{{ nosuch 1")
    assert error.context.endswith("...")
    assert len(error.context) < 140


def test_errors_are_of_the_kind_of_what_went_wrong() -> None:
    assert type(failing("{{")) is ParseError
    assert type(failing("{{ .a }}", {})) is ExecError
    assert type(failing("{{ range 10000000 }}{{ end }}")) is LimitError


@pytest.mark.parametrize(
    "failure",
    [ValueError(CANARY), KeyError(CANARY), RecursionError(CANARY), MemoryError(CANARY), OverflowError(CANARY)],
)
def test_a_defect_of_a_function_is_told_by_its_type_alone(failure: Exception) -> None:
    def probe(_: str) -> str:
        raise failure

    error = failing("\n{{ print (probe .) }}", CANARY, functions=with_function("func(string) string", probe))
    assert type(error) is ExecError
    assert str(error) == f"line 2, column 11: probe fails ({type(failure).__name__})"
    assert error.__cause__ is None
    assert error.__suppress_context__
    assert CANARY not in repr(error.__dict__)


def test_an_error_of_a_function_over_values_tells_its_message_and_keeps_its_detail() -> None:
    def probe(_: Value) -> str:
        raise FunctionError("that is wrong", detail=f"wrong: {CANARY}")

    functions = with_function("func(interface {}) string", probe)
    for text in ("{{ probe . }}", "{{ . | probe }}", "{{ probe (print .) }}", '{{ "x" | probe }}'):
        error = failing(text, CANARY, functions=functions)
        assert str(error).endswith("probe: that is wrong")
        assert error.detail == f"error calling probe: wrong: {CANARY}"


def test_an_error_of_a_function_over_literals_tells_all() -> None:
    def probe(*_: Value) -> str:
        raise FunctionError("that is wrong", detail="wrong: 5 and a")

    error = failing('{{ probe 5 "a" true nil }}', functions=with_function("func(...interface {}) string", probe))
    assert str(error) == "line 1, column 4: probe: wrong: 5 and a"


def test_a_limit_that_a_function_hits_is_told_with_the_place_of_the_call() -> None:
    functions = with_function("func(string) string", lambda run, _: run.make(1 << 40), run=True)
    error = failing('{{ if true }}\n{{ probe "a" }}{{ end }}', functions=functions)
    assert type(error) is LimitError
    assert str(error) == "line 2, column 4: the template makes more than 32 MiB of values"


def test_strings_that_functions_put_together_have_one_spelling() -> None:
    functions = with_function("func() string", lambda: "\udcc3" + "\udca9")
    assert render('{{ eq probe "é" }}{{ len probe }}{{ probe }}', functions=functions) == "true2é"


def test_the_strings_that_functions_make_are_counted() -> None:
    functions = with_function("func() string", lambda: "x" * (1 << 20))
    error = failing("{{ range 100 }}{{ $x := probe }}{{ end }}", functions=functions)
    assert "32 MiB of values" in str(error)


def test_a_function_that_gives_back_its_argument_is_not_counted_again() -> None:
    functions = with_function("func(interface {}) interface {}", lambda value: value)
    assert render("{{ range 1000 }}{{ $x := probe $ }}{{ end }}", [1.0] * 100_000, functions=functions) == ""


def test_keys_of_documents_are_told_and_keys_made_of_values_are_not() -> None:
    error = failing("{{ with fromJson . }}{{ (index .list 0).usr }}{{ end }}", '{"list":[{"user":1,"port":2}]}')
    assert 'the keys are "port", "user": did you mean "user"?' in str(error)
    error = failing("{{ (dict . 1).usr }}", CANARY)
    assert str(error) == 'line 1, column 4: there is no key "usr"'


def test_the_keys_of_nested_data_are_told() -> None:
    error = failing("{{ range .users }}{{ .nam }}{{ end }}", {"users": [{"name": CANARY}]})
    assert 'the keys are "name": did you mean "name"?' in str(error)
    assert CANARY not in str(error)


def test_a_name_in_an_error_is_cut_and_holds_no_control_characters() -> None:
    error = failing("{{ .a }}", {"k\n\x1b[31m": 1, "x" * 500: 2})
    assert "\n" not in str(error)
    assert "\x1b" not in str(error)
    assert len(str(error)) < 250


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{ .Inside }}{{ .Twice }}", "55" + "5"),
        ('{{ .Join "a" "b" }}', "ab"),
        ('{{ "c" | .Join "a" "b" }}', "abc"),
        ("{{ .Made 2 }}", "0000"),
        ("{{ .Self.Self.Inside }}", "5"),
        ("{{ $b := . }}{{ with 1 }}{{ $b.Inside }}{{ end }}", "5"),
        ("{{ (.Self).Inside }}", "5"),
        ("{{ if . }}true{{ end }}", "true"),
    ],
)
def test_structs_have_fields_and_methods(text: str, says: str) -> None:
    assert render(text, Box(5)) == says


@pytest.mark.parametrize(
    "name",
    ["hidden", "inside", "fields", "methods", "twice", "go_type", "__class__", "__dict__", "__init__", "Inside.real"],
)
def test_attributes_of_python_are_out_of_reach(name: str) -> None:
    error = failing(f"{{{{ .{name} }}}}", Box(5))
    assert "there is no field" in str(error)


@pytest.mark.parametrize(
    "text",
    [
        '{{ .Inside "a" }}',
        "{{ .Twice 1 }}",
        "{{ 1 | .Twice }}",
        "{{ .Join }}",
        "{{ .Join 1 }}",
        '{{ .Made "a" }}',
        "{{ .Made.x }}",
    ],
)
def test_structs_take_no_wrong_arguments(text: str) -> None:
    assert type(failing(text, Box(CANARY))) is ExecError
    assert CANARY not in str(failing(text, Box(CANARY)))


def test_a_nil_field_of_a_struct_has_no_fields() -> None:
    assert render("[{{ .Inside }}]", Box(None)) == "[<no value>]"
    assert 'no field "a" in nil' in str(failing("{{ .Inside.a }}", Box(None)))


def test_ranges_go_over_slices_and_maps_of_every_type() -> None:
    assert render("{{ range $i, $v := . }}{{ $i }}{{ $v }}{{ typeOf $v }} {{ end }}", b"ab") == "097uint8 198uint8 "
    assert render("{{ range . }}{{ . }}{{ else }}none{{ end }}", strings([])) == "none"
    assert render("{{ range . }}{{ . }}{{ else }}none{{ end }}", TypedSlice([], STRINGS, is_nil=True)) == "none"
    assert render("{{ range . }}{{ . }}{{ else }}none{{ end }}", TypedMap({}, DICT, is_nil=True)) == "none"
    assert render("{{ range . }}{{ typeOf . }}{{ end }}", Number(2, INT64)) == "int64int64"


@pytest.mark.parametrize(
    ("elements", "says"),
    [
        (GoType("int", "int"), "0"),
        (GoType("bool", "bool"), "false"),
        (GoType("float64", "float64"), "0"),
        (STRINGS, "[]"),
        (DICT, "map[]"),
    ],
)
def test_a_missing_key_is_the_zero_of_the_type_where_that_is_asked_for(elements: GoType, says: str) -> None:
    assert render("{{ .x }}", TypedMap({}, map_of(elements)), missing="zero") == says


def test_functions_may_be_chosen() -> None:
    functions = with_function("func() string", lambda: "mine")
    assert render("{{ probe }}", functions=functions) == "mine"
    assert "there is no function" in str(failing("{{ probe }}"))
    assert "there is no function" in str(failing("{{ upper . }}", functions={}))


def test_a_function_without_a_name_of_its_own_in_the_functions_still_short_circuits() -> None:
    assert render("{{ and 1 0 }}{{ or 0 2 }}", functions={}) == "02"


def test_a_function_asks_for_the_run() -> None:
    def probe(run: Run, name: str) -> str:
        return f"{run.now('probe').year}{name}"

    functions = with_function("func(string) string", probe, run=True)
    rendered = Template.parse('{{ probe "x" }}', functions=functions).render(None, WORLD, Limits())
    assert rendered.text == b"2024x"
    assert rendered.unrepeatable == {"probe"}


def test_a_half_of_a_surrogate_pair_is_no_text() -> None:
    assert "surrogate" in str(failing("a\ud83d"))
    assert str(failing("{{ . }}", CANARY + "\ud83d")) == "line 1, column 4: the template fails (UnicodeEncodeError)"


def test_a_value_that_is_no_value_of_go_is_told_by_the_type_of_the_failure() -> None:
    error = failing("{{ range . }}{{ end }}", {CANARY})  # type: ignore[arg-type]  # what a defect would hand over
    assert "fails (TypeError)" in str(error)
    assert CANARY not in str(error)


def test_only_slice_is_declared_twice() -> None:
    times = Counter(
        name
        for module in pkgutil.iter_modules(topics.__path__)
        for name in importlib.import_module(f"{topics.__name__}.{module.name}").REGISTRY.functions
    )
    assert {name for name, count in times.items() if count > 1} == {"slice"}
    assert set(times) == set(FUNCTIONS)


def test_the_data_is_left_as_it_is() -> None:
    data: Value = {"a": [1.0, {"b": "c"}]}
    render("{{ $x := .a }}{{ $x = append $x 5 }}{{ $ = 1 }}{{ range $v := .a }}{{ $v = 2 }}{{ end }}", data)
    assert data == {"a": [1.0, {"b": "c"}]}
