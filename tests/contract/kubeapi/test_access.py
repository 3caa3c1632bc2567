from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.contract.kubeapi.client import Client, secret
from tests.contract.kubeapi.things import GROUP

pytestmark = pytest.mark.asyncio(loop_scope="session")
AUTHN = "/apis/authentication.k8s.io/v1"
AUTHZ = "/apis/authorization.k8s.io/v1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


async def _token(cluster: Client, ns: str, name: str = "worker", **spec: Any) -> str:
    await cluster.post(f"{ns}/serviceaccounts", {"metadata": {"name": name}})
    path = f"{ns}/serviceaccounts/{name}/token"
    made = (await cluster.post(path, {"spec": spec})).expect(201)
    return str(made.body["status"]["token"])


async def _grant(cluster: Client, space: str, *rules: Any) -> None:
    root = f"{RBAC}/namespaces/{space}"
    (await cluster.post(f"{root}/roles", {"metadata": {"name": "r"}, "rules": list(rules)})).expect(201)
    binding = {
        "metadata": {"name": "r"},
        "roleRef": {"kind": "Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "worker", "namespace": space}],
    }
    (await cluster.post(f"{root}/rolebindings", binding)).expect(201)


async def test_a_token_carries_the_usual_claims(cluster: Client, ns: str, space: str) -> None:
    token = await _token(cluster, ns, audiences=["vault"], expirationSeconds=900)
    head, body, _ = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    assert json.loads(base64.urlsafe_b64decode(head + "=="))["alg"] == "RS256"
    assert claims["aud"] == ["vault"]
    assert claims["sub"] == f"system:serviceaccount:{space}:worker"
    assert claims["exp"] - claims["iat"] == 900
    assert claims["kubernetes.io"]["namespace"] == space
    account = await cluster.get(f"{ns}/serviceaccounts/worker")
    assert claims["kubernetes.io"]["serviceaccount"] == {
        "name": "worker",
        "uid": account.meta["uid"],
    }
    config = await cluster.get("/.well-known/openid-configuration")
    assert claims["iss"] == config.body["issuer"]


async def test_a_signature_can_be_checked_with_the_published_keys(cluster: Client, ns: str) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    token = await _token(cluster, ns)
    signed, _, signature = token.rpartition(".")

    def number(text: str) -> int:
        return int.from_bytes(base64.urlsafe_b64decode(text + "=="), "big")

    head = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    keys = (await cluster.get("/openid/v1/jwks", accept="*/*")).expect(200).body["keys"]
    key = next(k for k in keys if k["kid"] == head["kid"])
    public = rsa.RSAPublicNumbers(number(key["e"]), number(key["n"])).public_key()
    raw = base64.urlsafe_b64decode(signature + "==")
    public.verify(raw, signed.encode(), padding.PKCS1v15(), hashes.SHA256())


async def test_short_lives_and_absent_accounts_are_refused(cluster: Client, ns: str) -> None:
    await _token(cluster, ns)
    path = f"{ns}/serviceaccounts/worker/token"
    answer = await cluster.post(path, {"spec": {"expirationSeconds": 60}})
    assert "may not specify a duration less than 10 minutes" in answer.expect(422).message
    (await cluster.post(f"{ns}/serviceaccounts/none/token", {"spec": {}})).expect(404)


async def test_a_token_dies_with_the_object_it_is_bound_to(cluster: Client, ns: str, space: str) -> None:
    bound = await cluster.post(f"{ns}/secrets", secret("bound"))
    ref = {"kind": "Secret", "apiVersion": "v1", "name": "bound", "uid": bound.meta["uid"]}
    token = await _token(cluster, ns, boundObjectRef=ref)
    async with cluster.as_token(token) as worker:
        (await worker.get(f"{ns}/secrets")).expect(403)
        await cluster.delete(f"{ns}/secrets/bound")
        await worker.until(f"{ns}/secrets", 401)


async def test_a_token_review_tells_who_and_for_whom(cluster: Client, ns: str, space: str) -> None:
    token = await _token(cluster, ns, audiences=["vault", "other"])

    async def review(text: str, *audiences: str) -> Any:
        spec = {"token": text, **({"audiences": list(audiences)} if audiences else {})}
        answer = await cluster.post(f"{AUTHN}/tokenreviews", {"spec": spec})
        return answer.expect(201).body["status"]

    good = await review(token, "vault", "third")
    assert good["authenticated"] is True
    assert good["audiences"] == ["vault"]
    assert good["user"]["username"] == f"system:serviceaccount:{space}:worker"
    assert "system:serviceaccounts" in good["user"]["groups"]
    assert not (await review(token)).get("authenticated")
    assert not (await review(token, "third")).get("authenticated")
    assert not (await review("nonsense")).get("authenticated")


async def test_strangers_are_401_and_nobody_is_anonymous(cluster: Client, ns: str) -> None:
    async with cluster.as_token("nonsense") as stranger:
        answer = (await stranger.get(f"{ns}/secrets")).expect(401)
        assert answer.body["reason"] == "Unauthorized"
    async with cluster.as_token("") as nobody:
        (await nobody.get("/healthz", accept="*/*")).expect(200)
        answer = (await nobody.get(f"{ns}/secrets")).expect(403)
        assert 'User "system:anonymous" cannot list resource "secrets"' in answer.message


async def test_a_token_for_others_is_401(cluster: Client, ns: str) -> None:
    token = await _token(cluster, ns, audiences=["vault"])
    async with cluster.as_token(token) as worker:
        (await worker.get(f"{ns}/secrets")).expect(401)


async def test_refusals_name_user_verb_resource_and_place(cluster: Client, ns: str, space: str) -> None:
    user = f'User "system:serviceaccount:{space}:worker"'
    async with cluster.as_token(await _token(cluster, ns)) as worker:
        answer = (await worker.get(f"{ns}/secrets")).expect(403)
        assert answer.message == (
            f'secrets is forbidden: {user} cannot list resource "secrets" in API group "" in the namespace "{space}"'
        )
        assert answer.body["details"] == {"kind": "secrets"}
        answer = (await worker.get(f"{ns}/secrets/a")).expect(403)
        assert answer.message == (
            f'secrets "a" is forbidden: {user} cannot get resource "secrets" in API group "" in the namespace "{space}"'
        )
        answer = (await worker.get(f"/apis/{GROUP}/v1/things")).expect(403)
        assert answer.message == (
            f'things.{GROUP} is forbidden: {user} cannot list resource "things" in API group '
            f'"{GROUP}" at the cluster scope'
        )
        answer = (await worker.post(f"{ns}/serviceaccounts/worker/token", {"spec": {}})).expect(403)
        assert 'cannot create resource "serviceaccounts/token"' in answer.message
        answer = (await worker.get("/metrics", accept="*/*")).expect(403)
        assert answer.message == f'forbidden: {user} cannot get path "/metrics"'


async def test_a_role_grants_what_it_names_and_no_more(cluster: Client, ns: str, space: str) -> None:
    await _grant(
        cluster,
        space,
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]},
    )
    async with cluster.as_token(await _token(cluster, ns)) as worker:
        await worker.until(f"{ns}/secrets", 200)
        (await worker.get(f"{ns}/secrets/a")).expect(404)
        (await worker.get(f"{ns}/secrets/b")).expect(403)
        (await worker.post(f"{ns}/secrets", secret("a"))).expect(403)
        (await worker.delete(f"{ns}/secrets")).expect(403)
        (await worker.get("/api/v1/secrets")).expect(403)
        (await worker.post(f"{ns}/configmaps", {"metadata": {"name": "c"}})).expect(201)


async def test_one_can_ask_what_one_may(cluster: Client, ns: str, space: str) -> None:
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    await _grant(cluster, space, rule)
    async with cluster.as_token(await _token(cluster, ns)) as worker:
        await worker.until(f"{ns}/secrets/none", 404)

        async def may(verb: str, resource: str = "secrets") -> bool:
            spec = {
                "resourceAttributes": {
                    "verb": verb,
                    "resource": resource,
                    "namespace": space,
                }
            }
            body = {"spec": spec}
            answer = await worker.post(f"{AUTHZ}/selfsubjectaccessreviews", body)
            return bool(answer.expect(201).body["status"]["allowed"])

        assert await may("get")
        assert not await may("list")
        assert not await may("get", "configmaps")
        body = {"spec": {"namespace": space}}
        rules = await worker.post(f"{AUTHZ}/selfsubjectrulesreviews", body)
        assert rule in rules.expect(201).body["status"]["resourceRules"]
        who = await worker.post(f"{AUTHN}/selfsubjectreviews", {})
        name = who.expect(201).body["status"]["userInfo"]["username"]
        assert name == f"system:serviceaccount:{space}:worker"
    spec = {
        "user": f"system:serviceaccount:{space}:worker",
        "resourceAttributes": {"verb": "get", "resource": "secrets", "namespace": space},
    }
    other = await cluster.post(f"{AUTHZ}/subjectaccessreviews", {"spec": spec})
    assert other.expect(201).body["status"]["allowed"] is True


async def test_nobody_grants_what_they_do_not_hold(cluster: Client, ns: str, space: str) -> None:
    rule = {
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["roles"],
        "verbs": ["create", "get"],
    }
    await _grant(cluster, space, rule)
    root = f"{RBAC}/namespaces/{space}/roles"
    async with cluster.as_token(await _token(cluster, ns)) as worker:
        await worker.until(f"{root}/none", 404)
        wide = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
        answer = await worker.post(root, {"metadata": {"name": "wide"}, "rules": [wide]})
        assert "attempting to grant RBAC permissions not currently held" in answer.expect(403).message
        (await worker.post(root, {"metadata": {"name": "same"}, "rules": [rule]})).expect(201)


async def test_bindings_and_roles_are_validated(cluster: Client, space: str) -> None:
    root = f"{RBAC}/namespaces/{space}"
    bad: Any = {"metadata": {"name": "x"}, "rules": [{"verbs": ["get"]}]}
    (await cluster.post(f"{root}/roles", bad)).expect(422)
    binding: Any = {
        "metadata": {"name": "x"},
        "roleRef": {"kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "name": "u"}],
    }
    (await cluster.post(f"{root}/rolebindings", binding)).expect(201)
    changed = {"roleRef": {"name": "other"}}
    answer = (await cluster.merge(f"{root}/rolebindings/x", changed)).expect(422)
    assert "cannot change roleRef" in answer.message
