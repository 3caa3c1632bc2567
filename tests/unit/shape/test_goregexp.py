"""What the vectors of templates cannot say of Go's regular expressions: for any text, in bounded time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.shape import goregexp
from keyferry.shape.goregexp import Regexp, RegexpError, compile_pattern, quote_meta

CANARY = "canary-" + "5e1f0b"
CASES = {
    "an unclosed group": (f"({CANARY}", "missing closing )"),
    "an unclosed class": (f"{CANARY}[ab", "missing closing ]"),
    "a closing parenthesis": (f"{CANARY})", "unexpected )"),
    "a repetition of nothing": (f"*{CANARY}", "missing argument to repetition operator"),
    "a repetition of a repetition": (f"{CANARY}**", "invalid nested repetition operator"),
    "a repetition that is too large": (f"{CANARY}{{1001}}", "invalid repeat count"),
    "a count with many digits": (f"{CANARY}{{12345678901}}", "invalid repeat count"),
    "a backslash at the end": (f"{CANARY}\\", "trailing backslash at end of expression"),
    "an unknown escape": (f"{CANARY}\\y", "invalid escape sequence"),
    "a single byte": (f"{CANARY}\\C", "invalid escape sequence"),
    "an unknown class": (f"{CANARY}\\p{{Nope}}", "invalid character class range"),
    "a range the wrong way round": (f"{CANARY}[z-a]", "invalid character class range"),
    "what looks ahead": (f"{CANARY}(?=a)", "invalid or unsupported Perl syntax"),
    "a name that is not ASCII": (f"{CANARY}(?P<é>a)", "invalid named capture"),
    "what is no UTF-8": (f"{CANARY}\udcff", "invalid UTF-8"),
    "a pattern of any length": (CANARY * 2000, "expression too large"),
    "a class that cannot be told between brackets": (f"{CANARY}[\\P{{ASCII}}\\P{{LC}}]", "between brackets"),
}

texts = st.text(alphabet=st.sampled_from("ab.*-1é世\n\udcff\udcc3$"), max_size=12)


class Counted:
    """A meter that remembers."""

    def __init__(self) -> None:
        self.steps = 0
        self.bytes = 0

    def spend(self, steps: int) -> None:
        self.steps += steps

    def make(self, size: int) -> None:
        self.bytes += size


@pytest.mark.parametrize(("pattern", "reason"), CASES.values(), ids=CASES.keys())
def test_a_pattern_that_does_not_compile_is_refused_without_being_shown(pattern: str, reason: str) -> None:
    with pytest.raises(RegexpError) as caught:
        Regexp(pattern)
    assert reason in str(caught.value)
    assert CANARY not in str(caught.value)
    assert caught.value.detail.startswith("error parsing regexp: ")
    assert caught.value.__cause__ is None


@given(texts)
def test_a_match_replaced_by_itself_changes_nothing(text: str) -> None:
    for pattern in ("", "a", "a|", "(?s).", r"\b", r"\B", "[^a]*", "(?P<n>é|-)+"):
        assert compile_pattern(pattern).replace_all(text, "$0") == text


@given(texts)
def test_pieces_and_matches_make_the_text(text: str) -> None:
    regexp = compile_pattern("[a-]+")
    pieces, found = regexp.split(text, -1), regexp.find_all(text, -1)
    assert len(pieces) == len(found) + 1
    assert "".join(piece + match for piece, match in zip(pieces, [*found, ""], strict=True)) == text


@given(texts, texts)
def test_quoted_text_matches_itself_and_nothing_else(text: str, other: str) -> None:
    valid = "".join(each for each in text if not "\ud800" <= each <= "\udfff")
    regexp = compile_pattern(rf"\A(?:{quote_meta(valid)})\z")
    assert regexp.found(valid)
    assert regexp.found(other) == (other == valid)


@given(texts, st.sampled_from(["$", "$$", "$x", "${0}", "$1", "é$"]))
def test_a_literal_replacement_is_not_read(text: str, replacement: str) -> None:
    assert compile_pattern("a").replace_all_literally(text, replacement) == text.replace("a", replacement)


@given(st.text(alphabet="ab1-", max_size=12))
def test_simple_patterns_find_what_the_standard_library_finds(text: str) -> None:
    for pattern in ("a+", "[ab]1", "a|b1", "(?:ab)+", "-$"):
        assert compile_pattern(pattern).find_all(text, -1) == re.findall(pattern, text)


def test_a_pattern_is_compiled_once() -> None:
    assert compile_pattern("a(b)c") is compile_pattern("a(b)c")


def test_matching_is_paid_for_by_the_size_of_pattern_and_text() -> None:
    small, large = Counted(), Counted()
    compile_pattern("(?s)a.{300}c").found("ab" * 500, small)
    compile_pattern("(?s)a.{300}c").found("ab" * 50_000, large)
    assert small.steps < 5_000
    assert large.steps > 50 * small.steps


def test_every_match_and_all_that_is_made_is_counted() -> None:
    meter = Counted()
    made = compile_pattern("(a)").replace_all("ba" * 1000, "$1" * 100, meter)
    assert meter.steps >= 1000
    assert meter.bytes == len(made) == 101_000


def test_a_meter_may_stop_the_work() -> None:
    class Enough(Exception):
        """The bound."""

    class Bounded(Counted):
        def make(self, size: int) -> None:
            super().make(size)
            if self.bytes > 100:
                raise Enough

    with pytest.raises(Enough):
        compile_pattern("a").replace_all_literally("a" * 1000, "b" * 50, Bounded())


def test_text_takes_linear_time_with_patterns_that_make_others_explode() -> None:
    meter = Counted()
    assert not compile_pattern(r"(a*)*(a|aa)+$").found("a" * 50_000 + "b", meter)
    assert meter.steps < 10_000


def test_patterns_too_large_for_little_memory_get_more() -> None:
    assert compile_pattern(r"^[\pL\pN]{63}$").found("é" * 63)
    with pytest.raises(RegexpError, match="expression too large"):
        compile_pattern(r"(?:\pL{30}\pN{30}){16}")


def test_the_cache_of_patterns_is_bounded() -> None:
    for number in range(200):
        compile_pattern(f"a{number}")
    info = goregexp.compile_pattern.cache_info()
    assert info.maxsize is not None
    assert info.currsize <= info.maxsize <= 100
