from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.shape.gofloat import format_float, format_float32

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(finite, st.sampled_from("eEfgG"))
def test_the_fewest_digits_give_the_float_back(number: float, verb: str) -> None:
    text = format_float(number, verb)
    assert float(text) == number
    assert math.copysign(1, float(text)) == math.copysign(1, number)
    assert len(text.lower().partition("e")[0].replace(".", "").strip("-0")) <= len(repr(number))


@given(finite, st.sampled_from("xX"))
def test_hexadecimal_digits_give_the_float_back(number: float, verb: str) -> None:
    assert float.fromhex(format_float(number, verb)) == number


@given(st.floats(-1e300, 1e300), st.integers(0, 14))
def test_a_rounded_hexadecimal_float_is_off_by_half_of_its_last_digit(number: float, precision: int) -> None:
    mantissa, _, exponent = format_float(abs(number), "x", precision).partition("p")
    assert len(mantissa) == (4 + precision if precision else 3)
    last = math.ldexp(1.0, int(exponent) - 4 * precision)
    if math.isfinite(last) and last > 0:
        assert abs(float.fromhex(f"{mantissa}p{exponent}") - abs(number)) <= last / 2


@given(finite)
def test_a_binary_float_is_its_mantissa_and_its_exponent(number: float) -> None:
    mantissa, _, exponent = format_float(number, "b").partition("p")
    assert math.ldexp(float(int(mantissa)), int(exponent)) == number


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float32_is_given_back_by_its_fewest_digits(number: float) -> None:
    text = format_float32(number)
    assert struct.unpack("<f", struct.pack("<f", float(text)))[0] == number
    assert len(text.partition("e")[0].replace(".", "").strip("-0")) <= 9


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.1, "0.1"), (3.14159265358979, "3.1415927"), (16777217.0, "1.6777216e+07"), (1e-60, "0"), (-0.0, "-0")],
)
def test_a_float64_is_rounded_to_a_float32_first(number: float, text: str) -> None:
    assert format_float32(number) == text


@pytest.mark.parametrize(("number", "text"), [(math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN")])
def test_what_is_no_number_has_a_name(number: float, text: str) -> None:
    assert {format_float(number, verb, precision) for verb in "beEfgGxX" for precision in (-1, 3)} == {text}
    assert format_float32(number) == text


@pytest.mark.parametrize(("number", "text"), [(1e300, "+Inf"), (-3.5e38, "-Inf")])
def test_what_no_float32_holds_is_infinite(number: float, text: str) -> None:
    assert format_float32(number) == text
