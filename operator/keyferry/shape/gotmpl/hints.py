"""What a user may have meant: the sentences that errors end with."""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Iterable, Sequence
from typing import Final

from keyferry.shape.gotmpl.source import Source

FUNCTIONS_FIRST: Final = "functions come first: write function argument, or argument | function"
FIELD_FOLLOWS: Final = "a field follows its parenthesis without a blank: (...).field"
_SHOWN: Final = 10
_NEAR: Final = 3
_COMPARED: Final = 500
_LONGEST: Final = 80
_CLOSE: Final = 0.7
_BASE = re.compile(r"(?:\$\w*|(?<![\w$)]))(?:\.\w+)*\Z")
_KEY = re.compile(r"[\w.-]+")
_LEFT_OUT: Final = frozenset({"env", "expandenv", "getHostByName"})
_ELSEWHERE: Final = {
    "True": "true",
    "False": "false",
    "None": "nil",
    "null": "nil",
    "elif": "else if",
    "elseif": "else if",
    "endif": "end",
    "endfor": "end",
    "for": "range",
    "foreach": "range",
    "base64decode": "b64dec",
    "base64encode": "b64enc",
    "include": "template",
    "required": "fail",
}
"""Words of other languages, of Helm, and of the first template engine of the External Secrets Operator."""
_OPERATORS: Final = {
    "=": "values are compared with eq, ne, lt, le, gt and ge, which come first: eq a b",
    "!": "write not a, or ne a b",
    "&": "write and a b",
    "|": "write or a b",
    "<": "write lt a b",
    ">": "write gt a b",
    "+": "write add a b",
    "*": "write mul a b",
    "/": "write div a b",
    "%": "write mod a b",
    "?": "write ternary a b condition",
    ",": "blanks stand between arguments, and nothing else",
    "[": "elements are reached with index: index a 0",
}


def quoted(name: str) -> str:
    """A name in double quotes, cut to a length that is good to read."""
    shown = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..."
    return '"' + "".join(each if each.isprintable() else "\ufffd" for each in shown) + '"'


def near(wanted: str, names: Iterable[str]) -> list[str]:
    """The names that look like the wanted one, the nearest first."""
    if len(wanted) > _LONGEST:
        return []
    plain: dict[str, str] = {}
    for name in names:
        if len(name) <= _LONGEST:
            plain.setdefault(_plain(name), name)
        if len(plain) >= _COMPARED:
            break
    return [plain[each] for each in difflib.get_close_matches(_plain(wanted), plain, n=_NEAR, cutoff=_CLOSE)]


def keys(wanted: str, names: Iterable[str]) -> tuple[str, str]:
    """The keys that exist, and what may have been meant, as a sentence each; the latter may be empty."""
    ordered = sorted(names)
    if not ordered:
        return "there are no keys", ""
    shown = ", ".join(quoted(each) for each in ordered[:_SHOWN])
    more = len(ordered) - _SHOWN
    there = f"the keys are {shown}" + (f" and {more} more" if more > 0 else "")
    close = near(wanted, ordered)
    return there, f"did you mean {' or '.join(quoted(each) for each in close)}?" if close else ""


def function(name: str, names: Iterable[str]) -> str:
    """What to do about a function that does not exist."""
    if name in _LEFT_OUT:
        return "it is left out for safety: templates reach neither the environment nor the network"
    if name in _ELSEWHERE:
        return f"write {_ELSEWHERE[name]} in its place"
    if close := near(name, names):
        return f"did you mean {' or '.join(close)}?"
    return f"the value of a key is written .{name[:_LONGEST]}"


def operator(found: str) -> str:
    """What to write in place of an operator that templates do not have."""
    return _OPERATORS.get(found[:1], "")


def index(source: Source, base: str, key: str, at: int) -> str:
    """How to write the access to a key that is no name of a field. ``at`` is where ``base`` starts."""
    if not re.fullmatch(r"[\w./ -]+", key):
        return f"write index {base} with the key in quotes"
    call = f'index {base} "{key}"'
    before = source.text[max(at - 8, 0) : at].rstrip().removesuffix("-")
    return f"write {source.action(call) if before.endswith(source.left) else f'({call})'}"


def index_here(source: Source, at: int) -> str:
    """The same for a field at whose first character, the dot, the scanner stands; empty where it is no such thing."""
    before = source.text[max(at - _LONGEST, 0) : at]
    match = _BASE.search(before)
    key = _KEY.match(source.text, at + 1)
    if match is None or key is None or not any(each.isalnum() for each in key[0]):
        return ""
    base = match[0]
    return index(source, base or ".", key[0].strip(".")[:_LONGEST], at - len(base))


def old_spelling(source: Source, base: str, names: Sequence[str], there: Container[str], at: int) -> str:
    """What to write in place of ``.data.x``, which older documentation has."""
    if not base or len(names) < 2 or names[0] != "data":
        return ""
    key = ".".join(names[1:]) if ".".join(names[1:]) in there else names[1]
    if not re.fullmatch(r"\w+", key):
        return index(source, base, key, at)
    stem = "" if base == "." else base
    return f"write {stem}.{key}: the keys stand at the top, without data"


def _plain(name: str) -> str:
    return re.sub(r"[-_. ]", "", name).lower()
