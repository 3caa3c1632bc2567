from __future__ import annotations

from pathlib import Path

import pytest

from tests.kind.shell import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """The scripts, with all programs that they need, on a machine where everything works."""
    made = Shell(tmp_path)
    made.program("docker", {"image inspect": "echo sha256:0123"})
    made.program("kind")
    made.program("helm")
    made.program("kubectl", {"go-template": "echo '  password'"})
    made.program("git", {"": "exit 128"})
    return made
