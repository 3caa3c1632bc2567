from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from keyferry.errors import BadSpec, Denied, NotThere, Unreachable
from keyferry.ports import Fetched, Finder, Provider, Query, Ref, Validation
from keyferry.providers.kubernetes import Kubernetes
from keyferry.providers.kubernetes.config import KubernetesConfig
from tests.support.credentials import DictCredentials, make_context
from tests.unit.providers.kubecluster import CANARY, Cluster, document, reads


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


class TestRereading:
    async def test_one_listing_without_values_stands_for_many_downloads(
        self, cluster: Cluster, adapter: Kubernetes
    ) -> None:
        refs, known = await some(cluster, adapter, 6)
        await cluster.admin.request("DELETE", "/api/v1/namespaces/remote/secrets/s-4")
        await cluster.secret("s-4", {"user": b"another"})
        await cluster.admin.request("DELETE", "/api/v1/namespaces/remote/secrets/s-5")
        before = dict(cluster.calls.counts)
        again = await adapter.reread([*refs, Ref("s-0", metadata=True)], known)
        assert [again[ref] is known[ref] for ref in refs] == [True] * 4 + [False] * 2
        assert document(again[refs[4]]) == {"user": b"another"}
        assert isinstance(again[refs[5]], NotThere)
        assert document(again[Ref("s-0", metadata=True)]).startswith(b"{")
        spent = {call: count - before.get(call, 0) for call, count in cluster.calls.counts.items()}
        # A Secret that is gone is looked for among the names, for the remedy.
        assert spent == {("GetSecret", "success"): 2, ("GetSecret", "error"): 1, ("ListSecrets", "success"): 2}

    async def test_a_single_secret_is_read(self, cluster: Cluster, adapter: Kubernetes) -> None:
        refs, known = await some(cluster, adapter, 1)
        again = await adapter.reread(refs, known)
        assert document(again[refs[0]]) == {"user": b"0"}
        assert cluster.calls.counts == {("GetSecret", "success"): 2}

    async def test_a_crowded_namespace_is_not_listed_for_a_few(self, cluster: Cluster, adapter: Kubernetes) -> None:
        refs, known = await some(cluster, adapter, 23)
        few = {ref: known[ref] for ref in refs[:2]}
        for _ in range(3):
            assert set(await adapter.reread(refs[:2], few)) == set(refs[:2])
        # The first attempt learns how many there are.
        assert cluster.calls.counts["ListSecrets", "success"] == 1
        assert (await adapter.reread(refs, known))[refs[0]] is known[refs[0]]
        assert cluster.calls.counts["ListSecrets", "success"] == 2

    async def test_who_may_not_list_reads_and_does_not_try_again(self, cluster: Cluster) -> None:
        await cluster.allow("get")
        adapter = await cluster.open()
        refs, known = await some(cluster, adapter, 3)
        for _ in range(2):
            assert [document(each) for each in (await adapter.reread(refs, known)).values()] == [
                {"user": b"0"},
                {"user": b"1"},
                {"user": b"2"},
            ]
        assert cluster.calls.counts["ListSecrets", "error"] == 1
        await adapter.aclose()


async def some(cluster: Cluster, adapter: Kubernetes, count: int) -> tuple[list[Ref], dict[Ref, Fetched]]:
    """So many Secrets, and what was read of them."""
    refs = [Ref(f"s-{number}") for number in range(count)]
    for number in range(count):
        await cluster.secret(f"s-{number}", {"user": str(number).encode()})
    found = await adapter.read(refs)
    return refs, {ref: each for ref, each in found.items() if isinstance(each, Fetched)}


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
