"""Nothing is lost: the operator is killed again and again while it works, and the end is exactly right."""

from __future__ import annotations

import base64
import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from kubernetes import client, config, watch
from urllib3.exceptions import ProtocolError

from tests.support.cluster import Cluster, external_secret, fake, one_key, store
from tests.support.operator import Operator, eventually

pytestmark = pytest.mark.cluster

OBJECTS = 500
KILLS = 10


class SecretHistory:
    """Every version of every Secret of a namespace, as its watch tells."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        configuration = client.Configuration()
        load: Any = config.load_kube_config
        load(str(cluster.kubeconfig), client_configuration=configuration)
        # The official client's own types know neither dicts as bodies nor that a listed object has a name.
        self._api: Any = client.CoreV1Api(client.ApiClient(configuration))
        self._namespace = namespace
        make: Any = watch.Watch
        self._watch: Any = make()
        self.emptied: list[str] = []
        self.deleted: list[str] = []
        self.writes: dict[str, int] = {}
        self.complete = False
        """Whether everything until the end was recorded."""
        self._stopped = threading.Event()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record while the block runs."""
        thread = threading.Thread(target=self._record, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            self._watch.stop()
            # A last change, so that the stream has something to end on.
            self._api.create_namespaced_secret(self._namespace, {"metadata": {"name": "last"}})
            thread.join(30)

    def secrets(self) -> dict[str, Mapping[str, str]]:
        """The Secrets of the ExternalSecrets now, with text values."""
        listed = self._api.list_namespaced_secret(self._namespace).items
        return {
            each.metadata.name: {key: base64.b64decode(value).decode() for key, value in (each.data or {}).items()}
            for each in listed
            if each.metadata.name.startswith("es-")
        }

    def _record(self) -> None:
        version = self._api.list_namespaced_secret(self._namespace).metadata.resource_version
        while not self._stopped.is_set():
            # A stream that breaks off is taken up where it broke: no version is missed, or the API server says 410.
            with suppress(ProtocolError):
                stream = self._watch.stream(self._api.list_namespaced_secret, self._namespace, resource_version=version)
                for event in stream:
                    version = event["object"].metadata.resource_version
                    self._take(event["type"], event["object"])
        self.complete = True

    def _take(self, event: str, body: Any) -> None:
        name = body.metadata.name
        if not name.startswith("es-"):
            return
        if event == "DELETED":
            self.deleted.append(name)
        elif not body.data or not all(body.data.values()):
            self.emptied.append(name)
        self.writes[name] = self.writes.get(name, 0) + 1


@pytest.mark.timeout(600)
def test_ten_kills_in_the_middle_of_five_hundred_objects_lose_nothing(cluster: Cluster, namespace: str) -> None:
    """Values change meanwhile; no Secret is ever empty or deleted, and all end with the last value."""
    history = SecretHistory(cluster, namespace)
    dice = random.Random(7)
    names = [f"es-{number:03}" for number in range(OBJECTS)]
    entries = [one_key("value", "shared"), one_key("other", "steady")]
    kills = 0
    with history.recording():
        cluster.kubectl.apply(store(namespace, fake({"shared": "round-0", "steady": "s"})), "--server-side")
        objects = [external_secret(name, namespace, data=entries) for name in names]
        applied = threading.Thread(target=cluster.kubectl.apply, args=(objects, "--server-side"), daemon=True)
        applied.start()
        while kills < KILLS:
            operator = Operator(cluster.kubeconfig).start(ready=False)
            time.sleep(dice.uniform(0.5, 2.5))
            operator.kill()
            kills += 1
            cluster.kubectl.apply(store(namespace, fake({"shared": f"round-{kills}", "steady": "s"})), "--server-side")
        applied.join(120)
        with Operator(cluster.kubeconfig) as operator:
            # The store changed while nobody looked, and the interval is an hour: an edit asks for the newest value.
            cluster.kubectl.run("annotate", "externalsecret", "--all", "-n", namespace, "force-sync=now", "--overwrite")
            expected = {name: {"value": f"round-{KILLS}", "other": "s"} for name in names}

            def all_right() -> bool | None:
                found = history.secrets()
                wrong = [name for name in names if found.get(name) != expected[name]]
                assert not wrong, f"{len(wrong)} are not right, such as {wrong[:3]}"
                return True

            eventually(all_right, seconds=120, told=operator.process.tail)
            statuses = cluster.kubectl.list("externalsecret", namespace)
            eventually(lambda: all_ready(cluster, namespace), seconds=60, told=operator.process.tail)
            assert len(statuses) == OBJECTS
            assert operator.stop() == 0

    assert history.complete
    assert set(history.writes) == set(names)
    assert history.emptied == []
    assert history.deleted == []


def all_ready(cluster: Cluster, namespace: str) -> bool | None:
    """True once every ExternalSecret says that it is in step, for its present generation."""
    for body in cluster.kubectl.list("externalsecret", namespace):
        ready = next((each for each in body["status"]["conditions"] if each["type"] == "Ready"), None)
        assert ready is not None
        assert (ready["status"], ready["reason"]) == ("True", "SecretSynced"), str(ready)
        assert body["status"]["observedGeneration"] == body["metadata"]["generation"]
    return True
