"""An HTTP server on loopback that answers as a test says, for what OpenBao does not have or does not do on demand."""

from __future__ import annotations

import json
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.sandbox.certificates import Pair


@dataclass
class Request:
    """What was received. ``headers`` holds every value of every header, names in lower case.

    ``body`` is None where it is empty, JSON decoded, and text where it is something else.
    """

    method: str
    path: str
    headers: dict[str, list[str]]
    body: Any


@dataclass
class Reply:
    """What is answered. A ``body`` that is no bytes is sent as JSON."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Stub:
    """A running stub."""

    url: str
    requests: list[Request]


def _parsed(content: bytes) -> Any:
    if not content:
        return None
    try:
        return json.loads(content)
    except ValueError:
        return content.decode()


@contextmanager
def serving(answer: Callable[[Request], Reply], *, context: ssl.SSLContext | None = None) -> Iterator[Stub]:
    """Answer requests on a free port until the block ends."""
    requests: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): self.headers.get_all(name) or [] for name in set(self.headers)}
            request = Request(self.command, self.path, headers, _parsed(content))
            requests.append(request)
            reply = answer(request)
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in ({"Content-Type": "application/json"} | reply.headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            # A client that gave up, or that was refused its certificate.
            pass

    server = Server(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        scheme = "http" if context is None else "https"
        yield Stub(f"{scheme}://127.0.0.1:{server.server_address[1]}", requests)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def server_context(pair: Pair) -> ssl.SSLContext:
    """The TLS side of a server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(pair.cert + pair.key)
        file.flush()
        context.load_cert_chain(file.name)
    return context
