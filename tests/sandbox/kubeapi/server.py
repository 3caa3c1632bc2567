"""The server as tests hold it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from . import rbac
from .calls import User
from .controllers import Controllers, CrdController, create_namespace, furnish
from .deletes import Deleter
from .faults import Faults, RequestLog
from .http import Front
from .identity import ISSUER, Tokens
from .patching import Patcher
from .reads import Reader
from .registry import builtin
from .status import Json
from .store import EventType, Store
from .tls import Authority, kubeconfig

ADMIN = User("kubernetes-admin", ("system:masters", "system:authenticated"))


class KubeApi:
    """`async with KubeApi() as api:` serves on a free port of 127.0.0.1 until the block ends."""

    def __init__(
        self,
        *,
        controllers: bool = True,
        port: int = 0,
        window: int = 20_000,
        bookmark_interval: float = 60.0,
        issuer: str = ISSUER,
        admin_token: str = "",
    ) -> None:
        self.port = port
        self.admin_token = admin_token or secrets.token_urlsafe(24)
        self.authority = Authority()
        self.ca_pem = self.authority.pem
        self.store = Store(window)
        self.registry = builtin()
        self.tokens = Tokens(self.store, issuer)
        self.tokens.static[self.admin_token] = ADMIN
        self.rbac = rbac.Rbac(self.store, controllers)
        self.writer = Patcher(self.store, self.registry)
        self.writer.admit.append(self.rbac.admit)
        self.deleter = Deleter(self.store, self.registry, controllers)
        self.reader = Reader(self.store, bookmark_interval)
        self.requests = RequestLog()
        self.faults = Faults()
        self.faults.drop_connections = self._drop
        self.faults.expire_watches = self.store.expire
        self.reader.hang = self.faults.hangs
        self.errors: list[Exception] = []  # bugs of the sandbox itself: tests should find none
        CrdController(self.store, self.registry, self.deleter)
        rbac.bootstrap(self.store)
        for name in ("default", "kube-system", "kube-public", "kube-node-lease"):
            create_namespace(self.store, name)
            if controllers:
                furnish(self.store, name, self.ca_pem)
        self.controllers: Controllers | None = None
        if controllers:
            self.controllers = Controllers(self.store, self.registry, self.deleter, self.ca_pem, self.errors)
        self._context = self.authority.server_context()
        self._runner: web.ServerRunner | None = None
        self._server: web.Server | None = None
        self._later: set[asyncio.Task[None]] = set()

    # -- addresses and credentials --------------------------------------------------------------

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"https://{self.address}"

    def kubeconfig_path(self, folder: Path | str, certificate: bool = False) -> Path:
        """Write an admin's kubeconfig, with the token or with a client certificate."""
        path = Path(folder, "kubeconfig")
        pair = self.authority.issue("kubernetes-admin", ("system:masters",))
        text = kubeconfig(
            self.url,
            self.ca_pem,
            token="" if certificate else self.admin_token,
            pair=pair if certificate else None,
        )
        return _private(path, text)

    def account_kubeconfig(self, folder: Path | str, namespace: str, name: str, seconds: int = 86_400) -> Path:
        """A kubeconfig for a ServiceAccount, to see what its RBAC rules allow."""
        token = self.account_token(namespace, name, seconds=seconds)
        text = kubeconfig(self.url, self.ca_pem, token=token, namespace=namespace)
        return _private(Path(folder, f"{namespace}-{name}.kubeconfig"), text)

    def account_token(self, namespace: str, name: str, audiences: list[str] | None = None, seconds: int = 3600) -> str:
        return self.tokens.issue(namespace, name, audiences, seconds)[0]

    def add_user(self, token: str, name: str, groups: tuple[str, ...] = ()) -> None:
        self.tokens.static[token] = User(name, (*groups, "system:authenticated"))

    # -- what was stored ------------------------------------------------------------------------

    def secret_versions(self, namespace: str, name: str) -> list[tuple[int, EventType, Json]]:
        """Every version this Secret ever had: revision, ADDED/MODIFIED/DELETED, object."""
        return list(self.store.secret_history.get((namespace, name), ()))

    def secrets_seen(self) -> list[tuple[str, str]]:
        return list(self.store.secret_history)

    # -- life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        front = Front(self)
        server: web.Server = web.Server(
            front.handle,
            access_log=None,
            keepalive_timeout=300.0,
            max_line_size=65_536,
            max_field_size=65_536,
        )
        self._server = server
        # aiohttp takes 0 for "wait for ever".
        self._runner = web.ServerRunner(server, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(
            self._runner,
            "127.0.0.1",
            self.port,
            ssl_context=self._context,
            reuse_address=True,
            backlog=1024,
        )
        await site.start()
        if not self.port:
            self.port = self._runner.addresses[0][1]
        if self.controllers is not None and self.controllers.task is None:
            self.controllers.start()

    async def stop(self) -> None:
        for task in list(self._later):
            task.cancel()
        if self.controllers is not None:
            await self.controllers.stop()
        await self._close()

    async def _close(self) -> None:
        self._drop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def restart(self, seconds: float = 0.0) -> None:
        """Stop listening for a while; the state stays, every connection goes."""
        await self._close()
        if seconds:
            await asyncio.sleep(seconds)
        await self.start()

    def _drop(self) -> int:
        """Abort every connection, in the middle of whatever it was saying."""
        dropped = 0
        for connection in list(self._server.connections if self._server else ()):
            transport: Any = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
                dropped += 1
        return dropped

    def later(self, action: Callable[[], Any]) -> None:
        async def run() -> None:
            await asyncio.sleep(0.05)
            action()

        self._keep(asyncio.create_task(run()))

    def restart_later(self, seconds: float) -> None:
        async def run() -> None:
            await asyncio.sleep(0.05)
            await self.restart(seconds)

        self._keep(asyncio.create_task(run()))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()


def _private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path
