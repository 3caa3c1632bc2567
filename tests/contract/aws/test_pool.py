"""What the pool of adapters makes of AWS stores: whose session reads, and under which name calls are counted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from keyferry.errors import Denied
from keyferry.fetch.pool import Pool
from keyferry.ports import CallerNeeded, Credentials, Ref, StoreIdentity
from keyferry.providers.aws import Aws
from keyferry.providers.aws.sdk import Sdk, Signer
from tests.contract.aws.support import MANAGER, STORE, World, content, keys_in
from tests.sandbox.aws import REGION
from tests.support.objects import store
from tests.unit.fetch import adapters


class Opener(adapters.Opener):
    """Gives the world's credentials to whoever asks, and notes the labels."""

    def __init__(self, world: World) -> None:
        super().__init__(Aws)
        self._world = world
        self.labels: list[str] = []

    def credentials(self, identity: StoreIdentity) -> Credentials:
        return self._world.credentials

    def observe(self, label: str) -> Callable[[str], AbstractContextManager[None]]:
        self.labels.append(label)
        return lambda _call: nullcontext()


def shared(world: World, **aws: Any) -> Any:
    """A ClusterSecretStore whose keys lie in one namespace for all."""
    auth = keys_in("keys")
    for selector in auth["secretRef"].values():
        selector["namespace"] = "default"
    spec = {"service": MANAGER, "region": REGION, "auth": auth, **aws}
    return store(namespace="", name="-".join(["shared", *aws]).lower(), provider={"aws": spec})


async def test_every_namespace_reads_with_a_session_that_bears_its_name(world: World) -> None:
    world.aws.put_secret(world.account, "db", "v")
    about: dict[str, Any] = {"trusts": (world.user.arn,), "tags": {"esoNamespace": "red"}}
    arn = world.aws.directory.role(world.account, "tenants", **about).arn
    pool = Pool(Opener(world), timeout=30)
    tagged = shared(world, role=arn, sessionTagsPolicy="Simple")
    async with pool.lease(tagged, "red") as red, pool.lease(tagged, "blue") as blue, pool.lease(tagged, "red") as again:
        assert red is again
        assert content((await red.adapter.read([Ref("db")]))[Ref("db")]) == b"v"
        assert isinstance((await blue.adapter.read([Ref("db")]))[Ref("db")], Denied)
    with pytest.raises(CallerNeeded):
        async with pool.lease(tagged, ""):
            pass
    plain = shared(world, role=arn)
    async with pool.lease(plain, "red") as one, pool.lease(plain, "blue") as other:
        assert one is other
    await pool.aclose()


async def test_calls_are_counted_under_the_name_of_the_service(world: World) -> None:
    opener = Opener(world)
    pool = Pool(opener, timeout=30)
    for service in (MANAGER, STORE):
        async with pool.lease(shared(world, service=service), "red"):
            pool.retire("uid-of-cluster-shared-service")
    assert set(opener.labels) == {"AWS/SecretsManager", "AWS/ParameterStore"}
    await pool.aclose()


def test_sessions_share_the_descriptions_of_services_and_no_credentials() -> None:
    sdk = Sdk(region=REGION, timeout=1.0, environment={})
    one, other = sdk._session(None), Sdk(region=REGION, timeout=1.0, environment={})._session(None)
    assert one.get_component("data_loader") is other.get_component("data_loader")
    assert one.get_component("credential_provider") is not other.get_component("credential_provider")
    signers = [Signer(), Signer()]
    clients = [sdk.client("ssm", signer) for signer in signers]
    assert [client._request_signer._credentials for client in clients] == signers
    for client in clients:
        client.close()
