"""Functions beyond the vectors: bounds, chance, secrecy, and what holds for any text."""

from __future__ import annotations

import base64
import datetime as dt
import itertools
import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.shape.gotmpl import LimitError, Limits, World
from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.functions import encoding, numbers, paths, regex, semver, split, strings, text, urls
from keyferry.shape.gotmpl.gostrconv import MAX_INT64, MIN_INT64, wrap
from keyferry.shape.gotmpl.gounicode import SPACES, lower, title, upper
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.semver import Version, parse_version
from keyferry.shape.gotmpl.values import Value, canonical, from_bytes, to_bytes

CANARY = "canary-" + "3b7a55"
MODULES = (encoding, numbers, paths, regex, semver, split, strings, text, urls)
FUNCTIONS = {name: function for module in MODULES for name, function in module.REGISTRY.functions.items()}

anything = st.binary(max_size=20).map(from_bytes) | st.text(max_size=12)
int64s = st.integers(min_value=MIN_INT64, max_value=MAX_INT64)


def counting() -> Callable[[int], bytes]:
    """Bytes 0, 1, 2 and so on, over and over."""
    source = itertools.cycle(range(256))
    return lambda size: bytes(itertools.islice(source, size))


def make_run(entropy: Callable[[int], bytes] | None = None) -> Run:
    now = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    return Run(World(now=lambda: now, monotonic=lambda: 0.0, entropy=entropy or counting()), Limits())


def call(name: str, *args: Value, run: Run | None = None) -> Value:
    function = FUNCTIONS[name]
    result: Value = function.call(run or make_run(), *args) if function.wants_run else function.call(*args)
    return canonical(result) if isinstance(result, str) else result


HUGE: dict[str, tuple[Value, ...]] = {
    "repeat": (1 << 40, "x"),
    "indent": (1 << 40, "x\ny"),
    "nindent": (1 << 40, ""),
    "until": (1 << 40,),
    "untilStep": (MIN_INT64, MAX_INT64, 1),
    "seq": (1, 1, 1 << 40),
    "replace": ("", "y" * 100_000, "x" * 10_000),
    "regexReplaceAll": ("", "y" * 100_000, "x" * 10_000),
    "regexReplaceAllLiteral": ("y", "y" * 100_000, "x" * 10_000),
    "splitList": ("", "x" * (3 << 20)),
    "split": (",", "," * (3 << 20)),
    "regexFindAll": ("", "x" * (3 << 20), -1),
    "join": ("x" * 100_000, ["y"] * 10_000),
    "randAlphaNum": (1 << 40,),
    "wrapWith": (1, "x" * 100_000, "y" * 10_000),
    "shuffle": ("x" * (1 << 20),),
}


@pytest.mark.parametrize(("name", "args"), HUGE.items(), ids=HUGE.keys())
def test_what_would_be_huge_is_refused_before_it_is_made(name: str, args: tuple[Value, ...]) -> None:
    with pytest.raises(LimitError):
        call(name, *args)


FAILING: dict[str, tuple[Value, ...]] = {
    "fail": (CANARY,),
    "mustRegexMatch": (f"({CANARY}", "x"),
    "regexReplaceAll": (f"({CANARY}", "x", "y"),
    "urlParse": (f"http://[{CANARY}",),
    "urlJoin": ({"userinfo": f"{CANARY} {CANARY}"},),
    "semver": (CANARY,),
    "semverCompare": (CANARY, "1"),
    "divf": (1, CANARY),
    "addf": (f"{CANARY}", "inf"),
}


@pytest.mark.parametrize(("name", "args"), FAILING.items(), ids=FAILING.keys())
def test_an_error_does_not_show_a_value(name: str, args: tuple[Value, ...]) -> None:
    with pytest.raises(FunctionError) as caught:
        call(name, *args)
    assert CANARY not in caught.value.message
    assert CANARY not in str(caught.value.__cause__)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("pattern", ["x" * 20_000, r"(?:\pL{30}\pN{30}){16}", r"[\P{ASCII}\P{LC}]"])
def test_a_pattern_that_only_go_compiles_is_an_error_and_no_mismatch(pattern: str) -> None:
    with pytest.raises(FunctionError, match="does not compile"):
        call("regexMatch", pattern, CANARY)


RANDOM: dict[str, tuple[Value, ...]] = {
    "randAlphaNum": (20,),
    "randAlpha": (20,),
    "randNumeric": (20,),
    "randAscii": (20,),
    "randInt": (0, 1000),
    "shuffle": ("abcdefghijklmnopqrstuvwxyz",),
}


@pytest.mark.parametrize(("name", "args"), RANDOM.items(), ids=RANDOM.keys())
def test_chance_comes_from_outside_and_is_told(name: str, args: tuple[Value, ...]) -> None:
    run = make_run(random.Random(7).randbytes)
    first = call(name, *args, run=run)
    assert first != call(name, *args, run=run)
    assert first == call(name, *args, run=make_run(random.Random(7).randbytes))
    assert run.unrepeatable == {name}


def test_every_character_is_as_likely_as_the_other() -> None:
    drawn = Counter(str(call("randAlphaNum", 62 * 400)))
    assert len(drawn) == 62
    assert max(drawn.values()) - min(drawn.values()) <= 4


def test_every_number_is_as_likely_as_the_other() -> None:
    run = make_run()
    drawn = Counter(call("randInt", 0, 100, run=run) for _ in range(10_000))
    assert len(drawn) == 100
    assert max(drawn.values()) == min(drawn.values())


@given(anything)
def test_shuffling_loses_nothing(given_text: str) -> None:
    valid = "".join(each for each in given_text if not "\ud800" <= each <= "\udfff")
    assert sorted(str(call("shuffle", valid))) == sorted(valid)


@given(anything)
def test_what_is_encoded_is_decoded_again(given_text: str) -> None:
    raw = to_bytes(given_text)
    assert call("b64dec", base64.b64encode(raw).decode()) == canonical(given_text)
    assert call("b64dec", str(call("b64enc", given_text))) == canonical(given_text)
    assert call("b32dec", str(call("b32enc", given_text))) == canonical(given_text)
    assert call("hexdec", raw.hex()) == canonical(given_text)


@given(anything, st.integers(min_value=0, max_value=30))
def test_both_ends_make_the_text(given_text: str, count: int) -> None:
    length = len(to_bytes(given_text))
    if 0 < count < length:
        begin, end = str(call("trunc", count, given_text)), str(call("trunc", count - length, given_text))
        assert to_bytes(begin) + to_bytes(end) == to_bytes(given_text)


@given(anything, st.text(min_size=1, max_size=2))
def test_what_is_split_is_joined_again(given_text: str, separator: str) -> None:
    assert call("join", separator, call("splitList", separator, given_text)) == canonical(given_text)


@given(anything, anything, anything)
def test_searching_is_searching_bytes(given_text: str, part: str, new: str) -> None:
    raw, needle = to_bytes(given_text), to_bytes(part)
    assert call("contains", part, given_text) == (needle in raw)
    assert call("hasPrefix", part, given_text) == raw.startswith(needle)
    assert call("hasSuffix", part, given_text) == raw.endswith(needle)
    assert to_bytes(str(call("trimPrefix", part, given_text))) == raw.removeprefix(needle)
    assert to_bytes(str(call("trimSuffix", part, given_text))) == raw.removesuffix(needle)
    if needle:
        assert to_bytes(str(call("replace", part, new, given_text))) == raw.replace(needle, to_bytes(new))


@given(st.text(max_size=20))
def test_case_is_changed_rune_by_rune(given_text: str) -> None:
    for change in (upper, lower, title):
        assert len(change(given_text)) == len(given_text)
        assert change(given_text) == "".join(map(change, given_text))


@pytest.mark.parametrize("late", ["\u019b", "\u0264", "\U00010d50", "\ua7cb"])
def test_case_of_characters_that_go_does_not_know_is_left_alone(late: str) -> None:
    assert upper(late) == lower(late) == title(late) == late


def test_white_space_is_what_unicode_calls_so() -> None:
    known = {chr(code) for code in range(0x110000) if chr(code).isspace()}
    assert known - set(SPACES) == set("\x1c\x1d\x1e\x1f")
    assert set(SPACES) <= known


@given(st.text(alphabet="aB_- 1.é世", max_size=14))
def test_words_keep_their_letters(given_text: str) -> None:
    for name in ("snakecase", "kebabcase"):
        made = str(call(name, given_text))
        assert [each for each in made if each not in "_-"] == [each for each in lower(given_text) if each not in "_- "]
        assert call(name, made) == made


@given(anything, st.integers(min_value=1, max_value=9))
def test_wrapping_only_moves_blanks(given_text: str, width: int) -> None:
    wrapped = str(call("wrapWith", width, "\0", given_text))
    assert to_bytes(wrapped).translate(None, b" \0") == to_bytes(given_text).translate(None, b" \0")
    assert all(len(line) <= width for line in to_bytes(wrapped).split(b"\0")) or "\0" in given_text


@given(st.text(alphabet="a/.", max_size=12))
def test_a_clean_path_is_clean(path: str) -> None:
    clean = str(call("clean", path))
    assert call("clean", clean) == clean
    assert clean == "/" or not clean.endswith("/")
    assert "//" not in clean
    assert call("base", clean) == (clean.rpartition("/")[2] or "/")


@given(int64s, int64s)
def test_integers_wrap_around(left: int, right: int) -> None:
    assert call("add", left, right) == wrap(left + right)
    assert call("sub", left, right) == wrap(left - right)
    assert call("mul", left, right) == wrap(left * right)
    if right:
        quotient, rest = call("div", left, right), call("mod", left, right)
        assert isinstance(quotient, int)
        assert isinstance(rest, int)
        assert wrap(quotient * right + rest) == left
        assert abs(rest) < abs(right)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**6), max_value=10**6))
def test_decimals_lose_nothing_when_they_are_added(number: object) -> None:
    assert call("addf", float(str(number)), 0.1) == call("subf", float(str(number)), -0.1)
    assert call("mulf", float(str(number)), 10) == float(f"{number}e1")


numbers_of_versions = st.integers(min_value=0, max_value=3)
prereleases = st.sampled_from(["", "-0", "-1", "-11", "-2", "-a", "-a.1", "-a.b", "-A", "-rc-1"])
versions = st.builds(
    lambda major, minor, patch, pre: parse_version(f"{major}.{minor}.{patch}{pre}"),
    numbers_of_versions,
    numbers_of_versions,
    numbers_of_versions,
    prereleases,
)


@given(versions, versions, versions)
def test_versions_have_an_order(one: Version, two: Version, three: Version) -> None:
    assert one.compare(two) == -two.compare(one)
    assert (one.compare(two) == 0) == (one.go_string() == two.go_string())
    if one.compare(two) <= 0 and two.compare(three) <= 0:
        assert one.compare(three) <= 0


@given(versions, versions)
def test_constraints_follow_the_order(one: Version, two: Version) -> None:
    wanted, version = one.go_string(), two.go_string()
    # A constraint without a prerelease fits no prerelease.
    if two.prerelease and not one.prerelease:
        assert not any(
            call("semverCompare", operator + wanted, version) for operator in ("=", "!=", "<", "<=", ">", ">=")
        )
        return
    order = two.compare(one)
    assert call("semverCompare", f"={wanted}", version) == (order == 0)
    assert call("semverCompare", f"!={wanted}", version) == (order != 0)
    assert call("semverCompare", f"<{wanted}", version) == (order < 0)
    assert call("semverCompare", f">={wanted}", version) == (order >= 0)
    assert call("semverCompare", f">{wanted} || <={wanted}", version)


def test_a_constraint_takes_linear_time() -> None:
    run = make_run()
    with pytest.raises(FunctionError):
        call("semverCompare", "1 " * 20_000 + "!", "1", run=run)


@given(st.text(alphabet="ab:/@?#[]%41.é", max_size=14))
def test_what_is_put_together_is_taken_apart_again(given_text: str) -> None:
    try:
        parts = call("urlParse", f"http://{given_text}")
    except FunctionError:
        return
    assert call("urlParse", str(call("urlJoin", parts))) == parts
