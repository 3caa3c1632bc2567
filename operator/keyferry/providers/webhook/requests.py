"""What is sent for one ref: method, address, headers and body out of a store's templates.

Filling is blocking. In the address key, version and property are escaped as Go's ``url.QueryEscape`` does; everything
else stands as it is. What is filled in may be a secret, so no error shows it: they name the field, and the server as
the manifest writes it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import SplitResult, quote, quote_plus, unquote, urlsplit

from yarl import URL

from keyferry.errors import BadSpec, KeyferryError
from keyferry.ports import Ref
from keyferry.providers.webhook.config import WebhookConfig

Fill = Callable[[str, Mapping[str, Mapping[str, str]]], str]

GAP: Final = "<no value>"
"""What Go's templates write for a name that does not exist."""
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_IGNORED: Final = frozenset({"content-length", "host", "trailer", "transfer-encoding"})
"""Headers that Go's HTTP client, and so ESO, does not take from a request's headers."""
_SCHEME: Final = re.compile(r"\s*(https?)://", re.IGNORECASE)
_HOST: Final = re.compile(r"[\w.-]+|[0-9A-Fa-f:.]+")
_NUMERIC: Final = re.compile(r"(?:0[xX][0-9A-Fa-f]*|[0-9]+)(?:\.(?:0[xX][0-9A-Fa-f]*|[0-9]+))*\.*")
_DOTTED: Final = re.compile(r"(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})")
_IN_PATH: Final = "/%:@!$&'()*+,;=~-._[]|"
_IN_QUERY: Final = f"{_IN_PATH}?"
_LONGEST: Final = 300
"""Characters of a server's name that errors show."""
_TRIM: Final = "take it out of the Secret's value, or use trim in the template"


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """One request. Equal ones need to be sent once only. There is no repr of its fields: they may be secrets."""

    method: str
    url: URL
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    path: str = field(default="", compare=False)
    """``result.jsonPath``, filled: for the answer, not for the server."""
    gaps: bool = field(default=False, compare=False)
    """A template named something that does not exist."""

    def has(self, header: str) -> bool:
        """Whether a header is there."""
        return any(name.lower() == header.lower() for name, _ in self.headers)

    def without(self, header: str) -> Request:
        """The request without a header."""
        return replace(self, headers=tuple(each for each in self.headers if each[0].lower() != header.lower()))

    def having(self, header: str, value: str) -> Request:
        """The request with one more header."""
        return replace(self, headers=(*self.headers, (header, value)))


@dataclass(frozen=True, slots=True)
class Server:
    """The server of a store, as its manifest writes it: that is shown in errors, and holds no secret."""

    name: str
    """Host and port, or the template that makes them."""
    address: str
    """The same with the scheme."""
    url: URL | None
    """Its address; None where a template has a say in it."""


def server_of(template: str) -> Server:
    """The server that a URL's template names. Raises ``BadSpec`` where it cannot be one."""
    unknown = Server("the server that url makes", "the server that url makes", None)
    found = _SCHEME.match(template)
    if found is None:
        if "{{" in template.partition("/")[0]:
            return unknown
        raise BadSpec("url is no http or https address", remedy="write it like https://hooks.example.com/secrets")
    scheme, authority = found[1].lower(), _authority(template[found.end() :])
    url = None if "{{" in authority else target(f"{scheme}://{authority}/", "")[0]
    name = authority.rpartition("@")[2]
    if len(name) > _LONGEST or name.count("{{") != name.count("}}"):
        return unknown
    return Server(name, f"{scheme}://{name}", url)


def _authority(rest: str) -> str:
    """What stands before the path; a slash within an action does not end it."""
    place = 0
    while place < len(rest) and rest[place] not in "/?#":
        if rest.startswith("{{", place):
            end = rest.find("}}", place)
            place = len(rest) if end < 0 else end + 2
        else:
            place += 1
    return rest[:place]


def target(text: str, key: str) -> tuple[URL, str | None]:
    """Where a request goes, and the Authorization header that stands for the user and password in the address.

    ``key`` is the ref's, for the error text. Raises ``BadSpec`` for what is no address, and for a path with ``..`` in
    it: a key must not lead out of the path that the store gives it.
    """
    text = text.strip()
    if _CONTROL.search(text):
        raise BadSpec("url: what the template makes holds a line break or another control character", remedy=_TRIM)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _no_address() from None
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not _HOST.fullmatch(host):
        raise _no_address()
    if _NUMERIC.fullmatch(host) and not _DOTTED.fullmatch(host):
        raise BadSpec("url: the server's address is not written as four numbers", remedy="write it like 192.0.2.1")
    if {".", ".."} & set(re.split(r"[/\\]", unquote(parts.path))):
        raise BadSpec(
            f'key "{key}" leads out of the path that url names' if key else "url has a path with . or .. in it",
            remedy="give a key without . or .. between slashes",
        )
    try:
        origin = str(URL.build(scheme=parts.scheme, host=host, port=port))
    except ValueError:
        raise _no_address() from None
    query = f"?{quote(parts.query, safe=_IN_QUERY)}" if parts.query else ""
    return URL(f"{origin}{quote(parts.path or '/', safe=_IN_PATH)}{query}", encoded=True), _basic(parts)


def _no_address() -> BadSpec:
    return BadSpec("url: what the template makes is no http or https address", remedy="check the template")


def _basic(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(login.encode()).decode()}"


class Requests:
    """Makes the requests of one store."""

    def __init__(
        self, config: WebhookConfig, secrets: Mapping[str, Mapping[str, str]], *, namespace: str, fill: Fill
    ) -> None:
        """``namespace`` is the caller's. Raises ``BadSpec`` for a method or a header that cannot be sent."""
        self.server = server_of(config.url)
        self._config = config
        self._secrets = secrets
        self._namespace = namespace
        self._fill = fill
        self._method = (config.method or "GET").upper()
        if not _TOKEN.fullmatch(self._method) or self._method == "CONNECT":
            raise BadSpec("method cannot be sent", remedy="use one like GET or POST")
        for name in config.headers or {}:
            if not _TOKEN.fullmatch(name):
                raise BadSpec(f'headers: "{name}" cannot be the name of a header', remedy="use one like Authorization")

    def make(self, ref: Ref) -> Request:
        """The request for a ref. Blocking. Raises ``BadSpec`` and ``BadValue``."""
        plain = self._values(ref, lambda text: text)
        filled = self._filled("url", self._config.url, self._values(ref, quote_plus))
        url, login = target(filled, ref.key)
        texts = [filled]
        headers = []
        for name, template in (self._config.headers or {}).items():
            value = self._filled(f"headers.{name}", template, plain).strip()
            if _CONTROL.search(value):
                raise BadSpec(
                    f"headers.{name}: what the template makes holds a line break or another control character",
                    remedy=_TRIM,
                )
            texts.append(value)
            if name.lower() not in _IGNORED:
                headers.append((name, value))
        body = self._filled("body", self._config.body or "", plain)
        template = (self._config.result.json_path if self._config.result else None) or ""
        path = self._filled("result.jsonPath", template, plain).strip()
        request = Request(
            method=self._method,
            url=url,
            headers=tuple(headers),
            body=body.encode("utf-8", "surrogateescape"),
            path=path,
            gaps=any(GAP in text for text in (*texts, body)),
        )
        return request if login is None or request.has("Authorization") else request.having("Authorization", login)

    def _values(self, ref: Ref, escape: Callable[[str], str]) -> Mapping[str, Mapping[str, str]]:
        """A Secret that is called remoteRef adds to the ref's names, and wins over them, as in ESO."""
        own = {
            "key": escape(ref.key),
            "version": escape(ref.version),
            "property": escape(ref.property),
            "namespace": self._namespace,
        }
        return {**self._secrets, "remoteRef": own | dict(self._secrets.get("remoteRef", {}))}

    def _filled(self, field_name: str, template: str, values: Mapping[str, Mapping[str, str]]) -> str:
        if "{{" not in template:
            return template
        try:
            return self._fill(template, values)
        except KeyferryError as error:
            raise error.within(field_name) from None
