"""Literals by chance."""

from __future__ import annotations

import random
from typing import Final

from tests.unit.shape.gotmpl.differential import pools

_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\x00": "\\000", "\x7f": "\\x7f"}


def quoted(text: str, rng: random.Random) -> str:
    """A Go string as a literal: in quotes, or now and then in backquotes or with other escapes than are needed."""
    if rng.random() < 0.1 and text.isprintable() and "`" not in text:
        return f"`{text}`"
    return '"' + "".join(_escaped(each, rng) for each in text) + '"'


def _escaped(character: str, rng: random.Random) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if character in _ESCAPES:
        return _ESCAPES[character]
    if code < 0x20 or code in (0xFEFF, 0x85) or (code > 0x7E and rng.random() < 0.1):
        return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return character


def any_int(rng: random.Random) -> str:
    """An integer as a literal: mostly a small one, of which some are no integers to Go."""
    chance = rng.random()
    if chance < 0.8:
        return rng.choice(pools.INTS)
    return (
        rng.choice(pools.EDGES) if chance < 0.9 else str(rng.randint(-(1 << rng.randrange(66)), 1 << rng.randrange(66)))
    )


def any_float(rng: random.Random) -> str:
    """A float as a literal."""
    chance = rng.random()
    if chance < 0.2:
        return rng.choice(pools.INTS)
    return rng.choice(pools.FLOATS) if chance < 0.7 else repr(rng.uniform(-10, 10) * 10 ** rng.randint(-24, 24))


def any_string(rng: random.Random) -> str:
    """A string of no special kind: a known one, two of them, or characters thrown together."""
    choice = rng.random()
    if choice < 0.6:
        return rng.choice(pools.STRINGS)
    if choice < 0.75:
        return rng.choice(pools.STRINGS) + rng.choice(pools.STRINGS)
    if choice < 0.9:
        return rng.choice(pools.POOLS[rng.choice(tuple(pools.POOLS))])
    if choice < 0.93:
        return any_float(rng)
    return "".join(rng.choice("abAB01 ,.-_/\n<\"'é日😀\udcff") for _ in range(rng.randrange(12)))


def pooled(pool: str, rng: random.Random) -> str:
    """A word of a pool, now and then with a few characters too many or too few."""
    word = rng.choice(pools.POOLS[pool])
    if rng.random() < 0.75:
        return word
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(len(word) + 1)
        other = rng.choice(pools.POOLS[pool])
        cut = rng.randrange(len(other) + 1)
        word = (
            word[:at] + rng.choice((other[cut : cut + 1], other[cut : cut + 3], "")) + word[at + rng.choice((0, 1)) :]
        )
    return word


def printf_format(rng: random.Random) -> tuple[str, int]:
    """A format, and how many operands it asks for."""
    pieces: list[str] = []
    asked = 0
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        flags = "".join(rng.sample("+-# 0", rng.choice((0, 0, 0, 1, 1, 2))))
        width = rng.choice(("", "", "", "1", "5", "10", "*", "[1]", "[2]", "10000010"))
        precision = rng.choice(("", "", "", ".", ".0", ".2", ".10", ".*"))
        verb = rng.choice("vvvvvvsssdddqqxXTteEfgGcUbobO%z!w")
        pieces.append(f"%{flags}{width}{precision}{verb}")
        asked += 1 + (width == "*") + (precision == ".*")
    return rng.choice(("", " ", "ä", "|")).join(pieces), asked
