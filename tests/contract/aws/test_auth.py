"""Every way to be somebody for AWS: keys, ServiceAccounts, roles and chains of roles."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from keyferry.errors import BadSpec, Denied
from keyferry.ports import CallerNeeded, Ref, StoreIdentity, Token, Validation
from keyferry.providers.aws.sts import session_name
from tests.contract.aws.support import MANAGER, STORE, World, contents, keys_in, value
from tests.sandbox.aws import Rights, Role

JWT = {"jwt": {"serviceAccountRef": {"name": "app"}}}


def service_account(world: World, role: str, *, audience: str = "sts.amazonaws.com", **annotations: str) -> None:
    """ServiceAccount ``default/app`` with a role; what TokenRequest answers has the audience."""
    place = ("default", "app")
    world.credentials.annotations[place] = {"eks.amazonaws.com/role-arn": role, **annotations}
    token = world.aws.directory.issue("system:serviceaccount:default:app", audience)
    world.credentials.tokens[place] = Token(token, 0.0)


def role(world: World, name: str, **about: Any) -> Role:
    """A role of the account that its user may assume, if nothing else is said."""
    return world.aws.directory.role(world.account, name, **({"trusts": (world.user.arn,)} | about))


class TestKeys:
    async def test_temporary_keys_take_their_session_token(self, world: World) -> None:
        world.aws.put_secret(world.account, "db", "v")
        session = world.aws.directory.open(role(world, "reader"), {"RoleSessionName": "x"})
        world.plant("session", session)
        assert await value(await world.open(auth=keys_in("session", token=True)), "db") == b"v"
        with pytest.raises(Denied, match="does not accept the credentials"):
            await value(await world.open(auth=keys_in("session")), "db")

    async def test_what_editors_leave_around_a_key_is_not_part_of_it(self, world: World) -> None:
        world.aws.put_secret(world.account, "db", "v")
        keys = world.credentials.secrets["default", "keys"]
        keys["key"] = b" " + keys["key"] + b"\n"
        assert await value(await world.open(), "db") == b"v"

    @pytest.mark.parametrize("found", [b"", b"\n", b"a\x00b", "schlüssel".encode(), b"\xff"])
    async def test_what_cannot_be_a_key_is_told_with_its_field_and_without_it(self, world: World, found: bytes) -> None:
        world.credentials.secrets["default", "keys"]["key"] = found
        with pytest.raises(BadSpec) as caught:
            await world.open()
        assert str(caught.value) == (
            "auth.secretRef.secretAccessKeySecretRef holds nothing that could be part of an AWS credential: "
            "check its value"
        )

    @pytest.mark.parametrize("field", ["accessKeyIDSecretRef", "secretAccessKeySecretRef"])
    async def test_half_a_credential_is_refused(self, world: World, field: str) -> None:
        auth = keys_in("keys")
        del auth["secretRef"][field]
        with pytest.raises(BadSpec, match=rf"auth\.secretRef\.{field} is not set"):
            await world.open(auth=auth)

    async def test_keys_that_are_wrong_are_told_apart_from_rights_that_are_missing(self, world: World) -> None:
        world.aws.put_secret(world.account, "db", "v")
        adapter = await world.open()
        world.rights.allow.clear()
        with pytest.raises(Denied) as missing:
            await value(adapter, "db")
        assert str(missing.value) == (
            'Secrets Manager in eu-central-1 does not permit to read secret "db": no identity-based policy allows it: '
            f"allow secretsmanager:GetSecretValue to arn:aws:iam::{world.account}:user/reader"
        )
        assert await adapter.validate() is Validation.READY
        world.user.secret_key = "another"
        with pytest.raises(Denied) as wrong:
            await value(adapter, "db")
        assert str(wrong.value) == (
            "Secrets Manager in eu-central-1 does not accept the credentials: "
            "check access key, secret key and session token"
        )
        with pytest.raises(Denied, match="STS in eu-central-1 does not accept the credentials"):
            await adapter.validate()


class TestServiceAccounts:
    async def test_a_service_account_assumes_the_role_of_its_annotation(self, world: World) -> None:
        world.aws.put_secret(world.account, "db", "v")
        arn = role(world, "irsa", subject="system:serviceaccount:default:app").arn
        service_account(world, arn)
        adapter = await world.open(auth=JWT)
        assert await value(adapter, "db") == b"v"
        assert await adapter.validate() is Validation.READY
        assert world.credentials.token_requests == [("default", "app", ("sts.amazonaws.com",), 600)]
        (asked,) = (asked for assumed, asked in world.aws.directory.sessions if assumed.arn == arn)
        assert asked["RoleSessionName"] == "external-secrets-provider-aws"

    async def test_the_audience_comes_from_its_annotation_and_more_from_the_store(self, world: World) -> None:
        world.aws.put_secret(world.account, "db", "v")
        arn = role(world, "irsa", subject="system:serviceaccount:default:app", audience="mine").arn
        service_account(world, arn, audience="mine", **{"eks.amazonaws.com/audience": "mine"})
        jwt = {"jwt": {"serviceAccountRef": {"name": "app", "audiences": ["more"]}}}
        assert await value(await world.open(auth=jwt), "db") == b"v"
        assert world.credentials.token_requests == [("default", "app", ("mine", "more"), 600)]

    async def test_it_wins_over_keys(self, world: World) -> None:
        world.aws.put_secret(world.account, "db", "v")
        arn = role(world, "irsa", subject="system:serviceaccount:default:app").arn
        service_account(world, arn)
        assert await value(await world.open(auth={**keys_in("absent"), **JWT}), "db") == b"v"

    async def test_one_without_the_annotation_is_refused(self, world: World) -> None:
        world.credentials.annotations["default", "app"] = {"other": "annotation"}
        with pytest.raises(BadSpec) as caught:
            await world.open(auth=JWT)
        assert str(caught.value) == (
            'auth.jwt.serviceAccountRef: ServiceAccount "app" has no annotation eks.amazonaws.com/role-arn: '
            "annotate it with a role's ARN"
        )
        with pytest.raises(BadSpec, match=r"auth\.jwt\.serviceAccountRef is not set"):
            await world.open(auth={"jwt": {}})

    async def test_a_role_that_does_not_trust_it_is_told_with_the_remedy(self, world: World) -> None:
        arn = role(world, "irsa", subject="system:serviceaccount:default:another").arn
        service_account(world, arn)
        adapter = await world.open(auth=JWT)
        expected = (
            f"STS in eu-central-1 does not permit to assume role {arn} with the token of the ServiceAccount: let the "
            "trust policy of the role allow sts:AssumeRoleWithWebIdentity to the ServiceAccount"
        )
        for asking in (value(adapter, "db"), adapter.validate()):
            with pytest.raises(Denied) as caught:
                await asking
            assert str(caught.value) == expected

    async def test_an_audience_that_nobody_trusts_is_told(self, world: World) -> None:
        service_account(world, role(world, "irsa", subject="system:serviceaccount:default:app").arn, audience="mine")
        with pytest.raises(Denied, match="does not trust the issuer or the audience of the ServiceAccount's token"):
            await value(await world.open(auth=JWT), "db")


class TestRoles:
    async def test_a_role_is_assumed_with_the_keys_and_named_after_the_store(self, world: World) -> None:
        world.aws.put_secret(world.account, "db", "v")
        arn = role(world, "reader", rights=Rights(allow=[("secretsmanager:GetSecretValue", "db")])).arn
        world.rights.allow.clear()
        assert await value(await world.open(role=arn), "db") == b"v"
        (asked,) = (asked for assumed, asked in world.aws.directory.sessions if assumed.arn == arn)
        assert asked["RoleSessionName"] == "keyferry.default.store"
        assert "DurationSeconds" not in asked

    async def test_a_role_of_another_account_reads_there(self, world: World) -> None:
        there = world.aws.account()
        world.aws.put_secret(there, "db", "there")
        world.aws.put_secret(world.account, "db", "here")
        arn = world.aws.directory.role(there, "reader", trusts=(world.user.arn,)).arn
        assert await value(await world.open(role=arn), "db") == b"there"

    async def test_roles_are_assumed_one_after_the_other(self, world: World) -> None:
        world.aws.put_secret(world.account, "db", "v")
        first = role(world, "first")
        second = role(world, "second", trusts=(f"arn:aws:sts::{world.account}:assumed-role/first/*",))
        last = role(world, "last", trusts=(f"arn:aws:sts::{world.account}:assumed-role/second/*",), external_id="id")
        adapter = await world.open(additionalRoles=[first.arn, second.arn], role=last.arn, externalID="id")
        assert await value(adapter, "db") == b"v"
        assert world.asked() == {"AssumeRole": 3, "GetSecretValue": 1}
        assumed = [(each, asked) for each, asked in world.aws.directory.sessions if each.account == world.account]
        assert [each.arn for each, _ in assumed] == [first.arn, second.arn, last.arn]
        assert ["ExternalId" in asked for _, asked in assumed] == [False, False, True]

    async def test_additional_roles_alone_are_a_chain_too(self, world: World) -> None:
        world.aws.put_parameter(world.account, "db", "v")
        world.rights.allow.clear()
        assert await value(await world.open(STORE, additionalRoles=[role(world, "only").arn]), "db") == b"v"

    async def test_a_service_account_goes_on_to_a_role(self, world: World) -> None:
        world.aws.put_secret(world.account, "db", "v")
        irsa = role(world, "irsa", subject="system:serviceaccount:default:app", rights=Rights(allow=[]))
        service_account(world, irsa.arn)
        web = f"arn:aws:sts::{world.account}:assumed-role/irsa/external-secrets-provider-aws"
        last = role(world, "last", trusts=(web,))
        assert await value(await world.open(auth=JWT, role=last.arn), "db") == b"v"

    async def test_a_wrong_external_id_is_told_with_the_remedy(self, world: World) -> None:
        arn = role(world, "reader", external_id="right").arn
        with pytest.raises(Denied) as caught:
            await value(await world.open(role=arn, externalID="wrong"), "db")
        assert str(caught.value) == (
            f"STS in eu-central-1 does not permit to assume role {arn}: let the trust policy of the role and the "
            "policies of the identity allow sts:AssumeRole, and sts:TagSession for session tags; check externalID"
        )

    async def test_what_sts_cannot_take_is_told_with_the_remedy(self, world: World) -> None:
        arn = role(world, "reader").arn
        with pytest.raises(BadSpec) as caught:
            await value(await world.open(role=arn, externalID="x"), "db")
        assert str(caught.value) == (
            f"the AWS SDK refuses to assume role {arn}: check the role, externalID and session tags"
        )

    @pytest.mark.parametrize(
        ("store", "name"),
        [
            (("SecretStore", "db", "team"), "keyferry.team.db"),
            (("ClusterSecretStore", "db", ""), "keyferry.db"),
            (("SecretStore", "x" * 253, "team"), ("keyferry.team." + "x" * 253)[:64]),
        ],
    )
    def test_a_session_is_named_after_the_store_within_the_limits_of_aws(
        self, store: tuple[Any, str, str], name: str
    ) -> None:
        kind, store_name, namespace = store
        identity = StoreIdentity(kind=kind, name=store_name, namespace=namespace, caller="x")
        assert session_name(identity) == name


class TestSessionTags:
    async def tags(self, world: World, **changes: Any) -> dict[str, Any]:
        """What the session of a role was asked for with."""
        arn = role(world, "tagged").arn
        adapter = await world.open(role=arn, **changes)
        await adapter.validate()
        (asked,) = (asked for assumed, asked in world.aws.directory.sessions if assumed.arn == arn)
        return {"Tags": asked["Tags"], "TransitiveTagKeys": asked["TransitiveTagKeys"]}

    async def test_tags_and_transitive_keys_go_along(self, world: World) -> None:
        given = [{"key": "team", "value": "red"}, {"key": "env", "value": "prod"}]
        assert await self.tags(world, sessionTags=given, transitiveTagKeys=["team", "env"]) == {
            "Tags": {"team": "red", "env": "prod"},
            "TransitiveTagKeys": ["team", "env"],
        }

    async def test_simple_tells_namespace_and_store_in_place_of_the_given_tags(self, world: World) -> None:
        given = [{"key": "team", "value": "red"}]
        found = await self.tags(world, sessionTags=given, sessionTagsPolicy="Simple")
        assert found["Tags"] == {"esoNamespace": "default", "esoStoreName": "store", "esoStoreKind": "SecretStore"}

    async def test_custom_adds_tags_that_cannot_take_the_place_of_ours(self, world: World) -> None:
        custom = {"team": "red", "empty": "", "esoNamespace": "another"}
        found = await self.tags(world, sessionTagsPolicy="Custom", customSessionTags=custom)
        assert found["Tags"] == {
            "team": "red",
            "esoNamespace": "default",
            "esoStoreName": "store",
            "esoStoreKind": "SecretStore",
        }

    async def test_custom_tags_wait_for_their_policy(self, world: World) -> None:
        assert (await self.tags(world, customSessionTags={"team": "red"}))["Tags"] == {}

    async def test_a_cluster_store_tells_the_namespace_of_each_caller(self, world: World) -> None:
        world.aws.put_secret(world.account, "db", "v")
        arn = role(world, "tagged", tags={"esoNamespace": "red"}).arn
        for caller, outcome in (("red", b"v"), ("blue", None)):
            world.context["store"] = StoreIdentity("ClusterSecretStore", "shared", "", caller)
            adapter = await world.open(role=arn, sessionTagsPolicy="Simple")
            if outcome is None:
                with pytest.raises(Denied, match="sts:TagSession"):
                    await value(adapter, "db")
            else:
                assert await value(adapter, "db") == outcome

    async def test_a_cluster_store_that_tells_its_caller_needs_one(self, world: World) -> None:
        world.context["store"] = StoreIdentity("ClusterSecretStore", "shared", "", "")
        arn = role(world, "tagged").arn
        with pytest.raises(CallerNeeded, match="tells AWS the namespace"):
            await world.open(role=arn, sessionTagsPolicy="Simple")
        assert await (await world.open(role=arn)).validate() is Validation.READY


class TestStores:
    @pytest.mark.parametrize(
        ("changes", "text"),
        [
            ({"service": "CertificateManager"}, "service: CertificateManager is not served yet: use SecretsManager"),
            ({"region": "eu central"}, "region is no region of AWS: write it like eu-central-1"),
            ({"region": "x.evil.example"}, "region is no region of AWS"),
            ({"secretsManager": {"recoveryWindowInDays": 3}}, "not between 7 and 30"),
            ({"secretsManager": {"recoveryWindowInDays": 9, "forceDeleteWithoutRecovery": True}}, "conflicts with"),
        ],
    )
    async def test_what_cannot_be_is_refused_when_the_store_is_opened(
        self, world: World, changes: dict[str, Any], text: str
    ) -> None:
        with pytest.raises(BadSpec, match=text):
            await world.open(**changes)

    async def test_an_endpoint_that_is_no_url_is_told_by_its_variable(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_SSM_ENDPOINT", "ssm.example.com")
        with pytest.raises(BadSpec, match="AWS_SSM_ENDPOINT of Keyferry's environment is no http or https URL"):
            await world.open()

    async def test_stores_of_two_accounts_never_mix(self, world: World) -> None:
        """Same names, other values, at the same time, with keys, roles and both services."""
        worlds = [world, World(world.aws)]
        names = [f"app/{number}" for number in range(25)]
        for each in worlds:
            for name in names:
                each.aws.put_secret(each.account, name, f"{each.account} {name}")
                each.aws.put_parameter(each.account, name, f"{each.account} {name}")
        opened = []
        for each in worlds:
            arn = role(each, "reader").arn
            for service in (MANAGER, STORE):
                opened += [(each, await each.open(service)), (each, await each.open(service, role=arn))]
        for _ in range(3):
            answers = await asyncio.gather(*(adapter.read([Ref(name) for name in names]) for _, adapter in opened))
            for (each, _), found in zip(opened, answers, strict=True):
                assert contents(found) == [f"{each.account} {name}".encode() for name in names]
        await worlds[1].aclose()
