"""The cluster under test: the sandbox's server, a real control plane, or a running cluster."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.contract.kubeapi.client import Client, Json, fresh, from_kubeconfig
from tests.contract.kubeapi.things import GROUP, thing_crd
from tests.sandbox.controlplane import ControlPlane
from tests.sandbox.kubeapi import KubeApi

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def _assets() -> str:
    return os.environ.get("KUBEBUILDER_ASSETS", "")


@pytest.fixture(scope="session")
def has_controllers() -> bool:
    """Is there a garbage collector and a namespace controller?"""
    if os.environ.get("KEYFERRY_TEST_KUBECONFIG"):
        return True
    return not _assets() or Path(_assets(), "kube-controller-manager").exists()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def plane(has_controllers: bool) -> AsyncIterator[KubeApi | ControlPlane | None]:
    if os.environ.get("KEYFERRY_TEST_KUBECONFIG"):
        yield None
    elif _assets():
        async with ControlPlane(_assets(), controllers=has_controllers) as control:
            yield control
    else:
        async with KubeApi() as api:
            yield api
            assert not api.errors, [repr(e) for e in api.errors]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(plane: KubeApi | ControlPlane | None) -> AsyncIterator[Client]:
    """An admin's client."""
    if plane is None:
        path = Path(os.environ["KEYFERRY_TEST_KUBECONFIG"])
        url, context, token = from_kubeconfig(path)
    else:
        url, token = plane.url, plane.admin_token
        context = ssl.create_default_context(cadata=plane.ca_pem)
    async with Client(url, context, token) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def ns(cluster: Client) -> AsyncIterator[str]:
    """The path of a namespace of the test's own, below /api/v1."""
    body: Json = {"metadata": {"generateName": "contract-"}}
    made = (await cluster.post("/api/v1/namespaces", body)).expect(201)
    name = made.meta["name"]
    yield f"/api/v1/namespaces/{name}"
    await cluster.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def space(ns: str) -> str:
    """The namespace's bare name."""
    return ns.rpartition("/")[2]


async def establish(cluster: Client, crd: Json) -> str:
    """Install a CRD and wait until its paths answer; returns its name."""
    name = str(crd["metadata"]["name"])
    (await cluster.post(CRDS, crd)).expect(201)
    async with asyncio.timeout(30):
        for version in crd["spec"]["versions"]:
            group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
            await cluster.until(f"/apis/{group}/{version['name']}/{plural}", 200)
    return name


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def thing_kind(cluster: Client) -> AsyncIterator[str]:
    """A CRD that shows most of what schemas can do; the plural name of its resource."""
    plural = fresh("things") + "s"
    name = await establish(cluster, thing_crd(plural))
    yield plural
    await cluster.delete(f"{CRDS}/{name}")


@pytest.fixture
def things(thing_kind: str, space: str) -> str:
    return f"/apis/{GROUP}/v1/namespaces/{space}/{thing_kind}"
