"""Credentials of google-auth that it does not have itself, and what all logins share."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Any, Final

import google.auth.credentials
from google.auth import aws, identity_pool, impersonated_credentials

from keyferry.errors import BadSpec
from keyferry.providers.gcpsm.door import METADATA
from keyferry.providers.gcpsm.tokens import Credential

SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
TOKEN_SECONDS: Final = 900
"""Life of a ServiceAccount's token that is asked for to be exchanged."""
ACTS_AS: Final = "iam.gke.io/gcp-service-account"
"""Annotation of a ServiceAccount: the Google service account to act as."""
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
AWS: Final = "urn:ietf:params:aws:token-type:aws4_request"
"""Kinds of tokens that can be exchanged."""
STS: Final = "https://sts.googleapis.com/v1/token"
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_BINDING_URL: Final = "https://securetoken.googleapis.com/v1/identitybindingtoken"
_COMPUTE_URL: Final = f"http://{METADATA}/computeMetadata/v1"


class _AccessToken(google.auth.credentials.Credentials):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # google-auth's is untyped


class BindingToken(_AccessToken):
    """The access token of a ServiceAccount of GKE, for a token that the cluster signed."""

    def __init__(self, token: str, pool: str, provider: str) -> None:
        super().__init__()
        self._subject = token
        self._audience = f"identitynamespace:{pool}:{provider}"

    def refresh(self, request: Any) -> None:
        """Exchange the token. Raises what ``request`` raises, and what decoding does for an answer without a token."""
        body = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "subject_token_type": JWT,
            "subject_token": self._subject,
            "audience": self._audience,
            "scope": SCOPES[0],
        }
        headers = {"Content-Type": "application/json"}
        answer = request(_BINDING_URL, method="POST", headers=headers, body=json.dumps(body).encode())
        self.token, self.expiry = _token(answer.data)


class MachineToken(_AccessToken):
    """The access token that the metadata server gives to Keyferry itself."""

    def refresh(self, request: Any) -> None:
        """Ask for it. Raises what ``request`` raises, and what decoding does for an answer without a token."""
        path = "instance/service-accounts/default/token"
        self.token, self.expiry = _token(machine(request, path, scopes=",".join(SCOPES)).encode())


class GivenToken(identity_pool.SubjectTokenSupplier):
    """A token that is at hand already."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_subject_token(self, _context: Any, _request: Any) -> str:
        return self._token


class GivenAwsCredentials(aws.AwsSecurityCredentialsSupplier):
    """AWS credentials that are at hand already."""

    def __init__(self, region: str, key_id: str, secret: str, session_token: str | None) -> None:
        self._region = region
        self._credentials = aws.AwsSecurityCredentials(key_id, secret, session_token)

    def get_aws_security_credentials(self, _context: Any, _request: Any) -> aws.AwsSecurityCredentials:
        return self._credentials

    def get_aws_region(self, _context: Any, _request: Any) -> str:
        return self._region


def machine(request: Any, path: str, **query: str) -> str:
    """What the metadata server tells of the machine. Blocking; raises what ``request`` raises."""
    asked = "?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else ""
    text: str = request(f"{_COMPUTE_URL}/{path}{asked}", headers={"Metadata-Flavor": "Google"}).data.decode()
    return text.strip()


def acting_as(source: Credential, account: str, *, where: str) -> Credential:
    """The credential of a service account that ``source`` may act as."""
    return impersonated_credentials.Credentials(source, check_account(account, where), list(SCOPES))


def impersonation_url(account: str, *, where: str) -> str:
    """Where the token of a service account is asked for. Raises ``BadSpec`` where it is none."""
    account = check_account(account, where)
    return f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{account}:generateAccessToken"


def check_account(account: str, where: str) -> str:
    """The account, which becomes part of a URL. Raises ``BadSpec`` where it is none."""
    if not _ACCOUNT.fullmatch(account):
        raise BadSpec(
            f"{where} names no Google service account", remedy="write it like reader@my-project.iam.gserviceaccount.com"
        )
    return account


def _token(data: bytes) -> tuple[str, dt.datetime]:
    """Token and expiry of an answer in OAuth's form (RFC 6749, 5.1). google-auth's times are UTC without saying so."""
    answer = json.loads(data)
    life = dt.timedelta(seconds=float(answer["expires_in"]))
    return answer["access_token"], dt.datetime.now(dt.UTC).replace(tzinfo=None) + life
