"""What every provider needs of the network, whichever client library it uses.

TLS contexts from PEM in memory, the words for a connection that failed, proxies, bounded threads for blocking
libraries, and the retries of ``spec.retrySettings``. Knows no store and no library; a status of a store's API is
mapped by its provider.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import ipaddress
import os
import re
import secrets
import socket
import ssl
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar
from urllib.parse import SplitResult, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from keyferry.errors import BadSpec, Busy, Unreachable
from keyferry.ports import Retries

T = TypeVar("T")

MAX_THREADS: Final = 32
"""Threads of the process for blocking client libraries. More do not help: they share one interpreter lock."""

DEFAULT_RETRY_SECONDS: Final = 1.0
"""Wait before a retry where ``spec.retrySettings`` sets a number of retries only."""

_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)

_threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="store-call")


class Threads:
    """Runs blocking calls beside the event loop: at most ``limit`` at a time, out of the process's shared threads.

    A caller that is cancelled returns at once; its call goes on to its end, keeps its place until then, and its
    result is dropped. So a call has to carry its own time-out.
    """

    def __init__(self, limit: int = 8) -> None:
        self._places = asyncio.Semaphore(limit)

    async def run(self, call: Callable[[], T]) -> T:
        """The result of ``call``, or what it raises."""
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        try:
            future = _threads.submit(call)
        except BaseException:
            self._places.release()
            raise

        def leave(_: object) -> None:
            # The loop may be gone when a call outlives it; so are those who wait for a place.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._places.release)

        future.add_done_callback(leave)
        return await asyncio.wrap_future(future)


async def retried(
    call: Callable[[], Awaitable[T]], retries: Retries, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> T:
    """The result of ``call``, tried again on ``Unreachable`` and ``Busy`` as often as ``retries`` says.

    A store that says when to come back is waited for, unless that is later than the next three intervals: then the
    object's own schedule is the better place to wait.
    """
    interval = retries.interval or DEFAULT_RETRY_SECONDS
    for _ in range(retries.attempts):
        try:
            return await call()
        except Unreachable:
            delay = interval
        except Busy as error:
            delay = interval if error.retry_after is None else max(error.retry_after, interval)
            if delay > 3 * interval:
                raise
        await sleep(delay)
    return await call()


def server_url(url: str, *, where: str) -> SplitResult:
    """The parts of a server's address. Raises ``BadSpec`` where it is no http(s) URL or carries credentials."""
    remedy = "write it like https://vault.example.com:8200"
    try:
        parts = urlsplit(url.strip())
        parts.port  # noqa: B018 -- raises where the port is no number
    except ValueError:
        raise BadSpec(f"{where} is no valid URL", remedy=remedy) from None
    if parts.username or parts.password:
        raise BadSpec(f"{where} carries credentials", remedy="use the provider's auth instead")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BadSpec(f'{where} is no http or https URL: "{url}"', remedy=remedy)
    if parts.query or parts.fragment:
        raise BadSpec(f"{where} has a query or a fragment", remedy=remedy)
    return parts


def proxy_for(parts: SplitResult) -> str | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for an address; None where it is reached directly.

    As in Go, and so in most of what runs in a cluster: ALL_PROXY is not read, loopback is never proxied, and NO_PROXY
    may hold address ranges.
    """
    proxies = urllib.request.getproxies_environment()
    if parts.scheme not in proxies or parts.hostname == "localhost":
        return None
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(parts.hostname or "")
        if address.is_loopback or any(address in network for network in _networks(proxies.get("no", ""))):
            return None
    return str(proxies[parts.scheme])


def _networks(no_proxy: str) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for entry in no_proxy.split(","):
        with contextlib.suppress(ValueError):
            yield ipaddress.ip_network(entry.strip(), strict=False)


def retry_after(header: str | None, *, now: Callable[[], float] = time.time) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3), None where it is absent or not understood."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, date.timestamp() - now())


def ssl_context(
    ca: bytes | None = None,
    cert: bytes | None = None,
    key: bytes | None = None,
    *,
    ca_field: str = "caBundle",
    cert_field: str = "tls.certSecretRef",
    key_field: str = "tls.keySecretRef",
) -> ssl.SSLContext:
    """A client's TLS context.

    Args:
        ca: PEM of the authorities to trust, and no others; None trusts the system's.
        cert: PEM of the client's certificate and its chain.
        key: PEM of its private key, not encrypted. It is never written to a file as it stands.
        ca_field: name of the manifest's field that holds ``ca``, for error texts.
        cert_field: likewise for ``cert``.
        key_field: likewise for ``key``.

    Raises:
        BadSpec: where one of them is not what it should be, or where certificate and key do not belong together.
    """
    # Bundles hold comments in any language, which OpenSSL would refuse. No certificate at all must not be passed on as
    # "", which means the system's authorities.
    blocks = None if ca is None else b"\n".join(_CERTIFICATE.findall(ca)).decode("ascii", "replace")
    if blocks == "":
        raise BadSpec(f"{ca_field} holds no PEM certificate", remedy="give it the PEM of the authority")
    try:
        context = ssl.create_default_context(cadata=blocks)
    except (ssl.SSLError, ValueError):
        raise BadSpec(f"{ca_field} holds no PEM certificate", remedy="give it the PEM of the authority") from None
    if ca is not None:
        # What Go's crypto/tls accepts as an authority, OpenSSL has to be told: certificates that are no roots.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        # On from Python 3.13; refuses authorities without key identifiers, which many private ones are.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if cert is not None and key is not None:
        _load_pair(context, cert, key, cert_field, key_field)
    return context


def unreachable(error: BaseException, address: str) -> Unreachable:
    """What a failed connection means, told from its innermost known cause and without its varying details."""
    for cause in _causes(error):
        told = _tls_failure(cause, address) if isinstance(cause, ssl.SSLError) else _network_failure(cause, address)
        if told is not None:
            return told
    return Unreachable(f"{address} cannot be reached")


def _network_failure(cause: BaseException, address: str) -> Unreachable | None:
    match cause:
        case socket.gaierror():
            return Unreachable(f"the name in {address} cannot be resolved", remedy="check the address and DNS")
        case ConnectionRefusedError():
            return Unreachable(f"{address} refuses connections", remedy="check the address, and that it runs")
        case TimeoutError():
            return Unreachable(f"{address} did not answer in time", remedy="check the network and network policies")
        case ConnectionError():
            return _hung_up(address)
    return None


def _tls_failure(cause: ssl.SSLError, address: str) -> Unreachable:
    reason = getattr(cause, "reason", None) or ""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Unreachable(
            f"the certificate of {address} is not trusted: {cause.verify_message.rstrip('.')}",
            remedy="set caBundle or caProvider to the authority that signed it, and check the server's name",
        )
    if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _hung_up(address)
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return Unreachable(
            f"{address} asks for a client certificate, or refuses the one given",
            remedy="set tls.certSecretRef and tls.keySecretRef to one that the server accepts",
        )
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        return Unreachable(f"{address} does not speak TLS", remedy="check scheme and port of the address")
    words = reason.replace("_", " ").lower() or "unknown reason"
    return Unreachable(f"the TLS handshake with {address} failed: {words}")


def _hung_up(address: str) -> Unreachable:
    # With TLS 1.3 a server may refuse a client certificate only after the handshake, by hanging up.
    return Unreachable(
        f"{address} closed the connection",
        remedy="look at its log; where it asks for a client certificate, check the one given",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all that lies beneath it, innermost first; libraries hide causes in ``args`` and ``reason`` too."""
    seen: set[int] = set()
    found: list[BaseException] = []
    queue: list[object] = [error]
    while queue:
        item = queue.pop()
        if not isinstance(item, BaseException) or id(item) in seen:
            continue
        seen.add(id(item))
        found.append(item)
        queue += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]
    return reversed(found)


def _load_pair(context: ssl.SSLContext, cert: bytes, key: bytes, cert_field: str, key_field: str) -> None:
    password = secrets.token_bytes(32).hex().encode()
    try:
        loaded = serialization.load_pem_private_key(key, password=None)
        protected = loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password),
        )
    except TypeError:
        raise BadSpec(f"{key_field} holds an encrypted private key", remedy="store it without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadSpec(f"{key_field} holds no PEM private key", remedy="give it the PEM of the key") from None
    # Python can load a pair from files only. What is written is the certificate, which is public, and the key,
    # encrypted with a password that exists in this call only.
    with _unlinked_file(cert.strip() + b"\n" + protected) as path:
        try:
            context.load_cert_chain(path, password=password)
        except ssl.SSLError as error:
            if "MISMATCH" in (error.reason or ""):
                raise BadSpec(
                    f"{cert_field} and {key_field} do not belong together", remedy="take both from one issue"
                ) from None
            raise BadSpec(
                f"{cert_field} holds no PEM certificate", remedy="give it the PEM of the certificate"
            ) from None


@contextlib.contextmanager
def _unlinked_file(content: bytes) -> Iterator[str]:
    """The path of a file with this content that nobody else can open by a name: in memory, where the system can."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pair", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name
