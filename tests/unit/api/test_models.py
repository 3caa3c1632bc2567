from __future__ import annotations

from typing import Any

import pytest
import yaml

from keyferry.api.common import LabelSelector, ObjectMeta, SecretKeySelector
from keyferry.api.externalsecret import ExternalSecret, ExternalSecretSpec
from keyferry.api.store import SecretStore, StoreSpec
from keyferry.errors import BadSpec


def external_secret(text: str) -> ExternalSecret:
    return ExternalSecret.parse(yaml.safe_load(text))


SMALL = external_secret("""
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: database, namespace: team, uid: 1-2, generation: 3, labels: {a: b}}
spec:
  data: [{secretKey: password, remoteRef: {key: db}}]
""")


def test_what_is_left_out_is_what_eso_s_crd_would_write() -> None:
    spec, entry = SMALL.spec, SMALL.spec.data[0]

    assert (spec.target.creation_policy, spec.target.deletion_policy) == ("Owner", "Retain")
    assert (spec.refresh_policy, spec.refresh_interval, spec.refresh_seconds) == ("Periodic", None, 3600)
    assert spec.secret_store_ref.kind == "SecretStore"
    assert (entry.remote_ref.conversion_strategy, entry.remote_ref.decoding_strategy) == ("Default", "None")
    assert (entry.remote_ref.metadata_policy, entry.remote_ref.null_byte_policy) == ("None", "Ignore")
    assert (spec.target.template, spec.data_from, spec.sync_windows) == (None, (), None)


def test_a_template_has_the_defaults_of_eso_s_crd_too() -> None:
    template = external_secret("""
      spec:
        target: {template: {templateFrom: [{configMap: {name: c, items: [{key: k}]}}]}}
        dataFrom:
          - {sourceRef: {generatorRef: {kind: Password, name: p}}, rewrite: [{merge: {}}]}
    """)
    target, source = template.spec.target.template, template.spec.data_from[0]

    assert target is not None
    assert (target.engine_version, target.merge_policy, target.template_from[0].target) == ("v2", "Replace", "Data")
    assert target.template_from[0].config_map is not None
    assert target.template_from[0].config_map.items[0].template_as == "Values"
    assert source.source_ref is not None
    assert source.source_ref.generator_ref is not None
    assert source.source_ref.generator_ref.api_version == "generators.external-secrets.io/v1alpha1"
    merge = source.rewrite[0].merge
    assert merge is not None
    assert (merge.strategy, merge.conflict_policy, merge.priority_policy) == ("Extract", "Error", "Strict")


def test_the_secret_is_named_like_its_external_secret_unless_the_target_says_otherwise() -> None:
    named = external_secret("{metadata: {name: database}, spec: {target: {name: other}}}")

    assert (SMALL.target_name, named.target_name) == ("database", "other")


@pytest.mark.parametrize(
    ("manifest", "is_secret"),
    [(None, True), ({"apiVersion": "v1", "kind": "Secret"}, True), ({"apiVersion": "v1", "kind": "ConfigMap"}, False)],
)
def test_a_manifest_may_ask_for_another_kind(manifest: dict[str, str] | None, is_secret: bool) -> None:
    assert ExternalSecret.parse({"spec": {"target": {"manifest": manifest}}}).makes_secret is is_secret


def test_metadata_and_status_are_read_as_the_api_server_writes_them() -> None:
    whole = external_secret("""
      metadata:
        name: database
        namespace: team
        uid: 1-2
        generation: 3
        resourceVersion: "17"
        labels: {a: b}
        annotations: {c: d}
        finalizers: [x/y]
        creationTimestamp: 2026-03-04T05:06:07Z
        deletionTimestamp: 2026-03-04T05:06:08Z
        ownerReferences: [{apiVersion: v1, kind: Owner, name: o, uid: u, controller: true}]
        managedFields: [{manager: kubectl}]
      status:
        refreshTime: 2026-03-04T05:06:07Z
        syncedResourceVersion: 3-abc
        observedGeneration: 3
        binding: {name: database}
        conditions:
          - type: Ready
            status: "True"
            reason: SecretSynced
            message: secret synced
            lastTransitionTime: 2026-03-04T05:06:07Z
            observedGeneration: 3
    """)
    meta, status = whole.metadata, whole.status

    assert (meta.generation, meta.resource_version, meta.finalizers) == (3, "17", ("x/y",))
    assert (meta.labels, meta.annotations) == ({"a": "b"}, {"c": "d"})
    assert meta.deletion_timestamp is not None
    assert (meta.owner_references[0].controller, meta.owner_references[0].uid) == (True, "u")
    assert status.refresh_time is not None
    assert status.refresh_time.isoformat() == "2026-03-04T05:06:07+00:00"
    assert (status.synced_resource_version, status.observed_generation, status.binding.name) == ("3-abc", 3, "database")
    condition = status.conditions[0]
    assert (condition.type, condition.status, condition.observed_generation) == ("Ready", "True", 3)


def test_null_is_what_is_left_out() -> None:
    nulls = external_secret("""
      metadata: {name: a, labels: null}
      spec: {target: null, refreshInterval: null, data: null, dataFrom: [{extract: {key: k, version: null}}]}
      status: {refreshTime: null}
    """)

    assert nulls.spec.target.creation_policy == "Owner"
    assert (nulls.metadata.labels, nulls.spec.data, nulls.status.refresh_time) == ({}, (), None)


def test_fields_of_a_newer_version_are_ignored() -> None:
    assert external_secret("{spec: {target: {name: a, colour: red}, later: {x: 1}}}").target_name == "a"


def test_an_object_of_the_older_version_is_read_by_the_same_model() -> None:
    older = external_secret(
        "{apiVersion: external-secrets.io/v1beta1, kind: ExternalSecret, spec: {dataFrom: [{find: {tags: {a: b}}}]}}"
    )

    assert older.spec.data_from[0].find is not None
    assert older.spec.data_from[0].find.tags == {"a": "b"}


def test_an_error_names_every_field_and_shows_no_value() -> None:
    with pytest.raises(BadSpec) as caught:
        ExternalSecretSpec.parse(
            {
                "target": {"creationPolicy": "canary-policy"},
                "data": [{"secretKey": "canary/key", "remoteRef": {"key": 5}}, {"secretKey": "a"}],
            },
            at="spec",
        )

    message = str(caught.value)
    assert message.startswith("spec.target.creationPolicy: ")
    assert "spec.data[0].secretKey: " in message
    assert "spec.data[0].remoteRef.key: " in message
    assert "spec.data[1].remoteRef: Field required" in message
    assert "canary" not in message
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(("text", "seconds"), [(None, 3600), ("0", 0), ("90s", 90), ("-1h", -3600)])
def test_the_interval_is_told_in_seconds(text: str | None, seconds: float) -> None:
    assert ExternalSecretSpec.parse({"refreshInterval": text}).refresh_seconds == seconds


@pytest.mark.parametrize("text", ["1d", "", "60"])
def test_an_interval_that_is_no_duration_is_refused_when_it_is_used(text: str) -> None:
    spec = ExternalSecretSpec.parse({"refreshInterval": text})

    with pytest.raises(BadSpec, match=r"^spec\.refreshInterval: "):
        _ = spec.refresh_seconds


@pytest.mark.parametrize(("policy", "duplicates"), [(None, ("a",)), ("Retain", ("a",)), ("Merge", ()), ("Delete", ())])
def test_a_key_named_twice_is_wrong_where_the_policy_is_retain(policy: str | None, duplicates: tuple[str, ...]) -> None:
    data = [{"secretKey": key, "remoteRef": {"key": "k"}} for key in ("a", "b", "a")]
    spec = ExternalSecretSpec.parse({"target": {"deletionPolicy": policy}, "data": data})

    assert spec.duplicate_keys == duplicates


def store(provider: dict[str, Any], **more: Any) -> SecretStore:
    return SecretStore.parse({"kind": "ClusterSecretStore", "spec": {"provider": provider, **more}})


def test_a_store_knows_its_kind_and_its_provider() -> None:
    found = store({"vault": {"server": "https://vault.example"}, "aws": None})

    assert (found.kind, found.spec.provider_name) == ("ClusterSecretStore", "vault")
    assert found.spec.provider["vault"] == {"server": "https://vault.example"}


def test_settings_that_a_provider_would_refuse_do_not_break_the_store() -> None:
    assert store({"vault": {"server": 5, "auth": "?"}}).spec.provider_name == "vault"
    assert store({"nobody-knows": {}}).spec.provider_name == "nobody-knows"


@pytest.mark.parametrize(
    ("provider", "found"), [({}, "found 0"), ({"vault": {}, "aws": {}}, r"found 2 \(aws, vault\)")]
)
def test_a_store_has_exactly_one_provider(provider: dict[str, Any], found: str) -> None:
    text = rf"^spec\.provider: secret stores must only have exactly one backend specified, {found}$"
    with pytest.raises(BadSpec, match=text):
        _ = store(provider).spec.provider_name


@pytest.mark.parametrize(
    ("given", "seconds"), [(None, None), (0, None), ("0", None), (300, 300), ("5m", 300), ("1h30m", 5400)]
)
def test_the_interval_of_a_store_is_seconds_or_a_duration(given: int | str | None, seconds: float | None) -> None:
    assert StoreSpec.parse({"refreshInterval": given}).refresh_seconds == seconds


@pytest.mark.parametrize(
    ("given", "fault"), [(-1, "must not be negative"), ("-5m", "must not be negative"), ("300", "lacks a unit")]
)
def test_a_wrong_interval_of_a_store_is_refused_when_it_is_used(given: int | str, fault: str) -> None:
    spec = StoreSpec.parse({"refreshInterval": given})

    with pytest.raises(BadSpec, match=rf"^spec\.refreshInterval: .*{fault}"):
        _ = spec.refresh_seconds


def test_conditions_and_retries_of_a_store_are_read() -> None:
    spec = store(
        {"fake": {}},
        controller="dev",
        retrySettings={"maxRetries": 5, "retryInterval": "10s"},
        conditions=[
            {"namespaces": ["a"], "namespaceRegexes": ["b.*"]},
            {"namespaceSelector": {"matchLabels": {"c": "d"}}},
        ],
    ).spec

    assert spec.controller == "dev"
    assert spec.retry_settings is not None
    assert (spec.retry_settings.max_retries, spec.retry_settings.retry_interval) == (5, "10s")
    assert (spec.conditions[0].namespaces, spec.conditions[0].namespace_regexes) == (("a",), ("b.*",))
    assert spec.conditions[1].namespace_selector is not None
    assert spec.conditions[1].namespace_selector.match_labels == {"c": "d"}


LABELS = {"app": "web", "tier": "front"}


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ("{}", True),
        ("{matchLabels: {app: web}}", True),
        ("{matchLabels: {app: web, tier: back}}", False),
        ("{matchLabels: {other: x}}", False),
        ("{matchExpressions: [{key: app, operator: In, values: [web, api]}]}", True),
        ("{matchExpressions: [{key: app, operator: In, values: [api]}]}", False),
        ("{matchExpressions: [{key: other, operator: In, values: [api]}]}", False),
        ("{matchExpressions: [{key: app, operator: NotIn, values: [api]}]}", True),
        ("{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}", False),
        ("{matchExpressions: [{key: other, operator: NotIn, values: [web]}]}", True),
        ("{matchExpressions: [{key: app, operator: Exists}]}", True),
        ("{matchExpressions: [{key: other, operator: Exists}]}", False),
        ("{matchExpressions: [{key: other, operator: DoesNotExist}]}", True),
        ("{matchExpressions: [{key: app, operator: DoesNotExist}]}", False),
        ("{matchLabels: {app: web}, matchExpressions: [{key: tier, operator: DoesNotExist}]}", False),
        ("{matchExpressions: [{key: app, operator: Exists}, {key: tier, operator: In, values: [front]}]}", True),
    ],
)
def test_a_selector_chooses_as_kubernetes_does(selector: str, chosen: bool) -> None:
    assert LabelSelector.parse(yaml.safe_load(selector)).matches(LABELS) is chosen


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ({"key": "app", "operator": "in", "values": ["a"]}, 'unknown operator "in" for "app": use In, NotIn'),
        ({"key": "app", "operator": "In"}, 'In for "app" takes at least one value'),
        ({"key": "app", "operator": "NotIn", "values": []}, 'NotIn for "app" takes at least one value'),
        ({"key": "app", "operator": "Exists", "values": ["a"]}, 'Exists for "app" takes no values'),
    ],
)
def test_a_demand_that_makes_no_sense_is_refused_even_where_another_fails(expression: Any, fault: str) -> None:
    selector = LabelSelector.parse({"matchLabels": {"other": "x"}, "matchExpressions": [expression]})

    with pytest.raises(BadSpec, match=fault):
        selector.matches(LABELS)


@pytest.mark.parametrize("name", ["Upper", "-a", "a-", "a..b", "", "a" * 254])
def test_names_are_those_that_kubernetes_has(name: str) -> None:
    with pytest.raises(BadSpec, match=r"^name: "):
        SecretKeySelector.parse({"name": name})


def test_models_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        ObjectMeta(name="a").name = "b"  # type: ignore[misc]  # that is the point
