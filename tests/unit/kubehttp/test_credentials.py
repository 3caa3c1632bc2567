from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from keyferry.errors import BadSpec
from keyferry.kubehttp import KubeError, KubeHttp, config
from tests.sandbox.certificates import Authority
from tests.unit.kubehttp.stub import Api, accepting, kubeconfig


class TestCredentials:
    async def test_a_refused_token_is_asked_for_once_more(self, api: Api) -> None:
        tokens = iter(["old", "new"])

        async def token() -> str:
            return next(tokens)

        api.answers(accepting("Bearer new"))
        client = KubeHttp.direct(server=api.url, ssl=True, token=token, user_agent="x")
        assert await client.request("GET", "/x") == {}
        await client.aclose()
        assert api.authorizations == ["Bearer old", "Bearer new"]

    async def test_a_token_that_stays_the_same_is_not_tried_twice(self, api: Api, http: KubeHttp) -> None:
        api.answers(accepting("Bearer other"))
        with pytest.raises(KubeError) as caught:
            await http.request("GET", "/x")
        assert caught.value.unauthorized
        assert len(api.seen) == 1

    async def test_a_token_is_not_renewed_for_ever(self, api: Api) -> None:
        count = iter(range(100))

        async def token() -> str:
            return str(next(count))

        api.answers(accepting("Bearer never"))
        client = KubeHttp.direct(server=api.url, ssl=True, token=token, user_agent="x")
        with pytest.raises(KubeError):
            await client.request("GET", "/x")
        await client.aclose()
        assert len(api.seen) == 2

    async def test_what_the_token_function_raises_reaches_the_caller(self, api: Api) -> None:
        async def token() -> str:
            raise BadSpec("no such account")

        client = KubeHttp.direct(server=api.url, ssl=True, token=token, user_agent="x")
        with pytest.raises(BadSpec, match="no such account"):
            await client.request("GET", "/x")
        await client.aclose()


class TestTls:
    @pytest.fixture
    async def authority(self) -> Authority:
        return Authority()

    @pytest.fixture
    async def secure(self, authority: Authority, tmp_path: Path) -> AsyncIterator[str]:
        """URL of a server with a certificate of ``authority``, which asks for a client's and tells its name."""

        async def answer(request: web.Request) -> web.Response:
            assert request.transport is not None
            peer = request.transport.get_extra_info("peercert") or {}
            return web.json_response({"user": dict(part[0] for part in peer.get("subject", ())).get("commonName")})

        pair = authority.server()
        (tmp_path / "server.pem").write_bytes(pair.cert + pair.key)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.pem.decode())
        context.load_cert_chain(tmp_path / "server.pem")
        context.verify_mode = ssl.CERT_OPTIONAL
        app = web.Application()
        app.router.add_get("/{tail:.*}", answer)
        server = TestServer(app)
        await server.start_server(ssl=context)
        yield f"https://127.0.0.1:{server.port}"
        await server.close()

    async def test_an_unknown_authority_is_told_as_tls(self, secure: str) -> None:
        client = KubeHttp.direct(server=secure, ssl=True, token=None, user_agent="x")
        with pytest.raises(KubeError, match=r"certificate: .* certificate") as caught:
            await client.request("GET", "/x")
        await client.aclose()
        assert (caught.value.status, caught.value.reason) == (0, "TLS")

    async def test_a_kubeconfigs_authority_and_client_certificate_are_used(
        self, secure: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        pair = authority.client("alice")
        for name, content in (("ca", authority.pem), ("cert", pair.cert), ("key", pair.key)):
            (tmp_path / name).write_bytes(content)
        user = {"client-certificate": "cert", "client-key": "key"}
        path = kubeconfig(tmp_path / "config", secure, user, **{"certificate-authority": "ca"})
        client = await KubeHttp.from_environment(kubeconfig=path, user_agent="x")
        assert await client.request("GET", "/x") == {"user": "alice"}
        await client.aclose()

    async def test_a_pods_account_reaches_its_cluster(
        self, secure: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "ca.crt").write_bytes(authority.pem)
        (tmp_path / "token").write_text("first")
        host, port = secure.removeprefix("https://").split(":")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        monkeypatch.setattr(config, "SERVICE_ACCOUNT", tmp_path)
        client = await KubeHttp.from_environment(user_agent="x")
        assert await client.request("GET", "/x") == {"user": None}
        assert client.server == secure
        await client.aclose()
