"""The HTTP session that kopf uses: our connection's address, TLS and credential, and a limit on connections.

kopf's own session has no limit, and its credential is as old as its login. Passing through here, requests also tell
which resources have been listed, which kopf keeps to itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass

import aiohttp
import kopf
from yarl import URL

from keyferry.kits.backoff import Backoff
from keyferry.kubehttp.config import Endpoint
from keyferry.telemetry import get_logger

# Besides one connection per watch: lists, discovery.
_CONNECTIONS = 16
# kopf asks for a new login as soon as an answer is 401, thousands of times a second if it is let.
_LOGINS = Backoff(first=0.5, ceiling=30.0)
_GOOD_LOGIN = 60.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Watched:
    """A resource to watch. ``group`` is "" for the core API."""

    group: str
    version: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str | None) -> str:
        """Its path at the API server, in one namespace or (None) in all."""
        prefix = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{prefix}/namespaces/{namespace}/{self.plural}" if namespace else f"{prefix}/{self.plural}"


class SessionMaker:
    """Makes a session per login, and watches what passes.

    ``listed`` is called once, when a watch has been opened for every resource in every namespace: kopf opens it after
    it has put all that it listed into its queues.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        watched: Collection[Watched],
        namespaces: Collection[str],
        listed: Callable[[], None],
    ) -> None:
        self._endpoint = endpoint
        self._origin = URL(endpoint.server).origin()
        self._prefix = URL(endpoint.server).path.rstrip("/")
        self._unlisted = {
            resource.path(namespace)
            for resource in watched
            for namespace in (namespaces if namespaces and resource.namespaced else [None])
        }
        self._limit = _CONNECTIONS + len(self._unlisted)
        self._listed = listed
        self._sessions: list[aiohttp.ClientSession] = []
        self._logins = 0
        self._last_login = -_GOOD_LOGIN

    async def login(self) -> kopf.AiohttpSession:
        """A new session; after a pause where the last one did not live long."""
        now = asyncio.get_running_loop().time()
        self._logins = self._logins + 1 if now - self._last_login < _GOOD_LOGIN else 0
        if self._logins:
            pause = _LOGINS.delay(self._logins)
            log.warning("logging in to the API server again", pause=round(pause, 1))
            await asyncio.sleep(pause)
        self._last_login = asyncio.get_running_loop().time()
        await self.aclose()
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._limit, ssl=self._endpoint.ssl),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "keyferry"},
            proxy=self._endpoint.proxy,
            middlewares=(self._pass,),
        )
        self._sessions.append(session)
        return kopf.AiohttpSession(server=self._endpoint.server, aiohttp_session=session)

    async def aclose(self) -> None:
        """Close what kopf may have left open. Idempotent."""
        while self._sessions:
            await self._sessions.pop().close()

    async def _pass(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if request.url.origin() != self._origin:
            # Redirected elsewhere: no credential for strangers.
            return await handler(request)
        request.server_hostname = self._endpoint.server_hostname
        header = await self._endpoint.authorization(None)
        response = await self._ask(request, handler, header)
        if response.status == 401:
            # The kubelet renews the token in place; another one may be there by now.
            renewed = await self._endpoint.authorization(header)
            if renewed != header:
                response.release()
                response = await self._ask(request, handler, renewed)
        if response.status == 200:
            self._note(request.url)
        return response

    async def _ask(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType, header: str
    ) -> aiohttp.ClientResponse:
        if header:
            request.headers["Authorization"] = header
        return await handler(request)

    def _note(self, url: URL) -> None:
        if not self._unlisted or url.query.get("watch") != "true":
            return
        self._unlisted.discard(url.path.removeprefix(self._prefix))
        if not self._unlisted:
            self._listed()
