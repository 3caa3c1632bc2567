"""The operator as a process, and a client of the cluster that it works in."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import Process

T = TypeVar("T")


class Operator:
    """``keyferry run`` against a cluster, on ports of its own."""

    def __init__(self, kubeconfig: Path | str, **flags: str) -> None:
        given = {"kubeconfig": str(kubeconfig), "metrics_addr": "127.0.0.1:0", "live_addr": "127.0.0.1:0", **flags}
        words = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
        self.process = Process("keyferry", "run", *words)
        self._ports: dict[str, int] = {}

    def start(self, *, ready: bool = True) -> Self:
        """Start it; with ``ready``, wait until it says that it is."""
        self.process.start()
        for _ in range(2):
            line = self.process.wait_for(lambda each: each.get("msg") == "listening")
            self._ports[line["server"]] = line["port"]
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self, *, seconds: float = 60.0) -> None:
        """Wait for ``/readyz``."""
        eventually(lambda: self.get("live", "/readyz")[0] == 200 or None, seconds=seconds, told=self.process.tail)

    def get(self, server: str, path: str) -> tuple[int, str]:
        """Status and text of a page that the process serves; 0 where it does not answer."""
        try:
            with urllib.request.urlopen(self.url(server) + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def url(self, server: str) -> str:
        """Where the process serves ``metrics`` or ``live``."""
        return f"http://127.0.0.1:{self._ports[server]}"

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name with these labels; 0 with none."""
        families = text_string_to_metric_families(self.get("metrics", "/metrics")[1])
        samples = (sample for family in families for sample in family.samples if sample.name == name)
        return sum(each.value for each in samples if labels.items() <= each.labels.items())

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        return self.process.stop()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if not self.process.ended:
            self.stop()


def eventually(probe: Callable[[], T | None], *, seconds: float = 30.0, told: Callable[[], str] = lambda: "") -> T:
    """What the probe answers, once it is neither None nor raises AssertionError. Asks again every 50 ms."""
    deadline = time.monotonic() + seconds
    last = ""
    while time.monotonic() < deadline:
        try:
            found = probe()
        except AssertionError as error:
            last = str(error)
            found = None
        if found is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(f"it did not happen within {seconds:g} s\n{last}\n{told()}")


def ready_condition(body: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The Ready condition of an object; empty where it has none."""
    conditions = ((body or {}).get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == "Ready"), {})
