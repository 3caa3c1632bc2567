"""Where Google's hosts are reached, and whom to trust there: what an administrator decides for all stores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import SplitResult

from keyferry.errors import BadSpec

ENDPOINTS: Final = "KEYFERRY_GCP_ENDPOINTS"
"""``host=substitute[:port]``, separated by commas: Private Service Connect, or a stand-in for tests."""
_METADATA: Final = "metadata.google.internal"


@dataclass(frozen=True, slots=True)
class Sites:
    """``substitutes`` maps a host of Google to the address to use instead, whose certificate is then the one to trust.

    ``roots`` is PEM of the authorities to trust; None are the system's, and those that gRPC brings along, of which a
    process needs one copy and not one per channel. ``credentials_file`` is the path of Keyferry's own credential, ""
    where it has none but the metadata server's.
    """

    substitutes: Mapping[str, str] = field(default_factory=dict)
    roots: bytes | None = None
    credentials_file: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """What the environment says: ``KEYFERRY_GCP_ENDPOINTS``, Google's own variables, and OpenSSL's SSL_CERT_FILE.

        Raises ``BadSpec`` for what cannot be read.
        """
        substitutes = dict(_pair(entry) for entry in environment.get(ENDPOINTS, "").split(",") if entry.strip())
        if environment.get("GCE_METADATA_HOST"):
            substitutes.setdefault(_METADATA, environment["GCE_METADATA_HOST"])
        return cls(
            substitutes,
            _roots(environment.get("SSL_CERT_FILE", "")),
            environment.get("GOOGLE_APPLICATION_CREDENTIALS", ""),
        )

    def address(self, host: str) -> str:
        """Where a host is reached: ``host[:port]``."""
        return self.substitutes.get(host, host)

    def reached(self, url: SplitResult) -> SplitResult:
        """The URL to send a request to."""
        return url._replace(netloc=self.substitutes.get(url.hostname or "", url.netloc))

    def own_credentials(self) -> Mapping[str, Any] | None:
        """The credential of ``credentials_file``, None where there is no such file set. Raises ``BadSpec``."""
        if not self.credentials_file:
            return None
        try:
            found = json.loads(Path(self.credentials_file).read_bytes())
        except (OSError, ValueError):
            found = None
        if not isinstance(found, dict):
            raise BadSpec(
                "GOOGLE_APPLICATION_CREDENTIALS names no readable file of JSON", remedy="check how Keyferry is deployed"
            )
        return found


def _pair(entry: str) -> tuple[str, str]:
    host, _, substitute = entry.strip().partition("=")
    if not host or not substitute or "/" in substitute:
        raise BadSpec(f"{ENDPOINTS} cannot be read", remedy="write it as host=substitute:port,host=substitute:port")
    return host, substitute


def _roots(path: str) -> bytes | None:
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError:
        raise BadSpec("SSL_CERT_FILE names no readable file", remedy="check how Keyferry is deployed") from None
