"""What Prometheus scrapes of the process: all that rules and panels ask for, and nothing of what is gone."""

from __future__ import annotations

import http.server
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from tests.monitoring.names import check_names
from tests.monitoring.promql import evaluate
from tests.monitoring.ruletest import World, advance, load_rules
from tests.monitoring.scrapes import TARGETS, Scrapes, concrete
from tests.sandbox.openbao import OpenBao
from tests.support.cluster import Cluster, external_secret, fake, one_key, opaque, store, vault
from tests.support.operator import Operator, eventually, ready_condition
from tests.support.processes import ROOT

pytestmark = pytest.mark.cluster

RULES = load_rules([ROOT / "charts" / "keyferry" / "rules" / name for name in ("recording.yaml", "alerts.yaml")])
FAILING = {"missing": "False", "busy": "False"}
MAY_BE_EMPTY = {"Watches opened again"}
"""Panels of events that need not have happened."""


class _TooMany(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(429)
        self.send_header("Retry-After", "600")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing is said of requests."""


@contextmanager
def overloaded() -> Iterator[str]:
    """The URL of a store that asks for fewer calls, whatever it is asked."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _TooMany) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(5)


def webhook(name: str, url: str) -> dict[str, Any]:
    """A ClusterSecretStore that asks a URL."""
    spec = {"provider": {"webhook": {"url": url + "/{{ .remoteRef.key }}", "result": {"jsonPath": "$"}}}}
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ClusterSecretStore",
        "metadata": {"name": name},
        "spec": spec,
    }


def condition(cluster: Cluster, name: str, namespace: str, status: str) -> bool:
    """True once the ExternalSecret has this status."""
    found = ready_condition(cluster.kubectl.get("externalsecret", name, namespace))
    assert found.get("status") == status, str(found)
    return True


@pytest.fixture(scope="module")
def scraped(cluster: Cluster, bao: OpenBao) -> Iterator[Scrapes]:
    """Scrapes of an operator that serves objects in every state that panels and alerts tell of."""
    namespace = f"t-{uuid.uuid4().hex[:10]}"
    cluster.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    token = bao.client().auth.token.create(policies=["root"], ttl="1h", renewable=False)["auth"]["client_token"]
    bao.client().secrets.kv.v2.create_or_update_secret(f"{namespace}/a", {"k": "v"})
    flags = {
        "enable_leader_election": "true",
        "leader_election_namespace": namespace,
        "leader_election_id": f"lease-{namespace}",
    }
    busy = f"busy-{namespace}"
    with overloaded() as url, Operator(cluster.kubeconfig, **flags) as operator:
        scrapes = Scrapes(operator, namespace)
        try:
            cluster.kubectl.apply(
                [
                    opaque("bao-token", namespace, token=token),
                    store(namespace, fake({"k": "v"})),
                    store(namespace, vault(bao.url, "secret"), "bao"),
                    store(namespace, vault(bao.url, "secret", secret="absent"), "broken"),
                    webhook(busy, url),
                    *(
                        external_secret(name, namespace, refreshInterval="1s", data=[one_key("k", "k")])
                        for name in ("well", "well-too")
                    ),
                    external_secret(
                        "bao", namespace, secretStoreRef={"name": "bao"}, data=[one_key("k", f"{namespace}/a", "k")]
                    ),
                    external_secret("missing", namespace, data=[one_key("k", "not-there")]),
                    external_secret(
                        "busy",
                        namespace,
                        secretStoreRef={"kind": "ClusterSecretStore", "name": busy},
                        data=[one_key("k", "k")],
                    ),
                ]
            )
            told = operator.process.tail
            for name, status in (*dict.fromkeys(("well", "well-too", "bao"), "True").items(), *FAILING.items()):
                eventually(partial(condition, cluster, name, namespace, status), told=told)
            scrapes.scrape()
            eventually(lambda: refreshed(scrapes), told=operator.process.tail)
            yield scrapes
        finally:
            cluster.kubectl.run("delete", "clustersecretstore", busy, "--ignore-not-found")
            cluster.kubectl.run("delete", "externalsecret,secretstore", "--all", "-n", namespace, "--wait=false")
            cluster.kubectl.run("delete", "namespace", namespace, "--wait=false")


def refreshed(scrapes: Scrapes) -> bool | None:
    """True once later scrapes show that refreshes went on, and that reads of the store were made and saved."""
    scrapes.scrape()
    counters = {"keyferry_refresh_lag_seconds_count", "keyferry_provider_calls_total", "keyferry_reads_saved_total"}
    rising = {dict(labels)["__name__"] for labels, points in scrapes.series.items() if points[0][1] != points[-1][1]}
    return True if counters <= rising else None


def test_every_panel_and_every_rule_finds_what_it_asks_for_in_a_real_scrape(scraped: Scrapes) -> None:
    namespace = scraped.namespace
    recorded = {rule["record"] for group in RULES for rule in group["rules"] if "record" in rule}
    empty = []
    for title, target in TARGETS:
        expression = concrete(target["expr"], namespace)
        check_names(expression, recorded=set())
        found = evaluate(expression, scraped.series, scraped.at)
        if not found:
            empty.append(title)
    assert set(empty) <= MAY_BE_EMPTY
    world = World(scraped.series)
    advance(
        world, [{**group, "rules": [{**rule, "for": "0s"} for rule in group["rules"]]} for group in RULES], scraped.at
    )
    assert {dict(labels)["__name__"] for labels in world.known} >= recorded

    def firing(alert: str) -> set[str]:
        ours = [each for each in world.firing if each.name == alert]
        return {each.labels.get("name", "") for each in ours if each.labels.get("namespace", namespace) == namespace}

    assert firing("KeyferryExternalSecretNotReady") == {"missing", "busy"}
    assert firing("KeyferryTargetMissing") == {"missing", "busy"}
    assert firing("KeyferrySecretStoreNotReady") == {"broken"}
    assert firing("KeyferryStoreResting") == firing("KeyferryStoreThrottled") == {f"busy-{namespace}"}
    assert firing("KeyferryStoreCredentialExpiring") == {"bao"}
    assert firing("KeyferryStoreCredentialExpiresSoon") == {"bao"}
    for quiet in ("KeyferryDown", "KeyferryNotWorking", "KeyferryNoLeader", "KeyferryWorkOverdue", "KeyferryHotLoop"):
        assert firing(quiet) == set()


def test_numbers_of_the_dashboard_are_those_of_the_objects(scraped: Scrapes) -> None:
    namespace = scraped.namespace

    def shown(title: str) -> dict[str, float]:
        (expression,) = [target["expr"] for name, target in TARGETS if name == title]
        found = evaluate(concrete(expression, namespace), scraped.series, scraped.at)
        assert isinstance(found, dict)
        return {dict(labels).get("name", dict(labels).get("namespace", "")): value for labels, value in found.items()}

    assert shown("ExternalSecrets") == {"": 5}
    assert shown("Not ready") == {"": 2}
    assert shown("Secrets missing") == {"": 2}
    assert shown("Ready, by namespace") == {namespace: 0.6}
    assert set(shown("Not ready now")) == {"missing", "busy"}
    assert 0 < shown("Share of reads saved")["store"] < 1
    assert 0 < shown("Credentials end in")["bao"] <= 3600


def test_series_of_an_object_go_when_it_goes(cluster: Cluster, namespace: str, operator: Operator) -> None:
    cluster.kubectl.apply(
        [
            store(namespace, fake({"k": "v"})),
            external_secret("well", namespace, data=[one_key("k", "k")]),
            external_secret("missing", namespace, data=[one_key("k", "not-there")]),
        ]
    )
    eventually(lambda: condition(cluster, "well", namespace, "True"), told=operator.process.tail)
    eventually(lambda: condition(cluster, "missing", namespace, "False"), told=operator.process.tail)
    scrapes = Scrapes(operator, namespace)

    def shown() -> bool:
        # The status is written a moment before it is counted.
        lines = [line for line in scrapes.scrape().splitlines() if f'namespace="{namespace}"' in line]
        assert {line.partition("{")[0] for line in lines} >= {
            "externalsecret_status_condition",
            "externalsecret_sync_calls_total",
            "keyferry_last_success_timestamp_seconds",
            "keyferry_provider_calls_total",
            "keyferry_refresh_interval_seconds",
            "keyferry_store_resting",
            "keyferry_target_missing",
            "secretstore_status_condition",
        }
        assert sum('name="well"' in line for line in lines) == 7, "docs/monitoring.md says how many there are"
        return True

    eventually(shown, told=operator.process.tail)

    cluster.kubectl.run("delete", "externalsecret,secretstore", "--all", "-n", namespace)

    def gone() -> bool:
        left = [line for line in scrapes.scrape().splitlines() if f'namespace="{namespace}"' in line]
        assert not left, "\n".join(left)
        return True

    eventually(gone, told=operator.process.tail)
