"""The hashes that ESO leaves in a cluster, so that a cluster changes hands without one Secret being rewritten.

ESO hashes what Go's ``fmt.Sprintf("%+v", …)`` prints (eso-facts 1.4, 1.5): a map is ``map[k:v k2:v2]`` with its keys in
the order of their bytes, a byte slice is ``[118 97 108]``, a struct is ``{field:value field2:value2}``; nil and empty
maps print alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

__all__ = ["created_by", "field_manager", "object_hash", "synced_resource_version"]

MAX_FIELD_MANAGER = 63
"""Characters of a field manager's name beyond which ESO writes a hash in place of the object's name."""

_DECIMAL = [b"%d" % byte for byte in range(256)]


def object_hash(data: Mapping[str, bytes] | None) -> str:
    """The annotation ``reconcile.external-secrets.io/data-hash`` for a Secret's final ``data`` (raw bytes per key).

    Every managed Secret is hashed when the operator starts: 2 KB take about 70 µs.
    """
    decimal = _DECIMAL
    entries = [
        b"%b:[%b]" % (key.encode(), b" ".join([decimal[byte] for byte in value]))
        for key, value in sorted((data or {}).items())
    ]
    return _sha3(b"map[%b]" % b" ".join(entries))


def created_by(namespace: str, name: str) -> str:
    """The label ``reconcile.external-secrets.io/created-by``: the ExternalSecret that owns a Secret."""
    return _sha3(f"{namespace}/{name}".encode())


def synced_resource_version(
    generation: int, annotations: Mapping[str, str] | None, labels: Mapping[str, str] | None
) -> str:
    """``status.syncedResourceVersion``: changes with the spec, and with any label or annotation (eso-facts 1.4)."""
    printed = f"{{annotations:{_printed(annotations)} labels:{_printed(labels)}}}"
    return f"{generation}-{_sha3(printed.encode())}"


def field_manager(name: str) -> str:
    """Under which name the target of the ExternalSecret ``name`` is written (eso-facts 1.5).

    The API server takes no more than 128 characters; ESO replaces the name by its hash from 64 on.
    """
    manager = f"externalsecrets.external-secrets.io/{name}"
    if len(manager.encode()) <= MAX_FIELD_MANAGER:
        return manager
    return f"externalsecrets.external-secrets.io/sha3/{_sha3(name.encode())}"


def _printed(strings: Mapping[str, str] | None) -> str:
    return f"map[{' '.join(f'{key}:{value}' for key, value in sorted((strings or {}).items()))}]"


def _sha3(text: bytes) -> str:
    return hashlib.sha3_224(text).hexdigest()
