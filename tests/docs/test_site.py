"""The site of docs/, built as `make site` builds it: every warning is an error."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support import pages

CONFIGURATION = pages.ROOT / ".site" / "mkdocs.yml"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site. MkDocs ends with an error for links and anchors that lead nowhere, and pages that nothing leads to."""
    folder = tmp_path_factory.mktemp("site") / "html"
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--config-file", str(CONFIGURATION)]
    built = subprocess.run([*command, "--site-dir", str(folder)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


class Prose(HTMLParser):
    """Paragraphs and cells, without what stands in code; addresses of what the browser loads."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        self.loaded: list[str] = []
        self._code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._code += tag in {"code", "pre"}
        given = dict(attrs)
        if tag in {"script", "img", "iframe"} or (tag == "link" and given.get("rel") == "stylesheet"):
            self.loaded += [each for each in (given.get("src"), given.get("href")) if each]

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in {"code", "pre"}

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.told.append(data)


def read(page: Path) -> Prose:
    """A page of the site."""
    found = Prose()
    found.feed(page.read_text("utf-8"))
    return found


def test_the_site_has_every_page_of_the_docs(site: Path) -> None:
    written = {page.relative_to(pages.DOCS).with_suffix(".html") for page in pages.DOCS.rglob("*.md")}
    assert written <= {page.relative_to(site) for page in site.rglob("*.html")}


def test_lists_tables_and_code_are_understood_by_the_site(site: Path) -> None:
    # Unlike GitHub, MkDocs wants what belongs to an item of a list indented by four, and an empty line before a list.
    missed = [
        f"{page.relative_to(site)}: {line}"
        for page in site.rglob("*.html")
        for text in read(page).told
        for line in text.splitlines()
        if re.match(r"\s*(```|\| |- |[0-9]+\. )|.*<!--", line)
    ]
    assert not missed


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    loaded = {each for page in site.rglob("*.html") for each in read(page).loaded}
    assert loaded
    assert [each for each in sorted(loaded) if "//" in each] == []
