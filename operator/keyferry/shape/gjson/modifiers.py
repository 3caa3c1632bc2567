"""The modifiers of gjson paths: JSON text in, JSON text out, empty text for "there is nothing".

Text holds one byte per character. A modifier that has nothing to do with what it is given hands it on as it is.
``@dig`` takes a path and is therefore part of ``search``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from keyferry.shape.gjson.pretty import Style, pretty
from keyferry.shape.gjson.values import compact, integer, json_in, kind_of, parsed, quote, text_value, truth
from keyferry.shape.jsontext import elements, members, unquote

__all__ = ["MODIFIERS", "NAMES"]

_WHITE = " \t\r\n"


def _this(raw: str, _argument: str) -> str:
    return raw


def _ugly(raw: str, _argument: str) -> str:
    return compact(raw)


def _pretty(raw: str, argument: str) -> str:
    style = Style()
    for name, value in _options(argument):
        match name:
            case "sortKeys":
                style.sort_keys = _truth(value)
            case "indent":
                style.indent = _white_of(text_value(value))
            case "prefix":
                style.prefix = _white_of(text_value(value))
            case "width":
                style.width = integer(value)
    return pretty(raw, style)


def _reverse(raw: str, _argument: str) -> str:
    if _is(raw, "["):
        return f"[{','.join(reversed(list(elements(raw))))}]"
    if _is(raw, "{"):
        return f"{{{','.join(f'{key}:{value}' for key, value in reversed(list(members(raw))))}}}"
    return raw


def _flatten(raw: str, argument: str) -> str:
    deep = any(name == "deep" and _truth(value) for name, value in _options(argument)[-1:])
    return f"[{','.join(_flat(raw, deep=deep))}]" if _is(raw, "[") else raw


def _flat(raw: str, *, deep: bool) -> Iterator[str]:
    for each in elements(raw):
        if not _is(each, "["):
            yield each
        elif deep:
            yield from _flat(each, deep=True)
        elif inner := each[1:-1].strip(_WHITE):
            yield inner


def _join(raw: str, argument: str) -> str:
    if not _is(raw, "["):
        return raw
    objects = [each for each in elements(raw) if _is(each, "{")]
    if any(name == "preserve" and _truth(value) for name, value in _options(argument)[-1:]):
        return f"{{{','.join(each[1:-1] for each in objects if each[1:-1].strip(_WHITE))}}}"
    keys: dict[str, str] = {}
    values: dict[str, str] = {}
    for each in objects:
        for key, value in members(each):
            keys.setdefault(unquote(key), key)
            values[unquote(key)] = value
    return f"{{{','.join(f'{key}:{values[name]}' for name, key in keys.items())}}}"


def _keys(raw: str, _argument: str) -> str:
    if _is(raw, "{"):
        return f"[{','.join(key for key, _ in members(raw))}]"
    return f"[{','.join('null' for _ in _each(raw))}]"


def _values(raw: str, _argument: str) -> str:
    if _is(raw, "["):
        return raw
    if _is(raw, "{"):
        return f"[{','.join(value for _, value in members(raw))}]"
    return f"[{','.join(_each(raw))}]"


def _tostr(raw: str, _argument: str) -> str:
    return quote(raw)


def _fromstr(raw: str, _argument: str) -> str:
    value = parsed(raw)
    return "" if value is None else json_in(text_value(value))


def _group(raw: str, _argument: str) -> str:
    if not _is(raw, "{"):
        return ""
    rows: list[list[str]] = []
    for key, value in members(raw):
        for position, each in enumerate(elements(value) if _is(value, "[") else ()):
            rows.extend([] for _ in range(position + 1 - len(rows)))
            rows[position].append(f"{key}:{each}")
    return f"[{','.join('{' + ','.join(row) + '}' for row in rows)}]"


MODIFIERS: dict[str, Callable[[str, str], str]] = {
    "flatten": _flatten,
    "fromstr": _fromstr,
    "group": _group,
    "join": _join,
    "keys": _keys,
    "pretty": _pretty,
    "reverse": _reverse,
    "this": _this,
    "tostr": _tostr,
    "ugly": _ugly,
    # What gets this far is JSON already.
    "valid": _this,
    "values": _values,
}

NAMES = frozenset({*MODIFIERS, "dig"})
"""All modifiers; a name that is not among them is a key that happens to start with ``@``."""


def _is(raw: str, bracket: str) -> bool:
    return raw.lstrip(_WHITE).startswith(bracket)


def _each(raw: str) -> list[str]:
    """An array's elements; the value itself where it is a scalar; nothing where there is none."""
    value = parsed(raw)
    if value is None:
        return []
    return list(elements(value)) if value[0] == "[" else [value]


def _options(argument: str) -> list[tuple[str, str]]:
    """The members of a modifier's argument, none where it is no JSON object."""
    if not (_is(argument, "{") and json_in(argument)):
        return []
    return [(unquote(key), value) for key, value in members(argument)]


def _truth(raw: str) -> bool:
    match kind_of(raw):
        case "true":
            return True
        case "string":
            return truth(unquote(raw)) is True
        case "number":
            return float(raw) != 0
        case _:
            return False


def _white_of(text: str) -> str:
    return "".join(each for each in text if each in _WHITE)
