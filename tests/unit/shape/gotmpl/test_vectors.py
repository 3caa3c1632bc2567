"""Templates whose result Go itself has told: text/template with the functions of the External Secrets Operator 2.9.

A vector holds ``rule`` (what it pins), ``template``, ``data`` (and ``data64`` for what is no text, or ``any`` for a
document in place of a map of strings), ``left`` and ``right`` delimiters, ``missingkey``, and Go's answer: ``output``,
``output64``, or ``error``. ``says`` is what our own error has to say beyond that.
"""

from __future__ import annotations

import base64
import datetime as dt
import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from keyferry.shape.gotmpl import FUNCTIONS, Template, TemplateError, World
from keyferry.shape.gotmpl.values import Value, from_bytes, string_map, to_bytes

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("vectors/*.yaml"))
WORLD = World(now=lambda: dt.datetime.now(dt.UTC), monotonic=time.monotonic, entropy=os.urandom)
SHORT = 6
"""Values up to this length may stand in an error by chance."""


def load() -> list[tuple[str, dict[str, Any]]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [
        (file.stem, vector) for file in FILES for vector in yaml.load(file.read_text(encoding="utf-8"), Loader=loader)
    ]


VECTORS = load()


def data_of(vector: dict[str, Any]) -> Value:
    if vector.get("any") is not None:
        return as_go_reads_json(vector["any"])
    encoded = {key: from_bytes(base64.b64decode(value)) for key, value in vector.get("data64", {}).items()}
    return string_map(vector.get("data", {}) | encoded)


def as_go_reads_json(document: Any) -> Value:
    if isinstance(document, dict):
        return {key: as_go_reads_json(value) for key, value in document.items()}
    if isinstance(document, list):
        return [as_go_reads_json(value) for value in document]
    return float(document) if type(document) is int else document


def render(vector: dict[str, Any]) -> bytes:
    template = Template.parse(
        vector["template"],
        left=vector.get("left", ""),
        right=vector.get("right", ""),
        missing=vector.get("missingkey", "error"),
    )
    return template.render(data_of(vector), WORLD).text


@pytest.mark.parametrize("vector", [pytest.param(vector, id=f"{topic}: {vector['rule']}") for topic, vector in VECTORS])
def test_a_template_gives_what_go_gives(vector: dict[str, Any]) -> None:
    if "error" not in vector:
        expected = base64.b64decode(vector["output64"]) if "output64" in vector else vector["output"].encode()
        assert render(vector) == expected
        return
    with pytest.raises(TemplateError) as caught:
        render(vector)
    told = str(caught.value)
    assert vector.get("says", "") in told
    assert caught.value.line > 0
    secrets = [
        *vector.get("data", {}).values(),
        *(from_bytes(base64.b64decode(each)) for each in vector.get("data64", {}).values()),
    ]
    for secret in secrets:
        if len(to_bytes(secret)) > SHORT and secret not in vector["template"]:
            assert secret not in told


def test_there_are_vectors_and_each_has_a_rule_of_its_own() -> None:
    rules = [(topic, vector["rule"]) for topic, vector in VECTORS]
    assert len(rules) >= 400
    assert len(set(rules)) == len(rules)
    assert all(rule.strip() for _, rule in rules)


def test_every_function_of_the_external_secrets_operator_is_served_with_its_signature() -> None:
    expected = yaml.safe_load((HERE / "signatures.yaml").read_text(encoding="utf-8"))
    served = {name: FUNCTIONS[name].signature for name in expected if name in FUNCTIONS}
    assert served == expected
