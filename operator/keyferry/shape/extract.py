"""From a store's document to values: ``remoteRef.property`` and ``dataFrom.extract``.

What a property means differs from provider to provider; ``ports.Layout`` says which rules hold (eso-facts 1.7, 5.0).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

from keyferry.errors import BadValue, KeyferryError, NotThere, PropertyNotThere
from keyferry.ports import Fetched, Layout
from keyferry.shape import gjson, jsontext
from keyferry.shape.gojson import dumps, float_text

__all__ = ["many", "one", "written"]

_NAMES_SHOWN = 3
_NAME_LENGTH = 64
"""Characters of an existing name that an error shows."""
_CLOSE = 0.5
"""How alike, from 0 to 1, a name must be to be suggested."""
_INDEX = re.compile(r"[0-9]{1,9}")
_SPECIAL = re.compile(r'([.*?|\\#@!{}\[\]()"])')


def one(
    fetched: Fetched,
    property: str,  # noqa: A002 -- the manifest's name for it
    layout: Layout,
    *,
    key: str,
    metadata: bool = False,
) -> bytes:
    """The value of ``property`` in a document, or the whole document where ``property`` is empty.

    ``key`` is the entry's ``remoteRef.key``, for error texts. ``metadata`` says that the document is the secret's
    metadata (``metadataPolicy: Fetch``), where ``labels.k`` and ``annotations.k`` name a key ``k`` that may hold dots.

    Raises ``PropertyNotThere``, or ``NotThere`` where the layout takes it for that, with the nearest names that exist;
    ``BadValue`` where a property is asked of what is not JSON. No error tells anything of a value.
    """
    try:
        found = _one(fetched.document, property, layout, metadata=metadata)
    except BadValue as error:
        told = error.within(f'"{key}"')
        if property and not told.remedy:
            told.remedy = f'property "{property}" can be taken from JSON only'
        raise told from None
    if found is None:
        raise _absent(fetched.document, property, layout, key)
    return found


def many(
    fetched: Fetched,
    property: str,  # noqa: A002 -- the manifest's name for it
    layout: Layout,
    *,
    key: str,
    metadata: bool = False,
) -> dict[str, bytes]:
    """The members of the JSON object that ``one`` would give, as separate values.

    How a member is written is the provider's way (eso-facts 1.7, 5.6): ``text`` keeps the JSON text and unquotes
    strings; ``object`` writes what was decoded as Go does and unquotes strings; ``keyed`` gives the map itself, and
    below a property writes JSON with its strings quoted. Null is an empty value, except under ``keyed``.

    Raises what ``one`` raises, and ``BadValue`` where there is no JSON object. A null document is none, although ESO
    makes an empty map of it: a deletion policy would take that for a deleted secret.
    """
    if isinstance(fetched.document, Mapping) and not property:
        return dict(fetched.document)
    value = one(fetched, property, layout, key=key, metadata=metadata)
    decoded = jsontext.loads(value, floats=True) if jsontext.is_json(value) else None
    if layout.paths == "asked" and isinstance(decoded, str) and jsontext.is_json(decoded.encode()):
        # A JSON string that holds an object, as ESO's webhook unpacks it.
        decoded = jsontext.loads(decoded.encode(), floats=True)
    if not isinstance(decoded, dict):
        place = f'property "{property}" of "{key}"' if property else f'"{key}"'
        raise BadValue(f"{place} is not a JSON object", remedy="extract needs one; read a single value with spec.data")
    if layout.form == "object":
        return {name: written(member) for name, member in decoded.items()}
    if layout.form == "keyed" and property:
        return {name: dumps(member, html=False) for name, member in decoded.items()}
    return {name: _as_it_stands(raw) for name, raw in _members(value)}


def _one(document: bytes | Mapping[str, bytes], wanted: str, layout: Layout, *, metadata: bool) -> bytes | None:
    if isinstance(document, Mapping):
        return _of_map(document, wanted, layout)
    if layout.paths == "asked":
        return document
    decoded: Any = None
    if layout.form == "object":
        decoded = jsontext.loads(document)
        if not isinstance(decoded, dict):
            raise BadValue("the value is not a JSON object")
        document = dumps(decoded)
    if not wanted:
        return document
    if metadata and (found := _of_metadata(jsontext.loads(document), wanted)) is not None:
        return found
    for look in _looks(layout, decoded):
        if (found := look(document, wanted)) is not None:
            return found
    return None


def _looks(layout: Layout, decoded: Any) -> tuple[Callable[[bytes, str], bytes | None], ...]:
    """The ways to look for a property, in the layout's order. ``decoded`` is given under the form ``object``."""
    literal: Callable[[bytes, str], bytes | None] = _escaped_dots
    exact: Callable[[bytes, str], bytes | None] = _exact
    if layout.form == "object":

        def literal_member(_document: bytes, wanted: str) -> bytes | None:
            return written(decoded[wanted]) if wanted in decoded else None

        literal = exact = literal_member
    match layout.paths:
        case "literal-first":
            return literal, _path
        case "path-first":
            return _path, literal
        case "path-only":
            return (_path,)
        case "literal-only" | "asked":
            return (exact,)


def _path(document: bytes, path: str) -> bytes | None:
    result = gjson.get(document, path)
    return result.text if result.exists else None


def _escaped_dots(document: bytes, wanted: str) -> bytes | None:
    """ESO's literal key: dots lose their meaning, nothing else does."""
    return _path(document, wanted.replace(".", "\\.")) if "." in wanted else None


def _exact(document: bytes, wanted: str) -> bytes | None:
    return _path(document, _SPECIAL.sub(r"\\\1", wanted))


def _of_map(document: Mapping[str, bytes], wanted: str, layout: Layout) -> bytes | None:
    """Kubernetes: all as one JSON object of strings; an exact key; or ``key.path``, a gjson path in a key's value."""
    if not wanted:
        return dumps({key: value.decode("utf-8", "surrogateescape") for key, value in document.items()}, html=False)
    if wanted in document:
        return document[wanted]
    head, _, path = wanted.partition(".")
    if layout.paths == "literal-only" or not path or head not in document:
        return None
    return _path(document[head], path)


def _of_metadata(decoded: Any, wanted: str) -> bytes | None:
    """A key of the metadata, or ``head.key`` where ``head`` is an object of strings or a string that holds JSON.

    Label and annotation keys have dots in them, so the rest is a key before it is anything else.
    """
    if not isinstance(decoded, dict):
        return None
    if wanted in decoded:
        return written(decoded[wanted], html=False)
    head, _, rest = wanted.partition(".")
    within = decoded.get(head)
    if isinstance(within, dict):
        return _of_metadata(within, rest)
    if type(within) is str and rest and jsontext.is_json(within.encode()):
        return _path(within.encode(), rest)
    return None


def written(value: Any, *, html: bool = True) -> bytes:
    """A decoded value as ESO's ``GetByteValue`` writes it: strings as they are, null empty, the rest as Go does."""
    match value:
        case None:
            return b""
        case str():
            return value.encode()
        case float():
            return float_text(value).encode()
        case _:
            return dumps(value, html=html)


def _members(document: bytes) -> list[tuple[str, str]]:
    text = jsontext.text_of(document)
    return [(_utf8(jsontext.unquote(key)), raw) for key, raw in jsontext.members(text)]


def _as_it_stands(raw: str) -> bytes:
    if raw == "null":
        return b""
    return _utf8(jsontext.unquote(raw)).encode() if raw.startswith('"') else jsontext.bytes_of(raw)


def _utf8(text: str) -> str:
    return jsontext.bytes_of(text).decode("utf-8", jsontext.GO_UTF8)


def _absent(document: bytes | Mapping[str, bytes], wanted: str, layout: Layout, key: str) -> KeyferryError:
    error = NotThere if layout.absent_property == "not-there" else PropertyNotThere
    return error(f'property "{wanted}" does not exist in "{key}"', remedy=_suggestion(document, wanted, layout))


def _suggestion(document: bytes | Mapping[str, bytes], wanted: str, layout: Layout) -> str:
    names = _names_near(document, wanted, layout)
    close = difflib.get_close_matches(wanted, names, n=_NAMES_SHOWN, cutoff=_CLOSE)
    shown = [f'"{name[:_NAME_LENGTH]}"' for name in close or sorted(names)[:_NAMES_SHOWN]]
    if not shown:
        return ""
    return f"{'did you mean' if close else 'there is'} {' or '.join(shown) if close else ', '.join(shown)}"


def _names_near(document: bytes | Mapping[str, bytes], wanted: str, layout: Layout) -> list[str]:
    """The names in the deepest object that exists on the way, each as the property that would lead to it."""
    if isinstance(document, Mapping):
        within: Any = {name: _decoded(value) for name, value in document.items()}
    else:
        within = _decoded(document)
    way: list[str] = []
    for part in wanted.split(".") if layout.paths != "literal-only" else ():
        if isinstance(within, list) and _INDEX.fullmatch(part) and int(part) < len(within):
            below = within[int(part)]
        elif isinstance(within, dict) and part in within:
            below = within[part]
        else:
            break
        if not isinstance(below, dict | list):
            break
        way.append(part)
        within = below
    if not isinstance(within, dict):
        return []
    escaped = bool(way) or layout.paths == "path-only"
    return [".".join([*way, _SPECIAL.sub(r"\\\1", name) if escaped else name]) for name in within]


def _decoded(document: bytes) -> Any:
    return jsontext.loads(document) if jsontext.is_json(document) else None
