"""ExternalSecrets in every state that ESO 2.9 leaves them in, PushSecrets left aside.

The specs are as they stand in etcd: with the defaults that ESO's CRDs write into them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.takeover.eso import Condition, Json, Rendered

LONG = "an-external-secret-whose-name-is-longer-than-most"
_TRACKED = {"app.kubernetes.io/instance": "shop", "kustomize.toolkit.fluxcd.io/name": "apps"}
"""Labels that GitOps tools put on what they apply, and ESO copies."""
_BASIC = "kubernetes.io/basic-auth"
GONE = "gone"
"""A key that the provider does not hold."""
EMPTY = "empty"
"""A key without a property."""

_IN_STEP = Condition()
_NO_DATA = Condition("False", "SecretSyncedError", "could not get secret data from provider")
_RETAINED = Condition(message="secret retained due to DeletionPolicy=Retain", binds=False)
_DELETED = Condition(reason="SecretDeleted", message="secret deleted due to DeletionPolicy=Delete", binds=False)
_MISSING = Condition(
    reason="SecretMissing", message="secret will not be created due to CreationPolicy=Merge", binds=False
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One ExternalSecret. It reads properties of one key, which has its name unless ``key`` says otherwise."""

    name: str
    target: Json = field(default_factory=dict)
    spec: Json = field(default_factory=dict)
    key: str = ""
    metadata: Json = field(default_factory=dict)
    """Labels and annotations of the ExternalSecret."""
    before: Mapping[str, str] | None = None
    """What the Secret held before ESO came by; None where there was none."""
    left: Mapping[str, str] | None = None
    """What an earlier refresh has put into the Secret, where the last one found nothing to put there."""
    rendered: Callable[[Mapping[str, str]], Rendered] | None = None
    """What the template makes of the properties; None without a template."""
    condition: Condition = _IN_STEP
    holds: bool = True
    """Whether ESO leaves a Secret."""
    read_at_start: bool = False
    """Whether reading does not wait until it is due."""
    read_when_due: bool = True

    def manifest(self, namespace: str, store: str) -> Json:
        """The ExternalSecret as its user has applied it."""
        key = self.key or self.name
        kind = "ClusterSecretStore" if self.spec.get("secretStoreRef") else "SecretStore"
        given = {key: value for key, value in self.spec.items() if key != "secretStoreRef"}
        spec: Json = {
            "refreshInterval": "1h0m0s",
            "secretStoreRef": {"kind": kind, "name": namespace if kind == "ClusterSecretStore" else store},
            "target": {"creationPolicy": "Owner", "deletionPolicy": "Retain", **self.target},
            "data": [{"secretKey": name, "remoteRef": {"key": key, "property": name}} for name in ("user", "password")],
            **given,
        }
        if "dataFrom" in spec:
            del spec["data"]
        return {
            "apiVersion": "external-secrets.io/v1",
            "kind": "ExternalSecret",
            "metadata": {"name": self.name, "namespace": namespace, **self.metadata},
            "spec": spec,
        }

    def wanted(self, values: Mapping[str, Mapping[str, str]]) -> Rendered:
        """What ESO renders from what the provider holds."""
        properties = values.get(self.key or self.name, {})
        return self.rendered(properties) if self.rendered else Rendered(properties)


def _extract(key: str) -> list[Json]:
    return [{"extract": {"key": key}}]


def _template(**given: Any) -> Json:
    return {"template": {"engineVersion": "v2", "mergePolicy": "Replace", **given}}


def _basic(values: Mapping[str, str]) -> Rendered:
    data = {"username": values["user"], "password": values["password"]}
    return Rendered(data, {"user": values["user"]}, {"example.com/owner": "team-a"}, _BASIC)


def _from_config_map(values: Mapping[str, str]) -> Rendered:
    return Rendered({"app.conf": f"password={values['password']}"}, {}, {})


CASES = (
    Case(name="owner"),
    Case(
        name="owner-labelled",
        metadata={
            "labels": {"team": "a", **_TRACKED},
            "annotations": {"argocd.argoproj.io/tracking-id": "shop:x", "note": "é"},
        },
    ),
    Case(name="owner-renamed", target={"name": "another-name", "deletionPolicy": "Delete"}),
    Case(name=LONG),
    Case(name="cluster-store", spec={"secretStoreRef": "ClusterSecretStore"}),
    Case(name="extract", spec={"dataFrom": _extract("extract")}, target={"deletionPolicy": "Merge"}),
    Case(name="orphan", target={"creationPolicy": "Orphan"}, metadata={"labels": _TRACKED}),
    Case(name="merge", target={"creationPolicy": "Merge"}, before={"by-hand": "kept", "password": "old"}),
    Case(
        name="merge-missing",
        target={"creationPolicy": "Merge", "deletionPolicy": "Merge"},
        condition=_MISSING,
        holds=False,
    ),
    Case(name="create-or-merge", target={"creationPolicy": "CreateOrMerge"}, before={"by-hand": "kept"}),
    Case(name="none", target={"creationPolicy": "None"}, condition=Condition(binds=False), holds=False),
    Case(name="immutable", target={"immutable": True}),
    Case(name="created-once", spec={"refreshPolicy": "CreatedOnce"}, read_when_due=False),
    Case(name="on-change", spec={"refreshPolicy": "OnChange"}, read_when_due=False),
    Case(name="periodic", spec={"refreshPolicy": "Periodic"}),
    Case(name="interval-zero", spec={"refreshInterval": "0s"}, read_when_due=False),
    Case(
        name="window-closed",
        spec={"syncWindows": {"kind": "deny", "windows": [{"schedule": "@hourly", "duration": "2h"}]}},
        read_when_due=False,
    ),
    Case(
        name="template",
        target=_template(
            type=_BASIC,
            data={"username": "{{ .user }}", "password": "{{ .password }}"},
            metadata={"labels": {"user": "{{ .user }}"}, "annotations": {"example.com/owner": "team-a"}},
        ),
        metadata={"labels": {"not": "copied"}},
        rendered=_basic,
    ),
    Case(
        name="template-from",
        target=_template(
            templateFrom=[
                {
                    "configMap": {"name": "templates", "items": [{"key": "app.conf", "templateAs": "Values"}]},
                    "target": "Data",
                }
            ]
        ),
        rendered=_from_config_map,
    ),
    Case(name="deleted", key=GONE, target={"deletionPolicy": "Delete"}, condition=_DELETED, holds=False),
    Case(
        name="retained",
        spec={"dataFrom": _extract(EMPTY)},
        key=EMPTY,
        left={"password": "from-before"},
        condition=_RETAINED,
    ),
    Case(name="failing", key=GONE, left={"password": "from-before"}, condition=_NO_DATA, read_at_start=True),
)
