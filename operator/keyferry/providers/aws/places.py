"""Keys of manifests ↔ names in AWS.

``prefix`` is put before every key that is not an ARN. ESO puts it before ARNs too, and before the full names that it
has found by itself, both of which then name nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class Prefix:
    """``spec.provider.aws.prefix``."""

    def __init__(self, prefix: str | None) -> None:
        self._prefix = prefix or ""

    def name_of(self, key: str) -> str:
        """What AWS is asked for, for a key."""
        return key if key.startswith("arn:") else self._prefix + key

    def key_of(self, name: Any, arn: Any) -> str | None:
        """A key that names what was found under this name: its ARN, where the prefix would get in the way.

        None where AWS, whose words these are, does not say what it takes.
        """
        if isinstance(name, str) and name.startswith(self._prefix):
            return name[len(self._prefix) :]
        return arn if isinstance(arn, str) and arn.startswith("arn:") else None


def as_json(tags: Mapping[str, str]) -> bytes:
    """Tags as the document of ``metadataPolicy: Fetch``."""
    return json.dumps(dict(tags), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def tags_of(given: Any) -> dict[str, str] | None:
    """Tags from AWS's list of keys and values; None where it is not that."""
    if not isinstance(given, list):
        return None
    tags: dict[str, str] = {}
    for tag in given:
        if not isinstance(tag, Mapping) or not isinstance(tag.get("Key"), str):
            return None
        value = tag.get("Value", "")
        if not isinstance(value, str):
            return None
        tags[tag["Key"]] = value
    return tags
