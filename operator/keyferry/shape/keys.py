"""Keys on their way into a Secret: conversion, validation, and the names that ``dataFrom.find`` looks for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache

from keyferry.api.externalsecret import ConversionStrategy
from keyferry.errors import BadSpec, BadValue
from keyferry.shape import goregexp

__all__ = ["compile_name", "compiled", "convert", "shown", "validate"]

MAX_KEY = 253
"""Bytes that Kubernetes allows in a key of a Secret."""
_SHOWN = 64
"""Characters of an overlong key that an error shows."""
_LEGAL = re.compile(r"[-._a-zA-Z0-9]+")
_OTHER_THAN_ASCII_LEGAL = re.compile(r"[^-._a-zA-Z0-9]")


def convert(data: Mapping[str, bytes], strategy: ConversionStrategy | None = None) -> dict[str, bytes]:
    """``data`` under keys without special characters, as ``conversionStrategy`` says (eso-facts 1.7).

    ``Default`` puts ``_`` for every character that is not a letter, a number, ``-``, ``.`` or ``_``; ``Unicode`` puts
    ``_U002f_``, its code point. Letters are those of Unicode and stay: ``validate`` has the last word on them.

    Raises ``BadValue`` where two keys become one.
    """
    sources: dict[str, str] = {}
    for source in sorted(data):
        key = _OTHER_THAN_ASCII_LEGAL.sub(lambda found: _converted(found[0], strategy), source)
        if key in sources:
            twins = f'"{shown(sources[key])}" and "{shown(source)}"'
            raise BadValue(
                f"secret name collision during conversion: {key} (from {twins})",
                remedy="rename one of them with a rewrite"
                + ("" if strategy == "Unicode" else ", or set conversionStrategy: Unicode"),
            )
        sources[key] = source
    return {key: data[source] for key, source in sources.items()}


def validate(data: Mapping[str, bytes]) -> dict[str, bytes]:
    """``data`` without its empty key, if all others are keys that Kubernetes accepts in a Secret.

    ESO lets any Unicode letter through, and the API server refuses it afterwards (eso-facts 10.4); here it is refused
    with a remedy. Raises ``BadValue`` for the alphabetically first key that is too long or has a wrong character.
    """
    for key in sorted(data):
        # A template makes keys of any bytes.
        length = len(key.encode("utf-8", "surrogateescape"))
        if length > MAX_KEY:
            raise BadValue(
                f"key has length {length} but max is {MAX_KEY}: {shown(key[:_SHOWN])}…",
                remedy="shorten it with a rewrite",
            )
        if key and not _LEGAL.fullmatch(key):
            raise BadValue(_wrong_character(key), remedy=_remedy(key))
        if key == "." or key.startswith(".."):
            raise BadValue(
                f'key "{key}" is not allowed in a Secret: it is "." or starts with ".."',
                remedy="rename it with a rewrite",
            )
    return {key: value for key, value in data.items() if key}


def shown(text: str) -> str:
    """A key for an error's text: what is not printable stands escaped."""
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)


@lru_cache(maxsize=1024)
def compile_name(pattern: str) -> Callable[[str], bool]:
    """A pattern of a manifest as a predicate on names: RE2, as in Go, matching anywhere unless anchored.

    Raises ``BadSpec`` with RE2's reason where the pattern does not compile.
    """
    return compiled(pattern).found


def compiled(pattern: str) -> goregexp.Regexp:
    """A regular expression of a manifest. Raises ``BadSpec`` with the reason where it does not compile."""
    try:
        return goregexp.compile_pattern(pattern)
    except goregexp.RegexpError as error:
        reason = error.detail.removeprefix("error parsing regexp: ")
        raise BadSpec(
            f'the regular expression "{pattern}" does not compile: {reason}', remedy="use RE2 syntax"
        ) from None


def _converted(character: str, strategy: ConversionStrategy | None) -> str:
    if unicodedata.category(character)[0] in "LN":
        return character
    return f"_U{ord(character):04x}_" if strategy == "Unicode" else "_"


def _wrong_character(key: str) -> str:
    wrong = next(character for character in key if not _LEGAL.fullmatch(character))
    allowed = "only ASCII letters, digits, '-', '.' and '_' are allowed"
    return f'key "{shown(key)}" has invalid character "{shown(wrong)}", {allowed}'


def _remedy(key: str) -> str:
    wrong = {character for character in key if not _LEGAL.fullmatch(character)}
    if any(unicodedata.category(character)[0] in "LN" for character in wrong):
        return (
            "rename it with a rewrite, or read it by a data entry with a secretKey of your own; "
            "conversionStrategy does not touch letters and numbers outside ASCII"
        )
    return "rename it with another rewrite; keys are not converted where an entry has a rewrite"
