"""What is sent: templates, and the rules of each place that they fill."""

from __future__ import annotations

from typing import Any

import pytest

from keyferry.errors import BadSpec, BadValue
from keyferry.ports import Ref
from tests.contract.webhook.world import ADMIN, CANARY, World, ask


async def test_a_get_without_body_is_sent_where_nothing_else_is_said(world: World) -> None:
    world.hooks.route("/plain", "value")
    assert await ask(await world.open("/plain")) == b"value"
    (seen,) = world.hooks.requests
    assert (seen.method, seen.target, seen.body) == ("GET", "/plain", b"")
    assert not {"content-type", "content-length", "authorization", "cookie"} & seen.headers.keys()


async def test_the_url_holds_key_version_and_property_escaped_as_go_does(world: World) -> None:
    world.hooks.route("/q", "value")
    url = (
        "/q?k={{ .remoteRef.key }}&v={{ .remoteRef.version }}&p={{ .remoteRef.property }}&n={{ .remoteRef.namespace }}"
    )
    await ask(await world.open(url), "a b/c&d=ü?~*'", "x+y", "v%1")
    assert world.hooks.requests[0].target == "/q?k=a+b%2Fc%26d%3D%C3%BC%3F~%2A%27&v=v%251&p=x%2By&n=default"


async def test_headers_and_body_hold_values_as_they_are(world: World) -> None:
    world.hooks.route("/q", "value")
    adapter = await world.open(
        "/q",
        method="POST",
        headers={"X-Key": "{{ .remoteRef.key }}", "Content-Type": "application/json", "x-static": "a {b} c"},
        body='{"k": {{ .remoteRef.key | toJson }}, "t": "{{ .login.token }}", "n": "{{ .remoteRef.namespace }}"}',
    )
    await ask(adapter, 'a b/"ü"')
    (seen,) = world.hooks.requests
    assert seen.method == "POST"
    assert seen.headers["x-key"] == 'a b/"ü"'
    assert (seen.headers["x-static"], seen.headers["content-type"]) == ("a {b} c", "application/json")
    assert seen.body.decode() == f'{{"k": "a b/\\"ü\\"", "t": "{CANARY}", "n": "default"}}'


async def test_secrets_stand_in_the_url_as_they_are(world: World) -> None:
    world.secret("login", token=b"a/b?c=d&e%20f")
    world.hooks.route("/a/b", "value")
    await ask(await world.open("/{{ .login.token }}"))
    assert world.hooks.requests[0].target == "/a/b?c=d&e%20f"


async def test_two_secrets_of_one_name_are_put_together(world: World) -> None:
    world.secret("other", user=b"eve")
    world.hooks.route("/q", "value")
    secrets = [{"name": "both", "secretRef": {"name": name}} for name in ("login", "other")]
    await ask(await world.open("/q", secrets=secrets, headers={"X": "{{ .both.user }} {{ .both.token }}"}))
    assert world.hooks.requests[0].headers["x"] == f"eve {CANARY}"


async def test_user_and_password_in_the_address_log_in(world: World) -> None:
    world.hooks.route("/q", "value")
    url = f"{{{{ .login.scheme }}}}://us%40er:{{{{ .login.token }}}}@127.0.0.1:{world.hooks.port}/q"
    world.secret("login", scheme=b"http", token=b"pass")
    await ask(await world.open(url))
    assert world.hooks.requests[0].headers["authorization"] == "Basic dXNAZXI6cGFzcw=="
    await ask(await world.open(url, headers={"Authorization": "Bearer x"}))
    assert world.hooks.requests[1].headers["authorization"] == "Bearer x"


async def test_what_surrounds_a_value_is_trimmed_and_what_go_ignores_is_not_sent(world: World) -> None:
    world.secret("login", token=f"{CANARY}\n".encode())
    world.hooks.route("/q", "value")
    headers = {"Authorization": "Bearer {{ .login.token }}", "Host": "elsewhere", "Content-Length": "7"}
    await ask(await world.open("/q\n", headers=headers))
    (seen,) = world.hooks.requests
    assert seen.headers["authorization"] == f"Bearer {CANARY}"
    assert seen.headers["host"] == f"127.0.0.1:{world.hooks.port}"
    assert "content-length" not in seen.headers


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"headers": {"X": "{{ .login.token }}"}}, "headers.X: what the template makes holds a line break"),
        ({"path": "/{{ .login.token }}"}, "url: what the template makes holds a line break"),
        ({"path": "{{ .login.token }}"}, "url: what the template makes holds a line break"),
        ({"path": "{{ .login.bytes }}"}, "url: what the template makes holds a line break or another control"),
        ({"path": "{{ .login.text }}"}, "url: what the template makes is no http or https address"),
        ({"path": "https://{{ .login.text }}:x/"}, "url: what the template makes is no http or https address"),
        ({"path": "https://{{ .remoteRef.key }}.example.com"}, "url: what the template makes is no http or https"),
        ({"path": "https://a\\@{{ .login.text }}^.com/"}, "url: what the template makes is no http or https address"),
    ],
)
async def test_what_cannot_be_sent_is_told_by_its_field_and_not_by_its_content(
    world: World, spec: dict[str, Any], told: str
) -> None:
    world.secret("login", token=f"{CANARY}\r\nX-Evil: 1".encode(), bytes=b"\xff\xfe", text=CANARY.encode())
    path = spec.pop("path", "/q")
    adapter = await world.open(path if path.startswith(("http", "/")) else f"{path}://x/", **spec)
    with pytest.raises(BadSpec, match=told.replace(".", r"\.")) as caught:
        await ask(adapter, "a/b")
    assert CANARY not in str(caught.value)
    assert not world.hooks.requests


@pytest.mark.parametrize("key", ["..", ".", "a/../b", "..\\x", "%2e%2e"])
async def test_a_key_does_not_lead_out_of_the_path_that_the_store_names(world: World, key: str) -> None:
    adapter = await world.open("/team-a/{{ .remoteRef.key }}/value")
    if key == "%2e%2e":
        # It is escaped once more, and a name like any other.
        world.hooks.route("/team-a/%2e%2e/value", "value")
        await ask(adapter, key)
        assert world.hooks.requests[0].target == "/team-a/%252e%252e/value"
        return
    with pytest.raises(BadSpec, match="leads out of the path that url names: give a key without"):
        await ask(adapter, key)
    assert not world.hooks.requests


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"url": ""}, "url is no http or https address: write it like https"),
        ({"url": "ftp://example.com/"}, "url is no http or https address"),
        ({"url": "https://"}, "url: what the template makes is no http or https address"),
        ({"url": "https://example.com:99999/"}, "url: what the template makes is no http or https address"),
        ({"url": "https://0x7f.1/"}, "url: the server's address is not written as four numbers"),
        ({"method": "GE T"}, "method cannot be sent: use one like GET or POST"),
        ({"method": "CONNECT"}, "method cannot be sent"),
        ({"headers": {"a b": "x"}}, 'headers: "a b" cannot be the name of a header'),
        ({"timeout": "soon"}, "timeout: "),
    ],
)
async def test_a_store_that_makes_no_sense_is_told_when_it_is_opened(
    world: World, spec: dict[str, Any], told: str
) -> None:
    with pytest.raises(BadSpec) as caught:
        await world.open(**spec)
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    ("field", "spec"),
    [
        ("url", {"path": "/{{ .remoteRef.key | nothing }}"}),
        ("headers.X", {"headers": {"X": "{{ .login.token | fail }}"}}),
        ("body", {"body": "{{ if }}"}),
        ("result.jsonPath", {"result": {"jsonPath": "{{ .login.token | fail }}"}}),
    ],
)
async def test_a_template_that_fails_is_told_by_its_field(world: World, field: str, spec: dict[str, Any]) -> None:
    adapter = await world.open(str(spec.pop("path", "/q")), **spec)
    with pytest.raises((BadSpec, BadValue)) as caught:
        await ask(adapter)
    assert str(caught.value).startswith(f"{field}: ")
    assert CANARY not in str(caught.value)


async def test_equal_requests_are_sent_once(world: World) -> None:
    world.hooks.route("/all", '{"a": "1", "b": "2"}')
    adapter = await world.open("/all?{{ .remoteRef.key }}", result={"jsonPath": "$.{{ .remoteRef.property }}"})
    refs = [Ref("x", property="a"), Ref("x", property="b"), Ref("y", property="a"), Ref("x", "", metadata=True)]
    found = await adapter.read(refs)
    assert sorted(seen.target for seen in world.hooks.requests) == ["/all?x", "/all?y"]
    assert [getattr(found[ref], "document", None) for ref in refs[:3]] == [b"1", b"2", b"1"]
    assert isinstance(found[refs[3]], BadSpec)
    assert world.calls.counts == {("HTTPRequest", "success"): 2}


async def test_few_requests_are_under_way_at_a_time(world: World) -> None:
    world.hooks.route("/q", "value")
    refs = [Ref(str(number)) for number in range(60)]
    found = await (await world.open("/q?{{ .remoteRef.key }}")).read(refs)
    assert all(getattr(found[ref], "document", None) == b"value" for ref in refs)
    assert len({seen.connection for seen in world.hooks.requests}) <= 8


@pytest.mark.parametrize(
    ("template", "asks"),
    [
        ("{{ .remoteRef.key }}.{{ .remoteRef.version }}/{{ $.remoteRef.property }}", False),
        ("no template . $ remoteRef", False),
        ('{{ .login.token | replace "a" "b" }}', False),
        ("{{ .remoteRef.namespace }}", True),
        ("{{ .remoteRef }}", True),
        ('{{ "}}" | print .remoteRef.namespace }}', True),
        ("{{ .remoteRef.keys }}", True),
        ("{{ toJson . }}", True),
        ("{{ range . }}x{{ end }}", True),
        ("{{ $ | toJson }}", True),
        ('{{ index . "remoteRef" "namespace" }}', True),
        ("{{ with $x := .remoteRef }}{{ $x.namespace }}{{ end }}", True),
    ],
)
def test_a_store_that_can_tell_its_callers_apart_is_not_shared_by_them(template: str, asks: bool) -> None:
    from keyferry.fetch.pool import needs_caller
    from keyferry.providers.webhook.config import WebhookConfig

    base = {"url": "https://example.com"}
    path = {"result": {"jsonPath": template}}
    for spec in ({"url": template}, base | {"body": template}, base | {"headers": {"X": template}}, base | path):
        assert needs_caller(WebhookConfig.parse(spec)) is asks


class TestSecrets:
    async def test_a_secret_without_the_label_is_not_sent(self, world: World) -> None:
        world.secret("other", labelled=False, token=CANARY.encode())
        with pytest.raises(BadSpec, match=r"secrets\[0\]\.secretRef: .* external-secrets.io/type: webhook"):
            await world.open(secrets=[{"name": "x", "secretRef": {"name": "other"}}])

    async def test_a_cluster_store_names_the_namespaces_of_its_secrets(self, world: World) -> None:
        world.hooks.route("/q", "value")
        world.secret("login", namespace="admin", token=b"admins")
        spec = {"headers": {"X": "{{ .s.token }} {{ .remoteRef.namespace }}"}}
        with pytest.raises(BadSpec, match=r"secrets\[0\]\.secretRef\.namespace is empty: a ClusterSecretStore has"):
            await world.open("/q", context={"store": ADMIN}, secrets=[{"name": "s", "secretRef": {"name": "login"}}])
        secrets = [{"name": "s", "secretRef": {"name": "login", "namespace": "admin"}}]
        await ask(await world.open("/q", context={"store": ADMIN}, secrets=secrets, **spec))
        assert world.hooks.requests[0].headers["x"] == "admins team-a"
