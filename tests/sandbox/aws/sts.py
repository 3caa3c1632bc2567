"""STS: roles are assumed by whom they trust, and callers are told who they are."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any
from xml.sax.saxutils import escape

from tests.sandbox.aws.iam import Directory, Principal, Refused, Role

_SESSION = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)


def asked(form: Mapping[str, str]) -> dict[str, Any]:
    """The parameters of a query request, tags and their keys as a dict and a list."""
    tags = {
        value: form[f"{name.removesuffix('Key')}Value"]
        for name, value in form.items()
        if re.fullmatch(r"Tags\.member\.\d+\.Key", name)
    }
    keys = [value for name, value in sorted(form.items()) if name.startswith("TransitiveTagKeys.member.")]
    return {**form, "Tags": tags, "TransitiveTagKeys": keys}


def assume_role(directory: Directory, who: Principal, form: Mapping[str, str]) -> str:
    """AssumeRole. Raises ``Refused``."""
    given = asked(form)
    words = f"User: {who.arn} is not authorized to perform: sts:AssumeRole on resource: {given['RoleArn']}"
    role = directory.roles.get(given["RoleArn"])
    _check_session(given)
    if (
        role is None
        or not any(fnmatchcase(who.arn, pattern) for pattern in role.trusts)
        or role.external_id != given.get("ExternalId", "")
        or not role.tags.items() <= given["Tags"].items()
    ):
        raise Refused("AccessDenied", words, 403)
    return _session(directory, role, given, "AssumeRole")


def assume_role_with_web_identity(directory: Directory, form: Mapping[str, str]) -> str:
    """AssumeRoleWithWebIdentity. Raises ``Refused``."""
    given = asked(form)
    claims = directory.claims(given["WebIdentityToken"])
    role = directory.roles.get(given["RoleArn"])
    _check_session(given)
    if role is None or not role.subject or claims["sub"] != role.subject:
        raise Refused("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403)
    if role.audience not in claims["aud"]:
        raise Refused("InvalidIdentityToken", "Incorrect token audience")
    return _session(directory, role, given, "AssumeRoleWithWebIdentity")


def get_caller_identity(who: Principal) -> str:
    """GetCallerIdentity."""
    inner = f"<Arn>{escape(who.arn)}</Arn><UserId>AIDA</UserId><Account>{who.account}</Account>"
    return _document("GetCallerIdentity", inner)


def error(refused: Refused, request_id: str) -> str:
    """An error of a query service."""
    return (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
        f"<Code>{refused.code}</Code><Message>{escape(refused.message)}</Message></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )


def _check_session(given: Mapping[str, Any]) -> None:
    if not _SESSION.fullmatch(given["RoleSessionName"]):
        raise Refused("ValidationError", "Value at 'roleSessionName' failed to satisfy constraint")
    if not set(given["TransitiveTagKeys"]) <= set(given["Tags"]):
        raise Refused("ValidationError", "The specified transitive tag key must be included in the requested tags.")


def _session(directory: Directory, role: Role, given: Mapping[str, Any], action: str) -> str:
    who = directory.open(role, given)
    ends = dt.datetime.fromtimestamp(who.ends, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return _document(
        action,
        f"<AssumedRoleUser><AssumedRoleId>AROA:x</AssumedRoleId><Arn>{escape(who.arn)}</Arn></AssumedRoleUser>"
        f"<Credentials><AccessKeyId>{who.access_key}</AccessKeyId><SecretAccessKey>{who.secret_key}</SecretAccessKey>"
        f"<SessionToken>{who.token}</SessionToken><Expiration>{ends}</Expiration></Credentials>",
    )


def _document(action: str, inner: str) -> str:
    return (
        f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>{inner}</{action}Result>'
        f"<ResponseMetadata><RequestId>x</RequestId></ResponseMetadata></{action}Response>"
    )
