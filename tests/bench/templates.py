"""How long the template of one ExternalSecret takes: ``python -m tests.bench.templates``.

100 keys, each a template with field access, index, a condition and five calls of functions, over 100 values. ``first``
compiles them, ``again`` is every refresh that follows. Beside them, in the same run, Python's ``str.format`` over the
same values: the least that 100 texts can take.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keyferry.api.target import Template
from keyferry.shape import template as stage
from tests.bench.machine import machine
from tests.support.templates import renderer

KEYS = 100
_TEXT = (
    'postgres://{{{{ .key{0} | trimSuffix "X" | urlquery }}}}@{{{{ index . "host-{0}" | lower }}}}/'
    '{{{{ if eq .key{0} "" }}}}none{{{{ else }}}}{{{{ .key{0} | b64enc | quote }}}}{{{{ end }}}}'
)


def measure(rounds: int) -> dict[str, Any]:
    """Milliseconds for all keys of one object: the first time, and the median and best of the rounds that follow."""
    data = {f"key{number}": f"value-{number}".encode() for number in range(KEYS)}
    data |= {f"host-{number}": b"DB.EXAMPLE.ORG" for number in range(KEYS)}
    template = Template.parse({"data": {f"out{number}": _TEXT.format(number) for number in range(KEYS)}})
    rendering = renderer()
    first = _timed(lambda: stage.make(template, data, {}, rendering))
    again = [_timed(lambda: stage.make(template, data, {}, rendering)) for _ in range(rounds)]
    values = {name.replace("-", "_"): value.decode() for name, value in data.items()}
    formats = [f"postgres://{{key{number}}}@{{host_{number}}}/{{key{number}}}" for number in range(KEYS)]
    plain = [_timed(lambda: _formatted(formats, values)) for _ in range(rounds)]
    return {
        "keys": KEYS,
        "rounds": rounds,
        "first_ms": round(first, 3),
        "again_median_ms": round(statistics.median(again), 3),
        "again_best_ms": round(min(again), 3),
        "str_format_median_ms": round(statistics.median(plain), 3),
        "ratio_to_str_format": round(statistics.median(again) / statistics.median(plain), 1),
    }


def _formatted(formats: Sequence[str], values: Mapping[str, str]) -> list[str]:
    return [each.format(**values) for each in formats]


def _timed(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures as a table, or as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.templates", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(arguments)
    figures = {"scenario": "templates of one object", **measure(given.rounds), **machine("google-re2")}
    if given.json:
        sys.stdout.write(f"{json.dumps(figures, indent=2)}\n")
    else:
        width = max(map(len, figures))
        sys.stdout.writelines(f"{name:<{width}}  {value}\n" for name, value in figures.items())
    return 0


if __name__ == "__main__":
    sys.exit(main())
