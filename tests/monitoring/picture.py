"""Draws panels of the dashboard from scrapes of an operator that works in the sandbox: ``docs/img/dashboard.svg``.

    python -m tests.monitoring.picture

takes a minute. It is no screenshot of Grafana; the queries are the dashboard's, and the numbers are measured.
"""

from __future__ import annotations

import math
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from tests.monitoring.promql import Labels, evaluate
from tests.monitoring.scrapes import DASHBOARD, TARGETS, Scrapes, concrete
from tests.support.cluster import external_secret, fake, one_key, running_cluster, store
from tests.support.operator import Operator
from tests.support.processes import ROOT

TITLES = (
    "Ready, by namespace",
    "Calls made",
    "Share of reads saved",
    "Reads saved, by how",
    "Time to first sync",
    "Refresh lag",
    "Errors by reason",
    "Requests to the API server",
    "Memory",
)
_WIDTH, _HEIGHT, _COLUMNS, _MARGIN = 300, 190, 3, 46
_COLOURS = ("#3274d9", "#e0752d", "#299c46", "#a352cc", "#e02f44", "#8f8f8f")
_SECONDS, _NAMESPACE = 60, "shop"
_STYLE = (
    "<style>text{font:10px sans-serif}.title,.axis{fill:#333}.title{font-weight:bold;font-size:12px}"
    ".axis{text-anchor:end;font-size:9px}.frame{fill:#fff;stroke:#ccc}.grid{stroke:#e5e5e5}</style>"
)

Lines = Mapping[str, Sequence[tuple[float, float]]]
"""Points of each series, by its legend."""


def legend(form: str, labels: Labels) -> str:
    """The name of a series, as Grafana makes it from a panel's form."""
    found = dict(labels)
    return re.sub(r"\{\{(\w+)\}\}", lambda each: found.get(each[1], ""), form)


def amount(value: float, unit: str) -> str:
    """A value of an axis."""
    if unit == "percentunit":
        return f"{value * 100:.0f} %"
    if unit == "bytes":
        return f"{value / 2**20:.0f} MiB"
    return f"{value:.3g}{ {'s': ' s', 'reqps': '/s', 'ops': '/s'}.get(unit, '') }"


def drawn(title: str, unit: str, lines: Lines, *, left: float, top: float) -> list[str]:
    """One panel: a frame, its axes from zero, a line and a name for each series."""
    parts = [
        f'<g transform="translate({left:g},{top:g})">',
        f'<rect width="{_WIDTH - 10}" height="{_HEIGHT - 10}" class="frame"/>',
        f'<text x="10" y="18" class="title">{escape(title)}</text>',
    ]
    points = [point for series in lines.values() for point in series]
    start, end = min((at for at, _ in points), default=0.0), max((at for at, _ in points), default=1.0)
    highest = 1.0 if unit == "percentunit" else max((value for _, value in points), default=0.0) * 1.05 or 1.0
    width, height = _WIDTH - _MARGIN - 24, _HEIGHT - 84

    def place(at: float, value: float) -> str:
        x = _MARGIN + (at - start) / ((end - start) or 1.0) * width
        return f"{x:.1f},{30 + height * (1 - value / highest):.1f}"

    for share in (0.0, 0.5, 1.0):
        y = 30 + height * (1 - share)
        parts.append(f'<line x1="{_MARGIN}" x2="{_MARGIN + width}" y1="{y:g}" y2="{y:g}" class="grid"/>')
        parts.append(f'<text x="{_MARGIN - 4}" y="{y + 3:g}" class="axis">{amount(highest * share, unit)}</text>')
    for number, (name, series) in enumerate(sorted(lines.items())[: len(_COLOURS)]):
        path = " ".join(place(at, value) for at, value in series)
        x, y = 10 + number % 2 * 140, _HEIGHT - 40 + number // 2 * 11
        parts.append(f'<polyline points="{path}" fill="none" stroke="{_COLOURS[number]}" stroke-width="1.5"/>')
        parts.append(f'<text x="{x}" y="{y}" class="legend" fill="{_COLOURS[number]}">{escape(name[:26])}</text>')
    return [*parts, "</g>"]


def picture(panels: Mapping[str, Lines]) -> str:
    """The panels beside and below each other, as SVG."""
    units = {
        panel["title"]: panel["fieldConfig"]["defaults"]["unit"] for panel in DASHBOARD["panels"] if "targets" in panel
    }
    rows = math.ceil(len(panels) / _COLUMNS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH * _COLUMNS + 10} {_HEIGHT * rows + 10}">',
        _STYLE,
        '<rect width="100%" height="100%" fill="#f4f5f5"/>',
    ]
    for number, (title, lines) in enumerate(panels.items()):
        left, top = 10 + number % _COLUMNS * _WIDTH, 10 + number // _COLUMNS * _HEIGHT
        parts += drawn(title, units[title], lines, left=left, top=top)
    return "\n".join([*parts, "</svg>", ""])


def measure(scrapes: Scrapes, moments: Sequence[float]) -> dict[str, Lines]:
    """The panels' series at these moments."""
    panels: dict[str, dict[str, list[tuple[float, float]]]] = {title: {} for title in TITLES}
    for title, target in TARGETS:
        for at in moments if title in panels else ():
            found = evaluate(concrete(target["expr"], _NAMESPACE, window="10s"), scrapes.series, at)
            assert isinstance(found, dict)
            for labels, value in found.items():
                if not math.isnan(value):
                    panels[title].setdefault(legend(target["legendFormat"], labels), []).append((at, value))
    return dict(panels)


def main() -> None:
    """Let an operator work for a minute, and draw what was seen."""
    with tempfile.TemporaryDirectory() as folder, running_cluster(Path(folder)) as cluster:
        cluster.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}})
        cluster.kubectl.apply(store(_NAMESPACE, fake({f"k{number}": "v" for number in range(10)})))
        with Operator(cluster.kubeconfig) as operator:
            scrapes, moments = Scrapes(operator, _NAMESPACE), []
            for second in range(_SECONDS):
                if second % 5 == 0 and second < 40:
                    names = range(second, second + 5)
                    cluster.kubectl.apply(
                        [
                            external_secret(
                                f"app-{number}",
                                _NAMESPACE,
                                refreshInterval=f"{3 + number % 5}s",
                                # One key in twelve is not there.
                                data=[one_key("k", f"k{number % 12}")],
                            )
                            for number in names
                        ]
                    )
                scrapes.scrape()
                moments.append(scrapes.at)
                time.sleep(0.5)
            panels = measure(scrapes, moments)
    target = ROOT / "docs" / "img" / "dashboard.svg"
    target.parent.mkdir(exist_ok=True)
    target.write_text(picture(panels), "utf-8")


if __name__ == "__main__":
    main()
