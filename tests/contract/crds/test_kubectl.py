"""What users do with the CRDs and their manifests, by the tool that they use."""

from __future__ import annotations

import asyncio
import sysconfig
from pathlib import Path

import pytest

from tests.contract.crds.conftest import Api

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).parents[3]
KUBECTL = Path(sysconfig.get_path("scripts"), "kubectl")

MANIFESTS = """
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: store}
spec:
  provider:
    vault:
      server: https://vault.example
      path: secret
      auth: {kubernetes: {mountPath: kubernetes, role: app}}
---
apiVersion: external-secrets.io/v1beta1
kind: ClusterSecretStore
metadata: {name: store}
spec:
  provider: {kubernetes: {remoteNamespace: team, auth: {serviceAccount: {name: reader}}}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: database}
spec:
  refreshInterval: 15m
  secretStoreRef: {name: store, kind: SecretStore}
  data:
    - secretKey: password
      remoteRef: {key: db, property: password}
"""


async def kubectl(api: Api, home: Path, *arguments: str, stdin: str = "") -> tuple[int, str]:
    """Exit status, and what is written to either stream."""
    config = api.kubeconfig(home)
    process = await asyncio.create_subprocess_exec(
        str(KUBECTL),
        f"--kubeconfig={config}",
        f"--cache-dir={home / 'cache'}",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_the_files_of_the_repository_can_be_applied(api: Api, tmp_path: Path) -> None:
    """``apply`` keeps each file in an annotation of the object, which has to hold it."""
    status, output = await kubectl(api, tmp_path, "apply", "--validate=strict", "-f", str(ROOT / "crds"))

    assert status == 0, output
    assert output.count("customresourcedefinition.apiextensions.k8s.io/") >= 3


async def test_manifests_of_both_versions_are_valid(api: Api, tmp_path: Path) -> None:
    status, output = await kubectl(
        api, tmp_path, "apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=MANIFESTS
    )

    assert status == 0, output
    assert output.splitlines() == [
        "secretstore.external-secrets.io/store created (server dry run)",
        "clustersecretstore.external-secrets.io/store created (server dry run)",
        "externalsecret.external-secrets.io/database created (server dry run)",
    ]


async def test_a_typing_error_is_refused_and_named(api: Api, tmp_path: Path) -> None:
    manifest = MANIFESTS.replace("remoteRef:", "remotRef:")

    status, output = await kubectl(
        api, tmp_path, "apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=manifest
    )

    assert status == 1
    assert 'unknown field "spec.data[0].remotRef"' in output


async def test_short_names_categories_and_columns_work(api: Api, tmp_path: Path) -> None:
    created, output = await kubectl(api, tmp_path, "create", "-f", "-", stdin=MANIFESTS)
    try:
        assert created == 0, output
        _, secrets = await kubectl(api, tmp_path, "get", "es")
        _, stores = await kubectl(api, tmp_path, "get", "css")
        _, everything = await kubectl(api, tmp_path, "get", "external-secrets", "-o", "name")
        _, chosen = await kubectl(
            api, tmp_path, "get", "es", "-o", "name", "--field-selector", "spec.secretStoreRef.name=store"
        )
        _, others = await kubectl(
            api, tmp_path, "get", "es", "-o", "name", "--field-selector", "spec.secretStoreRef.name=other"
        )
    finally:
        await kubectl(api, tmp_path, "delete", "-f", "-", "--wait=false", stdin=MANIFESTS)
    heading, row = secrets.splitlines()
    assert heading.split("  ")[0] == "NAME"
    assert [
        heading.index(name) > 0 for name in ("STORETYPE", "STORE", "REFRESH INTERVAL", "STATUS", "READY", "LAST SYNC")
    ]
    assert row.split()[:4] == ["database", "SecretStore", "store", "15m"]
    assert stores.splitlines()[0].split() == ["NAME", "AGE", "STATUS", "CAPABILITIES", "READY"]
    assert set(everything.split()) == {
        "externalsecret.external-secrets.io/database",
        "secretstore.external-secrets.io/store",
        "clustersecretstore.external-secrets.io/store",
    }
    assert chosen.split() == ["externalsecret.external-secrets.io/database"]
    assert "database" not in others
