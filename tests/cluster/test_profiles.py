"""The tests of the main job again, with the rights that a release for chosen namespaces has: in these alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.cluster import test_main_job as jobs
from tests.support.cluster import Cluster
from tests.support.operator import Operator
from tests.support.rights import Account, account

pytestmark = pytest.mark.cluster

test_a_value_becomes_a_secret = jobs.test_a_value_in_openbao_becomes_a_secret_and_stays_in_step
test_a_broken_store_keeps_the_secret = jobs.test_a_broken_store_keeps_the_secret_and_says_why
test_a_secret_that_is_edited_comes_back = jobs.test_a_secret_that_is_edited_or_deleted_comes_back_at_once
test_an_edit_of_the_store_is_seen = jobs.test_an_edit_of_the_store_reaches_its_secrets_without_waiting_for_the_interval
test_a_store_may_come_late = jobs.test_objects_applied_before_their_store_come_in_step_when_it_comes
_TESTS = 5


@pytest.fixture(scope="module")
def namespaces(cluster: Cluster) -> Iterator[list[str]]:
    """One namespace for each test; objects of all tests have the same names."""
    names = [f"t-{uuid.uuid4().hex[:10]}" for _ in range(_TESTS)]
    cluster.kubectl.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": each}} for each in names])
    yield list(names)
    cluster.kubectl.run("delete", "namespace", *names, "--wait=false")


@pytest.fixture(scope="module")
def scoped(
    cluster: Cluster, namespaces: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Account, Operator]]:
    """One release and one process for all of them."""
    values = {"scopedNamespace": list(namespaces)}
    with account(cluster, namespaces[0], values, tmp_path_factory.mktemp("scoped")) as who, who.operator() as operator:
        yield who, operator
        if not cluster.real or cluster.audit:
            _, refused = who.used()
            assert refused == []


@pytest.fixture
def operator(scoped: tuple[Account, Operator]) -> Operator:
    """The process that serves every test."""
    return scoped[1]


@pytest.fixture
def namespace(namespaces: list[str], scoped: tuple[Account, Operator]) -> str:
    """A namespace that no test before has used."""
    return namespaces.pop()
