"""Semantic versions, as ``Masterminds/semver`` 3.4 reads and compares them.

A version may leave out minor and patch, begin with ``v`` and have leading zeros in its numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import zip_longest
from typing import Any, ClassVar, Final

import re2

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.fmt import quote
from keyferry.shape.gotmpl.registry import Function, declare
from keyferry.shape.gotmpl.types import SEMVER, STRING, UINT64, GoType
from keyferry.shape.gotmpl.values import Number, Struct, Value

__all__ = ["SemverError", "Version", "compare_prereleases", "parse_version", "pattern"]

_VALUE: Final = GoType("semver.Version", "struct")
_MAX_UINT64: Final = (1 << 64) - 1
_UINT64_DIGITS: Final = len(str(_MAX_UINT64))
_LEADING_ZERO: Final = "version segment starts with 0"
_DOTTED: Final = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION: Final = rf"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?(?:-({_DOTTED}))?(?:\+({_DOTTED}))?"


class SemverError(Exception):
    """Text that is no version or constraint. ``reason`` holds none of it; ``detail`` is what Go says."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail or reason


class Version(Struct):
    """A version, as a pointer: ``==`` tells whether it is the same one, ``compare`` whether it is as high."""

    go_type: ClassVar[GoType] = SEMVER

    def __init__(
        self, major: int, minor: int, patch: int, prerelease: str = "", metadata: str = "", *, original: str = ""
    ) -> None:
        self.numbers = major, minor, patch
        self.prerelease = prerelease
        self.metadata = metadata
        self.original = original

    def fields(self) -> Mapping[str, Value]:
        return {}

    def go_string(self) -> str:
        text = ".".join(map(str, self.numbers))
        if self.prerelease:
            text += f"-{self.prerelease}"
        return f"{text}+{self.metadata}" if self.metadata else text

    def printed_fields(self) -> Mapping[str, Value]:
        numbers = zip(("major", "minor", "patch"), (Number(each, UINT64) for each in self.numbers), strict=True)
        texts = {"pre": self.prerelease, "metadata": self.metadata, "original": self.original}
        return {**dict(numbers), **texts}

    def deep_equals(self, other: Struct) -> bool:
        return vars(self) == vars(other)

    def deep_copy(self) -> Version:
        # Go's library for copies leaves out what is not exported, which is everything.
        return type(self)(0, 0, 0)

    def json_text(self) -> str:
        """What the version is in JSON."""
        return f'"{self.go_string()}"'

    def compare(self, other: Version) -> int:
        """-1, 0 or 1. Metadata does not count."""
        return _order(self.numbers, other.numbers) or compare_prereleases(self.prerelease, other.prerelease)

    def next_major(self) -> Version:
        major, _, _ = self.numbers
        return self._made(major + 1, 0, 0)

    def next_minor(self) -> Version:
        major, minor, _ = self.numbers
        return self._made(major, minor + 1, 0)

    def next_patch(self) -> Version:
        """The release of a prerelease; the next patch of a release."""
        major, minor, patch = self.numbers
        return self._made(major, minor, patch + (not self.prerelease))

    def with_prerelease(self, prerelease: str) -> Version:
        _check(prerelease, "prerelease")
        return self._made(*self.numbers, prerelease, self.metadata)

    def with_metadata(self, metadata: str) -> Version:
        _check(metadata, "metadata")
        return self._made(*self.numbers, self.prerelease, metadata)

    def _made(self, major: int, minor: int, patch: int, prerelease: str = "", metadata: str = "") -> Version:
        # Unsigned numbers wrap around.
        made = _VersionValue(major & _MAX_UINT64, minor & _MAX_UINT64, patch & _MAX_UINT64, prerelease, metadata)
        made.original = ("v" if self.original.startswith("v") else "") + made.go_string()
        return made


class _VersionValue(Version):
    """What methods make is no pointer in Go, so it has fewer methods."""

    go_type: ClassVar[GoType] = _VALUE

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _VersionValue) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(self.numbers)


def _check(identifiers: str, what: str) -> None:
    if identifiers and not pattern(_DOTTED).fullmatch(identifiers.encode("utf-8", "surrogateescape")):
        raise FunctionError(f"the {what} is invalid", detail=f"invalid {what} string")
    if what == "prerelease" and _has_leading_zero(identifiers):
        raise FunctionError(f"a number of the {what} starts with 0", detail=_LEADING_ZERO)


@cache
def pattern(expression: str) -> Any:
    """A compiled expression over bytes: RE2, so that no text takes more than linear time."""
    options = re2.Options()
    # RE2 writes to the process's stderr of its own accord.
    options.log_errors = False
    return re2.compile(expression, options)


def parse_version(text: str) -> Version:
    """``semver.NewVersion``. Raises ``SemverError``."""
    match = pattern(_VERSION).fullmatch(text.encode("utf-8", "surrogateescape"))
    if match is None:
        raise SemverError("it is no semantic version", "invalid semantic version")
    major, minor, patch, prerelease, metadata = ((group or b"").decode() for group in match.groups())
    numbers = _number(major), _number(minor), _number(patch)
    if _has_leading_zero(prerelease):
        raise SemverError("a number of the prerelease starts with 0", _LEADING_ZERO)
    return Version(*numbers, prerelease, metadata, original=text)


def _has_leading_zero(identifiers: str) -> bool:
    return any(each[:1] == "0" and each != "0" and each.isdigit() for each in identifiers.split("."))


def _number(digits: str) -> int:
    # More digits than an uint64 has need not be read, and int() refuses thousands of them.
    significant = digits.lstrip("0") or "0"
    if len(significant) > _UINT64_DIGITS or int(significant) > _MAX_UINT64:
        raise SemverError(
            "a number of it is too large",
            f"error parsing version segment: strconv.ParseUint: parsing {quote(digits)}: value out of range",
        )
    return int(significant)


def _order(one: Any, other: Any) -> int:
    return int(one > other) - int(one < other)


def compare_prereleases(one: str, other: str) -> int:
    """-1, 0 or 1; a release is higher than its prereleases."""
    if not one or not other:
        return _order(not one, not other)
    pairs = zip_longest(one.split("."), other.split("."), fillvalue="")
    return next((order for left, right in pairs if (order := _order(_rank(left), _rank(right)))), 0)


def _rank(identifier: str) -> tuple[int, int, str]:
    """None is lower than numbers, numbers are lower than text. What no uint64 holds is text."""
    if not identifier:
        return 0, 0, ""
    if identifier.isdigit() and len(identifier) <= _UINT64_DIGITS and int(identifier) <= _MAX_UINT64:
        return 1, int(identifier), ""
    return 2, 0, identifier


def _declared(table: Mapping[str, Callable[..., Any]]) -> dict[str, Function]:
    methods: dict[str, Function] = {}
    for key, call in table.items():
        name, signature = key.split(" ", 1)
        methods[name] = declare(name, signature, call)
    return methods


def _segment(index: int) -> Callable[[Version], Number]:
    return lambda version: Number(version.numbers[index], UINT64)


def _makes_value(name: str, call: Callable[..., Version], *params: GoType) -> Function:
    # A value that is no pointer can be no argument, so the type has no name for signatures.
    return Function(name, params, None, _VALUE, call)


_OF_VALUES: Final[Mapping[str, Function]] = {
    **_declared(
        {
            "Major func() uint64": _segment(0),
            "Minor func() uint64": _segment(1),
            "Patch func() uint64": _segment(2),
            "MarshalJSON func() ([]uint8, error)": lambda version: version.json_text().encode(),
            "MarshalText func() ([]uint8, error)": lambda version: version.go_string().encode(),
            "Prerelease func() string": lambda version: version.prerelease,
            "Metadata func() string": lambda version: version.metadata,
            "String func() string": Version.go_string,
        }
    ),
    "IncMajor": _makes_value("IncMajor", Version.next_major),
    "IncMinor": _makes_value("IncMinor", Version.next_minor),
    "IncPatch": _makes_value("IncPatch", Version.next_patch),
    "SetPrerelease": _makes_value("SetPrerelease", Version.with_prerelease, STRING),
    "SetMetadata": _makes_value("SetMetadata", Version.with_metadata, STRING),
}
_VersionValue.methods = _OF_VALUES
Version.methods = {
    **_OF_VALUES,
    **_declared(
        {
            "Original func() string": lambda version: version.original,
            "Compare func(*semver.Version) int": Version.compare,
            "Equal func(*semver.Version) bool": lambda one, other: one.compare(other) == 0,
            "GreaterThan func(*semver.Version) bool": lambda one, other: one.compare(other) > 0,
            "GreaterThanEqual func(*semver.Version) bool": lambda one, other: one.compare(other) >= 0,
            "LessThan func(*semver.Version) bool": lambda one, other: one.compare(other) < 0,
            "LessThanEqual func(*semver.Version) bool": lambda one, other: one.compare(other) <= 0,
        }
    ),
}
