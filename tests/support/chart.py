"""The chart, rendered by Helm's own engine, which a wheel brings along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

CHART = Path(__file__).resolve().parent.parent.parent / "charts" / "keyferry"


def rendered(values: dict[str, Any], *, name: str = "kf", namespace: str = "system") -> list[dict[str, Any]]:
    """The objects of a release."""
    with helm.Chart.load(str(CHART)) as chart:
        files = chart.render(values, name=name, namespace=namespace)
    texts = [text for path, text in sorted(files.items()) if path.endswith(".yaml")]
    return [found for text in texts for found in yaml.safe_load_all(text) if found]


def container(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """The container of the Deployment."""
    (deployment,) = [each for each in objects if each["kind"] == "Deployment"]
    (one,) = deployment["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = one
    return found
