"""Keyferry's own environment: what AWS SDKs find there, in their order, and what follows from what they do not."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyferry.errors import BadSpec, Denied, Unreachable
from keyferry.ports import Validation
from tests.contract.aws.support import World, value
from tests.contract.vault.stub import Reply, Request, Stub, serving
from tests.sandbox.aws import Principal

ROLE_PATH = "/latest/meta-data/iam/security-credentials/"


def session(world: World, name: str = "node") -> Principal:
    """A session of a role, as a node or a pod has one."""
    return world.aws.directory.open(world.aws.directory.role(world.account, name), {"RoleSessionName": "i-1"})


def given_out(who: Principal, seconds: float) -> dict[str, Any]:
    """What metadata services answer."""
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    return {
        "Code": "Success",
        "AccessKeyId": who.access_key,
        "SecretAccessKey": who.secret_key,
        "Token": who.token,
        "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


@pytest.fixture
def pod(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Stub, list[Reply]]]:
    """The agent of EKS Pod Identity, and what it answers: the last reply for ever."""
    replies = [Reply(500)]
    token = tmp_path / "token"
    token.write_text("pod-token")
    with serving(lambda _: replies.pop(0) if len(replies) > 1 else replies[0]) as stub:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{stub.url}/v1/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
        yield stub, replies


async def test_variables_are_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.aws.put_secret(world.account, "db", "v")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", world.user.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", world.user.secret_key)
    adapter = await world.open(auth=None)
    assert await value(adapter, "db") == b"v"
    assert await adapter.validate() is Validation.READY


async def test_a_store_with_keys_does_not_look_at_the_environment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.aws.put_secret(world.account, "db", "v")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAANOTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "another")
    assert await value(await world.open(), "db") == b"v"


async def test_keyferrys_own_service_account_assumes_its_role(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world.aws.put_secret(world.account, "db", "v")
    role = world.aws.directory.role(world.account, "keyferry", subject="system:serviceaccount:keyferry:keyferry")
    token = tmp_path / "token"
    token.write_text(world.aws.directory.issue(role.subject))
    monkeypatch.setenv("AWS_ROLE_ARN", role.arn)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", world.aws.url)
    adapter = await world.open(auth=None)
    for _ in range(3):
        assert await value(adapter, "db") == b"v"
    assert sum(assumed is role for assumed, _ in world.aws.directory.sessions) == 1


async def test_a_role_that_does_not_trust_keyferrys_service_account_is_denied(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    role = world.aws.directory.role(world.account, "keyferry", subject="system:serviceaccount:other:other")
    token = tmp_path / "token"
    token.write_text(world.aws.directory.issue("system:serviceaccount:keyferry:keyferry"))
    monkeypatch.setenv("AWS_ROLE_ARN", role.arn)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", world.aws.url)
    with pytest.raises(Denied, match="STS in eu-central-1 does not permit to take Keyferry's own credentials"):
        await value(await world.open(auth=None), "db")


async def test_pod_identity_is_asked_with_its_token(world: World, pod: tuple[Stub, list[Reply]]) -> None:
    stub, replies = pod
    world.aws.put_secret(world.account, "db", "v")
    replies[:] = [Reply(200, given_out(session(world), 3600))]
    adapter = await world.open(auth=None)
    for _ in range(3):
        assert await value(adapter, "db") == b"v"
    assert [request.headers["authorization"] for request in stub.requests] == [["pod-token"]]


async def test_keys_of_a_pod_are_taken_anew_before_they_end(world: World, pod: tuple[Stub, list[Reply]]) -> None:
    stub, replies = pod
    world.aws.put_secret(world.account, "db", "v")
    first, second = session(world), session(world)
    replies[:] = [Reply(200, given_out(first, 60)), Reply(200, given_out(second, 3600))]
    adapter = await world.open(auth=None)
    assert await value(adapter, "db") == b"v"
    world.aws.directory.remove(first)
    assert await value(adapter, "db") == b"v"
    assert len(stub.requests) == 2


async def test_keys_of_a_pod_that_are_refused_are_looked_for_once_more(
    world: World, pod: tuple[Stub, list[Reply]]
) -> None:
    _, replies = pod
    world.aws.put_secret(world.account, "db", "v")
    first, second = session(world), session(world)
    replies[:] = [Reply(200, given_out(first, 3600)), Reply(200, given_out(second, 3600))]
    adapter = await world.open(auth=None)
    assert await value(adapter, "db") == b"v"
    world.aws.directory.remove(first)
    assert await value(adapter, "db") == b"v"


async def test_a_pod_identity_agent_in_trouble_is_unreachable(world: World, pod: tuple[Stub, list[Reply]]) -> None:
    adapter = await world.open(auth=None)
    with pytest.raises(Unreachable) as caught:
        await value(adapter, "db")
    assert str(caught.value) == (
        "what is to give Keyferry its own AWS credentials does not: "
        "check what the AWS_* variables of Keyferry name, or set auth"
    )


async def test_the_role_of_the_node_comes_last(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.aws.put_secret(world.account, "db", "v")
    who = session(world)

    def answer(request: Request) -> Reply:
        if request.method == "PUT":
            return Reply(200, b"imds-token")
        assert request.headers["x-aws-ec2-metadata-token"] == ["imds-token"]
        return Reply(200, b"node") if request.path == ROLE_PATH else Reply(200, given_out(who, 3600))

    with serving(answer) as stub:
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", stub.url)
        adapter = await world.open(auth=None)
        for _ in range(3):
            assert await value(adapter, "db") == b"v"
        assert [request.path for request in stub.requests] == ["/latest/api/token", ROLE_PATH, f"{ROLE_PATH}node"]


async def test_a_mounted_file_of_keys_may_change(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    world.aws.put_secret(world.account, "db", "v")
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))

    def write(who: Principal) -> None:
        text = f"aws_access_key_id = {who.access_key}\naws_secret_access_key = {who.secret_key}\n"
        file.write_text(f"[default]\n{text}")

    write(world.user)
    adapter = await world.open(auth=None)
    assert await value(adapter, "db") == b"v"
    write(world.aws.directory.user(world.account))
    world.aws.directory.remove(world.user)
    assert await value(adapter, "db") == b"v"
    world.asked()
    world.aws.directory.by_key.clear()
    with pytest.raises(Denied, match="does not accept the credentials"):
        await value(adapter, "db")


async def test_roles_are_assumed_from_the_environment_too(world: World, pod: tuple[Stub, list[Reply]]) -> None:
    _, replies = pod
    world.aws.put_secret(world.account, "db", "v")
    replies[:] = [Reply(200, given_out(session(world, "keyferry"), 3600))]
    last = world.aws.directory.role(
        world.account, "last", trusts=(f"arn:aws:sts::{world.account}:assumed-role/keyferry/*",)
    )
    assert await value(await world.open(auth=None, role=last.arn), "db") == b"v"


async def test_no_credentials_at_all_are_told_with_the_remedy(world: World) -> None:
    adapter = await world.open(auth=None)
    for asking in (value(adapter, "db"), adapter.validate()):
        with pytest.raises(Denied) as caught:
            await asking
        assert str(caught.value) == (
            "Keyferry's own environment holds no AWS credentials: "
            "set auth, or give Keyferry's ServiceAccount a role (IRSA or EKS Pod Identity)"
        )


async def test_a_profile_that_does_not_exist_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "absent")
    with pytest.raises(BadSpec, match="the AWS SDK refuses its own configuration: profile not found: check the AWS_"):
        await value(await world.open(auth=None), "db")


async def test_the_environment_stays_as_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", world.user.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", world.user.secret_key)
    before = dict(os.environ)
    await (await world.open(auth=None)).validate()
    await (await world.open()).validate()
    assert dict(os.environ) == before
