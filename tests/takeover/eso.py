"""What ESO 2.9 makes of an ExternalSecret and its Secret, by its own rules (eso-facts 1.4, 1.5, 10.1, 10.2).

Made from the facts and not from Keyferry's code: hashes, field managers and the order of questions are written down
here a second time, so that a mistake in one of the two shows.
"""

from __future__ import annotations

import base64
import copy
import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

OWN = "external-secrets"
"""Field manager of what ESO writes to its own kinds: the name of its program."""
FINALIZER = "externalsecrets.external-secrets.io/externalsecret-cleanup"
MANAGED = "reconcile.external-secrets.io/managed"
CREATED_BY = "reconcile.external-secrets.io/created-by"
DATA_HASH = "reconcile.external-secrets.io/data-hash"
_INTERVALS = {"1h0m0s": dt.timedelta(hours=1), "0s": dt.timedelta()}
_KEEPS = ("Merge", "CreateOrMerge")


@dataclass(frozen=True, slots=True, repr=False)
class Rendered:
    """What a template makes, or what was read where there is none; labels and annotations None for the object's own."""

    data: Mapping[str, str]
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    type: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """The Ready condition that ESO writes."""

    status: str = "True"
    reason: str = "SecretSynced"
    message: str = "secret synced"
    binds: bool = field(default=True)
    """Whether the status names the Secret: where it was created or updated."""


def manager(name: str) -> str:
    """The field manager of an ExternalSecret's writes to its Secret."""
    plain = f"externalsecrets.external-secrets.io/{name}"
    return plain if len(plain) < 64 else f"externalsecrets.external-secrets.io/sha3/{_sha3(name)}"


def data_hash(secret: Mapping[str, Any]) -> str:
    """The annotation that says what a Secret holds."""
    values = {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
    printed = (f"{key}:[{' '.join(str(byte) for byte in values[key])}]" for key in sorted(values))
    return _sha3(f"map[{' '.join(printed)}]")


def resource_version(es: Mapping[str, Any]) -> str:
    """What ``status.syncedResourceVersion`` is when the object as it stands was synced."""
    metadata = es["metadata"]

    def printed(name: str) -> str:
        strings = metadata.get(name) or {}
        return f"map[{' '.join(f'{key}:{strings[key]}' for key in sorted(strings))}]"

    told = f"{{annotations:{printed('annotations')} labels:{printed('labels')}}}"
    return f"{metadata['generation']}-{_sha3(told)}"


def target_name(es: Mapping[str, Any]) -> str:
    """The name of the Secret."""
    name: str = es["spec"].get("target", {}).get("name") or es["metadata"]["name"]
    return name


def creation_policy(es: Mapping[str, Any]) -> str:
    """Its creation policy, with the default that ESO's CRD writes into objects."""
    policy: str = es["spec"].get("target", {}).get("creationPolicy", "Owner")
    return policy


def should_refresh(es: Mapping[str, Any], now: dt.datetime) -> bool:
    """Whether ESO reads from the provider because of the object itself; sync windows are left aside."""
    interval = _INTERVALS[es["spec"]["refreshInterval"]]
    status = es.get("status") or {}
    synced = status.get("syncedResourceVersion", "")
    refreshed = status.get("refreshTime")
    policy = es["spec"].get("refreshPolicy", "Periodic")
    if policy == "Periodic" and not interval and synced:
        return False
    if not synced or refreshed is None:
        return True
    if policy == "CreatedOnce":
        return False
    if synced != resource_version(es):
        return True
    if policy == "OnChange":
        return False
    moment = dt.datetime.fromisoformat(refreshed)
    return moment > now or moment + interval < now


def is_valid(es: Mapping[str, Any], secret: Mapping[str, Any] | None) -> bool:
    """Whether ESO finds the Secret as it left it; where not, it reads and writes at once."""
    if creation_policy(es) == "Orphan":
        return True
    if secret is None:
        return False
    labels = secret["metadata"].get("labels") or {}
    annotations = secret["metadata"].get("annotations") or {}
    return labels.get(MANAGED) == "true" and annotations.get(DATA_HASH) == data_hash(secret)


def written(es: Mapping[str, Any], rendered: Rendered, existing: Mapping[str, Any] | None) -> Json:
    """The Secret as ESO writes it over the existing one; where the two are equal, it writes nothing."""
    target = es["spec"].get("target", {})
    secret: Json = copy.deepcopy(dict(existing)) if existing else _empty(es)
    metadata = secret["metadata"]
    labels, annotations = metadata.setdefault("labels", {}), metadata.setdefault("annotations", {})
    data = secret.setdefault("data", {})
    if target.get("immutable"):
        secret["immutable"] = True
    if existing is None or not target.get("immutable"):
        ours = _managed(existing or {}, manager(es["metadata"]["name"]))
        for place, path in ((data, "data"), (labels, "labels"), (annotations, "annotations")):
            for key in ours[path]:
                place.pop(key, None)
        labels |= rendered.labels if rendered.labels is not None else es["metadata"].get("labels") or {}
        annotations |= (
            rendered.annotations if rendered.annotations is not None else es["metadata"].get("annotations") or {}
        )
        if creation_policy(es) not in _KEEPS:
            data.clear()
        data |= {key: base64.b64encode(value.encode()).decode() for key, value in rendered.data.items()}
        if rendered.type:
            secret["type"] = rendered.type
    labels.pop(CREATED_BY, None)
    owners = [each for each in metadata.pop("ownerReferences", []) if each["name"] != es["metadata"]["name"]]
    if creation_policy(es) == "Owner":
        labels[CREATED_BY] = _sha3(f"{es['metadata']['namespace']}/{es['metadata']['name']}")
        owners.append(_owner(es))
    if owners:
        metadata["ownerReferences"] = owners
    labels[MANAGED] = "true"
    annotations[DATA_HASH] = data_hash(secret)
    return secret


def status(es: Mapping[str, Any], condition: Condition, refreshed: dt.datetime) -> Json:
    """The status that ESO writes after a refresh that began at ``refreshed``."""
    moment = refreshed.strftime("%Y-%m-%dT%H:%M:%SZ")
    told = {
        "type": "Ready",
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": moment,
    }
    return {
        "refreshTime": moment,
        "syncedResourceVersion": resource_version(es),
        "conditions": [told],
        # Go leaves no empty struct out, and ESO's CRD gives it a name.
        "binding": {"name": target_name(es) if condition.binds else ""},
    }


def _managed(secret: Mapping[str, Any], name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {"data": set(), "labels": set(), "annotations": set()}
    for entry in secret.get("metadata", {}).get("managedFields") or []:
        if entry["manager"] == name:
            fields = entry["fieldsV1"]
            about = fields.get("f:metadata", {})
            places = {"data": fields, "labels": about, "annotations": about}
            for path, place in places.items():
                found[path] |= {key.removeprefix("f:") for key in place.get(f"f:{path}", {}) if key != "."}
    return found


def _empty(es: Mapping[str, Any]) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": target_name(es), "namespace": es["metadata"]["namespace"]},
        "type": "Opaque",
    }


def _owner(es: Mapping[str, Any]) -> Json:
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "name": es["metadata"]["name"],
        "uid": es["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _sha3(text: str) -> str:
    return hashlib.sha3_224(text.encode()).hexdigest()
