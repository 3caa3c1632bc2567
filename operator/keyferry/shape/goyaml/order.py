"""The order of keys: letters come after all else, and numbers in keys by their value."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cmp_to_key


def natural(keys: Iterable[str]) -> list[str]:
    """The keys in the order in which go.yaml.in/yaml/v2 writes them."""
    # Among letters alone it is the usual order.
    return sorted(keys) if all(map(str.isalpha, keys)) else sorted(keys, key=cmp_to_key(_compare))


def _compare(one: str, other: str) -> int:
    return -1 if _less(one, other) else 1 if _less(other, one) else 0


def _less(one: str, other: str) -> bool:
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left == right:
            continue
        if left.isalpha() or right.isalpha():
            return left < right if left.isalpha() and right.isalpha() else right.isalpha()
        # A 0 in front of a number counts for nothing; one that follows another digit counts.
        head = int("0" in {left, right} and _digit_before(one, place))
        (left_number, left_end), (right_number, right_end) = _number(one, place, head), _number(other, place, head)
        if left_number != right_number:
            return left_number < right_number
        return left_end < right_end if left_end != right_end else left < right
    return len(one) < len(other)


def _digit_before(text: str, place: int) -> bool:
    """Whether a number that is not 0 ends here."""
    while place and text[place - 1].isdecimal():
        place -= 1
        if text[place] != "0":
            return True
    return False


def _number(text: str, place: int, number: int) -> tuple[int, int]:
    """The number that starts here, with digits of its own in front, and where it ends. It has 64 bits, as in Go."""
    while place < len(text) and text[place].isdecimal():
        number = number * 10 + ord(text[place]) - ord("0")
        place += 1
    return (number + (1 << 63)) % (1 << 64) - (1 << 63), place
