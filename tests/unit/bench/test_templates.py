from __future__ import annotations

import json

import pytest

from tests.bench import templates


def test_the_benchmark_of_templates_prints_its_figures_with_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert templates.main(["--rounds=2", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["keys"] == 100
    assert figures["again_best_ms"] <= figures["first_ms"]
    assert {"cpu", "cores", "python", "keyferry"} <= figures.keys()
    assert templates.main(["--rounds=2"]) == 0
    assert "again_median_ms" in capsys.readouterr().out
