"""What the API server accepts and refuses by our CRDs, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.crds.conftest import Api

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOT_CHECKED = "some validation rules were not checked"
"""What is added where a field is wrong already; it is no fault of its own."""

CASES = Path(__file__).parent / "cases"


def cases(file: str) -> list[Any]:
    return [pytest.param(case, id=case["case"]) for case in yaml.safe_load((CASES / file).read_text("utf-8"))]


async def check(api: Api, kind: str, case: dict[str, Any]) -> None:
    manifest = {
        "apiVersion": f"external-secrets.io/{case.get('version', 'v1')}",
        "kind": kind,
        "metadata": {"name": "case"},
        **({"spec": case["spec"]} if "spec" in case else {}),
    }
    answer = await api.create(manifest)
    refused = case.get("refused")
    if refused is None:
        assert answer["kind"] == kind, answer["message"]
        return
    assert answer["kind"] == "Status", answer
    causes = answer.get("details", {}).get("causes") or [{"field": "", "message": answer["message"]}]
    # The root is named "<nil>" by some servers.
    found = {
        cause["field"].replace("<nil>", ""): cause["message"] for cause in causes if NOT_CHECKED not in cause["message"]
    }
    assert found.keys() == refused.keys(), causes
    for field, message in refused.items():
        assert message in found[field], causes


@pytest.mark.parametrize("case", cases("externalsecret.yaml"))
async def test_an_external_secret_is_judged_as_its_case_says(api: Api, case: dict[str, Any]) -> None:
    await check(api, "ExternalSecret", case)


@pytest.mark.parametrize("kind", ["SecretStore", "ClusterSecretStore"])
@pytest.mark.parametrize("case", cases("store.yaml"))
async def test_a_store_is_judged_as_its_case_says(api: Api, case: dict[str, Any], kind: str) -> None:
    await check(api, kind, case)


def of_keys(keys: list[str]) -> dict[str, Any]:
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": "many"},
        "spec": {"data": [{"secretKey": key, "remoteRef": {"key": "k"}} for key in keys]},
    }


async def test_two_hundred_long_keys_are_compared_within_what_a_rule_may_cost(api: Api) -> None:
    keys = [f"{number:0253}" for number in range(200)]

    assert (await api.create(of_keys(keys)))["kind"] == "ExternalSecret"
    refused = await api.create(of_keys([*keys[:-1], keys[0]]))
    assert refused["message"].endswith("duplicate secretKey found")


async def test_more_keys_than_a_rule_can_compare_are_accepted(api: Api) -> None:
    """The operator looks for duplicates in these itself."""
    answer = await api.create(of_keys([f"key-{number}" for number in range(512)]))

    assert answer["kind"] == "ExternalSecret"


async def test_a_provider_that_nobody_knows_is_no_provider_where_unknown_fields_are_dropped(api: Api) -> None:
    manifest = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "SecretStore",
        "metadata": {"name": "typo"},
        "spec": {"provider": {"valt": {"server": "https://vault.example"}}},
    }

    answer = await api.create(manifest, validation="Warn")

    assert answer["message"].endswith("secret stores must only have exactly one backend specified, found 0")


async def test_nothing_is_written_into_an_object(api: Api) -> None:
    spec = {"target": {}, "data": [{"secretKey": "a", "remoteRef": {"key": "k"}}]}
    manifest = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": "plain"},
        "spec": spec,
    }

    assert (await api.create(manifest))["spec"] == spec


async def test_settings_of_a_provider_that_is_not_served_are_kept(api: Api) -> None:
    spec = {
        "provider": {"akeyless": {"akeylessGWApiURL": "u", "authSecretRef": {"secretRef": {"accessID": {"name": "n"}}}}}
    }
    manifest = {
        "apiVersion": "external-secrets.io/v1beta1",
        "kind": "ClusterSecretStore",
        "metadata": {"name": "kept"},
        "spec": spec,
    }

    assert (await api.create(manifest))["spec"] == spec
