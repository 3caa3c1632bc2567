from __future__ import annotations

import asyncio
import base64
import ssl
from typing import Any

import pytest
import yaml

from keyferry.errors import BadSpec
from keyferry.ports import Token
from keyferry.providers.kubernetes.config import KubernetesConfig
from keyferry.providers.kubernetes.connection import connect
from tests.sandbox.certificates import Authority
from tests.support.credentials import DictCredentials

CANARY = "canary-c7a5"
BEARER = {"token": {"bearerToken": {"name": "login", "key": "token"}}}
ACCOUNT = {"serviceAccount": {"name": "reader"}}


@pytest.fixture
def credentials() -> DictCredentials:
    known = DictCredentials(secrets={("default", "login"): {"token": CANARY.encode()}})
    known.tokens["default", "reader"] = Token(f"{CANARY}-1", expires_at=1e12)
    return known


def model(**config: Any) -> KubernetesConfig:
    return KubernetesConfig.model_validate(config)


async def header(credentials: DictCredentials, refused: str | None = None, **config: Any) -> str:
    return await (await connect(model(**config), credentials)).authorization(refused)


class TestServer:
    @pytest.mark.parametrize(
        ("given", "server"),
        [
            ({}, "https://kubernetes.default"),
            ({"server": {}}, "https://kubernetes.default"),
            ({"server": {"url": "10.0.0.1:6443"}}, "https://10.0.0.1:6443"),
            ({"server": {"url": "http://localhost:8001"}}, "http://localhost:8001"),
        ],
    )
    async def test_a_server_without_a_scheme_is_reached_by_https(
        self, credentials: DictCredentials, given: dict[str, Any], server: str
    ) -> None:
        assert (await connect(model(auth=BEARER, **given), credentials)).server == server

    async def test_its_certificate_is_verified(self, credentials: DictCredentials) -> None:
        context = (await connect(model(auth=BEARER), credentials)).ssl
        assert isinstance(context, ssl.SSLContext)
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname

    async def test_a_bundle_that_is_none_is_told_by_its_field(self, credentials: DictCredentials) -> None:
        bundle = base64.b64encode(b"no certificate").decode()
        with pytest.raises(BadSpec, match=r"provider\.kubernetes\.server\.caBundle"):
            await connect(model(auth=BEARER, server={"caBundle": bundle}), credentials)


class TestLogin:
    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({}, "there is no login, or more than one: set exactly one of"),
            ({"auth": {}}, "there is no login, or more than one: set exactly one of"),
            ({"auth": BEARER | ACCOUNT}, "there is no login, or more than one: set exactly one of"),
            ({"auth": BEARER, "authRef": {"name": "x", "key": "y"}}, "auth and authRef are both set"),
            ({"authRef": {"name": "x", "key": "y"}}, "provider.kubernetes.authRef: no key"),
            (
                {"auth": {"token": {"bearerToken": {"name": "login", "key": "nope"}}}},
                "provider.kubernetes.auth.token.bearerToken: no key",
            ),
            (
                {"auth": {"cert": {"clientCert": {"name": "x"}, "clientKey": {"name": "login"}}}},
                "provider.kubernetes.auth.cert.clientCert: no key",
            ),
            ({"auth": {"serviceAccount": {"name": "x"}}}, "provider.kubernetes.auth.serviceAccount: no ServiceAccount"),
        ],
    )
    async def test_a_login_that_is_none_is_a_bad_spec(
        self, credentials: DictCredentials, config: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(BadSpec) as caught:
            await connect(model(**config), credentials)
        assert message in str(caught.value)

    @pytest.mark.parametrize(("kept", "sent"), [(b"t0k", "Bearer t0k"), (b" t0k\r\n", "Bearer t0k")])
    async def test_white_space_around_a_token_is_dropped(
        self, credentials: DictCredentials, kept: bytes, sent: str
    ) -> None:
        credentials.secrets["default", "login"] = {"token": kept}
        assert await header(credentials, auth=BEARER) == sent

    async def test_a_token_that_is_no_text_is_a_bad_spec_without_it(self, credentials: DictCredentials) -> None:
        credentials.secrets["default", "login"] = {"token": f"{CANARY}ü".encode()}
        with pytest.raises(BadSpec, match="no ASCII text") as caught:
            await header(credentials, auth=BEARER)
        assert CANARY not in f"{caught.value!r} {vars(caught.value)}"

    @pytest.mark.parametrize("wrong", ["clientCert", "clientKey"])
    async def test_a_pair_that_is_none_is_told_by_its_field(self, credentials: DictCredentials, wrong: str) -> None:
        pair = Authority().client("reader")
        kept = {"clientCert": pair.cert, "clientKey": pair.key, wrong: b"nonsense"}
        credentials.secrets["default", "pair"] = kept
        names = {field: {"name": "pair", "key": field} for field in ("clientCert", "clientKey")}
        with pytest.raises(BadSpec, match=rf"provider\.kubernetes\.auth\.cert\.{wrong}"):
            await connect(model(auth={"cert": names}), credentials)


class TestServiceAccount:
    async def test_its_token_is_asked_for_an_hour(self, credentials: DictCredentials) -> None:
        assert await header(credentials, auth=ACCOUNT) == f"Bearer {CANARY}-1"
        assert credentials.token_requests == [("default", "reader", (), 3600)]

    async def test_a_token_is_used_for_four_fifths_of_its_life(
        self, credentials: DictCredentials, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 1000.0
        monkeypatch.setattr("keyferry.providers.kubernetes.connection.time.time", lambda: now)
        credentials.tokens["default", "reader"] = Token("first", expires_at=2000.0)
        authorization = (await connect(model(auth=ACCOUNT), credentials)).authorization
        credentials.tokens["default", "reader"] = Token("second", expires_at=3000.0)
        now = 1799.0
        assert await authorization(None) == "Bearer first"
        now = 1800.0
        assert await authorization(None) == "Bearer second"

    async def test_a_refused_token_is_replaced_once_for_all_who_held_it(self, credentials: DictCredentials) -> None:
        authorization = (await connect(model(auth=ACCOUNT), credentials)).authorization
        credentials.tokens["default", "reader"] = Token("second", expires_at=1e12)
        old = f"Bearer {CANARY}-1"
        assert await asyncio.gather(*(authorization(old) for _ in range(5))) == ["Bearer second"] * 5
        assert len(credentials.token_requests) == 2


class TestKubeconfig:
    def put(self, credentials: DictCredentials, user: dict[str, Any], **cluster: Any) -> dict[str, Any]:
        content = {
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "https://cluster.example", **cluster}}],
            "users": [{"name": "u", "user": user}],
        }
        credentials.secrets["default", "kubeconfig"] = {"config": yaml.safe_dump(content).encode()}
        return {"authRef": {"name": "kubeconfig", "key": "config"}}

    @pytest.mark.parametrize(
        ("user", "sent"),
        [
            ({"token": "t"}, "Bearer t"),
            ({"username": "u", "password": "p"}, "Basic dTpw"),
            ({"token": "t", "username": "u", "password": "p"}, "Bearer t"),
            ({}, ""),
        ],
    )
    async def test_its_credential_is_sent(self, credentials: DictCredentials, user: dict[str, str], sent: str) -> None:
        assert await header(credentials, **self.put(credentials, user)) == sent

    async def test_its_server_name_and_proxy_are_used(self, credentials: DictCredentials) -> None:
        about = {"tls-server-name": "other.example", "proxy-url": "http://proxy.example:3128"}
        config = self.put(credentials, {"token": "t"}, **about)
        endpoint = await connect(model(server={"url": "https://ignored.example"}, **config), credentials)
        assert endpoint.server == "https://cluster.example"
        assert endpoint.server_hostname == "other.example"
        assert endpoint.proxy == "http://proxy.example:3128"

    async def test_a_kubeconfig_without_server_is_a_bad_spec(self, credentials: DictCredentials) -> None:
        config = self.put(credentials, {"token": "t"}, server="")
        with pytest.raises(BadSpec, match=r"provider\.kubernetes\.authRef: .* has no server"):
            await connect(model(**config), credentials)

    async def test_what_would_start_a_program_is_refused_by_name(self, credentials: DictCredentials) -> None:
        config = self.put(credentials, {"exec": {"command": "/bin/sh"}})
        with pytest.raises(BadSpec, match=r"provider\.kubernetes\.authRef: user\.exec is not allowed"):
            await connect(model(**config), credentials)
