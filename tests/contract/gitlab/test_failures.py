"""What is told when it does not work, and what never is."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from aiohttp import web

from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, Unreachable
from keyferry.ports import Ref, Retries, Validation
from tests.contract.gitlab.world import World, found, value
from tests.sandbox.gitlab import GitLab
from tests.support.faults import FaultProxy


class TestDenials:
    @pytest.mark.parametrize("state", ["revoked", "expired"])
    async def test_a_token_that_ended_is_told_as_such(self, world: World, state: str) -> None:
        world.server.tokens[world.token].state = state
        with pytest.raises(Denied, match=f"the access token is {state}: issue another one"):
            await value(await world.open(), "A")

    async def test_a_token_of_somewhere_else_is_not_accepted(self, world: World) -> None:
        del world.server.tokens[world.token]
        with pytest.raises(Denied, match="does not accept the access token"):
            await (await world.open()).validate()

    async def test_a_missing_scope_is_named(self, world: World) -> None:
        world.server.tokens[world.token].scopes = {"read_user"}
        with pytest.raises(Denied, match="lacks a scope: issue one with the scope read_api"):
            await value(await world.open(), "A")

    async def test_a_lesser_role_is_told_with_the_role_that_it_takes(self, world: World) -> None:
        roles = world.server.tokens[world.token].roles
        roles[world.project] = "Developer"
        with pytest.raises(Denied, match=f'the role Maintainer in project "{world.project}"'):
            await value(await world.open(), "A")
        roles |= {world.project: "Maintainer", world.shop: "Maintainer"}
        with pytest.raises(Denied, match=f'the role Owner in group "{world.shop}"'):
            await value(await world.open(inheritFromGroups=True), "A")

    @pytest.mark.parametrize("which", ["project", "group"])
    async def test_a_place_that_the_token_cannot_see_is_no_absence(self, world: World, which: str) -> None:
        changes: dict[str, Any] = {"projectID": "4711"} if which == "project" else {"groupIDs": ["4711"]}
        adapter = await world.open(**changes)
        for call in (value(adapter, "A"), found(adapter), adapter.validate()):
            with pytest.raises(Denied, match=f'shows the access token no {which} "4711": check its number or path'):
                await call

    async def test_what_was_found_before_a_refusal_is_given(self, world: World) -> None:
        world.server.put(world.project, "A", "x")
        answers = await (await world.open(groupIDs=["4711"])).read([Ref("A"), Ref("B")])
        assert not isinstance(answers[Ref("A")], KeyferryError)
        assert isinstance(answers[Ref("B")], Denied)


class TestOpening:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"projectID": None}, "projectID and groupIDs are both empty"),
            ({"projectID": "", "groupIDs": []}, "projectID and groupIDs are both empty"),
            ({"groupIDs": ["1"], "inheritFromGroups": True}, "groupIDs and inheritFromGroups exclude each other"),
            ({"auth": {"SecretRef": {}}}, r"auth\.SecretRef\.accessToken is not set"),
            ({"auth": {"SecretRef": {"accessToken": {"name": "none", "key": "k"}}}}, 'no key "k"'),
            ({"auth": {"SecretRef": {"accessToken": {"name": "odd", "key": "lines"}}}}, "does not hold a token"),
            ({"auth": {"SecretRef": {"accessToken": {"name": "odd", "key": "binary"}}}}, "does not hold a token"),
            ({"url": "gitlab.example.com"}, "url is no http or https URL"),
            ({"url": "https://a:b@gitlab.example.com"}, "url carries credentials"),
            ({"url": "https://gitlab.example.com", "caBundle": "Y2FuYXJ5"}, "caBundle holds no PEM certificate"),
        ],
    )
    async def test_what_is_wrong_is_told_before_anything_is_sent(
        self, world: World, changes: dict[str, Any], message: str
    ) -> None:
        world.credentials.secrets["default", "odd"] = {"lines": b"canary\nb", "binary": b"\xff"}
        with pytest.raises(BadSpec, match=message) as caught:
            await world.open(**changes)
        assert "canary" not in str(caught.value)
        assert world.server.requests == []

    @pytest.mark.parametrize("ending", ["/", "/api/v4", "/api/v4/"])
    async def test_the_address_may_end_as_people_write_it(self, world: World, ending: str) -> None:
        assert await (await world.open(url=world.server.url + ending)).validate() is Validation.READY

    async def test_without_an_address_it_is_gitlab_com(self, world: World) -> None:
        adapter = await world.open(url=None)
        assert adapter._api._http.address == "https://gitlab.com/api/v4"


class TestTheWay:
    async def test_an_authority_of_a_config_map_is_trusted_and_no_other(self, world: World) -> None:
        async with FaultProxy(world.server.url) as proxy:
            world.credentials.config_maps["default", "ca"] = {"ca.crt": proxy.ca_pem.decode()}
            ca = {"type": "ConfigMap", "name": "ca", "key": "ca.crt"}
            assert await (await world.open(url=proxy.url, caProvider=ca)).validate() is Validation.READY
            with pytest.raises(Unreachable, match=r"is not trusted.*set caBundle or caProvider"):
                await (await world.open(url=proxy.url)).validate()

    async def test_a_pause_can_be_told_by_the_time_of_its_end(self, world: World) -> None:
        async def limited(_: web.Request) -> web.Response:
            return web.Response(status=429, text="Retry later", headers={"RateLimit-Reset": str(int(time.time()) + 60)})

        async with FaultProxy(world.server.url) as proxy:
            ca = base64.b64encode(proxy.ca_pem).decode()
            adapter = await world.open(url=proxy.url, caBundle=ca)
            proxy._fault = limited
            with pytest.raises(Busy) as caught:
                await value(adapter, "A")
            assert caught.value.retry_after is not None
            assert 50 < caught.value.retry_after <= 60

    async def test_calls_are_tried_again_as_the_store_says_and_counted_each(self, world: World) -> None:
        async with FaultProxy(world.server.url) as proxy:
            context = {"retries": Retries(attempts=2, interval=0.001)}
            adapter = await world.open(url=proxy.url, caBundle=base64.b64encode(proxy.ca_pem).decode(), context=context)
            proxy.fail(503)
            with pytest.raises(Unreachable):
                await value(adapter, "A")
        assert world.calls.counts == {("ProjectVariablesList", "error"): 3}

    async def test_the_token_does_not_follow_a_redirect_to_another_host(self, world: World) -> None:
        async with GitLab() as other, FaultProxy(world.server.url) as proxy:

            async def elsewhere(_: web.Request) -> web.Response:
                return web.Response(status=302, headers={"Location": f"{other.url}/api/v4/projects/1/variables"})

            adapter = await world.open(url=proxy.url, caBundle=base64.b64encode(proxy.ca_pem).decode())
            proxy._fault = elsewhere
            with pytest.raises(Unreachable, match="redirects to another address"):
                await value(adapter, "A")
            assert other.requests == []

    async def test_a_redirect_within_the_instance_is_followed(self, world: World) -> None:
        world.server.put(world.project, "A", "x")
        async with FaultProxy(world.server.url) as proxy:
            adapter = await world.open(
                url=proxy.url, projectID="company/old", caBundle=base64.b64encode(proxy.ca_pem).decode()
            )

            async def moved(request: web.Request) -> web.StreamResponse:
                proxy.clear()
                raise web.HTTPMovedPermanently(f"/api/v4/projects/{world.project}/variables?{request.query_string}")

            proxy._fault = moved
            assert await value(adapter, "A") == "x"

    async def test_two_stores_with_different_tokens_never_mix(self, world: World) -> None:
        other = world.server.project("other/web")
        token = world.server.token({other: "Maintainer"})
        world.credentials.secrets["default", "other"] = {"token": token.encode()}
        world.server.put(world.project, "A", "mine")
        world.server.put(other, "A", "theirs")
        mine = await world.open()
        theirs = await world.open(
            projectID=str(other), auth={"SecretRef": {"accessToken": {"name": "other", "key": "token"}}}
        )
        for _ in range(3):
            assert await value(mine, "A") == "mine"
            assert await value(theirs, "A") == "theirs"
        await mine.aclose()
        assert await value(theirs, "A") == "theirs"
