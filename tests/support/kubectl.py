"""kubectl, as users have it, from its wheel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml


class Kubectl:
    """Runs kubectl against one cluster; everything blocks."""

    def __init__(self, kubeconfig: Path | str) -> None:
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        beside = Path(sys.executable).parent / "kubectl"
        self._program = str(beside) if beside.exists() else shutil.which("kubectl") or "kubectl"

    def run(self, *words: str, stdin: str = "", check: bool = True) -> str:
        """Standard output. Fails with standard error where kubectl does, unless ``check`` is off."""
        done = subprocess.run(
            [self._program, *words], env=self._environment, input=stdin, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(words)}: {done.stderr}")
        return done.stdout if check else done.stdout + done.stderr

    def apply(self, manifests: str | Mapping[str, Any] | Sequence[Mapping[str, Any]], *words: str) -> str:
        """``kubectl apply`` of YAML text or objects, strictly validated."""
        text = manifests
        if isinstance(text, Mapping):
            text = [text]
        if not isinstance(text, str):
            text = yaml.safe_dump_all(text)
        return self.run("apply", "--validate=strict", "-f", "-", *words, stdin=text)

    def get(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any] | None:
        """The object, or None where there is none."""
        text = self.run("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
        body: dict[str, Any] | None = json.loads(text) if text.strip() else None
        return body

    def list(self, kind: str, namespace: str = "default", *words: str) -> list[dict[str, Any]]:
        """The objects of a namespace."""
        items: list[dict[str, Any]] = json.loads(self.run("get", kind, "-n", namespace, "-o", "json", *words))["items"]
        return items
