"""What Secret Manager, the network and proxies do wrong, and what is told of it."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import AsyncIterator, Sequence

import grpc
import pytest
from google.rpc import error_details_pb2

from keyferry.errors import BadSpec, Broken, Busy, Denied, KeyferryError, NotThere, Unreachable
from keyferry.ports import Ref, Retries
from keyferry.providers.gcpsm import Gcpsm
from tests.contract.gcpsm.support import CANARY, World, read, value
from tests.sandbox.certificates import Authority
from tests.sandbox.gcp.front import Front
from tests.sandbox.gcp.server import BEHIND
from tests.sandbox.gcp.store import Refusal, error_info

HOST = "secretmanager.googleapis.com"
Code = grpc.StatusCode


@pytest.fixture(autouse=True)
def _key(world: World) -> None:
    world.plant_key()
    world.put("db", CANARY.encode())


async def failure(adapter: Gcpsm, kind: type[KeyferryError], key: str = "db") -> KeyferryError:
    """The error that a read ends with, of this very kind and without anything of the value or the answer."""
    (answer,) = await read(adapter, Ref(key))
    assert type(answer) is kind, repr(answer)
    shown = "".join(traceback.format_exception(answer)) + repr(vars(answer))
    assert CANARY not in shown
    return answer


class TestTheTable:
    @pytest.mark.parametrize(
        ("code", "details", "kind", "text"),
        [
            (Code.NOT_FOUND, [], BadSpec, 'cannot read secret "db": it does not find project "shop"'),
            (Code.INVALID_ARGUMENT, [], BadSpec, 'refuses to read secret "db" in project "shop" (INVALID_ARGUMENT)'),
            (Code.FAILED_PRECONDITION, [], BadSpec, "(FAILED_PRECONDITION)"),
            (Code.OUT_OF_RANGE, [], BadSpec, "(OUT_OF_RANGE)"),
            (Code.PERMISSION_DENIED, [], Denied, "or it does not exist: grant roles/secretmanager.secretAccessor"),
            (Code.PERMISSION_DENIED, ["SERVICE_DISABLED"], BadSpec, "enable secretmanager.googleapis.com"),
            (Code.PERMISSION_DENIED, ["CONSUMER_INVALID"], BadSpec, "check projectID"),
            (Code.PERMISSION_DENIED, ["CONSUMER_SUSPENDED"], BadSpec, "is suspended"),
            (Code.PERMISSION_DENIED, ["BILLING_DISABLED"], BadSpec, "billing is not enabled"),
            (Code.PERMISSION_DENIED, ["SECURITY_POLICY_VIOLATED"], Denied, "let Keyferry into the perimeter"),
            (Code.RESOURCE_EXHAUSTED, [], Busy, 'the quota of Secret Manager in project "shop" is used up'),
            (Code.UNAVAILABLE, [], Unreachable, f"{HOST} cannot be reached"),
            (Code.DEADLINE_EXCEEDED, [], Unreachable, f"{HOST} did not answer in time"),
            (Code.INTERNAL, [], Unreachable, f'{HOST} failed to read secret "db" (INTERNAL)'),
            (Code.UNKNOWN, [], Unreachable, "(UNKNOWN)"),
            (Code.DATA_LOSS, [], Unreachable, "(DATA_LOSS)"),
            (Code.ABORTED, [], Unreachable, "(ABORTED)"),
            (Code.CANCELLED, [], Unreachable, "(CANCELLED)"),
            (Code.UNIMPLEMENTED, [], Unreachable, "answers, but not as Google does"),
        ],
    )
    async def test_every_status_has_its_error(
        self, world: World, code: grpc.StatusCode, details: Sequence[str], kind: type[KeyferryError], text: str
    ) -> None:
        adapter = await world.open()
        world.gcp.front.refuse(Refusal(code, f"{CANARY} and more", [error_info(each) for each in details]))
        assert text in str(await failure(adapter, kind))

    async def test_a_delay_that_google_asks_for_is_told_to_fractions(self, world: World) -> None:
        adapter = await world.open()
        info = error_details_pb2.RetryInfo()
        info.retry_delay.FromMilliseconds(1500)
        world.gcp.front.refuse(Refusal(Code.RESOURCE_EXHAUSTED, CANARY, [error_info("RATE_LIMIT_EXCEEDED"), info]))
        error = await failure(adapter, Busy)
        assert isinstance(error, Busy)
        assert error.retry_after == 1.5

    async def test_a_secret_that_google_does_not_find_is_not_there(self, world: World) -> None:
        error = await failure(await world.open(), NotThere, "none")
        assert str(error) == 'secret "none" does not exist in project "shop", or has no versions'

    async def test_a_project_without_the_api_is_told_at_validation_too(self, world: World) -> None:
        world.gcp.store.disabled.add("shop")
        adapter = await world.open()
        with pytest.raises(BadSpec) as caught:
            await adapter.validate()
        assert str(caught.value) == (
            'the Secret Manager API is not enabled in project "shop": '
            "enable secretmanager.googleapis.com in the project"
        )

    async def test_an_identity_without_any_right_makes_a_store_that_is_valid(self, world: World) -> None:
        world.gcp.store.granted.clear()
        await (await world.open()).validate()
        assert world.gcp.rpcs.calls == {"TestIamPermissions": 1}


class TestAnswersOfSomethingElse:
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 500, 502])
    async def test_a_page_with_an_http_status_is_no_answer_of_google(self, world: World, status: int) -> None:
        adapter = await world.open()
        world.gcp.front.fail(status, body=f"<html>{CANARY}</html>")
        (answer,) = await read(adapter, Ref("db"))
        assert isinstance(answer, Unreachable | Denied)
        assert CANARY not in f"{answer} {vars(answer)}"

    async def test_a_page_that_says_all_is_well_is_no_answer_of_google(self, world: World) -> None:
        adapter = await world.open()
        world.gcp.front.web_page(f"<html>{CANARY}</html>")
        await failure(adapter, Unreachable)

    @pytest.mark.parametrize("body", ["", "{}", CANARY, "\x00"])
    async def test_a_message_that_cannot_be_read_is_an_error_of_every_call(
        self, world: World, body: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        adapter = await world.open(secretVersionSelectionPolicy="LatestOrFetch")
        world.gcp.front.garbage(body)
        await failure(adapter, Unreachable)
        with pytest.raises(Unreachable):
            await value(adapter, "db", metadata=True)
        assert CANARY not in caplog.text


class TestTheConnection:
    async def test_an_endpoint_that_nobody_listens_at_is_told_by_googles_name(self, world: World) -> None:
        world.changed_sites["substitutes"] = world.gcp.hosts | {HOST: "127.0.0.1:1"}
        adapter = await world.open()
        texts = {str(await failure(adapter, Unreachable)) for _ in range(3)}
        assert texts == {f"{HOST} refuses connections: check the address, and that it runs"}

    async def test_a_name_that_cannot_be_resolved_is_told(self, world: World) -> None:
        world.changed_sites["substitutes"] = world.gcp.hosts | {HOST: "bad..name:443"}
        assert f"the name in {HOST} cannot be resolved" in str(await failure(await world.open(), Unreachable))

    async def test_a_certificate_of_nobody_known_is_told_with_how_to_trust_it(self, world: World) -> None:
        async with Front(world.gcp.rpcs_at, Authority("stranger")) as stranger:
            world.changed_sites["substitutes"] = world.gcp.hosts | {HOST: stranger.address}
            error = await failure(await world.open(), Unreachable)
        assert str(error) == (
            f"the certificate of {HOST} is not trusted: unable to get local issuer certificate: "
            "name a bundle with the authority that signed it by SSL_CERT_FILE"
        )

    async def test_a_connection_that_was_cut_is_made_again(self, world: World) -> None:
        adapter = await world.open()
        assert await value(adapter, "db") == CANARY.encode()
        world.gcp.front.break_off()
        await failure(adapter, Unreachable)
        world.gcp.front.clear()
        assert await value(adapter, "db") == CANARY.encode()

    async def test_a_call_that_is_given_up_does_not_disturb_the_others(self, world: World) -> None:
        adapter = await world.open()
        world.gcp.front.hang()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await adapter.read([Ref("db")])
        world.gcp.front.clear()
        assert await value(adapter, "db") == CANARY.encode()

    async def test_a_closed_adapter_says_so(self, world: World) -> None:
        adapter = await world.open()
        await value(adapter, "db")
        await adapter.aclose()
        await failure(adapter, Broken)


class TestRetries:
    async def test_a_call_is_tried_again_as_often_as_the_store_says(self, world: World) -> None:
        world.context["retries"] = Retries(attempts=2, interval=0.01)
        adapter = await world.open()
        world.gcp.front.fail(503)
        await failure(adapter, Unreachable)
        assert world.calls.counts == {("AccessSecretVersion", "error"): 3}

    async def test_without_retry_settings_a_call_is_made_once(self, world: World) -> None:
        adapter = await world.open()
        world.gcp.front.fail(503)
        await failure(adapter, Unreachable)
        assert world.calls.counts == {("AccessSecretVersion", "error"): 1}


class Proxy:
    """An HTTP proxy that knows CONNECT, and where ``BEHIND`` is. ``asked`` lists where it was asked to connect to."""

    def __init__(self, world: World) -> None:
        self.asked: list[str] = []
        self._ports = {"443": world.gcp.front.address, "444": world.gcp.hosts["oauth2.googleapis.com"]}
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, _ = (await reader.readline()).decode().split()
        assert method == "CONNECT"
        while (await reader.readline()).strip():
            pass
        self.asked.append(target)
        host, _, port = self._ports[target.removeprefix(f"{BEHIND}:")].rpartition(":")
        back, forth = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(self._pass_on(reader, forth), self._pass_on(back, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()


@pytest.fixture
async def proxy(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    made = Proxy(world)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    for name in ("https_proxy", "no_proxy", "NO_PROXY", "grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    world.changed_sites["substitutes"] = {HOST: f"{BEHIND}:443", "oauth2.googleapis.com": f"{BEHIND}:444"}
    yield made
    server.close()
    await world.aclose()
    await server.wait_closed()


class TestProxies:
    async def test_tokens_and_values_come_through_the_proxy_of_the_environment(
        self, world: World, proxy: Proxy
    ) -> None:
        assert await value(await world.open(), "db") == CANARY.encode()
        assert sorted(proxy.asked) == [f"{BEHIND}:443", f"{BEHIND}:444"]

    async def test_what_no_proxy_names_is_reached_directly(
        self, world: World, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        world.changed_sites["substitutes"] = world.gcp.hosts
        assert await value(await world.open(), "db") == CANARY.encode()
        assert proxy.asked == []
