from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from keyferry.app import cli, render
from tests.support import pages

EXAMPLE = pages.DOCS / "examples" / "template.yaml"


def es(name: str = "app", **spec: Any) -> dict[str, Any]:
    wanted = {
        "secretStoreRef": {"name": "vault"},
        "data": [{"secretKey": "k", "remoteRef": {"key": "db"}}],
        **spec,
    }
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": name},
        "spec": wanted,
    }


def write(folder: Path, name: str, *documents: Any) -> str:
    path = folder / name
    path.write_text(yaml.safe_dump_all(documents), "utf-8")
    return str(path)


def rendered(*arguments: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert cli.main(["render", *arguments]) == 0
    secret: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    return secret


def test_the_example_of_the_page_is_rendered_with_the_values_of_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (pages.DOCS / "templates.md").read_text("utf-8")
    (values,) = [block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "apiVersion" not in block]
    (tmp_path / "values.yaml").write_text(values, "utf-8")
    secret = rendered("-f", str(EXAMPLE), "--values", str(tmp_path / "values.yaml"), "--plain", capsys=capsys)
    assert secret["stringData"]["DATABASE_URL"] == "postgres://shop:an+example@db.shop.svc:5432/shop"
    assert yaml.safe_load(secret["stringData"]["config.json"])["replicas"] == 2
    assert base64.b64decode(secret["stringData"]["basic-auth"]) == b"shop:an example"
    assert secret["metadata"]["labels"]["app.kubernetes.io/part-of"] == "shop"


def test_templates_from_elsewhere_are_taken_from_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = write(tmp_path, "values.yaml", {"shop/server": {"host": "shop.example.org", "port": 9000}})
    example = pages.DOCS / "examples" / "template-from.yaml"
    secret = rendered("-f", str(example), "--values", values, "--plain", capsys=capsys)
    assert secret["stringData"] == {
        "host": "shop.example.org",
        "port": "9000",
        "HOST": "shop.example.org",
        "PORT": "9000",
        "nginx.conf": "upstream shop { server shop.example.org:9000; }\n",
    }
    assert secret["metadata"]["annotations"]["example.org/host"] == "shop.example.org"


def test_every_stage_is_explained_without_a_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = write(tmp_path, "values.yaml", {"a/x": "canary-1", "a/y": "canary-22"})
    steps = [{"regexp": {"source": "a/(.*)", "target": "$1"}}]
    data_from = [{"find": {"path": "a/", "name": {"regexp": "."}}, "rewrite": steps}]
    manifest = write(
        tmp_path, "es.yaml", es(data=[], dataFrom=data_from, target={"template": {"data": {"n": "{{ len . }}"}}})
    )
    assert cli.main(["render", "-f", manifest, "--values", values, "--explain"]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("#")]
    assert told == [
        "# spec.dataFrom[0].find: read a/x (8 bytes), a/y (9 bytes)",
        "# spec.dataFrom[0].find: rewritten x (8 bytes), y (9 bytes)",
        "# spec.dataFrom[0].find: taken x (8 bytes), y (9 bytes)",
        '# spec.target.template.data, key "n": rendered n (1 bytes)',
    ]


def test_a_secret_that_cannot_be_made_is_told_and_the_others_are_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = es("broken", target={"template": {"data": {"k": "{{ .nothing }}"}}})
    lost = es("lost", data=[{"secretKey": "k", "remoteRef": {"key": "none"}}])
    manifest = write(tmp_path, "es.yaml", broken, lost, es("fine"))
    values = write(tmp_path, "values.yaml", {"db": "canary-1"})
    assert cli.main(["render", "-f", manifest, "--values", values]) == 1
    printed = capsys.readouterr()
    assert [each["metadata"]["name"] for each in yaml.safe_load_all(printed.out)] == ["fine"]
    first, second = printed.err.splitlines()
    assert first.startswith(
        'keyferry render: ExternalSecret "broken": could not execute template: spec.target.template'
    )
    assert 'the file of values has no key "none": it has db' in second
    assert "canary" not in printed.err


def test_binary_values_stay_in_base64(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decode = {"secretKey": "b", "remoteRef": {"key": "db", "decodingStrategy": "Base64"}}
    manifest = write(tmp_path, "es.yaml", es(data=[decode]))
    values = write(tmp_path, "values.yaml", {"db": "/w=="})
    secret = rendered("-f", manifest, "--values", values, "--plain", capsys=capsys)
    assert secret["data"] == {"b": "/w=="}
    assert "stringData" not in secret


def test_a_secret_of_secrets_answers_as_the_kubernetes_provider_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "SecretStore",
        "metadata": {"name": "vault"},
        "spec": {"provider": {"kubernetes": {"server": {"url": "https://nowhere"}}}},
    }
    entry = {"secretKey": "k", "remoteRef": {"key": "login", "property": "user.name"}}
    manifest = write(tmp_path, "es.yaml", store, es(data=[entry]))
    values = write(tmp_path, "values.yaml", {"login": {"user.name": "canary-1"}})
    assert rendered("-f", manifest, "--values", values, "--plain", capsys=capsys)["stringData"] == {"k": "canary-1"}


def test_manifests_come_from_standard_input_and_from_lists(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": [es("one"), es("two")]}
    monkeypatch.setattr("sys.stdin", io.StringIO(yaml.safe_dump(listed)))
    values = write(tmp_path, "values.yaml", {"db": "1"})
    secret = rendered("-f", "-", "--values", values, "--name", "two", capsys=capsys)
    assert secret["metadata"]["name"] == "two"


@pytest.mark.parametrize(
    ("documents", "values", "text"),
    [
        ([es()], None, 'SecretStore "vault" is in no file: give the file that it is in with -f, or the values'),
        ([{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x"}}], None, "there is no ExternalSecret"),
        ([es(), "text"], None, "there is a document that is no manifest"),
        ([es()], ["a"], "it must hold one mapping of remote keys to values"),
        ([es(refreshInterval={})], None, 'ExternalSecret "app": spec.refreshInterval'),
    ],
)
def test_what_cannot_be_used_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], documents: list[Any], values: Any, text: str
) -> None:
    manifest = write(tmp_path, "es.yaml", *documents)
    more = [] if values is None else ["--values", write(tmp_path, "values.yaml", values)]
    assert render.main(["-f", manifest, *more]) in {1, 2}
    assert text in capsys.readouterr().err


def test_files_that_cannot_be_read_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.yaml").write_text("a: [", "utf-8")
    (tmp_path / "binary.yaml").write_bytes(b"\xff")
    for name, text in (("none.yaml", "No such file"), ("broken.yaml", "line 1"), ("binary.yaml", "no text in UTF-8")):
        assert render.main(["-f", str(tmp_path / name)]) == 2
        assert text in capsys.readouterr().err
