"""Where a namespaced store may not go, and that no socket is opened on the way to finding out."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from keyferry.addresses import Addresses, networks
from keyferry.errors import BadSpec, Denied, Unreachable
from keyferry.ports import Validation
from tests.contract.webhook.world import ADMIN, World, ask
from tests.sandbox.webhook import Hooks

TENANT: dict[str, Any] = {"addresses": Addresses()}
NEAR = {"addresses": Addresses(allowed=networks(["127.0.0.1"]))}


class Names:
    """A name server: every question about a name is answered by the next of its rows of addresses, then the last.

    No row is no such name. ``asked`` lists the names and ports asked for.
    """

    def __init__(self) -> None:
        self.rows: dict[str, list[list[str]]] = {}
        self.asked: list[tuple[str, int]] = []

    async def getaddrinfo(self, host: Any, port: int, **more: Any) -> list[tuple[Any, ...]]:
        name = host if isinstance(host, str) else host.decode()
        self.asked.append((name, port))
        if name not in self.rows:
            # Addresses stand for themselves; a name server is not asked.
            return list(socket.getaddrinfo(name, port, **(more | {"flags": socket.AI_NUMERICHOST})))
        rows = self.rows[name]
        found = rows.pop(0) if len(rows) > 1 else rows[0]
        return [info for address in found for info in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names.getaddrinfo)
    return names


@pytest.fixture
async def six() -> AsyncIterator[Hooks]:
    async with Hooks(host="::1") as hooks:
        yield hooks


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1.2.3", "0.0.0.0", "169.254.169.254", "[::1]", "[::]", "[fe80::1]"),
        *("[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "[0:0:0:0:0:ffff:7f00:1]", "[64:ff9b::7f00:1]"),
        *("[2002:7f00:1::]", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
        *("localhost", "LOCALHOST", "localhost.", "foo.localhost"),
    ],
)
async def test_a_tenant_does_not_reach_the_machine_and_the_metadata_services(
    world: World, names: Names, host: str
) -> None:
    names.rows = {name: [["127.0.0.1"]] for name in ("localhost", "localhost.", "foo.localhost")}
    adapter = await world.open(f"http://{host}:{world.hooks.port}/q", context=TENANT)
    for call in (ask(adapter), adapter.validate()):
        with pytest.raises(Denied, match="a SecretStore may not reach") as caught:
            await call
        assert f'"{host}:{world.hooks.port}"' in str(caught.value)
    assert not world.hooks.requests


@pytest.mark.parametrize(
    "host",
    [
        *("0x7f.1", "0x7f000001", "2130706433", "017700000001", "127.1", "0177.0.0.1", "0x7f.0.0.1", "127.0.0.01"),
        *("2852039166", "0xa9fea9fe", "169.254.43518", "0", "127.1."),
    ],
)
async def test_addresses_in_disguise_are_no_addresses(world: World, host: str) -> None:
    for context in (TENANT, {"store": ADMIN}):
        with pytest.raises(BadSpec, match="not written as four numbers"):
            await world.open(f"http://{host}:{world.hooks.port}/q", context=context, secrets=[])
        adapter = await world.open("http://{{ .remoteRef.key }}/q", context=context, secrets=[])
        with pytest.raises(BadSpec, match="not written as four numbers"):
            await ask(adapter, host)
    assert not world.hooks.requests


@pytest.mark.parametrize(
    "rows",
    [[["127.0.0.1"]], [["203.0.113.7", "127.0.0.1"]], [["::1"]], [["::ffff:127.0.0.1"]], [["169.254.169.254"]]],
)
async def test_a_name_is_judged_by_all_that_it_stands_for(world: World, names: Names, rows: list[list[str]]) -> None:
    names.rows["hooks.example.org"] = rows
    url = f"http://hooks.example.org:{world.hooks.port}/q"
    adapter = await world.open(url, context=TENANT)
    for call in (ask(adapter), adapter.validate()):
        with pytest.raises(Denied, match=f'may not reach "hooks.example.org:{world.hooks.port}"'):
            await call
    assert not world.hooks.requests


async def test_a_name_that_changes_what_it_stands_for_gets_nowhere(world: World, names: Names) -> None:
    world.hooks.route("/q", "value")
    # The first answer may be reached, the second is this machine: what was judged is what is connected to.
    names.rows["rebinding.example.org"] = [["127.0.0.1"], ["127.0.0.2"]]
    adapter = await world.open(f"http://rebinding.example.org:{world.hooks.port}/q", context=NEAR)
    assert await ask(adapter) == b"value"
    assert [name for name, _ in names.asked].count("rebinding.example.org") == 1
    assert world.hooks.requests[0].headers["host"] == f"rebinding.example.org:{world.hooks.port}"
    with pytest.raises(Denied):
        await adapter.validate()
    names.rows["rebinding.example.org"] = [["127.0.0.1"], ["127.0.0.2"]]
    assert await adapter.validate() is Validation.READY


async def test_a_template_does_not_get_around_the_rule(world: World, names: Names) -> None:
    names.rows["evil.example.org"] = [["127.0.0.1"]]
    for template in ("http://{{ .remoteRef.key }}:{port}/q", "{{ .login.scheme }}://{{ .remoteRef.key }}:{port}/q"):
        world.secret("login", scheme=b"http")
        adapter = await world.open(template.replace("{port}", str(world.hooks.port)), context=TENANT)
        assert await adapter.validate() is Validation.UNKNOWN
        for key in ("127.0.0.1", "evil.example.org"):
            with pytest.raises(Denied, match="a SecretStore may not reach") as caught:
                await ask(adapter, key)
            assert "127.0.0.1" not in str(caught.value)
    assert not world.hooks.requests


async def test_a_redirect_does_not_get_around_the_rule(world: World, names: Names) -> None:
    adapter = await world.open("/a", context=NEAR)
    for host in ("evil.example.org", "[::1]", "169.254.169.254"):
        world.hooks.route("/a", status=302, Location=f"http://{host}:{world.hooks.port}/b")
        with pytest.raises(Unreachable, match="redirects to another address"):
            await ask(adapter)
    assert names.asked == []


async def test_an_administrator_widens_the_rule(world: World) -> None:
    world.hooks.route("/q", "value")
    adapter = await world.open("/q", context=NEAR)
    assert await ask(adapter) == b"value"
    assert await adapter.validate() is Validation.READY


async def test_an_administrator_narrows_the_rule(world: World, names: Names) -> None:
    names.rows["kubernetes.default.svc"] = [["10.96.0.1"]]
    narrow = {"addresses": Addresses(refused=networks(["10.96.0.0/12", "2001:db8::/32"]))}
    for host in ("10.96.0.1", "kubernetes.default.svc", "[2001:db8::1]"):
        adapter = await world.open(f"https://{host}/q", context=narrow)
        for call in (ask(adapter), adapter.validate()):
            with pytest.raises(Denied, match="a SecretStore may not reach"):
                await call


async def test_a_cluster_store_reaches_everything(world: World, six: Hooks, names: Names) -> None:
    names.rows["localhost"] = [["127.0.0.1"]]
    context = {"store": ADMIN, "addresses": Addresses(everything=True)}
    for hooks, host in ((world.hooks, "127.0.0.1"), (world.hooks, "localhost"), (six, "[::1]")):
        hooks.route("/q", "value")
        adapter = await world.open(f"http://{host}:{hooks.port}/q", context=context, secrets=[])
        assert await ask(adapter) == b"value"
        assert await adapter.validate() is Validation.READY


class TestChecks:
    async def test_the_port_is_that_of_the_scheme(self, world: World, names: Names) -> None:
        for url in (
            "http://example.org/x",
            "https://example.org/x",
            "https://u:p@example.org:8443/{{ .remoteRef.key }}",
        ):
            with pytest.raises(Unreachable, match=r"the name in https?://example\.org(:8443)? cannot be resolved"):
                await (await world.open(url, context=TENANT)).validate()
        assert names.asked == [("example.org", port) for port in (80, 443, 8443)]

    async def test_nobody_who_listens_is_told(self, world: World) -> None:
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
            for call in ((await world.open(url)).validate(), ask(await world.open(url))):
                with pytest.raises(Unreachable, match="refuses connections: check the address, and that it runs"):
                    await call


class TestProxies:
    @pytest.fixture(autouse=True)
    def _proxy(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("https_proxy", "no_proxy", "NO_PROXY", "HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.delenv(name, raising=False)
        # The endpoint stands in for a proxy: a plain request through one names the whole address.
        monkeypatch.setenv("http_proxy", world.hooks.url)

    async def test_a_request_goes_through_it_though_its_own_address_is_refused(
        self, world: World, names: Names
    ) -> None:
        names.rows["hooks.example.org"] = [["203.0.113.7"]]
        world.hooks.route("/q", "value")
        adapter = await world.open("http://hooks.example.org/q", context=TENANT)
        assert await adapter.validate() is Validation.READY
        assert await ask(adapter) == b"value"
        assert world.hooks.requests[0].target == "http://hooks.example.org/q"

    async def test_it_does_not_get_around_the_rule(self, world: World, names: Names) -> None:
        names.rows["evil.example.org"] = [["169.254.169.254"]]
        for host in ("evil.example.org", "169.254.169.254", "[fe80::1]"):
            adapter = await world.open(f"http://{host}/q", context=TENANT)
            for call in (ask(adapter), adapter.validate()):
                with pytest.raises(Denied, match="a SecretStore may not reach"):
                    await call
        assert not world.hooks.requests

    async def test_a_name_that_only_the_proxy_knows_is_for_administrators(self, world: World, names: Names) -> None:
        world.hooks.route("/q", "value")
        adapter = await world.open("http://inside.example.org/q", context=TENANT)
        for call in (ask(adapter), adapter.validate()):
            with pytest.raises(Unreachable, match="is behind a proxy and cannot be resolved here"):
                await call
        assert not world.hooks.requests
        admins = {"store": ADMIN, "addresses": Addresses(everything=True)}
        assert await ask(await world.open("http://inside.example.org/q", context=admins, secrets=[])) == b"value"

    async def test_one_that_refuses_is_told(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("https_proxy", world.hooks.url)
        with pytest.raises(Unreachable, match=r"the proxy does not connect to https://203\.0\.113\.7 \(HTTP 404\)"):
            await ask(await world.open("https://203.0.113.7/q", context=TENANT))
        world.hooks.route("/q", status=407)
        with pytest.raises(Unreachable, match="the proxy asks for a login"):
            await ask(await world.open("http://203.0.113.7/q", context=TENANT))

    async def test_one_that_is_not_there_is_told(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        with pytest.raises(Unreachable, match=r"the proxy before http://203\.0\.113\.7 refuses connections"):
            await ask(await world.open("http://203.0.113.7/q", context=TENANT))
