"""Keyferry at work, on a machine with nothing but Python: ``make demo``.

Starts an API server and OpenBao on loopback, installs the CRDs, runs the operator, and shows a value of OpenBao become
a Secret, follow, survive a broken store, and go. Every step checks what it shows; the first that fails ends the demo
with a status other than 0. With ``KEEP=1`` everything stays up until Ctrl-C.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shlex
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tests.sandbox.openbao import OpenBao
from tests.support.cluster import Cluster, external_secret, one_key, opaque, running_cluster, store, vault
from tests.support.operator import Operator, eventually, ready_condition

_NAMESPACE = "default"
_PATH = "demo/database"


class Demo:
    """The steps, over a cluster, a store and an operator that run."""

    def __init__(self, cluster: Cluster, bao: OpenBao, operator: Operator) -> None:
        self._cluster = cluster
        self._kubectl = cluster.kubectl
        self._bao = bao
        self._operator = operator
        self._began = time.monotonic()
        self._number = 0

    def run(self) -> None:
        """All steps. Raises AssertionError where one does not come true."""
        self._becomes_a_secret()
        self._follows()
        self._survives_a_broken_store()
        self._is_mended()

    def clean_up(self) -> None:
        """Delete what the demo made; the Secret goes with its ExternalSecret."""
        self._say("Clean up: the Secret goes with its ExternalSecret")
        made = ("externalsecret/database", "secretstore/store", "secret/bao-token")
        # With KEEP=1, somebody may have deleted them.
        self._show("delete", *made, "-n", _NAMESPACE, "--ignore-not-found")
        if self._cluster.controllers:
            eventually(lambda: self._kubectl.get("secret", "database", _NAMESPACE) is None or None)

    def _becomes_a_secret(self) -> None:
        self._say(f"Put a password into OpenBao, at {_PATH}")
        self._put("first-password")
        self._say("Apply a SecretStore and an ExternalSecret, as the External Secrets Operator has them")
        manifests = [
            opaque("bao-token", _NAMESPACE, token=self._bao.root_token),
            store(_NAMESPACE, vault(self._bao.url, "secret")),
            external_secret(
                "database", _NAMESPACE, refreshInterval="1s", data=[one_key("password", _PATH, "password")]
            ),
        ]
        self._apply(*manifests)
        self._holds("first-password")
        self._show("get", "secretstore,externalsecret,secret", "-n", _NAMESPACE)

    def _follows(self) -> None:
        self._say("Change the password in OpenBao: the Secret follows")
        began = time.monotonic()
        self._put("second-password")
        self._holds("second-password")
        print(f"   in step after {time.monotonic() - began:.1f} s, at a refreshInterval of 1 s\n")

    def _survives_a_broken_store(self) -> None:
        self._say("Break the store with a wrong token: the condition says why, the Secret keeps its value")
        self._apply(opaque("bao-token", _NAMESPACE, token="wrong"))
        for kind, name in (("secretstore", "store"), ("externalsecret", "database")):
            told = self._condition(kind, name, "False")
            print(f"   {kind}/{name}: {told['reason']}: {told['message']}\n")
        self._holds("second-password")

    def _is_mended(self) -> None:
        self._say("Mend the store: at once all is well again")
        self._apply(opaque("bao-token", _NAMESPACE, token=self._bao.root_token))
        self._condition("externalsecret", "database", "True")
        self._put("third-password")
        self._holds("third-password")
        self._show("get", "secretstore,externalsecret", "-n", _NAMESPACE)
        self._show("get", "events", "-n", _NAMESPACE, "--field-selector", "involvedObject.name=database")

    def _put(self, password: str) -> None:
        self._bao.client().secrets.kv.v2.create_or_update_secret(_PATH, {"user": "app", "password": password})

    def _holds(self, password: str) -> None:
        def probe() -> bool | None:
            body = self._kubectl.get("secret", "database", _NAMESPACE) or {}
            data = {key: base64.b64decode(value).decode() for key, value in body.get("data", {}).items()}
            assert data == {"password": password}, f"the Secret holds {sorted(data)}, not the value expected"
            return True

        eventually(probe, told=self._operator.process.tail)
        print('   Secret "database" holds the expected value\n')

    def _condition(self, kind: str, name: str, status: str) -> Any:
        def probe() -> Any:
            found = ready_condition(self._kubectl.get(kind, name, _NAMESPACE))
            assert found.get("status") == status, f"{kind}/{name}: {dict(found)}"
            return found

        return eventually(probe, told=self._operator.process.tail)

    def _say(self, what: str) -> None:
        self._number += 1
        print(f"{self._number}. [{time.monotonic() - self._began:4.1f} s] {what}", flush=True)

    def _apply(self, *manifests: dict[str, Any]) -> None:
        _indented("$ kubectl apply -f -", self._kubectl.apply(list(manifests)))

    def _show(self, *words: str) -> None:
        _indented(f"$ kubectl {' '.join(words)}", self._kubectl.run(*words))


def _indented(command: str, output: str) -> None:
    print("\n".join(f"   {line}" for line in (command, *output.strip().splitlines())), end="\n\n")


def main() -> int:
    """Run the demo; its exit status."""
    keep = os.environ.get("KEEP", "") not in {"", "0"}
    print("Starting an API server, OpenBao and Keyferry on 127.0.0.1 ...", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="keyferry-demo-") as folder,
        running_cluster(Path(folder)) as cluster,
        OpenBao() as bao,
        Operator(cluster.kubeconfig) as operator,
    ):
        demo = Demo(cluster, bao, operator)
        try:
            demo.run()
            if keep:
                _wait(cluster, bao, operator)
            demo.clean_up()
        except AssertionError as error:
            print(f"\nThe demo failed: {error}", file=sys.stderr)
            return 1
        status = operator.stop()
        print(f"Keyferry ended with status {status}.")
    return status


def _wait(cluster: Cluster, bao: OpenBao, operator: Operator) -> None:
    """Tell how to look around, and stay until Ctrl-C or SIGTERM."""
    kubectl, bao_program = (shlex.quote(str(Path(sys.executable).with_name(name))) for name in ("kubectl", "bao"))
    print(
        "Everything stays up until Ctrl-C. To look around, in another terminal:\n\n"
        f"   export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}\n"
        f"   {kubectl} get externalsecret,secretstore,secret\n"
        f"   {kubectl} describe externalsecret database\n"
        f"   curl -s {operator.url('metrics')}/metrics | grep ^keyferry\n\n"
        f"   export BAO_ADDR={bao.url} BAO_TOKEN={bao.root_token}\n"
        f"   {bao_program} kv put -mount=secret {_PATH} user=app password=another\n",
        flush=True,
    )
    stop = threading.Event()
    previous = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    with contextlib.suppress(KeyboardInterrupt):
        stop.wait()
    for number, handler in previous.items():
        signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
