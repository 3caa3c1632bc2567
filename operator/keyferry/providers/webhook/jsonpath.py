"""The value at a JSONPath, with the meaning of the Go library that ESO uses and in a bounded number of steps.

Paths are evaluated by python-jsonpath, as RFC 9535 has it. Where PaesslerAG/jsonpath means something else by a path
that both accept, it is followed: a bare ``[?(@.k)]`` asks whether ``k`` is true, or a number that is not 0; a
comparison with what does not exist is false, ``!=`` too; a path may start without ``$``. Functions, and so regular
expressions, are left out, as are queries inside of filters that select more than one value: part of a path may come
from the author of an ExternalSecret, who must not be able to keep the operator busy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import jsonpath
from jsonpath.exceptions import JSONPathError
from jsonpath.filter import BaseExpression, FilterQuery
from jsonpath.match import FilterContextVars, JSONPathMatch, NodeList
from jsonpath.selectors import Filter

from keyferry.errors import BadSpec, BadValue, PropertyNotThere

MOST_STEPS: Final = 400_000
"""Members and elements that one evaluation may look at."""
_LONGEST: Final = 10_000
_NAME: Final = re.compile(r"[^\W\d]")
_NUMBER: Final = re.compile(r"[-+]?[0-9]{1,300}(?:\.[0-9]{0,300})?(?:[eE][-+]?[0-9]{1,3})?")


class _TooManySteps(Exception):
    pass


class _Steps:
    def __init__(self) -> None:
        self.left = MOST_STEPS

    def spend(self, value: object) -> None:
        self.left -= 1 + (len(value) if isinstance(value, dict | list) else 0)
        if self.left < 0:
            raise _TooManySteps


class _Node(JSONPathMatch):
    """A value on the way. It knows neither its place nor its children: nobody asks, and both take room."""

    __slots__ = ("_steps",)

    def __init__(self, value: object, root: Any, steps: _Steps) -> None:
        steps.spend(value)
        super().__init__(filter_context=_NOTHING, obj=value, parent=None, path="", parts=(), root=root)
        self._steps = steps

    def new_child(self, obj: object, key: int | str) -> JSONPathMatch:  # noqa: ARG002 -- see the class
        return _Node(obj, self.root, self._steps)

    def add_child(self, *children: JSONPathMatch) -> None:
        """See the class."""


_NOTHING: Final[FilterContextVars] = {}


class _Language(jsonpath.JSONPathEnvironment):
    max_recursion_depth = 256

    def setup_function_extensions(self) -> None:
        """None: see the module."""

    def is_truthy(self, obj: object) -> bool:
        """What a filter without a comparison selects by."""
        value = (obj[0].obj if len(obj) == 1 else False) if isinstance(obj, NodeList) else obj
        match value:
            case bool():
                return value
            case int() | float():
                return value != 0
            case str() if _NUMBER.fullmatch(value):
                return float(value) != 0
            case _:
                return value in {"true", "TRUE"} if isinstance(value, str) else False

    def compare(self, left: object, operator: str, right: object) -> bool:
        """A comparison or a logical operator between two sides of a filter."""
        absent = any(isinstance(side, NodeList) and side.empty() for side in (left, right))
        return not (absent and operator not in {"&&", "||"}) and super().compare(left, operator, right)


_LANGUAGE: Final = _Language(strict=True)


def select(document: object, path: str) -> object:
    """The value at a path, or a list of the values where the path can select several.

    Raises ``BadSpec`` for what is no path, ``PropertyNotThere`` where nothing is selected, ``BadValue`` where that
    takes too many steps. No error shows the path, which a template may have filled with anything.
    """
    compiled = _compiled(path if path.startswith("$") or not _NAME.match(path) else f"$.{path}")
    nodes: Iterable[JSONPathMatch]
    try:
        nodes = [_Node(document, document, _Steps())]
        for segment in compiled.segments:
            nodes = segment.resolve(nodes)
        found = [node.obj for node in nodes]
    except (JSONPathError, RecursionError, _TooManySteps):
        raise BadValue(
            "result.jsonPath looks at too much of the answer", remedy="name the way to the value, without .."
        ) from None
    if not found:
        raise PropertyNotThere("result.jsonPath selects nothing in the answer", remedy="check it against an answer")
    return found[0] if compiled.singular_query() else found


def _compiled(path: str) -> jsonpath.JSONPath:
    try:
        compiled = _LANGUAGE.compile(path) if len(path) <= _LONGEST else None
    except (JSONPathError, ArithmeticError, RecursionError, ValueError):
        compiled = None
    if not isinstance(compiled, jsonpath.JSONPath):
        raise BadSpec("result.jsonPath is no JSONPath", remedy='write it like $.data["a key"].value')
    for segment in compiled.segments:
        for selector in segment.selectors:
            if isinstance(selector, Filter) and any(_is_wide(each) for each in _expressions(selector.expression)):
                raise BadSpec(
                    "result.jsonPath holds a filter that looks at more than one value",
                    remedy='compare single values, like [?(@.name=="a")]',
                )
    return compiled


def _expressions(expression: BaseExpression) -> Iterator[BaseExpression]:
    yield expression
    for child in expression.children():
        yield from _expressions(child)


def _is_wide(expression: BaseExpression) -> bool:
    return isinstance(expression, FilterQuery) and not expression.path.singular_query()
