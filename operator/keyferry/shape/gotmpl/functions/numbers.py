"""Numbers: casts, integer arithmetic that wraps around, decimal arithmetic, sequences.

Functions take anything and cast it (see ``gostrconv``); what is no number counts as 0. The functions that end in "f"
compute with exact decimals (``shopspring/decimal``: quotients have 16 places, halves are rounded away from zero) and
round once, to a float64, at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from keyferry.shape.gotmpl.chance import below
from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.fmt import sprint
from keyferry.shape.gotmpl.gostrconv import parse_int, to_float64, to_int64, wrap
from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.types import INT64
from keyferry.shape.gotmpl.values import Number, TypedSlice, Value, ints

REGISTRY = Registry()

_QUOTIENT_PLACES = 16
# What an int of a list takes in memory, in bytes.
_INT_SIZE = 36


def _int64(value: int) -> Number:
    return Number(wrap(value), INT64)


@REGISTRY.add("atoi", "func(string) int")
def atoi(text: str) -> int:
    return parse_int(text, 10)[0]


@REGISTRY.add("int64", "func(interface {}) int64")
def int64(value: Value) -> Number:
    return _int64(to_int64(value))


@REGISTRY.add("int", "func(interface {}) int")
def int_(value: Value) -> int:
    return to_int64(value)


@REGISTRY.add("float64", "func(interface {}) float64")
def float64(value: Value) -> float:
    return to_float64(value)


@REGISTRY.add("toDecimal", "func(interface {}) int64", run=True)
def to_decimal(run: Run, value: Value) -> Number:
    """An octal number's value; 0 for everything else."""
    number, good = parse_int(sprint(run, (value,)), 8)
    return _int64(number if good else 0)


@REGISTRY.add("add1", "func(interface {}) int64")
def add1(value: Value) -> Number:
    return _int64(to_int64(value) + 1)


@REGISTRY.add("add", "func(...interface {}) int64")
def add(*values: Value) -> Number:
    return _int64(sum(map(to_int64, values)))


@REGISTRY.add("sub", "func(interface {}, interface {}) int64")
def sub(left: Value, right: Value) -> Number:
    return _int64(to_int64(left) - to_int64(right))


@REGISTRY.add("mul", "func(interface {}, ...interface {}) int64")
def mul(first: Value, *others: Value) -> Number:
    product = to_int64(first)
    for other in others:
        product = wrap(product * to_int64(other))
    return _int64(product)


@REGISTRY.add("div", "func(interface {}, interface {}) int64")
def div(left: Value, right: Value) -> Number:
    return _int64(_divide(to_int64(left), to_int64(right))[0])


@REGISTRY.add("mod", "func(interface {}, interface {}) int64")
def mod(left: Value, right: Value) -> Number:
    return _int64(_divide(to_int64(left), to_int64(right))[1])


def _divide(left: int, right: int) -> tuple[int, int]:
    """Quotient, cut off towards zero, and remainder, which has the sign of ``left``."""
    if right == 0:
        raise FunctionError("division by zero", detail="runtime error: integer divide by zero")
    quotient, rest = divmod(abs(left), abs(right))
    return (quotient if (left < 0) == (right < 0) else -quotient), (-rest if left < 0 else rest)


@REGISTRY.add("max biggest", "func(interface {}, ...interface {}) int64")
def max_(first: Value, *others: Value) -> Number:
    return _int64(max(map(to_int64, (first, *others))))


@REGISTRY.add("min", "func(interface {}, ...interface {}) int64")
def min_(first: Value, *others: Value) -> Number:
    return _int64(min(map(to_int64, (first, *others))))


@REGISTRY.add("maxf", "func(interface {}, ...interface {}) float64")
def maxf(first: Value, *others: Value) -> float:
    return -_smallest([-to_float64(each) for each in (first, *others)])


@REGISTRY.add("minf", "func(interface {}, ...interface {}) float64")
def minf(first: Value, *others: Value) -> float:
    return _smallest([to_float64(each) for each in (first, *others)])


def _smallest(numbers: Sequence[float]) -> float:
    """``math.Min`` over all: -Inf before NaN before the rest, and -0 before 0."""
    if -math.inf in numbers:
        return -math.inf
    if any(map(math.isnan, numbers)):
        return math.nan
    return min(numbers, key=lambda each: (each, math.copysign(1, each)))


@REGISTRY.add("ceil", "func(interface {}) float64")
def ceil(value: Value) -> float:
    return _ceil(to_float64(value))


@REGISTRY.add("floor", "func(interface {}) float64")
def floor(value: Value) -> float:
    return _floor(to_float64(value))


@REGISTRY.add("round", "func(interface {}, int, ...float64) float64")
def round_(value: Value, places: int, *round_on: float) -> float:
    """Rounded up where the digit's fraction is at least ``round_on`` (0.5), else down; negative numbers go down."""
    power = _power_of_ten(float(places))
    digit = power * to_float64(value)
    fraction = math.modf(digit)[0] if math.isfinite(digit) else math.nan
    rounded = _ceil(digit) if fraction >= (round_on[0] if round_on else 0.5) else _floor(digit)
    if power == 0:
        # Only 0, NaN and infinities come here: the digit was multiplied by 0.
        return math.nan
    return rounded / power


def _ceil(number: float) -> float:
    # Where there is no fraction, -0 and numbers that no int holds stay what they are.
    if not math.isfinite(number) or number.is_integer():
        return number
    return math.copysign(float(math.ceil(number)), number)


def _floor(number: float) -> float:
    return -_ceil(-number)


def _power_of_ten(exponent: float) -> float:
    """``math.Pow(10, exponent)`` with Go's rounding errors, which show from 10**23 on: squares are multiplied up."""
    if exponent == 0:
        return 1.0
    bits = int(abs(exponent))
    result, result_exponent = 1.0, 0
    square, square_exponent = math.frexp(10.0)
    while bits:
        if square_exponent > 1 << 12:
            result_exponent += square_exponent
            break
        if bits & 1:
            result *= square
            result_exponent += square_exponent
        square *= square
        square_exponent *= 2
        if square < 0.5:
            square += square
            square_exponent -= 1
        bits >>= 1
    if exponent < 0:
        result, result_exponent = 1 / result, -result_exponent
    try:
        return math.ldexp(result, result_exponent)
    except OverflowError:
        return math.inf


class _Decimal(NamedTuple):
    """``digits * 10**exponent``."""

    digits: int
    exponent: int

    @classmethod
    def of(cls, value: Value) -> _Decimal:
        """The shortest decimal that is read back as the same float64."""
        number = to_float64(value)
        if not math.isfinite(number):
            shown = "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"
            raise FunctionError("an argument is no finite number", detail=f"Cannot create a Decimal from {shown}")
        mantissa, _, exponent = repr(number).partition("e")
        whole, _, fraction = mantissa.partition(".")
        fraction = fraction.rstrip("0")
        return cls(int(whole + fraction), int(exponent or 0) - len(fraction))

    def __float__(self) -> float:
        try:
            if self.exponent >= 0:
                return float(_shifted(self.digits, self.exponent))
            # True division of integers is rounded correctly, once.
            return self.digits / _shifted(1, -self.exponent)
        except OverflowError:
            return -math.inf if self.digits < 0 else math.inf


def _shifted(digits: int, places: int) -> int:
    return digits * int(10**places)


def _add(left: _Decimal, right: _Decimal) -> _Decimal:
    exponent = min(left.exponent, right.exponent)
    return _Decimal(
        _shifted(left.digits, left.exponent - exponent) + _shifted(right.digits, right.exponent - exponent), exponent
    )


def _sub(left: _Decimal, right: _Decimal) -> _Decimal:
    return _add(left, _Decimal(-right.digits, right.exponent))


def _mul(left: _Decimal, right: _Decimal) -> _Decimal:
    return _Decimal(left.digits * right.digits, left.exponent + right.exponent)


def _div(left: _Decimal, right: _Decimal) -> _Decimal:
    if right.digits == 0:
        raise FunctionError("division by zero", detail="decimal division by 0")
    shift = left.exponent - right.exponent + _QUOTIENT_PLACES
    dividend, divisor = abs(left.digits), abs(right.digits)
    if shift >= 0:
        dividend = _shifted(dividend, shift)
    else:
        divisor = _shifted(divisor, -shift)
    quotient, rest = divmod(dividend, divisor)
    if 2 * rest >= divisor:
        quotient += 1
    return _Decimal(quotient if (left.digits < 0) == (right.digits < 0) else -quotient, -_QUOTIENT_PLACES)


def _fold(
    run: Run, operation: Callable[[_Decimal, _Decimal], _Decimal], first: Value, others: Sequence[Value]
) -> float:
    result = _Decimal.of(first)
    for other in others:
        # Exact products grow with every factor.
        run.spend(1 + result.digits.bit_length() // 4096)
        result = operation(result, _Decimal.of(other))
    return float(result)


@REGISTRY.add("add1f", "func(interface {}) float64", run=True)
def add1f(run: Run, value: Value) -> float:
    return _fold(run, _add, value, (1,))


@REGISTRY.add("addf", "func(...interface {}) float64", run=True)
def addf(run: Run, *values: Value) -> float:
    return _fold(run, _add, 0, values)


@REGISTRY.add("subf", "func(interface {}, ...interface {}) float64", run=True)
def subf(run: Run, first: Value, *others: Value) -> float:
    return _fold(run, _sub, first, others)


@REGISTRY.add("mulf", "func(interface {}, ...interface {}) float64", run=True)
def mulf(run: Run, first: Value, *others: Value) -> float:
    return _fold(run, _mul, first, others)


@REGISTRY.add("divf", "func(interface {}, ...interface {}) float64", run=True)
def divf(run: Run, first: Value, *others: Value) -> float:
    return _fold(run, _div, first, others)


@REGISTRY.add("until", "func(int) []int", run=True)
def until(run: Run, count: int) -> TypedSlice:
    return _list(run, _steps(0, count, -1 if count < 0 else 1))


@REGISTRY.add("untilStep", "func(int, int, int) []int", run=True)
def until_step(run: Run, start: int, stop: int, step: int) -> TypedSlice:
    return _list(run, _steps(start, stop, step))


@REGISTRY.add("seq", "func(...int) string", run=True)
def seq(run: Run, *bounds: int) -> str:
    """Numbers as the command ``seq`` prints them, in one line: ``end``, ``start end`` or ``start step end``.

    The last number is included; with a ``step``, ``end`` is moved by 1 towards the outside, whatever the step.
    """
    match bounds:
        case (end,):
            start, step = 1, 0
        case (start, end):
            step = 0
        case (start, step, end):
            if end < start and step > 0:
                return ""
        case _:
            return ""
    direction = -1 if end < start else 1
    numbers = _steps(start, wrap(end + direction), step if len(bounds) == 3 else direction)
    widest = max(len(str(start)), len(str(end)))
    count = _count(numbers)
    run.make(count * (widest + 1))
    run.spend(count // 8)
    return " ".join(map(str, numbers))


def _steps(start: int, stop: int, step: int) -> range:
    return range(start, stop, step) if step else range(0)


def _count(numbers: range) -> int:
    # len() refuses what is beyond an int64.
    return (numbers[-1] - numbers[0]) // numbers.step + 1 if numbers else 0


def _list(run: Run, numbers: range) -> TypedSlice:
    count = _count(numbers)
    run.make(count * _INT_SIZE)
    run.spend(count // 32)
    return ints(numbers)


@REGISTRY.add("randInt", "func(int, int) int", run=True)
def rand_int(run: Run, low: int, high: int) -> int:
    """A number from ``low`` on that is smaller than ``high``."""
    width = wrap(high - low)
    if width <= 0:
        raise FunctionError("the second bound has to be greater than the first", detail="invalid argument to Intn")
    return wrap(low + below(run, width, "randInt"))
