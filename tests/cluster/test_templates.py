"""Templates in the process that serves a cluster: made, followed, and not in the way of others."""

from __future__ import annotations

import base64
from functools import partial
from typing import Any

import pytest

from tests.cluster.test_main_job import condition_of, data_of, holds
from tests.support.cluster import Cluster, external_secret, fake, one_key, store
from tests.support.operator import Operator, eventually

pytestmark = pytest.mark.cluster

HOSTILE = (
    "{{ until 100000000 | len }}",
    "{{ repeat 100000000 .password }}",
    "{{ range until 2000 }}{{ range until 2000 }}{{ end }}{{ end }}",
    '{{ define "t" }}{{ template "t" . }}{{ end }}{{ template "t" . }}',
    "{{ $x := .password }}{{ range until 100 }}{{ $x = print $x $x }}{{ end }}",
    '{{ range until 1000 }}{{ derivePassword 1 "long" .password "user" "site" }}{{ end }}',
)


def test_a_template_from_a_config_map_is_rendered_and_followed(
    cluster: Cluster, namespace: str, operator: Operator
) -> None:
    forms: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "forms", "namespace": namespace},
        "data": {"url": "postgres://app:{{ .password | urlquery }}@db", "more": "user: {{ .user | toJson }}"},
    }
    items = [{"key": "url"}, {"key": "more", "templateAs": "KeysAndValues"}]
    cluster.kubectl.apply(
        [
            forms,
            store(namespace, fake({"password": "p w", "user": "app"})),
            external_secret(
                "db",
                namespace,
                data=[one_key("password", "password"), one_key("user", "user")],
                target={"template": {"templateFrom": [{"configMap": {"name": "forms", "items": items}}]}},
            ),
        ]
    )
    eventually(
        lambda: holds(cluster, "db", namespace, {"url": "postgres://app:p+w@db", "user": "app"}),
        told=operator.process.tail,
    )

    cluster.kubectl.apply([{**forms, "data": {**forms["data"], "url": "mysql://{{ .user }}@db"}}])

    eventually(lambda: holds(cluster, "db", namespace, {"url": "mysql://app@db", "user": "app"}))


def test_a_certificate_that_a_template_makes_stays_until_its_inputs_change(
    cluster: Cluster, namespace: str, operator: Operator
) -> None:
    template = {
        "type": "kubernetes.io/tls",
        "data": {
            "tls.crt": "{{ $c := genSelfSignedCert .host (list) (list .host) 30 }}{{ $c.Cert }}",
            "tls.key": '{{ genPrivateKey "ecdsa" }}',
            "host": "{{ .host }}",
        },
    }
    made = external_secret(
        "tls", namespace, refreshInterval="1s", data=[one_key("host", "host")], target={"template": template}
    )
    cluster.kubectl.apply([store(namespace, fake({"host": "one.example.org"})), made])
    eventually(lambda: data_of(cluster, "tls", namespace), told=operator.process.tail)
    before = cluster.kubectl.get("secret", "tls", namespace)
    eventually(lambda: operator.metric("externalsecret_sync_calls_total", namespace=namespace) > 3 or None)
    assert cluster.kubectl.get("secret", "tls", namespace) == before

    cluster.kubectl.apply([store(namespace, fake({"host": "two.example.org"}))])

    eventually(lambda: (data_of(cluster, "tls", namespace) or {})["host"] == "two.example.org" or None)
    after = cluster.kubectl.get("secret", "tls", namespace)
    assert before is not None
    assert after is not None
    assert after["data"]["tls.crt"] != before["data"]["tls.crt"]
    assert b"BEGIN CERTIFICATE" in base64.b64decode(after["data"]["tls.crt"])


def test_hostile_templates_cost_their_own_objects_only(cluster: Cluster, namespace: str, operator: Operator) -> None:
    hostile = [
        external_secret(
            f"hostile-{number}",
            namespace,
            data=[one_key("password", "password")],
            target={"template": {"data": {"k": text}}},
        )
        for number, text in enumerate(HOSTILE * 3)
    ]
    fine = external_secret(
        "fine",
        namespace,
        data=[one_key("password", "password")],
        target={"template": {"data": {"k": "{{ .password }}"}}},
    )
    cluster.kubectl.apply([store(namespace, fake({"password": "canary-1"})), *hostile, fine])
    eventually(lambda: holds(cluster, "fine", namespace, {"k": "canary-1"}), told=operator.process.tail)
    for number in range(len(hostile)):
        told = eventually(partial(condition_of, cluster, f"hostile-{number}", namespace, "False"))
        assert "could not execute template" in told["message"]
        assert "canary" not in told["message"]
    assert not operator.process.ended
