"""``auth.iam``: log in with an identity of AWS (eso-facts 5.5; Vault's AWS auth method, type iam).

What is sent is a request to STS, ``GetCallerIdentity``, signed and not sent: the server sends it, and so learns who
signed it. Whose keys sign it is decided by the store: a ServiceAccount that may assume a role, keys from a Secret, or
Keyferry's own environment; ``role`` is assumed after that. Nothing of it passes through the process's environment.

botocore signs and asks STS, in a thread of the session's.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from botocore import UNSIGNED
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as ConnectionFailed
from botocore.parsers import ResponseParserError
from botocore.session import Session as Botocore

from keyferry import transport
from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, Unreachable
from keyferry.ports import Credentials, secret_text
from keyferry.providers.vault.auth import LoginRequest, login_path
from keyferry.providers.vault.config import Iam, IamJwt, IamSecretRef
from keyferry.providers.vault.session import Session

_REGION: Final = "us-east-1"
_AUDIENCE: Final = "sts.amazonaws.com"
_ROLE_ANNOTATION: Final = "eks.amazonaws.com/role-arn"
_AUDIENCE_ANNOTATION: Final = "eks.amazonaws.com/audience"
_SESSION_NAME: Final = "external-secrets-provider-vault"
"""As ESO names it: policies of roles may ask for it."""
_QUESTION: Final = "Action=GetCallerIdentity&Version=2011-06-15"
_STS: Final = "AWS STS"
_THROTTLED: Final = frozenset({"RequestLimitExceeded", "SlowDown", "Throttling", "ThrottlingException"})
_REMEDIES: Final = {
    "AccessDenied": "check the trust policy of the role",
    "ExpiredToken": "renew the keys and their session token",
    "ExpiredTokenException": "check the clocks of the cluster",
    "InvalidClientTokenId": "check the access key id",
    "InvalidIdentityToken": "register the cluster's issuer of tokens as an identity provider, with this audience",
    "SignatureDoesNotMatch": "check the secret access key",
}

# At DEBUG, botocore logs requests with their session tokens, and answers with keys.
logging.getLogger("botocore").setLevel(logging.INFO)


@dataclass(frozen=True, slots=True, repr=False)
class WebIdentity:
    """A ServiceAccount's token, and the role that it may assume. The repr shows neither."""

    role: str
    token: str


async def login_request(method: Iam, session: Session, credentials: Credentials) -> LoginRequest:
    """The login. Asks STS for keys where the store's have to be exchanged.

    Raises:
        BadSpec: a region, header, annotation or Secret that cannot be.
        CallerNeeded: the credentials are the caller's, and there is none.
        Denied, Busy, Unreachable: as STS answers.
    """
    region = method.region or _REGION
    if not re.fullmatch(r"[a-z0-9-]{1,40}", region):
        raise BadSpec("auth.iam.region is no region of AWS", remedy="write it like eu-central-1")
    header = method.vault_aws_iam_server_id or ""
    if not header.isascii() or not header.isprintable():
        raise BadSpec(
            "auth.iam.vaultAwsIamServerID holds what a header cannot", remedy="give the text the server asks for"
        )
    source = await _source(method, credentials)
    # As a value: botocore's exceptions carry requests and answers, and would hang on to a raised error as its context.
    outcome = await session.aside(lambda: _proof(method, region, header, source, session.timeout))
    if isinstance(outcome, KeyferryError):
        raise outcome
    return LoginRequest(login_path(method.path or "aws"), {"role": method.vault_role.strip(), **outcome})


async def _source(method: Iam, credentials: Credentials) -> WebIdentity | ReadOnlyCredentials | None:
    """Where the keys come from; None for Keyferry's own environment."""
    if method.jwt is not None:
        return await _web_identity(method.jwt, credentials)
    if method.secret_ref is not None:
        return await _given(method.secret_ref, credentials)
    await credentials.permit_own_identity()
    return None


async def _web_identity(jwt: IamJwt, credentials: Credentials) -> WebIdentity:
    where = "auth.iam.jwt.serviceAccountRef"
    selector = jwt.service_account_ref
    if selector is None:
        raise BadSpec(f"{where} is not set", remedy="name a ServiceAccount")
    annotations = await credentials.service_account_annotations(selector, where=where)
    role = annotations.get(_ROLE_ANNOTATION)
    if not role:
        raise BadSpec(
            f'{where}: ServiceAccount "{selector.name}" names no role', remedy=f"annotate it with {_ROLE_ANNOTATION}"
        )
    audience = annotations.get(_AUDIENCE_ANNOTATION) or _AUDIENCE
    token = await credentials.service_account_token(selector, where=where, audiences=(audience,))
    return WebIdentity(role, token.value)


async def _given(reference: IamSecretRef, credentials: Credentials) -> ReadOnlyCredentials:
    where = "auth.iam.secretRef"
    key = await secret_text(credentials, reference.access_key_id_secret_ref, f"{where}.accessKeyIDSecretRef")
    secret = await secret_text(credentials, reference.secret_access_key_secret_ref, f"{where}.secretAccessKeySecretRef")
    session = None
    if reference.session_token_secret_ref is not None:
        session = await secret_text(credentials, reference.session_token_secret_ref, f"{where}.sessionTokenSecretRef")
    return ReadOnlyCredentials(key, secret, session)


def _proof(
    method: Iam, region: str, header: str, source: WebIdentity | ReadOnlyCredentials | None, timeout: float
) -> dict[str, str] | KeyferryError:
    """What proves who we are. Runs in a thread; an error is returned."""
    sts = _Sts(region, timeout)
    role = source.role if isinstance(source, WebIdentity) else ""
    try:
        keys = sts.exchanged(source) if isinstance(source, WebIdentity) else source or sts.own()
        if keys is None:
            return Denied(
                "Keyferry's own environment holds no AWS credentials",
                remedy="set auth.iam.jwt or auth.iam.secretRef, or give Keyferry's ServiceAccount a role",
            )
        if method.role:
            role = method.role
            keys = sts.assumed(keys, role, method.external_id)
        return sts.question(keys, header)
    except ClientError as error:
        return _refused(error.response, role)
    except Exception as error:  # noqa: BLE001 -- files, processes and servers of any kind are asked
        return _failed(error)


class _Sts:
    """STS of one region. Every client has the keys that it is given, and no others."""

    def __init__(self, region: str, timeout: float) -> None:
        self._region = region
        self._config = Config(
            connect_timeout=timeout,
            read_timeout=timeout,
            # Retries are the store's (spec.retrySettings) and the schedule's.
            retries={"total_max_attempts": 1, "mode": "standard"},
        )

    def own(self) -> ReadOnlyCredentials | None:
        """Keys of Keyferry's own environment, as every AWS SDK finds them: variables, IRSA, pod identity, the node."""
        found = self._botocore().get_credentials()
        return None if found is None else found.get_frozen_credentials()

    def exchanged(self, source: WebIdentity) -> ReadOnlyCredentials:
        """Keys for a ServiceAccount's token."""
        sts = self._client(Config(signature_version=UNSIGNED))
        try:
            return _keys(
                sts.assume_role_with_web_identity(
                    RoleArn=source.role, RoleSessionName=_SESSION_NAME, WebIdentityToken=source.token
                )
            )
        finally:
            sts.close()

    def assumed(self, keys: ReadOnlyCredentials, role: str, external_id: str | None) -> ReadOnlyCredentials:
        """Keys of a role that ``keys`` may assume."""
        more = {"ExternalId": external_id} if external_id else {}
        sts = self._client(Config(), keys)
        try:
            return _keys(sts.assume_role(RoleArn=role, RoleSessionName=_SESSION_NAME, **more))
        finally:
            sts.close()

    def question(self, keys: ReadOnlyCredentials, header: str) -> dict[str, str]:
        """The signed request, as the server takes it: each part in base64."""
        # The one region whose requests the global address takes, and that servers ask unless configured otherwise.
        host = "sts.amazonaws.com" if self._region == _REGION else self._host()
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        if header:
            headers["X-Vault-AWS-IAM-Server-ID"] = header
        request = AWSRequest("POST", f"https://{host}/", headers=headers, data=_QUESTION)
        SigV4Auth(keys, "sts", self._region).add_auth(request)
        signed = {name: [str(value)] for name, value in request.headers.items()}
        return {
            "iam_http_request_method": "POST",
            "iam_request_url": _base64(f"https://{host}/"),
            "iam_request_body": _base64(_QUESTION),
            "iam_request_headers": _base64(json.dumps(signed)),
        }

    def _host(self) -> str:
        """AWS's own address, whatever the environment says: it is the server that will ask there."""
        session = self._botocore()
        session.set_config_variable("ignore_configured_endpoint_urls", True)
        client = session.create_client("sts", config=Config(signature_version=UNSIGNED))
        return urlsplit(str(client.meta.endpoint_url)).netloc

    def _client(self, config: Config, keys: ReadOnlyCredentials | None = None) -> Any:
        given = (
            {
                "aws_access_key_id": keys.access_key,
                "aws_secret_access_key": keys.secret_key,
                "aws_session_token": keys.token,
            }
            if keys
            else {}
        )
        return self._botocore().create_client(
            "sts", endpoint_url=os.environ.get("AWS_STS_ENDPOINT") or None, config=config, **given
        )

    def _botocore(self) -> Any:
        session: Any = Botocore()
        session.set_config_variable("region", self._region)
        session.set_config_variable("sts_regional_endpoints", "regional")
        session.set_default_client_config(self._config)
        return session


def _keys(answer: Any) -> ReadOnlyCredentials:
    found = answer["Credentials"]
    return ReadOnlyCredentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])


def _refused(answer: Any, role: str) -> KeyferryError:
    """An answer of STS that is an error. Its words hold identities and tokens; its code does not."""
    code = str(answer.get("Error", {}).get("Code", ""))
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    told = f" ({code})" if re.fullmatch(r"[A-Za-z]{1,60}", code) else ""
    if code in _THROTTLED or status == 429:
        return Busy(f"{_STS} limits the rate of requests")
    if status >= 500:
        return Unreachable(f"{_STS} fails (HTTP {status})")
    return Denied(f'{_STS} does not let us assume role "{role}"{told}', remedy=_REMEDIES.get(code, "check auth.iam"))


def _failed(error: Exception) -> KeyferryError:
    if isinstance(error, ResponseParserError | KeyError | TypeError):
        return Unreachable(
            f"{_STS} answers, but not as AWS does", remedy="check what stands between it and the operator"
        )
    if isinstance(error, ConnectionFailed | HTTPClientError | OSError):
        return transport.unreachable(error, _STS)
    return Denied(
        f"Keyferry's own environment holds no AWS credentials that can be used ({type(error).__name__})",
        remedy="set auth.iam.jwt or auth.iam.secretRef, or give Keyferry's ServiceAccount a role",
    )


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
