"""A variable, and which one of several with its key counts (eso-facts 5.9)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keyferry.errors import BadSpec

ALL: Final = "*"
"""The scope of a variable for all environments."""
KEY: Final = re.compile(r"[A-Za-z0-9_]{1,255}")
"""What GitLab accepts as the key of a variable."""


@dataclass(frozen=True, slots=True, repr=False)
class Variable:
    """A variable for one scope. ``value`` is None where GitLab hides it. The repr never shows the value."""

    key: str
    scope: str
    value: str | None

    def __repr__(self) -> str:
        return f"Variable(key={self.key!r}, scope={self.scope!r})"


@dataclass(frozen=True, slots=True)
class Scope:
    """``environment`` of the store."""

    environment: str

    @property
    def any(self) -> bool:
        """Every scope is as good as another: GitLab is asked without a filter."""
        return not self.environment

    @property
    def wanted(self) -> Sequence[str]:
        """Scopes to ask for, the best one first. Patterns such as ``review/*`` count as they are written."""
        return (self.environment,) if self.environment == ALL else (self.environment, ALL)

    def choose(self, variables: Sequence[Variable]) -> Variable | None:
        """The one of several variables with one key in one place that counts.

        Raises ``BadSpec`` where none is better than the others, as GitLab does (409).
        """
        if not self.any:
            by_scope = {variable.scope: variable for variable in variables}
            return next((by_scope[scope] for scope in self.wanted if scope in by_scope), None)
        if len(variables) > 1:
            scopes = ", ".join(f'"{variable.scope}"' for variable in variables)
            raise BadSpec(
                f'variable "{variables[0].key}" exists for several environments: {scopes}',
                remedy="set environment of the store",
            )
        return variables[0] if variables else None


def merged(
    environment: str, groups: Iterable[Iterable[Variable]], project: Iterable[Variable], matches: Callable[[str], bool]
) -> Mapping[str, Variable]:
    """What a search finds: for every key that matches, the variable that ESO takes.

    Of a project, one for an environment wins over one for all, and either over those of groups. Of groups, the last one
    for an environment wins, or else the first one for all. Without an environment, variables for any one are taken.
    """

    def fitting(variables: Iterable[Variable]) -> Iterable[Variable]:
        return (
            variable
            for variable in variables
            if matches(variable.key) and (environment in {"", ALL} or variable.scope in {environment, ALL})
        )

    found: dict[str, Variable] = {}
    for variables in groups:
        for variable in fitting(variables):
            if variable.scope != ALL or variable.key not in found:
                found[variable.key] = variable
    own: dict[str, Variable] = {}
    for variable in fitting(project):
        if variable.scope != ALL or variable.key not in own:
            own[variable.key] = variable
    return found | own
