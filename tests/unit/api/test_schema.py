from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field

from keyferry.api.common import Model, Rule
from keyferry.api.schema import structural_schema, validations


class Inner(Model):
    """A thing with ``marks``,
    in two lines.
    """

    rules: ClassVar[tuple[Rule, ...]] = (Rule("has(self.a)", "a is needed", field_path=".a"),)

    a: str | None = None
    """First."""


class Outer(Model):
    """All kinds of fields."""

    inner: Inner = Inner()
    """One."""
    some_list: tuple[Inner, ...] = ()
    """Several."""
    some_map: dict[str, str] = Field(default_factory=dict)
    """Texts by key."""
    anything: Any = None
    """Whatever."""
    free: dict[str, Any] = Field(default_factory=dict)
    """An object of any shape."""
    either: int | str | None = None
    """A number or a text."""
    choice: Literal["x", "y"] = "x"
    """One of two."""
    only: Literal["z"] = "z"
    """One of one."""
    when: Annotated[datetime | None, Field(json_schema_extra={"nullable": True})] = None
    """A time."""
    needed: Annotated[str, Field(min_length=1, max_length=3, pattern="^a")]
    """A text."""
    number: Annotated[int, Field(ge=1, le=5)] = 2
    """A number."""
    flag: bool = False
    """A flag."""


def test_every_kind_of_field_has_its_structural_schema() -> None:
    inner = {
        "type": "object",
        "properties": {"a": {"type": "string", "description": "First."}},
        "x-kubernetes-validations": [{"rule": "has(self.a)", "message": "a is needed", "fieldPath": ".a"}],
    }

    assert structural_schema(Outer) == {
        "type": "object",
        "description": "All kinds of fields.",
        "required": ["needed"],
        "properties": {
            "inner": inner | {"description": "One."},
            "someList": {
                "type": "array",
                "description": "Several.",
                "items": inner | {"description": "A thing with marks, in two lines."},
            },
            "someMap": {"type": "object", "description": "Texts by key.", "additionalProperties": {"type": "string"}},
            "anything": {"description": "Whatever.", "x-kubernetes-preserve-unknown-fields": True},
            "free": {
                "type": "object",
                "description": "An object of any shape.",
                "x-kubernetes-preserve-unknown-fields": True,
            },
            "either": {"description": "A number or a text.", "x-kubernetes-int-or-string": True},
            "choice": {"type": "string", "description": "One of two.", "enum": ["x", "y"]},
            "only": {"type": "string", "description": "One of one.", "enum": ["z"]},
            "when": {"type": "string", "description": "A time.", "format": "date-time", "nullable": True},
            "needed": {"type": "string", "description": "A text.", "minLength": 1, "maxLength": 3, "pattern": "^a"},
            "number": {"type": "integer", "description": "A number.", "minimum": 1, "maximum": 5},
            "flag": {"type": "boolean", "description": "A flag."},
        },
    }


def test_a_union_that_no_crd_can_carry_is_refused() -> None:
    class Wrong(Model):
        either: int | bool
        """A number or a flag."""

    with pytest.raises(TypeError, match="cannot carry a union of 2 types"):
        structural_schema(Wrong)


def test_a_bound_that_no_structural_schema_has_is_refused() -> None:
    class Wrong(Model):
        number: Annotated[int, Field(gt=3)]
        """More than three."""

    with pytest.raises(TypeError, match='cannot carry "exclusiveMinimum"'):
        structural_schema(Wrong)


def test_a_rule_says_no_more_than_it_has() -> None:
    assert validations((Rule("true", "m"), Rule("true", "m", message_expression="'n'"))) == [
        {"rule": "true", "message": "m"},
        {"rule": "true", "message": "m", "messageExpression": "'n'"},
    ]
