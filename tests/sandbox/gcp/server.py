"""The double as a whole: Secret Manager, global and in one region, and the servers that give out tokens.

async with Gcp() as gcp:
    gcp.store.put("projects/shop/secrets/db", b"value")
    key = gcp.reader("reader")             # a service account's key that may read
    await Gcpsm.open(config, context, sites=Sites(gcp.hosts, gcp.ca_pem))
"""

from __future__ import annotations

import ssl
import tempfile
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self

import grpc.aio
from aiohttp import web

from tests.sandbox.certificates import Authority
from tests.sandbox.gcp.accounts import Accounts
from tests.sandbox.gcp.front import Front
from tests.sandbox.gcp.identity import Identity
from tests.sandbox.gcp.rpcs import Rpcs
from tests.sandbox.gcp.store import READER, VIEWER, Store

PROJECT: Final = "shop"
NUMBER: Final = "481516234200"
REGION: Final = "europe-west3"
BEHIND: Final = "10.255.0.1"
"""An address that certificates are good for as well, for tests of proxies: nobody has it."""
OWN: Final = "machine@shop.iam.gserviceaccount.com"
_TOKEN_HOSTS: Final = (
    "oauth2.googleapis.com",
    "sts.googleapis.com",
    "securetoken.googleapis.com",
    "iamcredentials.googleapis.com",
)
_METADATA_HOSTS: Final = ("metadata.google.internal", "169.254.169.254")


class Gcp:
    """See the module. Everything runs on the loop that enters it."""

    def __init__(self) -> None:
        self.authority = Authority("Google's stand-in")
        self.store = Store({PROJECT: NUMBER})
        self.accounts = Accounts()
        self.rpcs = Rpcs(self.store, self.accounts)
        self.identity = Identity(self.accounts, project=PROJECT, own=OWN)
        self._life = AsyncExitStack()

    @property
    def hosts(self) -> dict[str, str]:
        """Google's host → where its stand-in listens."""
        return {
            "secretmanager.googleapis.com": self.front.address,
            f"secretmanager.{REGION}.rep.googleapis.com": self.regional.address,
            **dict.fromkeys(_TOKEN_HOSTS, self._tokens),
            **dict.fromkeys(_METADATA_HOSTS, self._metadata),
        }

    @property
    def ca_pem(self) -> bytes:
        return self.authority.pem

    def account(self, name: str, *, on: str = f"projects/{PROJECT}", permissions: frozenset[str] | None = None) -> str:
        """A service account that may read and list, unless said otherwise; the result is its address."""
        email = f"{name}@{PROJECT}.iam.gserviceaccount.com"
        self.store.grant(email, READER | VIEWER if permissions is None else permissions, on)
        return email

    def key(self, name: str, **rights: Any) -> dict[str, Any]:
        """A new key of such an account."""
        return self.accounts.create_key(self.account(name, **rights))

    async def __aenter__(self) -> Self:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((self.rpcs.handler(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self._life.push_async_callback(server.stop, None)
        self.rpcs_at = ("127.0.0.1", port)
        self.front = await self._life.enter_async_context(Front(self.rpcs_at, self.authority, BEHIND))
        self.regional = await self._life.enter_async_context(Front(self.rpcs_at, self.authority))
        runner = web.AppRunner(self.identity.app(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        self._life.push_async_callback(_shut, runner)
        self._life.callback(self.identity.end)
        self._tokens = await self._listen(runner, self._tls())
        self._metadata = await self._listen(runner, None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._life.aclose()

    async def _listen(self, runner: web.AppRunner, context: ssl.SSLContext | None) -> str:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        return f"127.0.0.1:{runner.addresses[-1][1]}"

    def _tls(self) -> ssl.SSLContext:
        pair = self.authority.server(BEHIND)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(pair.cert + pair.key)
            file.flush()
            context.load_cert_chain(file.name)
        return context


async def _shut(runner: web.AppRunner) -> None:
    # Clients that left without a word keep TLS waiting for one.
    for connection in runner.server.connections if runner.server else ():
        if connection.transport is not None:
            connection.transport.abort()
    await runner.cleanup()
