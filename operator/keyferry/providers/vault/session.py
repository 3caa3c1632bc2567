"""One server: a request in, an answer out. TLS, headers, proxies, retries and time-outs live here.

Nothing but what the store says has influence: no VAULT_* or BAO_* variable, no token file, no netrc, no bundle named by
the environment. HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the operator are honoured, as they are by Go's clients.
Redirects (a standby's 307) are followed with the token, but never from https to http.
"""

from __future__ import annotations

import base64
import binascii
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import requests
from hvac.adapters import RawAdapter
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPHeaderDict
from urllib3.exceptions import HTTPError

from keyferry import transport
from keyferry.errors import BadSpec, KeyferryError
from keyferry.ports import Context, Retries
from keyferry.providers.vault.answers import Answer, Purpose, judge

T = TypeVar("T")

_INDEX = "X-Vault-Index"
_PARALLEL = 8
"""Calls to one server at a time, out of the process's shared threads."""
_PUBLIC = frozenset({"name", "role", "iam_http_request_method"})
"""Fields of a login that the server's words may repeat."""
_CATCHING_UP = Retries(attempts=2, interval=1.0)
"""Retries of a store that asks for consistency and sets none: a replica that is behind catches up in a moment."""


@dataclass(frozen=True, slots=True)
class Consistency:
    """``readYourWrites`` and ``forwardInconsistent`` of the store."""

    read_your_writes: bool = False
    forward_inconsistent: bool = False

    def __bool__(self) -> bool:
        # Either switch makes the client remember states, as in Vault's Go client under ESO.
        return self.read_your_writes or self.forward_inconsistent


@dataclass(slots=True)
class ReplicationStates:
    """The newest state seen of each cluster behind the address, as headers for the next request.

    A state is base64 of ``v1:cluster:local index:replicated index:signature``.
    """

    _states: dict[str, tuple[tuple[int, int], str]] = field(default_factory=dict)

    def see(self, header: str | None) -> None:
        """Remember the state that an answer carries, if it is newer than the one known."""
        if not header:
            return
        try:
            _, cluster, local, replicated, _ = base64.b64decode(header, validate=True).decode().split(":")
            indexes = (int(local), int(replicated))
        except (binascii.Error, ValueError):
            return
        known = self._states.get(cluster)
        if known is None or (indexes[0] >= known[0][0] and indexes[1] >= known[0][1]):
            self._states[cluster] = (indexes, header)

    def headers(self) -> list[str]:
        """One header value for each cluster."""
        return [header for _, header in list(self._states.values())]


class _Connections(HTTPAdapter):
    """Connections with one SSLContext, and with the replication states where the store asks for them."""

    def __init__(self, context: ssl.SSLContext | None, states: ReplicationStates | None) -> None:
        self._context = context
        self._states = states
        super().__init__(pool_connections=2, pool_maxsize=_PARALLEL)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **options)

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        return super().proxy_manager_for(*args, ssl_context=self._context, **options)

    def cert_verify(self, *_args: Any, **_options: Any) -> None:
        """The context decides alone: requests would add its own bundle of authorities to it."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if self._states is None:
            return super().send(request, *args, **options)
        stated = request.copy()
        headers = HTTPHeaderDict(request.headers)
        for state in self._states.headers():
            headers.add(_INDEX, state)
        # requests knows one value per name; urllib3, which sends it, several.
        stated.headers = cast("CaseInsensitiveDict[str]", headers)
        response = super().send(stated, *args, **options)
        self._states.see(response.headers.get(_INDEX))
        return response


class _Http(requests.Session):
    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        if urlsplit(response.url).scheme == "https" and urlsplit(prepared_request.url or "").scheme != "https":
            raise requests.exceptions.InvalidURL("redirect from https to http")
        # What requests does here, forgetting Authorization and reading netrc, has no bearing: tokens travel otherwise.


class Session:
    """Sends requests to one server. Tokens are given per request, so that none sticks to it."""

    def __init__(
        self,
        *,
        server: str,
        context: Context,
        tls: ssl.SSLContext | None = None,
        headers: Mapping[str, str] | None = None,
        consistency: Consistency | None = None,
    ) -> None:
        consistency = consistency or Consistency()
        parts = transport.server_url(server, where="server")
        self.address = server.strip().rstrip("/")
        self._context = context
        self._retries = context.retries
        self._threads = transport.Threads(_PARALLEL)
        self._http = _Http()
        self._http.trust_env = False
        self._http.max_redirects = 5
        proxy = transport.proxy_for(parts)
        if proxy:
            self._http.proxies = {parts.scheme: proxy}
        connections = _Connections(tls, ReplicationStates() if consistency else None)
        self._http.mount("https://", connections)
        self._http.mount("http://", connections)
        self._http.headers["User-Agent"] = "keyferry"
        for name, value in (headers or {}).items():
            _check_header(name, value)
            self._http.headers[name] = value
        if consistency.read_your_writes and consistency.forward_inconsistent:
            self._http.headers["X-Vault-Inconsistent"] = "forward-active-node"
        if consistency and not self._retries.attempts:
            self._retries = _CATCHING_UP

    async def call(
        self,
        call: str,
        method: str,
        path: str,
        *,
        purpose: Purpose,
        token: str = "",
        namespace: str = "",
        params: Mapping[str, str] | None = None,
        body: Mapping[str, str] | None = None,
        retry: bool = True,
    ) -> Answer:
        """One request, tried again as ``spec.retrySettings`` says.

        Args:
            call: the name that it is counted by.
            method: ``get``, ``list`` or ``post``.
            path: below ``/v1/``, escaped.
            purpose: the words for an error.
            token: sent as X-Vault-Token.
            namespace: sent as X-Vault-Namespace.
            params: the query.
            body: sent as JSON; its values are kept out of errors.
            retry: whether ``spec.retrySettings`` apply.

        Raises:
            KeyferryError: for everything but 2xx and a 404 that may mean an absent secret.
        """

        def send() -> Answer | KeyferryError:
            return self._send(method, path, purpose, token, namespace, params, body)

        async def once() -> Answer:
            with self._context.observe(call):
                outcome = await self._threads.run(send)
                if isinstance(outcome, KeyferryError):
                    raise outcome
                return outcome

        return await transport.retried(once, self._retries if retry else Retries())

    @property
    def timeout(self) -> float:
        """Seconds that one call may take."""
        return self._context.timeout

    async def aside(self, call: Callable[[], T]) -> T:
        """The result of a blocking call, in one of the threads that requests share. It carries its own time-out."""
        return await self._threads.run(call)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(
        self,
        method: str,
        path: str,
        purpose: Purpose,
        token: str,
        namespace: str,
        params: Mapping[str, str] | None,
        body: Mapping[str, str] | None,
    ) -> Answer | KeyferryError:
        # Runs in a thread. An error is returned, not raised: the library's exceptions carry the request with its token
        # and the answer with its values, and would hang on to a raised one as its context.
        adapter = RawAdapter(
            base_uri=self.address,
            token=token,
            namespace=namespace,
            session=self._http,
            timeout=self._context.timeout,
            strict_http=True,
        )
        options: dict[str, Any] = {"params": dict(params or {})}
        if body is not None:
            options["json"] = dict(body)
        try:
            response = adapter.request(method, f"/v1/{path}", raise_exception=False, **options)
        except (requests.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
            return transport.unreachable(error, self.address)
        return judge(
            response.status_code,
            response.content,
            address=self.address,
            purpose=purpose,
            retry_after=transport.retry_after(response.headers.get("Retry-After")),
            sent=[token, *(value for name, value in (body or {}).items() if name not in _PUBLIC)],
        )


def _check_header(name: str, value: str) -> None:
    try:
        requests.utils.check_header_validity((name, value))
        value.encode("latin-1")
    except (requests.exceptions.InvalidHeader, UnicodeEncodeError):
        valid = False
    else:
        valid = True
    if not valid:
        raise BadSpec("headers holds a name or a value that HTTP does not allow", remedy="check the names and values")
