"""What a CRD says about each of its fields, one line a field, without its words.

    python -m tests.unit.app.crd_fields tests/data/eso-2.9 external-secrets.io_externalsecrets.yaml ...

made the lists of ESO's CRDs, one file per kind and version. A line is the field's path, a tab, and a JSON object.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Fields = dict[str, dict[str, Any]]

_NOT_ABOUT_VALUES = {
    "anyOf",
    "default",
    "description",
    "example",
    "items",
    "properties",
    "required",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-validations",
}


def fields(schema: dict[str, Any]) -> Fields:
    """Path → type, required, enum, pattern, bounds. ``[]`` is an item of a list, ``{}`` a value of a map."""
    return dict(_walk(schema, "", required=False))


def read(path: Path) -> Fields:
    lines = (line.partition("\t") for line in path.read_text("utf-8").splitlines())
    return {place: json.loads(facts) for place, _, facts in lines}


def _walk(schema: dict[str, Any], path: str, *, required: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    if path:
        facts = {key: value for key, value in schema.items() if key not in _NOT_ABOUT_VALUES | {"additionalProperties"}}
        yield path, facts | ({"required": True} if required else {})
    for name, field in schema.get("properties", {}).items():
        yield from _walk(field, f"{path}.{name}" if path else name, required=name in schema.get("required", ()))
    if "items" in schema:
        yield from _walk(schema["items"], f"{path}[]", required=False)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _walk(schema["additionalProperties"], f"{path}{{}}", required=False)


def main(folder: Path, files: list[Path]) -> None:
    for file in files:
        crd = yaml.safe_load(file.read_text("utf-8"))
        for version in crd["spec"]["versions"]:
            found = fields(version["schema"]["openAPIV3Schema"])
            lines = (f"{path}\t{json.dumps(facts, sort_keys=True)}\n" for path, facts in sorted(found.items()))
            (folder / f"{crd['spec']['names']['plural']}.{version['name']}.tsv").write_text("".join(lines), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
