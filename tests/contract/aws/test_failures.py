"""What users see when AWS, the network, or what stands between, does not do its part."""

from __future__ import annotations

import asyncio
import logging
import threading
import traceback
from typing import Any

import pytest

from keyferry.errors import (
    BadSpec,
    Busy,
    Denied,
    KeyferryError,
    NotThere,
    PropertyNotThere,
    Unreachable,
)
from keyferry.ports import Query, Ref, Retries, Validation
from keyferry.providers.aws.config import AwsConfig
from tests.contract.aws.support import MANAGER, STORE, World, fetched, value
from tests.sandbox.aws import Reply, aws_environment
from tests.sandbox.openbao import free_port
from tests.support.faults import FaultProxy

CANARY = "canary-51d2"
NO, DENY = "because no %s policy allows the x action", "with an explicit deny in a service control policy"
USER = "User: arn:aws:iam::1:user/x is not authorized to perform: secretsmanager:GetSecretValue on resource: db "
SESSION = "User: arn:aws:sts::1:assumed-role/app/i-%d is not authorized to perform: ssm:GetParameter on resource: db "

TABLE: list[tuple[str, str, type[KeyferryError], str]] = [
    (
        "AccessDeniedException",
        USER + "because no identity-based policy allows the x action",
        Denied,
        "no identity-based",
    ),
    (
        "AccessDeniedException",
        USER + "because no VPC endpoint policy allows it",
        Denied,
        "no VPC endpoint policy allows",
    ),
    ("AccessDeniedException", USER + DENY, Denied, 'db": a service control policy denies it: allow'),
    ("AccessDeniedException", USER, Denied, "allow secretsmanager:GetSecretValue to arn:aws:iam::1:user/x"),
    ("AccessDeniedException", SESSION % 7, Denied, "allow ssm:GetParameter to role app of account 1"),
    (
        "AccessDeniedException",
        CANARY,
        Denied,
        'permit to read secret "db": allow secretsmanager:GetSecretValue',
    ),
    ("AccessDeniedException", "Access to KMS is not allowed", Denied, "allow kms:Decrypt on its key"),
    ("AccessDeniedException", "x is not authorized to perform: kms:Decrypt", Denied, "allow kms:Decrypt on its key"),
    ("DecryptionFailure", CANARY, Denied, 'cannot decrypt secret "db": allow kms:Decrypt'),
    ("InvalidKeyId", CANARY, Denied, "check that the key is enabled"),
    ("ExpiredTokenException", CANARY, Denied, "finds the credentials expired: replace them"),
    ("UnrecognizedClientException", CANARY, Denied, "does not accept the credentials: check access key"),
    ("InvalidSignatureException", CANARY, Denied, "does not accept the credentials"),
    ("InvalidSignatureException", "Signature expired: 20261123T1 is now earlier", Denied, "check the clock"),
    ("InvalidSignatureException", "Signature not yet current: 2026", Denied, "check the clock"),
    ("MissingAuthenticationTokenException", CANARY, Denied, "does not accept the credentials"),
    ("ResourceNotFoundException", CANARY, NotThere, 'secret "db" does not exist in Secrets Manager in eu-central-1'),
    ("InvalidRequestException", "because it was marked for deletion.", NotThere, "does not exist"),
    ("InvalidParameterException", "because it was marked for deletion.", NotThere, "does not exist"),
    (
        "InvalidRequestException",
        CANARY,
        BadSpec,
        r'cannot read secret "db" \(InvalidRequest\): check name',
    ),
    ("InvalidParameterException", CANARY, BadSpec, r"\(InvalidParameter\)"),
    ("ValidationException", CANARY, BadSpec, r"\(Validation\)"),
    ("ThrottlingException", CANARY, Busy, "limits the rate of requests"),
    ("Throttling", CANARY, Busy, "limits the rate"),
    ("TooManyRequestsException", CANARY, Busy, "limits the rate"),
    ("RequestLimitExceeded", CANARY, Busy, "limits the rate"),
    ("InternalServiceError", CANARY, Unreachable, 'failed to read secret "db"'),
    ("ServiceUnavailable", CANARY, Unreachable, "failed to"),
    ("SomethingNewException", CANARY, BadSpec, r"\(SomethingNew\)"),
    ("", CANARY, Unreachable, "does not answer as AWS does"),
    ("canary-51d2 is no code", CANARY, Unreachable, "does not answer as AWS does"),
]


@pytest.mark.parametrize(("code", "message", "kind", "text"), TABLE)
async def test_every_code_has_its_error_in_words_that_stay_the_same(
    world: World, code: str, message: str, kind: type[KeyferryError], text: str
) -> None:
    numbers = iter(range(1000, 2000))

    def answer(_: object) -> Reply:
        number = next(numbers)
        varying = {"x-amzn-RequestId": f"{number}", "x-amzn-ErrorType": f"{code}:http://internal/{number}"}
        return Reply(400, {"__type": code, "message": f"{message} {CANARY} (request id: {number})"}, varying)

    world.aws.scripts[world.account, "GetSecretValue"] = answer
    adapter = await world.open()
    texts = set()
    for _ in range(3):
        with pytest.raises(kind, match=text) as caught:
            await value(adapter, "db")
        assert type(caught.value) is kind
        assert not caught.value.__cause__
        texts.add(str(caught.value))
    assert len(texts) == 1
    assert CANARY not in texts.pop()


async def test_sessions_that_sdks_name_by_the_time_are_told_without_their_name(world: World) -> None:
    numbers = iter(range(10))
    world.aws.scripts[world.account, "GetSecretValue"] = lambda _: Reply(
        400, {"__type": "AccessDeniedException", "message": SESSION % next(numbers)}
    )
    adapter = await world.open()
    answers = [(await adapter.read([Ref("db")]))[Ref("db")] for _ in range(3)]
    assert len({str(answer) for answer in answers}) == 1


@pytest.mark.parametrize(
    ("code", "message", "kind", "text"),
    [
        ("ParameterNotFound", "", NotThere, 'parameter "db" does not exist in Parameter Store in eu-central-1'),
        ("ParameterVersionNotFound", "", PropertyNotThere, 'parameter "db" has no version "7"'),
        ("InvalidKeyId", "", Denied, "allow kms:Decrypt"),
        ("InternalServerError", "", Unreachable, "failed to read"),
    ],
)
async def test_codes_of_parameters_have_their_errors(
    world: World, code: str, message: str, kind: type[KeyferryError], text: str
) -> None:
    world.aws.scripts[world.account, "GetParameter"] = lambda _: Reply(400, {"__type": code, "message": message})
    with pytest.raises(kind, match=text):
        await value(await world.open(STORE), Ref("db", "7"))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 407, 413, 418])
async def test_what_is_not_aws_is_not_taken_for_an_absence(world: World, status: int) -> None:
    for service, call in ((MANAGER, "GetSecretValue"), (STORE, "GetParameter")):
        world.aws.scripts[world.account, call] = lambda _: Reply(
            status, f"<html>{CANARY}</html>".encode(), {"Content-Type": "text/html"}
        )
        answer = (await (await world.open(service)).read([Ref("db")]))[Ref("db")]
        assert type(answer) is Unreachable
        assert str(answer).endswith(
            "does not answer as AWS does: check endpoints and proxies of Keyferry's environment"
        )


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b"7", b"\x00", CANARY.encode(), b'{"SecretString": 7}'])
@pytest.mark.parametrize("service", [MANAGER, STORE])
async def test_an_answer_without_what_was_asked_for_is_no_value(world: World, service: str, body: bytes) -> None:
    for call in ("GetSecretValue", "GetParameter", "BatchGetSecretValue", "GetParameters", "DescribeSecret"):
        world.aws.scripts[world.account, call] = lambda _: Reply(200, body)
    world.aws.scripts[world.account, "ListTagsForResource"] = lambda _: Reply(200, body)
    adapter = await world.open(service)
    for refs in ([Ref("db")], [Ref("db"), Ref("web")], [Ref("db", metadata=True)]):
        for answer in (await adapter.read(refs)).values():
            assert type(answer) is Unreachable
            assert CANARY not in str(answer)


async def test_retry_settings_try_again_what_may_pass_and_nothing_else(world: World) -> None:
    world.aws.put_secret(world.account, "db", "v")
    world.context["retries"] = Retries(attempts=3, interval=0.01)
    throttled = Reply(400, {"__type": "ThrottlingException"}, {"Retry-After": "0"})
    replies: list[Reply | None] = [Reply(500, {"__type": "InternalServiceError"}), throttled, None]
    world.aws.scripts[world.account, "GetSecretValue"] = lambda _: replies.pop(0)
    adapter = await world.open()
    assert await value(adapter, "db") == b"v"
    assert world.calls.counts == {("GetSecretValue", "error"): 2, ("GetSecretValue", "success"): 1}
    for code in ("AccessDeniedException", "ResourceNotFoundException", "InvalidParameterException"):
        world.aws.scripts[world.account, "GetSecretValue"] = lambda _, code=code: Reply(400, {"__type": code})  # type: ignore[misc] # bound
        world.asked()
        with pytest.raises(KeyferryError):
            await value(adapter, "db")
        assert world.asked() == {"GetSecretValue": 1}


async def test_without_retry_settings_nothing_is_tried_again(world: World) -> None:
    world.aws.scripts[world.account, "GetSecretValue"] = lambda _: Reply(503, {"__type": "ServiceUnavailable"})
    with pytest.raises(Unreachable):
        await value(await world.open(), "db")
    assert world.asked() == {"GetSecretValue": 1}


async def test_a_port_where_nobody_listens_is_told_with_its_address(world: World) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with aws_environment(url):
        adapter = await world.open()
        with pytest.raises(Unreachable) as caught:
            await value(adapter, "db")
        assert str(caught.value) == f"{url} refuses connections: check the address, and that it runs"
        assert await adapter.validate() is Validation.UNKNOWN


async def test_a_region_that_does_not_exist_is_told_with_its_address(world: World) -> None:
    said = r"the name in http://secretsmanager\.invalid cannot be resolved"
    with (
        aws_environment(AWS_ENDPOINT_URL="http://secretsmanager.invalid"),
        pytest.raises(Unreachable, match=said),
    ):
        await value(await world.open(), "db")


async def test_a_slow_answer_is_given_up(world: World) -> None:
    world.context["timeout"] = 0.2
    enough = threading.Event()

    def answer(_: object) -> Reply:
        enough.wait(20)
        return Reply(500)

    world.aws.scripts[world.account, "GetSecretValue"] = answer
    with pytest.raises(Unreachable) as caught:
        await value(await world.open(), "db")
    enough.set()
    assert str(caught.value) == (f"{world.aws.url} did not answer in time: check the network and network policies")


async def test_a_certificate_that_is_not_trusted_is_told_with_the_remedy(world: World) -> None:
    async with FaultProxy(world.aws.url) as proxy:
        with aws_environment(proxy.url), pytest.raises(Unreachable) as caught:
            await value(await world.open(), "db")
        assert str(caught.value).startswith(f"the certificate of {proxy.url} is not trusted: ")
        assert caught.value.remedy.startswith("set AWS_CA_BUNDLE of Keyferry to the authority that signed it")


async def test_the_self_check_says_nothing_where_only_the_service_can_be_reached(world: World) -> None:
    world.aws.put_secret(world.account, "db", "v")
    with aws_environment(AWS_SECRETSMANAGER_ENDPOINT=world.aws.url):
        adapter = await world.open()
        assert await adapter.validate() is Validation.UNKNOWN
        assert await value(adapter, "db") == b"v"
        assert world.asked() == {"GetSecretValue": 1}


async def test_calls_are_counted_by_their_names_in_aws(world: World) -> None:
    for name in ("a", "b"):
        world.aws.put_secret(world.account, name, name)
        world.aws.put_parameter(world.account, f"/{name}", name)
    role = world.aws.directory.role(world.account, "reader", trusts=(world.user.arn,))
    everything = Query(name="", matches=lambda _: True)
    for service in (MANAGER, STORE):
        adapter = await world.open(service, role=role.arn)
        await adapter.read([Ref("/a"), Ref("/a", metadata=True)])
        await adapter.read([Ref("/a"), Ref("/b")])
        await adapter.find(everything)
        await adapter.validate()
    assert {call for call, _ in world.calls.counts} == set(world.asked())
    specs = [AwsConfig(service="SecretsManager", region="x"), AwsConfig(service="ParameterStore", region="x")]
    assert [spec.metrics_label for spec in specs] == ["AWS/SecretsManager", "AWS/ParameterStore"]


async def test_no_value_or_credential_shows_in_any_error_log_or_repr(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("db", "web"):
        world.aws.put_secret(world.account, name, f"{CANARY}-{name}")
        world.aws.put_parameter(world.account, name, f"{CANARY}-{name}")
    world.user.secret_key += CANARY
    world.plant("keys", world.user)
    role = world.aws.directory.role(world.account, "reader", trusts=(world.user.arn,))
    shown: list[str] = []
    refs = [Ref("db"), Ref("web"), Ref("db", "7"), Ref("nothing"), Ref("db", metadata=True), Ref("a b")]
    for changes in ({}, {"role": role.arn}, {"role": "arn:aws:iam::1:role/absent"}, {"region": "us-east-1"}):
        for service in (MANAGER, STORE):
            adapter = await world.open(service, **changes)
            answers: list[Any] = list((await adapter.read(refs)).values())
            answers += await asyncio.gather(
                adapter.validate(), adapter.find(Query(name="", matches=lambda _: True)), return_exceptions=True
            )
            shown += [repr(answers), repr(adapter), repr(vars(adapter)), repr(vars(adapter._identity))]
            shown += [repr(vars(adapter._door)), repr(vars(adapter._door._signer))]
            for answer in answers:
                if isinstance(answer, BaseException):
                    assert isinstance(answer, KeyferryError)
                    assert not answer.__cause__
                    shown += traceback.format_exception(answer)
    shown.append(caplog.text)
    text = "\n".join(shown)
    secrets = [CANARY, *(who.secret_key for who in world.aws.directory.by_key.values())]
    secrets += [who.token for who in world.aws.directory.by_key.values() if who.token]
    assert [secret for secret in secrets if secret in text] == []
    assert "Denied" in text
    assert "NotThere" in text


async def test_closing_twice_is_closing_once_and_closes_the_connections(world: World) -> None:
    world.aws.put_secret(world.account, "db", "v")
    adapter = await world.open()
    await fetched(adapter, "db")
    await adapter.aclose()
    await adapter.aclose()
