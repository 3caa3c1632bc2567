"""Logins with an identity of Google Cloud: Google and the server are stubs, signatures are checked."""

from __future__ import annotations

import base64
import json
import logging
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, Unreachable
from keyferry.ports import Token, Validation
from keyferry.providers.vault import gcp
from tests.contract.vault.stub import Reply, Request, Stub, serving
from tests.contract.vault.support import SECRET, World, value

ACCOUNT = "reader@shop.iam.gserviceaccount.com"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
POOL = "project-1.svc.id.goog"


@dataclass
class Cloud:
    """Google's services behind one address, and a server that trusts them."""

    vault: Stub
    google: Stub
    answers: list[Reply] = field(default_factory=list)
    """What Google answers next, in place of what it knows."""

    @property
    def logins(self) -> list[dict[str, Any]]:
        return [request.body for request in self.vault.requests if request.path.endswith("/login")]

    @property
    def asked(self) -> list[str]:
        return [urlsplit(request.path).path for request in self.google.requests]


def google(request: Request) -> Reply:
    """The metadata server, and the services that exchange and sign."""
    path, query = urlsplit(request.path).path, parse_qs(urlsplit(request.path).query)
    bearer = request.headers.get("authorization", [""])[0]
    if path.startswith("/computeMetadata/v1/"):
        assert request.headers["metadata-flavor"] == ["Google"]
        known = {
            "project/project-id": "project-1",
            "instance/attributes/cluster-location": "europe-west1",
            "instance/attributes/cluster-name": "main",
            "instance/service-accounts/default/identity": f"canary-identity for {query.get('audience')}",
        }
        name = path.removeprefix("/computeMetadata/v1/")
        status, text = (200, known[name]) if name in known else (404, "canary")
        return Reply(status, text.encode(), {"Metadata-Flavor": "Google"})
    if path == "/v1/identitybindingtoken":
        return Reply(body={"access_token": "canary-bound", "token_type": "Bearer", "expires_in": 3600})
    account = f"/v1/projects/-/serviceAccounts/{ACCOUNT}"
    if path == f"{account}:generateAccessToken" and bearer == "Bearer canary-bound":
        return Reply(body={"accessToken": "canary-access", "expireTime": "2100-01-01T00:00:00Z"})
    if path == f"{account}:signJwt" and bearer == "Bearer canary-access":
        return Reply(body={"keyId": "1", "signedJwt": signed(json.loads(request.body["payload"]))})
    return Reply(403, {"error": {"code": 403, "message": "canary", "status": "PERMISSION_DENIED"}})


def signed(claims: dict[str, Any]) -> str:
    """A JWT as Google signs it."""
    parts = [base64url(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "key-1"}, claims)]
    signature = KEY.sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
    return ".".join([*parts, base64url(signature)])


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def checked(token: str) -> dict[str, Any]:
    """The claims of a JWT. Raises where the server would refuse its signature, key or life."""
    head, body, signature = token.split(".")
    decoded = [json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, body)]
    raw = base64.urlsafe_b64decode(signature + "==")
    KEY.public_key().verify(raw, f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    assert (decoded[0]["alg"], decoded[0]["kid"]) == ("RS256", "key-1")
    claims: dict[str, Any] = decoded[1]
    assert 0 < claims["exp"] - time.time() <= 900
    return claims


def vault(request: Request) -> Reply:
    if request.path.endswith("/login"):
        return Reply(body={"auth": {"client_token": "t", "lease_duration": 60, "renewable": True}})
    return SECRET


@pytest.fixture
async def cloud(lone: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Cloud]:
    caplog.set_level(logging.DEBUG)
    answers: list[Reply] = []
    with serving(vault) as server, serving(lambda request: answers.pop(0) if answers else google(request)) as services:
        monkeypatch.setattr(gcp, "GOOGLE", gcp.Google(tokens=services.url, accounts=services.url))
        monkeypatch.setenv("GCE_METADATA_HOST", services.url.removeprefix("http://"))
        lone.url = server.url
        lone.plant("key", json=json.dumps(key_file()))
        lone.credentials.tokens["default", "app"] = Token("canary-jwt", 0)
        lone.credentials.annotations["default", "app"] = {"iam.gke.io/gcp-service-account": ACCOUNT}
        yield Cloud(server, services, answers)
        await lone.aclose()
    assert "canary" not in "\n".join(record.getMessage() + repr(record.args) for record in caplog.records)


def key_file() -> dict[str, str]:
    """A service account's key, as Google hands it out."""
    pem = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "type": "service_account",
        "private_key_id": "key-1",
        "private_key": pem.decode(),
        "client_email": ACCOUNT,
    }


BY_KEY: dict[str, Any] = {"secretRef": {"secretAccessKeySecretRef": {"name": "key", "key": "json"}}}
WORKLOAD: dict[str, Any] = {"workloadIdentity": {"serviceAccountRef": {"name": "app"}}}


async def log_in(world: World, **method: Any) -> None:
    """Open a store with this login, and use it."""
    adapter = await world.vault(auth={"gcp": {"role": "shop", **method}})
    assert await adapter.validate() is Validation.READY
    assert await value(adapter, "db") == {"k": "v"}


async def test_a_key_signs_for_its_service_account(lone: World, cloud: Cloud) -> None:
    before = dict(os.environ)
    await log_in(lone, **BY_KEY, **WORKLOAD, path="team/gcp")
    assert dict(os.environ) == before
    assert cloud.vault.requests[0].path == "/v1/auth/team/gcp/login"
    (login,) = cloud.logins
    assert login["role"] == "shop"
    claims = checked(login["jwt"])
    assert (claims["aud"], claims["sub"]) == ("vault/shop", ACCOUNT)
    assert cloud.asked == []


async def test_google_signs_for_a_bound_service_account(lone: World, cloud: Cloud) -> None:
    await log_in(lone, **WORKLOAD)
    claims = checked(cloud.logins[0]["jwt"])
    assert (claims["aud"], claims["sub"]) == ("vault/shop", ACCOUNT)
    assert lone.credentials.token_requests == [("default", "app", (POOL,), 900)]
    exchange = next(request.body for request in cloud.google.requests if "identitybinding" in request.path)
    assert exchange["subject_token"] == "canary-jwt"
    assert exchange["audience"] == (
        f"identitynamespace:{POOL}:https://container.googleapis.com/v1/projects/project-1/locations/europe-west1"
        "/clusters/main"
    )


async def test_what_the_store_says_of_the_cluster_is_not_asked_for(lone: World, cloud: Cloud) -> None:
    cluster = {"clusterProjectID": "p", "clusterLocation": "l", "clusterName": "c"}
    await log_in(lone, workloadIdentity={**WORKLOAD["workloadIdentity"], **cluster})
    assert not [path for path in cloud.asked if path.startswith("/computeMetadata")]
    assert lone.credentials.token_requests[0][2] == ("p.svc.id.goog",)
    assert cloud.google.requests[0].body["audience"].endswith("/projects/p/locations/l/clusters/c")


@pytest.mark.parametrize("method", [{}, {"serviceAccountRef": {"name": "app"}}])
async def test_our_own_identity_comes_from_the_metadata_server(
    lone: World, cloud: Cloud, method: dict[str, Any]
) -> None:
    await log_in(lone, **method)
    assert cloud.logins == [{"role": "shop", "jwt": f"canary-identity for ['{lone.url}/vault/shop']"}]
    assert parse_qs(urlsplit(cloud.google.requests[0].path).query)["format"] == ["full"]


async def test_our_own_identity_is_not_lent_to_those_who_may_not_have_it(lone: World, cloud: Cloud) -> None:
    lone.credentials.lends = False
    with pytest.raises(BadSpec, match="a SecretStore may not log in with Keyferry's own"):
        await log_in(lone)
    assert (cloud.asked, cloud.logins) == ([], [])
    await log_in(lone, **WORKLOAD)


@pytest.mark.parametrize(
    ("reply", "kind", "message"),
    [
        (Reply(403, {"error": "canary"}), Denied, r"does not let us exchange the token \(HTTP 403\): bind the"),
        (Reply(429, b"canary", {"Retry-After": "7"}), Busy, "limits the rate"),
        (Reply(503, b"canary"), Unreachable, r"fails to exchange the token \(HTTP 503\)"),
        (Reply(200, b"canary"), Unreachable, "not as Google does"),
        (Reply(200, {"access_token": 1}), Unreachable, "not as Google does"),
    ],
)
async def test_what_google_answers_is_told_without_its_words(
    lone: World, cloud: Cloud, reply: Reply, kind: type[KeyferryError], message: str
) -> None:
    cluster = {"clusterProjectID": "p", "clusterLocation": "l", "clusterName": "c"}
    cloud.answers.append(reply)
    with pytest.raises(kind, match=message) as caught:
        await log_in(lone, workloadIdentity={**WORKLOAD["workloadIdentity"], **cluster})
    assert "canary" not in f"{caught.value} {caught.value.__context__!r}"
    assert not isinstance(caught.value, Busy) or caught.value.retry_after == 7


async def test_a_service_account_that_we_may_not_act_as_is_named(lone: World, cloud: Cloud) -> None:
    lone.credentials.annotations["default", "app"] = {"iam.gke.io/gcp-service-account": "other@shop.example.com"}
    with pytest.raises(Denied, match=r'sign for service account "other@shop\.example\.com" \(HTTP 403\)'):
        await log_in(lone, **WORKLOAD)


async def test_a_server_that_is_not_googles_is_not_believed(lone: World, cloud: Cloud) -> None:
    cloud.answers.append(Reply(200, b"canary"))
    with pytest.raises(Unreachable, match="there is no metadata server of Google: set workloadIdentity or secretRef"):
        await log_in(lone)


async def test_what_the_metadata_server_does_not_know_is_named(lone: World, cloud: Cloud) -> None:
    cloud.answers.append(Reply(404, b"canary", {"Metadata-Flavor": "Google"}))
    with pytest.raises(Denied, match=r"does not know project/project-id \(HTTP 404\)"):
        await log_in(lone, **WORKLOAD)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"secretRef": {}}, r"secretRef\.secretAccessKeySecretRef is not set"),
        (
            {"secretRef": {"secretAccessKeySecretRef": {"name": "odd", "key": "text"}}},
            "does not hold a key of a Google",
        ),
        (
            {"secretRef": {"secretAccessKeySecretRef": {"name": "odd", "key": "json"}}},
            "does not hold a key of a Google",
        ),
        (
            {"secretRef": {"secretAccessKeySecretRef": {"name": "odd", "key": "list"}}},
            "does not hold a key of a Google",
        ),
        ({"workloadIdentity": {"serviceAccountRef": {"name": "none"}}}, "no ServiceAccount"),
        (
            {"workloadIdentity": {"serviceAccountRef": {"name": "bare"}}},
            "is bound to no Google service account: annotate",
        ),
        ({"workloadIdentity": {"serviceAccountRef": {"name": "odd"}}}, "is bound to no Google service account"),
    ],
)
async def test_what_is_missing_is_told_when_the_store_is_opened(
    lone: World, cloud: Cloud, method: dict[str, Any], message: str
) -> None:
    lone.plant("odd", text="canary", json=json.dumps(key_file() | {"private_key": "canary"}), list='["canary"]')
    lone.credentials.annotations["default", "bare"] = {}
    lone.credentials.annotations["default", "odd"] = {"iam.gke.io/gcp-service-account": "../x"}
    with pytest.raises(BadSpec, match=message) as caught:
        await lone.vault(auth={"gcp": {"role": "shop", **method}})
    assert "canary" not in f"{caught.value} {caught.value.__context__!r}"
    assert cloud.asked == []
