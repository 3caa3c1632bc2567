"""Which hosts a store may name, and who may be sent where."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from keyferry.addresses import Addresses, networks
from keyferry.errors import BadSpec, Denied
from keyferry.ports import StoreIdentity
from keyferry.providers.azurekv.config import AzureKVConfig
from keyferry.providers.azurekv.places import places
from tests.contract.azurekv.support import CLIENT, SECRET, World, failure, read
from tests.sandbox.azure import CLOUDS, READ, TENANT
from tests.support import pages

ANYWHERE = Addresses(everything=True)
CLUSTER = StoreIdentity(kind="ClusterSecretStore", name="store", namespace="", caller="default")
OWN: list[dict[str, Any]] = [
    {"authType": "ManagedIdentity"},
    {"authType": "WorkloadIdentity"},
]


def config(**fields: Any) -> AzureKVConfig:
    return AzureKVConfig.parse({"vaultUrl": "https://shop.vault.azure.net"} | fields)


@pytest.mark.parametrize("name", CLOUDS)
async def test_every_cloud_has_its_own_hosts(world: World, name: str) -> None:
    login, domain = CLOUDS[name]
    vault = world.cloud.vault("sovereign", cloud=name)
    vault.put("db", "s3cret")
    vault.rights[CLIENT] = READ
    adapter = await world.open(vaultUrl=f"{vault.url}/", environmentType=name)
    assert await read(adapter, "db") == b"s3cret"
    assert set(world.cloud.connects) == {f"{login}:443", f"sovereign.{domain}:443"}


async def test_china_logs_in_where_its_clusters_issuer_is(world: World) -> None:
    partner = "login.partner.microsoftonline.cn"
    world.cloud.login_host(partner)
    vault = world.cloud.vault("partner", cloud="ChinaCloud")
    vault.put("db", "s3cret")
    vault.rights[CLIENT] = READ
    custom = {"activeDirectoryEndpoint": f"https://{partner}/", "keyVaultEndpoint": "https://vault.azure.cn/"}
    adapter = await world.open(vaultUrl=vault.url, environmentType="ChinaCloud", customCloudConfig=custom)
    assert await read(adapter, "db") == b"s3cret"
    assert f"{partner}:443" in world.cloud.connects


@pytest.mark.parametrize(
    "more",
    [
        {"keyVaultDNSSuffix": ".vault.local.azurestack.external"},
        {"keyVaultDNSSuffix": "azurestack.external", "keyVaultEndpoint": "https://other.example.com/"},
        {"keyVaultEndpoint": "https://vault.local.azurestack.external/"},
        {},
    ],
)
async def test_azure_stack_has_the_hosts_that_the_store_names(world: World, more: dict[str, str]) -> None:
    login = "login.local.azurestack.external"
    world.cloud.login_host(login)
    vault = world.cloud.vault(f"stack-{len(str(more))}", domain="vault.local.azurestack.external")
    vault.put("db", "s3cret")
    vault.rights[CLIENT] = READ
    custom = {"activeDirectoryEndpoint": f"https://{login}/", "resourceManagerEndpoint": "https://x"} | more
    adapter = await world.open(
        vaultUrl=vault.url, environmentType="AzureStackCloud", useAzureSDK=True, customCloudConfig=custom
    )
    assert await read(adapter, "db") == b"s3cret"


async def test_a_login_below_a_path_is_adfs(world: World) -> None:
    login = "adfs.local.azurestack.external"
    world.cloud.login_host(login)
    world.cloud.entra.register(CLIENT, tenant="adfs").secrets[SECRET] = math.inf
    vault = world.cloud.vault("adfs", tenant="adfs", domain="vault.local.azurestack.external")
    vault.authority = f"https://{login}"
    vault.put("db", "s3cret")
    vault.rights[CLIENT] = READ
    adapter = await world.open(
        vaultUrl=vault.url,
        tenantId="adfs",
        environmentType="AzureStackCloud",
        customCloudConfig={"activeDirectoryEndpoint": f"https://{login}"},
    )
    assert await read(adapter, "db") == b"s3cret"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"vaultUrl": "http://shop.vault.azure.net"}, "vaultUrl is not https"),
        ({"vaultUrl": "shop.vault.azure.net"}, "vaultUrl is no http or https URL"),
        ({"vaultUrl": "https://shop.vault.azure.net/secrets"}, 'vaultUrl has a path, "/secrets"'),
        ({"vaultUrl": "https://me@shop.vault.azure.net"}, "vaultUrl carries credentials"),
        ({"vaultUrl": "https://shop.vault.azure.net?x=1"}, "vaultUrl has a query"),
        ({"vaultUrl": "https://vault.azure.net"}, '"vault.azure.net" is no vault of PublicCloud'),
        ({"vaultUrl": "https://vault.azure.net.example.com"}, "is no vault of PublicCloud"),
        ({"vaultUrl": "https://evilvault.azure.net"}, "is no vault of PublicCloud"),
        ({"vaultUrl": "https://10.0.0.7"}, "is no vault of PublicCloud"),
        ({"environmentType": "ChinaCloud"}, "are below vault.azure.cn or managedhsm.azure.cn"),
        ({"environmentType": "GermanCloud"}, "Azure Germany was closed"),
        ({"environmentType": "AzureStackCloud"}, "set customCloudConfig"),
        (
            {"customCloudConfig": {"activeDirectoryEndpoint": "http://login.example.com"}},
            "customCloudConfig.activeDirectoryEndpoint is not https",
        ),
        ({"customCloudConfig": {"activeDirectoryEndpoint": "x"}}, "activeDirectoryEndpoint is no http or https URL"),
    ],
)
def test_addresses_that_cannot_be_are_told(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(BadSpec) as caught:
        places(config(**fields), ANYWHERE)
    assert told in str(caught.value)


def test_the_default_port_and_the_case_of_a_name_make_no_difference() -> None:
    for url in ("https://Shop.Vault.Azure.NET", "https://shop.vault.azure.net:443/", " https://shop.vault.azure.net "):
        assert places(config(vaultUrl=url), ANYWHERE).vault == "https://shop.vault.azure.net"
    assert places(config(vaultUrl="https://shop.vault.azure.net:8443"), ANYWHERE).vault.endswith(":8443")


class TestOwnIdentity:
    """Keyferry's own identity is worth more than a tenant's."""

    CUSTOM = (
        {"activeDirectoryEndpoint": "https://login.example.com"},
        {"activeDirectoryEndpoint": "https://login.microsoftonline.com", "keyVaultDNSSuffix": "azure.net"},
        {"activeDirectoryEndpoint": "https://login.microsoftonline.com/x"},
    )

    @pytest.mark.parametrize("own", OWN)
    @pytest.mark.parametrize("custom", CUSTOM)
    async def test_a_secretstore_cannot_send_it_to_hosts_of_its_own_choice(
        self, world: World, own: dict[str, Any], custom: dict[str, str]
    ) -> None:
        with pytest.raises(BadSpec, match="to endpoints that are not Microsoft's"):
            await world.open(**own, customCloudConfig=custom)

    @pytest.mark.parametrize("custom", CUSTOM)
    async def test_a_clustersecretstore_may(self, world: World, custom: dict[str, str]) -> None:
        await world.open(authType="ManagedIdentity", customCloudConfig=custom, context={"store": CLUSTER})

    async def test_hosts_of_microsoft_are_no_choice_of_its_own(self, world: World) -> None:
        custom = {"activeDirectoryEndpoint": "https://login.partner.microsoftonline.cn/"}
        url = "https://shop.vault.azure.cn"
        await world.open(
            authType="ManagedIdentity", environmentType="ChinaCloud", vaultUrl=url, customCloudConfig=custom
        )


class TestAddresses:
    """What administrators keep from the authors of SecretStores."""

    RULES = Addresses(refused=networks(["10.0.0.0/8"]))

    @pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "10.1.2.3", "[::1]", "168.63.129.16"])
    @pytest.mark.parametrize("field", ["vaultUrl", "activeDirectoryEndpoint"])
    async def test_addresses_are_judged_when_the_store_is_opened(self, world: World, host: str, field: str) -> None:
        login = f"https://{host}" if field == "activeDirectoryEndpoint" else "https://login.microsoftonline.com"
        changes: dict[str, Any] = {"vaultUrl": f"https://{host}"} if field == "vaultUrl" else {}
        with pytest.raises(Denied, match="a SecretStore may not reach"):
            await world.open(
                **changes,
                environmentType="AzureStackCloud",
                customCloudConfig={"activeDirectoryEndpoint": login},
                context={"addresses": self.RULES},
            )

    async def test_names_are_judged_by_what_they_resolve_to(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HTTPS_PROXY")
        adapter = await world.open(
            vaultUrl="https://localhost",
            environmentType="AzureStackCloud",
            customCloudConfig={"activeDirectoryEndpoint": "https://login.microsoftonline.com"},
            context={"addresses": self.RULES},
        )
        error = await failure(adapter)
        assert type(error) is Denied
        assert str(error).startswith('a SecretStore may not reach "localhost"')

    async def test_a_proxy_and_the_metadata_service_are_not_the_author_s_choice(self, world: World) -> None:
        world.cloud.entra.assigned["node"] = TENANT
        world.vault.rights["node"] = READ
        world.vault.put("db", "s3cret")
        assert "//127.0.0.1:" in world.cloud.environment["HTTPS_PROXY"]
        adapter = await world.open(authType="ManagedIdentity", context={"addresses": self.RULES})
        assert await read(adapter, "db") == b"s3cret"


def test_every_way_to_log_in_has_an_example() -> None:
    page = Path(pages.DOCS, "providers", "azurekv.md").read_text("utf-8")
    stores = [
        found["spec"]["provider"]["azurekv"]
        for example in pages.examples_in(page)
        for found in yaml.safe_load_all(Path(pages.DOCS, "examples", example).read_text("utf-8"))
        if found["kind"].endswith("SecretStore")
    ]
    assert {store.get("authType", "ServicePrincipal") for store in stores} == {
        "ServicePrincipal",
        "ManagedIdentity",
        "WorkloadIdentity",
    }
    used = {field for store in stores for field in (*store, *store.get("authSecretRef", {}))}
    fields = {field.alias or name for name, field in AzureKVConfig.model_fields.items()}
    assert fields <= used
    assert {"clientId", "clientSecret", "clientCertificate", "tenantId"} <= used
