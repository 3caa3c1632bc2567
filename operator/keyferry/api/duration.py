"""Durations as Go reads them: ``1h30m``, ``-1.5s``, ``100ms``, ``0``.

The grammar is that of Go's ``time.ParseDuration``; durations are kept in seconds.
"""

from __future__ import annotations

import re

_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,  # micro sign, U+00B5
    "μs": 10**3,  # Greek letter mu, U+03BC: Go reads both
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
DURATION_PATTERN = "^[-+]?(0|(([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$"
"""What the CRDs accept as a duration: every text that ``parse_duration`` reads, as a regular expression (RE2)."""

_LONGEST = 2**63
_PART = re.compile(r"(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?(?P<unit>[^0-9.]*)")
_HINT = 'use a number with a unit (ns, us, ms, s, m, h), such as "1h30m"'


def parse_duration(text: str) -> float:
    """Seconds of a Go duration. Raises ``ValueError`` whose text names the fault and the remedy."""
    negative = text.startswith("-")
    rest = text[1:] if text[:1] in {"-", "+"} else text
    if rest == "0":
        return 0.0
    if not rest:
        raise ValueError(f'"{text}" is no duration: {_HINT}')
    total = position = 0
    while position < len(rest):
        part = _PART.match(rest, position)
        if part is None or not (part["whole"] or part["fraction"]):
            raise ValueError(f'"{text}" is no duration: {_HINT}')
        if not part["unit"]:
            raise ValueError(f'"{text}" lacks a unit: {_HINT}')
        if part["unit"] not in _NANOSECONDS:
            raise ValueError(f'"{text}" has the unknown unit "{part["unit"]}": {_HINT}')
        unit = _NANOSECONDS[part["unit"]]
        # Go, too, drops the digits of a fraction that no longer fit; int() refuses very long texts in its own words.
        fraction = (part["fraction"] or "")[:18]
        if len(part["whole"].lstrip("0")) > len(str(_LONGEST)):
            total = _LONGEST + 1
            break
        total += int(part["whole"] or 0) * unit + int(fraction or 0) * unit // 10 ** len(fraction)
        position = part.end()
    if total > _LONGEST or (total == _LONGEST and not negative):
        raise ValueError(f'"{text}" is longer than 292 years')
    return (-total if negative else total) / 10**9
