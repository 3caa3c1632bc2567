"""The API server misbehaves; the operator goes on, and catches up.

These tests always use the sandbox's own API server: only it can be told to misbehave.
"""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.cluster import external_secret, fake, one_key, store
from tests.support.kubectl import Kubectl
from tests.support.operator import Operator, eventually
from tests.support.processes import ROOT, Process

pytestmark = pytest.mark.cluster


@dataclass
class Faulty:
    """An API server whose faults can be set, and an operator that works with it."""

    kubectl: Kubectl
    operator: Operator
    url: str
    token: str

    def fault(self, name: str, **settings: Any) -> None:
        """Set a fault, or clear them all with "clear"."""
        request = urllib.request.Request(
            f"{self.url}/sandbox/faults/{name}",
            data=json.dumps(settings).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
            method="POST",
        )
        trusting = ssl.create_default_context()
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        with urllib.request.urlopen(request, context=trusting, timeout=30):
            pass

    def is_up(self) -> bool:
        """Whether the API server answers."""
        return self.kubectl.run("get", "--raw", "/readyz", check=False) == "ok"

    def comes_in_step(self, name: str, *, seconds: float = 60.0) -> None:
        """Apply a new ExternalSecret and wait for its Secret."""
        self.kubectl.apply(external_secret(name, "default", data=[one_key("k", "k")]))
        self.secret_is_there(name, seconds=seconds)

    def secret_is_there(self, name: str, *, seconds: float = 60.0) -> None:
        """Wait for a Secret."""
        eventually(
            lambda: self.kubectl.get("secret", name) is not None or None,
            seconds=seconds,
            told=self.operator.process.tail,
        )


@pytest.fixture
def faulty(folder: Path) -> Iterator[Faulty]:
    """Both at work, with a store."""
    kubeconfig = folder / "kubeconfig"
    with Process("tests.sandbox.kubeapi", "--kubeconfig", str(kubeconfig), "--bookmark-interval", "1") as server:
        url = server.wait_for(lambda line: "kubeconfig" in line)["url"]
        token = yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"]
        kubectl = Kubectl(kubeconfig)
        kubectl.run("apply", "-f", str(ROOT / "crds"))
        kubectl.apply(store("default", fake({"k": "v"})))
        with Operator(kubeconfig, watch_idle_timeout="3s") as operator:
            faulty = Faulty(kubectl, operator, url, token)
            faulty.comes_in_step("before")
            yield faulty
            assert operator.stop() == 0


def test_it_survives_a_restart_of_the_api_server(faulty: Faulty) -> None:
    faulty.fault("restart", seconds=3)

    # It goes a moment after it has answered.
    for answers in (False, True):
        eventually(lambda up=answers: faulty.is_up() == up or None)  # type: ignore[misc] # mypy cannot infer a lambda with a default
    faulty.comes_in_step("after")


def test_it_survives_watches_that_have_expired_and_notices_what_went_meanwhile(faulty: Faulty) -> None:
    faulty.fault("expire-watches")
    faulty.fault("drop-connections")
    # The connection of this very request may be among those that are dropped.
    eventually(lambda: faulty.kubectl.run("delete", "secret", "before", check=False).startswith("secret") or None)

    faulty.secret_is_there("before")
    faulty.comes_in_step("after")


def test_it_survives_watches_that_hang(faulty: Faulty) -> None:
    faulty.fault("hang-watches")
    faulty.kubectl.run("delete", "secret", "before")
    faulty.kubectl.apply(external_secret("meanwhile", "default", data=[one_key("k", "k")]))
    faulty.fault("clear")

    faulty.secret_is_there("before")
    faulty.secret_is_there("meanwhile")


def test_it_survives_an_api_server_that_asks_to_slow_down_and_one_that_fails(faulty: Faulty) -> None:
    faulty.fault("fail", code=429, count=8, retryAfter=1, match={"user_agent": "keyferry"})
    faulty.comes_in_step("after-429")

    faulty.fault("fail", code=500, count=4, match={"user_agent": "keyferry"})
    faulty.comes_in_step("after-500")


def test_a_conflict_with_another_writer_is_solved_without_a_word(faulty: Faulty) -> None:
    faulty.fault("fail", code=409, count=3, match={"user_agent": "keyferry", "verb": "create", "resource": "secrets"})

    faulty.comes_in_step("contended")

    events = json.loads(faulty.kubectl.run("get", "events", "-o", "json"))["items"]
    assert [each["reason"] for each in events if each["involvedObject"]["name"] == "contended"] == ["Created"]
