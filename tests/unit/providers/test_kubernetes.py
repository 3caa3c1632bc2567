from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from keyferry.errors import BadSpec, Denied, KeyferryError, NotThere, Unreachable
from keyferry.kubehttp import KubeHttp
from keyferry.ports import Fetched, Finder, Provider, Query, Ref, Validation
from keyferry.providers.kubernetes import Kubernetes
from keyferry.providers.kubernetes.config import KubernetesConfig
from keyferry.transport import ssl_context
from tests.sandbox.kubeapi import KubeApi
from tests.support.credentials import Calls, DictCredentials, make_context

CANARY = "canary-93d4"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


class Cluster:
    """A sandbox API server with a namespace ``remote``, and a user ``reader`` whose token is ``reader-token``."""

    def __init__(self, api: KubeApi, admin: KubeHttp) -> None:
        self.api = api
        self.admin = admin
        self.credentials = DictCredentials(secrets={("default", "login"): {"token": b"reader-token\n"}})
        self.calls = Calls()

    async def secret(self, name: str, data: Mapping[str, bytes], **metadata: Any) -> None:
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, **metadata}, "data": encoded}
        await self.admin.request("POST", "/api/v1/namespaces/remote/secrets", body=body)

    async def allow(self, *verbs: str) -> None:
        """Let ``reader`` do this with Secrets of ``remote``, and nothing else."""
        role = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "reader"},
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": list(verbs)}],
        }
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "reader"}],
        }
        await self.admin.request("POST", f"{RBAC}/namespaces/remote/roles", body=role)
        await self.admin.request("POST", f"{RBAC}/namespaces/remote/rolebindings", body=binding)

    @property
    def server(self) -> dict[str, str]:
        return {"url": self.api.url, "caBundle": base64.b64encode(self.api.ca_pem.encode()).decode()}

    async def open(self, **config: Any) -> Kubernetes:
        given = {
            "server": self.server,
            "auth": {"token": {"bearerToken": {"name": "login", "key": "token"}}},
            "remoteNamespace": "remote",
        } | config
        model = KubernetesConfig.model_validate({key: value for key, value in given.items() if value is not None})
        return await Kubernetes.open(model, make_context(self.credentials, observe=self.calls))


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with KubeApi(controllers=False) as api:
        api.add_user("reader-token", "reader")
        admin = KubeHttp.direct(
            server=api.url, ssl=ssl_context(api.ca_pem.encode()), token=api.admin_token, user_agent="test"
        )
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "remote"}}
        await admin.request("POST", "/api/v1/namespaces", body=body)
        yield Cluster(api, admin)
        await admin.aclose()
        assert not api.errors


@pytest.fixture
async def adapter(cluster: Cluster) -> AsyncIterator[Kubernetes]:
    await cluster.allow("get", "list")
    opened = await cluster.open()
    cluster.api.requests.clear()
    yield opened
    await opened.aclose()


def document(result: object) -> Any:
    assert isinstance(result, Fetched), repr(result)
    return result.document


async def reads(adapter: Kubernetes) -> KeyferryError | Fetched:
    """What a read of the Secret ``db`` gives; the adapter is closed."""
    found = await adapter.read([Ref("db")])
    await adapter.aclose()
    return found[Ref("db")]


class TestReading:
    async def test_it_is_a_provider_that_can_be_searched(self, adapter: Kubernetes) -> None:
        assert isinstance(adapter, Provider)
        assert isinstance(adapter, Finder)

    async def test_a_secret_is_a_map_of_bytes_with_its_resource_version(
        self, cluster: Cluster, adapter: Kubernetes
    ) -> None:
        await cluster.secret("db", {"user": b"admin", "raw": b"\x00\xff"})
        found = (await adapter.read([Ref("db")]))[Ref("db")]
        current = await cluster.admin.request("GET", "/api/v1/namespaces/remote/secrets/db")
        assert document(found) == {"user": b"admin", "raw": b"\x00\xff"}
        assert isinstance(found, Fetched)
        assert found.version == current["metadata"]["resourceVersion"]

    async def test_a_secret_without_data_is_an_empty_map(self, cluster: Cluster, adapter: Kubernetes) -> None:
        await cluster.secret("db", {})
        assert document((await adapter.read([Ref("db")]))[Ref("db")]) == {}

    async def test_refs_of_one_secret_share_one_request(self, cluster: Cluster, adapter: Kubernetes) -> None:
        await cluster.secret("db", {"user": b"admin"}, labels={"a": "b"})
        refs = [Ref("db"), Ref("db", metadata=True), Ref("db", "7")]
        found = await adapter.read(refs)
        assert document(found[refs[0]]) == document(found[refs[2]]) == {"user": b"admin"}
        assert cluster.api.requests.count(user_agent="keyferry") == 1
        assert cluster.calls.counts == {("GetSecret", "success"): 1}

    @pytest.mark.parametrize(
        ("metadata", "expected"),
        [
            ({}, '{"annotations":null,"labels":null}'),
            ({"labels": {"b": "2", "a": "1"}}, '{"annotations":null,"labels":{"a":"1","b":"2"}}'),
            (
                {"annotations": {"x": "<ü>&\u2028\u2029\t\"'\\"}},
                '{"annotations":{"x":"<ü>&\\u2028\\u2029\\t\\"\'\\\\"},"labels":null}',
            ),
        ],
    )
    async def test_metadata_is_rendered_as_eso_does(
        self, cluster: Cluster, adapter: Kubernetes, metadata: dict[str, Any], expected: str
    ) -> None:
        await cluster.secret("db", {"user": CANARY.encode()}, **metadata)
        ref = Ref("db", metadata=True)
        assert document((await adapter.read([ref]))[ref]) == expected.encode()

    async def test_the_names_that_are_nearest_are_told(self, cluster: Cluster, adapter: Kubernetes) -> None:
        for name in ("database-prod", "database-test", "other"):
            await cluster.secret(name, {})
        error = (await adapter.read([Ref("database-prd")]))[Ref("database-prd")]
        assert isinstance(error, NotThere)
        assert str(error) == (
            'there is no Secret "database-prd" in namespace "remote": is it one of database-prod, database-test?'
        )
        assert cluster.calls.counts["ListSecrets", "success"] == 1

    async def test_no_names_are_told_where_they_cannot_be_listed(self, cluster: Cluster) -> None:
        await cluster.allow("get")
        await cluster.secret("dbs", {})
        error = await reads(await cluster.open())
        assert isinstance(error, NotThere)
        assert str(error) == 'there is no Secret "db" in namespace "remote"'

    @pytest.mark.parametrize("key", ["", ".", "..", "../pods/x", "a/b", "A", "a_b", "%61", "a" * 254])
    async def test_a_key_that_is_no_name_is_not_asked_for(
        self, cluster: Cluster, adapter: Kubernetes, key: str
    ) -> None:
        error = (await adapter.read([Ref(key)]))[Ref(key)]
        assert isinstance(error, BadSpec)
        assert len(cluster.api.requests) == 0

    async def test_a_user_without_rights_is_told_which_rule_to_add(self, cluster: Cluster) -> None:
        error = await reads(await cluster.open())
        assert isinstance(error, Denied)
        assert str(error) == (
            'user "reader" may not get secrets in namespace "remote": bind it to a Role in namespace "remote" '
            'with the rule {apiGroups: [""], resources: ["secrets"], verbs: ["get"]}'
        )
        assert cluster.calls.counts == {("GetSecret", "error"): 1}

    async def test_an_unknown_token_is_denied(self, cluster: Cluster) -> None:
        cluster.credentials.secrets["default", "login"]["token"] = CANARY.encode()
        error = await reads(await cluster.open())
        assert isinstance(error, Denied)
        assert CANARY not in f"{error!r} {vars(error)}"

    async def test_a_server_of_another_authority_is_told_with_the_remedy(self, cluster: Cluster) -> None:
        error = await reads(await cluster.open(server={"url": cluster.api.url}))
        assert isinstance(error, Unreachable)
        assert "certificate" in str(error)
        assert "kube-root-ca.crt" in error.remedy

    async def test_no_more_than_eight_requests_are_under_way(self) -> None:
        at_once, most = 0, 0

        async def slow(request: web.Request) -> web.Response:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.005)
            at_once -= 1
            return web.json_response({"metadata": {"name": request.path.rsplit("/")[-1]}, "data": {}})

        app = web.Application()
        app.router.add_get("/{tail:.*}", slow)
        credentials = DictCredentials(secrets={("default", "login"): {"token": b"t"}})
        async with TestServer(app) as server:
            config = KubernetesConfig.model_validate(
                {
                    "server": {"url": str(server.make_url(""))},
                    "auth": {"token": {"bearerToken": {"name": "login", "key": "token"}}},
                }
            )
            adapter = await Kubernetes.open(config, make_context(credentials))
            found = await adapter.read([Ref(f"key-{number}") for number in range(40)])
            await adapter.aclose()
        assert all(isinstance(result, Fetched) for result in found.values())
        assert most == 8

    async def test_no_value_is_shown_by_a_repr(self, cluster: Cluster, adapter: Kubernetes) -> None:
        await cluster.secret("db", {"user": CANARY.encode()})
        assert CANARY not in f"{await adapter.read([Ref('db')])!r} {adapter!r}"


class TestSearching:
    async def test_tags_win_over_a_name(self, cluster: Cluster, adapter: Kubernetes) -> None:
        await cluster.secret("a", {"k": b"1"}, labels={"team": "red"})
        await cluster.secret("b", {"k": b"2"})
        found = await adapter.find(Query(name="^b", tags=(("team", "red"),), matches=lambda name: name == "b"))
        assert {name: document(result) for name, result in found.items()} == {"a": {"k": b"1"}}

    async def test_no_tags_at_all_select_everything(self, cluster: Cluster, adapter: Kubernetes) -> None:
        await cluster.secret("a", {"k": b"1"})
        await cluster.secret("b", {"k": b"2"})
        assert set(await adapter.find(Query(tags=()))) == {"a", "b"}

    async def test_a_long_list_comes_in_pages_with_its_values(self, cluster: Cluster, adapter: Kubernetes) -> None:
        await asyncio.gather(*(cluster.secret(f"s-{number}", {"k": str(number).encode()}) for number in range(501)))
        found = await adapter.find(Query(name="."))
        assert {name: document(result)["k"] for name, result in found.items()} == {
            f"s-{number}": str(number).encode() for number in range(501)
        }
        assert cluster.api.requests.count(user_agent="keyferry", verb="list") == 2
        assert cluster.api.requests.count(user_agent="keyferry", verb="get") == 0

    @pytest.mark.parametrize(
        "tag", [("a=b", "c"), ("a", "b,c"), ("", "x"), ("a b", "c"), ("a", "x" * 64), ("a/b/c", "d")]
    )
    async def test_a_tag_that_is_no_label_is_a_bad_spec(
        self, cluster: Cluster, adapter: Kubernetes, tag: tuple[str, str]
    ) -> None:
        with pytest.raises(BadSpec, match="cannot be a label"):
            await adapter.find(Query(tags=(tag,)))
        assert len(cluster.api.requests) == 0

    async def test_neither_name_nor_tags_is_a_bad_spec(self, adapter: Kubernetes) -> None:
        with pytest.raises(BadSpec, match="by name or tags"):
            await adapter.find(Query(path="x"))

    async def test_a_user_who_may_not_list_is_told_so(self, cluster: Cluster) -> None:
        await cluster.allow("get")
        adapter = await cluster.open()
        with pytest.raises(Denied, match=r'may not list secrets .* verbs: \["list"\]'):
            await adapter.find(Query(name="."))
        await adapter.aclose()


class TestValidation:
    async def test_a_role_is_enough(self, cluster: Cluster, adapter: Kubernetes) -> None:
        assert await adapter.validate() is Validation.READY
        assert [request.resource for request in cluster.api.requests] == ["selfsubjectrulesreviews"]
        assert cluster.calls.counts == {("CreateSelfSubjectRulesReview", "success"): 1}

    async def test_a_user_without_rights_is_told_which_rule_to_add(self, cluster: Cluster) -> None:
        adapter = await cluster.open()
        with pytest.raises(
            Denied, match=r'the credential may not get secrets .* resources: \["secrets"\], verbs: \["get"\]'
        ):
            await adapter.validate()
        await adapter.aclose()
        asked = [request.resource for request in cluster.api.requests if request.user == "reader"]
        assert asked == ["selfsubjectrulesreviews", "selfsubjectaccessreviews"]

    @pytest.mark.parametrize(
        ("rule", "allowed"),
        [
            ({"resources": ["secrets"], "verbs": ["get"]}, True),
            ({"resources": ["*"], "verbs": ["*"], "apiGroups": ["*"]}, True),
            ({"resources": ["secrets"], "verbs": ["get"], "apiGroups": [""]}, True),
            ({"resources": ["secrets"], "verbs": ["get"], "apiGroups": ["apps"]}, False),
            ({"resources": ["secrets"], "verbs": ["list"]}, False),
            ({"resources": ["pods"], "verbs": ["get"]}, False),
        ],
    )
    @pytest.mark.parametrize("access", [True, False])
    async def test_rules_count_first_and_the_access_review_after(
        self, cluster: Cluster, rule: dict[str, Any], allowed: bool, access: bool
    ) -> None:
        async def answer(request: web.Request) -> web.Response:
            status = {"resourceRules": [rule]} if "rules" in request.path else {"allowed": access}
            return web.json_response({"status": status})

        app = web.Application()
        app.router.add_post("/{tail:.*}", answer)
        async with TestServer(app) as server:
            adapter = await cluster.open(server={"url": str(server.make_url(""))})
            try:
                ready = await adapter.validate() is Validation.READY
            except Denied:
                ready = False
            await adapter.aclose()
        assert ready is (allowed or access)


class TestLogin:
    """Each way to log in, against an API server that checks it."""

    @pytest.fixture(autouse=True)
    async def rights(self, cluster: Cluster) -> None:
        await cluster.allow("get")
        await cluster.secret("db", {"user": b"admin"})

    def kubeconfig(self, cluster: Cluster, user: dict[str, Any], **about: Any) -> dict[str, Any]:
        """Put a kubeconfig into the Secret ``kubeconfig``; the result is the store's configuration."""
        ca = base64.b64encode(cluster.api.ca_pem.encode()).decode()
        content = {
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [
                {"name": "c", "cluster": {"server": cluster.api.url, "certificate-authority-data": ca, **about}}
            ],
            "users": [{"name": "u", "user": user}],
        }
        cluster.credentials.secrets["default", "kubeconfig"] = {"config": json.dumps(content).encode()}
        return {"auth": None, "server": None, "authRef": {"name": "kubeconfig", "key": "config"}}

    async def test_by_a_bearer_token(self, cluster: Cluster) -> None:
        assert document(await reads(await cluster.open())) == {"user": b"admin"}

    async def test_by_a_client_certificate(self, cluster: Cluster) -> None:
        cert, key = cluster.api.authority.issue("reader", ())
        cluster.credentials.secrets["default", "pair"] = {"c": cert.encode(), "k": key.encode()}
        names = {"clientCert": {"name": "pair", "key": "c"}, "clientKey": {"name": "pair", "key": "k"}}
        assert document(await reads(await cluster.open(auth={"cert": names}))) == {"user": b"admin"}

    async def test_by_a_token_in_a_kubeconfig(self, cluster: Cluster) -> None:
        config = self.kubeconfig(cluster, {"token": "reader-token"})
        assert document(await reads(await cluster.open(**config))) == {"user": b"admin"}

    async def test_by_a_certificate_in_a_kubeconfig(self, cluster: Cluster) -> None:
        cert, key = (base64.b64encode(part.encode()).decode() for part in cluster.api.authority.issue("reader", ()))
        config = self.kubeconfig(cluster, {"client-certificate-data": cert, "client-key-data": key})
        assert document(await reads(await cluster.open(**config))) == {"user": b"admin"}

    async def test_to_a_server_that_the_kubeconfig_says_not_to_verify(self, cluster: Cluster) -> None:
        config = self.kubeconfig(
            cluster,
            {"token": "reader-token"},
            **{"certificate-authority-data": None, "insecure-skip-tls-verify": True},
        )
        assert document(await reads(await cluster.open(**config))) == {"user": b"admin"}

    async def test_to_a_server_whose_certificate_has_another_name(self, cluster: Cluster) -> None:
        known = self.kubeconfig(cluster, {"token": "reader-token"}, **{"tls-server-name": "localhost"})
        assert document(await reads(await cluster.open(**known))) == {"user": b"admin"}
        unknown = self.kubeconfig(cluster, {"token": "reader-token"}, **{"tls-server-name": "elsewhere.example"})
        assert isinstance(await reads(await cluster.open(**unknown)), Unreachable)
