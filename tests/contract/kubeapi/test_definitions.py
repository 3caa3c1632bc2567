from __future__ import annotations

from typing import Any

import pytest

from tests.contract.kubeapi.client import Client, fresh
from tests.contract.kubeapi.conftest import CRDS, establish
from tests.contract.kubeapi.things import GROUP, STR, crd

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _object(**properties: Any) -> Any:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "string", "properties": {"a": {"type": "wrong"}}},
        _object(a={}),
        _object(a={"type": "array"}),
        {**_object(a=STR), "additionalProperties": STR},
        _object(a={"type": "array", "items": _object(n=STR), "x-kubernetes-list-type": "map"}),
        _object(
            a={
                "type": "array",
                "items": _object(n=STR),
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["n"],
            }
        ),
        _object(a={"type": "string", "default": 1}),
        _object(a={"type": "object", "default": {"unknown": 1}}),
        _object(a={"type": "string", "pattern": "(["}),
        _object(a={"type": "array", "items": STR, "uniqueItems": True}),
        {**_object(a=STR), "anyOf": [{"properties": {"a": {"type": "string"}}}]},
    ],
    ids=str,
)
async def test_a_schema_that_is_not_structural_is_invalid(cluster: Client, spec: Any) -> None:
    (await cluster.post(CRDS, crd(fresh("bad") + "s", fresh("Bad"), spec), dryRun="All")).expect(422)


@pytest.mark.parametrize(
    "rule",
    [
        "self.none",
        "self.a ==",
        "self.a == 1",
        "self.a",
        "unknown(self.a)",
        "self.a.unknown()",
        "self.n + self.a == 1",
        "!self.a",
        "size(self.n) > 1",
        "self.l.all(x, x.none)",
        "self.o.nothing == 'x'",
        "self.a.matches('([')",
        "self.a.startsWith(1)",
        "oldSelf.none == 1",
        "has(self)",
    ],
)
async def test_a_rule_that_does_not_compile_is_invalid(cluster: Client, rule: str) -> None:
    answer = await cluster.post(CRDS, _ruled(rule), dryRun="All")
    fields = [f for f, _ in answer.expect(422).causes()]
    assert any(f.endswith("x-kubernetes-validations[0].rule") for f in fields)


@pytest.mark.parametrize(
    "rule",
    [
        "self.a == 'x' || self.n > 1",
        "self.l.exists(x, x.startsWith('a')) && self.l.filter(x, x != 'a').size() == 1",
        "self.l.map(x, x.lowerAscii()) == ['a', 'b']",
        "has(self.o.__namespace__) && self.o.__namespace__ == 'x'",
        "self.m.all(k, self.m[k].contains('x'))",
        "self.a in ['x', 'y'] ? self.n == 1 : self.n < 2.5",
        "self.a.split(',').exists_one(x, x.matches('^[a-z]+$'))",
        "duration('1h') > duration('30m')",
        "oldSelf.a == self.a",
        "size(self.a) < 5 && self.a.size() > 1 && self.a.endsWith('z')",
        "isURL(self.a) && url(self.a).getScheme() == 'https'",
    ],
)
async def test_a_good_rule_is_accepted(cluster: Client, rule: str) -> None:
    (await cluster.post(CRDS, _ruled(rule), dryRun="All")).expect(201)


def _ruled(rule: str) -> Any:
    spec = {
        **_object(
            a=STR,
            n={"type": "integer"},
            l={"type": "array", "maxItems": 5, "items": STR},
            m={"type": "object", "maxProperties": 5, "additionalProperties": STR},
            o=_object(namespace=STR),
        ),
        "x-kubernetes-validations": [{"rule": rule}],
    }
    return crd(fresh("ruled") + "s", fresh("Ruled"), spec)


async def test_a_definition_is_established_and_gone_with_its_objects(cluster: Client, space: str) -> None:
    plural = fresh("brief") + "s"
    name = await establish(cluster, crd(plural, fresh("Brief"), _object(a=STR)))
    shown = (await cluster.get(f"{CRDS}/{name}")).expect(200)
    conditions = {c["type"]: c["status"] for c in shown.body["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}
    assert shown.body["status"]["acceptedNames"]["plural"] == plural
    assert shown.body["status"]["storedVersions"] == ["v1"]
    path = f"/apis/{GROUP}/v1/namespaces/{space}/{plural}"
    body = {"apiVersion": f"{GROUP}/v1", "kind": shown.body["spec"]["names"]["kind"], "metadata": {"name": "a"}}
    (await cluster.post(path, body)).expect(201)
    (await cluster.delete(f"{CRDS}/{name}")).expect(200)
    await cluster.until(f"{CRDS}/{name}", 404)
    await cluster.until(path, 404)


async def test_identity_of_a_definition_is_immutable(cluster: Client, thing_kind: str) -> None:
    path = f"{CRDS}/{thing_kind}.{GROUP}"
    answer = (await cluster.merge(path, {"spec": {"scope": "Cluster"}})).expect(422)
    assert ("spec.scope", "FieldValueInvalid") in answer.causes()


async def test_names_of_a_definition_must_fit(cluster: Client) -> None:
    wrong = crd("fits", "Fit", _object(a=STR))
    wrong["metadata"]["name"] = "other"
    answer = (await cluster.post(CRDS, wrong, dryRun="All")).expect(422)
    assert ("metadata.name", "FieldValueInvalid") in answer.causes()
    two = crd("fits", "Fit", _object(a=STR))
    two["spec"]["versions"][1]["storage"] = True
    (await cluster.post(CRDS, two, dryRun="All")).expect(422)
