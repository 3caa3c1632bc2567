"""Go's ``net/url``: URLs taken to pieces and put together.

All text here has one character for each byte (``latin-1``), as Go looks at bytes.
"""

from __future__ import annotations

import ipaddress
import re
import string
from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from keyferry.shape.gotmpl.fmt import quote
from keyferry.shape.gotmpl.values import from_bytes

__all__ = ["URL", "URLError", "parse_url"]

_WORD: Final = frozenset(string.ascii_letters + string.digits + "-._~")
_PATH: Final = _WORD | frozenset("$&+,/:;=@")
_USER: Final = _WORD | frozenset("$&+,;=")
_FRAGMENT: Final = _WORD | frozenset("!$&()*+,/:;=?@")
_HOST: Final = _WORD | frozenset("!\"$&'()*+,:;<=>[]")
"""Characters that stand for themselves in a part."""
_ZONE: Final = _HOST | frozenset("% ")
"""Characters that the zone of an IPv6 address may escape. A host may escape "%", and what is beyond ASCII."""

_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")
_SCHEME: Final = re.compile("([A-Za-z][A-Za-z0-9+.-]*):")
_USERINFO: Final = re.compile(r"[A-Za-z0-9._:~!$&'()*+,;=%@-]*")
_PORT: Final = re.compile("(?::[0-9]*)?")
_ESCAPE: Final = re.compile("%([0-9A-Fa-f]{2})")
_HOST_PIECE: Final = re.compile("%.{0,2}|[^%]", re.DOTALL)


class URLError(Exception):
    """Text that is no URL. ``reason`` holds none of it; ``detail`` is what Go says."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail or reason


@dataclass(slots=True)
class URL:
    """The parts, unescaped, but for the query and what is opaque. ``user`` is None where there is none."""

    scheme: str = ""
    opaque: str = ""
    user: tuple[str, str | None] | None = None
    host: str = ""
    path: str = ""
    query: str = ""
    fragment: str = ""

    @property
    def userinfo(self) -> str:
        """User and password as they stand in a URL."""
        if self.user is None:
            return ""
        name, password = self.user
        return _escaped(name, _USER) + ("" if password is None else ":" + _escaped(password, _USER))

    @property
    def hostname(self) -> str:
        """The host without its port and without brackets."""
        host, colon, port = self.host.rpartition(":")
        if not colon or not _PORT.fullmatch(colon + port):
            host = self.host
        return host[1:-1] if host.startswith("[") and host.endswith("]") else host

    def __str__(self) -> str:
        text = f"{self.scheme}:" if self.scheme else ""
        if self.opaque:
            text += self.opaque
        else:
            has_authority = bool(self.host) or self.user is not None
            if has_authority or (self.scheme and self.path):
                text += "//"
            if self.user is not None:
                text += self.userinfo + "@"
            text += _escaped(self.host, _HOST)
            path = "*" if self.path == "*" else _escaped(self.path, _PATH)
            if path and self.host and not path.startswith("/"):
                text += "/"
            if not text and ":" in path.partition("/")[0]:
                # Else the first segment would be read as a scheme.
                text = "./"
            text += path
        if self.query:
            text += f"?{self.query}"
        if self.fragment:
            text += "#" + _escaped(self.fragment, _FRAGMENT)
        return text


def parse_url(text: str) -> URL:
    """``url.Parse``. Raises ``URLError``."""
    rest, _, fragment = text.partition("#")
    try:
        url = _parsed(rest)
        rest = text
        url.fragment = _unescaped(fragment)
    except URLError as error:
        reason, detail = error.reason, f"parse {_shown(rest)}: {error.detail}"
    else:
        return url
    raise URLError(reason, detail)


def _parsed(text: str) -> URL:
    if _CONTROL.search(text):
        raise URLError("it has a control character", "net/url: invalid control character in URL")
    if text == "*":
        return URL(path="*")
    scheme = _SCHEME.match(text)
    if scheme is None and text.startswith(":"):
        raise URLError("missing protocol scheme")
    rest = text[scheme.end() :] if scheme else text
    url = URL(scheme=scheme[1].lower() if scheme else "")
    rest, _, url.query = rest.partition("?")
    if not rest.startswith("/"):
        if url.scheme:
            url.opaque = rest
            return url
        if ":" in rest.partition("/")[0]:
            raise URLError("first path segment in URL cannot contain colon")
    if rest.startswith("//") and (url.scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        rest = slash + path
        _set_authority(url, authority)
    url.path = _unescaped(rest)
    return url


def _set_authority(url: URL, authority: str) -> None:
    userinfo, at, host = authority.rpartition("@")
    url.host = _host(url.scheme, host)
    if not at:
        return
    if not _USERINFO.fullmatch(userinfo):
        raise URLError("invalid userinfo", "net/url: invalid userinfo")
    name, colon, password = userinfo.partition(":")
    url.user = _unescaped(name), _unescaped(password) if colon else None


def _host(scheme: str, host: str) -> str:
    bracket = host.rfind("[")
    if bracket > 0:
        raise URLError("invalid IP-literal")
    if bracket == 0:
        return _ip_literal(host)
    colon = host.find(":") if scheme in {"http", "https"} else host.rfind(":")
    if colon >= 0:
        _check_port(host[colon:])
    return _unescaped_host(host, "%")


def _ip_literal(host: str) -> str:
    address, closing, port = host[1:].rpartition("]")
    if not closing:
        raise URLError("missing ']' in host")
    _check_port(port)
    address, percent, zone = address.partition("%25")
    literal = _unescaped_host(address, "%")
    if percent:
        literal += "%" + _unescaped_host(zone, _ZONE)
    if not _is_ipv6(literal):
        raise URLError("invalid IP address in host", f"invalid host: {_shown(literal)} is no IPv6 address")
    return f"[{literal}]{port}"


def _is_ipv6(literal: str) -> bool:
    address, percent, zone = literal.partition("%")
    if percent and not zone:
        return False
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return True


def _check_port(port: str) -> None:
    if not _PORT.fullmatch(port):
        raise URLError("invalid port after host", f"invalid port {_shown(port)} after host")


def _unescaped(text: str) -> str:
    at = text.find("%")
    while at >= 0:
        if not _ESCAPE.match(text, at):
            raise _bad_escape(text[at : at + 3])
        at = text.find("%", at + 3)
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def _unescaped_host(text: str, may_escape: Container[str]) -> str:
    """A host. Of ASCII it may escape a few characters only; others have to be such as a host may have."""
    for match in _HOST_PIECE.finditer(text):
        piece = match[0]
        if piece[0] == "%":
            character = chr(int(piece[1:], 16)) if _ESCAPE.fullmatch(piece) else ""
            if not character or (character not in may_escape and (character.isascii() or may_escape is _ZONE)):
                raise _bad_escape(piece)
        elif piece.isascii() and piece not in _HOST:
            raise URLError("invalid character in host name", f"invalid character {_shown(piece)} in host name")
    return _unescaped(text)


def _bad_escape(escape: str) -> URLError:
    return URLError("invalid URL escape", f"invalid URL escape {_shown(escape)}")


def _escaped(text: str, safe: frozenset[str]) -> str:
    return "".join(each if each in safe else f"%{ord(each):02X}" for each in text)


def _shown(text: str) -> str:
    return quote(from_bytes(text.encode("latin-1")))
