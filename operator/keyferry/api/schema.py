"""Models → structural OpenAPI v3 schemas, the dialect that a CustomResourceDefinition takes.

Descriptions come from the docstrings of models and fields, CEL rules from ``Model.rules``. There are no references and
no defaults: what a field means when it is left out is in the code and in its description.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from keyferry.api.common import Model, Rule

Schema = dict[str, Any]

# What is carried over as it stands. Anything else that pydantic may write has to be thought about first.
_KEPT = frozenset(
    {"description", "enum", "format", "maxItems", "maxLength", "maxProperties", "maximum"}
    | {"minItems", "minLength", "minProperties", "minimum", "nullable", "pattern", "required", "type"}
)
_DROPPED = frozenset({"$defs", "default", "title"})
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]


def structural_schema(model: type[Model]) -> Schema:
    """The schema of a model. Raises ``TypeError`` where a field's type has no structural schema."""
    whole = model.model_json_schema(schema_generator=_WithRules)
    return _structural(whole, whole.get("$defs", {}))


def validations(rules: tuple[Rule, ...]) -> list[dict[str, str]]:
    """``x-kubernetes-validations`` of some rules."""
    return [
        {
            key: value
            for key, value in (
                ("rule", rule.rule),
                ("message", rule.message),
                ("messageExpression", rule.message_expression),
                ("fieldPath", rule.field_path),
            )
            if value
        }
        for rule in rules
    ]


class _WithRules(GenerateJsonSchema):
    """pydantic's generator, which adds each model's CEL rules to its schema."""

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        made = super().model_schema(schema)
        if issubclass(schema["cls"], Model) and schema["cls"].rules:
            made["x-kubernetes-validations"] = validations(schema["cls"].rules)
        return made


def _structural(node: Any, definitions: dict[str, Schema]) -> Schema:
    if node is True or not node.keys() - _DROPPED - {"description"}:
        return _text(node) | {"x-kubernetes-preserve-unknown-fields": True}
    if "$ref" in node:
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return _structural(definitions[node["$ref"].rpartition("/")[2]] | beside, definitions)
    if "anyOf" in node:
        return _one_of_any(node, definitions)
    made: Schema = {}
    for key, value in node.items():
        made |= _keyword(key, value, definitions)
    return made | _text(made)


def _keyword(key: str, value: Any, definitions: dict[str, Schema]) -> Schema:
    """What one keyword of pydantic's schema becomes."""
    match key:
        case "properties":
            return {key: {name: _structural(field, definitions) for name, field in value.items()}}
        case "additionalProperties" if value is True:
            return {"x-kubernetes-preserve-unknown-fields": True}
        case "items" | "additionalProperties":
            return {key: _structural(value, definitions)}
        case "const":
            return {"enum": [value]}
        case _ if key in _KEPT or key.startswith("x-kubernetes-"):
            return {key: value}
        case _ if key in _DROPPED:
            return {}
        case _:
            raise TypeError(f'a CRD cannot carry "{key}"')


def _one_of_any(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """The schema of ``X | None``, which is that of X, and of ``int | str``."""
    beside = {key: value for key, value in node.items() if key != "anyOf"}
    choices = [choice for choice in node["anyOf"] if choice != {"type": "null"}]
    if choices == _INT_OR_STRING:
        return _structural(beside | {"x-kubernetes-int-or-string": True}, definitions)
    if len(choices) != 1:
        raise TypeError(f"a CRD cannot carry a union of {len(choices)} types")
    return _structural(choices[0] | beside, definitions)


def _text(node: Any) -> Schema:
    """The description without the marks and line breaks of a docstring."""
    text = node.get("description", "") if isinstance(node, dict) else ""
    return {"description": " ".join(text.replace("``", "").split())} if text else {}
