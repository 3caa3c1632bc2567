"""URLs. Errors never show the URL: it may hold a password."""

from __future__ import annotations

from collections.abc import Mapping

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.gourl import URL, URLError, parse_url
from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.values import Value, from_bytes, kind_of, to_bytes

REGISTRY = Registry()


def _in(text: str) -> str:
    return to_bytes(text).decode("latin-1")


def _out(text: str) -> str:
    return from_bytes(text.encode("latin-1"))


@REGISTRY.add("urlParse", "func(string) map[string]interface {}")
def url_parse(text: str) -> dict[str, Value]:
    try:
        url = parse_url(_in(text))
    except URLError as error:
        reason, detail = error.reason, error.detail
    else:
        return {
            "scheme": _out(url.scheme),
            "host": _out(url.host),
            "hostname": _out(url.hostname),
            "path": _out(url.path),
            "query": _out(url.query),
            "opaque": _out(url.opaque),
            "fragment": _out(url.fragment),
            "userinfo": _out(url.userinfo),
        }
    raise FunctionError(f"the URL cannot be parsed: {reason}", detail=f"unable to parse url: {detail}")


@REGISTRY.add("urlJoin", "func(map[string]interface {}) string")
def url_join(parts: Mapping[str, Value]) -> str:
    """The URL of the parts that ``urlParse`` gives; those left out are empty, and ``hostname`` is not looked at."""
    url = URL(
        scheme=_part(parts, "scheme"),
        host=_part(parts, "host"),
        path=_part(parts, "path"),
        query=_part(parts, "query"),
        opaque=_part(parts, "opaque"),
        fragment=_part(parts, "fragment"),
    )
    userinfo = _part(parts, "userinfo")
    if not userinfo:
        return _out(str(url))
    try:
        url.user = parse_url(f"proto://{userinfo}@host").user
    except URLError as error:
        reason, detail = error.reason, error.detail
    else:
        return _out(str(url))
    raise FunctionError(
        f"the userinfo cannot be parsed: {reason}", detail=f"unable to parse userinfo in dict: {detail}"
    )


def _part(parts: Mapping[str, Value], name: str) -> str:
    value = parts.get(name, "")
    if isinstance(value, str):
        return _in(value)
    if value is None:
        raise FunctionError(
            f'the part "{name}" is nil', detail="runtime error: invalid memory address or nil pointer dereference"
        )
    raise FunctionError(
        f'the part "{name}" is no string but of kind {kind_of(value)}',
        detail=f"unable to parse {name} key, must be of type string, but {kind_of(value)} found",
    )
