"""Key and version of a manifest → names of Secret Manager, and back."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from keyferry.errors import BadSpec

LATEST: Final = "latest"
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_VERSION: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")
_PROJECT: Final = re.compile(r"[a-z0-9:.-]{1,63}")
_LOCATION: Final = re.compile(r"[a-z0-9-]{1,63}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a store's secrets are: a project, and a location of it for regional ones ("" for global ones)."""

    project: str
    location: str = ""

    def __post_init__(self) -> None:
        """Raises ``BadSpec`` where it is none: both become part of names, the location of a host's name."""
        if not _PROJECT.fullmatch(self.project):
            raise BadSpec("projectID is no id and no number of a project", remedy="write it like my-project-123")
        if self.location and not _LOCATION.fullmatch(self.location):
            raise BadSpec("location is no location", remedy="write it like europe-west3, or leave it out")

    @property
    def host(self) -> str:
        """The host that serves this place."""
        return f"secretmanager.{self.location}.rep.googleapis.com" if self.location else "secretmanager.googleapis.com"

    @property
    def parent(self) -> str:
        """The name that secrets are listed below."""
        return f"projects/{self.project}/locations/{self.location}" if self.location else f"projects/{self.project}"

    def secret(self, key: str) -> str:
        """The name of a secret. Raises ``BadSpec`` where the key cannot be one."""
        if not _SECRET.fullmatch(key):
            raise BadSpec(
                f"{_quoted(key)} is no name of a secret",
                remedy="a name has up to 255 letters, digits, hyphens and underscores; the project stands in the store",
            )
        return f"{self.parent}/secrets/{key}"

    def version(self, key: str, version: str) -> str:
        """The name of a version, by number or alias. Raises ``BadSpec`` where one of them cannot be one."""
        if not _VERSION.fullmatch(version):
            raise BadSpec(f"{_quoted(version)} is no version", remedy="give a number, an alias, or latest")
        return f"{self.secret(key)}/versions/{version}"

    def __str__(self) -> str:
        return f'project "{self.project}"' + (f' in "{self.location}"' if self.location else "")


def _quoted(text: str) -> str:
    """As it stands in JSON: a key may hold line breaks, a message may not."""
    return json.dumps(text[:64], ensure_ascii=False)


def last_part(name: str) -> str:
    """The secret's id, or the version's number: what stands last in a name of Secret Manager."""
    return name.rpartition("/")[2]
