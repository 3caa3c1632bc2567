"""The functions CRD rules may call: CEL's own and the Kubernetes libraries' common ones."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import urlparse

from .validate import pattern


class CelError(Exception):
    """An error at evaluation; the rule counts as failed."""


@dataclass(frozen=True, slots=True)
class Maybe:
    """CEL's optional value."""

    value: Any
    empty: bool = False

    @classmethod
    def none(cls) -> Maybe:
        return cls(None, True)


def kind(value: Any) -> str:
    if value is None:
        return "null"
    for types, name in _KINDS:
        if isinstance(value, types):
            return name
    return type(value).__name__


_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (int, "int"),
    (float, "double"),
    (str, "string"),
    (bytes, "bytes"),
    (list, "list"),
    (dict, "map"),
    (timedelta, "duration"),
    (datetime, "timestamp"),
)


def equal(a: Any, b: Any) -> bool:
    """Heterogeneous equality: 1 == 1.0, but 1 != true and 1 != "1"."""
    if isinstance(a, bool) != isinstance(b, bool):
        return False
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    return bool(a == b)


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(h|ms|m|s|us|µs|ns)")


def duration(text: Any) -> timedelta:
    if isinstance(text, timedelta):
        return text
    if not isinstance(text, str):
        raise CelError("no such overload")
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return timedelta()
    parts = _PART.findall(rest)
    if not parts or "".join(a + b for a, b in parts) != rest:
        raise CelError(f'time: invalid duration "{text}"')
    return sign * timedelta(seconds=sum(float(a) * _UNITS[b] for a, b in parts))


def timestamp(text: Any) -> datetime:
    if isinstance(text, datetime):
        return text
    try:
        return datetime.fromisoformat(text)
    except (ValueError, AttributeError):
        raise CelError("invalid timestamp") from None


def size(value: Any) -> int:
    if isinstance(value, str | bytes | list | dict):
        return len(value)
    raise CelError("no such overload")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise CelError("no such overload")
    return value


def string(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if value is None or isinstance(value, list | dict):
        raise CelError("no such overload")
    return str(value)


def to_int(value: Any) -> int:
    try:
        return int(value.timestamp()) if isinstance(value, datetime) else int(value)
    except (TypeError, ValueError):
        raise CelError(f"cannot convert to int: {kind(value)}") from None


def to_double(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise CelError(f"cannot convert to double: {kind(value)}") from None


def _url(text: Any) -> Any:
    parsed = urlparse(_text(text))
    if not (parsed.scheme and parsed.netloc) and not text.startswith("/"):
        raise CelError(f"URL parse error during conversion from string: {text}")
    return parsed


def _is(make: Callable[[Any], Any]) -> Callable[[Any], bool]:
    def test(value: Any) -> bool:
        try:
            make(value)
        except (CelError, ValueError):
            return False
        return True

    return test


def _matches(text: Any, expression: Any) -> bool:
    try:
        return bool(pattern(_text(expression)).search(_text(text)))
    except re.error:
        raise CelError("error parsing regexp") from None


def _substring(text: str, start: int, end: int | None = None) -> str:
    last = len(_text(text)) if end is None else end
    if not 0 <= start <= last <= len(text):
        raise CelError(f"index out of range: {start}")
    return text[start:last]


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if separator == "":
        return list(text)
    return _text(text).split(_text(separator), limit - 1 if limit > 0 else -1)


def _index_of(value: Any, item: Any, start: int = 0) -> int:
    if isinstance(value, str):
        return value.find(_text(item), start)
    return next((i for i, other in enumerate(value) if equal(item, other)), -1)


def _last_index_of(value: Any, item: Any) -> int:
    if isinstance(value, str):
        return value.rfind(_text(item))
    hits = [i for i, other in enumerate(value) if equal(item, other)]
    return hits[-1] if hits else -1


def _value(maybe: Any) -> Any:
    if not isinstance(maybe, Maybe):
        raise CelError("no such overload")
    if maybe.empty:
        raise CelError("optional.none() dereference")
    return maybe.value


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    return _text(text).replace(_text(old), _text(new), count)


def _is_sorted(items: list[Any]) -> bool:
    return all(not b < a for a, b in pairwise(items))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "size": size,
    "duration": duration,
    "timestamp": timestamp,
    "string": string,
    "int": to_int,
    "uint": to_int,
    "double": to_double,
    "dyn": lambda v: v,
    "bool": lambda v: v if isinstance(v, bool) else {"true": True, "false": False}[v],
    "bytes": lambda v: v if isinstance(v, bytes) else _text(v).encode(),
    "type": kind,
    "matches": _matches,
    "url": _url,
    "isURL": _is(_url),
    "ip": lambda v: ipaddress.ip_address(_text(v)),
    "isIP": _is(lambda v: ipaddress.ip_address(_text(v))),
    "cidr": lambda v: ipaddress.ip_network(_text(v), strict=False),
    "isCIDR": _is(lambda v: ipaddress.ip_network(_text(v), strict=False)),
    "optional.of": Maybe,
    "optional.none": Maybe.none,
    "optional.ofNonZeroValue": lambda v: Maybe(v) if v else Maybe.none(),
    "base64.encode": lambda v: base64.b64encode(v).decode(),
    "base64.decode": lambda v: base64.b64decode(_text(v)),
    "math.greatest": lambda *v: max(v[0] if isinstance(v[0], list) else v),
    "math.least": lambda *v: min(v[0] if isinstance(v[0], list) else v),
}

METHODS: dict[str, Callable[..., Any]] = {
    "size": size,
    "matches": _matches,
    "split": _split,
    "substring": _substring,
    "contains": lambda t, part: _text(part) in _text(t),
    "startsWith": lambda t, part: _text(t).startswith(_text(part)),
    "endsWith": lambda t, part: _text(t).endswith(_text(part)),
    "lowerAscii": lambda t: _text(t).lower(),
    "upperAscii": lambda t: _text(t).upper(),
    "trim": lambda t: _text(t).strip(),
    "replace": _replace,
    "charAt": lambda t, i: _substring(t, i, min(i + 1, len(t))),
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "join": lambda items, sep="": sep.join(_text(i) for i in items),
    "find": lambda t, e: m[0] if (m := pattern(e).search(t)) else "",
    "findAll": lambda t, e, n=-1: [m[0] for m in pattern(e).finditer(t)][: n if n >= 0 else None],
    "isSorted": _is_sorted,
    "sum": sum,
    "min": min,
    "max": max,
    "hasValue": lambda v: not v.empty,
    "value": _value,
    "orValue": lambda v, other: other if v.empty else v.value,
    "or": lambda v, other: other if v.empty else v,
    "getHost": lambda u: u.netloc,
    "getHostname": lambda u: u.hostname or "",
    "getScheme": lambda u: u.scheme,
    "getPort": lambda u: str(u.port or ""),
    "getEscapedPath": lambda u: u.path,
    "getSeconds": lambda d: int(d.total_seconds()),
    "getMinutes": lambda d: int(d.seconds // 60),
    "getHours": lambda d: int(d.total_seconds() // 3600),
    "getMilliseconds": lambda d: int(d.total_seconds() * 1000),
    "getFullYear": lambda t: t.year,
    "family": lambda a: a.version,
    "isLoopback": lambda a: a.is_loopback,
}
