"""What reading many costs, and what happens where the identity may not read many at once."""

from __future__ import annotations

import pytest

from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, NotThere, Unreachable
from keyferry.ports import Ref
from tests.contract.aws.support import MANAGER, STORE, World, content, contents, value
from tests.sandbox.aws import Reply

MANY = [f"app/{number:03}" for number in range(200)]
HOUR = 3600.0


def fill(world: World, service: str, names: list[str]) -> list[Ref]:
    """Things of a service whose values are their names; the refs to read them by."""
    for name in names:
        if service == MANAGER:
            world.aws.put_secret(world.account, name, name)
        else:
            world.aws.put_parameter(world.account, name, name)
    return [Ref(name) for name in names]


async def test_200_secrets_cost_10_calls(world: World) -> None:
    refs = fill(world, MANAGER, MANY)
    adapter = await world.open(MANAGER)
    for _ in range(2):
        found = await adapter.read(refs)
        assert {ref.key: content(answer).decode() for ref, answer in found.items()} == dict(
            zip(MANY, MANY, strict=True)
        )
        assert world.asked() == {"BatchGetSecretValue": 10}


async def test_200_parameters_cost_20_calls(world: World) -> None:
    refs = fill(world, STORE, MANY)
    adapter = await world.open(STORE)
    for _ in range(2):
        found = await adapter.read(refs)
        assert {ref.key: content(answer).decode() for ref, answer in found.items()} == dict(
            zip(MANY, MANY, strict=True)
        )
        assert world.asked() == {"GetParameters": 20}


@pytest.mark.parametrize(("service", "one"), [(MANAGER, "GetSecretValue"), (STORE, "GetParameter")])
async def test_one_thing_takes_no_right_to_read_many(world: World, service: str, one: str) -> None:
    fill(world, service, ["db"])
    world.rights.allow[:] = [(f"*:{one}", "db")]
    assert await value(await world.open(service), "db") == b"db"
    assert world.asked() == {one: 1}


@pytest.mark.parametrize("service", [MANAGER, STORE])
async def test_what_several_refs_name_is_asked_for_once(world: World, service: str) -> None:
    fill(world, service, ["db", "web"])
    adapter = await world.open(service)
    found = await adapter.read([Ref("db"), Ref("web"), Ref("db"), Ref("db", metadata=True)])
    assert len(found) == 3
    assert sum(world.asked().values()) == 2


@pytest.mark.parametrize(
    ("service", "many", "one", "size"),
    [(MANAGER, "BatchGetSecretValue", "GetSecretValue", 20), (STORE, "GetParameters", "GetParameter", 10)],
)
class TestWhereManyAtOnceIsDenied:
    async def test_it_is_tried_once_and_remembered_for_an_hour(
        self, world: World, service: str, many: str, one: str, size: int
    ) -> None:
        refs = fill(world, service, MANY[:60])
        world.rights.deny.append((f"*:{many}", "*"))
        adapter = await world.open(service)
        now = [0.0]
        adapter._service._batches._clock = adapter._service._batches._refused._clock = lambda: now[0]
        for asked in ({many: 1, one: 60}, {one: 60}, {one: 60}):
            found = await adapter.read(refs)
            assert contents(found) == [name.encode() for name in MANY[:60]]
            assert world.asked() == asked
        now[0] = HOUR + 1
        world.rights.deny.clear()
        await adapter.read(refs)
        assert world.asked() == {many: 60 // size}

    async def test_a_denial_of_everything_is_told_and_not_mistaken(
        self, world: World, service: str, many: str, one: str, size: int
    ) -> None:
        refs = fill(world, service, MANY[:4])
        adapter = await world.open(service)
        world.rights.deny.append(("*", "*"))
        found = await adapter.read(refs)
        assert {type(answer) for answer in found.values()} == {Denied}
        world.rights.deny.clear()
        world.asked()
        await adapter.read(refs)
        assert world.asked() == {many: 1}

    async def test_credentials_that_are_refused_are_not_shown_again_for_each(
        self, world: World, service: str, many: str, one: str, size: int
    ) -> None:
        refs = fill(world, service, MANY[:4])
        wrong = await world.open(service)
        absent = await world.open(service, role=f"arn:aws:iam::{world.account}:role/absent")
        found = await absent.read(refs)
        assert {type(answer) for answer in found.values()} == {Denied}
        assert world.asked() == {"AssumeRole": 1}
        world.aws.directory.remove(world.user)
        world.aws.forget_calls("")
        found = await wrong.read(refs)
        assert {type(answer) for answer in found.values()} == {Denied}
        assert world.aws.calls("") == {many: 1}

    async def test_a_limit_of_the_rate_is_not_met_with_more_calls(
        self, world: World, service: str, many: str, one: str, size: int
    ) -> None:
        refs = fill(world, service, MANY[:4])
        limit = Reply(400, {"__type": "ThrottlingException", "message": "Rate exceeded"}, {"Retry-After": "3"})
        world.aws.scripts[world.account, many] = lambda _: limit
        found = await (await world.open(service)).read(refs)
        assert [(type(answer), getattr(answer, "retry_after", None)) for answer in found.values()] == [(Busy, 3.0)] * 4
        assert world.asked() == {many: 1}

    async def test_trouble_is_not_met_with_more_calls(
        self, world: World, service: str, many: str, one: str, size: int
    ) -> None:
        refs = fill(world, service, MANY[:4])
        world.aws.scripts[world.account, many] = lambda _: Reply(500, {"__type": "InternalServiceError"})
        found = await (await world.open(service)).read(refs)
        assert {type(answer) for answer in found.values()} == {Unreachable}
        assert world.asked() == {many: 1}

    async def test_a_name_that_spoils_a_call_is_kept_apart(
        self, world: World, service: str, many: str, one: str, size: int
    ) -> None:
        fill(world, service, MANY[:3])
        spoiled = Reply(400, {"__type": "ValidationException", "message": "1 validation error detected"})
        world.aws.scripts[world.account, one] = lambda asked: spoiled if "no-name" in asked.values() else None
        refs = [Ref(name) for name in (*MANY[:3], "no-name")]
        world.aws.scripts[world.account, many] = lambda asked: spoiled if "no-name" in str(asked) else None
        adapter = await world.open(service)
        for asked in ({many: 1, one: 4}, {many: 1, one: 1}):
            found = dict(await adapter.read(refs))
            assert isinstance(found.pop(Ref("no-name")), BadSpec)
            assert contents(found) == [name.encode() for name in MANY[:3]]
            assert world.asked() == asked

    async def test_what_an_answer_leaves_out_is_asked_for_by_itself(
        self, world: World, service: str, many: str, one: str, size: int
    ) -> None:
        refs = fill(world, service, MANY[:3])
        empty = Reply(200, {"SecretValues": [], "Errors": [], "Parameters": [], "InvalidParameters": []})
        world.aws.scripts[world.account, many] = lambda _: empty
        found = await (await world.open(service)).read(refs)
        assert contents(found) == [name.encode() for name in MANY[:3]]
        assert world.asked() == {many: 1, one: 3}


async def test_a_parameter_that_is_denied_does_not_sink_the_rest_and_is_kept_apart(world: World) -> None:
    refs = fill(world, STORE, MANY[:30])
    world.rights.deny.append(("*", MANY[7]))
    adapter = await world.open(STORE)
    for asked in ({"GetParameters": 3, "GetParameter": 10}, {"GetParameters": 3, "GetParameter": 1}):
        found = dict(await adapter.read(refs))
        denied = found.pop(refs[7])
        assert type(denied) is Denied
        assert len({content(answer) for answer in found.values()}) == 29
        assert world.asked() == asked


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("InvalidKeyId", ""),
        ("AccessDeniedException", "User: x is not authorized to perform: kms:Decrypt on resource: y"),
    ],
)
async def test_a_key_that_cannot_be_used_does_not_sink_parameters_under_other_keys(
    world: World, code: str, message: str
) -> None:
    refs = fill(world, STORE, MANY[:5])
    refused = Reply(400, {"__type": code, "message": message})
    world.aws.scripts[world.account, "GetParameters"] = lambda asked: refused if MANY[2] in asked["Names"] else None
    world.aws.scripts[world.account, "GetParameter"] = lambda asked: refused if asked["Name"] == MANY[2] else None
    adapter = await world.open(STORE)
    for asked in ({"GetParameters": 1, "GetParameter": 5}, {"GetParameters": 1, "GetParameter": 1}):
        found = dict(await adapter.read(refs))
        error = found.pop(refs[2])
        assert type(error) is Denied
        assert str(error).startswith(f'Parameter Store in eu-central-1 cannot decrypt parameter "{MANY[2]}": allow kms')
        assert len(contents(found)) == 4
        assert world.asked() == asked


async def test_secrets_that_fail_do_so_by_themselves(world: World) -> None:
    refs = fill(world, MANAGER, MANY[:5])
    world.rights.deny.append(("secretsmanager:GetSecretValue", MANY[0]))
    world.aws.admin(world.account, "secretsmanager", "DeleteSecret", SecretId=MANY[1])
    world.aws.admin(world.account, "secretsmanager", "CreateSecret", Name="no-value")
    refs += [Ref("no-value"), Ref("absent")]
    found = list((await (await world.open(MANAGER)).read(refs)).values())
    assert [type(answer) for answer in found if isinstance(answer, KeyferryError)] == [Denied, *[NotThere] * 3]
    assert [content(answer).decode() for answer in found[2:5]] == MANY[2:5]
    assert world.asked() == {"BatchGetSecretValue": 1}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("DecryptionFailure", Denied),
        ("AccessDeniedException", Denied),
        ("ThrottlingException", Busy),
        ("InternalServiceError", Unreachable),
        ("InvalidParameterException", BadSpec),
        ("ResourceNotFoundException", NotThere),
    ],
)
async def test_errors_within_an_answer_mean_the_same_as_those_of_a_call(
    world: World, code: str, kind: type[KeyferryError]
) -> None:
    failed = [{"SecretId": name, "ErrorCode": code, "Message": "canary"} for name in ("a", "b")]
    world.aws.scripts[world.account, "BatchGetSecretValue"] = lambda _: Reply(
        200, {"SecretValues": [], "Errors": failed}
    )
    world.aws.scripts[world.account, "GetSecretValue"] = lambda _: Reply(400, {"__type": code, "message": "canary"})
    adapter = await world.open(MANAGER)
    batched = await adapter.read([Ref("a"), Ref("b")])
    alone = await adapter.read([Ref("a")])
    assert type(batched[Ref("a")]) is kind
    assert str(batched[Ref("a")]) == str(alone[Ref("a")])
    assert "canary" not in str(alone)


async def test_an_answer_may_come_in_pages(world: World) -> None:
    refs = fill(world, MANAGER, MANY[:20])
    world.aws.pages[world.account] = 6
    found = await (await world.open(MANAGER)).read(refs)
    assert contents(found) == [name.encode() for name in MANY[:20]]
    assert world.asked() == {"BatchGetSecretValue": 4}


async def test_pages_that_never_end_are_given_up(world: World) -> None:
    world.aws.scripts[world.account, "BatchGetSecretValue"] = lambda _: Reply(
        200, {"SecretValues": [], "Errors": [], "NextToken": "again"}
    )
    found = await (await world.open(MANAGER)).read([Ref("a"), Ref("b")])
    assert {type(answer) for answer in found.values()} == {Unreachable}
    assert world.asked() == {"BatchGetSecretValue": 2}
