from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from keyferry.errors import BadSpec
from keyferry.kubehttp import KubeError, KubeHttp, config
from tests.unit.kubehttp.stub import CANARY, Api, accepting, kubeconfig


class TestInsideACluster:
    @pytest.fixture
    def account(self, tmp_path: Path, api: Api, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A service account's folder, whose address is the stub's; TLS is the concern of other tests."""
        (tmp_path / "token").write_text("first\n")
        (tmp_path / "ca.crt").write_text("unused")
        host, port = api.url.removeprefix("http://").split(":")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        monkeypatch.setenv("KUBECONFIG", "/nowhere")
        monkeypatch.setattr(config, "SERVICE_ACCOUNT", tmp_path)
        return tmp_path

    @pytest.fixture
    async def token(self, account: Path) -> config.Authorization:
        return config._TokenFile(account / "token")

    async def test_a_token_is_read_again_when_its_file_changes(
        self, account: Path, token: config.Authorization
    ) -> None:
        assert await token(None) == "Bearer first"
        (account / "token").write_text("second")
        os.utime(account / "token", ns=(1, 1))
        assert await token(None) == "Bearer second"

    async def test_a_token_is_read_again_when_it_was_refused(self, account: Path, token: config.Authorization) -> None:
        assert await token(None) == "Bearer first"
        before = (account / "token").stat().st_mtime_ns
        (account / "token").write_text("second")
        os.utime(account / "token", ns=(before, before))
        assert await token(None) == "Bearer first"
        assert await token("Bearer first") == "Bearer second"

    async def test_a_token_is_read_again_when_its_age_has_come(
        self, account: Path, token: config.Authorization, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await token(None)
        before = (account / "token").stat().st_mtime_ns
        (account / "token").write_text("second")
        os.utime(account / "token", ns=(before, before))
        monkeypatch.setattr(config, "TOKEN_AGE", 0.0)
        assert await token(None) == "Bearer second"

    async def test_a_token_file_that_vanishes_is_an_error(self, account: Path, token: config.Authorization) -> None:
        (account / "token").unlink()
        with pytest.raises(KubeError, match="401 Unauthorized: the service account's token cannot be read"):
            await token(None)

    @pytest.mark.parametrize("absent", ["token", "ca.crt"])
    async def test_an_incomplete_account_is_a_bad_spec(self, account: Path, absent: str) -> None:
        (account / absent).unlink()
        with pytest.raises(BadSpec, match="automountServiceAccountToken"):
            await KubeHttp.from_environment(user_agent="x")

    async def test_a_ca_that_is_none_is_a_bad_spec(self, account: Path) -> None:
        with pytest.raises(BadSpec, match="cannot be used"):
            await KubeHttp.from_environment(user_agent="x")


class TestKubeconfig:
    @pytest.fixture(autouse=True)
    def outside(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        monkeypatch.delenv("KUBECONFIG", raising=False)

    @staticmethod
    def plugin(path: Path, token: str, expiry: str | None = None) -> dict[str, Any]:
        """A credential plugin that counts its calls in a file and answers ``token``-<call>."""
        end = f',\\"expirationTimestamp\\":\\"{expiry}\\"' if expiry else ""
        path.write_text(
            f'#!/bin/sh\necho x >> "{path}.calls"\nn=$(wc -l < "{path}.calls" | tr -d " ")\n'
            'echo "{\\"apiVersion\\":\\"client.authentication.k8s.io/v1\\",\\"kind\\":\\"ExecCredential\\",'
            f'\\"status\\":{{\\"token\\":\\"{token}-$n\\"{end}}}}}"\n'
        )
        path.chmod(0o700)
        return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(path)}}

    @pytest.mark.parametrize(
        ("user", "header"),
        [
            ({"token": "t1"}, "Bearer t1"),
            ({"username": "u", "password": "p"}, "Basic dTpw"),
            ({}, None),
        ],
    )
    async def test_its_credential_is_used(self, api: Api, tmp_path: Path, user: dict[str, str], header: str) -> None:
        path = kubeconfig(tmp_path / "config", api.url, user)
        client = await KubeHttp.from_environment(kubeconfig=path, user_agent="x")
        await client.request("GET", "/x")
        await client.aclose()
        assert api.authorizations == [header]
        assert client.server == api.url

    async def test_the_environment_names_it(self, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KUBECONFIG", kubeconfig(tmp_path / "config", api.url, {"token": "t1"}))
        client = await KubeHttp.from_environment(user_agent="x")
        await client.request("GET", "/x")
        await client.aclose()
        assert api.authorizations == ["Bearer t1"]

    async def test_it_wins_over_the_pods_account_when_given(
        self, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "cluster.invalid")
        path = kubeconfig(tmp_path / "config", api.url, {"token": "t1"})
        client = await KubeHttp.from_environment(kubeconfig=path, user_agent="x")
        assert client.server == api.url

    async def test_a_token_file_that_was_rotated_is_read_after_a_refusal(self, api: Api, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("old")
        path = kubeconfig(tmp_path / "config", api.url, {"tokenFile": "token"})
        client = await KubeHttp.from_environment(kubeconfig=path, user_agent="x")
        (tmp_path / "token").write_text("new")
        api.answers(accepting("Bearer new"))
        await client.request("GET", "/x")
        await client.aclose()
        assert api.authorizations == ["Bearer old", "Bearer new"]

    async def test_a_plugin_is_asked_again_once_for_many_refusals(self, api: Api, tmp_path: Path) -> None:
        user = self.plugin(tmp_path / "plugin", "p", "2099-01-01T00:00:00Z")
        client = await KubeHttp.from_environment(
            kubeconfig=kubeconfig(tmp_path / "config", api.url, user), user_agent="x"
        )
        api.answers(accepting("Bearer p-2"))
        await asyncio.gather(*(client.request("GET", "/x") for _ in range(10)))
        await client.aclose()
        assert set(api.authorizations) == {"Bearer p-1", "Bearer p-2"}
        assert (tmp_path / "plugin.calls").read_text() == "x\nx\n"

    async def test_a_plugins_answer_is_renewed_before_its_end(self, api: Api, tmp_path: Path) -> None:
        user = self.plugin(tmp_path / "plugin", "p", "2001-01-01T00:00:00Z")
        client = await KubeHttp.from_environment(
            kubeconfig=kubeconfig(tmp_path / "config", api.url, user), user_agent="x"
        )
        await client.request("GET", "/x")
        await client.aclose()
        assert api.authorizations == ["Bearer p-2"]

    async def test_a_file_that_vanished_by_then_is_an_error(self, api: Api, tmp_path: Path) -> None:
        path = kubeconfig(tmp_path / "config", api.url, {"token": "t1"})
        client = await KubeHttp.from_environment(kubeconfig=path, user_agent="x")
        (tmp_path / "config").unlink()
        api.answers(accepting("Bearer other"))
        with pytest.raises(KubeError, match="401 Unauthorized: there is no kubeconfig at"):
            await client.request("GET", "/x")
        await client.aclose()

    async def test_an_absent_file_is_a_bad_spec(self, tmp_path: Path) -> None:
        with pytest.raises(BadSpec, match="there is no kubeconfig at"):
            await KubeHttp.from_environment(kubeconfig=str(tmp_path / "absent"), user_agent="x")

    @pytest.mark.parametrize("content", ["", "[]", "{", f"users: [{{token: {CANARY}}}]", f"current-context: {CANARY}"])
    async def test_a_file_that_is_none_is_a_bad_spec_that_does_not_quote_it(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "config"
        path.write_text(content)
        with pytest.raises(BadSpec, match="cannot be used") as caught:
            await KubeHttp.from_environment(kubeconfig=str(path), user_agent="x")
        assert caught.value.__cause__ is None
        assert CANARY not in str(caught.value)

    async def test_an_unknown_context_is_a_bad_spec(self, api: Api, tmp_path: Path) -> None:
        path = kubeconfig(tmp_path / "config", api.url, {"token": CANARY})
        with pytest.raises(BadSpec, match='the context "there" of the kubeconfig') as caught:
            await KubeHttp.from_environment(kubeconfig=path, context="there", user_agent="x")
        assert CANARY not in str(caught.value)

    async def test_its_proxy_is_used(self, api: Api, tmp_path: Path) -> None:
        path = kubeconfig(tmp_path / "config", "http://cluster.invalid", {}, **{"proxy-url": api.url})
        client = await KubeHttp.from_environment(kubeconfig=path, user_agent="x")
        await client.request("GET", "/version")
        await client.aclose()
        assert api.seen[0].raw_path == "http://cluster.invalid/version"
