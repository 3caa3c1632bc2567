"""Every command of the quickstart, in the order of the page, with the output that the page shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest

from tests.support import pages
from tests.support.chart import CHART, container, rendered
from tests.support.cluster import running_cluster
from tests.support.operator import eventually
from tests.support.processes import Process

PAGE = pages.DOCS / "quickstart.md"
ON_REAL_ONES = bool(os.environ.get("KUBEBUILDER_ASSETS") or os.environ.get("KEYFERRY_TEST_KUBECONFIG"))


@dataclass(frozen=True)
class Command:
    """One command of a page, as a shell takes it, and the output that the page shows, if it shows any."""

    line: str
    output: str


def commands(text: str) -> list[Command]:
    """The commands of all blocks that show a terminal."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        joined = re.sub(r"\\\n\s*", "", block)
        for line, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", joined, re.MULTILINE):
            found.append(Command(line, output.strip()))
    return found


COMMANDS = commands(PAGE.read_text("utf-8"))


def of(program: str) -> list[Command]:
    """The commands of a program."""
    return [each for each in COMMANDS if each.line.split()[0] == program]


@contextmanager
def demo(module: str, setting: str) -> Iterator[str]:
    """What `make demo KEEP=1` starts, by its recipe; the KUBECONFIG that it prints."""
    name, value = setting.split("=")
    process = Process(module, environment={name: value}).start()
    try:

        def said() -> str | None:
            assert not process.ended, process.tail()
            found = re.search(r"export KUBECONFIG=(.+)\n", b"".join(process.output).decode())
            return shlex.split(found[1])[0] if found else None

        yield eventually(said, seconds=90, told=process.tail)
    finally:
        status = process.stop()
    assert status == 0, process.tail()


def run(command: Command, kubeconfig: str) -> None:
    """Run it as a user does. Fails with what it says where it fails, or where it says something else than the page."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path, "KUBECONFIG": kubeconfig}
    done = subprocess.run(
        ["sh", "-c", command.line], cwd=pages.ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command.line}\n{done.stdout}{done.stderr}"
    if command.output:
        assert done.stdout.strip() == command.output, command.line


def test_the_quickstart_has_no_command_that_no_test_runs() -> None:
    known = {*of("make"), *of("helm"), *of("kubectl")}
    assert [each.line for each in COMMANDS if each not in known] == []
    assert all(map(of, ("make", "helm", "kubectl")))


@pytest.mark.cluster
def test_every_command_of_the_quickstart_does_what_the_page_says() -> None:
    (start,) = of("make")
    goal, setting = start.line.split()[1:]
    makefile = (pages.ROOT / "Makefile").read_text("utf-8")
    (module,) = re.findall(rf"^{goal}: .*\n\t@\$\(RUN\) -m (\S+)\n(?!\t)", makefile, re.MULTILINE)
    with demo(module, setting) as kubeconfig:
        for command in of("kubectl"):
            run(command, kubeconfig)


@pytest.fixture
def words() -> list[str]:
    """The words of the page's `helm install`."""
    (install,) = of("helm")
    return shlex.split(install.line)


def values_of(words: list[str]) -> dict[str, Any]:
    """The values that `--set` gives."""
    values: dict[str, Any] = {}
    for path, value in (words[at + 1].split("=") for at, word in enumerate(words) if word == "--set"):
        *outer, last = path.split(".")
        inner = values
        for each in outer:
            inner = inner.setdefault(each, {})
        inner[last] = value
    return values


def test_the_release_of_the_quickstart_has_what_its_values_say(words: list[str]) -> None:
    assert words[:4] == ["helm", "install", "keyferry", CHART.relative_to(pages.ROOT).as_posix()]
    image = values_of(words)["image"]["repository"]
    assert container(rendered(values_of(words)))["image"].startswith(f"{image}:")


@pytest.mark.cluster
@pytest.mark.skipif(not ON_REAL_ONES, reason="Helm asks the API server for OpenAPI as protobuf")
def test_helm_installs_the_release_of_the_quickstart(words: list[str], tmp_path: Path) -> None:
    namespace = words[words.index("--namespace") + 1]
    with (
        running_cluster(tmp_path) as cluster,
        helm.Config(kubeconfig_path=str(cluster.kubeconfig), namespace=namespace) as config,
    ):
        config.install(str(CHART), words[2], values=values_of(words), create_namespace="--create-namespace" in words)
        assert cluster.kubectl.get("deployment", "keyferry", namespace) is not None
        config.uninstall(words[2])
