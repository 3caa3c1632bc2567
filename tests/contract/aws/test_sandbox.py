"""The sandbox is as strict as it says, for AWS's own SDK for Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.contract.aws.support import World
from tests.sandbox.aws import REGION, Principal

Make = Callable[..., Any]


@pytest.fixture
def client(world: World) -> Iterator[Make]:
    """Makes clients of boto3 for somebody, the world's user if nobody is named."""
    made = []

    def make(service: str, who: Principal | None = None, **changes: str) -> Any:
        who = who or world.user
        given: Any = {
            "aws_access_key_id": who.access_key,
            "aws_secret_access_key": who.secret_key,
            "aws_session_token": who.token or None,
            **changes,
        }
        options: Any = {"endpoint_url": world.aws.url, "region_name": REGION}
        session: Any = boto3.Session()
        made.append(session.client(service, config=Config(retries={"total_max_attempts": 1}), **options, **given))
        return made[-1]

    yield make
    for each in made:
        each.close()


def code(call: Callable[..., Any], **asked: Any) -> str:
    """The code of the error that a call is answered with."""
    with pytest.raises(ClientError) as caught:
        call(**asked)
    return str(caught.value.response["Error"]["Code"])


def test_requests_have_to_be_signed_by_somebody_who_is_known(world: World, client: Make) -> None:
    world.aws.put_secret(world.account, "db", "v")
    assert client("secretsmanager").get_secret_value(SecretId="db")["SecretString"] == "v"
    for changes, expected in (
        ({"aws_secret_access_key": "another"}, ("InvalidSignatureException", "SignatureDoesNotMatch")),
        ({"aws_access_key_id": "AKIANOBODY"}, ("UnrecognizedClientException", "InvalidClientTokenId")),
        ({"aws_session_token": "another"}, ("UnrecognizedClientException", "InvalidClientTokenId")),
    ):
        asking = client("secretsmanager", **changes).get_secret_value
        assert (code(asking, SecretId="db"), code(client("sts", **changes).get_caller_identity)) == expected


def test_a_session_is_worth_nothing_after_its_end(world: World, client: Make) -> None:
    role = world.aws.directory.role(world.account, "reader")
    session = world.aws.directory.open(role, {"RoleSessionName": "x"})
    arn = client("sts", session).get_caller_identity()["Arn"]
    assert arn == f"arn:aws:sts::{world.account}:assumed-role/reader/x"
    session.ends = 0.0
    assert code(client("sts", session).get_caller_identity) == "ExpiredToken"
    assert code(client("ssm", session).get_parameter, Name="db") == "ExpiredTokenException"


def test_rights_are_looked_at_by_action_and_name(world: World, client: Make) -> None:
    for name in ("app/db", "other/db"):
        world.aws.put_secret(world.account, name, "v")
        world.aws.put_parameter(world.account, name, "v")
    world.rights.allow[:] = [("secretsmanager:*", "app/*"), ("ssm:GetParameter*", "app/*")]
    manager, store = client("secretsmanager"), client("ssm")
    assert manager.get_secret_value(SecretId="app/db")["SecretString"] == "v"
    assert store.get_parameters(Names=["app/db"])["Parameters"][0]["Value"]
    for denied, asked in (
        (manager.get_secret_value, {"SecretId": "other/db"}),
        (manager.batch_get_secret_value, {"SecretIdList": ["app/db"]}),
        (manager.list_secrets, {}),
        (store.get_parameter, {"Name": "other/db"}),
        (store.get_parameters, {"Names": ["app/db", "other/db"]}),
    ):
        assert code(denied, **asked) == "AccessDeniedException"


def test_batches_have_the_limits_of_aws(world: World, client: Make) -> None:
    names = [f"n{number}" for number in range(21)]
    assert code(client("secretsmanager").batch_get_secret_value, SecretIdList=names) == "InvalidParameterException"
    assert code(client("ssm").get_parameters, Names=names[:11]) == "ValidationException"
    answer = client("secretsmanager").batch_get_secret_value(SecretIdList=names[:20])
    assert [error["ErrorCode"] for error in answer["Errors"]] == ["ResourceNotFoundException"] * 20
    assert client("ssm").get_parameters(Names=names[:10])["InvalidParameters"] == names[:10]


def test_roles_are_assumed_by_whom_they_trust_and_by_nobody_else(world: World, client: Make) -> None:
    about: dict[str, Any] = {"trusts": (world.user.arn,), "external_id": "right", "tags": {"team": "red"}}
    arn = world.aws.directory.role(world.account, "reader", **about).arn
    tags = [{"Key": "team", "Value": "red"}]
    good = {"RoleArn": arn, "RoleSessionName": "name", "ExternalId": "right", "Tags": tags}
    keys = client("sts").assume_role(**good)["Credentials"]
    session = world.aws.directory.by_key[keys["AccessKeyId"]]
    assert (session.secret_key, session.token) == (keys["SecretAccessKey"], keys["SessionToken"])
    other = client("sts", world.aws.directory.user(world.account, name="other"))
    assert code(other.assume_role, **good) == "AccessDenied"
    changes: list[dict[str, Any]] = [{"RoleArn": f"{arn}x"}, {"ExternalId": "wrong"}, {"Tags": []}]
    for change in changes:
        assert code(client("sts").assume_role, **(good | change)) == "AccessDenied"
    changes = [{"RoleSessionName": "ä name"}, {"TransitiveTagKeys": ["env"]}]
    for change in changes:
        assert code(client("sts").assume_role, **(good | change)) == "ValidationError"


def test_tokens_of_service_accounts_are_looked_at(world: World, client: Make) -> None:
    directory = world.aws.directory
    arn = directory.role(world.account, "irsa", subject="system:serviceaccount:a:b").arn
    asked = {"RoleArn": arn, "RoleSessionName": "name"}
    assume = client("sts").assume_role_with_web_identity
    assert assume(**asked, WebIdentityToken=directory.issue("system:serviceaccount:a:b"))["Credentials"]
    for token, expected in (
        (directory.issue("system:serviceaccount:a:c"), "AccessDenied"),
        (directory.issue("system:serviceaccount:a:b", "other"), "InvalidIdentityToken"),
        (directory.issue("system:serviceaccount:a:b", seconds=-1), "ExpiredTokenException"),
        (directory.issue("system:serviceaccount:a:b") + "x", "InvalidIdentityToken"),
    ):
        assert code(assume, **asked, WebIdentityToken=token) == expected
