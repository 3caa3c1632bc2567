"""Every way to log in, against servers that check what they are sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keyferry.addresses import Addresses
from keyferry.errors import Denied
from keyferry.ports import Validation
from tests.contract.gcpsm.support import AUDIENCE, KUBE_TOKEN, READER, World, configured, federated, keyed, value
from tests.sandbox.gcp import OWN, PROJECT
from tests.sandbox.gcp.accounts import AwsKey
from tests.sandbox.gcp.store import READER as MAY_READ

POOL = f"{PROJECT}.svc.id.goog"
CLUSTER = f"https://container.googleapis.com/v1/projects/{PROJECT}/locations/europe-west3/clusters/shop-cluster"
BINDING = f"identitynamespace:{POOL}:{CLUSTER}"
APP = f"serviceAccount:{POOL}[default/app]"
PRINCIPAL = "principal://iam.googleapis.com/pool/app"
GKE: dict[str, Any] = {"workloadIdentity": {"serviceAccountRef": {"name": "app"}}}
AWS_ROLE = "arn:aws:sts::123456789012:assumed-role/reader"


@pytest.fixture(autouse=True)
def _secret(world: World) -> None:
    world.put("db", b"value")


def allow(world: World, principal: str) -> None:
    """Let a principal read the secret."""
    world.gcp.store.grant(principal, MAY_READ, f"projects/{PROJECT}")


def let_act(world: World, principal: str) -> None:
    """Let a principal act as the service account that may read."""
    world.gcp.accounts.impersonators[world.gcp.account("reader")] = {principal}


async def identity_of(world: World, auth: Any, **changes: Any) -> str:
    """Who the secret was read as."""
    adapter = await world.open(auth, **changes)
    assert await value(adapter, "db") == b"value"
    assert await adapter.validate() is Validation.READY
    (identity,) = {call.identity for call in world.gcp.rpcs.seen}
    return identity


async def test_a_key_of_a_service_account(world: World) -> None:
    world.plant_key()
    assert await identity_of(world, keyed("reader")) == READER
    assert world.gcp.identity.calls == {"/token": 1}


async def test_a_key_without_an_address_for_tokens_gets_them_at_googles(world: World) -> None:
    key = world.gcp.key("reader")
    del key["token_uri"], key["universe_domain"]
    world.plant("reader", key=json.dumps(key))
    assert await identity_of(world, keyed("reader")) == READER


class TestWorkloadIdentityOfGke:
    async def test_a_service_account_of_the_cluster_is_a_principal_itself(self, world: World) -> None:
        world.plant_account()
        world.gcp.accounts.trusted[BINDING, KUBE_TOKEN] = APP
        allow(world, APP)
        assert await identity_of(world, GKE) == APP
        assert world.credentials.token_requests == [("default", "app", (POOL,), 900)]
        assert world.calls.counts["GenerateServiceAccountToken", "success"] == 1

    async def test_its_annotation_names_the_google_service_account_to_act_as(self, world: World) -> None:
        world.plant_account(acts_as=READER)
        world.gcp.accounts.trusted[BINDING, KUBE_TOKEN] = APP
        let_act(world, APP)
        assert await identity_of(world, GKE) == READER

    async def test_the_cluster_can_be_named_so_that_no_metadata_server_is_asked(self, world: World) -> None:
        world.plant_account()
        cluster = "https://container.googleapis.com/v1/projects/other/locations/us-east1/clusters/west"
        world.gcp.accounts.trusted[f"identitynamespace:other.svc.id.goog:{cluster}", KUBE_TOKEN] = APP
        allow(world, APP)
        named = {"clusterProjectID": "other", "clusterLocation": "us-east1", "clusterName": "west"}
        auth = {"workloadIdentity": GKE["workloadIdentity"] | named}
        assert await identity_of(world, auth) == APP
        assert world.gcp.identity.calls == {"/v1/identitybindingtoken": 1}

    async def test_further_audiences_of_the_service_account_are_asked_for_as_well(self, world: World) -> None:
        world.plant_account()
        world.gcp.accounts.trusted[BINDING, KUBE_TOKEN] = APP
        allow(world, APP)
        auth = {"workloadIdentity": {"serviceAccountRef": {"name": "app", "audiences": ["more"]}}}
        await identity_of(world, auth)
        assert world.credentials.token_requests == [("default", "app", (POOL, "more"), 900)]

    async def test_a_project_that_is_left_out_is_that_of_the_cluster(self, world: World) -> None:
        world.plant_account()
        auth = {"workloadIdentity": GKE["workloadIdentity"] | {"clusterProjectID": PROJECT}}
        world.gcp.accounts.trusted[BINDING, KUBE_TOKEN] = APP
        allow(world, APP)
        assert await identity_of(world, auth, projectID=None) == APP

    async def test_an_account_that_may_not_be_acted_as_is_told_with_the_role_that_permits_it(
        self, world: World
    ) -> None:
        world.plant_account(acts_as=READER)
        world.gcp.accounts.trusted[BINDING, KUBE_TOKEN] = APP
        with pytest.raises(Denied) as caught:
            await value(await world.open(GKE), "db")
        assert str(caught.value) == (
            "iamcredentials.googleapis.com refuses to act as the Google service account: PERMISSION_DENIED: "
            "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist): "
            "grant roles/iam.workloadIdentityUser on it to the principal that logs in"
        )

    async def test_a_cluster_that_google_does_not_know_is_told(self, world: World) -> None:
        world.plant_account()
        with pytest.raises(Denied) as caught:
            await value(await world.open(GKE), "db")
        assert "check clusterProjectID, clusterLocation and clusterName" in str(caught.value)
        assert KUBE_TOKEN not in str(caught.value)


class TestFederationOfAServiceAccount:
    auth = federated(serviceAccountRef={"name": "app", "audiences": ["pool"]}, audience=AUDIENCE)

    async def test_its_token_is_exchanged(self, world: World) -> None:
        world.plant_account()
        world.gcp.accounts.trusted[AUDIENCE, KUBE_TOKEN] = PRINCIPAL
        allow(world, PRINCIPAL)
        assert await identity_of(world, self.auth) == PRINCIPAL
        assert world.credentials.token_requests == [("default", "app", ("pool",), 900)]
        assert world.gcp.identity.calls == {"/v1/token": 1}

    @pytest.mark.parametrize("named_by", ["annotation", "store"])
    async def test_a_google_service_account_can_be_acted_as(self, world: World, named_by: str) -> None:
        other = "other@shop.iam.gserviceaccount.com"
        world.plant_account(acts_as=READER if named_by == "annotation" else other)
        world.gcp.accounts.trusted[AUDIENCE, KUBE_TOKEN] = PRINCIPAL
        let_act(world, PRINCIPAL)
        fields = self.auth["workloadIdentityFederation"]
        if named_by == "store":
            fields = fields | {"gcpServiceAccountEmail": READER}
        assert await identity_of(world, federated(**fields)) == READER

    async def test_a_token_that_the_pool_does_not_trust_is_told_without_the_token(self, world: World) -> None:
        world.plant_account()
        with pytest.raises(Denied) as caught:
            await value(await world.open(self.auth), "db")
        assert "sts.googleapis.com refuses to exchange the token: invalid_grant" in str(caught.value)
        assert KUBE_TOKEN not in str(caught.value)


class TestFederationOfAws:
    auth = federated(
        awsSecurityCredentials={"region": "eu-central-1", "awsCredentialsSecretRef": {"name": "aws"}},
        audience=AUDIENCE,
    )

    @pytest.mark.parametrize("session_token", ["", "session-token-of-aws"])
    async def test_a_signed_request_is_exchanged(self, world: World, session_token: str) -> None:
        keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "secret-of-aws"}
        world.plant("aws", **keys, **({"aws_session_token": session_token} if session_token else {}))
        world.gcp.accounts.aws_keys["AKIAEXAMPLE"] = AwsKey("secret-of-aws", session_token, AWS_ROLE)
        world.gcp.accounts.trusted[AUDIENCE, AWS_ROLE] = PRINCIPAL
        allow(world, PRINCIPAL)
        assert await identity_of(world, self.auth) == PRINCIPAL
        assert all("secret-of-aws" not in str(body) for body in world.gcp.identity.bodies)

    async def test_a_wrong_secret_key_is_refused_by_its_signature(self, world: World) -> None:
        world.plant("aws", aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="another-one")
        world.gcp.accounts.aws_keys["AKIAEXAMPLE"] = AwsKey("secret-of-aws", "", AWS_ROLE)
        with pytest.raises(Denied) as caught:
            await value(await world.open(self.auth), "db")
        assert "Invalid AWS signature" in str(caught.value)
        assert "another-one" not in str(caught.value)


class TestFederationByConfiguration:
    @pytest.mark.parametrize("form", ["text", "json"])
    async def test_a_url_gives_the_token(self, world: World, form: str) -> None:
        url = f"http://{world.gcp.hosts['169.254.169.254']}/metadata/identity/oauth2/token?resource=x"
        if form == "text":
            url = url.replace("/metadata/identity/oauth2/token?resource=x", "/plain-token")
        source = {"url": url, "headers": {"Metadata": "True"}}
        if form == "json":
            source["format"] = {"type": "json", "subject_token_field_name": "access_token"}
        world.plant_configuration(type="external_account", audience=AUDIENCE, credential_source=source)
        world.gcp.accounts.trusted[AUDIENCE, world.gcp.identity.elsewhere] = PRINCIPAL
        allow(world, PRINCIPAL)
        assert await identity_of(world, configured(externalTokenEndpoint=url)) == PRINCIPAL

    async def test_the_metadata_server_of_aws_gives_what_is_signed(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
        latest = "http://169.254.169.254/latest"
        world.plant_configuration(
            type="external_account",
            audience="//iam.googleapis.com/another",
            subject_token_type="urn:ietf:params:aws:token-type:aws4_request",
            token_url="https://sts.googleapis.com/v1/token",
            service_account_impersonation_url=(
                f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{READER}:generateAccessToken"
            ),
            credential_source={
                "environment_id": "aws1",
                "url": f"{latest}/meta-data/iam/security-credentials",
                "region_url": f"{latest}/meta-data/placement/availability-zone",
                "imdsv2_session_token_url": f"{latest}/api/token",
                "regional_cred_verification_url": "https://iam.amazonaws.com?Action=CreateUser",
            },
        )
        world.gcp.accounts.aws_keys["ASIAEXAMPLE"] = AwsKey("secret-of-aws", "session", AWS_ROLE)
        world.gcp.accounts.trusted[AUDIENCE, AWS_ROLE] = PRINCIPAL
        let_act(world, PRINCIPAL)
        assert await identity_of(world, configured(audience=AUDIENCE)) == READER

    async def test_the_life_of_the_token_to_act_as_an_account_can_be_set(self, world: World) -> None:
        url = f"http://{world.gcp.hosts['169.254.169.254']}/plain-token"
        world.plant_configuration(
            type="external_account",
            audience=AUDIENCE,
            credential_source={"url": url, "headers": {"Metadata": "True"}},
            service_account_impersonation={"token_lifetime_seconds": 600},
        )
        world.gcp.accounts.trusted[AUDIENCE, world.gcp.identity.elsewhere] = PRINCIPAL
        let_act(world, PRINCIPAL)
        auth = configured(externalTokenEndpoint=url, gcpServiceAccountEmail=READER)
        assert await identity_of(world, auth) == READER
        assert world.gcp.identity.bodies[-1]["lifetime"] == "600s"


class TestKeyferrysOwnIdentity:
    async def test_the_metadata_server_gives_its_token_and_its_project(self, world: World) -> None:
        allow(world, OWN)
        assert await identity_of(world, {}, projectID=None) == OWN
        assert world.gcp.identity.calls == {
            "/computeMetadata/v1/project/project-id": 1,
            "/computeMetadata/v1/instance/service-accounts/default/token": 1,
        }

    async def test_a_namespaced_store_may_use_it_for_it_goes_to_google_only(self, world: World) -> None:
        allow(world, OWN)
        world.context["addresses"] = Addresses()
        assert await identity_of(world, {}) == OWN

    async def test_a_file_may_hold_a_key(self, world: World, tmp_path: Path) -> None:
        self.name(world, tmp_path, world.gcp.key("reader"))
        assert await identity_of(world, {}) == READER

    async def test_a_file_may_name_a_token_of_elsewhere(self, world: World, tmp_path: Path) -> None:
        (tmp_path / "token").write_text(KUBE_TOKEN)
        self.name(
            world,
            tmp_path,
            {
                "type": "external_account",
                "audience": AUDIENCE,
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "token_url": "https://sts.googleapis.com/v1/token",
                "credential_source": {"file": str(tmp_path / "token")},
            },
        )
        world.gcp.accounts.trusted[AUDIENCE, KUBE_TOKEN] = PRINCIPAL
        allow(world, PRINCIPAL)
        assert await identity_of(world, {}) == PRINCIPAL

    async def test_a_file_may_act_as_another_account(self, world: World, tmp_path: Path) -> None:
        source = world.gcp.key("source", permissions=frozenset())
        let_act(world, source["client_email"])
        self.name(
            world,
            tmp_path,
            {
                "type": "impersonated_service_account",
                "service_account_impersonation_url": (
                    f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{READER}:generateAccessToken"
                ),
                "source_credentials": source,
            },
        )
        assert await identity_of(world, {}) == READER

    def name(self, world: World, folder: Path, content: dict[str, Any]) -> None:
        path = folder / "credentials.json"
        path.write_text(json.dumps(content))
        world.changed_sites["credentials_file"] = str(path)


async def test_of_several_ways_the_first_is_taken_as_in_eso(world: World) -> None:
    world.plant_key()
    world.plant_account()
    auth = keyed("reader") | GKE | federated(serviceAccountRef={"name": "app"}, audience=AUDIENCE)
    assert await identity_of(world, auth) == READER
    assert not world.credentials.token_requests
