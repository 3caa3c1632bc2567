"""Schemas of the built-in kinds, as far as the sandbox stores them.

They drive unknown-field checks, field ownership, strategic merge and the OpenAPI documents. Pod
specs are open: nothing here runs a Pod.
"""

from __future__ import annotations

from .status import Json


def obj(**properties: Json) -> Json:
    return {"type": "object", "properties": properties}


def array(items: Json, **more: object) -> Json:
    return {"type": "array", "items": items, "x-kubernetes-list-type": "atomic", **more}


def keyed(items: Json, *keys: str) -> Json:
    return {
        "type": "array",
        "items": items,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": list(keys),
        "x-kubernetes-patch-strategy": "merge",
        "x-kubernetes-patch-merge-key": keys[0],
    }


def mapping(value: Json) -> Json:
    return {"type": "object", "additionalProperties": value}


def kept(schema: Json) -> Json:
    """Written out even when empty: the Go field has no omitempty."""
    return {**schema, "x-sandbox-keep-empty": True}


def pointer(schema: Json) -> Json:
    """A Go pointer: an empty value is a value, only null is absence."""
    return {**schema, "x-sandbox-pointer": True}


def atomic(schema: Json) -> Json:
    return {**schema, "x-kubernetes-map-type": "atomic"}


STR: Json = {"type": "string"}
INT: Json = {"type": "integer"}
BOOL: Json = {"type": "boolean"}
TIME: Json = {"type": "string", "format": "date-time"}
MICRO: Json = {"type": "string", "format": "date-time", "x-sandbox-micro": True}
BYTES: Json = {"type": "string", "format": "byte"}
OPEN: Json = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
STRINGS: Json = array(STR)
SET: Json = {"type": "array", "items": STR, "x-kubernetes-list-type": "set"}

OWNER = atomic(
    obj(
        apiVersion=kept(STR),
        kind=kept(STR),
        name=kept(STR),
        uid=kept(STR),
        controller=BOOL,
        blockOwnerDeletion=BOOL,
    )
)
META = obj(
    name=STR,
    generateName=STR,
    namespace=STR,
    selfLink=STR,
    uid=STR,
    resourceVersion=STR,
    generation=INT,
    creationTimestamp=TIME,
    deletionTimestamp=TIME,
    deletionGracePeriodSeconds=INT,
    labels=mapping(STR),
    annotations=mapping(STR),
    ownerReferences=keyed(OWNER, "uid"),
    finalizers={**SET, "x-kubernetes-patch-strategy": "merge"},
    managedFields=array(OPEN),
)
CONDITION = obj(
    type=kept(STR),
    status=kept(STR),
    lastTransitionTime=TIME,
    lastProbeTime=TIME,
    lastUpdateTime=TIME,
    reason=STR,
    message=STR,
    observedGeneration=INT,
)
CONDITIONS = keyed(CONDITION, "type")
SELECTOR = atomic(
    obj(
        matchLabels=mapping(STR),
        matchExpressions=array(obj(key=kept(STR), operator=kept(STR), values=STRINGS)),
    )
)
REFERENCE = atomic(
    obj(
        apiVersion=STR,
        kind=STR,
        name=STR,
        namespace=STR,
        uid=STR,
        resourceVersion=STR,
        fieldPath=STR,
    )
)


def root(**properties: Json) -> Json:
    return obj(apiVersion=STR, kind=STR, metadata=META, **properties)


_CONTAINER = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
    "properties": {
        "name": kept(STR),
        "image": STR,
        "command": STRINGS,
        "args": STRINGS,
        "env": keyed({**OPEN, "properties": {"name": kept(STR), "value": STR}}, "name"),
        "volumeMounts": keyed({**OPEN, "properties": {"mountPath": kept(STR)}}, "mountPath"),
    },
}
_POD_SPEC = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
    "properties": {
        "containers": keyed(_CONTAINER, "name"),
        "initContainers": keyed(_CONTAINER, "name"),
        "volumes": keyed({**OPEN, "properties": {"name": kept(STR)}}, "name"),
        "serviceAccountName": STR,
        "nodeName": STR,
        "restartPolicy": STR,
    },
}
_SUBJECT = obj(kind=kept(STR), apiGroup=STR, name=kept(STR), namespace=STR)
_RULE = obj(
    verbs=kept(STRINGS),
    apiGroups=STRINGS,
    resources=STRINGS,
    resourceNames=STRINGS,
    nonResourceURLs=STRINGS,
)
_ROLE_REF = atomic(obj(apiGroup=kept(STR), kind=kept(STR), name=kept(STR)))
_ROLE = root(rules=kept(array(_RULE)))
_BINDING = root(subjects=array(_SUBJECT), roleRef=kept(_ROLE_REF))
_NAMES = obj(
    plural=kept(STR),
    singular=STR,
    shortNames=STRINGS,
    kind=kept(STR),
    listKind=STR,
    categories=STRINGS,
)
_COLUMN = obj(name=kept(STR), type=kept(STR), format=STR, description=STR, priority=INT, jsonPath=kept(STR))
_CRD_VERSION = obj(
    name=kept(STR),
    served=kept(BOOL),
    storage=kept(BOOL),
    deprecated=BOOL,
    deprecationWarning=STR,
    schema=obj(openAPIV3Schema=OPEN),
    subresources=obj(
        status=kept(obj()),
        scale=obj(specReplicasPath=kept(STR), statusReplicasPath=kept(STR), labelSelectorPath=STR),
    ),
    additionalPrinterColumns=array(_COLUMN),
    selectableFields=array(obj(jsonPath=kept(STR))),
)

SCHEMAS: dict[tuple[str, str], Json] = {
    ("", "namespaces"): root(
        spec=kept(obj(finalizers=STRINGS)),
        status=kept(obj(phase=STR, conditions=CONDITIONS)),
    ),
    ("", "secrets"): root(data=mapping(BYTES), stringData=mapping(STR), type=STR, immutable=BOOL),
    ("", "configmaps"): root(data=mapping(STR), binaryData=mapping(BYTES), immutable=BOOL),
    ("", "serviceaccounts"): root(
        secrets=keyed(REFERENCE, "name"),
        imagePullSecrets=array(atomic(obj(name=STR))),
        automountServiceAccountToken=BOOL,
    ),
    ("", "events"): root(
        involvedObject=kept(REFERENCE),
        reason=STR,
        message=STR,
        source=kept(obj(component=STR, host=STR)),
        firstTimestamp=kept(TIME),
        lastTimestamp=kept(TIME),
        count=INT,
        type=STR,
        eventTime=kept(MICRO),
        series=obj(count=INT, lastObservedTime=MICRO),
        action=STR,
        related=REFERENCE,
        reportingComponent=kept(STR),
        reportingInstance=kept(STR),
    ),
    ("events.k8s.io", "events"): root(
        regarding=REFERENCE,
        reason=STR,
        note=STR,
        deprecatedSource=obj(component=STR, host=STR),
        deprecatedFirstTimestamp=kept(TIME),
        deprecatedLastTimestamp=kept(TIME),
        deprecatedCount=INT,
        type=STR,
        eventTime=kept(MICRO),
        series=obj(count=INT, lastObservedTime=MICRO),
        action=STR,
        related=REFERENCE,
        reportingController=STR,
        reportingInstance=STR,
    ),
    ("", "pods"): root(spec=kept(_POD_SPEC), status=kept(OPEN)),
    ("apps", "deployments"): root(
        spec=kept(
            {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
                "properties": {
                    "replicas": INT,
                    "selector": SELECTOR,
                    "template": {
                        "type": "object",
                        "properties": {"metadata": META, "spec": _POD_SPEC},
                        "x-kubernetes-preserve-unknown-fields": True,
                    },
                },
            }
        ),
        status=kept({**OPEN, "properties": {"conditions": CONDITIONS}}),
    ),
    ("coordination.k8s.io", "leases"): root(
        spec=kept(
            obj(
                holderIdentity=pointer(STR),
                leaseDurationSeconds=INT,
                acquireTime=MICRO,
                renewTime=MICRO,
                leaseTransitions=INT,
                strategy=pointer(STR),
                preferredHolder=pointer(STR),
            )
        ),
    ),
    ("rbac.authorization.k8s.io", "roles"): _ROLE,
    ("rbac.authorization.k8s.io", "rolebindings"): _BINDING,
    ("rbac.authorization.k8s.io", "clusterroles"): root(
        rules=kept(array(_RULE)),
        aggregationRule=atomic(obj(clusterRoleSelectors=array(SELECTOR))),
    ),
    ("rbac.authorization.k8s.io", "clusterrolebindings"): _BINDING,
    ("apiextensions.k8s.io", "customresourcedefinitions"): root(
        spec=kept(
            obj(
                group=kept(STR),
                names=kept(_NAMES),
                scope=kept(STR),
                versions=kept(array(_CRD_VERSION)),
                conversion=OPEN,
                preserveUnknownFields=BOOL,
            )
        ),
        status=kept(
            obj(
                conditions=kept(CONDITIONS),
                acceptedNames=kept(_NAMES),
                storedVersions=kept(STRINGS),
                observedGeneration=INT,
            )
        ),
    ),
    ("authentication.k8s.io", "tokenreviews"): root(spec=obj(token=STR, audiences=STRINGS), status=OPEN),
    ("authentication.k8s.io", "tokenrequests"): root(
        spec=obj(
            audiences=STRINGS,
            expirationSeconds=INT,
            boundObjectRef=obj(apiVersion=STR, kind=STR, name=STR, uid=STR),
        ),
        status=OPEN,
    ),
}
for _review in (
    "selfsubjectaccessreviews",
    "subjectaccessreviews",
    "localsubjectaccessreviews",
    "selfsubjectrulesreviews",
    "selfsubjectreviews",
):
    _group = "authentication" if _review == "selfsubjectreviews" else "authorization"
    SCHEMAS[(f"{_group}.k8s.io", _review)] = root(spec=OPEN, status=OPEN)
