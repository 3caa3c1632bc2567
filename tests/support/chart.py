"""The chart, rendered by Helm's own engine, which a wheel brings along."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

CHART = Path(__file__).resolve().parent.parent.parent / "charts" / "keyferry"
CI = sorted((CHART / "ci").glob("*.yaml"))
"""Values files: every profile, and every value of the chart in some of them."""

Json = dict[str, Any]


def texts(values: Mapping[str, Any], *, name: str = "kf", namespace: str = "system", **more: Any) -> dict[str, str]:
    """What Helm makes of each file of ``templates``, by its path in the chart. Raises ``helm.HelmError``."""
    with helm.Chart.load(str(CHART)) as chart:
        files: dict[str, str] = chart.render(dict(values), name=name, namespace=namespace, **more)
    return {path.removeprefix("keyferry/templates/"): text for path, text in files.items()}


def rendered(
    values: Mapping[str, Any], *, name: str = "kf", namespace: str = "system", crds: bool = False
) -> list[Json]:
    """The objects of a release, without the CRDs unless they are asked for: they take a second to parse."""
    files = texts({**values, "installCRDs": crds}, name=name, namespace=namespace)
    yamls = [text for path, text in sorted(files.items()) if path.endswith(".yaml")]
    return [found for text in yamls for found in yaml.load_all(text, _LOADER) if found]


def notes(values: Mapping[str, Any], **more: Any) -> str:
    """What is told after an installation."""
    return texts(values, **more)["NOTES.txt"]


def of_file(path: Path) -> Json:
    """The values of a file."""
    found: Json = yaml.safe_load(path.read_text("utf-8")) or {}
    return found


def schema() -> Json:
    """values.schema.json"""
    found: Json = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    return found


def container(objects: Sequence[Json]) -> Json:
    """Keyferry's container of the Deployment."""
    (deployment,) = [each for each in objects if each["kind"] == "Deployment"]
    found: Json = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
