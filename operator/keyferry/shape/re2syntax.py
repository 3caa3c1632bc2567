r"""Patterns of Go's ``regexp`` for RE2, whose syntax differs in a few places.

Go allows a group's name twice, but only ASCII names, and no ``\C``; it knows more names of character classes
(``\p{Letter}``, ``\p{greek}``, ``\p{ASCII}``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

__all__ = ["RegexpError", "go_reason", "translated"]

_GO_REASONS: Final = {
    "bad repetition operator": "invalid nested repetition operator",
    "invalid named capture group": "invalid named capture",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid repetition size": "invalid repeat count",
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "no argument for repetition operator": "missing argument to repetition operator",
    "pattern too large - compile failed": "expression too large",
    "trailing \\": "trailing backslash at end of expression",
}
"""RE2's reason to Go's, where the words differ."""

_SPECIAL: Final = re.compile(r"\\[pPC]|\(\?P?<|\{[0-9,]{9}")
_TOKEN: Final = re.compile(
    r"""
      \\Q.*?(?:\\E|\Z)
    | \\[pP](?:\{(?P<class>[^}]{0,64})\}|(?P<letter>[^{]))
    | (?P<byte>\\C)
    | \\.
    | (?P<bracket>\[\^?\]?)
    | \(\?P?<(?P<name>[^>]{0,1024})>
    | (?P<group>\((?!\?))
    | (?P<count>\{(?:[1-9][0-9]{8,}(?:,[0-9]*)?|[0-9]+,[1-9][0-9]{8,})\})
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_TOKEN_OF_CLASS: Final = re.compile(
    r"\[:\^?[a-z]*:\]|\\[pP](?:\{(?P<class>[^}]{0,64})\}|(?P<letter>[^{]))|\\.|(?P<bracket>\])|.", re.DOTALL
)
_NAME: Final = re.compile("[A-Za-z0-9_]+")
_CATEGORY: Final = re.compile("Any|C[cfos]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?")
# Unicode's long names of categories, without separators.
_LONG_NAMES: Final[Mapping[str, str]] = {
    "Casedletter": "Lc",
    "Closepunctuation": "Pe",
    "Cntrl": "Cc",
    "Combiningmark": "M",
    "Connectorpunctuation": "Pc",
    "Control": "Cc",
    "Currencysymbol": "Sc",
    "Dashpunctuation": "Pd",
    "Decimalnumber": "Nd",
    "Digit": "Nd",
    "Enclosingmark": "Me",
    "Finalpunctuation": "Pf",
    "Format": "Cf",
    "Initialpunctuation": "Pi",
    "Letter": "L",
    "Letternumber": "Nl",
    "Lineseparator": "Zl",
    "Lowercaseletter": "Ll",
    "Mark": "M",
    "Mathsymbol": "Sm",
    "Modifierletter": "Lm",
    "Modifiersymbol": "Sk",
    "Nonspacingmark": "Mn",
    "Number": "N",
    "Openpunctuation": "Ps",
    "Other": "C",
    "Otherletter": "Lo",
    "Othernumber": "No",
    "Otherpunctuation": "Po",
    "Othersymbol": "So",
    "Paragraphseparator": "Zp",
    "Privateuse": "Co",
    "Punct": "P",
    "Punctuation": "P",
    "Separator": "Z",
    "Spaceseparator": "Zs",
    "Spacingmark": "Mc",
    "Surrogate": "Cs",
    "Symbol": "S",
    "Titlecaseletter": "Lt",
    "Unassigned": "Cn",
    "Uppercaseletter": "Lu",
}
_VISIBLE: Final = r"\p{L}\p{M}\p{N}\p{P}\p{S}\p{Z}"
_UNIONS: Final[Mapping[str, str]] = {
    "Ascii": r"\x00-\x7f",
    "Assigned": rf"{_VISIBLE}\p{{C}}",
    "Lc": r"\p{Lu}\p{Ll}\p{Lt}",
}
"""Classes that RE2 does not know, by what is in them."""
_COMPLEMENTS: Final[Mapping[str, str]] = {"C": _VISIBLE, "Cn": rf"{_VISIBLE}\p{{C}}"}
"""Classes that RE2 does not know (its C is without unassigned characters), by what is not in them."""


class RegexpError(Exception):
    """A pattern that does not compile. ``reason`` holds nothing of the pattern; ``detail`` is what Go says.

    ``ours``: Go may compile it.
    """

    def __init__(self, reason: str, part: str = "", *, ours: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.ours = ours
        self.detail = f"error parsing regexp: {reason}: `{part}`" if part else f"error parsing regexp: {reason}"


def go_reason(reason: str) -> str:
    """Go's words for RE2's reason why a pattern does not compile."""
    return _GO_REASONS.get(reason, reason)


def translated(pattern: str) -> tuple[str, Mapping[str, Sequence[int]]]:
    """The pattern for RE2, and its groups' numbers by name. Raises ``RegexpError``."""
    if not _SPECIAL.search(pattern):
        return pattern, {}
    out: list[str] = []
    names: dict[str, list[int]] = {}
    groups = 0
    in_class = False
    for token in _tokens(pattern):
        text, kind = token[0], token.lastgroup
        if kind in {"class", "letter"}:
            text = _character_class(text, token[kind], in_class=in_class)
        elif kind == "bracket":
            in_class = not in_class
        elif kind == "group":
            groups += 1
        elif kind == "name":
            groups += 1
            names.setdefault(_checked(token[kind], text), []).append(groups)
            text = "("
        elif kind == "count":
            # RE2 takes a count with very many digits for text.
            raise RegexpError("invalid repeat count", text)
        elif kind == "byte":
            raise RegexpError("invalid escape sequence", text)
        out.append(text)
    return "".join(out), names


def _tokens(pattern: str) -> Iterator[re.Match[str]]:
    in_class = False
    at = 0
    while token := (_TOKEN_OF_CLASS if in_class else _TOKEN).match(pattern, at):
        yield token
        in_class ^= token.lastgroup == "bracket"
        at = token.end()


def _checked(name: str, written: str) -> str:
    if not _NAME.fullmatch(name):
        raise RegexpError("invalid named capture", written)
    return name


def _character_class(written: str, name: str, *, in_class: bool) -> str:
    r"""``\p{name}`` for RE2. Names are compared without case, blanks, hyphens and underscores."""
    negated = written[1] == "P"
    if name.startswith("^"):
        negated = not negated
        name = name[1:]
    words = [word.capitalize() for word in re.split("[-_ ]+", name) if word]
    known = "".join(words).capitalize()
    known = _LONG_NAMES.get(known, known)
    members, without = _UNIONS.get(known), negated
    if members is None and not (known == "C" and in_class):
        members, without = _COMPLEMENTS.get(known), not negated
    if members is not None:
        if not in_class:
            return f"[^{members}]" if without else f"[{members}]"
        if without:
            raise RegexpError("a character class that cannot stand between brackets here", written, ours=True)
        return members
    letter = "P" if negated else "p"
    return rf"\{letter}{{{known if _CATEGORY.fullmatch(known) else '_'.join(words)}}}"
