from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
import traceback
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from keyferry import transport
from keyferry.errors import BadSpec, Busy, Denied, Unreachable
from keyferry.ports import Retries
from tests.sandbox.certificates import Authority, Pair


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.client("ann")


# TLS


def test_with_an_authority_no_other_is_trusted(authority: Authority) -> None:
    context = transport.ssl_context(authority.pem)
    assert len(context.get_ca_certs()) == 1
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_bundle_may_hold_several_authorities_and_comments(authority: Authority) -> None:
    both = "# Főtanúsítvány\n".encode() + authority.pem + b"\n" + Authority("second").pem
    assert len(transport.ssl_context(both).get_ca_certs()) == 2


@pytest.mark.parametrize(
    "ca", [b"", b"no pem", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----"]
)
def test_an_authority_that_is_no_certificate_is_refused_with_its_field(ca: bytes) -> None:
    with pytest.raises(BadSpec, match=r"^spec holds no PEM certificate: "):
        transport.ssl_context(ca, ca_field="spec")


def test_a_pair_is_loaded_and_no_file_ever_holds_the_plain_key(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    write = os.write

    def watched(descriptor: int, content: bytes) -> int:
        written.append(content)
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", watched)
    transport.ssl_context(None, pair.cert, pair.key)
    secret = b"".join(pair.key.splitlines()[1:-1])
    assert written
    assert all(b"ENCRYPTED PRIVATE KEY" in content for content in written)
    assert all(secret not in content.replace(b"\n", b"") for content in written)


def test_a_pair_is_loaded_where_there_are_no_files_in_memory(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    transport.ssl_context(None, pair.cert, pair.key)
    assert list(tmp_path.iterdir()) == []


def test_certificate_and_key_must_belong_together(authority: Authority, pair: Pair) -> None:
    other = authority.client("bob")
    with pytest.raises(BadSpec, match=r"^C and K do not belong together"):
        transport.ssl_context(None, pair.cert, other.key, cert_field="C", key_field="K")


def test_an_encrypted_key_is_refused_with_a_remedy(pair: Pair) -> None:
    encrypted = serialization.load_pem_private_key(pair.key, None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"p")
    )
    with pytest.raises(BadSpec, match=r"^K holds an encrypted private key: store it without a passphrase"):
        transport.ssl_context(None, pair.cert, encrypted, key_field="K")


def test_errors_about_a_pair_name_the_field_and_show_nothing_of_it(pair: Pair) -> None:
    planted = b"canary"
    with pytest.raises(BadSpec, match=r"^K holds no PEM private key") as wrong_key:
        transport.ssl_context(None, pair.cert, planted, key_field="K")
    with pytest.raises(BadSpec, match=r"^C holds no PEM certificate") as wrong_cert:
        transport.ssl_context(None, planted, pair.key, cert_field="C")
    for error in (wrong_key, wrong_cert):
        told = traceback.TracebackException.from_exception(error.value)
        assert "canary" not in "".join(told.format_exception_only())
        assert error.value.__suppress_context__


# Addresses


@pytest.mark.parametrize("url", ["https://vault:8200", " http://10.0.0.1 ", "https://[::1]:8200/vault"])
def test_a_server_is_an_http_url(url: str) -> None:
    assert transport.server_url(url, where="server").hostname


@pytest.mark.parametrize(
    "url",
    ["", "vault", "vault:8200", "ftp://vault", "http://", "http://h:port", "http://h?q", "https://[", "unix:///x"],
)
def test_another_url_is_refused_with_its_field(url: str) -> None:
    with pytest.raises(BadSpec, match=r"^spec.server "):
        transport.server_url(url, where="spec.server")


def test_an_url_with_credentials_is_refused_without_showing_them() -> None:
    with pytest.raises(BadSpec) as error:
        transport.server_url("https://u:canary@vault", where="server")
    assert "canary" not in str(error.value)


@pytest.mark.parametrize(
    ("no_proxy", "url", "proxied"),
    [
        ("", "https://vault.example", True),
        ("", "http://vault.example", False),
        ("vault.example", "https://vault.example", False),
        (".example", "https://vault.example:8200", False),
        ("other", "https://vault.example", True),
        ("*", "https://vault.example", False),
        ("10.0.0.0/8, fd00::/8", "https://10.1.2.3:8200", False),
        ("10.0.0.0/8,fd00::/8", "https://[fd00::1]:8200", False),
        ("10.0.0.0/8", "https://11.1.2.3", True),
        ("", "https://localhost:8200", False),
        ("", "https://127.0.0.2", False),
        ("", "https://[::1]", False),
    ],
)
def test_proxies_are_those_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, url: str, proxied: bool
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", "http://all:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    found = transport.proxy_for(transport.server_url(url, where="server"))
    assert found == ("http://proxy:3128" if proxied else None)


# Errors


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            socket.gaierror(-2, "Name or service not known"),
            "the name in A cannot be resolved: check the address and DNS",
        ),
        (ConnectionRefusedError(111, "x"), "A refuses connections: check the address, and that it runs"),
        (TimeoutError("x"), "A did not answer in time: check the network and network policies"),
        (
            ConnectionAbortedError("x"),
            "A closed the connection: look at its log; where it asks for a client certificate, check the one given",
        ),
        (OSError("0x7f1200 canary"), "A cannot be reached"),
        (ssl.SSLError(1, "canary"), "the TLS handshake with A failed: unknown reason"),
    ],
)
def test_a_failed_connection_is_told_by_its_innermost_cause(error: OSError, text: str) -> None:
    outer = RuntimeError("HTTPConnectionPool(host='A', port=1)", RuntimeError(error))
    assert str(transport.unreachable(outer, "A")) == text


def test_a_cause_that_refers_to_itself_is_no_trap() -> None:
    error = RuntimeError("x")
    error.args = (error,)
    assert isinstance(transport.unreachable(error, "A"), Unreachable)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 17 ", 17.0),
        ("soon", None),
        ("-1", None),
        ("²", None),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    assert transport.retry_after(header, now=lambda: 10.0) == seconds


@given(st.text())
def test_any_retry_after_is_understood_or_ignored(header: str) -> None:
    found = transport.retry_after(header)
    assert found is None or found >= 0


# Retries


async def outcome(script: list[Any], retries: Retries) -> tuple[Any, list[float]]:
    slept: list[float] = []

    async def call() -> Any:
        step = script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    try:
        return await transport.retried(call, retries, sleep=sleep), slept
    except Exception as error:  # noqa: BLE001 -- the test compares it
        return type(error), slept


U = Unreachable("u")


@pytest.mark.parametrize(
    ("script", "retries", "expected"),
    [
        (["ok"], Retries(3, 2.0), ("ok", [])),
        ([U, U, "ok"], Retries(3, 2.0), ("ok", [2.0, 2.0])),
        ([U, U, U], Retries(2, 0.0), (Unreachable, [1.0, 1.0])),
        ([U], Retries(), (Unreachable, [])),
        ([Denied("d")], Retries(3, 2.0), (Denied, [])),
        ([BadSpec("b")], Retries(3, 2.0), (BadSpec, [])),
        ([Busy("b"), "ok"], Retries(3, 2.0), ("ok", [2.0])),
        ([Busy("b", retry_after=0.0), "ok"], Retries(3, 2.0), ("ok", [2.0])),
        ([Busy("b", retry_after=5.0), "ok"], Retries(3, 2.0), ("ok", [5.0])),
        ([Busy("b", retry_after=600.0)], Retries(3, 2.0), (Busy, [])),
    ],
)
async def test_retries_wait_for_what_may_pass(script: list[Any], retries: Retries, expected: Any) -> None:
    assert await outcome(list(script), retries) == expected


# Threads


async def test_no_more_calls_run_than_permitted() -> None:
    threads, running, most, lock = transport.Threads(3), 0, 0, threading.Lock()
    barrier = threading.Barrier(3)

    def call() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        barrier.wait(10)
        with lock:
            running -= 1

    await asyncio.gather(*(threads.run(call) for _ in range(9)))
    assert most == 3


async def test_a_call_raises_in_its_caller() -> None:
    def fail() -> None:
        raise Denied("no")

    with pytest.raises(Denied):
        await transport.Threads().run(fail)


async def test_a_cancelled_caller_leaves_at_once_and_its_call_keeps_its_place() -> None:
    threads, started, finish = transport.Threads(1), threading.Event(), threading.Event()

    def slow() -> None:
        started.set()
        finish.wait(10)

    first = asyncio.ensure_future(threads.run(slow))
    await asyncio.to_thread(started.wait, 10)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.ensure_future(threads.run(lambda: "second"))
    await asyncio.sleep(0)
    assert not second.done()
    finish.set()
    assert await asyncio.wait_for(second, 10) == "second"
