from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import keyferry
from keyferry.app import cli
from keyferry.errors import BadSpec
from keyferry.settings import Settings
from keyferry.telemetry import Metrics

Run = Callable[[Settings], Coroutine[Any, Any, int]]


@pytest.fixture
def wiring(monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], None]:
    """Puts another ``run`` in the place of the whole house, and keeps the log's configuration out of the test run."""
    module = ModuleType("keyferry.app.wiring")
    monkeypatch.setitem(sys.modules, "keyferry.app.wiring", module)
    monkeypatch.setattr("keyferry.app.wiring", module, raising=False)
    monkeypatch.setattr(cli, "configure_logging", lambda **_: None)
    monkeypatch.setattr(os, "environ", {})
    return lambda run: setattr(module, "run", run)


def test_flags_alone_run_the_operator_and_its_result_is_the_exit_status(wiring: Callable[[Run], None]) -> None:
    given: list[tuple[int, str]] = []

    async def run(settings: Settings) -> int:
        given.append((settings.work.concurrent, type(asyncio.get_running_loop()).__module__))
        return 7

    wiring(run)
    assert cli.main(["--concurrent=3"]) == 7
    assert cli.main(["run", "--concurrent=4"]) == 7
    assert given == [(3, "uvloop"), (4, "uvloop")]


def test_an_expected_failure_ends_with_status_1_and_no_traceback(
    wiring: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(_: Settings) -> int:
        raise BadSpec("there is no kubeconfig", remedy="name one")

    wiring(run)
    assert cli.main([]) == 1
    said = capsys.readouterr()
    assert "there is no kubeconfig" in said.out + said.err
    assert "Traceback" not in said.out + said.err


def test_a_defect_ends_with_status_1(wiring: Callable[[Run], None]) -> None:
    async def run(_: Settings) -> int:
        raise ZeroDivisionError

    wiring(run)
    assert cli.main([]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--concurrent=x"], 'keyferry: --concurrent "x": must be a whole number from 1 on\n'),
        (["webhook", "--port=10250"], "keyferry: webhook: Keyferry has no webhook"),
        (["certcontroller"], "keyferry: certcontroller: Keyferry has no webhook"),
        (["dance"], "keyferry: dance: no such command; there are run, crds, render and version\n"),
    ],
)
def test_what_cannot_be_done_is_said_and_ends_with_status_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err.startswith(message)


def test_flags_without_effect_are_warned_about(
    wiring: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(_: Settings) -> int:
        return 0

    wiring(run)
    assert cli.main(["--enable-http2"]) == 0
    said = capsys.readouterr()
    assert "--enable-http2 has no effect in Keyferry" in said.out + said.err


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], ["run", "--help"]])
def test_help_tells_commands_and_flags(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 0
    told = capsys.readouterr().out
    assert "keyferry crds" in told
    assert "--store-requeue-interval duration" in told
    assert "default 5m; KEYFERRY_STORE_REQUEUE_INTERVAL" in " ".join(told.split())


@pytest.mark.parametrize("words", [["version"], ["--version"]])
def test_the_version_is_told(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 0
    assert capsys.readouterr().out.startswith("keyferry ")


def test_crds_are_printed_and_its_arguments_are_passed_through(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["crds"]) == 0
    assert "kind: CustomResourceDefinition" in capsys.readouterr().out
    assert cli.main(["crds", "--check", "--out", str(tmp_path)]) == 1


def test_python_m_keyferry_is_the_same_and_its_log_is_json_without_values() -> None:
    root = str(Path(keyferry.__file__).parents[1])
    environment = {"PYTHONPATH": root, "PATH": os.environ["PATH"], "KEYFERRY_CONCURRENT": "none"}
    ended = subprocess.run(
        [sys.executable, "-m", "keyferry"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == 'keyferry: KEYFERRY_CONCURRENT "none": must be a whole number from 1 on\n'


def test_the_reference_of_metrics_can_be_made_from_code() -> None:
    assert ("externalsecret_sync_calls_error", "counter", ("name", "namespace")) in {
        (described.name, described.type, described.labels) for described in Metrics.catalogue
    }
