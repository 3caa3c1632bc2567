"""The server that the other tests rely on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import hvac
import pytest

from tests.sandbox.openbao import OpenBao


def test_the_server_sees_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAO_ADDR", "http://127.0.0.1:1")
    monkeypatch.setenv("VAULT_TOKEN", "canary")
    with OpenBao() as bao:
        assert bao.client().is_authenticated()
        assert not hvac.Client(url=bao.url, token="canary").is_authenticated()


def test_an_in_memory_server_starts_empty_again_on_the_same_port() -> None:
    with OpenBao() as bao:
        url, token = bao.url, bao.root_token
        bao.client().secrets.kv.v2.create_or_update_secret("db", {"k": "v"})
        bao.stop()
        bao.start()
        assert bao.url == url
        assert bao.root_token != token
        with pytest.raises(hvac.exceptions.InvalidPath):
            bao.client().secrets.kv.v2.read_secret_version("db", raise_on_deleted_version=True)


def test_as_a_process_it_says_where_it_is_and_ends_on_sigterm() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.sandbox.openbao"], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert hvac.Client(url=told["url"], token=told["token"]).is_authenticated()
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    with pytest.raises(OSError):  # noqa: PT011 -- requests' ConnectionError has a changing text
        hvac.Client(url=told["url"], token=told["token"]).is_authenticated()
