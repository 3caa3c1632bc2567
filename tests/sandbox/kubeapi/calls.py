"""One request, parsed: who, what, and the options every verb shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .registry import Resource
from .status import FieldError, Json, bad_request, invalid, invalid_object, too_long, unsupported


@dataclass(frozen=True, slots=True)
class User:
    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, list[str]] = field(default_factory=dict)


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


@dataclass(slots=True, eq=False)
class Call:
    method: str
    path: str
    query: dict[str, str]
    user_agent: str
    accept: str
    content_type: str
    user: User
    body: bytes = b""
    # "" for paths that are no resource (discovery, health)
    verb: str = ""
    group: str = ""
    version: str = ""
    plural: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    found: Resource | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def resource(self) -> Resource:
        assert self.found is not None
        return self.found

    @property
    def manager(self) -> str:
        """Without a fieldManager, the part of the user agent before the slash."""
        given = self.query.get("fieldManager")
        return given or self.user_agent.partition("/")[0][:128] or "unknown"

    @property
    def dry_run(self) -> bool:
        return bool(self.query.get("dryRun"))

    def check_options(self, kind: str) -> None:
        errors: list[FieldError] = []
        dry = self.query.get("dryRun")
        if dry not in (None, "", "All"):
            errors.append(unsupported("dryRun", [dry], ["All"]))
        mode = self.query.get("fieldValidation")
        if mode not in (None, "", "Ignore", "Warn", "Strict"):
            errors.append(unsupported("fieldValidation", mode, ["", "Ignore", "Strict", "Warn"]))
        manager = self.query.get("fieldManager", "")
        if len(manager) > 128:
            errors.append(too_long("fieldManager", 128))
        for position, char in enumerate(manager):
            if not char.isprintable():
                text = f"invalid character U+{ord(char):04X} (at position {position})"
                errors.append(invalid("fieldManager", manager, text))
        if errors:
            raise invalid_object(kind, "meta.k8s.io", "", errors)


@dataclass(slots=True)
class Reply:
    """An answer before content negotiation. `single` objects may be shown as a Table."""

    code: int
    obj: Json | None = None
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}


def split_path(path: str) -> tuple[str, str, list[str]] | None:
    """Group, version and the rest, for resource paths only."""
    parts = [p for p in path.split("/") if p]
    if len(parts) >= 3 and parts[0] == "api":
        return "", parts[1], parts[2:]
    if len(parts) >= 4 and parts[0] == "apis":
        return parts[1], parts[2], parts[3:]
    return None


def resolve(call: Call) -> None:
    """Fill in what the path says, as the real server's RequestInfo."""
    split = split_path(call.path)
    if split is None:
        return
    call.group, call.version, rest = split
    if rest[0] == "watch":
        raise bad_request("the deprecated /watch paths are not served here")
    if rest[0] == "namespaces" and len(rest) > 1:
        call.namespace = rest[1]
        # /namespaces/x itself is the namespace; its own subresources are listed by name
        if len(rest) > 2 and rest[2] not in ("status", "finalize"):
            rest = rest[2:]
    call.plural = rest[0]
    call.name = rest[1] if len(rest) > 1 else ""
    call.subresource = "/".join(rest[2:])
    call.verb = _VERBS.get(call.method, "")
    if call.verb == "get" and not call.name:
        call.verb = "list"
        if call.query.get("watch", "").lower() in ("true", "1"):
            call.verb = "watch"
    elif call.verb == "delete" and not call.name:
        call.verb = "deletecollection"


def flag(query: Mapping[str, str], name: str) -> bool:
    value = query.get(name, "").lower()
    return value in ("true", "1", "t")


def number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name) or "0"
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def as_dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
