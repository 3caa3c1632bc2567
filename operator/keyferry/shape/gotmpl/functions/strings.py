"""Strings: case, trimming, searching, slicing, quoting, joining, hashes, random ones.

Lengths and positions count bytes, as Go's do: a slice may end inside of a character.
"""

from __future__ import annotations

import hashlib
import string
import zlib

from keyferry.shape.gotmpl import gostrings, gounicode
from keyferry.shape.gotmpl.chance import below, pick
from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.fmt import quote as quoted
from keyferry.shape.gotmpl.fmt import sprint
from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.values import Value, from_bytes, runes, to_bytes

__all__ = ["REGISTRY", "to_string"]

REGISTRY = Registry()

_ELLIPSIS = "..."
_LEAST_WIDTH = 4
_LEAST_WIDTH_BOTH = 7
"""Widths that have room for a character beside one or two ellipses."""
_PER_STEP = 8
"""Characters whose case is changed in about a microsecond."""
_ASCII = "".join(map(chr, range(0x20, 0x7F)))


@REGISTRY.add("hello", "func() string")
def hello() -> str:
    return "Hello!"


@REGISTRY.add("fail", "func(string) (string, error)")
def fail(message: str) -> str:
    """Stops the template. The message may hold a value, so it is told as Go's text only."""
    raise FunctionError("the template says that it fails", detail=runes(message))


@REGISTRY.add("upper", "func(string) string", run=True)
def upper(run: Run, text: str) -> str:
    run.spend(len(text) // _PER_STEP)
    return gounicode.upper(text)


@REGISTRY.add("lower", "func(string) string", run=True)
def lower(run: Run, text: str) -> str:
    run.spend(len(text) // _PER_STEP)
    return gounicode.lower(text)


@REGISTRY.add("trim", "func(string) string")
def trim(text: str) -> str:
    return text.strip(gounicode.SPACES)


@REGISTRY.add("trimAll trimall", "func(string, string) string")
def trim_all(characters: str, text: str) -> str:
    """Without the given characters at both ends; a byte that is no UTF-8 stands for all such bytes."""
    seen, cut = runes(text), runes(characters)
    start = len(seen) - len(seen.lstrip(cut))
    return text[start : start + len(seen.strip(cut))]


@REGISTRY.add("trimPrefix", "func(string, string) string")
def trim_prefix(prefix: str, text: str) -> str:
    return gostrings.sliced(text, gostrings.size(prefix), None) if gostrings.has_prefix(text, prefix) else text


@REGISTRY.add("trimSuffix", "func(string, string) string")
def trim_suffix(suffix: str, text: str) -> str:
    if not gostrings.has_suffix(text, suffix):
        return text
    return gostrings.sliced(text, None, gostrings.size(text) - gostrings.size(suffix))


@REGISTRY.add("contains", "func(string, string) bool")
def contains(part: str, text: str) -> bool:
    return gostrings.contains(text, part)


@REGISTRY.add("hasPrefix", "func(string, string) bool")
def has_prefix(prefix: str, text: str) -> bool:
    return gostrings.has_prefix(text, prefix)


@REGISTRY.add("hasSuffix", "func(string, string) bool")
def has_suffix(suffix: str, text: str) -> bool:
    return gostrings.has_suffix(text, suffix)


@REGISTRY.add("replace", "func(string, string, string) string", run=True)
def replace(run: Run, old: str, new: str, text: str) -> str:
    most = gostrings.size(text) // max(gostrings.size(old), 1) + 1
    if new and most * gostrings.size(new) > run.limits.output:
        # Only where there may be too many are they counted.
        most = text.count(old) if old.isascii() else to_bytes(text).count(to_bytes(old))
    run.make(gostrings.size(text) + most * gostrings.size(new))
    return gostrings.replaced(text, old, new)


@REGISTRY.add("repeat", "func(int, string) string", run=True)
def repeat(run: Run, count: int, text: str) -> str:
    if count < 0:
        raise FunctionError("the count is negative", detail="strings: negative Repeat count")
    run.make(count * gostrings.size(text))
    return text * count


@REGISTRY.add("substr", "func(int, int, string) string")
def substr(start: int, end: int, text: str) -> str:
    """From ``start``, or from the beginning where it is negative, to ``end``, or to the end where there is no such."""
    if start < 0:
        return gostrings.sliced(text, None, end)
    return gostrings.sliced(text, start, end if 0 <= end <= gostrings.size(text) else None)


@REGISTRY.add("trunc", "func(int, string) string")
def trunc(count: int, text: str) -> str:
    """The first ``count`` bytes, or the last ones where it is negative."""
    length = gostrings.size(text)
    if count < 0 < length + count:
        return gostrings.sliced(text, length + count, None)
    if 0 <= count < length:
        return gostrings.sliced(text, None, count)
    return text


@REGISTRY.add("abbrev", "func(int, string) string")
def abbrev(width: int, text: str) -> str:
    """At most ``width`` bytes, the last of which are dots where something is cut off."""
    if width < _LEAST_WIDTH or gostrings.size(text) <= width:
        return text
    return gostrings.sliced(text, None, width - len(_ELLIPSIS)) + _ELLIPSIS


@REGISTRY.add("abbrevboth", "func(int, int, string) string")
def abbrev_both(left: int, width: int, text: str) -> str:
    """At most ``width`` bytes that show the byte at ``left``; dots where something is cut off on either side."""
    length = gostrings.size(text)
    if width < (_LEAST_WIDTH_BOTH if left > 0 else _LEAST_WIDTH) or length <= width:
        return text
    room = width - len(_ELLIPSIS)
    start = min(left, length - room)
    if start <= _LEAST_WIDTH:
        return gostrings.sliced(text, None, room) + _ELLIPSIS
    if start + room < length:
        return _ELLIPSIS + abbrev(room, gostrings.sliced(text, start, None))
    return _ELLIPSIS + gostrings.sliced(text, length - room, None)


@REGISTRY.add("plural", "func(string, string, int) string")
def plural(one: str, many: str, count: int) -> str:
    return one if count == 1 else many


def to_string(run: Run, value: Value) -> str:
    """A string or bytes as they are; everything else as it is printed."""
    if isinstance(value, str):
        return value
    return from_bytes(value) if isinstance(value, bytes) else sprint(run, (value,))


REGISTRY.add("toString", "func(interface {}) string", run=True)(to_string)


@REGISTRY.add("quote", "func(...interface {}) string", run=True)
def quote(run: Run, *values: Value) -> str:
    return " ".join([quoted(to_string(run, value)) for value in values if value is not None])


@REGISTRY.add("squote", "func(...interface {}) string", run=True)
def squote(run: Run, *values: Value) -> str:
    return " ".join([f"'{sprint(run, (value,))}'" for value in values if value is not None])


@REGISTRY.add("cat", "func(...interface {}) string", run=True)
def cat(run: Run, *values: Value) -> str:
    return " ".join([sprint(run, (value,)) for value in values if value is not None])


@REGISTRY.add("indent", "func(int, string) string", run=True)
def indent(run: Run, spaces: int, text: str) -> str:
    """Blanks before every line, the empty ones too."""
    if spaces < 0:
        raise FunctionError("the count of spaces is negative", detail="strings: negative Repeat count")
    run.make(gostrings.size(text) + spaces * (text.count("\n") + 1))
    pad = " " * spaces
    return pad + text.replace("\n", "\n" + pad)


@REGISTRY.add("nindent", "func(int, string) string", run=True)
def nindent(run: Run, spaces: int, text: str) -> str:
    return "\n" + indent(run, spaces, text)


@REGISTRY.add("sha1sum", "func(string) string")
def sha1sum(text: str) -> str:
    return hashlib.sha1(to_bytes(text), usedforsecurity=False).hexdigest()


@REGISTRY.add("sha256sum", "func(string) string")
def sha256sum(text: str) -> str:
    return hashlib.sha256(to_bytes(text)).hexdigest()


@REGISTRY.add("sha512sum", "func(string) string")
def sha512sum(text: str) -> str:
    return hashlib.sha512(to_bytes(text)).hexdigest()


@REGISTRY.add("adler32sum", "func(string) string")
def adler32sum(text: str) -> str:
    return str(zlib.adler32(to_bytes(text)))


@REGISTRY.add("randAlphaNum", "func(int) string", run=True)
def rand_alpha_num(run: Run, count: int) -> str:
    return pick(run, string.ascii_letters + string.digits, count, "randAlphaNum")


@REGISTRY.add("randAlpha", "func(int) string", run=True)
def rand_alpha(run: Run, count: int) -> str:
    return pick(run, string.ascii_letters, count, "randAlpha")


@REGISTRY.add("randNumeric", "func(int) string", run=True)
def rand_numeric(run: Run, count: int) -> str:
    return pick(run, string.digits, count, "randNumeric")


@REGISTRY.add("randAscii", "func(int) string", run=True)
def rand_ascii(run: Run, count: int) -> str:
    return pick(run, _ASCII, count, "randAscii")


@REGISTRY.add("shuffle", "func(string) string", run=True)
def shuffle(run: Run, text: str) -> str:
    """The characters in any order, each as likely as the other."""
    shuffled = list(runes(text))
    for last in range(len(shuffled) - 1, 0, -1):
        run.spend()
        other = below(run, last + 1, "shuffle")
        shuffled[last], shuffled[other] = shuffled[other], shuffled[last]
    return "".join(shuffled)
