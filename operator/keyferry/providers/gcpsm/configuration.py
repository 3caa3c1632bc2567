"""A credential configuration of type ``external_account``, of which only what is known to be harmless is used.

It is written by people who need not be administrators of Keyferry. google-auth reads files, runs executables and calls
URLs where a configuration says so, and leaves it to others to check that. So nothing of a configuration reaches
google-auth that is not named here:

- ``token_url`` and ``service_account_impersonation_url`` have to be Google's
- files, executables and certificates are refused: they would be those of Keyferry's own container
- a URL has to be the one that the store names in ``externalTokenEndpoint``, and is called by ``endpoint``
- of AWS's metadata server the addresses have to be the known ones
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from keyferry.errors import BadSpec
from keyferry.providers.gcpsm.config import Federation
from keyferry.providers.gcpsm.credentials import AWS, JWT, SCOPES, STS, impersonation_url
from keyferry.providers.gcpsm.endpoint import Endpoint

WRITE: Final = "write it with gcloud iam workload-identity-pools create-cred-config"
_AT: Final = "auth.workloadIdentityFederation"
_STS_URL: Final = re.compile(r"https://sts\.([a-z0-9-]+\.)*googleapis\.com/v1/token")
_IMPERSONATION_URL: Final = re.compile(
    r"https://iamcredentials\.([a-z0-9-]+\.)*googleapis\.com/v1/projects/[a-z0-9:._-]+/serviceAccounts/"
    r"[a-z0-9-]+@[a-z0-9.:-]+\.gserviceaccount\.com:generateAccessToken"
)
_AWS_HOST: Final = r"http://(metadata\.google\.internal|169\.254\.169\.254|\[fd00:ec2::254\])/latest"
_AWS_URLS: Final[Mapping[str, re.Pattern[str]]] = {
    "url": re.compile(f"{_AWS_HOST}/meta-data/iam/security-credentials"),
    "region_url": re.compile(f"{_AWS_HOST}/meta-data/placement/availability-zone"),
    "imdsv2_session_token_url": re.compile(f"{_AWS_HOST}/api/token"),
}
_AWS_VOUCHES: Final = "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"


@dataclass(frozen=True, slots=True, repr=False)
class Configuration:
    """``options`` are those of google-auth's credential; ``source`` is where the token to exchange comes from: a URL,
    or AWS's metadata server in google-auth's terms.
    """

    options: Mapping[str, Any]
    source: Endpoint | Mapping[str, str]


def configuration(text: str, spec: Federation, *, where: str, seconds: float) -> Configuration:
    """What a configuration says, as far as the store lets it. Raises ``BadSpec``, which shows nothing of it.

    ``seconds`` is what one request to a URL may take.
    """
    given = _parsed(text, where)
    source = given.get("credential_source")
    if not isinstance(source, dict):
        raise BadSpec(f"{where}: credential_source is missing", remedy="or use serviceAccountRef instead of credConfig")
    from_aws = "environment_id" in source
    options: dict[str, Any] = {
        "audience": spec.audience or _text(given, "audience", where),
        "subject_token_type": _text(given, "subject_token_type", where) or (AWS if from_aws else JWT),
        "token_url": _fitting(_text(given, "token_url", where) or STS, _STS_URL, f"{where}: token_url"),
        "client_id": _text(given, "client_id", where) or None,
        "client_secret": _text(given, "client_secret", where) or None,
        "service_account_impersonation_url": _impersonation(given, spec, where),
        "scopes": SCOPES,
    }
    if not options["audience"]:
        raise BadSpec(f"{where}: audience is missing", remedy=f"set it there or in {_AT}.audience")
    life = given.get("service_account_impersonation")
    if isinstance(life, dict) and isinstance(given_seconds := life.get("token_lifetime_seconds"), int):
        options["service_account_impersonation_options"] = {"token_lifetime_seconds": given_seconds}
    return Configuration(options, _aws(source, where) if from_aws else _endpoint(source, spec, where, seconds))


def _impersonation(given: Mapping[str, Any], spec: Federation, where: str) -> str | None:
    if spec.gcp_service_account_email:
        return impersonation_url(spec.gcp_service_account_email, where=f"{_AT}.gcpServiceAccountEmail")
    url = _text(given, "service_account_impersonation_url", where)
    return _fitting(url, _IMPERSONATION_URL, f"{where}: service_account_impersonation_url") if url else None


def _aws(source: Mapping[str, Any], where: str) -> dict[str, str]:
    checked = {
        name: _fitting(url, fits, f"{where}: credential_source.{name}")
        for name, fits in _AWS_URLS.items()
        if (url := _text(source, name, where))
    }
    # Whatever this URL is, the machine's credentials would sign a request for it.
    return {"environment_id": "aws1", "regional_cred_verification_url": _AWS_VOUCHES, **checked}


def _endpoint(source: Mapping[str, Any], spec: Federation, where: str, seconds: float) -> Endpoint:
    where = f"{where}: credential_source"
    for kind in ("file", "executable", "certificate"):
        if source.get(kind):
            raise BadSpec(
                f"{where}.{kind} is not served, for it would be one of Keyferry's own container",
                remedy="use serviceAccountRef instead of credConfig",
            )
    url = _text(source, "url", where)
    if not url or url != spec.external_token_endpoint:
        raise BadSpec(
            f"{where}.url is not {_AT}.externalTokenEndpoint", remedy="set both to the URL that tokens come from"
        )
    headers, form = source.get("headers") or {}, source.get("format") or {}
    if not isinstance(headers, dict) or not isinstance(form, dict):
        raise BadSpec(f"{where}.headers or format is no object", remedy="correct the configuration")
    kind = _text(form, "type", where) or "text"
    field = _text(form, "subject_token_field_name", where)
    if kind not in {"text", "json"} or (kind == "json") != bool(field):
        raise BadSpec(f"{where}.format is neither text nor json with a field", remedy="correct the configuration")
    sent = {str(name): str(value) for name, value in headers.items()}
    return Endpoint(url, sent, field, where=f"{where}.url", seconds=seconds)


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if not isinstance(given, dict) or given.get("type") != "external_account":
        raise BadSpec(
            f"{where} holds no JSON object of type external_account",
            remedy=WRITE,
        )
    if given.get("universe_domain", "googleapis.com") != "googleapis.com":
        raise BadSpec(f"{where}: universe_domain is not googleapis.com", remedy="other universes are not served")
    return given


def _text(given: Mapping[str, Any], name: str, where: str) -> str:
    value = given.get(name) or ""
    if not isinstance(value, str):
        raise BadSpec(f"{where}: {name} is no text", remedy="correct the configuration")
    return value


def _fitting(url: str, fits: re.Pattern[str], where: str) -> str:
    if not fits.fullmatch(url):
        raise BadSpec(f"{where} is none that is allowed", remedy=f"it has to match {fits.pattern}")
    return url
