"""A kubeconfig that a user keeps in a Secret: read strictly, and without the official client.

Whoever can write that Secret is not the operator's administrator. So nothing in it may start a program, read one of the
operator's files or act as somebody else: only data that stands in the document itself counts, and a field that says
otherwise is refused by name.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from keyferry.errors import BadSpec

_REFUSED = {
    "cluster": {"certificate-authority": "put the CA into certificate-authority-data"},
    "user": {
        "exec": "use a token or client-certificate-data",
        "auth-provider": "use a token or client-certificate-data",
        "tokenFile": "put the token into token",
        "client-certificate": "put the certificate into client-certificate-data",
        "client-key": "put the key into client-key-data",
        "as": "use the credential of that user",
        "as-uid": "use the credential of that user",
        "as-groups": "use the credential of a member",
        "as-user-extra": "leave it out",
    },
}


@dataclass(frozen=True, slots=True, repr=False)
class InlineKubeconfig:
    """The current context of a kubeconfig. Certificates and keys are PEM; the repr shows none of it."""

    server: str
    ca: bytes | None
    cert: bytes | None
    key: bytes | None
    token: str
    username: str
    password: str
    insecure: bool
    """``insecure-skip-tls-verify``"""
    server_hostname: str | None
    proxy: str | None


def parse(document: bytes, *, where: str) -> InlineKubeconfig:
    """Read ``document``; ``where`` is the manifest's field that named it. Raises ``BadSpec``, which quotes no value."""
    try:
        given = yaml.safe_load(document)
    except (yaml.YAMLError, ValueError):
        # The parser's error quotes the line.
        raise BadSpec(f"{where}: the kubeconfig is no YAML") from None
    if not isinstance(given, dict):
        raise BadSpec(f"{where}: the kubeconfig is no YAML object")
    context = _named(given, "context", given.get("current-context"), where)
    cluster = _named(given, "cluster", context.get("cluster"), where)
    user = _named(given, "user", context.get("user"), where) if context.get("user") else {}
    for kind, part in (("cluster", cluster), ("user", user)):
        for field, remedy in _REFUSED[kind].items():
            if part.get(field):
                raise BadSpec(f"{where}: {kind}.{field} is not allowed in a kubeconfig of a store", remedy=remedy)
    cert, key = _data(user, "client-certificate-data", where), _data(user, "client-key-data", where)
    if (cert is None) != (key is None):
        raise BadSpec(f"{where}: client-certificate-data and client-key-data need each other")
    return InlineKubeconfig(
        server=_text(cluster, "server", where),
        ca=_data(cluster, "certificate-authority-data", where),
        cert=cert,
        key=key,
        token=_text(user, "token", where),
        username=_text(user, "username", where),
        password=_text(user, "password", where),
        insecure=cluster.get("insecure-skip-tls-verify") is True,
        server_hostname=_text(cluster, "tls-server-name", where) or None,
        proxy=_text(cluster, "proxy-url", where) or None,
    )


def _named(given: Mapping[str, Any], kind: str, name: object, where: str) -> Mapping[str, Any]:
    """The entry of ``contexts``, ``clusters`` or ``users`` that is called ``name``."""
    if not name or not isinstance(name, str):
        raise BadSpec(f"{where}: the kubeconfig names no current {kind}", remedy="set current-context")
    entries = given.get(f"{kind}s")
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(kind), dict):
            found: Mapping[str, Any] = entry[kind]
            return found
    raise BadSpec(f"{where}: the kubeconfig's current {kind} is not among its {kind}s")


def _text(part: Mapping[str, Any], field: str, where: str) -> str:
    value = part.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadSpec(f"{where}: {field} of the kubeconfig is no text", remedy="put it in quotes")
    return value


def _data(part: Mapping[str, Any], field: str, where: str) -> bytes | None:
    value = _text(part, field, where)
    try:
        return base64.b64decode("".join(value.split()), validate=True) if value else None
    except (binascii.Error, ValueError):
        raise BadSpec(f"{where}: {field} of the kubeconfig is no base64") from None
