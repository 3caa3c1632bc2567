"""Commands of pages that need no cluster."""

from __future__ import annotations

import shlex

import pytest

from keyferry.app import cli
from tests.docs.test_quickstart import commands
from tests.support import pages


def test_the_render_command_of_the_page_on_templates_prints_the_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pages.ROOT)
    told = [each.line for each in commands((pages.DOCS / "templates.md").read_text("utf-8"))]
    (render,) = [line for line in told if line.startswith("keyferry render ")]
    assert cli.main(shlex.split(render)[1:]) == 0
    printed = capsys.readouterr().out
    assert "DATABASE_URL: postgres://shop:an+example@db.shop.svc:5432/shop" in printed


def test_every_goal_of_make_that_pages_name_exists() -> None:
    makefile = (pages.ROOT / "Makefile").read_text("utf-8")
    read = (*pages.DOCS.rglob("*.md"), pages.ROOT / "README.md")
    named = {
        line.split()[1]
        for page in read
        for each in commands(page.read_text("utf-8"))
        if (line := each.line).startswith("make ")
    }
    assert named
    assert sorted(goal for goal in named if f"\n{goal}:" not in makefile) == []
