from __future__ import annotations

from typing import Any

import pytest

from tests.contract.kubeapi.client import Client, b64, secret

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_string_data_folds_into_data_and_is_never_shown(cluster: Client, ns: str) -> None:
    body = secret("a", data={"k": b64("old"), "j": b64("kept")}, stringData={"k": "new"})
    made = (await cluster.post(f"{ns}/secrets", body)).expect(201)
    assert made.body["data"] == {"k": b64("new"), "j": b64("kept")}
    assert "stringData" not in made.body
    patched = await cluster.merge(f"{ns}/secrets/a", {"stringData": {"n": "x"}})
    assert patched.body["data"]["n"] == b64("x")


async def test_the_type_defaults_and_is_immutable(cluster: Client, ns: str) -> None:
    assert (await cluster.post(f"{ns}/secrets", secret("a"))).body["type"] == "Opaque"
    answer = (await cluster.merge(f"{ns}/secrets/a", {"type": "other"})).expect(422)
    assert answer.causes() == [("type", "FieldValueInvalid")]
    assert answer.message == 'Secret "a" is invalid: type: Invalid value: "other": field is immutable'


async def test_data_must_be_base64(cluster: Client, ns: str) -> None:
    for text in ("no!", "eQ", "eQ=x"):
        answer = (await cluster.post(f"{ns}/secrets", secret("a", data={"k": text}))).expect(400)
        assert "illegal base64 data at input byte" in answer.message
    answer = (await cluster.post(f"{ns}/secrets", secret("a", data={"k": 1}))).expect(400)
    assert "cannot unmarshal number" in answer.message


@pytest.mark.parametrize("key", ["a b", "a/b", "..", "..a", ".", "x" * 254, "ü"])
async def test_bad_keys_are_invalid(cluster: Client, ns: str, key: str) -> None:
    answer = (await cluster.post(f"{ns}/secrets", secret("a", stringData={key: "v"}))).expect(422)
    assert answer.causes()[0] == (f"data[{key}]", "FieldValueInvalid")


@pytest.mark.parametrize("key", ["a", "A.b-c_d", "-", "_", ".dotfile", "x" * 253])
async def test_good_keys_are_stored(cluster: Client, ns: str, key: str) -> None:
    made = (await cluster.post(f"{ns}/secrets", secret("a", stringData={key: "v"}))).expect(201)
    assert made.body["data"] == {key: b64("v")}


async def test_a_mebibyte_is_the_limit(cluster: Client, ns: str) -> None:
    most = {"a": "x" * 1048575, "b": "y"}
    (await cluster.post(f"{ns}/secrets", secret("a", stringData=most))).expect(201)
    more = secret("b", stringData={**most, "c": "z"})
    answer = (await cluster.post(f"{ns}/secrets", more)).expect(422)
    assert answer.message == ('Secret "b" is invalid: data: Too long: may not be more than 1048576 bytes')


async def test_an_immutable_secret_keeps_its_data(cluster: Client, ns: str) -> None:
    await cluster.post(f"{ns}/secrets", secret("a", immutable=True, stringData={"k": "v"}))
    path = f"{ns}/secrets/a"
    text = "field is immutable when `immutable` is set"
    answer = (await cluster.merge(path, {"stringData": {"k": "w"}})).expect(422)
    assert answer.causes() == [("data", "FieldValueForbidden")]
    assert text in answer.message
    answer = (await cluster.merge(path, {"immutable": False})).expect(422)
    assert answer.causes() == [("immutable", "FieldValueForbidden")]
    (await cluster.merge(path, {"metadata": {"labels": {"a": "b"}}})).expect(200)


@pytest.mark.parametrize(
    ("kind", "data", "bad"),
    [
        ("kubernetes.io/tls", {"tls.crt": "x"}, ["data[tls.key]"]),
        ("kubernetes.io/tls", {"tls.crt": "", "tls.key": ""}, []),
        ("kubernetes.io/basic-auth", {"other": "x"}, ["data[username]", "data[password]"]),
        ("kubernetes.io/basic-auth", {"username": "x"}, []),
        ("kubernetes.io/ssh-auth", {"ssh-privatekey": ""}, ["data[ssh-privatekey]"]),
        ("kubernetes.io/ssh-auth", {"ssh-privatekey": "x"}, []),
        ("kubernetes.io/dockerconfigjson", {}, ["data[.dockerconfigjson]"]),
        ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": "x"}, ["data[.dockerconfigjson]"]),
        ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": "[]"}, ["data[.dockerconfigjson]"]),
        ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": "{}"}, []),
        (
            "kubernetes.io/service-account-token",
            {},
            ["metadata.annotations[kubernetes.io/service-account.name]"],
        ),
        ("example.com/own", {"any": "x"}, []),
    ],
)
async def test_built_in_types_have_required_keys(
    cluster: Client, ns: str, kind: str, data: dict[str, str], bad: list[str]
) -> None:
    answer = await cluster.post(f"{ns}/secrets", secret("a", type=kind, stringData=data))
    assert answer.expect(422 if bad else 201)
    if bad:
        assert [f for f, _ in answer.causes()] == bad


async def test_a_bad_docker_config_is_not_repeated_in_the_error(cluster: Client, ns: str) -> None:
    kind = "kubernetes.io/dockerconfigjson"
    body = secret("a", type=kind, stringData={".dockerconfigjson": "zz-hush-hush"})
    answer = (await cluster.post(f"{ns}/secrets", body)).expect(422)
    assert "hush" not in answer.message
    assert "<secret contents redacted>" in answer.message


async def test_null_and_empty_values(cluster: Client, ns: str) -> None:
    body: dict[str, Any] = secret("a", data={"k": None, "e": ""})
    assert (await cluster.post(f"{ns}/secrets", body)).expect(201).body["data"] == {
        "k": "",
        "e": "",
    }
    empty = await cluster.put(f"{ns}/secrets/a", secret("a", data={}))
    assert "data" not in empty.expect(200).body


async def test_secrets_are_selected_by_type(cluster: Client, ns: str) -> None:
    await cluster.post(f"{ns}/secrets", secret("a"))
    await cluster.post(f"{ns}/secrets", secret("b", type="example.com/own"))
    found = await cluster.get(f"{ns}/secrets", fieldSelector="type=example.com/own")
    assert [i["metadata"]["name"] for i in found.body["items"]] == ["b"]
