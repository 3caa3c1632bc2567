from __future__ import annotations

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from keyferry.api.duration import _NANOSECONDS, DURATION_PATTERN, parse_duration

NANOSECOND = 1e-9


def format_duration(seconds: float) -> str:
    """A duration as Go prints it: ``1h0m0s``, ``1.5s``, ``100ms``, ``0s``; to the nanosecond."""
    nanoseconds = round(abs(seconds) * 10**9)
    sign = "-" if seconds < 0 and nanoseconds else ""
    if nanoseconds == 0:
        return "0s"
    for unit in ("ns", "µs", "ms"):
        if nanoseconds < min(_NANOSECONDS[unit] * 1000, 10**9):
            return f"{sign}{_decimal(nanoseconds, _NANOSECONDS[unit])}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    text = f"{_decimal(rest, 10**9)}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}"
    return sign + text


def _decimal(value: int, scale: int) -> str:
    """``value / scale`` without needless zeros; ``scale`` is a power of ten."""
    whole, rest = divmod(value, scale)
    fraction = f"{rest:0{len(str(scale)) - 1}d}".rstrip("0") if rest else ""
    return f"{whole}.{fraction}" if fraction else str(whole)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("-0", 0),
        ("+0", 0),
        ("0s", 0),
        ("5s", 5),
        ("30s", 30),
        ("1478s", 1478),
        ("-5s", -5),
        ("+5s", 5),
        ("5.0s", 5),
        ("5.6s", 5.6),
        ("5.s", 5),
        (".5s", 0.5),
        ("1.0040s", 1.004),
        ("10ns", 10e-9),
        ("11us", 11e-6),
        ("12µs", 12e-6),
        ("12μs", 12e-6),
        ("13ms", 13e-3),
        ("15m", 900),
        ("16h", 57600),
        ("1h0m0s", 3600),
        ("3h30m", 12600),
        ("10.5s4m", 250.5),
        ("-2m3.4s", -123.4),
        ("1h2m3s4ms5us6ns", 3723.004005006),
        ("52763797000ns", 52.763797),
        ("0.3333333333333333333h", 1200),
        ("9223372036854775807ns", 9223372036.854775807),
        ("-9223372036854775808ns", -9223372036.854775808),
        ("0.100000000000000000000h", 360),
    ],
)
def test_what_go_reads_is_read_as_go_reads_it(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, abs=NANOSECOND)
    assert re2.fullmatch(DURATION_PATTERN, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "-",
        "s",
        ".",
        "-.",
        ".s",
        "+.s",
        "1d",
        "1w",
        "1h30",
        "00",
        "1 h",
        " 1h",
        "1h ",
        "1H",
        "--1s",
        "1e3s",
        "\u0661s",
    ],
)
def test_what_go_refuses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as"):
        parse_duration(text)
    assert not re2.fullmatch(DURATION_PATTERN, text)


@pytest.mark.parametrize(
    "text", ["9223372036854775808ns", "-9223372036854775809ns", "9223372036854776us", "3000000h", f"{'9' * 5000}h"]
)
def test_what_does_not_fit_into_go_s_64_bits_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="longer than 292 years"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [("1d", '"1d" has the unknown unit "d"'), ("60", '"60" lacks a unit'), ("soon", '"soon" is no duration')],
)
def test_the_error_says_what_is_wrong_and_what_to_write(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match="use a number with a unit") as caught:
        parse_duration(text)
    assert str(caught.value).startswith(fault)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-0.0, "0s"),
        (1e-9, "1ns"),
        (1.1e-6, "1.1µs"),
        (2.2e-3, "2.2ms"),
        (0.999999999, "999.999999ms"),
        (3.3, "3.3s"),
        (245, "4m5s"),
        (245.001, "4m5.001s"),
        (18367.001, "5h6m7.001s"),
        (3600, "1h0m0s"),
        (-90, "-1m30s"),
        (36000000, "10000h0m0s"),
    ],
)
def test_durations_are_written_as_go_writes_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_what_is_written_is_read_back(nanoseconds: int) -> None:
    text = format_duration(nanoseconds / 10**9)

    assert parse_duration(text) == pytest.approx(nanoseconds / 10**9, abs=NANOSECOND)
    assert re2.fullmatch(DURATION_PATTERN, text)


@given(st.text(alphabet="0123456789.+-nusmhµd ", max_size=12))
def test_the_crd_accepts_what_is_read_and_nothing_else(text: str) -> None:
    try:
        parse_duration(text)
        readable = True
    except ValueError as error:
        readable = "292 years" in str(error)
    assert readable == bool(re2.fullmatch(DURATION_PATTERN, text))
