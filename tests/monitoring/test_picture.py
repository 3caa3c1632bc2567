"""The picture of the dashboard shows its panels, with what was measured."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from tests.monitoring.picture import TITLES, legend, picture
from tests.monitoring.promql import labels_of
from tests.monitoring.scrapes import TARGETS
from tests.support.processes import ROOT


def test_a_line_runs_from_the_first_to_the_last_measurement() -> None:
    svg = picture({"Memory": {"10.0.0.7": [(0.0, 0.0), (5.0, 100.0), (10.0, 50.0)]}})
    (points,) = re.findall(r'points="([^"]+)"', svg)
    placed = [tuple(map(float, point.split(","))) for point in points.split()]
    assert [x for x, _ in placed] == sorted({x for x, _ in placed})
    heights = [y for _, y in placed]
    assert heights[1] < heights[2] < heights[0]
    assert svg == picture({"Memory": {"10.0.0.7": [(0.0, 0.0), (5.0, 100.0), (10.0, 50.0)]}})


def test_a_legend_is_made_of_the_labels_of_a_series() -> None:
    assert (
        legend("{{kind}} {{namespace}}/{{name}}", labels_of({"kind": "SecretStore", "name": "a"})) == "SecretStore /a"
    )


def test_the_picture_of_the_docs_shows_panels_that_there_are() -> None:
    tree = ET.fromstring((ROOT / "docs" / "img" / "dashboard.svg").read_text("utf-8"))
    shown = [each.text for each in tree.iter() if each.get("class") == "title"]
    assert tuple(shown) == TITLES
    assert set(TITLES) <= {title for title, _ in TARGETS}
    assert len([each for each in tree.iter() if each.tag.endswith("polyline")]) >= len(TITLES)
