"""Providers from other packages: found by their entry point, in the CRD, and alone with their failures."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import re2
import yaml
from aiohttp import web

from keyferry import providers
from keyferry.app import crds
from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, NotThere, Unreachable
from keyferry.ports import Fetched, Finder, Provider, Query, Ref, Validation
from tests.contract.providers.conftest import CANARY
from tests.support.credentials import DictCredentials, make_context

SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "keyferry-consul"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample package, built and installed as people install packages, without the network."""
    target = tmp_path_factory.mktemp("installed")
    options = ["--no-deps", "--no-build-isolation", "--offline", "--quiet", "--python", sys.executable]
    command = [sys.executable, "-m", "uv", "pip", "install", *options, "--target", str(target), str(SAMPLE)]
    subprocess.run(command, check=True, timeout=110, capture_output=True)
    return target


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Packages can be put on the path; what was found there before is forgotten."""
    providers.outsiders.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    providers.outsiders.cache_clear()
    sys.modules.pop("keyferry_consul", None)


def declare(folder: Path, name: str, target: str, code: str = "") -> None:
    """A package that declares one provider."""
    about = folder / f"{name.lower()}_pack-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.lower()}-pack\nVersion: 1\n", "utf-8")
    (about / "entry_points.txt").write_text(f"[keyferry.providers]\n{name} = {target}\n", "utf-8")
    if code:
        (folder / f"{target.partition(':')[0]}.py").write_text(code, "utf-8")


def test_the_crd_shows_the_settings_of_a_package_that_is_installed(installed: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), *sys.path])}
    command = [sys.executable, "-m", "keyferry", "crds"]
    printed = subprocess.run(command, env=environment, check=True, timeout=110, capture_output=True, text=True)
    assert printed.stderr == ""
    stores = [each for each in yaml.safe_load_all(printed.stdout) if each["spec"]["names"]["kind"] == "SecretStore"]
    schema = stores[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    fields = schema["properties"]["spec"]["properties"]["provider"]["properties"]["consul"]["properties"]
    assert set(fields) == {"server", "tokenSecretRef", "caBundle", "caProvider"}
    assert fields["tokenSecretRef"]["description"] == "ACL token."


def test_a_package_that_cannot_be_imported_fails_its_own_stores_only(
    path: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(tmp_path, "torn", "torn_module:Torn", "import nothing_like_it\n")
    path.syspath_prepend(str(tmp_path))
    with pytest.raises(BadSpec) as refused:
        providers.load("torn")
    assert str(refused.value) == (
        'provider "torn" of package torn-pack cannot be imported (ModuleNotFoundError: No module named '
        "'nothing_like_it'): mend or reinstall the package"
    )
    assert providers.load("fake").name == "fake"
    provider = crds.definitions()["external-secrets.io_secretstores.yaml"]["spec"]["versions"][0]["schema"]
    fields = provider["openAPIV3Schema"]["properties"]["spec"]["properties"]["provider"]["properties"]
    assert fields["torn"]["x-kubernetes-preserve-unknown-fields"] is True
    assert "properties" in fields["vault"]
    assert "torn-pack" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("class It:\n    name = 'odd'\n", "is no provider: it lacks label, capabilities, layout, Config, open, read"),
        ("raise SystemExit(3)\n", "cannot be imported (SystemExit: 3)"),
        ("from keyferry.providers.fake import Fake as It\n", 'calls itself "fake": declare the entry point under'),
    ],
)
def test_what_is_no_provider_is_told_by_its_package(
    path: pytest.MonkeyPatch, tmp_path: Path, code: str, text: str
) -> None:
    declare(tmp_path, "odd", f"odd_{abs(hash(text))}:It", code)
    path.syspath_prepend(str(tmp_path))
    with pytest.raises(BadSpec, match='provider "odd" of package odd-pack') as refused:
        providers.load("odd")
    assert text in str(refused.value)


def test_the_name_of_a_built_in_provider_cannot_be_taken(path: pytest.MonkeyPatch, tmp_path: Path) -> None:
    declare(tmp_path, "vault", "thief:Vault", "raise RuntimeError\n")
    path.syspath_prepend(str(tmp_path))
    assert providers.load("vault").__module__.startswith("keyferry.providers.vault")
    assert "vault" not in providers.outsiders()


class ConsulServer:
    """What of Consul's API the sample asks for."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.answer: web.Response | None = None
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        if self.answer is not None:
            return self.answer
        if request.headers.get("X-Consul-Token") != "good":
            return web.Response(status=403, text=f"rpc error: {CANARY}")
        key = request.match_info["key"]
        if "keys" in request.query:
            found = sorted(each for each in self.values if each.startswith(key))
            return web.json_response(found) if found else web.Response(status=404)
        if key not in self.values:
            return web.Response(status=404)
        return web.Response(body=self.values[key], headers={"X-Consul-Index": "7"})


@pytest.fixture
async def consul() -> AsyncIterator[ConsulServer]:
    server = ConsulServer()
    app = web.Application()
    app.router.add_get("/v1/kv/{key:.*}", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


async def opened(server: ConsulServer, token: bytes = b"good\n") -> Provider:
    kind = providers.load("consul")
    config = kind.Config.parse({"server": server.url, "tokenSecretRef": {"name": "consul", "key": "token"}})
    credentials = DictCredentials(secrets={("default", "consul"): {"token": token}})
    return await kind.open(config, make_context(credentials))


async def test_the_sample_reads_and_searches(path: pytest.MonkeyPatch, installed: Path, consul: ConsulServer) -> None:
    path.syspath_prepend(str(installed))
    consul.values = {"app/db": f"{CANARY} päßwörd".encode(), "app/empty": b"", "other": bytes(range(256))}
    adapter = await opened(consul)
    refs = [Ref("app/db"), Ref("app/empty"), Ref("other"), Ref("app/none"), Ref("app/db", "1")]
    found: Any = await adapter.read(refs)
    assert [found[ref].document for ref in refs[:3]] == list(consul.values.values())
    assert found[refs[0]].version == "7"
    assert isinstance(found[refs[3]], NotThere)
    assert isinstance(found[refs[4]], BadSpec)
    assert isinstance(adapter, Finder)
    query = Query(path="app/", name="d", matches=lambda name: bool(re2.search("d", name)))
    assert await adapter.find(query) == {"app/db": Ref("app/db")}
    assert await adapter.validate() is Validation.READY
    await adapter.aclose()


async def test_the_sample_maps_every_failure(path: pytest.MonkeyPatch, installed: Path, consul: ConsulServer) -> None:
    path.syspath_prepend(str(installed))
    consul.values = {"db": b"1"}

    async def failure(adapter: Provider) -> KeyferryError:
        (found,) = (await adapter.read([Ref("db")])).values()
        assert not isinstance(found, Fetched)
        assert CANARY not in str(found)
        return found

    refused = await opened(consul, b"bad")
    assert isinstance(await failure(refused), Denied)
    await refused.aclose()
    adapter = await opened(consul)
    consul.answer = web.Response(status=429, headers={"Retry-After": "7"})
    busy = await failure(adapter)
    assert isinstance(busy, Busy)
    assert busy.retry_after == 7
    consul.answer = web.Response(status=503, text=CANARY)
    assert isinstance(await failure(adapter), Unreachable)
    await adapter.aclose()
    consul.url = "http://127.0.0.1:1"
    gone = await opened(consul)
    assert isinstance(await failure(gone), Unreachable)
    await gone.aclose()
    await asyncio.sleep(0)
