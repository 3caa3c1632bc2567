from __future__ import annotations

from typing import Any

import pytest

from keyferry.api.store import SecretStore
from keyferry.errors import Broken, Denied, KeyferryError, NotReady
from keyferry.ports import CallerNeeded, Capabilities, Validation
from keyferry.sync.store import Stores
from tests.support.objects import store, store_body
from tests.support.virtual import virtual
from tests.unit.sync.test_stores import Cluster, gate


class Checker:
    """Raises what it is told to, at the step that it is told."""

    def __init__(self, **troubles: KeyferryError) -> None:
        self.troubles = troubles

    def _meet(self, step: str) -> None:
        if step in self.troubles:
            raise self.troubles[step]

    async def capabilities(self, store: SecretStore) -> Capabilities:
        self._meet("capabilities")
        return Capabilities.READ_ONLY

    async def open(self, store: SecretStore) -> None:
        self._meet("open")

    async def validate(self, store: SecretStore, *, within: float) -> Validation:
        self._meet("validate")
        return Validation.UNKNOWN


def stores(**troubles: KeyferryError) -> Stores:
    return Stores(gate(Cluster()), Checker(**troubles), interval=300)


@virtual
async def test_a_store_that_can_be_used_is_told_once_and_checked_again() -> None:
    fresh = await stores().sync(store(ready=None), 0)
    assert (fresh.ready, fresh.reason, fresh.message, fresh.delay) == ("True", "Valid", "store validated", 300)
    assert fresh.status == {"capabilities": "ReadOnly"}
    assert [note.reason for note in fresh.notes] == ["Valid"]
    assert (await stores().sync(store(ready="True"), 0)).notes == ()
    own = SecretStore.parse(store_body(refreshInterval="1m"))
    assert (await stores().sync(own, 0)).delay == 60


@virtual
@pytest.mark.parametrize(
    ("step", "message", "status"),
    [
        ("capabilities", "unable to create client: ", {}),
        ("open", "unable to create client: ", {"capabilities": "ReadOnly"}),
        ("validate", "unable to validate store: ", {"capabilities": "ReadOnly"}),
    ],
)
async def test_the_step_that_failed_is_told(step: str, message: str, status: dict[str, str]) -> None:
    outcome = await stores(**{step: Denied("the login is refused")}).sync(store(), 2)
    assert outcome.message == f"{message}the login is refused"
    assert (outcome.ready, outcome.reason, outcome.status) == ("False", "InvalidProviderConfig", status)
    assert outcome.delay == 20


@virtual
async def test_a_store_without_a_credential_of_its_own_waits_for_its_callers() -> None:
    assert (await stores(open=CallerNeeded("x")).sync(store(namespace=""), 0)).ready == "True"


@virtual
@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"refreshInterval": "soon"}, "refreshInterval"),
        ({"refreshInterval": -1}, "negative"),
        ({"conditions": [{"namespaceRegexes": ["ok", "("]}]}, "spec.conditions[0].namespaceRegexes[1]"),
    ],
)
async def test_a_spec_that_makes_no_sense_is_told(spec: dict[str, Any], text: str) -> None:
    outcome = await stores().sync(SecretStore.parse(store_body(**spec)), 0)
    assert outcome.ready == "False"
    assert text in outcome.message


@virtual
async def test_a_store_of_another_class_or_on_its_way_out_stays_untouched() -> None:
    for other in (
        SecretStore.parse(store_body(controller="another")),
        SecretStore.parse(
            {**store_body(), "metadata": {**store_body()["metadata"], "deletionTimestamp": "2030-01-01T00:00:00Z"}}
        ),
    ):
        outcome = await stores(capabilities=Denied("x")).sync(other, 0)
        assert (outcome.result, outcome.tells, outcome.delay) == ("skipped", False, None)


def test_a_defect_is_told_as_one() -> None:
    outcome = stores().failed(Broken("a defect", remedy="see its log"), 0)
    assert (outcome.ready, outcome.message) == ("False", "a defect: see its log")


@virtual
async def test_what_waits_for_a_change_is_not_tried_again_by_time() -> None:
    assert (await stores(open=NotReady("x")).sync(store(), 0)).delay is None
