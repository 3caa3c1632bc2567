"""The TLS endpoint before a gRPC server, and trouble on the way to it.

Frames of HTTP/2 pass as they are, so what is unharmed is a real conversation with the server. While there is a fault,
a new stream is not passed on but answered here, as a load balancer, a proxy or a broken server would.

A connection that a fault has touched is not used for further streams (GOAWAY): the server behind has missed headers
that later ones would refer to.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, NamedTuple, Self

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo

from tests.sandbox.certificates import Authority
from tests.sandbox.gcp.rpcs import details_of
from tests.sandbox.gcp.store import Refusal

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _GOAWAY = 0, 1, 3, 7
_END_STREAM, _END_HEADERS = 0x1, 0x4
_REFUSED_STREAM: Final = 7
_LAST_STREAM: Final = 2**31 - 1


class Frame(NamedTuple):
    """A frame of HTTP/2 (RFC 9113, section 4.1)."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    def encode(self) -> bytes:
        return (
            struct.pack(">I", len(self.payload))[1:]
            + struct.pack(">BBI", self.kind, self.flags, self.stream)
            + self.payload
        )


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    head = await reader.readexactly(9)
    kind, flags, stream = struct.unpack(">BBI", head[3:])
    return Frame(kind, flags, stream, await reader.readexactly(int.from_bytes(head[:3], "big")))


def headers(stream: int, *fields: tuple[str, str], last: bool = False) -> Frame:
    """Header fields, each a literal without indexing (RFC 7541, section 6.2.2), which no table remembers."""
    block = b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)
    return Frame(_HEADERS, _END_HEADERS | (_END_STREAM if last else 0), stream, block)


def _text(text: str) -> bytes:
    """A string of HPACK, not Huffman-coded: its length as an integer with a prefix of 7 bits, and itself."""
    raw = text.encode()
    rest = len(raw) - 127
    if rest < 0:
        return bytes([len(raw)]) + raw
    length = bytearray([127])
    while rest >= 128:
        length.append(rest % 128 + 128)
        rest //= 128
    return bytes([*length, rest]) + raw


Fault = Callable[["Link", int], None]


@dataclass(eq=False)
class Link:
    """One connection of a client, and the one to the server that belongs to it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    touched: set[int] = field(default_factory=set)
    """Streams that are answered here."""

    def send(self, *frames: Frame) -> None:
        if not self.client.is_closing():
            self.client.write(b"".join(frame.encode() for frame in frames))

    def abort(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()


class Front:
    """See the module. ``connections`` counts those that were made."""

    address: str

    def __init__(self, target: tuple[str, int], authority: Authority, *addresses: str) -> None:
        """``addresses`` are further ones that the certificate is good for."""
        self.ca_pem = authority.pem
        self.connections = 0
        self._target = target
        self._pair = authority.server(*addresses)
        self._fault: Fault | None = None
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"https://{self.address}"

    def clear(self) -> None:
        """All well again."""
        self._fault = None

    def fail(self, status: int, *, retry_after: int | None = None, body: str = "") -> None:
        """Answer by an HTTP status, as what stands before a server would; 429 as Google's servers say it."""
        if status == 429:
            details = [] if retry_after is None else [RetryInfo(retry_delay=Duration(seconds=retry_after))]
            self.refuse(Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, body or "Quota exceeded.", details))
            return

        def fault(link: Link, stream: int) -> None:
            fields = (":status", str(status)), ("content-type", "text/html")
            link.send(headers(stream, *fields), Frame(_DATA, _END_STREAM, stream, body.encode()))

        self._fault = fault

    def refuse(self, refusal: Refusal) -> None:
        """Answer by a gRPC status."""
        details = base64.b64encode(details_of(refusal)).decode()

        def fault(link: Link, stream: int) -> None:
            fields = [
                (":status", "200"),
                ("content-type", "application/grpc"),
                ("grpc-status", str(refusal.code.value[0])),
                ("grpc-message", refusal.message),
            ]
            if refusal.details:
                fields.append(("grpc-status-details-bin", details))
            link.send(headers(stream, *fields, last=True))

        self._fault = fault

    def garbage(self, body: str) -> None:
        """Answer by a gRPC message of these bytes, and status OK."""
        message = body.encode()

        def fault(link: Link, stream: int) -> None:
            link.send(
                headers(stream, (":status", "200"), ("content-type", "application/grpc")),
                Frame(_DATA, 0, stream, struct.pack(">BI", 0, len(message)) + message),
                headers(stream, ("grpc-status", "0"), last=True),
            )

        self._fault = fault

    def web_page(self, body: str) -> None:
        """Answer 200 with a page of HTML."""

        def fault(link: Link, stream: int) -> None:
            fields = (":status", "200"), ("content-type", "text/html")
            link.send(headers(stream, *fields), Frame(_DATA, _END_STREAM, stream, body.encode()))

        self._fault = fault

    def hang(self) -> None:
        """Take requests and never answer."""
        self._fault = lambda _link, _stream: None

    def break_off(self, *, after: bytes | None = None) -> None:
        """Cut the connection: at once, or in the middle of an answer that begins with ``after``."""

        def fault(link: Link, stream: int) -> None:
            if after is not None:
                message = struct.pack(">BI", 0, 2**16) + after
                link.send(
                    headers(stream, (":status", "200"), ("content-type", "application/grpc")),
                    Frame(_DATA, 0, stream, message),
                )
            link.client.transport.close() if after is not None else link.abort()

        self._fault = fault

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        back, forth = await asyncio.open_connection(*self._target)
        link = Link(writer, forth)
        self._links.add(link)
        answers = asyncio.create_task(self._answers(back, link))
        self._tasks.add(answers)
        answers.add_done_callback(self._tasks.discard)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            await self._requests(reader, link)
        link.abort()
        self._links.discard(link)
        await answers

    async def _requests(self, reader: asyncio.StreamReader, link: Link) -> None:
        assert await reader.readexactly(len(_PREFACE)) == _PREFACE
        link.server.write(_PREFACE)
        while True:
            frame = await read_frame(reader)
            if frame.kind == _HEADERS and (self._fault or link.touched):
                self._answer_here(link, frame.stream)
            elif frame.stream not in link.touched:
                link.server.write(frame.encode())

    def _answer_here(self, link: Link, stream: int) -> None:
        link.touched.add(stream)
        if self._fault is None:
            # The fault is over, but not for this connection. A client may try this stream again elsewhere.
            link.send(Frame(_RST_STREAM, 0, stream, struct.pack(">I", _REFUSED_STREAM)))
            return
        link.send(Frame(_GOAWAY, 0, 0, struct.pack(">II", _LAST_STREAM, 0)))
        self._fault(link, stream)

    async def _answers(self, reader: asyncio.StreamReader, link: Link) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while True:
                link.send(await read_frame(reader))
                await link.client.drain()
        link.client.transport.abort()

    async def __aenter__(self) -> Self:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["h2"])
        with tempfile.NamedTemporaryFile() as file:
            file.write(self._pair.cert + self._pair.key)
            file.flush()
            context.load_cert_chain(file.name)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for link in list(self._links):
            link.abort()
        await self._server.wait_closed()
