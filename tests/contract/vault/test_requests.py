"""What is sent: headers, states, redirects, proxies. Seen by a stub, for OpenBao would not tell."""

from __future__ import annotations

import base64
import traceback
from typing import Any

import pytest

from keyferry.errors import BadSpec, Unreachable
from keyferry.ports import Query
from tests.contract.vault.stub import Reply, server_context, serving
from tests.contract.vault.support import PLAIN, SECRET, World, value
from tests.sandbox.certificates import Authority


def state(cluster: str, local: int, replicated: int) -> str:
    return base64.b64encode(f"v1:{cluster}:{local}:{replicated}:signature".encode()).decode()


async def test_read_your_writes_sends_the_newest_state_of_each_cluster(lone: World) -> None:
    states = [state("a", 1, 1), state("a", 5, 2), state("a", 3, 1), state("b", 9, 9), "no state", ""]
    sent = iter(states)
    with serving(lambda _: Reply(SECRET.status, SECRET.body, {"X-Vault-Index": next(sent)})) as stub:
        adapter = await lone.vault(server=stub.url, readYourWrites=True, **PLAIN)
        for _ in states:
            await value(adapter, "db")
    seen = [request.headers.get("x-vault-index", []) for request in stub.requests]
    assert seen == [[], [states[0]], [states[1]], [states[1]], [states[1], states[3]], [states[1], states[3]]]
    assert "x-vault-inconsistent" not in stub.requests[0].headers


async def test_forward_inconsistent_asks_replicas_to_forward(lone: World) -> None:
    with serving(lambda _: SECRET) as stub:
        await value(await lone.vault(server=stub.url, readYourWrites=True, forwardInconsistent=True, **PLAIN), "db")
        await value(await lone.vault(server=stub.url, **PLAIN), "db")
    assert [request.headers.get("x-vault-inconsistent") for request in stub.requests] == [["forward-active-node"], None]


async def test_headers_and_namespace_are_sent_with_every_request(lone: World) -> None:
    with serving(lambda _: SECRET) as stub:
        adapter = await lone.vault(server=stub.url, headers={"X-Team": "a"}, namespace="ns/one", **PLAIN)
        await value(adapter, "db")
    headers = stub.requests[0].headers
    assert headers["x-team"] == ["a"]
    assert headers["x-vault-namespace"] == ["ns/one"]
    assert headers["x-vault-request"] == ["true"]


@pytest.mark.parametrize("headers", [{"X-A": "canary\nX-B: c"}, {"bad name\n": "canary"}, {"X-A": "canary-日本"}])
async def test_headers_that_http_does_not_allow_are_refused(lone: World, headers: dict[str, str]) -> None:
    with pytest.raises(BadSpec, match="headers holds") as error:
        await lone.vault(server="http://127.0.0.1:1", headers=headers, **PLAIN)
    assert "canary" not in "".join(traceback.format_exception(error.value))


async def test_listing_is_a_get_that_every_proxy_lets_through(lone: World) -> None:
    with serving(lambda _: Reply(body={"data": {"keys": ["db"]}})) as stub:
        await (await lone.vault(server=stub.url, **PLAIN)).find(Query())
    assert [(request.method, request.path) for request in stub.requests] == [("GET", "/v1/secret/metadata?list=true")]


async def test_a_standby_redirects_with_the_token(lone: World) -> None:
    lone.plant("t", token="the-token")
    auth = {"tokenSecretRef": {"name": "t", "key": "token"}}
    with (
        serving(lambda _: SECRET) as active,
        serving(lambda r: Reply(307, b"", {"Location": active.url + r.path})) as standby,
    ):
        assert await value(await lone.vault(server=standby.url, path="secret", auth=auth), "db") == {"k": "v"}
    assert active.requests[-1].headers["x-vault-token"] == ["the-token"]


async def test_a_redirect_from_https_to_http_is_not_followed(lone: World) -> None:
    authority = Authority()
    lone.plant("t", token="the-token")
    auth = {"tokenSecretRef": {"name": "t", "key": "token"}}
    with (
        serving(lambda _: SECRET) as plain,
        serving(
            lambda r: Reply(307, b"", {"Location": plain.url + r.path}), context=server_context(authority.server())
        ) as secure,
    ):
        bundle = base64.b64encode(authority.pem).decode()
        with pytest.raises(Unreachable, match="cannot be reached"):
            await value(await lone.vault(server=secure.url, path="secret", auth=auth, caBundle=bundle), "db")
    assert plain.requests == []


async def test_redirects_in_a_circle_end(lone: World) -> None:
    with serving(lambda r: Reply(307, b"", {"Location": r.path})) as stub:
        with pytest.raises(Unreachable, match="cannot be reached"):
            await value(await lone.vault(server=stub.url, **PLAIN), "db")
        assert len(stub.requests) <= 6


async def test_the_server_may_lie_below_a_path(lone: World) -> None:
    with serving(lambda _: SECRET) as stub:
        await value(await lone.vault(server=f"{stub.url}/vault/", **PLAIN), "db")
    assert stub.requests[0].path == "/vault/v1/secret/data/db"


async def test_the_environment_has_no_say(lone: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / ".vault-token").write_text("canary-file")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login canary password canary")
    for name, what in {
        "HOME": str(tmp_path),
        "VAULT_TOKEN": "canary",
        "VAULT_NAMESPACE": "canary",
        "VAULT_ADDR": "http://canary",
        "BAO_TOKEN": "canary",
        "REQUESTS_CA_BUNDLE": "/canary",
        "ALL_PROXY": "http://127.0.0.1:1",
        "HTTP_PROXY": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, what)
    with serving(lambda _: SECRET) as stub:
        assert await value(await lone.vault(server=stub.url, **PLAIN), "db") == {"k": "v"}
    assert "canary" not in str(stub.requests[0])


async def test_the_operators_proxy_is_used_for_what_it_does_not_exclude(
    lone: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(lambda _: SECRET) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,.inside.invalid")
        assert await value(await lone.vault(server="http://vault.invalid", **PLAIN), "db") == {"k": "v"}
        with pytest.raises(Unreachable, match="cannot be resolved"):
            await value(await lone.vault(server="http://vault.inside.invalid", **PLAIN), "db")
    assert [request.path for request in proxy.requests] == ["http://vault.invalid/v1/secret/data/db"]
