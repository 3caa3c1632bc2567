"""One API server for all cases, of the kind that the environment asks for."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.cases.play import ApiServer
from tests.support.cluster import running_cluster


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with running_cluster(tmp_path_factory.mktemp("cases")) as cluster:
        cluster_of = yaml.safe_load(cluster.kubectl.run("config", "view", "--minify", "--raw"))["clusters"][0][
            "cluster"
        ]
        data = cluster_of.get("certificate-authority-data")
        authority = base64.b64decode(data) if data else Path(cluster_of["certificate-authority"]).read_bytes()
        yield ApiServer(cluster.kubeconfig, cluster_of["server"], authority)
