"""Shell scripts, run in a copy of the repository's files with programs that only take notes."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import ROOT

SCRIPTS = [".image/build.sh", ".image/pin.sh", ".kind/cluster.sh"]
FILES = [*SCRIPTS, "Dockerfile", "kind-config.yaml", "pyproject.toml", "docs/examples/quickstart.yaml"]
TOOLS = ("cat", "dirname", "grep", "mkdir", "mv", "rm", "sed", "sh")
"""What the scripts take from any machine. Nothing else is on their PATH."""


class Shell:
    """A folder with the scripts, and the programs that they find."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "check out"
        self._bin = folder / "bin"
        self._notes = folder / "notes"
        self._bin.mkdir()
        for name in FILES:
            target = self.checkout / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None
            (self._bin / tool).symlink_to(found)

    def program(self, name: str, answers: Mapping[str, str] | None = None) -> None:
        """A program that writes down how it is called, and then does what stands beside what its arguments contain."""
        cases = "".join(f"*{shlex.quote(part)}*) {script} ;;\n" for part, script in (answers or {}).items())
        note = f'printf "%s|%s\\n" "${{KUBECONFIG:-}}" "{name} $*" >>{shlex.quote(str(self._notes))}'
        path = self._bin / name
        path.write_text(f'#!/bin/sh\n{note}\ncase "$*" in\n{cases}esac\n', "utf-8")
        path.chmod(0o755)

    def without(self, name: str) -> None:
        """Take a program away."""
        (self._bin / name).unlink()

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """``sh <words>`` from elsewhere, as make and people do it."""
        script, *rest = words
        return subprocess.run(
            ["sh", str(self.checkout / script), *rest],
            cwd=self._bin,
            env={"PATH": str(self._bin), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @property
    def calls(self) -> list[str]:
        """Every call of a program, in order."""
        return [line.split("|", 1)[1] for line in self._lines()]

    def called(self, *beginnings: str) -> list[str]:
        """The calls that begin with one of these, in order."""
        return [call for call in self.calls if call.startswith(beginnings)]

    @property
    def kubeconfigs(self) -> set[str]:
        """The kubeconfigs that kubectl, helm and kind were given by the environment."""
        lines = (line.split("|", 1) for line in self._lines())
        return {given for given, call in lines if call.startswith(("kubectl", "helm", "kind"))}

    def _lines(self) -> list[str]:
        return self._notes.read_text("utf-8").splitlines() if self._notes.exists() else []
