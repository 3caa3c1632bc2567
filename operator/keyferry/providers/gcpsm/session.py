"""One channel to Secret Manager: an RPC in, an answer or error out. TLS, proxies, tokens, retries and time-outs.

The channel belongs to one adapter, and so to one credential: gRPC would let channels to the same host share their
connections, which is switched off. The token is added to each call. Nothing is asked of the environment by gRPC or the
SDK: proxies are those that HTTPS_PROXY and NO_PROXY name, as for every store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import grpc
import grpc.aio
from google.api_core.exceptions import GoogleAPICallError
from google.cloud.secretmanager_v1 import SecretManagerServiceAsyncClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcAsyncIOTransport,
)

from keyferry import transport
from keyferry.errors import Broken, KeyferryError
from keyferry.ports import Context
from keyferry.providers.gcpsm.answers import Purpose, Unauthenticated, judge, not_google
from keyferry.providers.gcpsm.sites import Sites
from keyferry.providers.gcpsm.tokens import Grant, Tokens

T = TypeVar("T")

# It writes every answer with its values into the log, where an environment variable of Google's asks for it.
logging.getLogger(SecretManagerServiceGrpcAsyncIOTransport.__module__).disabled = True

_PARALLEL: Final = 32
"""Calls of one adapter at a time. Google has no batches; its quota is 90,000 reads per minute and project."""
_OPTIONS: Final = (
    ("grpc.use_local_subchannel_pool", 1),
    # A listing of 25,000 secrets has more than gRPC's 4 MB.
    ("grpc.max_receive_message_length", -1),
    # After an outage the store is asked again by its own schedule, not after gRPC's two minutes.
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # Cloud firewalls forget a connection that is silent for ten minutes, and say nothing of it.
    ("grpc.client_idle_timeout_ms", 240_000),
    ("grpc.primary_user_agent", "keyferry"),
)


class Session:
    """The channel of one adapter. Made on the loop that uses it."""

    def __init__(self, host: str, sites: Sites, tokens: Tokens, context: Context) -> None:
        """``host`` is Google's name of the server."""
        self.host = host
        self._tokens = tokens
        self._context = context
        self._places = asyncio.Semaphore(_PARALLEL)
        self._closed = False
        address = sites.address(host)
        proxy = transport.proxy_for(urlsplit(f"https://{address}"))
        way = ("grpc.http_proxy", proxy) if proxy else ("grpc.enable_http_proxy", 0)
        self._channel = grpc.aio.secure_channel(
            address, grpc.ssl_channel_credentials(sites.roots), options=[*_OPTIONS, way]
        )
        self.client = SecretManagerServiceAsyncClient(
            transport=SecretManagerServiceGrpcAsyncIOTransport(host=host, channel=self._channel)
        )

    async def ask(self, call: str, method: Callable[..., Awaitable[T | None]], request: Any, purpose: Purpose) -> T:
        """The answer to one RPC, tried again as ``spec.retrySettings`` says.

        Args:
            call: the name that it is counted by.
            method: the client's method for it.
            request: its message.
            purpose: the words for an error.

        Raises:
            KeyferryError: see ``answers``.
        """

        async def once() -> T:
            grant = await self._tokens.current()
            try:
                return await self._counted(call, method, request, purpose, grant)
            except Unauthenticated:
                # Revoked, or its account was disabled and enabled again: a new token may be accepted.
                grant = await self._tokens.instead_of(grant)
            return await self._counted(call, method, request, purpose, grant)

        return await transport.retried(once, self._context.retries)

    async def aclose(self) -> None:
        """Close the channel. Idempotent."""
        self._closed = True
        await self._channel.close()

    async def _counted(
        self, call: str, method: Callable[..., Awaitable[T | None]], request: Any, purpose: Purpose, grant: Grant
    ) -> T:
        async with self._places:
            if self._closed:
                raise Broken("a store's adapter was used after it was closed")
            with self._context.observe(call):
                outcome = await self._sent(method, request, purpose, grant)
                if isinstance(outcome, KeyferryError):
                    raise outcome
                return outcome

    async def _sent(
        self, method: Callable[..., Awaitable[T | None]], request: Any, purpose: Purpose, grant: Grant
    ) -> T | KeyferryError:
        # An error is returned, not raised: the SDK's exceptions hold the call with its token and what was answered,
        # and would hang on to a raised one as its context.
        try:
            answer = await method(
                request=request,
                retry=None,
                timeout=self._context.timeout,
                metadata=[("authorization", f"Bearer {grant.token}")],
            )
        except GoogleAPICallError as error:
            return judge(error, purpose, host=self.host, identity=self._tokens.identity)
        # gRPC gives None for an answer that it cannot read.
        return not_google(self.host) if answer is None else answer


def first_page_of(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A listing's method as one that gives one page, without asking for the next one: that is another RPC."""

    async def one_page(**options: Any) -> Any:
        async with aclosing((await method(**options)).pages) as pages:
            return await anext(pages)

    return one_page
