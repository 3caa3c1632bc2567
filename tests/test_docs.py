"""What people are told: pages that are made from the code are up to date, and every feature has its words."""

from __future__ import annotations

import ast
import functools
import re
import textwrap
import typing
from typing import Any

import helm_python as helm
import pytest
import yaml

from keyferry.api.common import Model, ObjectMeta
from keyferry.api.externalsecret import ExternalSecret
from keyferry.api.store import SecretStore
from keyferry.app import flags
from keyferry.providers import REGISTRY, load
from keyferry.telemetry.catalogue import CATALOGUE
from tests.support import messages, pages
from tests.support.chart import rendered

EXAMPLES = sorted((pages.DOCS / "examples").glob("*.yaml"))
PAGES = (*sorted(pages.DOCS.rglob("*.md")), pages.ROOT / "README.md")
TESTED = (
    "docs/examples/**/*.yaml",
    "charts/keyferry/ci/*.yaml",
    "charts/keyferry/values.yaml",
    "charts/keyferry/files/**/*.yaml",
    "kind-config.yaml",
)
"""Files of YAML that a test applies, renders or runs."""


def shown() -> dict[str, str]:
    """Every example that a page shows, with the page."""
    found: dict[str, str] = {}
    for page in PAGES:
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


def test_defaults_that_pages_tell_are_those_of_the_settings() -> None:
    units = {"": 1, "ms": 0.001, "s": 1, "min": 60, "h": 3600, "MiB": 1}
    defaults = {place.option.flag: place.default for place in flags.places()}
    told = [
        (page.name, flag, float(number) * units[unit], defaults[flag])
        for page in PAGES
        for flag, number, unit in re.findall(
            r"`(--[a-z-]+)`\]\([^)]+\) \(([0-9.]+) ?([A-Za-z]*)", page.read_text("utf-8")
        )
    ]
    assert told
    assert [each for each in told if each[2] != each[3]] == []


def test_every_metric_of_the_catalogue_is_explained() -> None:
    page = (pages.DOCS / "metrics.md").read_text("utf-8")
    assert [each.name for each in CATALOGUE if f"`{each.name}`" not in page] == []


def test_every_example_is_shown_on_a_page() -> None:
    assert set(shown()) == {path.name for path in EXAMPLES}


def test_yaml_on_pages_is_applied_by_a_test_or_rendered_by_this_one() -> None:
    held = [path.read_text("utf-8").splitlines() for pattern in TESTED for path in sorted(pages.ROOT.glob(pattern))]
    loose = [
        f"{page.name}: {block[:60]}"
        for page in PAGES
        for block in yaml_in(page.read_text("utf-8"))
        if not any(map(functools.partial(stands_in, block.splitlines()), held)) and not are_values(block)
    ]
    assert not loose, "take it from a file that is applied by a test"


def yaml_in(page: str) -> list[str]:
    """The blocks of YAML of a page."""
    found = re.findall(r"^( *)```ya?ml\n(.*?)^\1```", page, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for _, block in found]


def are_values(text: str) -> bool:
    """Whether the chart can be rendered with these values; it refuses what it does not know."""
    values = yaml.safe_load(text)
    if not isinstance(values, dict) or "apiVersion" in values:
        return False
    try:
        return bool(rendered(values))
    except helm.HelmError:
        return False


def stands_in(block: list[str], file: list[str]) -> bool:
    """Whether lines stand one after the other in a file, however deep they are indented there."""
    if not block:
        return False
    starts = (at for at, line in enumerate(file) if line.strip() == block[0].strip())
    return any(textwrap.dedent("\n".join(file[at : at + len(block)])).splitlines() == block for at in starts)


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


def test_every_reason_of_a_condition_or_an_event_is_explained() -> None:
    page = (pages.DOCS / "troubleshooting.md").read_text("utf-8")
    assert len(messages.reasons()) > 5
    assert [reason for reason in sorted(messages.reasons()) if f"`{reason}`" not in page] == []


def test_messages_are_found_in_the_code_and_told_with_their_kind() -> None:
    found = {each.text: each for each in messages.messages()}
    assert found["target is owned by another ExternalSecret"].kind == "BadSpec"
    assert found[
        'using cluster store "NAME" is not allowed from namespace "NAMESPACE": denied by spec.condition'
    ].remedy
    assert {each.kind for each in found.values()} == set(messages.KINDS)
    told = {each.section.removeprefix("Provider ") for each in found.values()}
    # "openBao" is served by the code of "vault".
    assert set(REGISTRY) - {"openBao"} <= told


@pytest.mark.parametrize(
    ("model", "names"), [(ExternalSecret, ("externalsecret", "templates")), (SecretStore, ("stores",))]
)
def test_every_field_of_a_manifest_is_explained(model: type[Model], names: tuple[str, ...]) -> None:
    told = " ".join((pages.DOCS / f"{name}.md").read_text("utf-8") for name in names)
    blocks = re.findall(r"^```yaml\n(.*?)^```", told, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```.*?^```", "", told, flags=re.DOTALL | re.MULTILINE)
    explained = {word for quoted in re.findall(r"`([^`\n]+)`", prose) for word in re.findall(r"\w+", quoted)}
    shown = {word for block in blocks for word in re.findall(r"(\w+):", block)}
    assert fields(model) - explained - shown - {"status", "metadata", "apiVersion", "kind", "spec"} == set()


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_field_of_a_provider_is_on_its_page(name: str) -> None:
    page = (pages.DOCS / "providers" / f"{name.lower()}.md").read_text("utf-8")
    assert sorted(fields(load(name).Config) - set(re.findall(r"\w+", page))) == []


def fields(model: type[Model]) -> set[str]:
    """The names of all fields of a model and of the models in it, but for those of Kubernetes."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        found.add(field.alias or name)
        for inner in (field.annotation, *typing.get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, Model) and inner.__module__ != ObjectMeta.__module__:
                found |= fields(inner)
    return found
