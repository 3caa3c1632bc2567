"""Servers for all tests, a backend for each, and the watch over what is shown."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import threading
import traceback
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, Literal

import pytest

from keyferry.errors import KeyferryError
from tests.contract.providers.backends import ABILITIES, BACKENDS, Backend, Servers
from tests.sandbox.controlplane import ControlPlane
from tests.sandbox.kubeapi import KubeApi
from tests.sandbox.openbao import OpenBao

CANARY = "canary-2f6c91"
PHASES: tuple[Literal["setup", "call", "teardown"], ...] = ("setup", "call", "teardown")
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
async def _goodbyes_are_said() -> AsyncIterator[None]:
    """A TLS connection that a refusal ended says goodbye to its peer; the loop must not go before it has."""
    yield
    transports: Any = getattr(asyncio.get_running_loop(), "_transports", {})
    for _ in range(20):
        # asyncio takes the socket away from a transport that has ended.
        if all(getattr(each, "_sock", None) is None for each in list(transports.values())):
            return
        await asyncio.sleep(0.01)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*abilities): what a backend has to be able to do for this test")
    # A plugin that asks for the current loop in a test without one would have one made, and leave it open.
    asyncio.set_event_loop(None)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for a backend runs on each one that can do what the test needs."""
    if "backend" not in metafunc.fixturenames:
        return
    needed = {name for mark in metafunc.definition.iter_markers("needs") for name in mark.args}
    assert needed <= ABILITIES.keys(), f"unknown abilities: {needed - ABILITIES.keys()}"
    able = [name for name, kind in BACKENDS.items() if not needed & kind.cannot.keys()]
    metafunc.parametrize("backend", able, indirect=True)


class Aside:
    """An event loop in a thread of its own, for servers that outlive the tests' loops."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The API server (a real one where KUBEBUILDER_ASSETS names it) and the OpenBao that all tests share."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    kube = ControlPlane(assets) if assets else KubeApi(controllers=False)
    aside = Aside()
    aside.run(kube.start())
    try:
        with OpenBao(tls=True) as bao:
            yield Servers(kube.url, kube.ca_pem, kube.admin_token, bao.url, bao.ca_pem, bao.ca_file, bao.root_token)
            assert not getattr(kube, "errors", [])
    finally:
        aside.run(kube.stop())
        aside.close()


@pytest.fixture
async def backend(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Backend]:
    async with BACKENDS[request.param](servers, f"contract-{next(_numbers)}") as started:
        yield started


class Shown:
    """Everything that an adapter lets out, to be looked through for values and credentials."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, *things: object) -> None:
        for thing in things:
            self.texts += [repr(thing), str(thing)]
            if isinstance(thing, BaseException):
                self.texts += traceback.format_exception(thing)
                self.texts.append(repr(vars(thing)))

    def error(self, found: object, kind: type[KeyferryError]) -> KeyferryError:
        """``found``, which has to be an error of this very kind."""
        self(found)
        assert type(found) is kind, repr(found)
        return found


@pytest.fixture
async def shown(backend: Backend, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Shown]:
    caplog.set_level(logging.DEBUG)
    recorder = Shown()
    yield recorder
    # In its end a fixture sees the records of its own phase only, unless it asks.
    records = [record for phase in PHASES for record in caplog.get_records(phase)]
    everything = "\n".join([*recorder.texts, *(f"{record.getMessage()} {record.args!r}" for record in records)])
    for secret in (CANARY, *backend.secrets):
        assert secret not in everything
