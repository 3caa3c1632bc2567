"""The layout of ``@pretty``: objects over several lines, arrays on one line where they fit and hold no object."""

from __future__ import annotations

from dataclasses import dataclass

from keyferry.shape.gjson.values import compact, kind_of
from keyferry.shape.jsontext import GO_UTF8, bytes_of, elements, members, unquote

__all__ = ["Style", "pretty"]

_RANK = {"null": 0, "false": 1, "number": 2, "string": 3, "true": 4, "json": 5}
_SHORTEST_LINE = 4
"""An array is not tried on one line where less than this is left of the width."""


@dataclass(slots=True)
class Style:
    """The options of ``@pretty``. ``width`` is the longest line that an array may make, in bytes."""

    width: int = 80
    indent: str = "  "
    prefix: str = ""
    sort_keys: bool = False


def pretty(raw: str, style: Style) -> str:
    """The JSON text laid out, with a line break at its end; empty text stays empty."""
    text = raw.strip(" \t\r\n")
    if not text:
        return ""
    return f"{style.prefix}{_laid_out(text, style, 0, len(style.prefix))}\n"


def _laid_out(raw: str, style: Style, level: int, used: int) -> str:
    """One value; ``used`` is what the Go library counts as taken of the line on which it starts."""
    if raw[0] == "{":
        return _object(raw, style, level)
    if raw[0] == "[":
        room = style.width - used
        if style.width > 0 and room >= _SHORTEST_LINE:
            # No line is shorter than the text without white space, so what is too long is not laid out in vain.
            line = _line(raw) if len(compact(raw)) <= room else None
            if line is not None and len(line) <= room:
                return line
        return _array(raw, style, level)
    return raw


def _object(raw: str, style: Style, level: int) -> str:
    start = style.prefix + style.indent * (level + 1)
    entries = []
    for key, value in members(raw):
        # The line break before the entry counts too.
        laid_out = _laid_out(value, style, level + 1, 1 + len(start) + len(key) + 2)
        entries.append((key, laid_out, f"{start}{key}: {laid_out}"))
    if style.sort_keys:
        entries.sort(key=lambda entry: (_order(entry[0]), _order(entry[1])))
    return _enclosed("{", [text for _, _, text in entries], "}", style, level)


def _array(raw: str, style: Style, level: int) -> str:
    start = style.prefix + style.indent * (level + 1)
    entries = [
        # The line break takes the place of the blank after the comma, so only the first one's counts.
        start + _laid_out(each, style, level + 1, len(start) + (0 if position else 1))
        for position, each in enumerate(elements(raw))
    ]
    return _enclosed("[", entries, "]", style, level)


def _enclosed(opening: str, entries: list[str], closing: str, style: Style, level: int) -> str:
    if not entries:
        return opening + closing
    inner = ",\n".join(entries)
    return f"{opening}\n{inner}\n{style.prefix}{style.indent * level}{closing}"


def _line(raw: str) -> str | None:
    """An array on one line; None where it holds an object."""
    parts = []
    for each in elements(raw):
        if each[0] == "{":
            return None
        part = _line(each) if each[0] == "[" else each
        if part is None:
            return None
        parts.append(part)
    return f"[{', '.join(parts)}]"


def _order(raw: str) -> tuple[int, float, str]:
    kind = kind_of(raw)
    text = bytes_of(unquote(raw)).decode("utf-8", GO_UTF8) if kind == "string" else raw
    return _RANK[kind], float(raw) if kind == "number" else 0.0, text if kind in {"string", "json"} else ""
