"""What a vault's answers mean: the one table from status and code to error.

Codes are those of the Key Vault REST API. Its messages are not repeated: they hold ids of requests, principals and
policies, and addresses of callers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from azure.core.exceptions import HttpResponseError

from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, NotThere, Unreachable
from keyferry.transport import retry_after


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a request is for, in the words of the error that it may end with."""

    doing: str
    """Such as ``read secret "db"``."""
    absent: str = ""
    """What is said where the vault does not have it; "" where absence makes no sense."""
    code: str = ""
    """The vault's code for that: ``SecretNotFound``."""
    right: str = ""
    """What the identity needs: ``get on secrets``."""


_REFUSALS: Final = {
    "SecretDisabled": ("it is disabled", "enable its version, or set remoteRef.version to one that is enabled"),
    "KeyDisabled": ("it is disabled", "enable its version, or set remoteRef.version to one that is enabled"),
    "CertificateDisabled": ("it is disabled", "enable its version, or set remoteRef.version to one that is enabled"),
    "ForbiddenByFirewall": (
        "its firewall does not let the cluster in",
        "add the cluster's outbound addresses or its subnet to the vault's network rules",
    ),
    "ForbiddenByConnection": (
        "its public network access is disabled",
        "reach it by a private endpoint, or allow public access",
    ),
}
"""Inner code of a 403 → why, and what to do, where it is not a matter of the identity's rights."""

_NETWORK: Final = frozenset({"ForbiddenByFirewall", "ForbiddenByConnection"})
_AKV: Final = re.compile(r"AKV\d{5}")
_WORD: Final = re.compile(r"[A-Za-z]{1,60}")


def lacks_rights(error: HttpResponseError) -> bool:
    """Whether the vault knows who asks, and only does not let it do this."""
    return error.status_code == 403 and error.error is not None and _code(error) not in _NETWORK


def judge(error: HttpResponseError, *, vault: str, purpose: Purpose) -> KeyferryError:
    """The error that an answer other than 200 stands for."""
    status = error.status_code or 0
    code = _code(error)
    if status == 401:
        return _unauthorized(error, vault)
    if status == 403 and error.error is not None:
        return _forbidden(code, vault, purpose)
    if status == 404 and purpose.code and code == purpose.code:
        return NotThere(purpose.absent)
    if status == 429:
        header = error.response.headers.get("Retry-After") if error.response is not None else None  # type: ignore[attr-defined] # its type is left open by the SDK
        return Busy(f"{vault} limits the rate of requests", retry_after=retry_after(header))
    if status >= 500 or status == 408:
        return Unreachable(f"{vault} cannot serve requests (HTTP {status})", remedy="look at the status of Azure")
    if status == 400 and error.error is not None:
        return BadSpec(f"{vault} refuses to {purpose.doing} (HTTP 400{f', {code}' if code else ''})")
    return no_vault(vault)


def no_vault(vault: str) -> Unreachable:
    """For answers that make no sense."""
    return Unreachable(
        f"{vault} answers, but not as Key Vault does",
        remedy="check vaultUrl, and what stands between it and the operator",
    )


def _unauthorized(error: HttpResponseError, vault: str) -> Denied:
    found = _AKV.search(str(error.error.message) if error.error else "")
    if found and found[0] == "AKV10032":
        return Denied(
            f"{vault} does not accept logins of this tenant (AKV10032)",
            remedy="set tenantId to the tenant that the vault belongs to",
        )
    told = f" ({found[0]})" if found else ""
    return Denied(f"{vault} does not accept the login{told}", remedy="check the identity, tenantId and environmentType")


def _forbidden(code: str, vault: str, purpose: Purpose) -> Denied:
    if code in _REFUSALS:
        why, remedy = _REFUSALS[code]
        return Denied(f"{vault} refuses to {purpose.doing}: {why}", remedy=remedy)
    how = {"ForbiddenByRbac": "by a role", "ForbiddenByPolicy": "in its access policies"}.get(
        code, "by a role or policy"
    )
    return Denied(f"{vault} refuses to {purpose.doing}", remedy=f"give the identity {purpose.right} {how}")


def _code(error: HttpResponseError) -> str:
    """The code that says most; "" where there is none."""
    inner: Any = error.error.innererror if error.error else None
    code = inner.get("code") if isinstance(inner, dict) else None
    if not isinstance(code, str):
        code = error.error.code if error.error else None
    return code if isinstance(code, str) and _WORD.fullmatch(code) else ""
