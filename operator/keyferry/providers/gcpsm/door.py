"""HTTP for google-auth: one request in, one answer or error out.

google-auth asks for a token over whatever ``Request`` it is given. This one decides what it would leave open: TLS,
proxies, time-outs, no redirects, bounded answers; and it ends a login at the first failure, with the error that users
are told. Failures are kept off google-auth because it repeats requests in the thread that it blocks, and because its
exceptions quote answers.

Blocking: every use belongs into a thread.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import urllib3
from google.auth import exceptions
from google.auth import transport as google_transport
from urllib3.exceptions import HTTPError

from keyferry import transport
from keyferry.errors import Busy, Denied, KeyferryError, Unreachable
from keyferry.providers.gcpsm.answers import not_google
from keyferry.providers.gcpsm.sites import Sites

METADATA: Final = "metadata.google.internal"
_LONGEST: Final = 1024 * 1024
"""Bytes of an answer that are read; tokens have a few thousand."""
_WORDS: Final = 200
"""Characters of Google's words that are repeated."""
_UNFIT: Final = re.compile(
    r"""
    \d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*      # time
    | \b1\d{9}\b                              # seconds since the epoch
    | \b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-\w{12}  # request id
    | \b[\w-]{16,}\.[\w-]{16,}\.[\w-]*        # JWT
    | \bya29\.[\w.-]+                         # access token
    """,
    re.VERBOSE,
)
"""What must not be repeated: it changes from call to call, or is a credential."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a host is asked for, in the words of an error. ``quotable``: its own words may be repeated."""

    doing: str
    remedy: str
    quotable: bool = True


_ELSEWHERE: Final = Purpose("give a token", "check credConfig and externalTokenEndpoint", quotable=False)
_KEY: Final = Purpose("exchange the key for an access token", "check that the key and its service account are enabled")
_PURPOSES: Final[Mapping[str, Purpose]] = MappingProxyType(
    {
        "accounts.google.com": _KEY,
        "oauth2.googleapis.com": _KEY,
        "www.googleapis.com": _KEY,
        "securetoken.googleapis.com": Purpose(
            "exchange the ServiceAccount's token",
            "check clusterProjectID, clusterLocation and clusterName, and that the cluster has workload identity",
        ),
        "sts.googleapis.com": Purpose(
            "exchange the token", "check audience, and the issuer and the conditions of the pool's provider"
        ),
        "iamcredentials.googleapis.com": Purpose(
            "act as the Google service account",
            "grant roles/iam.workloadIdentityUser on it to the principal that logs in",
        ),
        METADATA: Purpose("answer", "set projectID and auth, or run Keyferry where Google's metadata server is"),
    }
)
"""Host → what it is asked for. Regional hosts count as the global one."""
_REGIONAL: Final = re.compile(r"(sts|iamcredentials)\.[a-z0-9.-]+\.googleapis\.com")


class Failed(exceptions.TransportError):
    """Ends a login. ``told`` is what users are told."""

    def __init__(self, told: KeyferryError) -> None:
        super().__init__("the request failed")  # type: ignore[no-untyped-call]  # google-auth's is untyped
        self.told = told


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """An answer that is no failure, with what google-auth looks at."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class Door(google_transport.Request):
    """One set of connections, of one adapter."""

    def __init__(self, sites: Sites, *, timeout: float) -> None:
        """``timeout`` is what one request may take, in seconds."""
        self._sites = sites
        self._timeout = urllib3.Timeout(total=timeout)
        self._tls = shared_tls(sites.roots)
        self._pools: dict[str | None, urllib3.PoolManager] = {}

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002 -- google-auth's idea of it
        **_: Any,
    ) -> Answer:
        """The answer, if its status is 200. Raises ``Failed``."""
        asked = urlsplit(url)
        host = asked.hostname or ""
        failure: KeyferryError
        try:
            reached = self._sites.reached(asked)
            response = self._pool(reached).request(
                method,
                reached.geturl(),
                body=body,
                headers=headers,
                timeout=self._timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            data = response.read(_LONGEST, decode_content=True)
            # Without effect on a connection whose answer was read to its end.
            response.close()
        except (HTTPError, OSError, ValueError) as error:
            failure = transport.unreachable(error, f"{asked.scheme}://{host}")
        else:
            if response.status == 200:
                return Answer(response.status, response.headers, data)
            after = transport.retry_after(response.headers.get("Retry-After"))
            failure = _judge(response.status, data, after, host)
        raise Failed(failure) from None

    def close(self) -> None:
        """Close the connections."""
        for pool in self._pools.values():
            pool.clear()

    def _pool(self, url: SplitResult) -> urllib3.PoolManager:
        # Plain HTTP is spoken with the machine's own metadata server only, which is no proxy's business.
        proxy = transport.proxy_for(url) if url.scheme == "https" else None
        if proxy not in self._pools:
            options: dict[str, Any] = {"num_pools": 4, "maxsize": 2, "ssl_context": self._tls}
            self._pools[proxy] = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
        return self._pools[proxy]


@lru_cache(maxsize=4)
def shared_tls(roots: bytes | None) -> ssl.SSLContext:
    """One context for all stores: it holds authorities, nothing of a store, and takes 30 ms and a megabyte to make."""
    return transport.ssl_context(roots, ca_field="SSL_CERT_FILE")


def _judge(status: int, data: bytes, retry_after: float | None, host: str) -> KeyferryError:
    """What an answer other than 200 means."""
    regional = _REGIONAL.fullmatch(host)
    purpose = _PURPOSES.get(f"{regional[1]}.googleapis.com" if regional else host, _ELSEWHERE)
    if status == 429:
        return Busy(f"{host} limits the rate of requests", retry_after=retry_after)
    if status in {400, 401, 403, 404} and host != METADATA:
        words = _words(data) if purpose.quotable else ""
        said = f": {words}" if words else ""
        return Denied(f"{host} refuses to {purpose.doing}{said}", remedy=purpose.remedy)
    if 300 <= status < 400:
        return not_google(host)
    return Unreachable(f"{host} failed to {purpose.doing} (HTTP {status})", remedy=purpose.remedy)


def _words(data: bytes) -> str:
    """Google's explanation in one line: of OAuth's form (RFC 6749, 5.2) or of its own (AIP-193)."""
    try:
        body = json.loads(data)
    except ValueError:
        return ""
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        parts = (error.get("status"), error.get("message"))
    else:
        parts = (error, body.get("error_description") if isinstance(body, dict) else None)
    text = " ".join(": ".join(part for part in parts if isinstance(part, str)).split())
    return _UNFIT.sub("…", text)[:_WORDS].rstrip(".")
