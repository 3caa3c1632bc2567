"""The cloud that the other tests rely on, as Microsoft's own clients find it."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from typing import Any

import aiohttp
import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.identity.aio import ClientSecretCredential
from azure.keyvault.certificates.aio import CertificateClient
from azure.keyvault.keys.aio import KeyClient
from azure.keyvault.secrets.aio import SecretClient
from cryptography.hazmat.primitives.asymmetric import ec

from keyferry.transport import ssl_context
from tests.sandbox.azure import ALL, LARGEST, TENANT, AzureCloud, certificate


async def test_microsoft_s_clients_work_with_it_unchanged(cloud: AzureCloud) -> None:
    vault = cloud.vault("sdk")
    cloud.entra.register("writer").secrets["pw"] = math.inf
    vault.rights["writer"] = ALL
    vault.put_certificate("web", *certificate())
    vault.put_key("signing", ec.generate_private_key(ec.SECP256R1()).public_key())
    # aiohttp makes its own TLS context when it is imported, before anybody could name our authority.
    options: dict[str, Any] = {"retry_total": 0, "connection_verify": cloud.environment["SSL_CERT_FILE"]}
    async with (
        ClientSecretCredential(TENANT, "writer", "pw", **options) as credential,
        SecretClient(vault.url, credential, **options) as secrets,
        KeyClient(vault.url, credential, **options) as keys,
        CertificateClient(vault.url, credential, **options) as certificates,
    ):
        first = await secrets.set_secret("db", "one", tags={"team": "red"})
        second = await secrets.set_secret("db", "two")
        assert first.properties.version != second.properties.version
        assert (await secrets.get_secret("db")).value == "two"
        assert (await secrets.get_secret("db", first.properties.version)).value == "one"
        versions = [each.version async for each in secrets.list_properties_of_secret_versions("db")]
        assert versions == [first.properties.version, second.properties.version]
        for number in range(30):
            vault.put(f"s-{number}", "x")
        assert len([each async for each in secrets.list_properties_of_secrets()]) == 32
        with pytest.raises(HttpResponseError, match="BadParameter"):
            await anext(secrets.list_properties_of_secrets(max_page_size=26))
        with pytest.raises(HttpResponseError, match="BadParameter"):
            await secrets.set_secret("a_b", "x")
        with pytest.raises(HttpResponseError, match="longer"):
            await secrets.set_secret("db", "x" * (LARGEST + 1))
        vault.delete("secrets", "db")
        with pytest.raises(ResourceNotFoundError, match="SecretNotFound"):
            await secrets.get_secret("db")
        with pytest.raises(ResourceExistsError, match="ObjectIsDeletedButRecoverable"):
            await secrets.set_secret("db", "three")
        vault.recover("secrets", "db")
        assert (await secrets.get_secret("db")).value == "two"
        assert (await keys.get_key("signing")).key_type == "EC"
        assert (await certificates.get_certificate("web")).cer
        assert [each.name async for each in keys.list_properties_of_keys()] == ["signing", "web"]


async def test_the_proxy_leads_nowhere_else(cloud: AzureCloud) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientHttpProxyError):
            await session.get("https://example.com", proxy=cloud.environment["HTTPS_PROXY"])


async def test_entra_tells_where_its_endpoints_are(cloud: AzureCloud) -> None:
    base = f"https://login.microsoftonline.com/{TENANT}"
    options: dict[str, Any] = {"proxy": cloud.environment["HTTPS_PROXY"], "ssl": ssl_context()}
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{base}/v2.0/.well-known/openid-configuration", **options) as answer:
            assert (await answer.json())["token_endpoint"] == f"{base}/oauth2/v2.0/token"
        instance = "https://login.microsoftonline.com/common/discovery/instance"
        async with session.get(instance, **options) as answer:
            assert (await answer.json())["metadata"][0]["aliases"] == ["login.microsoftonline.com"]


async def test_the_metadata_service_wants_its_header(cloud: AzureCloud) -> None:
    imds = cloud.environment["AZURE_POD_IDENTITY_AUTHORITY_HOST"]
    cloud.entra.assigned["node"] = TENANT
    url = f"{imds}/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.azure.net"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            assert answer.status == 400
        async with session.get(url, headers={"Metadata": "true"}) as answer:
            assert (await answer.json())["client_id"] == "node"


def test_as_a_process_it_says_where_it_is_and_ends_on_sigterm() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "tests.sandbox.azure", "--vault", "shop", "--secret", "db=s3cret"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told["vault"] == "https://shop.vault.azure.net"
        asking = (
            "import sys; from azure.identity import ClientSecretCredential as C; "
            "from azure.keyvault.secrets import SecretClient as S; "
            "vault, tenant, client, secret = sys.argv[1:]; "
            "print(S(vault, C(tenant, client, secret)).get_secret('db').value)"
        )
        arguments = [told["vault"], told["tenant"], told["client_id"], told["client_secret"]]
        found = subprocess.run(
            [sys.executable, "-c", asking, *arguments],
            env=environment | told["environment"] | {"REQUESTS_CA_BUNDLE": told["environment"]["SSL_CERT_FILE"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert found.stdout == "s3cret\n", found.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
