"""Processes of tests: started in a group of their own, told apart by their JSON lines, ended by their process id."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 60.0


class Process:
    """``python -m <module> <arguments>`` from the repository's root, whose output is JSON lines."""

    def __init__(self, module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self.output: list[bytes] = []
        """Everything that was printed, line by line, over all starts."""

    def start(self) -> Self:
        """Start the process. Use ``wait_for`` to learn that it is ready."""
        path = os.pathsep.join((str(ROOT / "operator"), str(ROOT)))
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **self._environment}
        # In a group of its own: Ctrl-C in a terminal is for whoever started it, who then ends it in good order.
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        return self

    def wait_for(
        self, matches: Callable[[Mapping[str, Any]], bool], *, seconds: float = _START_SECONDS
    ) -> dict[str, Any]:
        """The next JSON line that matches. Fails with the output where none comes or the process ends."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                line = self._lines.get(timeout=0.1)
            except queue.Empty:
                if self.ended and self._lines.empty():
                    break
                continue
            if matches(line):
                return line
        raise AssertionError(f"{' '.join(self._command[1:])} said nothing of the kind\n{self.tail()}")

    @property
    def ended(self) -> bool:
        """Whether the process is no more."""
        return self._process is None or self._process.poll() is not None

    def stop(self, *, seconds: float = 30.0) -> int:
        """End the process by SIGTERM; its exit status."""
        return self._end(signal.SIGTERM, seconds)

    def kill(self) -> int:
        """End the process as a power cut would."""
        return self._end(signal.SIGKILL, 10.0)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        if self._process is not None:
            self._process.send_signal(number)

    def tail(self, lines: int = 40) -> str:
        """The end of the output."""
        return b"".join(self.output[-lines:]).decode(errors="replace")

    def wait(self, *, seconds: float = 30.0) -> int:
        """Wait for the process to end by itself; its exit status."""
        assert self._process is not None
        status = self._process.wait(seconds)
        if self._reader is not None:
            self._reader.join(5.0)
        return status

    def _end(self, number: signal.Signals, seconds: float) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self.wait(seconds=seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10.0)
            raise AssertionError(f"it did not end within {seconds:g} s\n{self.tail()}") from None

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.output.append(line)
                try:
                    parsed = json.loads(line)
                except ValueError:
                    continue
                if isinstance(parsed, dict):
                    self._lines.put(parsed)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if not self.ended:
            self.stop()


def arguments_of(flags: Mapping[str, str] | Sequence[str]) -> list[str]:
    """Flags as command-line words."""
    if isinstance(flags, Mapping):
        return [f"--{name}={value}" for name, value in flags.items()]
    return list(flags)
