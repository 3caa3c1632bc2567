from __future__ import annotations

import asyncio

import pytest

from tests.contract.kubeapi.client import Client, b64, configmap, secret

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_create_fills_in_what_the_server_owns(cluster: Client, ns: str) -> None:
    made = (await cluster.post(f"{ns}/configmaps", configmap("a", data={"k": "v"}))).expect(201)
    assert made.meta["uid"]
    assert made.meta["creationTimestamp"].endswith("Z")
    assert int(made.version) > 0
    assert made.meta["namespace"] == ns.rpartition("/")[2]
    assert "generation" not in made.meta


async def test_a_name_is_generated_from_a_prefix(cluster: Client, ns: str) -> None:
    body = {"metadata": {"generateName": "pre-"}}
    names = {(await cluster.post(f"{ns}/configmaps", body)).expect(201).meta["name"] for _ in "ab"}
    assert len(names) == 2
    assert all(n.startswith("pre-") and len(n) == 9 for n in names)


async def test_a_second_create_already_exists(cluster: Client, ns: str) -> None:
    await cluster.post(f"{ns}/secrets", secret("a"))
    again = (await cluster.post(f"{ns}/secrets", secret("a"))).expect(409)
    assert again.body["reason"] == "AlreadyExists"
    assert again.message == 'secrets "a" already exists'
    assert again.body["details"] == {"name": "a", "kind": "secrets"}


async def test_what_is_absent_is_a_status_404(cluster: Client, ns: str) -> None:
    answer = (await cluster.get(f"{ns}/secrets/none")).expect(404)
    assert answer.body["kind"] == "Status"
    assert answer.body["reason"] == "NotFound"
    assert answer.message == 'secrets "none" not found'


async def test_an_absent_namespace_is_404_on_create(cluster: Client) -> None:
    path = "/api/v1/namespaces/none-such/secrets"
    assert (await cluster.post(path, secret("a"))).expect(404).message == ('namespaces "none-such" not found')


async def test_a_put_with_a_stale_resource_version_conflicts(cluster: Client, ns: str) -> None:
    made = await cluster.post(f"{ns}/secrets", secret("a", data={"k": b64("1")}))
    await cluster.merge(f"{ns}/secrets/a", {"data": {"k": b64("2")}})
    stale = secret("a", data={"k": b64("3")}, meta={"resourceVersion": made.version})
    answer = (await cluster.put(f"{ns}/secrets/a", stale)).expect(409)
    assert answer.body["reason"] == "Conflict"
    assert "the object has been modified; please apply your changes" in answer.message


async def test_a_put_without_a_resource_version_overwrites(cluster: Client, ns: str) -> None:
    await cluster.post(f"{ns}/secrets", secret("a", data={"k": b64("1")}))
    new = secret("a", data={"j": b64("2")})
    assert (await cluster.put(f"{ns}/secrets/a", new)).expect(200).body["data"] == {"j": b64("2")}


async def test_a_put_of_what_is_absent_is_404(cluster: Client, ns: str) -> None:
    (await cluster.put(f"{ns}/secrets/a", secret("a"))).expect(404)


async def test_a_put_for_another_uid_conflicts(cluster: Client, ns: str) -> None:
    await cluster.post(f"{ns}/secrets", secret("a"))
    other = secret("a", meta={"uid": "another"})
    answer = (await cluster.put(f"{ns}/secrets/a", other)).expect(409)
    assert "UID in precondition: another" in answer.message


async def test_a_body_for_another_name_is_refused(cluster: Client, ns: str) -> None:
    await cluster.post(f"{ns}/secrets", secret("a"))
    answer = (await cluster.put(f"{ns}/secrets/a", secret("b"))).expect(400)
    assert answer.message == ("the name of the object (b) does not match the name on the URL (a)")


async def test_writes_raise_the_version_and_no_ops_do_not(cluster: Client, ns: str) -> None:
    made = await cluster.post(f"{ns}/secrets", secret("a", data={"k": b64("1")}))
    path = f"{ns}/secrets/a"
    same = (await cluster.merge(path, {"data": {"k": b64("1")}})).expect(200)
    assert same.version == made.version
    put = (await cluster.put(path, secret("a", data={"k": b64("1")}), fieldManager="x")).expect(200)
    assert put.version == made.version
    assert put.meta["managedFields"] == made.meta["managedFields"]
    changed = await cluster.merge(path, {"data": {"k": b64("2")}})
    assert int(changed.version) > int(made.version)


async def test_a_dry_run_answers_and_stores_nothing(cluster: Client, ns: str) -> None:
    (await cluster.post(f"{ns}/secrets", secret("a"), dryRun="All")).expect(201)
    (await cluster.get(f"{ns}/secrets/a")).expect(404)
    await cluster.post(f"{ns}/secrets", secret("a"))
    dry = {"data": {"k": b64("1")}}
    assert "data" in (await cluster.merge(f"{ns}/secrets/a", dry, dryRun="All")).expect(200).body
    assert "data" not in (await cluster.get(f"{ns}/secrets/a")).body
    (await cluster.delete(f"{ns}/secrets/a", dryRun="All")).expect(200)
    (await cluster.get(f"{ns}/secrets/a")).expect(200)
    (await cluster.post(f"{ns}/secrets", secret("b"), dryRun="Some")).expect(422)


@pytest.mark.parametrize(
    ("meta", "field"),
    [
        ({"name": "Bad_Name"}, "metadata.name"),
        ({"name": "x" * 254}, "metadata.name"),
        ({"labels": {"a": "b c"}}, "metadata.labels"),
        ({"labels": {"a b": "c"}}, "metadata.labels"),
        ({"labels": {"a": "x" * 64}}, "metadata.labels"),
        ({"annotations": {"a b": "c"}}, "metadata.annotations"),
        ({"annotations": {"a": "x" * 262144}}, "metadata.annotations"),
        ({"finalizers": ["plain"]}, "metadata.finalizers[0]"),
        (
            {"ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "n"}]},
            "metadata.ownerReferences.uid",
        ),
        (
            {
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "K", "name": n, "uid": n, "controller": True} for n in "ab"
                ]
            },
            "metadata.ownerReferences",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_bad_metadata_is_invalid(cluster: Client, ns: str, meta: dict[str, object], field: str) -> None:
    answer = (await cluster.post(f"{ns}/secrets", secret("a", meta=meta))).expect(422)
    assert answer.body["reason"] == "Invalid"
    assert field in [f for f, _ in answer.causes()]


async def test_a_nameless_object_is_invalid(cluster: Client, ns: str) -> None:
    answer = (await cluster.post(f"{ns}/secrets", {"metadata": {}})).expect(422)
    assert answer.message == ('Secret "" is invalid: metadata.name: Required value: name or generateName is required')


async def test_unknown_fields_are_dropped_with_a_warning_or_refused(cluster: Client, ns: str) -> None:
    body = secret("a", surprise=1)
    made = (await cluster.post(f"{ns}/secrets", body)).expect(201)
    assert "surprise" not in made.body
    assert made.warnings == ['299 - "unknown field \\"surprise\\""']
    quiet = await cluster.put(f"{ns}/secrets/a", body, fieldValidation="Ignore")
    assert quiet.expect(200).warnings == []
    strict = await cluster.put(f"{ns}/secrets/a", body, fieldValidation="Strict")
    assert 'strict decoding error: unknown field "surprise"' in strict.expect(400).message


async def test_keys_given_twice_are_refused_when_strict(cluster: Client, ns: str) -> None:
    raw = b'{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a","name":"a"}}'
    answer = await cluster.post(f"{ns}/secrets", raw=raw, fieldValidation="Strict")
    assert 'duplicate field "metadata.name"' in answer.expect(400).message


async def test_broken_bodies_are_bad_requests(cluster: Client, ns: str) -> None:
    for raw in (b"{", b"[]", b'"text"'):
        answer = (await cluster.post(f"{ns}/secrets", raw=raw)).expect(400)
        assert answer.body["reason"] == "BadRequest"
    (await cluster.post(f"{ns}/secrets", raw=b"x", media="text/plain")).expect(415)
    huge = secret("a", stringData={"k": "x" * (3 * 1024 * 1024)})
    (await cluster.post(f"{ns}/secrets", huge)).expect(413)


async def test_yaml_bodies_are_read(cluster: Client, ns: str) -> None:
    raw = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v}\n"
    made = await cluster.post(f"{ns}/configmaps", raw=raw, media="application/yaml")
    assert made.expect(201).body["data"] == {"k": "v"}


async def test_of_many_concurrent_puts_with_one_version_one_wins(cluster: Client, ns: str) -> None:
    made = await cluster.post(f"{ns}/configmaps", configmap("a"))
    meta = {"resourceVersion": made.version}
    bodies = [configmap("a", data={"n": str(i)}, meta=meta) for i in range(8)]
    answers = await asyncio.gather(*(cluster.put(f"{ns}/configmaps/a", b) for b in bodies))
    assert sorted(a.code for a in answers) == [200] + [409] * 7
