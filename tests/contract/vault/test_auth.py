"""Every way to log in. Each is proven by reading a secret that its policy alone permits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keyferry.errors import BadSpec, Denied
from keyferry.ports import CallerNeeded, Token, Validation
from tests.contract.vault.stub import Reply, Request, server_context, serving
from tests.contract.vault.support import Signer, World, token_of, value
from tests.sandbox.certificates import Authority
from tests.sandbox.openbao import OpenBao


@pytest.fixture(scope="module")
def policy(bao: OpenBao) -> str:
    """A policy that permits to read ``secret/auth/*``, where one secret is."""
    client = bao.client()
    client.secrets.kv.v2.create_or_update_secret("auth/db", {"k": "v"})
    client.sys.create_or_update_policy("auth", 'path "secret/data/auth/*" { capabilities = ["read"] }')
    return "auth"


@pytest.fixture(scope="module")
def approle(bao: OpenBao, policy: str) -> dict[str, str]:
    client = bao.client()
    client.sys.enable_auth_method("approle")
    client.auth.approle.create_or_update_approle("reader", token_policies=[policy], token_ttl="1h")
    return {
        "id": client.auth.approle.read_role_id("reader")["data"]["role_id"],
        "secret": client.auth.approle.generate_secret_id("reader")["data"]["secret_id"],
    }


@pytest.fixture(scope="module")
def userpass(bao: OpenBao, policy: str) -> str:
    client = bao.client()
    client.sys.enable_auth_method("userpass")
    client.auth.userpass.create_or_update_user("ann.b", "pass word", policies=policy)
    return "pass word"


@pytest.fixture(scope="module")
def jwt_role(bao: OpenBao, policy: str, signer: Signer) -> str:
    client = bao.client()
    client.sys.enable_auth_method("jwt")
    client.auth.jwt.configure(jwt_validation_pubkeys=[signer.public_pem])
    client.auth.jwt.create_role(
        "app", role_type="jwt", allowed_redirect_uris=[], user_claim="sub", bound_audiences=["vault"],
        bound_subject="system:serviceaccount:default:app", token_policies=[policy],
    )  # fmt: skip
    return "app"


def app_token(signer: Signer, **claims: Any) -> str:
    return signer.sign(**({"sub": "system:serviceaccount:default:app", "aud": "vault"} | claims))


async def reads(world: World, auth: dict[str, Any] | None) -> bool:
    """Whether a store with this auth is valid and reads."""
    adapter = await world.vault(auth=auth)
    assert await adapter.validate() is Validation.READY
    return bool(await value(adapter, "auth/db") == {"k": "v"})


async def test_a_given_token_is_used_without_a_login(bao: OpenBao, world: World, policy: str) -> None:
    world.plant("given", token=bao.client().auth.token.create(policies=[policy])["auth"]["client_token"] + "\n")
    assert await reads(world, {"tokenSecretRef": {"name": "given", "key": "token"}})
    assert world.made("Login") == 0


@pytest.mark.parametrize("how", ["roleId", "roleRef"])
async def test_an_app_role_logs_in(world: World, approle: dict[str, str], how: str) -> None:
    world.plant("app-role", id=approle["id"] + "\n", secret=approle["secret"] + "\n")
    role = {"roleId": approle["id"]} if how == "roleId" else {"roleRef": {"name": "app-role", "key": "id"}}
    assert await reads(world, {"appRole": {**role, "secretRef": {"name": "app-role", "key": "secret"}}})
    assert world.made("Login") == 1


async def test_a_user_with_a_password(world: World, userpass: str) -> None:
    world.plant("user", password=userpass)
    assert await reads(world, {"userPass": {"username": "ann.b", "secretRef": {"name": "user", "key": "password"}}})


async def test_a_jwt_from_a_secret(world: World, jwt_role: str, signer: Signer) -> None:
    world.plant("jwt", jwt=app_token(signer))
    assert await reads(world, {"jwt": {"role": jwt_role, "secretRef": {"name": "jwt", "key": "jwt"}}})


async def test_a_jwt_of_a_service_account_is_for_the_audience_vault(
    world: World, jwt_role: str, signer: Signer
) -> None:
    world.credentials.tokens["default", "app"] = Token(app_token(signer), 0)
    assert await reads(
        world, {"jwt": {"role": jwt_role, "kubernetesServiceAccountToken": {"serviceAccountRef": {"name": "app"}}}}
    )
    assert world.credentials.token_requests == [("default", "app", ("vault",), 600)]


async def test_audiences_and_life_of_a_jwt_can_be_set(world: World, jwt_role: str, signer: Signer) -> None:
    world.credentials.tokens["default", "app"] = Token(app_token(signer, aud=["vault", "x"]), 0)
    source = {"serviceAccountRef": {"name": "app", "audiences": ["y"]}, "audiences": ["x"], "expirationSeconds": 1200}
    assert await reads(world, {"jwt": {"role": jwt_role, "kubernetesServiceAccountToken": source}})
    assert world.credentials.token_requests == [("default", "app", ("x", "y"), 1200)]


async def test_a_jwt_for_somebody_else_is_denied_with_the_reason(world: World, jwt_role: str, signer: Signer) -> None:
    world.plant("jwt", jwt=app_token(signer, aud="other"))
    adapter = await world.vault(auth={"jwt": {"role": jwt_role, "secretRef": {"name": "jwt", "key": "jwt"}}})
    with pytest.raises(Denied, match=r"refuses to log in with auth\.jwt: .*audience.*: check auth\.jwt and its role"):
        await adapter.validate()


@pytest.fixture(scope="module")
def kubernetes_role(bao: OpenBao, policy: str, signer: Signer) -> Any:
    """The Kubernetes auth method; its API server is a stub that vouches for tokens of the ServiceAccount ``app``."""

    def review(request: Request) -> Reply:
        token = request.body["spec"]["token"]
        known = token.count(".") == 2 and request.path == "/apis/authentication.k8s.io/v1/tokenreviews"
        status = {
            "authenticated": known,
            "user": {"username": "system:serviceaccount:default:app", "uid": "uid-of-app"},
            "audiences": request.body["spec"].get("audiences") or [],
        }
        return Reply(201, {**request.body, "status": status})

    authority = Authority("api server")
    with serving(review, context=server_context(authority.server())) as api:
        client = bao.client()
        client.sys.enable_auth_method("kubernetes")
        client.auth.kubernetes.configure(
            kubernetes_host=api.url,
            kubernetes_ca_cert=authority.pem.decode(),
            token_reviewer_jwt=account_token(signer),
            disable_local_ca_jwt=True,
        )
        client.auth.kubernetes.create_role("app", "app", "default", policies=[policy])
        yield "app"


def account_token(signer: Signer, name: str = "app") -> str:
    account = {"namespace": "default", "serviceaccount": {"name": name, "uid": f"uid-of-{name}"}}
    return signer.sign(iss="https://k", sub=f"system:serviceaccount:default:{name}", **{"kubernetes.io": account})


async def test_a_service_account_logs_in(world: World, kubernetes_role: str, signer: Signer) -> None:
    world.credentials.tokens["default", "app"] = Token(account_token(signer), 0)
    assert await reads(world, {"kubernetes": {"role": kubernetes_role, "serviceAccountRef": {"name": "app"}}})
    assert world.credentials.token_requests == [("default", "app", (), 600)]


async def test_a_service_account_token_from_a_secret_is_under_the_key_token(
    world: World, kubernetes_role: str, signer: Signer
) -> None:
    world.plant("account", token=account_token(signer))
    assert await reads(world, {"kubernetes": {"role": kubernetes_role, "secretRef": {"name": "account"}}})


async def test_the_operators_own_service_account(world: World, kubernetes_role: str, signer: Signer) -> None:
    world.credentials.own = account_token(signer) + "\n"
    assert await reads(world, {"kubernetes": {"role": kubernetes_role}})


async def test_a_service_account_that_the_role_does_not_name_is_denied(
    world: World, kubernetes_role: str, signer: Signer
) -> None:
    world.credentials.own = account_token(signer, "other")
    adapter = await world.vault(auth={"kubernetes": {"role": kubernetes_role}})
    with pytest.raises(Denied, match="service account name not authorized"):
        await adapter.validate()


async def test_a_mount_path_of_several_parts(bao: OpenBao, world: World, policy: str) -> None:
    client = bao.client()
    client.sys.enable_auth_method("userpass", path="team/users")
    client.auth.userpass.create_or_update_user("u", "pw", policies=policy, mount_point="team/users")
    world.plant("user", password="pw")
    login = {"path": "team/users", "username": "u", "secretRef": {"name": "user", "key": "password"}}
    assert await reads(world, {"userPass": login})


async def test_of_several_methods_the_first_in_order_is_used(
    bao: OpenBao, world: World, approle: dict[str, str], userpass: str
) -> None:
    world.plant("app-role", secret=approle["secret"])
    world.plant("user", password=userpass)
    user = {"username": "ann.b", "secretRef": {"name": "user", "key": "password"}}
    role = {"roleId": approle["id"], "secretRef": {"name": "app-role", "key": "secret"}}
    both = await world.vault(auth={"userPass": user, "appRole": role, "iam": {"vaultRole": "r"}})
    await both.validate()
    assert bao.client(token_of(both)).lookup_token()["data"]["path"] == "auth/approle/login"


async def test_the_openbao_provider_logs_in_too(
    bao: OpenBao, world: World, approle: dict[str, str], userpass: str
) -> None:
    world.plant("app-role", secret=approle["secret"])
    world.plant("user", password=userpass)
    for auth in (
        {"appRole": {"roleId": approle["id"], "secretRef": {"name": "app-role", "key": "secret"}}},
        {"userPass": {"username": "ann.b", "secretRef": {"name": "user", "key": "password"}}},
        {"tokenSecretRef": {"name": "root", "key": "token"}},
    ):
        adapter = await world.openbao(auth=auth)
        assert await adapter.validate() is Validation.READY
        assert await value(adapter, "auth/db") == {"k": "v"}


async def test_an_ldap_user_logs_in_at_the_users_own_path(world: World) -> None:
    def answer(request: Request) -> Reply:
        if request.path == "/v1/auth/corp/ldap/login/ann":
            return Reply(body={"auth": {"client_token": "t", "lease_duration": 60, "renewable": True}})
        return Reply(body={"data": {"data": {"k": "v"}, "metadata": {"version": 1}}})

    world.plant("ldap", password="canary-pw")
    with serving(answer) as stub:
        login = {"path": "corp/ldap", "username": " ann ", "secretRef": {"name": "ldap", "key": "password"}}
        adapter = await world.vault(server=stub.url, auth={"ldap": login})
        assert await value(adapter, "db") == {"k": "v"}
        await adapter.aclose()
    assert [request.path for request in stub.requests] == [
        "/v1/auth/corp/ldap/login/ann",
        "/v1/secret/data/db",
        "/v1/auth/token/revoke-self",
    ]
    assert stub.requests[0].body == {"password": "canary-pw"}
    assert "x-vault-token" not in stub.requests[0].headers
    assert stub.requests[1].headers["x-vault-token"] == ["t"]


async def test_without_auth_requests_carry_no_token(world: World) -> None:
    with serving(lambda _: Reply(body={"data": {"data": {"k": "v"}, "metadata": {"version": 1}}})) as stub:
        adapter = await world.vault(server=stub.url, auth=None)
        assert await adapter.validate() is Validation.READY
        assert await value(adapter, "db") == {"k": "v"}
        await adapter.aclose()
    assert [request.path.partition("?")[0] for request in stub.requests] == ["/v1/sys/health", "/v1/secret/data/db"]
    assert all("x-vault-token" not in request.headers for request in stub.requests)


async def test_without_auth_a_server_that_wants_a_token_says_so(world: World) -> None:
    with pytest.raises(Denied, match=r"does not permit|asks for a token"):
        await value(await world.vault(auth=None), "auth/db")


async def test_wrong_credentials_are_denied_with_the_field_to_check(world: World, approle: dict[str, str]) -> None:
    world.plant("app-role", secret="canary-wrong")
    adapter = await world.vault(
        auth={"appRole": {"roleId": approle["id"], "secretRef": {"name": "app-role", "key": "secret"}}}
    )
    with pytest.raises(Denied) as error:
        await value(adapter, "auth/db")
    assert str(error.value) == (
        f"{world.url} refuses to log in with auth.appRole: invalid role or secret ID: check auth.appRole and its role"
    )


async def test_an_auth_mount_that_is_not_there_is_named(world: World) -> None:
    world.plant("user", password="pw")
    login = {"path": "nowhere", "username": "u", "secretRef": {"name": "user", "key": "password"}}
    with pytest.raises((Denied, BadSpec), match=r"auth\.userPass|nothing is mounted"):
        await (await world.vault(auth={"userPass": login})).validate()


async def test_login_with_mfa_is_refused_with_a_remedy(world: World) -> None:
    world.plant("user", password="pw")
    reply = Reply(body={"auth": {"client_token": "", "mfa_requirement": {"mfa_request_id": "1"}}})
    with serving(lambda _: reply) as stub:
        login = {"username": "u", "secretRef": {"name": "user", "key": "password"}}
        adapter = await world.vault(server=stub.url, auth={"userPass": login})
        with pytest.raises(Denied, match="use a role without MFA"):
            await adapter.validate()


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        ({}, "auth names no method: set one"),
        ({"jwt": {"role": "r"}}, r"auth\.jwt has neither secretRef nor kubernetesServiceAccountToken"),
        ({"appRole": {"secretRef": {"name": "root", "key": "token"}}}, r"auth\.appRole has neither roleId nor roleRef"),
        ({"userPass": {"username": "u"}}, r"auth\.userPass\.secretRef is not set"),
        ({"tokenSecretRef": {"name": "root", "key": "no"}}, r'auth\.tokenSecretRef: no key "no"'),
        ({"tokenSecretRef": {"name": "odd", "key": "empty"}}, r"auth\.tokenSecretRef: the key is empty"),
        ({"tokenSecretRef": {"name": "odd", "key": "binary"}}, r"auth\.tokenSecretRef: the key does not hold text"),
        ({"tokenSecretRef": {"name": "odd", "key": "lines"}}, r"auth\.tokenSecretRef: the key does not hold a token"),
        ({"kubernetes": {"role": "r", "serviceAccountRef": {"name": "no"}}}, r"auth\.kubernetes\.serviceAccountRef"),
    ],
)
async def test_what_is_missing_is_told_when_the_store_is_opened(
    world: World, auth: dict[str, Any], message: str
) -> None:
    world.plant("odd", empty=" \n", binary=b"\xff\xfe", lines="canary-a\ncanary-b")
    with pytest.raises(BadSpec, match=message) as error:
        await world.vault(auth=auth)
    assert "canary" not in json.dumps(str(error.value))


async def test_a_credential_of_the_caller_needs_a_caller(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def needed(*_: Any, **__: Any) -> bytes:
        raise CallerNeeded("no caller")

    monkeypatch.setattr(world.credentials, "secret", needed)
    with pytest.raises(CallerNeeded):
        await world.vault()
