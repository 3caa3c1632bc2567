"""Which Secret should be there, computed from what is there: pure, and the place of the rules of ownership.

The rules are those of eso-facts 1.5 and 10.3, but for one: an existing Secret that holds keys which nobody can show to
be ours is not overwritten under ``Owner`` and ``Orphan`` unless somebody agrees to it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from keyferry.api.externalsecret import ExternalSecret
from keyferry.errors import BadSpec
from keyferry.kube.managed import CREATED_BY, DATA_HASH, MANAGED, data_of, is_external_secret, is_intact
from keyferry.shape.hashes import created_by, field_manager, object_hash

ADOPT = "keyferry.io/adopt"
"""Annotation on the ExternalSecret or on the Secret: "true" lets the ExternalSecret take over foreign keys."""
INPUTS = "keyferry.io/template-inputs"
"""Annotation on a Secret that a template with random or dated values made: the hash of what it was made from."""
_NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "argocd.argoproj.io/tracking-id",
        "argocd.argoproj.io/installation-id",
        ADOPT,
    }
)
"""Annotations that tell of the ExternalSecret alone. Where ESO copied one, it is left as it is."""
_TRACKING_LABELS = frozenset(
    {
        "argocd.argoproj.io/instance",
        "helm.toolkit.fluxcd.io/name",
        "helm.toolkit.fluxcd.io/namespace",
        "kustomize.toolkit.fluxcd.io/name",
        "kustomize.toolkit.fluxcd.io/namespace",
    }
)
"""Labels by which Argo CD and Flux know what they have applied, and may delete. They applied no Secret."""
_INSTANCE = "app.kubernetes.io/instance"
"""Everybody's label, and where Argo CD tracks by labels, its default for that."""
_GROUP = "external-secrets.io"
_LIMIT = 1024 * 1024
"""Bytes of data that the API server lets a Secret hold."""
_KEEPS_FOREIGN_KEYS = frozenset({"Merge", "CreateOrMerge"})


@dataclass(frozen=True, slots=True, repr=False)
class Desired:
    """What an ExternalSecret asks its Secret to hold. The repr never shows data."""

    data: Mapping[str, bytes]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    type: str | None = None
    """The Secret's type; None for Opaque where it is created, and for its own where it exists."""
    finalizers: tuple[str, ...] = ()
    """Finalizers to add; others stay, and none is taken away."""
    inputs: str = ""
    """A hash of all that this was made from, where making it again would give something else; "" otherwise."""


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """What to do. ``body`` is the whole Secret to write; ``blocked`` is what else has to be told after the write."""

    action: Literal["create", "replace", "keep", "missing"]
    body: Mapping[str, Any] | None = None
    blocked: BadSpec | None = None


def plan(es: ExternalSecret, desired: Desired, existing: Mapping[str, Any] | None, *, adopt: bool) -> Plan:
    """The write that brings the target Secret in step.

    ``existing`` is the Secret as the API server holds it; ``adopt`` restores ESO's way of taking over any Secret.
    Raises ``BadSpec`` where the rules forbid the write.
    """
    if existing is None:
        if es.spec.target.creation_policy == "Merge":
            return Plan("missing")
        return Plan("create", creation(es, desired))
    _refuse_other_owner(es, existing)
    _refuse_other_type(es, desired, existing)
    manager = field_manager(es.metadata.name)
    held = data_of(existing)
    desired = _repeated(desired, existing, held)
    frozen = bool(existing.get("immutable"))
    blocked = None
    if es.spec.target.immutable:
        if es.spec.target.creation_policy not in _KEEPS_FOREIGN_KEYS and not (adopt or _is_ours(es, existing)):
            # Its data would stay, but it would go with its new owner.
            _refuse_foreign_keys(es, held, desired, _managed(existing, manager, "f:data"))
        data = held
    else:
        data = _data(es, desired, existing, held, manager, adopt=adopt)
        if frozen and data != held:
            blocked = BadSpec(
                "could not update secret, target is immutable",
                remedy=f'delete Secret "{es.target_name}" to have it made anew',
            )
            data = held
    body = _replacement(es, desired, existing, data, manager)
    same = _essence(body) == _essence(existing)
    return Plan("keep" if same else "replace", body, blocked)


def copied_labels(es: ExternalSecret) -> dict[str, str]:
    """Labels of an ExternalSecret without template that its Secret gets as well.

    Argo CD prunes what carries its label and is not in git, unless the object has an owner.
    """
    return {key: value for key, value in es.metadata.labels.items() if key not in _tracking(es)}


def creation(es: ExternalSecret, desired: Desired) -> dict[str, Any]:
    """The Secret as it is made where there is none. Raises ``BadSpec`` where it is too large."""
    _refuse_size(es, desired.data)
    metadata: dict[str, Any] = {
        "name": es.target_name,
        "namespace": es.metadata.namespace,
        "labels": _labels(es, desired, {}),
        "annotations": {
            **_annotations(desired),
            DATA_HASH: object_hash(desired.data),
        },
    }
    if desired.finalizers:
        metadata["finalizers"] = list(desired.finalizers)
    if es.spec.target.creation_policy == "Owner":
        metadata["ownerReferences"] = [_owner_reference(es)]
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": desired.type or "Opaque",
        "data": _encoded(desired.data),
    }
    if es.spec.target.immutable:
        body["immutable"] = True
    return body


def _data(
    es: ExternalSecret,
    desired: Desired,
    existing: Mapping[str, Any],
    held: Mapping[str, bytes],
    manager: str,
    *,
    adopt: bool,
) -> dict[str, bytes]:
    ours = _managed(existing, manager, "f:data")
    if es.spec.target.creation_policy in _KEEPS_FOREIGN_KEYS:
        data = {key: value for key, value in held.items() if key not in ours} | dict(desired.data)
    else:
        if not (adopt or _is_ours(es, existing)):
            _refuse_foreign_keys(es, held, desired, ours)
        data = dict(desired.data)
    _refuse_size(es, data)
    return data


def _replacement(
    es: ExternalSecret, desired: Desired, existing: Mapping[str, Any], data: Mapping[str, bytes], manager: str
) -> dict[str, Any]:
    metadata = dict(existing["metadata"])
    labels = dict(metadata.get("labels") or {})
    left_by_eso = _tracking(es) if es.spec.target.template is None else frozenset()
    for key in _managed(existing, manager, "f:metadata", "f:labels") - left_by_eso:
        labels.pop(key, None)
    metadata["labels"] = _labels(es, desired, labels)
    annotations = dict(metadata.get("annotations") or {})
    for key in _managed(existing, manager, "f:metadata", "f:annotations") - _NOT_COPIED:
        annotations.pop(key, None)
    metadata["annotations"] = annotations | _annotations(desired) | {DATA_HASH: object_hash(data)}
    owners = [ref for ref in metadata.get("ownerReferences") or [] if not _is_reference_to(ref, es)]
    if es.spec.target.creation_policy == "Owner":
        owners.append(_owner_reference(es))
    metadata.pop("ownerReferences", None)
    if owners:
        metadata["ownerReferences"] = owners
    finalizers = list(metadata.get("finalizers") or [])
    added = [each for each in desired.finalizers if each not in finalizers]
    if added and not metadata.get("deletionTimestamp"):
        metadata["finalizers"] = finalizers + added
    body = {**existing, "metadata": metadata, "data": _encoded(data)}
    if es.spec.target.immutable:
        body["immutable"] = True
    return body


def _tracking(es: ExternalSecret) -> frozenset[str]:
    return _TRACKING_LABELS if es.spec.target.creation_policy == "Owner" else _TRACKING_LABELS | {_INSTANCE}


def _annotations(desired: Desired) -> dict[str, str]:
    annotations = {key: value for key, value in desired.annotations.items() if key not in _NOT_COPIED}
    if desired.inputs:
        annotations[INPUTS] = desired.inputs
    return annotations


def _repeated(desired: Desired, existing: Mapping[str, Any], held: Mapping[str, bytes]) -> Desired:
    """What was made from the same inputs before stays, if nobody touched it: random values change with them only."""
    metadata = existing["metadata"]
    annotations = metadata.get("annotations") or {}
    made_before = desired.inputs and annotations.get(INPUTS) == desired.inputs
    if not made_before or not is_intact(existing) or not desired.data.keys() <= held.keys():
        return desired
    labels = metadata.get("labels") or {}
    return replace(
        desired,
        data={key: held[key] for key in desired.data},
        labels={key: labels.get(key, value) for key, value in desired.labels.items()},
        annotations={key: annotations.get(key, value) for key, value in desired.annotations.items()},
    )


def _refuse_other_type(es: ExternalSecret, desired: Desired, existing: Mapping[str, Any]) -> None:
    there = existing.get("type") or "Opaque"
    if desired.type and desired.type != there:
        raise BadSpec(
            f'Secret "{es.target_name}" is of type {there}, and the type of a Secret cannot be changed to '
            f"{desired.type}",
            remedy="delete the Secret to have it made anew, or correct spec.target.template.type",
        )


def _labels(es: ExternalSecret, desired: Desired, kept: Mapping[str, str]) -> dict[str, str]:
    labels = {**kept, **desired.labels, MANAGED: "true"}
    labels.pop(CREATED_BY, None)
    if es.spec.target.creation_policy == "Owner":
        labels[CREATED_BY] = created_by(es.metadata.namespace, es.metadata.name)
    return labels


def _owner_reference(es: ExternalSecret) -> dict[str, Any]:
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "ExternalSecret",
        "name": es.metadata.name,
        "uid": es.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _is_reference_to(reference: Mapping[str, Any], es: ExternalSecret) -> bool:
    # By name, not by uid: after a restore from a backup the object has a new uid, and is the same to its users.
    return is_external_secret(reference) and reference.get("name") == es.metadata.name


def _refuse_other_owner(es: ExternalSecret, existing: Mapping[str, Any]) -> None:
    for reference in existing["metadata"].get("ownerReferences") or []:
        if not reference.get("controller") or _is_reference_to(reference, es):
            continue
        if is_external_secret(reference):
            raise BadSpec(
                "target is owned by another ExternalSecret",
                remedy=f'Secret "{es.target_name}" belongs to ExternalSecret "{reference.get("name")}"; '
                "choose another spec.target.name",
            )
        if es.spec.target.creation_policy == "Owner":
            raise BadSpec(
                "failed to take ownership of target secret",
                remedy=f'Secret "{es.target_name}" is controlled by {reference.get("kind")} "{reference.get("name")}"; '
                "choose another spec.target.name or creationPolicy Merge",
            )


def _is_ours(es: ExternalSecret, existing: Mapping[str, Any]) -> bool:
    metadata = existing["metadata"]
    if any(_is_reference_to(reference, es) for reference in metadata.get("ownerReferences") or []):
        return True
    labels = metadata.get("labels") or {}
    if labels.get(CREATED_BY) == created_by(es.metadata.namespace, es.metadata.name):
        return True
    if (metadata.get("annotations") or {}).get(ADOPT) == "true" or (es.metadata.annotations or {}).get(ADOPT) == "true":
        return True
    # Restored from a backup, a Secret has lost its managedFields; its own hash still says who wrote it.
    restored = not any("f:data" in entry.get("fieldsV1", {}) for entry in metadata.get("managedFields") or [])
    return restored and labels.get(MANAGED) == "true" and is_intact(existing)


def _refuse_foreign_keys(
    es: ExternalSecret,
    held: Mapping[str, bytes],
    desired: Desired,
    ours: frozenset[str],
) -> None:
    foreign = sorted(key for key, value in held.items() if key not in ours and desired.data.get(key) != value)
    if foreign:
        shown = ", ".join(foreign[:5]) + (f" and {len(foreign) - 5} more" if len(foreign) > 5 else "")
        keeping = "Merge" if es.spec.target.creation_policy == "Owner" else "CreateOrMerge"
        raise BadSpec(
            f'Secret "{es.target_name}" exists and holds keys that are not from this ExternalSecret: {shown}',
            remedy=f"use creationPolicy {keeping} to keep them, or annotate the ExternalSecret with "
            f'{ADOPT}: "true" to replace them',
        )


def _refuse_size(es: ExternalSecret, data: Mapping[str, bytes]) -> None:
    size = sum(map(len, data.values()))
    if size > _LIMIT:
        largest = sorted(data, key=lambda key: (-len(data[key]), key))[:3]
        raise BadSpec(
            f'Secret "{es.target_name}" would hold {size} bytes, but Kubernetes allows {_LIMIT}',
            remedy=f"the largest keys are {', '.join(largest)}; ask for fewer, or for a property of them",
        )


def _managed(body: Mapping[str, Any], manager: str, *path: str) -> frozenset[str]:
    """Names below a path of fieldsV1 that the manager set by writes to the object itself."""
    names: set[str] = set()
    for entry in body["metadata"].get("managedFields") or []:
        if entry.get("manager") != manager or entry.get("subresource"):
            continue
        fields = entry.get("fieldsV1") or {}
        for step in path:
            fields = fields.get(step) or {}
        names.update(name[2:] for name in fields if name.startswith("f:"))
    return frozenset(names)


def _encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    return {key: base64.b64encode(data[key]).decode("ascii") for key in sorted(data)}


def _essence(body: Mapping[str, Any]) -> tuple[Any, ...]:
    metadata = body["metadata"]
    return (
        metadata.get("labels") or {},
        metadata.get("annotations") or {},
        metadata.get("ownerReferences") or [],
        metadata.get("finalizers") or [],
        body.get("data") or {},
        bool(body.get("immutable")),
    )
