"""What AWS answers, or what happens on the way to it: the one table from the SDK's exceptions to errors.

Codes are those of the API references of Secrets Manager, Systems Manager and STS, and of their common errors. Of AWS's
own words only who may not do what, and by which policy, is repeated, and only where they have the form that AWS gives
them: anything else may be the words of something in between, and may hold anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    ParamValidationError,
)
from botocore.exceptions import (
    ConnectionError as NotConnected,
)
from urllib3.exceptions import HTTPError

from keyferry import transport
from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, NotThere, PropertyNotThere, Unreachable

# Codes stand here without their ending, which differs between services.
_DENIED: Final = frozenset(
    {
        "AccessDenied",
        "AuthorizationError",
        "NotAuthorized",
        "UnauthorizedAccess",
        "UnauthorizedOperation",
    }
)
_STALE: Final = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignature",
        "MissingAuthenticationToken",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClient",
    }
)
_BUSY: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "LimitExceeded",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "Throttled",
        "Throttling",
        "TooManyRequests",
        "TooManyUpdates",
    }
)
_TROUBLE: Final = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServer",
        "InternalServerError",
        "InternalServiceError",
        "ServiceUnavailable",
    }
)
_ABSENT: Final = frozenset({"InvalidResourceId", "ParameterNotFound", "ResourceNotFound"})
_DELETED: Final = frozenset({"InvalidParameter", "InvalidRequest"})
"""What a secret that is scheduled for deletion is answered with, among other things."""
_ENCRYPTED: Final = frozenset({"DecryptionFailure", "InvalidKeyId", "KMSAccessDenied"})
_LOGIN: Final[Mapping[str, tuple[str, str]]] = {
    "IDPRejectedClaim": ("refuses the ServiceAccount's token", "check the trust policy of the role"),
    "InvalidIdentityToken": (
        "does not trust the issuer or the audience of the ServiceAccount's token",
        "create the cluster's OIDC provider in IAM, with that audience",
    ),
    "PackedPolicyTooLarge": ("finds the session tags too large", "use fewer or shorter session tags"),
    "RegionDisabled": ("does not serve this region for the account", "activate STS for the region"),
}
"""Codes of STS: what they mean, and the remedy."""

_WHO: Final = re.compile(
    r"User: (?:arn:[\w-]+:sts::(?P<account>\d+):assumed-role/(?P<role>[\w+=,.@-]+)/\S+"
    r"|(?P<user>arn:[\w-]+:iam::[\w:/+=,.@-]+)) is not authorized to perform: (?P<action>[\w-]+:\w+)"
)
_POLICY: Final = r"(?:[A-Za-z-]{1,20} ){1,5}(?:policy|boundary)\b"
_WHY: Final = re.compile(rf"because (?P<lacking>no {_POLICY})|with an explicit deny in (?P<denying>an? {_POLICY})")
_MARKED: Final = re.compile(r"marked (?:for deletion|deleted)|scheduled for deletion")
_NO_VERSION: Final = re.compile(r"secret value for (?:staging label|VersionId)")
_CODE: Final = re.compile(r"[A-Z][A-Za-z.]{2,60}")


class ForeignError(Exception):
    """An error status with a body that is not AWS's, which botocore cannot read where XML is expected."""

    def __init__(self, status: int, retry_after: str | None) -> None:
        super().__init__(status)
        self.status = status
        self.retry_after = transport.retry_after(retry_after)


@dataclass(frozen=True, slots=True)
class Failure:
    """An error with what follows from it for the keys. Returned by threads, where raising would keep the SDK's own."""

    error: KeyferryError
    stale: bool = False
    """The keys themselves were refused: they ended, were deleted or replaced."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a request is for, in the words of the error that it may end with."""

    doing: str
    """Such as ``read secret "db"``."""
    place: str
    """Whom we ask, such as ``Secrets Manager in eu-central-1``."""
    action: str
    """The IAM action that it takes."""
    thing: str = ""
    """What is asked for, such as ``secret "db"``: what does not exist, where AWS says that something does not."""
    version: str = ""
    """The version asked for, if one was."""
    remedy: str = ""
    """What to do where it is denied, if not to allow the action."""
    check: str = "name and version"
    """What may be wrong where AWS does not take what it is given."""
    denied: type[Denied] = Denied
    """The error where the identity is known, and may not."""


def judge(error: BaseException, purpose: Purpose, address: str) -> Failure:
    """What an exception of the SDK means. ``address``: where the request went."""
    match error:
        case ClientError():
            return _answered(error, purpose)
        case ForeignError():
            return verdict("", "", purpose, status=error.status, retry_after=error.retry_after)
        case HTTPClientError() | NotConnected() | IncompleteReadError() | HTTPError() | OSError():
            return Failure(_lost(error, address))
        case ParamValidationError():
            return Failure(BadSpec(f"the AWS SDK refuses to {purpose.doing}", remedy=f"check {purpose.check}"))
        case CredentialRetrievalError() | MetadataRetrievalError():
            return Failure(
                Unreachable(
                    "what is to give Keyferry its own AWS credentials does not",
                    remedy="check what the AWS_* variables of Keyferry name, or set auth",
                )
            )
        case BotoCoreError():
            return Failure(misconfigured(error))
    # Whatever botocore trips over while it reads an answer: it expects AWS to make sense.
    return Failure(odd(purpose))


def verdict(code: str, message: str, purpose: Purpose, *, status: int = 0, retry_after: float | None = None) -> Failure:
    """What an error code means, of a whole call or of one secret among many."""
    code = code.removesuffix("Exception")
    if code in _BUSY or status == 429:
        return Failure(Busy(f"{purpose.place} limits the rate of requests", retry_after=retry_after))
    if code in _ENCRYPTED or (code in _DENIED and ("kms:" in message or "KMS" in message)):
        remedy = "allow kms:Decrypt on its key, and check that the key is enabled"
        return Failure(purpose.denied(f"{purpose.place} cannot decrypt {purpose.thing or 'a value'}", remedy=remedy))
    if code in _STALE:
        return Failure(_refused(code, message, purpose), stale=True)
    if code in _DENIED:
        return Failure(_denied(message, purpose))
    return Failure(_other(code, message, purpose, status))


def misconfigured(error: BotoCoreError) -> BadSpec:
    """Profiles that do not exist, files that cannot be read, half a credential: told by the name of the type."""
    told = re.sub(r"(?<!^)(?=[A-Z])", " ", type(error).__name__.removesuffix("Error")).lower()
    return BadSpec(f"the AWS SDK refuses its own configuration: {told}", remedy="check the AWS_* variables of Keyferry")


def odd(purpose: Purpose) -> Unreachable:
    """Something answered that is not AWS."""
    return Unreachable(
        f"what answers for {purpose.place} does not answer as AWS does",
        remedy="check endpoints and proxies of Keyferry's environment",
    )


def _answered(error: ClientError, purpose: Purpose) -> Failure:
    response: Mapping[str, Any] = error.response
    about = response.get("Error") or {}
    meta = response.get("ResponseMetadata") or {}
    return verdict(
        str(about.get("Code") or ""),
        str(about.get("Message") or ""),
        purpose,
        status=int(meta.get("HTTPStatusCode") or 0),
        retry_after=transport.retry_after((meta.get("HTTPHeaders") or {}).get("retry-after")),
    )


def _other(code: str, message: str, purpose: Purpose, status: int) -> KeyferryError:
    """Where neither rate nor rights are the matter."""
    if code == "ParameterVersionNotFound" or (code in _ABSENT and purpose.version and _NO_VERSION.search(message)):
        return PropertyNotThere(f'{purpose.thing} has no version "{purpose.version}"', remedy="check remoteRef.version")
    if purpose.thing and (code in _ABSENT or (code in _DELETED and _MARKED.search(message))):
        return NotThere(f"{purpose.thing} does not exist in {purpose.place}", remedy="check key, prefix and region")
    if code == "IDPCommunicationError":
        return Unreachable(f"{purpose.place} cannot reach the cluster's OIDC provider")
    if code in _LOGIN:
        told, remedy = _LOGIN[code]
        return Denied(f"{purpose.place} {told}", remedy=remedy)
    if status >= 500 or code in _TROUBLE:
        return Unreachable(f"{purpose.place} failed to {purpose.doing}")
    if not _CODE.fullmatch(code) or code == "Unknown":
        return odd(purpose)
    return BadSpec(f"{purpose.place} cannot {purpose.doing} ({code})", remedy=f"check {purpose.check}")


def _refused(code: str, message: str, purpose: Purpose) -> Denied:
    """The keys are not good."""
    if "Expired" in code:
        return Denied(f"{purpose.place} finds the credentials expired", remedy="replace them with new ones")
    if "Signature expired" in message or "not yet current" in message:
        return Denied(f"{purpose.place} finds the time of requests wrong", remedy="check the clock of Keyferry's node")
    return Denied(
        f"{purpose.place} does not accept the credentials", remedy="check access key, secret key and session token"
    )


def _denied(message: str, purpose: Purpose) -> Denied:
    """The identity is known, and may not."""
    who, why = _WHO.search(message), _WHY.search(message)
    whom, action, reason = "the identity of the store", purpose.action, ""
    if who is not None:
        # The session's name is left out: those that SDKs invent hold the time.
        whom = f"role {who['role']} of account {who['account']}" if who["role"] else who["user"]
        action = who["action"]
    if why is not None:
        reason = f": {why['lacking']} allows it" if why["lacking"] else f": {why['denying']} denies it"
    return purpose.denied(
        f"{purpose.place} does not permit to {purpose.doing}{reason}",
        remedy=purpose.remedy or f"allow {action} to {whom}",
    )


def _lost(error: BaseException, address: str) -> Unreachable:
    lost = transport.unreachable(error, address)
    if "caBundle" in lost.remedy:
        # The store has no such field.
        lost.remedy = "set AWS_CA_BUNDLE of Keyferry to the authority that signed it, and check the server's name"
    return lost
