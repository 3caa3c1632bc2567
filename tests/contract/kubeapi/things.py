"""A custom resource that shows most of what CRD schemas can do."""

from __future__ import annotations

from typing import Any

from tests.contract.kubeapi.client import Json

GROUP = "contract.keyferry.test"
STR: Json = {"type": "string", "maxLength": 50}

SPEC: Json = {
    "type": "object",
    "required": ["size"],
    "x-kubernetes-validations": [
        {"rule": "!(has(self.left) && has(self.right))", "message": "left or right, not both"},
        {"rule": "self.size >= oldSelf.size", "message": "size only grows"},
        {
            "rule": "!has(self.names) || self.names.all(n, n.startsWith('n'))",
            "fieldPath": ".names",
            "reason": "FieldValueForbidden",
            "messageExpression": "'bad names for ' + (has(self.left) ? self.left : 'nobody')",
        },
    ],
    "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 10, "format": "int32"},
        "mode": {"type": "string", "enum": ["Fast", "Slow"]},
        "code": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 5},
        "policy": {"type": "string", "default": "Retain"},
        "left": STR,
        "right": STR,
        "fixed": {
            **STR,
            "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "is immutable"}],
        },
        "names": {
            "type": "array",
            "items": STR,
            "maxItems": 5,
            "x-kubernetes-list-type": "set",
        },
        "items": {
            "type": "array",
            "maxItems": 5,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": STR, "value": STR, "note": STR},
            },
        },
        "labels": {"type": "object", "additionalProperties": STR, "maxProperties": 3},
        "target": {
            "type": "object",
            "properties": {"name": STR, "kind": {**STR, "default": "Secret"}},
        },
        "anything": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "port": {"x-kubernetes-int-or-string": True},
        "maybe": {"type": "string", "nullable": True},
        "whole": {
            "type": "object",
            "x-kubernetes-map-type": "atomic",
            "properties": {"a": STR, "b": STR},
        },
    },
}
STATUS: Json = {
    "type": "object",
    "properties": {
        "phase": STR,
        "conditions": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {
                "type": "object",
                "required": ["type", "status"],
                "properties": {"type": STR, "status": STR, "message": STR},
            },
        },
    },
}
COLUMNS: list[Json] = [
    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
    {
        "name": "Ready",
        "type": "string",
        "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
    },
    {"name": "Left", "type": "string", "jsonPath": ".spec.left", "priority": 1},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]


def crd(plural: str, kind: str, spec: Json, **more: Any) -> Json:
    schema = {"type": "object", "properties": {"spec": spec, "status": STATUS}}
    version: Json = {
        "served": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
        **more,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "shortNames": [plural[:-1]]},
            "versions": [
                {**version, "name": "v1", "storage": True},
                {**version, "name": "v1beta1", "storage": False},
            ],
        },
    }


def thing_crd(plural: str) -> Json:
    return crd(
        plural,
        "Thing",
        SPEC,
        additionalPrinterColumns=COLUMNS,
        selectableFields=[{"jsonPath": ".spec.mode"}],
    )


def thing(name: str, *, meta: Json | None = None, version: str = "v1", **spec: Any) -> Json:
    return {
        "apiVersion": f"{GROUP}/{version}",
        "kind": "Thing",
        "metadata": {"name": name, **(meta or {})},
        "spec": {"size": 1, **spec},
    }
