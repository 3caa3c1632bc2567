"""Constraints on semantic versions, as ``Masterminds/semver`` 3.4 reads them.

``||`` separates alternatives; blanks or commas separate what has to hold at once; ``1.2 - 1.4`` is a range. ``x``,
``X``, ``*`` and what is left out stand for any number. Prereleases fit only where the alternative names a prerelease.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from keyferry.shape.gotmpl.semver import SemverError, Version, compare_prereleases, parse_version, pattern

__all__ = ["Constraint", "fits", "parse_constraint"]

# "|" among digits is the library's slip; it decides how far a number goes before it is refused.
_NUMBER: Final = r"[0-9|xX*]+"
_DOTTED: Final = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION: Final = rf"v?(?:{_NUMBER})(?:\.(?:{_NUMBER}))?(?:\.(?:{_NUMBER}))?(?:-{_DOTTED})?(?:\+{_DOTTED})?"
_PARTS: Final = rf"v?({_NUMBER})(\.(?:{_NUMBER}))?(\.(?:{_NUMBER}))?(-{_DOTTED})?(\+{_DOTTED})?"
_OPERATOR: Final = r"(?:=||!=|>|<|>=|=>|<=|=<|~|~>|\^)"
_RANGE: Final = rf"\s*({_VERSION})\s+-\s+({_VERSION})\s*"
_ONE: Final = rf"({_OPERATOR})\s*({_VERSION})"
_ALL: Final = rf"\s*{_OPERATOR}\s*{_VERSION}\s*(?:(?:\s+|,\s*){_OPERATOR}\s*{_VERSION}\s*)*"
_ANY: Final = frozenset({"", "x", "X", "*"})


class Constraint(NamedTuple):
    """An operator and a version. ``given``: how many of the version's three numbers are, up to the first wildcard."""

    operator: str
    version: Version
    given: int


def parse_constraint(text: str) -> tuple[tuple[Constraint, ...], ...]:
    """Alternatives of constraints that have to hold at once. Raises ``SemverError``."""
    data = _with_ranges_replaced(text.encode("utf-8", "surrogateescape"))
    return tuple(_alternative(each) for each in data.split(b"||"))


def fits(alternatives: tuple[tuple[Constraint, ...], ...], version: Version) -> bool:
    """Whether the version satisfies any of the alternatives."""
    return any(_fits_all(constraints, version) for constraints in alternatives)


def _fits_all(constraints: tuple[Constraint, ...], version: Version) -> bool:
    if version.prerelease and not any(each.version.prerelease for each in constraints):
        return False
    return all(_CHECKS[each.operator](version, each) for each in constraints)


def _with_ranges_replaced(data: bytes) -> bytes:
    replaced = data
    for match in pattern(_RANGE).finditer(data):
        low, high = match.groups()
        # The first such text is replaced, which need not be this one, but reads the same.
        replaced = replaced.replace(match[0], b">= %s, <= %s " % (low, high), 1)
    return replaced


def _alternative(data: bytes) -> tuple[Constraint, ...]:
    if not pattern(_ALL).fullmatch(data):
        shown = data.decode("utf-8", "replace")
        raise SemverError("it is no constraint on versions", f"improper constraint: {shown}")
    return tuple(_constraint(*match.groups()) for match in pattern(_ONE).finditer(data))


def _constraint(operator: bytes, version: bytes) -> Constraint:
    numbers, prerelease = _taken_apart(version)
    given = next((index for index, number in enumerate(numbers) if number in _ANY), len(numbers))
    text = version.decode()
    if given < len(numbers):
        text = ".".join([*numbers[:given], *("0" for _ in numbers[given:])]) + prerelease
    try:
        return Constraint(operator.decode(), parse_version(text), given)
    except SemverError as error:
        reason = error.reason
    raise SemverError(f"a version in it cannot be read: {reason}", "constraint parser error")


def _taken_apart(version: bytes) -> tuple[list[str], str]:
    match: Any = pattern(_PARTS).fullmatch(version)
    major, minor, patch, prerelease, _ = ((group or b"").decode() for group in match.groups())
    return [major, minor.removeprefix("."), patch.removeprefix(".")], prerelease


def _equal(version: Version, wanted: Constraint) -> bool:
    if wanted.given < len(version.numbers):
        return _tilde(version, wanted)
    return version.compare(wanted.version) == 0


def _not_equal(version: Version, wanted: Constraint) -> bool:
    given = wanted.given
    if given in (0, len(version.numbers)):
        return version.compare(wanted.version) != 0
    if version.numbers[:given] != wanted.version.numbers[:given]:
        return True
    # Only where the patch is left open do prereleases count.
    return given == 2 and compare_prereleases(version.prerelease, wanted.version.prerelease) != 0


def _greater(version: Version, wanted: Constraint) -> bool:
    given = wanted.given
    if given in (0, len(version.numbers)):
        return version.compare(wanted.version) > 0
    # Greater than 11 is 12, not 11.1.
    return version.numbers[:given] > wanted.version.numbers[:given]


def _at_most(version: Version, wanted: Constraint) -> bool:
    given = wanted.given
    if given == len(version.numbers):
        return version.compare(wanted.version) <= 0
    # At most 11 is 11.9 too.
    given = given or 2
    return version.numbers[:given] <= wanted.version.numbers[:given]


def _tilde(version: Version, wanted: Constraint) -> bool:
    if version.compare(wanted.version) < 0:
        return False
    if wanted.given in (0, len(version.numbers)) and wanted.version.numbers == (0, 0, 0):
        return True
    fixed = 1 if wanted.given == 1 else 2
    return version.numbers[:fixed] == wanted.version.numbers[:fixed]


def _caret(version: Version, wanted: Constraint) -> bool:
    if version.compare(wanted.version) < 0:
        return False
    numbers = wanted.version.numbers
    # What may change is what is right of the first number that is not zero.
    fixed = next((index + 1 for index, number in enumerate(numbers) if number), len(numbers))
    fixed = min(fixed, wanted.given or fixed)
    return version.numbers[:fixed] == numbers[:fixed]


_CHECKS: Final[dict[str, Callable[[Version, Constraint], bool]]] = {
    "": _equal,
    "=": _equal,
    "!=": _not_equal,
    ">": _greater,
    "<": lambda version, wanted: version.compare(wanted.version) < 0,
    ">=": lambda version, wanted: version.compare(wanted.version) >= 0,
    "=>": lambda version, wanted: version.compare(wanted.version) >= 0,
    "<=": _at_most,
    "=<": _at_most,
    "~": _tilde,
    "~>": _tilde,
    "^": _caret,
}
