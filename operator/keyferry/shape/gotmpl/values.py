"""Go's values in Python.

| Go | Python |
|---|---|
| nil | ``None`` |
| bool, string, int, float64, complex128 | ``bool``, ``str``, ``int``, ``float``, ``complex`` |
| other integers, time.Duration, ... | ``Number`` with its type |
| []interface {}, map[string]interface {} | ``list``, ``dict`` |
| []uint8 | ``bytes`` |
| other slices and maps, nil slices | ``TypedSlice``, ``TypedMap`` |
| structs and pointers to them | subclasses of ``Struct`` |

A Go string is a run of bytes. Here it is a ``str`` decoded with ``surrogateescape``: what is no UTF-8 stands as lone
surrogates, one per byte. ``from_bytes`` and ``canonical`` keep one spelling per run of bytes, so that ``==`` works.
Slices and maps are references, as in Go; functions that Go documents as copying copy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, Self, TypeAlias

from keyferry.shape.gotmpl.types import (
    ANYS,
    BOOL,
    BYTES,
    COMPLEX128,
    DICT,
    FLOAT64,
    INT,
    INTS,
    LISTS,
    STRING,
    STRING_MAP,
    STRINGS,
    GoType,
)

if TYPE_CHECKING:
    from keyferry.shape.gotmpl.registry import Function

Value: TypeAlias = "bool | int | float | complex | str | bytes | list[Value] | dict[str, Value] | Struct | None"
"""What a template computes with. ``Number``, ``TypedSlice`` and ``TypedMap`` are subclasses of these."""


class Number(int):
    """An integer of another type than ``int``. Arithmetic gives plain Python integers: wrap the result again."""

    # No __slots__: Python does not allow them in subclasses of int.
    go_type: GoType

    def __new__(cls, value: int, go_type: GoType) -> Self:
        self = super().__new__(cls, value)
        self.go_type = go_type
        return self


class TypedSlice(list["Value"]):
    """A slice of another type than ``[]interface {}``, or a nil slice (which is empty, and is ``null`` in JSON)."""

    __slots__ = ("go_type", "is_nil")

    def __init__(self, items: Iterable[Value], go_type: GoType, *, is_nil: bool = False) -> None:
        super().__init__(items)
        self.go_type = go_type
        self.is_nil = is_nil


class TypedMap(dict[str, "Value"]):
    """A map of another type than ``map[string]interface {}``, or a nil map."""

    __slots__ = ("go_type", "is_nil")

    def __init__(self, items: Mapping[str, Value], go_type: GoType, *, is_nil: bool = False) -> None:
        super().__init__(items)
        self.go_type = go_type
        self.is_nil = is_nil


class Struct(ABC):
    """A Go struct, or a pointer to one. Templates reach the fields and methods that are listed, and nothing else.

    Subclasses define ``__eq__`` and ``__hash__`` by value where Go compares them by value.
    """

    go_type: ClassVar[GoType]
    methods: ClassVar[Mapping[str, Function]] = {}
    """Go's method name to the function; it gets the struct as its first argument, which ``params`` leaves out."""

    @abstractmethod
    def fields(self) -> Mapping[str, Value]:
        """The exported fields, in Go's order."""

    def go_string(self) -> str | None:
        """What Go's ``String`` method says; None where the type has none."""
        return None

    def printed_fields(self) -> Mapping[str, Value] | None:
        """All fields, as ``printf`` shows them under verbs without ``String``; None where some are addresses."""
        return None if self.go_string() is not None else self.fields()

    def deep_equals(self, other: Struct) -> bool:
        """Go's ``reflect.DeepEqual`` with another one of the same type: what pointers point to is what counts."""
        return self == other

    def deep_copy(self) -> Struct:
        """What is left of it where sprig's ``deepCopy`` copies it."""
        return self


def strings(items: Iterable[str]) -> TypedSlice:
    """A ``[]string``."""
    return TypedSlice(items, STRINGS)


def ints(items: Iterable[int]) -> TypedSlice:
    """A ``[]int``."""
    return TypedSlice(items, INTS)


def lists(items: Iterable[list[Value]]) -> TypedSlice:
    """A ``[][]interface {}``."""
    return TypedSlice(items, LISTS)


def string_map(items: Mapping[str, str]) -> TypedMap:
    """A ``map[string]string``."""
    return TypedMap(items, STRING_MAP)


_PLAIN: Mapping[type, GoType] = {
    bool: BOOL,
    str: STRING,
    int: INT,
    float: FLOAT64,
    complex: COMPLEX128,
    bytes: BYTES,
    list: ANYS,
    dict: DICT,
}


def type_of(value: Value) -> GoType | None:
    """The dynamic type; None for nil."""
    plain = _PLAIN.get(type(value))
    if plain is not None:
        return plain
    if isinstance(value, Number | TypedSlice | TypedMap | Struct):
        return value.go_type
    if value is None:
        return None
    raise TypeError(f"{type(value).__name__} is no value of a template")


def kind_of(value: Value) -> str:
    """The kind, as reflect names it; ``invalid`` for nil."""
    go_type = type_of(value)
    return "invalid" if go_type is None else go_type.kind


def to_bytes(text: str) -> bytes:
    """The bytes of a Go string."""
    return text.encode("utf-8", "surrogateescape")


def from_bytes(raw: bytes) -> str:
    """The Go string of these bytes."""
    return raw.decode("utf-8", "surrogateescape")


def canonical(text: str) -> str:
    """The one spelling of a Go string that was put together from pieces."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return from_bytes(to_bytes(text))
    return text


def runes(text: str) -> str:
    """What ``for _, r := range text`` sees: U+FFFD for each byte that is no UTF-8."""
    if text.isascii():
        return text
    return "".join("\ufffd" if "\ud800" <= each <= "\udfff" else each for each in text)
