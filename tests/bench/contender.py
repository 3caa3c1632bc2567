"""An operator as a process: started by a command, measured by what the kernel says of it, ended by its process id."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.support.processes import ROOT

OURS = "{python} -m keyferry run --kubeconfig={kubeconfig} --metrics-addr=127.0.0.1:0 --live-addr=127.0.0.1:0"
BARE_LOOP = "{python} -m tests.bench.bareloop --kubeconfig={kubeconfig} --concurrent=64"
_GRACE = 30.0
_TAIL = 2000


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one process: CPU seconds so far, and megabytes that it holds and held at most."""

    cpu: float
    rss: float
    peak: float


class Contender:
    """``with Contender(command, ...)``: the process, which has to stay one (a wrapper would ``exec``).

    ``command`` may hold ``{kubeconfig}`` and ``{python}``. Its output goes to a file.
    """

    def __init__(self, command: str, *, kubeconfig: Path, log: Path) -> None:
        names = {"kubeconfig": str(kubeconfig), "python": sys.executable}
        self._words = [word.format_map(names) for word in shlex.split(command)]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        """When it was started, by the monotonic clock."""

    def usage(self) -> Usage:
        """What it has used. Raises ``RuntimeError`` with its last words where it has ended."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"{' '.join(self._words)} has ended\n{self._tail()}")
        return usage_of(self._process.pid)

    async def stop(self) -> None:
        """End it by SIGTERM, and by SIGKILL where that does not help."""
        process = self._process
        if process is None:
            return
        self._process = None
        process.terminate()
        try:
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, _GRACE)
        finally:
            # Nothing to a process that has ended.
            process.kill()
            process.wait()

    def _tail(self) -> str:
        return self._log.read_text("utf-8", errors="replace")[-_TAIL:]

    async def __aenter__(self) -> Self:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "operator"), str(ROOT)))}
        # An image holds its bytecode: compiling at every start would be measured as well.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        with self._log.open("ab") as log:
            self.started = time.monotonic()
            # In a group of its own: Ctrl-C in a terminal is for the bench, which then ends it in good order.
            self._process = subprocess.Popen(  # noqa: ASYNC220 -- it starts within milliseconds
                self._words,
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def usage_of(pid: int) -> Usage:
    """What a process has used, from ``/proc``."""
    # The second field is the name, which may hold spaces; user and system time are the 14th and the 15th.
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    status = _fields(Path(f"/proc/{pid}/status").read_text("utf-8"))
    return Usage(
        cpu=(int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
        rss=int(status["VmRSS"].split()[0]) / 1024,
        peak=int(status["VmHWM"].split()[0]) / 1024,
    )


def _fields(text: str) -> Mapping[str, str]:
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
