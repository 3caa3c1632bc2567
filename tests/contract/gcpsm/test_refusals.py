"""Stores that are refused before anything is sent, and what a credential of a stranger cannot do."""

from __future__ import annotations

import asyncio
import json
import socket
import traceback
from pathlib import Path
from typing import Any

import pytest

from keyferry.addresses import Addresses
from keyferry.errors import BadSpec, Denied, KeyferryError, Unreachable
from keyferry.providers.gcpsm import Gcpsm
from tests.contract.gcpsm.support import AUDIENCE, CANARY, READER, World, configured, federated, keyed
from tests.sandbox.gcp import PROJECT

LATEST = "http://169.254.169.254/latest"
AWS_SOURCE = {
    "environment_id": "aws1",
    "url": f"{LATEST}/meta-data/iam/security-credentials",
    "region_url": f"{LATEST}/meta-data/placement/availability-zone",
}
ENDPOINT = "http://tokens.example.com/token"


async def refused(world: World, auth: Any, **changes: Any) -> str:
    """The text of the ``BadSpec`` that opening the store ends with, proven to have sent and shown nothing."""
    return str(await failure(world, BadSpec, auth, **changes))


async def failure(world: World, kind: type[KeyferryError], auth: Any, **changes: Any) -> KeyferryError:
    with pytest.raises(kind) as caught:
        await world.open(auth, **changes)
    shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    assert CANARY not in shown
    assert not world.gcp.identity.calls
    assert not world.gcp.rpcs.calls
    return caught.value


class TestKeys:
    where = "auth.secretRef.secretAccessKeySecretRef"

    @pytest.mark.parametrize("content", [CANARY, "", "[]", f'"{CANARY}"', f'{{"type": "{CANARY}"}}', b"\xff\xfe"])
    async def test_what_is_no_key_of_a_service_account_is_told(self, world: World, content: str | bytes) -> None:
        world.plant("reader", key=content)
        assert await refused(world, keyed("reader")) == (
            f"{self.where}: the key does not hold the key of a service account: "
            "store the JSON file that Google gave out for it, as it is"
        )

    @pytest.mark.parametrize("content", [CANARY, None, 7, f"-----BEGIN {'PRIVATE'} KEY-----\n{CANARY}\n"])
    async def test_a_key_without_its_private_part_is_told_without_what_stands_there(
        self, world: World, content: Any
    ) -> None:
        key = world.gcp.key("reader") | {"private_key": content}
        world.plant("reader", key=json.dumps({name: part for name, part in key.items() if part is not None}))
        assert await refused(world, keyed("reader")) == (
            f"{self.where} holds a credential that google-auth does not take: create a new one"
        )

    @pytest.mark.parametrize("content", [CANARY, "", 7, ["x"], f"{CANARY} <script>"])
    async def test_a_key_of_nobody_is_told(self, world: World, content: Any) -> None:
        world.plant("reader", key=json.dumps(world.gcp.key("reader") | {"client_email": content}))
        assert (await refused(world, keyed("reader"))).startswith(f"{self.where}: client_email names no Google")

    @pytest.mark.parametrize("uri", ["https://evil.example.com/token", "http://oauth2.googleapis.com/token", 7, ["x"]])
    async def test_a_login_is_sent_to_google_and_nobody_else(self, world: World, uri: Any) -> None:
        world.plant("reader", key=json.dumps(world.gcp.key("reader") | {"token_uri": uri}))
        assert "token_uri is not Google's" in await refused(world, keyed("reader"))

    async def test_other_universes_are_not_served(self, world: World) -> None:
        world.plant("reader", key=json.dumps(world.gcp.key("reader") | {"universe_domain": "example.com"}))
        assert "universe_domain is not googleapis.com" in await refused(world, keyed("reader"))

    async def test_a_secret_that_is_not_named_is_told_by_its_field(self, world: World) -> None:
        assert f"{self.where} is not set" in await refused(world, {"secretRef": {}})

    async def test_the_project_has_to_be_named_as_in_eso(self, world: World) -> None:
        world.plant_key()
        assert (await refused(world, keyed("reader"), projectID=None)).startswith("projectID is not set")


class TestPlaces:
    @pytest.mark.parametrize("project", ["a/b", "shop/secrets/x", "A B", "x" * 64, "pro?ject"])
    async def test_a_project_cannot_lead_elsewhere(self, world: World, project: str) -> None:
        world.plant_key()
        assert "projectID is no id" in await refused(world, keyed("reader"), projectID=project)

    @pytest.mark.parametrize("location", ["evil.example.com/", "europe/west3", "a.b", "x@y"])
    async def test_a_location_cannot_become_another_host(self, world: World, location: str) -> None:
        world.plant_key()
        assert "location is no location" in await refused(world, keyed("reader"), location=location)

    async def test_a_policy_that_does_not_exist_is_told_with_those_that_do(self, world: World) -> None:
        world.plant_key()
        text = await refused(world, keyed("reader"), secretVersionSelectionPolicy="Newest")
        assert text.endswith("use LatestOrFail or LatestOrFetch")


class TestFederation:
    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"audience": AUDIENCE},
            {"serviceAccountRef": {"name": "app"}, "credConfig": {"name": "federation", "key": "config.json"}},
        ],
    )
    async def test_exactly_one_source_has_to_be_named(self, world: World, fields: dict[str, Any]) -> None:
        assert "exactly one of credConfig, serviceAccountRef" in await refused(world, federated(**fields))

    @pytest.mark.parametrize(
        "fields",
        [
            {"serviceAccountRef": {"name": "app"}},
            {"awsSecurityCredentials": {"region": "eu-central-1", "awsCredentialsSecretRef": {"name": "aws"}}},
        ],
    )
    async def test_an_audience_has_to_be_named(self, world: World, fields: dict[str, Any]) -> None:
        assert "audience is not set" in await refused(world, federated(**fields))

    @pytest.mark.parametrize(
        "account", ["x/../../secret", "a@b:generateIdToken?", "reader", f"{READER}\nx", "reader@shop.iam/.com"]
    )
    async def test_an_annotation_cannot_change_the_address_that_is_asked(self, world: World, account: str) -> None:
        world.plant_account(acts_as=account)
        auth = federated(serviceAccountRef={"name": "app"}, audience=AUDIENCE)
        assert "names no Google service account" in await refused(world, auth)

    @pytest.mark.parametrize("missing", ["aws_access_key_id", "aws_secret_access_key"])
    async def test_a_secret_of_aws_without_its_keys_is_told(self, world: World, missing: str) -> None:
        keys = {"aws_access_key_id": "AKIA", "aws_secret_access_key": CANARY}
        del keys[missing]
        world.plant("aws", **keys)
        source = {"region": "eu-central-1", "awsCredentialsSecretRef": {"name": "aws"}}
        assert missing in await refused(world, federated(awsSecurityCredentials=source, audience=AUDIENCE))


CONFIGURATION: dict[str, Any] = {
    "type": "external_account",
    "audience": AUDIENCE,
    "credential_source": {"url": ENDPOINT},
}


class TestConfigurations:
    async def refusal(self, world: World, **changes: Any) -> str:
        world.plant_configuration(**(CONFIGURATION | changes))
        return await refused(world, configured(externalTokenEndpoint=ENDPOINT))

    @pytest.mark.parametrize(
        "source",
        [
            {"file": "/var/run/secrets/kubernetes.io/serviceaccount/token"},
            {"file": "/etc/passwd", "url": ENDPOINT},
            {"executable": {"command": "/bin/true", "timeout_millis": 5000}},
            {"certificate": {"use_default_certificate_config": True}},
        ],
    )
    async def test_files_and_executables_of_keyferrys_container_are_out_of_reach(
        self, world: World, source: dict[str, Any]
    ) -> None:
        text = await self.refusal(world, credential_source=source)
        assert "is not served, for it would be one of Keyferry's own container" in text

    @pytest.mark.parametrize(
        ("field", "url"),
        [
            ("token_url", "https://sts.example.com/v1/token"),
            ("token_url", "http://sts.googleapis.com/v1/token"),
            ("token_url", "https://sts.googleapis.com.example.com/v1/token"),
            ("token_url", "https://sts.googleapis.com/v1/token?x=https://example.com"),
            ("token_url", "https://user@sts.googleapis.com/v1/token"),
            ("service_account_impersonation_url", "https://example.com/v1/projects/-/serviceAccounts/a@b"),
            (
                "service_account_impersonation_url",
                f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{READER}:signJwt",
            ),
            (
                "service_account_impersonation_url",
                f"https://iamcredentials.example.com/v1/projects/-/serviceAccounts/{READER}:generateAccessToken",
            ),
        ],
    )
    async def test_tokens_are_exchanged_with_google_and_nobody_else(self, world: World, field: str, url: str) -> None:
        assert f"{field} is none that is allowed" in await self.refusal(world, **{field: url})

    async def test_a_url_has_to_be_the_one_that_the_store_names(self, world: World) -> None:
        world.plant_configuration(**CONFIGURATION)
        for endpoint in ({}, {"externalTokenEndpoint": "https://other.example.com/token"}):
            assert "is not auth.workloadIdentityFederation.externalTokenEndpoint" in await refused(
                world, configured(**endpoint)
            )

    @pytest.mark.parametrize(
        "changes",
        [
            {"type": "service_account"},
            {"type": "authorized_user", "refresh_token": CANARY},
            {"credential_source": None},
            {"credential_source": {}},
            {"credential_source": CANARY},
            {"credential_source": {"url": [CANARY]}},
            {"credential_source": {"url": ENDPOINT, "headers": CANARY}},
            {"credential_source": {"url": ENDPOINT, "format": {"type": "json"}}},
            {"credential_source": {"url": ENDPOINT, "format": {"type": "xml"}}},
            {"audience": ""},
            {"audience": [CANARY]},
            {"universe_domain": "example.com"},
        ],
    )
    async def test_what_is_no_configuration_is_told_without_its_content(
        self, world: World, changes: dict[str, Any]
    ) -> None:
        assert "auth.workloadIdentityFederation" in await self.refusal(world, **changes)

    @pytest.mark.parametrize("content", [CANARY, "[]", ""])
    async def test_what_is_no_json_object_is_told(self, world: World, content: str) -> None:
        world.credentials.config_maps["default", "federation"] = {"config.json": content}
        assert "holds no JSON object of type external_account" in await refused(world, configured())

    @pytest.mark.parametrize(
        ("field", "url"),
        [
            ("url", "http://evil.example.com/latest/meta-data/iam/security-credentials"),
            ("region_url", "http://169.254.169.254/computeMetadata/v1/instance"),
            ("imdsv2_session_token_url", "https://169.254.169.254/latest/api/token"),
        ],
    )
    async def test_of_aws_only_its_metadata_server_is_asked(self, world: World, field: str, url: str) -> None:
        text = await self.refusal(world, credential_source=AWS_SOURCE | {field: url})
        assert f"credential_source.{field} is none that is allowed" in text

    @pytest.mark.parametrize(
        "host",
        [
            "169.254.169.254",
            "127.0.0.1:8080",
            "localhost:8080",
            "[::1]",
            "[fd00:ec2::254]",
            "0.0.0.0",
            "2130706433",
            "127.1",
            "0x7f.1",
            "0x7f000001",
        ],
    )
    async def test_the_author_of_a_namespaced_store_cannot_reach_the_machines_own_services(
        self, world: World, host: str
    ) -> None:
        world.context["addresses"] = Addresses()
        url = f"http://{host}/metadata/identity/oauth2/token"
        world.plant_configuration(**(CONFIGURATION | {"credential_source": {"url": url}}))
        text = str(await failure(world, Denied, configured(externalTokenEndpoint=url)))
        assert "a SecretStore may not reach" in text or "has no address that can be judged" in text

    async def test_a_name_is_judged_by_what_it_stands_for(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        async def resolve(*_: Any, **__: Any) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        world.context["addresses"] = Addresses()
        world.plant_configuration(**CONFIGURATION)
        error = await failure(world, Denied, configured(externalTokenEndpoint=ENDPOINT))
        assert 'a SecretStore may not reach "tokens.example.com"' in str(error)

    async def test_the_aws_identity_of_the_machine_is_not_for_namespaced_stores(self, world: World) -> None:
        world.context["addresses"] = Addresses()
        world.plant_configuration(**(CONFIGURATION | {"credential_source": AWS_SOURCE}))
        await failure(world, Denied, configured())

    @pytest.mark.parametrize(
        ("path", "kind"),
        [("/nothing", Denied), ("/plain-token", Denied), ("/metadata/identity/oauth2/token", Unreachable)],
    )
    async def test_a_url_that_gives_no_token_is_told_and_not_quoted(
        self, world: World, path: str, kind: type[KeyferryError]
    ) -> None:
        world.gcp.identity.fail("/metadata/identity/oauth2/token", 200, json.dumps({"other": CANARY}))
        world.gcp.identity.fail("/plain-token", 403, CANARY)
        url = f"http://{world.gcp.hosts['169.254.169.254']}{path}"
        source = {"url": url, "format": {"type": "json", "subject_token_field_name": "access_token"}}
        world.plant_configuration(**(CONFIGURATION | {"credential_source": source}))
        with pytest.raises(kind) as caught:
            await world.open(configured(externalTokenEndpoint=url))
        assert "credential_source.url" in str(caught.value)
        assert CANARY not in str(caught.value)

    async def test_a_url_does_not_redirect_elsewhere(self, world: World) -> None:
        world.gcp.identity.fail("/plain-token", 302, headers={"Location": "/metadata/identity/oauth2/token"})
        url = f"http://{world.gcp.hosts['169.254.169.254']}/plain-token"
        world.plant_configuration(**(CONFIGURATION | {"credential_source": {"url": url}}))
        with pytest.raises(Unreachable):
            await world.open(configured(externalTokenEndpoint=url))
        assert world.gcp.identity.calls == {"/plain-token": 1}


class TestKeyferrysOwnFile:
    @pytest.mark.parametrize("content", ["", "[]", CANARY, '{"type": "gdch_service_account"}', '{"type": "x"}'])
    async def test_a_file_that_cannot_be_used_is_told(self, world: World, tmp_path: Path, content: str) -> None:
        (tmp_path / "credentials.json").write_text(content)
        world.changed_sites["credentials_file"] = str(tmp_path / "credentials.json")
        assert (await refused(world, {})).startswith("GOOGLE_APPLICATION_CREDENTIALS names ")

    async def test_a_file_that_is_not_there_is_told(self, world: World, tmp_path: Path) -> None:
        world.changed_sites["credentials_file"] = str(tmp_path / "none.json")
        assert "names no readable file of JSON" in await refused(world, {})


def test_a_wrong_configuration_of_another_provider_is_a_mistake_of_ours() -> None:
    assert Gcpsm.Config is not None
    with pytest.raises(BadSpec) as caught:
        Gcpsm.Config.parse({"projectID": [PROJECT]}, at="spec.provider.gcpsm")
    assert "spec.provider.gcpsm.projectID" in str(caught.value)
