"""Go's types, as far as templates can tell them apart (``typeOf``, ``kindOf``, ``%T``, arguments of functions)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class GoType:
    """A type by Go's name for it. ``kind`` is reflect's; ``elem`` is set for slices and maps. Map keys are strings."""

    name: str
    kind: str
    elem: GoType | None = None

    def __str__(self) -> str:
        return self.name


ANY: Final = GoType("interface {}", "interface")
ERROR: Final = GoType("error", "interface")
BOOL: Final = GoType("bool", "bool")
STRING: Final = GoType("string", "string")
INT: Final = GoType("int", "int")
INT32: Final = GoType("int32", "int32")
INT64: Final = GoType("int64", "int64")
UINT8: Final = GoType("uint8", "uint8")
UINT32: Final = GoType("uint32", "uint32")
UINT64: Final = GoType("uint64", "uint64")
FLOAT64: Final = GoType("float64", "float64")
COMPLEX128: Final = GoType("complex128", "complex128")
DURATION: Final = GoType("time.Duration", "int64")
MONTH: Final = GoType("time.Month", "int")
WEEKDAY: Final = GoType("time.Weekday", "int")
TIME: Final = GoType("time.Time", "struct")
HASH_ALGORITHM: Final = GoType("sprig.HashAlgorithm", "string")
CERTIFICATE: Final = GoType("sprig.certificate", "struct")
SEMVER: Final = GoType("*semver.Version", "ptr")


def slice_of(elem: GoType) -> GoType:
    """``[]elem``."""
    return GoType(f"[]{elem.name}", "slice", elem)


def map_of(elem: GoType) -> GoType:
    """``map[string]elem``."""
    return GoType(f"map[string]{elem.name}", "map", elem)


ANYS: Final = slice_of(ANY)
STRINGS: Final = slice_of(STRING)
INTS: Final = slice_of(INT)
BYTES: Final = slice_of(UINT8)
LISTS: Final = slice_of(ANYS)
DICT: Final = map_of(ANY)
STRING_MAP: Final = map_of(STRING)

BY_NAME: Final = {
    each.name: each
    for each in (
        *(ANY, ERROR, BOOL, STRING, INT, INT32, INT64, UINT8, UINT32, UINT64, FLOAT64),
        *(DURATION, MONTH, WEEKDAY, TIME, HASH_ALGORITHM, CERTIFICATE, SEMVER),
        *(ANYS, STRINGS, INTS, BYTES, LISTS, DICT, STRING_MAP),
    )
}
"""Every type that a function's signature may name."""
