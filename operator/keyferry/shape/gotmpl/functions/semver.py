"""Semantic versions."""

from __future__ import annotations

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.semver import SemverError, Version, parse_version
from keyferry.shape.gotmpl.semverconstraint import fits, parse_constraint

REGISTRY = Registry()

_PER_STEP = 32
"""Characters that are matched in about a microsecond."""


@REGISTRY.add("semver", "func(string) (*semver.Version, error)")
def semver(text: str) -> Version:
    try:
        return parse_version(text)
    except SemverError as error:
        reason, detail = error.reason, error.detail
    raise FunctionError(f"the version cannot be read: {reason}", detail=detail)


@REGISTRY.add("semverCompare", "func(string, string) (bool, error)", run=True)
def semver_compare(run: Run, constraint: str, version: str) -> bool:
    """Whether the version satisfies the constraint."""
    run.spend(len(constraint) // _PER_STEP)
    try:
        alternatives = parse_constraint(constraint)
    except SemverError as error:
        reason, detail = error.reason, error.detail
        raise FunctionError(f"the constraint cannot be read: {reason}", detail=detail) from None
    return fits(alternatives, semver(version))
