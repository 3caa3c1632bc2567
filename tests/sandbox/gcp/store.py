"""What Secret Manager keeps: projects, secrets, versions, and who may do what.

Names are those of the API: a request may name a project by its id or its number, an answer always has the number.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.cloud.secretmanager_v1 import types as sm
from google.rpc import error_details_pb2

MAX_PAYLOAD: Final = 64 * 1024
READER: Final = frozenset({"secretmanager.versions.access"})
"""roles/secretmanager.secretAccessor"""
VIEWER: Final = frozenset(
    {
        "secretmanager.secrets.get",
        "secretmanager.secrets.list",
        "secretmanager.versions.get",
        "secretmanager.versions.list",
    }
)
"""roles/secretmanager.viewer"""
_NAME: Final = re.compile(r"projects/(?P<project>[^/]+)(/locations/(?P<location>[^/]+))?(?P<rest>/.*)?")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_TERM: Final = re.compile(r'\s*(?:AND\s+)?(?P<field>[\w.-]+)(?P<op>[:=])(?P<value>"(?:[^"\\]|\\.)*"|\S*)')


class Refusal(Exception):
    """An RPC that fails. ``details`` are messages of google.rpc."""

    def __init__(self, code: grpc.StatusCode, message: str, details: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


def error_info(reason: str, domain: str = "googleapis.com") -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason, domain=domain)


@dataclass
class Version:
    data: bytes
    created: dt.datetime
    state: str = "ENABLED"


@dataclass
class Secret:
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    versions: list[Version] = field(default_factory=list)
    changes: int = 0


class Store:
    """The state behind one double. ``projects`` maps id to number."""

    def __init__(self, projects: Mapping[str, str]) -> None:
        self.projects = dict(projects)
        self.disabled: set[str] = set()
        """Projects in which the API is not enabled."""
        self.secrets: dict[str, Secret] = {}
        self.granted: dict[str, dict[str, set[str]]] = {}
        """Identity → name of a project or secret → permissions."""
        self._clock = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    # -- what an administrator does

    def put(
        self,
        name: str,
        data: bytes,
        *,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> str:
        """Add a version to a secret, which is made where it does not exist. The result is the version's number."""
        assert _ID.fullmatch(name.rpartition("/")[2]), name
        assert len(data) <= MAX_PAYLOAD
        secret = self.secrets.setdefault(self.canonical(name), Secret())
        secret.labels |= labels or {}
        secret.annotations |= annotations or {}
        secret.changes += 1
        self._clock += dt.timedelta(seconds=1)
        secret.versions.append(Version(data, self._clock))
        return str(len(secret.versions))

    def delete(self, name: str) -> None:
        del self.secrets[self.canonical(name)]

    def grant(self, identity: str, permissions: frozenset[str], on: str) -> None:
        self.granted.setdefault(identity, {}).setdefault(self.canonical(on), set()).update(permissions)

    # -- what the API does

    def canonical(self, name: str) -> str:
        """The name with the project's number."""
        found = _NAME.fullmatch(name)
        if found is None:
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid resource name [{name}].")
        project = self.projects.get(found["project"], found["project"])
        if project not in self.projects.values():
            message = f"Permission denied on resource project {found['project']}."
            raise Refusal(grpc.StatusCode.PERMISSION_DENIED, message, [error_info("CONSUMER_INVALID")])
        if project in {self.projects[name] for name in self.disabled}:
            message = f"Secret Manager API has not been used in project {project} before or it is disabled."
            raise Refusal(grpc.StatusCode.PERMISSION_DENIED, message, [error_info("SERVICE_DISABLED")])
        place = f"/locations/{found['location']}" if found["location"] else ""
        return f"projects/{project}{place}{found['rest'] or ''}"

    def permissions(self, identity: str, name: str) -> set[str]:
        """What an identity may do with a secret or a project."""
        granted = self.granted.get(identity, {})
        return {each for on, given in granted.items() if f"{name}/".startswith(f"{on}/") for each in given}

    def demand(self, identity: str, permission: str, name: str, shown: str) -> None:
        """Raises ``Refusal`` where the identity may not; the API does not say whether the resource exists."""
        if permission not in self.permissions(identity, name):
            message = f"Permission '{permission}' denied for resource '{shown}' (or it may not exist)."
            info = error_info("IAM_PERMISSION_DENIED", "iam.googleapis.com")
            raise Refusal(grpc.StatusCode.PERMISSION_DENIED, message, [info])

    def secret(self, name: str) -> Secret:
        if not _ID.fullmatch(name.rpartition("/")[2]):
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid resource name [{name}].")
        if name not in self.secrets:
            raise Refusal(grpc.StatusCode.NOT_FOUND, f"Secret [{name}] not found.")
        return self.secrets[name]

    def version(self, name: str, asked: str) -> tuple[int, Version]:
        """A version by number, alias or ``latest``, which is the newest one whatever its state."""
        secret = self.secret(name)
        if asked == "latest":
            if not secret.versions:
                raise Refusal(grpc.StatusCode.NOT_FOUND, f"Secret [{name}] not found or has no versions.")
            number = len(secret.versions)
        else:
            number = secret.aliases.get(asked, int(asked) if asked.isdigit() else 0)
        if not 1 <= number <= len(secret.versions):
            raise Refusal(grpc.StatusCode.NOT_FOUND, f"Secret Version [{name}/versions/{asked}] not found.")
        return number, secret.versions[number - 1]

    def below(self, parent: str, terms: str) -> Iterator[tuple[str, Secret]]:
        """The secrets right below a project or location that a filter lets through, by name."""
        wanted = list(self._terms(terms))
        for name, secret in sorted(self.secrets.items()):
            if name.rpartition("/secrets/")[0] == parent and all(_fits(name, secret, *term) for term in wanted):
                yield name, secret

    def described(self, name: str, secret: Secret) -> sm.Secret:
        return sm.Secret(
            name=name, labels=secret.labels, annotations=secret.annotations, etag=f'"{secret.changes:015x}"'
        )

    def _terms(self, terms: str) -> Iterator[tuple[str, str, str]]:
        place = 0
        while place < len(terms.rstrip()):
            found = _TERM.match(terms, place)
            if found is None:
                raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "Request contains an invalid filter.")
            value = found["value"]
            if value.startswith('"'):
                value = re.sub(r"\\(.)", r"\1", value[1:-1])
            yield found["field"], found["op"], value
            place = found.end()


def _fits(name: str, secret: Secret, which: str, operator: str, value: str) -> bool:
    head, _, label = which.partition(".")
    if head == "labels":
        found = secret.labels.get(label)
    elif which == "name":
        found = name.rpartition("/")[2]
    else:
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"Unknown field [{which}] in filter.")
    if found is None:
        return False
    return found == value if operator == "=" else value.lower() in found.lower()
