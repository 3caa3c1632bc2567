from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from keyferry.app import crds
from keyferry.providers import REGISTRY

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def made() -> dict[str, dict[str, Any]]:
    return crds.definitions()


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every schema below one: of properties, items and additionalProperties."""
    yield value
    for field in value.get("properties", {}).values():
        yield from nodes(field)
    for key in ("items", "additionalProperties"):
        if key in value:
            yield from nodes(value[key])


def schemas(made: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [version["schema"]["openAPIV3Schema"] for crd in made.values() for version in crd["spec"]["versions"]]


def test_the_files_in_the_repository_are_up_to_date() -> None:
    assert crds.main(["--out", str(ROOT / "crds"), "--check"]) == 0


def test_there_is_one_file_per_kind(made: dict[str, Any]) -> None:
    assert sorted(made) == sorted(path.name for path in (ROOT / "crds").iterdir())


def test_each_file_can_be_applied_by_kubectl(made: dict[str, Any]) -> None:
    """``kubectl apply`` keeps the object as JSON in an annotation; all annotations together hold 256 KiB."""
    for crd in made.values():
        assert len(json.dumps(crd).encode()) < 250 * 1024


def test_no_schema_has_a_default(made: dict[str, Any]) -> None:
    assert [node for schema in schemas(made) for node in nodes(schema) if "default" in node] == []


def test_every_field_has_a_description(made: dict[str, Any]) -> None:
    undescribed = [
        name
        for schema in schemas(made)
        for node in nodes(schema)
        for name, field in node.get("properties", {}).items()
        if name != "metadata" and not field.get("description")
    ]

    assert undescribed == []


def test_schemas_are_structural(made: dict[str, Any]) -> None:
    for schema in schemas(made):
        for node in nodes(schema):
            assert not {"$ref", "anyOf", "allOf", "oneOf", "title"} & node.keys()
            assert "type" in node or node.keys() & {
                "x-kubernetes-int-or-string",
                "x-kubernetes-preserve-unknown-fields",
            }


def test_both_versions_are_served_from_one_schema_and_the_newer_one_is_stored(made: dict[str, Any]) -> None:
    for crd in made.values():
        newer, older = crd["spec"]["versions"]
        assert (newer["name"], newer["served"], newer["storage"]) == ("v1", True, True)
        assert (older["name"], older["served"], older["storage"]) == ("v1beta1", True, False)
        assert newer["schema"] == older["schema"]
        assert newer["subresources"] == older["subresources"] == {"status": {}}
        assert crd["spec"]["conversion"] == {"strategy": "None"}


@pytest.mark.parametrize(
    ("file", "kind", "scope", "short", "columns"),
    [
        (
            "external-secrets.io_externalsecrets.yaml",
            "ExternalSecret",
            "Namespaced",
            "es",
            ["StoreType", "Store", "Refresh Interval", "Status", "Ready", "Last Sync"],
        ),
        (
            "external-secrets.io_secretstores.yaml",
            "SecretStore",
            "Namespaced",
            "ss",
            ["AGE", "Status", "Capabilities", "Ready"],
        ),
        (
            "external-secrets.io_clustersecretstores.yaml",
            "ClusterSecretStore",
            "Cluster",
            "css",
            ["AGE", "Status", "Capabilities", "Ready"],
        ),
    ],
)
def test_names_and_printer_columns_are_those_of_eso(
    made: dict[str, Any], file: str, kind: str, scope: str, short: str, columns: list[str]
) -> None:
    crd = made[file]
    names = crd["spec"]["names"]

    assert (names["kind"], names["listKind"], crd["spec"]["scope"]) == (kind, f"{kind}List", scope)
    assert (names["shortNames"], names["categories"]) == ([short], ["external-secrets"])
    assert crd["metadata"]["name"] == f"{kind.lower()}s.external-secrets.io"
    assert crd["metadata"]["labels"] == {"external-secrets.io/component": "controller"}
    for version in crd["spec"]["versions"]:
        assert [column["name"] for column in version["additionalPrinterColumns"]] == columns


def test_external_secrets_can_be_selected_by_store_target_and_interval(made: dict[str, Any]) -> None:
    for version in made["external-secrets.io_externalsecrets.yaml"]["spec"]["versions"]:
        assert [field["jsonPath"] for field in version["selectableFields"]] == [
            ".spec.secretStoreRef.name",
            ".spec.secretStoreRef.kind",
            ".spec.target.name",
            ".spec.refreshInterval",
        ]


def test_a_served_provider_has_its_schema_and_any_other_is_kept_as_it_stands(made: dict[str, Any]) -> None:
    for plural in ("secretstores", "clustersecretstores"):
        version = made[f"external-secrets.io_{plural}.yaml"]["spec"]["versions"][0]
        providers = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["provider"]["properties"]
        opaque = {name for name, schema in providers.items() if "x-kubernetes-preserve-unknown-fields" in schema}
        assert opaque == set(crds.KNOWN_PROVIDERS) - set(REGISTRY)
        assert all("not served" in providers[name]["description"] for name in opaque)


def test_the_files_hold_no_anchors_and_say_that_they_are_made(made: dict[str, Any]) -> None:
    for crd in made.values():
        text = crds.render(crd)
        assert text.startswith("# Generated by `make crds`. Do not edit.\n---\napiVersion: apiextensions.k8s.io/v1\n")
        assert "&id0" not in text
        assert yaml.safe_load(text) == crd


def test_files_are_written_and_found_stale_when_they_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "crds"
    assert crds.main(["--out", str(folder), "--check"]) == 1
    assert not folder.exists()
    assert crds.main(["--out", str(folder)]) == 0
    assert crds.main(["--out", str(folder), "--check"]) == 0
    capsys.readouterr()

    edited = folder / "external-secrets.io_secretstores.yaml"
    edited.write_text(edited.read_text("utf-8").replace("short", "long"), "utf-8")

    assert crds.main(["--out", str(folder), "--check"]) == 1
    assert capsys.readouterr().err == f"{edited} is not up to date: run make crds\n"
    assert crds.main(["--out", str(folder)]) == 0
    assert crds.main(["--out", str(folder), "--check"]) == 0


def test_all_kinds_are_printed_as_one_stream(made: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert crds.main([]) == 0

    assert list(yaml.safe_load_all(capsys.readouterr().out)) == list(made.values())


def test_a_check_without_a_folder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        crds.main(["--check"])
    assert "--check needs --out" in capsys.readouterr().err
