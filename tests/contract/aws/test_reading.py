"""Keys, versions and values of both services."""

from __future__ import annotations

import json
import os

import pytest

from keyferry.errors import BadSpec, NotThere, PropertyNotThere
from keyferry.ports import Ref
from tests.contract.aws.support import MANAGER, STORE, World, contents, fetched, value
from tests.sandbox.aws import Reply


class TestSecrets:
    async def test_text_and_bytes_are_read_alike(self, world: World) -> None:
        world.aws.put_secret(world.account, "text", "päß")
        world.aws.put_secret(world.account, "bytes", bytes(range(256)))
        adapter = await world.open()
        assert await value(adapter, "text") == "päß".encode()
        assert await value(adapter, "bytes") == bytes(range(256))
        batched = await adapter.read([Ref("text"), Ref("bytes")])
        assert contents(batched) == ["päß".encode(), bytes(range(256))]

    async def test_the_largest_secret_arrives_whole(self, world: World) -> None:
        large, raw = os.urandom(2**15).hex(), os.urandom(2**16)
        world.aws.put_secret(world.account, "large", large)
        world.aws.put_secret(world.account, "raw", raw)
        adapter = await world.open()
        assert await value(adapter, "large") == large.encode()
        assert await value(adapter, "raw") == raw

    async def test_versions_are_read_by_stage_and_by_id(self, world: World) -> None:
        first = world.aws.put_secret(world.account, "db", "first")
        second = world.aws.put_secret(world.account, "db", "second")
        adapter = await world.open()
        current = await fetched(adapter, "db")
        assert (current.document, current.version) == (b"second", second)
        assert await value(adapter, Ref("db", "AWSCURRENT")) == b"second"
        assert await value(adapter, Ref("db", "AWSPREVIOUS")) == b"first"
        assert await value(adapter, Ref("db", f"uuid/{first}")) == b"first"

    async def test_a_stage_that_is_moved_takes_the_value_along(self, world: World) -> None:
        first = world.aws.put_secret(world.account, "db", "first")
        second = world.aws.put_secret(world.account, "db", "second")
        world.aws.put_secret(world.account, "web", "web")
        moved = {"SecretId": "db", "VersionStage": "AWSCURRENT", "MoveToVersionId": first}
        world.aws.admin(
            world.account, "secretsmanager", "UpdateSecretVersionStage", RemoveFromVersionId=second, **moved
        )
        adapter = await world.open()
        assert await value(adapter, "db") == b"first"
        batched = await adapter.read([Ref("db"), Ref("web")])
        assert contents(batched) == [b"first", b"web"]

    async def test_a_version_that_is_missing_does_not_pass_for_a_missing_secret(self, world: World) -> None:
        world.aws.put_secret(world.account, "db", "v")
        adapter = await world.open()
        with pytest.raises(PropertyNotThere) as caught:
            await value(adapter, Ref("db", "uuid/00000000-0000-4000-8000-000000000000"))
        assert str(caught.value) == (
            'secret "db" has no version "uuid/00000000-0000-4000-8000-000000000000": check remoteRef.version'
        )
        missing = "Secrets Manager can't find the specified secret value for staging label: BLUE"
        world.aws.scripts[world.account, "GetSecretValue"] = lambda _: Reply(
            400, {"__type": "ResourceNotFoundException", "message": missing}
        )
        with pytest.raises(PropertyNotThere, match='secret "db" has no version "BLUE"'):
            await value(adapter, Ref("db", "BLUE"))

    async def test_a_secret_without_any_value_is_not_there(self, world: World) -> None:
        world.aws.admin(world.account, "secretsmanager", "CreateSecret", Name="empty")
        with pytest.raises(NotThere):
            await value(await world.open(), "empty")

    async def test_a_secret_that_is_scheduled_for_deletion_is_not_there(self, world: World) -> None:
        world.aws.put_secret(world.account, "db", "v")
        world.aws.admin(world.account, "secretsmanager", "DeleteSecret", SecretId="db")
        adapter = await world.open()
        for ref in (Ref("db"), Ref("db", metadata=True)):
            with pytest.raises(NotThere):
                await value(adapter, ref)

    async def test_arns_are_keys_with_and_without_their_ending_and_never_take_the_prefix(self, world: World) -> None:
        world.aws.put_secret(world.account, "team/db", "v")
        world.aws.put_secret(world.account, "team/web", "w")
        about = world.aws.admin(world.account, "secretsmanager", "DescribeSecret", SecretId="team/db")
        whole, partial = about["ARN"], about["ARN"][:-7]
        adapter = await world.open(prefix="team/")
        for key in (whole, partial, "db"):
            assert await value(adapter, key) == b"v"
        world.asked()
        found = await adapter.read([Ref(whole), Ref(partial), Ref("db"), Ref("web")])
        assert contents(found) == [b"v", b"v", b"v", b"w"]
        assert world.asked() == {"BatchGetSecretValue": 1}

    async def test_a_prefix_stands_before_every_key(self, world: World) -> None:
        world.aws.put_secret(world.account, "team/db", "v", tags={"a": "b"})
        adapter = await world.open(prefix="team/")
        assert await value(adapter, "db") == b"v"
        assert await value(adapter, Ref("db", metadata=True)) == b'{"a":"b"}'
        with pytest.raises(NotThere, match='secret "team/team/db" does not exist in Secrets Manager in eu-central-1'):
            await value(adapter, "team/db")

    async def test_metadata_are_the_tags_sorted_by_key(self, world: World) -> None:
        world.aws.put_secret(world.account, "db", "v", tags={"b": "2", "a": "ö"})
        world.aws.put_secret(world.account, "bare", "v")
        adapter = await world.open()
        assert (await value(adapter, Ref("db", metadata=True))).decode() == '{"a":"ö","b":"2"}'
        assert await value(adapter, Ref("bare", metadata=True)) == b"{}"
        with pytest.raises(NotThere):
            await value(adapter, Ref("absent", metadata=True))

    async def test_regions_are_kept_apart(self, world: World) -> None:
        world.aws.put_secret(world.account, "db", "here")
        world.aws.put_secret(world.account, "db", "there", region="us-east-1")
        assert await value(await world.open(), "db") == b"here"
        assert await value(await world.open(region="us-east-1"), "db") == b"there"


class TestParameters:
    async def test_every_kind_of_parameter_is_its_text_decrypted(self, world: World) -> None:
        for kind in ("String", "StringList", "SecureString"):
            world.aws.put_parameter(world.account, f"/app/{kind}", "a,b", kind=kind)
        adapter = await world.open(STORE)
        found = await adapter.read([Ref(f"/app/{kind}") for kind in ("String", "StringList", "SecureString")])
        assert contents(found) == [b"a,b"] * 3
        assert await value(adapter, "/app/SecureString") == b"a,b"

    async def test_the_largest_parameter_arrives_whole(self, world: World) -> None:
        large = os.urandom(2**12).hex()
        world.aws.put_parameter(world.account, "large", large)
        assert await value(await world.open(STORE), "large") == large.encode()

    async def test_versions_are_read_by_number_and_by_label(self, world: World) -> None:
        for each in ("one", "two", "three"):
            world.aws.put_parameter(world.account, "db", each)
        world.aws.admin(world.account, "ssm", "LabelParameterVersion", Name="db", ParameterVersion=2, Labels=["blue"])
        adapter = await world.open(STORE)
        current = await fetched(adapter, "db")
        assert (current.document, current.version) == (b"three", "3")
        found = await adapter.read([Ref("db"), Ref("db", "1"), Ref("db", "blue"), Ref("db:2")])
        assert contents(found) == [b"three", b"one", b"two", b"two"]
        assert world.asked() == {"GetParameter": 1, "GetParameters": 1}

    async def test_a_version_that_is_missing_does_not_pass_for_a_missing_parameter(self, world: World) -> None:
        world.aws.put_parameter(world.account, "db", "v")
        found = await (await world.open(STORE)).read([Ref("db", "7"), Ref("absent"), Ref("db")])
        assert [type(answer).__name__ for answer in found.values()] == ["PropertyNotThere", "NotThere", "Fetched"]
        assert str(found[Ref("db", "7")]) == 'parameter "db" has no version "7": check remoteRef.version'

    async def test_arns_are_keys_and_never_take_the_prefix(self, world: World) -> None:
        world.aws.put_parameter(world.account, "/team/db", "one")
        world.aws.put_parameter(world.account, "/team/db", "two")
        arn = f"arn:aws:ssm:eu-central-1:{world.account}:parameter/team/db"
        adapter = await world.open(STORE, prefix="/team/")
        found = await adapter.read([Ref(arn), Ref(arn, "1"), Ref("db"), Ref("db", "1")])
        assert contents(found) == [b"two", b"one", b"two", b"one"]
        assert world.asked() == {"GetParameters": 1}
        absent = Ref(arn + "x", "1")
        assert str((await adapter.read([absent]))[absent]).startswith(f'parameter "{arn}x" ')

    async def test_metadata_are_the_tags_whatever_the_version(self, world: World) -> None:
        world.aws.put_parameter(world.account, "db", "v", tags={"b": "2", "a": "1"})
        adapter = await world.open(STORE)
        for version in ("", "1"):
            assert json.loads(await value(adapter, Ref("db", version, metadata=True))) == {"a": "1", "b": "2"}
        with pytest.raises(NotThere):
            await value(adapter, Ref("absent", metadata=True))


@pytest.mark.parametrize("service", [MANAGER, STORE])
async def test_an_empty_key_is_no_key(world: World, service: str) -> None:
    with pytest.raises(BadSpec):
        await value(await world.open(service), "")
    assert world.asked() == {}
