"""Regular expressions (see ``keyferry.shape.goregexp``)."""

from __future__ import annotations

from keyferry.shape.goregexp import Regexp, RegexpError, compile_pattern, quote_meta
from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.types import STRINGS
from keyferry.shape.gotmpl.values import TypedSlice

REGISTRY = Registry()

_ITEM = 64
"""Bytes that one string of a list takes beside its text."""


def _compiled(pattern: str) -> Regexp:
    try:
        return compile_pattern(pattern)
    except RegexpError as error:
        reason, detail = error.reason, error.detail
    raise FunctionError(f"the regular expression does not compile: {reason}", detail=detail)


def _strings(run: Run, items: list[str]) -> TypedSlice:
    run.make(len(items) * _ITEM)
    return TypedSlice(items, STRINGS)


@REGISTRY.add("regexMatch", "func(string, string) bool", run=True)
def regex_match(run: Run, pattern: str, text: str) -> bool:
    """Whether there is a match; there is none where the pattern does not compile.

    A pattern that only Go compiles is an error: to say that there is no match would be wrong.
    """
    try:
        return compile_pattern(pattern).found(text, run)
    except RegexpError as error:
        if not error.ours:
            return False
    return must_regex_match(run, pattern, text)


@REGISTRY.add("mustRegexMatch", "func(string, string) (bool, error)", run=True)
def must_regex_match(run: Run, pattern: str, text: str) -> bool:
    return _compiled(pattern).found(text, run)


@REGISTRY.add("regexFind", "func(string, string) string", run=True)
@REGISTRY.add("mustRegexFind", "func(string, string) (string, error)", run=True)
def regex_find(run: Run, pattern: str, text: str) -> str:
    return _compiled(pattern).find(text, run)


@REGISTRY.add("regexFindAll", "func(string, string, int) []string", run=True)
@REGISTRY.add("mustRegexFindAll", "func(string, string, int) ([]string, error)", run=True)
def regex_find_all(run: Run, pattern: str, text: str, limit: int) -> TypedSlice:
    """At most ``limit`` matches, all where it is negative; a nil list where there is none."""
    found = _strings(run, _compiled(pattern).find_all(text, limit, run))
    found.is_nil = not found
    return found


@REGISTRY.add("regexSplit", "func(string, string, int) []string", run=True)
@REGISTRY.add("mustRegexSplit", "func(string, string, int) ([]string, error)", run=True)
def regex_split(run: Run, pattern: str, text: str, limit: int) -> TypedSlice:
    """At most ``limit`` pieces, all where it is negative; a nil list where it is 0."""
    pieces = _strings(run, _compiled(pattern).split(text, limit, run))
    pieces.is_nil = limit == 0
    return pieces


@REGISTRY.add("regexReplaceAll", "func(string, string, string) string", run=True)
@REGISTRY.add("mustRegexReplaceAll", "func(string, string, string) (string, error)", run=True)
def regex_replace_all(run: Run, pattern: str, text: str, replacement: str) -> str:
    return _compiled(pattern).replace_all(text, replacement, run)


@REGISTRY.add("regexReplaceAllLiteral", "func(string, string, string) string", run=True)
@REGISTRY.add("mustRegexReplaceAllLiteral", "func(string, string, string) (string, error)", run=True)
def regex_replace_all_literal(run: Run, pattern: str, text: str, replacement: str) -> str:
    return _compiled(pattern).replace_all_literally(text, replacement, run)


@REGISTRY.add("regexQuoteMeta", "func(string) string")
def regex_quote_meta(text: str) -> str:
    return quote_meta(text)
