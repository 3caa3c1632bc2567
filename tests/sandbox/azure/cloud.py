"""Azure on loopback: Entra ID, vaults of any cloud under their real names, and the metadata service of a node.

    async with AzureCloud() as cloud:
        vault = cloud.vault("shop")                          # https://shop.vault.azure.net
        vault.put("db", "s3cret")
        cloud.entra.register("reader").secrets["pw"] = math.inf
        vault.rights["reader"] = READ
        with mock.patch.dict(os.environ, cloud.environment): ...

Clients use the real names. They reach them by an HTTP proxy, which leads every name here, and trust an authority of
ours: ``environment`` holds the three variables that say so (HTTPS_PROXY, SSL_CERT_FILE, and where the metadata service
is). Nothing else about a client has to be different, and nothing leaves the machine: the proxy refuses other names.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import ipaddress
import json
import ssl
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs

from aiohttp import web
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.sandbox.azure.entra import TENANT, Entra, Refused
from tests.sandbox.azure.vault import Answer, Vault
from tests.sandbox.certificates import Authority, Pair

CLOUDS = {
    "PublicCloud": ("login.microsoftonline.com", "vault.azure.net"),
    "USGovernmentCloud": ("login.microsoftonline.us", "vault.usgovcloudapi.net"),
    "ChinaCloud": ("login.chinacloudapi.cn", "vault.azure.cn"),
}
"""Host of Entra ID and domain of the vaults of each cloud."""
IMDS_PATH = "/metadata/identity/oauth2/token"


@dataclass
class Fault:
    """What happens to requests to one host instead of an answer, or before it.

    ``delay`` is in seconds and ends when the fault is taken away; ``left`` counts the requests that it still meets,
    None for all.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0
    broken: bool = False
    left: int | None = None


class AzureCloud:
    """See the module. ``requests`` lists host, method and path of everything that arrived."""

    environment: dict[str, str]
    ca_pem: bytes

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.routes: dict[str, int] = {}
        """Host → port on loopback that it is reached at instead of here."""
        self.faults: dict[str, Fault] = {}
        self.entra = Entra(self.now)
        self.authority = Authority("Azure on loopback")
        self.ca_pem = self.authority.pem
        self.connects: list[str] = []
        """What the proxy was asked for: host and port."""
        self._vaults: dict[str, Vault] = {}
        self._logins = {host for host, _ in CLOUDS.values()}
        self._ahead = 0.0
        self._tunnels: set[asyncio.Task[None]] = set()
        self._runners: list[web.AppRunner] = []
        self._calm = asyncio.Event()
        self._contexts: dict[str, ssl.SSLContext] = {}

    def now(self) -> float:
        """The time of the cloud, in seconds since the epoch."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let time pass, for the cloud."""
        self._ahead += seconds

    def vault(self, name: str, *, cloud: str = "PublicCloud", tenant: str = TENANT, domain: str = "") -> Vault:
        """A new vault. ``domain`` puts it elsewhere than into its cloud's own."""
        login, usual = CLOUDS[cloud]
        domain = domain or usual
        host = f"{name}.{domain}"
        authority = f"https://{login}"
        self._vaults[host] = Vault(
            host, resource=f"https://{domain}", authority=authority, tenant=tenant, entra=self.entra
        )
        return self._vaults[host]

    def login_host(self, host: str) -> None:
        """One more host of Entra ID."""
        self._logins.add(host)

    def pair(self, host: str) -> Pair:
        """A certificate of the cloud's authority for one host, and for loopback."""
        loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        names = [x509.DNSName(host), x509.DNSName("localhost"), loopback]
        return self.authority._issue(host, ExtendedKeyUsageOID.SERVER_AUTH, x509.SubjectAlternativeName(names))

    async def listen(self, host: str) -> str:
        """A listener of its own for one host, whatever name it is asked by; its address on loopback."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, host)

        return await self._start(handle, self._context("localhost"))

    def clear(self, host: str) -> None:
        """End the fault of a host."""
        self.faults.pop(host, None)
        self._calm.set()
        self._calm = asyncio.Event()

    async def __aenter__(self) -> Self:
        ca_file = self._write_ca()
        context = self._context("localhost")
        context.sni_callback = self._choose
        self._port = int((await self._start(self._by_name, context)).rpartition(":")[2])
        imds = await self._start(self._metadata, None)
        self._gate = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        gate = f"http://127.0.0.1:{self._gate.sockets[0].getsockname()[1]}"
        self.environment = {
            "HTTPS_PROXY": gate,
            "NO_PROXY": "",
            "SSL_CERT_FILE": ca_file,
            "AZURE_POD_IDENTITY_AUTHORITY_HOST": imds,
        }
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._calm.set()
        self._gate.close()
        for tunnel in self._tunnels:
            tunnel.cancel()
        await asyncio.gather(*self._tunnels, return_exceptions=True)
        for runner in self._runners:
            # Clients that left without a word keep TLS waiting for one.
            for connection in runner.server.connections if runner.server else ():
                if connection.transport is not None:
                    connection.transport.abort()
            await runner.cleanup()
        self._folder.cleanup()

    def _write_ca(self) -> str:
        self._folder = tempfile.TemporaryDirectory(prefix="azure-")
        path = Path(self._folder.name, "ca.pem")
        path.write_bytes(self.ca_pem)
        return str(path)

    def _context(self, host: str) -> ssl.SSLContext:
        if host not in self._contexts:
            pair = self.pair(host)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            with tempfile.NamedTemporaryFile() as file:
                file.write(pair.cert + pair.key)
                file.flush()
                context.load_cert_chain(file.name)
            self._contexts[host] = context
        return self._contexts[host]

    def _choose(self, connection: ssl.SSLObject, host: str | None, _: ssl.SSLContext) -> None:
        if host in self._vaults or host in self._logins:
            connection.context = self._context(host)

    async def _start(self, handle: Callable[[web.Request], object], context: ssl.SSLContext | None) -> str:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handle)  # type: ignore[arg-type] # a handler, told as any callable
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        self._runners.append(runner)
        return f"{'https' if context else 'http'}://127.0.0.1:{runner.addresses[0][1]}"

    async def _by_name(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, request.host.lower().removesuffix(":443"))

    async def _metadata(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, "imds")

    async def _serve(self, request: web.Request, host: str) -> web.StreamResponse:
        self.requests.append(f"{host} {request.method} {request.rel_url.raw_path}")
        fault = self.faults.get(host)
        if fault is not None and fault.left != 0:
            if fault.left is not None:
                fault.left -= 1
            if (response := await self._trouble(request, fault)) is not None:
                return response
        body = await request.read()
        if host == "imds":
            answer = self._imds(request)
        elif host in self._logins:
            answer = self._login(request, host, body)
        elif host in self._vaults:
            content = json.loads(body) if body else None
            path, query = request.rel_url.raw_path, request.rel_url.raw_query_string
            authorization = request.headers.get("Authorization", "")
            answer = self._vaults[host].answer(request.method, path, query, content, authorization)
        else:
            answer = Answer(421, None)
        at = email.utils.formatdate(self.now(), usegmt=True)
        headers = {"Date": at, "x-ms-request-id": str(len(self.requests)), **answer.headers}
        return web.json_response(answer.body, status=answer.status, headers=headers)

    async def _trouble(self, request: web.Request, fault: Fault) -> web.StreamResponse | None:
        if fault.delay:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(fault.delay):
                    await self._calm.wait()
        if fault.broken:
            response = web.StreamResponse(headers={"Content-Length": str(2**20)})
            if fault.body:
                await response.prepare(request)
                await response.write(fault.body)
            if request.transport is not None:
                request.transport.abort()
            return response
        if fault.status:
            headers = {"Content-Type": "application/json", **fault.headers}
            return web.Response(status=fault.status, headers=headers, body=fault.body)
        return None

    def _login(self, request: web.Request, host: str, body: bytes) -> Answer:
        tenant, _, path = request.path.strip("/").partition("/")
        base = f"https://{host}/{tenant}"
        if path == "v2.0/.well-known/openid-configuration":
            names = {"authorization": "authorize", "token": "token"}
            endpoints = {f"{name}_endpoint": f"{base}/oauth2/v2.0/{end}" for name, end in names.items()}
            return Answer(200, endpoints | {"issuer": f"{base}/v2.0", "jwks_uri": f"{base}/discovery/v2.0/keys"})
        if path == "discovery/instance":
            aliases = {"preferred_network": host, "preferred_cache": host, "aliases": [host]}
            return Answer(200, {"tenant_discovery_endpoint": f"{base}/v2.0", "metadata": [aliases]})
        if path != "oauth2/v2.0/token" or request.method != "POST":
            return Answer(404, {"error": "invalid_request", "error_description": "AADSTS900561: no such endpoint."})
        form = {name: values[0] for name, values in _form(body).items()}
        try:
            return Answer(200, self.entra.grant(tenant, form, f"{base}/oauth2/v2.0/token"))
        except Refused as refused:
            return Answer(refused.status, refused.body())

    def _imds(self, request: web.Request) -> Answer:
        if request.headers.get("Metadata") != "true":
            return Answer(
                400, {"error": "invalid_request", "error_description": "Required metadata header not specified"}
            )
        if request.path != IMDS_PATH or not request.query.get("resource"):
            return Answer(404, {"error": "not_found", "error_description": "no such resource"})
        found = self.entra.managed(request.query.get("client_id", ""), request.query["resource"])
        if found is None:
            return Answer(400, {"error": "invalid_request", "error_description": "Identity not found"})
        return Answer(200, found)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: asyncio's would complain when it is cancelled.
        task = asyncio.create_task(self._tunnel(reader, writer))
        self._tunnels.add(task)
        task.add_done_callback(self._tunnels.discard)

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """CONNECT, and nothing else."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, *_ = head.split(b"\r\n", 1)[0].decode().split()
            self.connects.append(target)
            host = target.rpartition(":")[0].lower()
            port = self.routes.get(host) or (self._port if host in self._vaults or host in self._logins else 0)
            if method != "CONNECT" or not port:
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
                return
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_pump(reader, inner_writer))
                    group.create_task(_pump(inner_reader, writer))
            finally:
                inner_writer.close()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything from one side to the other; when it ends, so does the other side."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


def _form(body: bytes) -> Mapping[str, list[str]]:
    return parse_qs(body.decode())
