"""Logins with an identity of AWS: the server is a stub that checks the signature of what it is shown, as AWS would."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, Unreachable
from keyferry.ports import Token, Validation
from tests.contract.vault.sts import KEYS, ROLE, XML, Aws, proven, refusal, running, vault
from tests.contract.vault.stub import Reply, Request, serving
from tests.contract.vault.support import World, value


@pytest.fixture
async def aws(lone: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Aws]:
    """The stubs, a clean environment, and the watch over environment and log."""
    caplog.set_level(logging.DEBUG)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with running() as aws:
        monkeypatch.setenv("AWS_STS_ENDPOINT", aws.sts.url)
        lone.url = aws.vault.url
        lone.plant("keys", id="AKIAGIVEN\n", secret="canary-given\n", session="a-session")
        lone.credentials.tokens["default", "app"] = Token("canary-jwt", 0)
        lone.credentials.annotations["default", "app"] = {"eks.amazonaws.com/role-arn": ROLE}
        yield aws
        await lone.aclose()
    text = "\n".join(record.getMessage() + repr(record.args) for record in caplog.records)
    assert "canary" not in text
    assert "session of" not in text


def given(*, session: bool = False) -> dict[str, Any]:
    """``secretRef`` of the planted keys."""
    names = {"accessKeyIDSecretRef": "id", "secretAccessKeySecretRef": "secret"}
    names |= {"sessionTokenSecretRef": "session"} if session else {}
    return {"secretRef": {name: {"name": "keys", "key": key} for name, key in names.items()}}


JWT: dict[str, Any] = {"jwt": {"serviceAccountRef": {"name": "app"}}}


async def log_in(world: World, **iam: Any) -> None:
    """Open a store with this login, and use it."""
    adapter = await world.vault(auth={"iam": {"vaultRole": "shop", **iam}})
    assert await adapter.validate() is Validation.READY
    assert await value(adapter, "db") == {"k": "v"}


class TestProof:
    async def test_keys_of_a_secret_sign_what_the_server_asks_aws(self, lone: World, aws: Aws) -> None:
        before = dict(os.environ)
        await log_in(lone, **given())
        assert dict(os.environ) == before
        assert [request.path for request in aws.vault.requests][:1] == ["/v1/auth/aws/login"]
        (login,) = aws.logins
        assert login["role"] == "shop"
        key, headers = proven(login)
        assert key == "AKIAGIVEN"
        assert headers["Host"] == "sts.amazonaws.com"
        assert "/us-east-1/sts/aws4_request" in headers["Authorization"]
        assert aws.sts.requests == []

    async def test_a_session_token_goes_along(self, lone: World, aws: Aws) -> None:
        await log_in(lone, **given(session=True))
        _, headers = proven(aws.logins[0])
        assert headers["X-Amz-Security-Token"] == "a-session"

    @pytest.mark.parametrize(
        ("region", "host"),
        [
            ("eu-central-1", "sts.eu-central-1.amazonaws.com"),
            ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
            ("mars-north-1", "sts.mars-north-1.amazonaws.com"),
        ],
    )
    async def test_a_region_has_its_own_address(
        self, lone: World, aws: Aws, region: str, host: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # What is configured for our own calls is nothing to the server, which makes the call.
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.sts.url)
        await log_in(lone, **given(), region=region)
        _, headers = proven(aws.logins[0])
        assert headers["Host"] == host
        assert f"/{region}/sts/aws4_request" in headers["Authorization"]

    async def test_the_id_of_the_server_is_signed_too(self, lone: World, aws: Aws) -> None:
        await log_in(lone, **given(), vaultAwsIamServerID="vault.example.com", path="team/aws")
        assert aws.vault.requests[0].path == "/v1/auth/team/aws/login"
        _, headers = proven(aws.logins[0])
        assert headers["X-Vault-AWS-IAM-Server-ID"] == "vault.example.com"
        assert "x-vault-aws-iam-server-id" in headers["Authorization"]

    async def test_two_stores_with_different_keys_never_mix(self, lone: World, aws: Aws) -> None:
        lone.plant("others", id="AKIAOTHER", secret="canary-other")
        names = {"accessKeyIDSecretRef": "id", "secretAccessKeySecretRef": "secret"}
        others = {"secretRef": {name: {"name": "others", "key": key} for name, key in names.items()}}
        mine = await lone.vault(auth={"iam": {"vaultRole": "mine", **given()}})
        theirs = await lone.vault(auth={"iam": {"vaultRole": "theirs", **others}})
        for adapter in (mine, theirs):
            await adapter.validate()
        signed = {login["role"]: proven(login)[0] for login in aws.logins}
        assert signed == {"mine": "AKIAGIVEN", "theirs": "AKIAOTHER"}


class TestRoles:
    async def test_a_service_account_assumes_the_role_that_its_annotation_names(self, lone: World, aws: Aws) -> None:
        await log_in(lone, **JWT, **given())
        assert proven(aws.logins[0])[0] == "ASIAWEB"
        assert proven(aws.logins[0])[1]["X-Amz-Security-Token"] == "session of ASIAWEB"
        assert lone.credentials.token_requests == [("default", "app", ("sts.amazonaws.com",), 600)]
        assert aws.asked == [
            {
                "Action": "AssumeRoleWithWebIdentity",
                "Version": "2011-06-15",
                "RoleArn": ROLE,
                "RoleSessionName": "external-secrets-provider-vault",
                "WebIdentityToken": "canary-jwt",
            }
        ]

    async def test_the_audience_of_a_service_account_can_be_annotated(self, lone: World, aws: Aws) -> None:
        lone.credentials.annotations["default", "app"]["eks.amazonaws.com/audience"] = "aws"
        await log_in(lone, jwt={"serviceAccountRef": {"name": "app", "audiences": ["more"]}})
        assert lone.credentials.token_requests[0][2] == ("aws", "more")

    @pytest.mark.parametrize("external", [None, "an-id"])
    async def test_a_role_is_assumed_with_the_keys(self, lone: World, aws: Aws, external: str | None) -> None:
        await log_in(lone, **given(), role=ROLE, **({"externalID": external} if external else {}))
        assert proven(aws.logins[0])[0] == "ASIAROLE"
        (asked,) = aws.asked
        assert (asked["Action"], asked["RoleArn"], asked["signed"]) == ("AssumeRole", ROLE, "AKIAGIVEN")
        assert asked.get("ExternalId") == external

    async def test_a_role_can_follow_that_of_a_service_account(self, lone: World, aws: Aws) -> None:
        await log_in(lone, **JWT, role="arn:aws:iam::123456789012:role/second")
        assert [(asked["Action"], asked.get("signed")) for asked in aws.asked] == [
            ("AssumeRoleWithWebIdentity", None),
            ("AssumeRole", "ASIAWEB"),
        ]
        assert proven(aws.logins[0])[0] == "ASIAROLE"


class TestOwnIdentity:
    async def test_keys_of_the_environment(self, lone: World, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAGIVEN")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-given")
        await log_in(lone)
        assert proven(aws.logins[0])[0] == "AKIAGIVEN"

    async def test_the_role_of_our_own_service_account(
        self, lone: World, aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "token").write_text("canary-own")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws.sts.url)
        await log_in(lone)
        assert proven(aws.logins[0])[0] == "ASIAWEB"
        assert aws.asked[0]["WebIdentityToken"] == "canary-own"

    async def test_pod_identity_is_asked_for_keys(
        self, lone: World, aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        found = {
            "AccessKeyId": "ASIAROLE",
            "SecretAccessKey": KEYS["ASIAROLE"],
            "Token": "session of ASIAROLE",
            "Expiration": "2100-01-01T00:00:00Z",
        }
        with serving(lambda _: Reply(body=found)) as agent:
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{agent.url}/v1/credentials")
            monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary-pod")
            await log_in(lone)
        assert proven(aws.logins[0])[0] == "ASIAROLE"
        assert agent.requests[0].headers["authorization"] == ["canary-pod"]

    async def test_the_node_is_asked_last(self, lone: World, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
        def node(request: Request) -> Reply:
            if request.method == "PUT":
                return Reply(body=b"imds-token")
            if request.path.endswith("/security-credentials/"):
                return Reply(body=b"node-role")
            return Reply(
                body={
                    "Code": "Success",
                    "AccessKeyId": "ASIAROLE",
                    "SecretAccessKey": KEYS["ASIAROLE"],
                    "Token": "session of ASIAROLE",
                    "Expiration": "2100-01-01T00:00:00Z",
                }
            )

        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        with serving(node) as imds:
            monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url)
            await log_in(lone)
        assert proven(aws.logins[0])[0] == "ASIAROLE"

    async def test_no_identity_at_all_is_told(self, lone: World, aws: Aws) -> None:
        with pytest.raises(Denied, match=r"holds no AWS credentials: set auth\.iam\.jwt or auth\.iam\.secretRef"):
            await log_in(lone)

    async def test_it_is_not_lent_to_those_who_may_not_have_it(
        self, lone: World, aws: Aws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAGIVEN")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-given")
        lone.credentials.lends = False
        with pytest.raises(BadSpec, match="a SecretStore may not log in with Keyferry's own"):
            await log_in(lone)
        assert aws.logins == []
        await log_in(lone, **JWT)


class TestFailures:
    @pytest.mark.parametrize(
        ("reply", "kind", "message"),
        [
            (refusal(403, "AccessDenied"), Denied, rf'assume role "{ROLE}" \(AccessDenied\): check the trust policy'),
            (refusal(400, "InvalidIdentityToken"), Denied, "register the cluster's issuer of tokens"),
            (refusal(400, "Throttling"), Busy, "limits the rate"),
            (refusal(500, "InternalFailure"), Unreachable, r"AWS STS fails \(HTTP 500\)"),
            (Reply(200, b"<html>canary", XML), Unreachable, "not as AWS does"),
        ],
    )
    async def test_what_sts_answers_is_told_without_its_words(
        self, lone: World, aws: Aws, reply: Reply, kind: type[KeyferryError], message: str
    ) -> None:
        texts = set()
        for _ in range(2):
            aws.answers.append(reply)
            with pytest.raises(kind, match=message) as caught:
                await log_in(lone, **JWT)
            texts.add(str(caught.value))
            assert "canary" not in f"{caught.value} {caught.value.__context__!r} {caught.value.__cause__!r}"
        assert len(texts) == 1

    async def test_an_address_where_nobody_is_cannot_be_reached(
        self, lone: World, aws: Aws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with serving(vault) as gone:
            pass
        monkeypatch.setenv("AWS_STS_ENDPOINT", gone.url)
        with pytest.raises(Unreachable, match="AWS STS refuses connections"):
            await log_in(lone, **JWT)

    async def test_what_the_server_says_of_a_refused_proof_is_repeated_without_what_changes(
        self, lone: World, aws: Aws
    ) -> None:
        words = (
            "error making upstream request: Signature expired: 20261030T101112Z is now earlier than 20261030T110000Z"
        )
        with serving(lambda _: Reply(403, {"errors": [words]})) as server:
            lone.url = server.url
            with pytest.raises(Denied) as caught:
                await log_in(lone, **given())
        assert str(caught.value) == (
            f"{server.url} refuses to log in with auth.iam: error making upstream request: Signature expired: … is now "
            "earlier than …: check auth.iam and its role"
        )

    @pytest.mark.parametrize(
        ("iam", "message"),
        [
            ({"region": "eu/../x"}, r"auth\.iam\.region is no region of AWS"),
            ({**given(), "vaultAwsIamServerID": "a\nb"}, "holds what a header cannot"),
            ({"jwt": {}}, r"auth\.iam\.jwt\.serviceAccountRef is not set"),
            ({"jwt": {"serviceAccountRef": {"name": "none"}}}, r"auth\.iam\.jwt\.serviceAccountRef: no ServiceAccount"),
            ({"jwt": {"serviceAccountRef": {"name": "bare"}}}, "names no role: annotate it with eks.amazonaws.com"),
            ({"secretRef": {}}, r"auth\.iam\.secretRef\.accessKeyIDSecretRef is not set"),
        ],
    )
    async def test_what_is_missing_is_told_when_the_store_is_opened(
        self, lone: World, aws: Aws, iam: dict[str, Any], message: str
    ) -> None:
        lone.credentials.annotations["default", "bare"] = {}
        with pytest.raises(BadSpec, match=message):
            await lone.vault(auth={"iam": {"vaultRole": "shop", **iam}})
        assert aws.sts.requests == []
