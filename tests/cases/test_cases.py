"""Every folder beside this file is a case; ``tests.support.cases`` says how to read one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.cases.play import CANARY, ApiServer, run

FOLDERS = sorted(path.parent for path in Path(__file__).parent.glob("*/in.yaml"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_case_comes_out_as_written(folder: Path, api_server: ApiServer, capfd: pytest.CaptureFixture[str]) -> None:
    run(folder, api_server)
    printed = "".join(capfd.readouterr())
    canaries = CANARY.findall((folder / "in.yaml").read_text("utf-8"))
    assert not [canary for canary in canaries if canary in printed], "a value was logged"
    assert "defect" not in printed, printed


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_case_is_named_by_a_sentence_and_says_which_rule_it_pins(folder: Path) -> None:
    first = (folder / "in.yaml").read_text("utf-8").partition("\n- ")[0]
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+){3,}", folder.name)
    assert all(line.startswith("# ") for line in first.splitlines())
    assert re.match(r"# (eso-facts [0-9.]+|design 4|bad input)(, (eso-facts [0-9.]+|design 4|bad input))*: ", first)
