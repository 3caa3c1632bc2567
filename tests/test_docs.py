"""What people are told: pages that are made from the code are up to date, and every feature has its words."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest

from keyferry.app import flags
from keyferry.providers import REGISTRY, load
from keyferry.telemetry.catalogue import CATALOGUE
from tests.support import pages

EXAMPLES = sorted((pages.DOCS / "examples").glob("*.yaml"))


def shown() -> dict[str, str]:
    """Every example that a page shows, with the page."""
    found: dict[str, str] = {}
    for page in (*pages.DOCS.rglob("*.md"), pages.ROOT / "README.md"):
        found |= dict.fromkeys(pages.examples_in(page.read_text("utf-8")), page.name)
    return found


def test_pages_made_from_the_code_are_up_to_date() -> None:
    stale = [path.name for path, text in pages.pages().items() if path.read_text("utf-8") != text]
    assert not stale, "run make docs"


def test_every_flag_of_the_help_is_explained() -> None:
    page = (pages.DOCS / "settings.md").read_text("utf-8")
    told = set(re.findall(r"^  (--[a-z-]+) ", flags.usage(), re.MULTILINE))
    assert told
    assert [flag for flag in sorted(told) if f"`{flag}`" not in page] == []


def test_every_metric_of_the_catalogue_is_explained() -> None:
    page = (pages.DOCS / "metrics.md").read_text("utf-8")
    assert [each.name for each in CATALOGUE if f"`{each.name}`" not in page] == []


def test_every_example_is_shown_on_a_page() -> None:
    assert set(shown()) == {path.name for path in EXAMPLES}


def test_yaml_on_pages_comes_from_the_examples() -> None:
    loose = []
    for page in (*pages.DOCS.rglob("*.md"), pages.ROOT / "README.md"):
        text = page.read_text("utf-8")
        manifests = [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "apiVersion:" in block]
        if len(manifests) != len(pages.examples_in(text)):
            loose.append(page.name)
    assert not loose


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_login_of_a_provider_has_an_example(name: str) -> None:
    page = (pages.DOCS / "providers" / f"{name.lower()}.md").read_text("utf-8")
    auth = load(name).Config.model_fields.get("auth")
    if auth is None:
        assert pages.examples_in(page)
        return
    used = {
        method
        for example in pages.examples_in(page)
        for found in pages.objects(pages.DOCS / "examples" / example)
        if found["kind"].endswith("SecretStore")
        for method in (found["spec"]["provider"][name].get("auth") or {})
    }
    refused = re.findall(r"`auth\.([a-zA-Z]+)` is not served", page)
    kinds: tuple[Any, ...] = getattr(auth.annotation, "__args__", (auth.annotation,))
    (model,) = [each for each in kinds if each is not type(None)]
    methods = {field.alias or key for key, field in model.model_fields.items()} - {"namespace"}
    assert methods == {*used, *refused} - {"namespace"}


def test_every_message_that_is_explained_exists() -> None:
    # Constants are joined, as the formatter breaks long texts; what stands between "…" is looked for.
    spoken = " ".join(
        str(node.value)
        for path in sorted((pages.ROOT / "operator").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    page = (pages.DOCS / "troubleshooting.md").read_text("utf-8")
    explained = [
        part.strip(' ":')
        for cell in re.findall(r"^\| (`[^|]+`) \|", page, re.MULTILINE)
        for message in re.findall(r"`([^`]+)`", cell)
        for part in message.split("…")
    ]
    assert explained
    assert [part for part in explained if part not in spoken] == []
