"""Protobuf request bodies of the kinds that Go clients create: they send nothing else.

kubectl and client-go encode built-in kinds as protobuf and take JSON back, so only reading is needed.
Each field is `number:name:type`; types are s (string), b (bytes), i (int), t (bool), time, micro,
ms and mb (maps of strings and bytes), or the name of another message; `*` marks a list.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from .status import Json, bad_request

_MAGIC = b"k8s\x00"
MEDIA = "application/vnd.kubernetes.protobuf"

_TEXT = {
    "Owner": "1:kind:s 3:name:s 4:uid:s 5:apiVersion:s 6:controller:t 7:blockOwnerDeletion:t",
    "Meta": "1:name:s 2:generateName:s 3:namespace:s 5:uid:s 6:resourceVersion:s 7:generation:i "
    "8:creationTimestamp:time 9:deletionTimestamp:time 10:deletionGracePeriodSeconds:i "
    "11:labels:ms 12:annotations:ms 13:ownerReferences:Owner* 14:finalizers:s*",
    "Secret": "1:metadata:Meta 2:data:mb 3:type:s 4:stringData:ms 5:immutable:t",
    "ConfigMap": "1:metadata:Meta 2:data:ms 3:binaryData:mb 4:immutable:t",
    "NamespaceSpec": "1:finalizers:s*",
    "NamespaceStatus": "1:phase:s",
    "Namespace": "1:metadata:Meta 2:spec:NamespaceSpec 3:status:NamespaceStatus",
    "Ref": "1:kind:s 2:namespace:s 3:name:s 4:uid:s 5:apiVersion:s 6:resourceVersion:s 7:fieldPath:s",
    "LocalRef": "1:name:s",
    "ServiceAccount": "1:metadata:Meta 2:secrets:Ref* 3:imagePullSecrets:LocalRef* 4:automountServiceAccountToken:t",
    "Rule": "1:verbs:s* 2:apiGroups:s* 3:resources:s* 4:resourceNames:s* 5:nonResourceURLs:s*",
    "Role": "1:metadata:Meta 2:rules:Rule*",
    "ClusterRole": "1:metadata:Meta 2:rules:Rule*",
    "Subject": "1:kind:s 2:apiGroup:s 3:name:s 4:namespace:s",
    "RoleRef": "1:apiGroup:s 2:kind:s 3:name:s",
    "RoleBinding": "1:metadata:Meta 2:subjects:Subject* 3:roleRef:RoleRef",
    "ClusterRoleBinding": "1:metadata:Meta 2:subjects:Subject* 3:roleRef:RoleRef",
    "ResourceAttributes": "1:namespace:s 2:verb:s 3:group:s 4:version:s 5:resource:s 6:subresource:s 7:name:s",
    "PathAttributes": "1:path:s 2:verb:s",
    "AccessSpec": "1:resourceAttributes:ResourceAttributes 2:nonResourceAttributes:PathAttributes "
    "3:user:s 4:groups:s* 6:uid:s",
    "SelfSubjectAccessReview": "1:metadata:Meta 2:spec:AccessSpec",
    "SubjectAccessReview": "1:metadata:Meta 2:spec:AccessSpec",
    "LocalSubjectAccessReview": "1:metadata:Meta 2:spec:AccessSpec",
    "RulesSpec": "1:namespace:s",
    "SelfSubjectRulesReview": "1:metadata:Meta 2:spec:RulesSpec",
    "SelfSubjectReview": "1:metadata:Meta",
    "Bound": "1:kind:s 2:apiVersion:s 3:name:s 4:uid:s",
    "TokenRequestSpec": "1:audiences:s* 3:boundObjectRef:Bound 4:expirationSeconds:i",
    "TokenRequest": "1:metadata:Meta 2:spec:TokenRequestSpec",
    "TokenReviewSpec": "1:token:s 2:audiences:s*",
    "TokenReview": "1:metadata:Meta 2:spec:TokenReviewSpec",
    "LeaseSpec": "1:holderIdentity:s 2:leaseDurationSeconds:i 3:acquireTime:micro "
    "4:renewTime:micro 5:leaseTransitions:i 6:strategy:s 7:preferredHolder:s",
    "Lease": "1:metadata:Meta 2:spec:LeaseSpec",
    "Source": "1:component:s 2:host:s",
    "Series": "1:count:i 2:lastObservedTime:micro",
    "Event": "1:metadata:Meta 2:involvedObject:Ref 3:reason:s 4:message:s 5:source:Source "
    "6:firstTimestamp:time 7:lastTimestamp:time 8:count:i 9:type:s 10:eventTime:micro "
    "11:series:Series 12:action:s 13:related:Ref 14:reportingComponent:s "
    "15:reportingInstance:s",
    "events.k8s.io/v1/Event": "1:metadata:Meta 2:eventTime:micro 3:series:Series "
    "4:reportingController:s 5:reportingInstance:s 6:action:s 7:reason:s "
    "8:regarding:Ref 9:related:Ref 10:note:s 11:type:s "
    "12:deprecatedSource:Source 13:deprecatedFirstTimestamp:time "
    "14:deprecatedLastTimestamp:time 15:deprecatedCount:i",
    "Preconditions": "1:uid:s 2:resourceVersion:s",
    "DeleteOptions": "1:gracePeriodSeconds:i 2:preconditions:Preconditions 3:orphanDependents:t "
    "4:propagationPolicy:s 5:dryRun:s*",
}


def _fields(text: str) -> dict[int, tuple[str, str]]:
    parts = [p.split(":") for p in text.split()]
    return {int(number): (name, kind) for number, name, kind in parts}


_MESSAGES = {name: _fields(text) for name, text in _TEXT.items()}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7


def _wire(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
        elif key & 7 == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise IndexError
            yield key >> 3, data[at : at + size]
            at += size
        else:
            raise IndexError


def _moment(data: bytes, micro: bool) -> str | None:
    parts = dict(_wire(data))
    if not parts:
        return None
    seconds = parts.get(1, 0)
    if seconds >= 1 << 63:
        seconds -= 1 << 64
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=parts.get(2, 0) // 1000)
    if moment.year < 1900:  # Go's zero time
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


def _value(raw: Any, kind: str) -> Any:
    if kind == "s":
        return raw.decode()
    if kind == "i":
        return raw - (1 << 64) if raw >= 1 << 63 else raw
    if kind == "t":
        return bool(raw)
    if kind in ("time", "micro"):
        return _moment(raw, kind == "micro")
    return _message(raw, kind)


def _message(data: bytes, kind: str) -> Json:
    known = _MESSAGES[kind]
    found: Json = {}
    for number, raw in _wire(data):
        if number not in known:
            continue
        name, wanted = known[number]
        if wanted in ("ms", "mb"):
            pair = dict(_wire(raw))
            value = pair.get(2, b"")
            text = base64.b64encode(value) if wanted == "mb" else value
            found.setdefault(name, {})[pair.get(1, b"").decode()] = text.decode()
        elif wanted.endswith("*"):
            found.setdefault(name, []).append(_value(raw, wanted[:-1]))
        else:
            value = _value(raw, wanted)
            if value is not None:
                found[name] = value
    return found


def decode(body: bytes) -> Json:
    """The JSON form of a body, for the kinds listed above."""
    try:
        if body[:4] != _MAGIC:
            raise IndexError
        unknown = dict(_wire(body[4:]))
        head = dict(_wire(unknown.get(1, b"")))
        version, kind = head.get(1, b"").decode(), head.get(2, b"").decode()
        name = f"{version}/{kind}" if f"{version}/{kind}" in _MESSAGES else kind
        if name not in _MESSAGES:
            raise bad_request(f"protobuf bodies of kind {kind} are not read by the sandbox")
        return {"apiVersion": version, "kind": kind, **_message(unknown.get(2, b""), name)}
    except (IndexError, ValueError, AttributeError, TypeError):
        raise bad_request("provided data does not appear to be a protobuf message") from None
