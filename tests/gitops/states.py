"""Objects for every state that an ExternalSecret or a store can be in, and what GitOps tools have to make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.support.cluster import external_secret, fake, one_key, opaque, store, vault

Json = dict[str, Any]


@dataclass(frozen=True)
class Expected:
    """What is to be seen of one object. ``ready`` None: no condition at all. ``says`` is part of the message."""

    kind: str
    ready: str | None
    reason: str
    says: str
    argocd: str
    kstatus: str


def _fine(reason: str = "SecretSynced", says: str = "secret synced") -> Expected:
    return Expected("externalsecret", "True", reason, says, "Healthy", "Current")


def _failing(says: str) -> Expected:
    return Expected("externalsecret", "False", "SecretSyncedError", says, "Degraded", "InProgress")


def _checked(kind: str) -> Expected:
    return Expected(kind, "True", "Valid", "store validated", "Healthy", "Current")


def _unusable(kind: str, says: str) -> Expected:
    return Expected(kind, "False", "InvalidProviderConfig", says, "Degraded", "InProgress")


def _untouched(kind: str) -> Expected:
    return Expected(kind, None, "", "", "Progressing", "Current")


SETTLED: dict[str, Expected] = {
    "synced": _fine(),
    "on-change": _fine(),
    "created-once": _fine(),
    "interval-zero": _fine(),
    "immutable": _fine(),
    "orphan": _fine(),
    "writes-nothing": _fine(),
    "retained": _fine(says="secret retained due to DeletionPolicy=Retain"),
    "deleted-at-the-store": _fine("SecretDeleted", "secret deleted due to DeletionPolicy=Delete"),
    "waits-for-a-target": _fine("SecretMissing", "secret will not be created due to CreationPolicy=Merge"),
    "outage": _fine(),
    "throttled": _fine(),
    "no-store": _failing("does not exist"),
    "unready-store": _failing("is not ready"),
    "missing-key": _failing("the store has no key"),
    "bad-template": _failing("could not execute template"),
    "foreign-secret": _failing("holds keys that are not from this ExternalSecret"),
    "generic-target": _failing("is not served by this version of Keyferry"),
    "other-class": _untouched("externalsecret"),
    "store": _checked("secretstore"),
    "locked": _unusable("secretstore", "unable to create client"),
    "unserved": _unusable("secretstore", "is not supported by Keyferry"),
    "foreign": _untouched("secretstore"),
    "NAMESPACE-hooks": _checked("clustersecretstore"),
    "NAMESPACE-busy": _checked("clustersecretstore"),
    "NAMESPACE-callers": _checked("clustersecretstore"),
    "NAMESPACE-locked": _unusable("clustersecretstore", "unable to create client"),
}
"""Objects by name, once the operator has looked at them."""

TROUBLED: dict[str, Expected] = {
    "outage": _failing("could not get secret data from provider"),
    "throttled": _failing("could not get secret data from provider"),
    "second-owner": _failing("target is owned by another ExternalSecret"),
}
"""Some of them after a backend has failed, and one that comes late."""


def manifests(namespace: str, hooks: str) -> list[Json]:
    """All that ``SETTLED`` speaks of; ``hooks`` is the address of an ``Endpoint``."""
    values = [one_key("k", "k")]

    def es(name: str, *, data: list[Json] | None = None, **spec: Any) -> Json:
        return external_secret(name, namespace, **({"data": values if data is None else data} | spec))

    def through(name: str) -> Json:
        return {"secretStoreRef": {"name": f"{namespace}-{name}", "kind": "ClusterSecretStore"}}

    nothing = {"dataFrom": [{"find": {"name": {"regexp": "^nothing$"}}}], "data": []}
    return [
        store(namespace, fake({"k": "v"})),
        store(namespace, vault("http://127.0.0.1:1", "secret", secret="nowhere"), "locked"),
        store(namespace, {"akeyless": {"akeylessGWApiURL": "https://example.com", "authSecretRef": {}}}, "unserved"),
        _of_class("somebody-else", store(namespace, fake({"k": "v"}), "foreign")),
        _cluster(store("", _webhook(hooks), f"{namespace}-hooks")),
        _cluster(store("", _webhook(f"{hooks}/busy"), f"{namespace}-busy")),
        _cluster(store("", vault("http://127.0.0.1:1", "secret"), f"{namespace}-callers")),
        _cluster(store("", _locked_for_all(namespace), f"{namespace}-locked")),
        opaque("somebodys", namespace, theirs="kept"),
        es("synced"),
        es("on-change", refreshPolicy="OnChange"),
        es("created-once", refreshPolicy="CreatedOnce"),
        es("interval-zero", refreshInterval="0"),
        es("immutable", target={"immutable": True}),
        es("orphan", target={"creationPolicy": "Orphan"}),
        es("writes-nothing", target={"creationPolicy": "None"}),
        es("retained", **nothing),
        es("deleted-at-the-store", data=[one_key("k", "gone")], target={"deletionPolicy": "Delete"}),
        es("waits-for-a-target", target={"creationPolicy": "Merge"}),
        es("outage", **through("hooks")),
        es("throttled", **through("busy")),
        es("no-store", secretStoreRef={"name": "nowhere"}),
        es("unready-store", secretStoreRef={"name": "locked"}),
        es("missing-key", data=[one_key("k", "gone")]),
        es("bad-template", target={"template": {"data": {"x": "{{ .nope }}"}}}),
        es("foreign-secret", target={"name": "somebodys", "creationPolicy": "Orphan"}),
        es("generic-target", target={"manifest": {"apiVersion": "v1", "kind": "ConfigMap"}}),
        es("other-class", secretStoreRef={"name": "foreign"}),
    ]


def second_owner(namespace: str) -> Json:
    """An ExternalSecret whose target belongs to another one."""
    return external_secret("second-owner", namespace, target={"name": "synced"}, data=[one_key("k", "k")])


def _of_class(name: str, manifest: Json) -> Json:
    return {**manifest, "spec": {**manifest["spec"], "controller": name}}


def _cluster(manifest: Json) -> Json:
    return {**manifest, "kind": "ClusterSecretStore", "metadata": {"name": manifest["metadata"]["name"]}}


def _webhook(url: str) -> Json:
    return {"webhook": {"url": f"{url}/{{{{ .remoteRef.key }}}}", "result": {}}}


def _locked_for_all(namespace: str) -> Json:
    provider = vault("http://127.0.0.1:1", "secret", secret="nowhere")
    provider["vault"]["auth"]["tokenSecretRef"]["namespace"] = namespace
    return provider
