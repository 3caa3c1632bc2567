"""The suite itself: no provider without a backend, no ability missing without a reason."""

from __future__ import annotations

import pytest

from keyferry.providers import REGISTRY, load
from tests.contract.providers.backends import ABILITIES, BACKENDS, Backend


def test_every_provider_of_the_registry_has_a_backend() -> None:
    assert {kind.name for kind in BACKENDS.values()} == set(REGISTRY)


@pytest.mark.parametrize("name", sorted(BACKENDS))
class TestBackends:
    def test_what_it_cannot_do_has_a_reason(self, name: str) -> None:
        cannot = BACKENDS[name].cannot
        assert cannot.keys() <= ABILITIES.keys()
        assert all(len(reason.split()) >= 3 for reason in cannot.values())

    def test_a_provider_that_searches_is_searched(self, name: str) -> None:
        cannot = BACKENDS[name].cannot
        assert hasattr(load(BACKENDS[name].name), "find") is ("names" not in cannot or "tags" not in cannot)

    def test_a_credential_that_can_be_replaced_and_lose_its_rights_is_put_to_it(self, name: str) -> None:
        kind = BACKENDS[name]
        able = {kind.rotate is not Backend.rotate, kind.deny is not Backend.deny}
        assert able == {"credential" not in kind.cannot}

    def test_a_backend_that_is_reached_over_http_has_faults(self, name: str) -> None:
        fields = load(BACKENDS[name].name).Config.model_fields
        addresses = {"server", "url", "api_url", "vault_url", "project_id", "region"} & fields.keys()
        assert ("network" not in BACKENDS[name].cannot) is bool(addresses)
