"""Strings taken apart, and lists as strings."""

from __future__ import annotations

from collections.abc import Iterable

from keyferry.shape.gotmpl import gostrings
from keyferry.shape.gotmpl.functions.strings import to_string
from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.types import STRINGS
from keyferry.shape.gotmpl.values import TypedMap, TypedSlice, Value, string_map, strings, to_bytes

REGISTRY = Registry()

_ITEM = 64
"""Bytes that one string of a list takes beside its text."""


def _split(run: Run, text: str, separator: str, limit: int = -1) -> list[str]:
    most = gostrings.size(text) // max(gostrings.size(separator), 1) + 1
    if most * _ITEM > run.limits.output and separator.isascii():
        # Only where there may be too many are they counted.
        most = text.count(separator) + 1
    run.make(_ITEM * (most if limit < 0 else min(most, limit)))
    return gostrings.split(text, separator, limit)


@REGISTRY.add("split", "func(string, string) map[string]string", run=True)
def split(run: Run, separator: str, text: str) -> TypedMap:
    """The pieces by name: ``_0``, ``_1`` and so on."""
    return _named(_split(run, text, separator))


@REGISTRY.add("splitn", "func(string, int, string) map[string]string", run=True)
def splitn(run: Run, separator: str, limit: int, text: str) -> TypedMap:
    """At most ``limit`` pieces by name, all where it is negative; the last one is all the rest."""
    return _named(_split(run, text, separator, limit))


def _named(pieces: list[str]) -> TypedMap:
    return string_map({f"_{number}": piece for number, piece in enumerate(pieces)})


@REGISTRY.add("splitList", "func(string, string) []string", run=True)
def split_list(run: Run, separator: str, text: str) -> TypedSlice:
    return strings(_split(run, text, separator))


@REGISTRY.add("toStrings", "func(interface {}) []string", run=True)
def to_strings(run: Run, value: Value) -> TypedSlice:
    """The elements as strings, without those that are nil; a ``[]string`` itself; else a list of the one value."""
    if isinstance(value, TypedSlice) and value.go_type is STRINGS:
        return value
    if value is None:
        return strings(())
    items: Iterable[Value] = value if isinstance(value, list | bytes) else (value,)
    made = strings([to_string(run, item) for item in items if item is not None])
    run.make(len(made) * _ITEM)
    return made


@REGISTRY.add("join", "func(string, interface {}) string", run=True)
def join(run: Run, separator: str, value: Value) -> str:
    pieces = [str(piece) for piece in to_strings(run, value)]
    run.make(sum(map(gostrings.size, pieces)) + gostrings.size(separator) * len(pieces))
    return separator.join(pieces)


@REGISTRY.add("sortAlpha", "func(interface {}) []string", run=True)
def sort_alpha(run: Run, value: Value) -> TypedSlice:
    """The elements as strings, in the order of their bytes. A ``[]string`` is sorted itself, as sprig does."""
    if not isinstance(value, list | bytes):
        return strings([to_string(run, value)])
    made = to_strings(run, value)
    run.spend(len(made))
    made.sort(key=lambda item: to_bytes(str(item)))
    return made
