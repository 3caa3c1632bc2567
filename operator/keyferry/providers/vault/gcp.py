"""``auth.gcp``: log in with an identity of Google Cloud (eso-facts 5.5; Vault's Google Cloud auth method).

What is sent is a JWT for the audience ``vault/<role>``. Of type ``iam`` it is signed by a service account of Google:
with its key, where the store has one, or by Google, for a ServiceAccount of the cluster that is bound to it (GKE
workload identity). Of type ``gce`` it is the identity token of the machine or pod that Keyferry runs on.

ESO hands the signing to a library that it gives no service account to; the claims here are those of Vault's
documentation. Nothing passes through the process's environment; GCE_METADATA_HOST is read, as by Google's libraries.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from google.auth import crypt
from google.auth import jwt as google_jwt

from keyferry import transport
from keyferry.errors import BadSpec, Busy, Denied, Unreachable
from keyferry.jsonhttp import JsonHttp
from keyferry.ports import Credentials, secret_text
from keyferry.providers.vault.auth import LoginRequest, login_path
from keyferry.providers.vault.config import Gcp, GcpSecretRef, GcpWorkloadIdentity
from keyferry.providers.vault.session import Session

_LIFE: Final = 600
"""Seconds that a signed JWT is valid; a role of the server allows 900 unless it says otherwise."""
_TOKEN_SECONDS: Final = 900
_ANNOTATION: Final = "iam.gke.io/gcp-service-account"
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9._-]{1,100}@[A-Za-z0-9.-]{1,200}")
_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_METADATA: Final = {"Metadata-Flavor": "Google"}


@dataclass(frozen=True, slots=True)
class Google:
    """Where Google's services are."""

    tokens: str = "https://securetoken.googleapis.com"
    accounts: str = "https://iamcredentials.googleapis.com"

    @property
    def metadata(self) -> str:
        """The metadata server of the machine or pod."""
        return f"http://{os.environ.get('GCE_METADATA_HOST') or 'metadata.google.internal'}"


GOOGLE = Google()


async def login_request(method: Gcp, session: Session, credentials: Credentials) -> LoginRequest:
    """The login. Asks Google for the JWT, unless the store has the key to sign it.

    Raises:
        BadSpec: a key that is none, or a ServiceAccount without annotation.
        CallerNeeded: the credentials are the caller's, and there is none.
        Denied, Busy, Unreachable: as Google answers.
    """
    role = method.role.strip()
    if method.secret_ref is not None:
        token = await _by_key(method.secret_ref, role, credentials)
    elif method.workload_identity is not None:
        token = await _by_workload(method.workload_identity, role, session, credentials)
    else:
        await credentials.permit_own_identity()
        async with _door(GOOGLE.metadata, session) as metadata:
            audience = f"{session.address}/vault/{role}"
            query = {"audience": audience, "format": "full"}
            token = await _ask_metadata(metadata, "instance/service-accounts/default/identity", query)
    return LoginRequest(login_path(method.path), {"role": role, "jwt": token})


def claims(role: str, account: str) -> dict[str, Any]:
    """What a service account signs."""
    return {"aud": f"vault/{role}", "sub": account, "exp": int(time.time()) + _LIFE}


async def _by_key(reference: GcpSecretRef, role: str, credentials: Credentials) -> str:
    where = "auth.gcp.secretRef.secretAccessKeySecretRef"
    text = await secret_text(credentials, reference.secret_access_key_secret_ref, where)
    try:
        key = json.loads(text)
        signer = crypt.RSASigner.from_service_account_info(key)
        token: bytes = google_jwt.encode(signer, claims(role, str(key["client_email"])))
    except (ValueError, KeyError, TypeError):
        signed = None
    else:
        signed = token.decode()
    if signed is None:
        # What json and the library say may hold the key.
        raise BadSpec(
            f"{where}: the key does not hold a key of a Google service account", remedy="store its JSON file under it"
        )
    return signed


async def _by_workload(identity: GcpWorkloadIdentity, role: str, session: Session, credentials: Credentials) -> str:
    """A JWT that Google signs for the service account that a ServiceAccount of the cluster is bound to."""
    where = "auth.gcp.workloadIdentity.serviceAccountRef"
    selector = identity.service_account_ref
    annotations = await credentials.service_account_annotations(selector, where=where)
    account = annotations.get(_ANNOTATION)
    if not account or not _ACCOUNT.fullmatch(account):
        raise BadSpec(
            f'{where}: ServiceAccount "{selector.name}" is bound to no Google service account',
            remedy=f"annotate it with {_ANNOTATION}",
        )
    pool, provider = await _cluster(identity, session)
    token = await credentials.service_account_token(selector, where=where, audiences=(pool,), seconds=_TOKEN_SECONDS)
    body = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token": token.value,
        "audience": f"identitynamespace:{pool}:{provider}",
        "scope": _SCOPE,
    }
    async with _door(GOOGLE.tokens, session) as tokens:
        bound = await _ask(tokens, "/v1/identitybindingtoken", body, "", "access_token", "exchange the token")
    path = f"/v1/projects/-/serviceAccounts/{account}"
    doing = f'sign for service account "{account}"'
    async with _door(GOOGLE.accounts, session) as accounts:
        access = await _ask(
            accounts, f"{path}:generateAccessToken", {"scope": [_SCOPE]}, bound, "accessToken", f"act as and {doing}"
        )
        payload = {"payload": json.dumps(claims(role, account))}
        return await _ask(accounts, f"{path}:signJwt", payload, access, "signedJwt", doing)


async def _cluster(identity: GcpWorkloadIdentity, session: Session) -> tuple[str, str]:
    """The identity pool and the identity provider of the cluster. What the store leaves out, the node's server says."""
    async with _door(GOOGLE.metadata, session) as metadata:
        project = identity.cluster_project_id or await _ask_metadata(metadata, "project/project-id")
        location = identity.cluster_location or await _ask_metadata(metadata, "instance/attributes/cluster-location")
        name = identity.cluster_name or await _ask_metadata(metadata, "instance/attributes/cluster-name")
    place = f"projects/{quote(project)}/locations/{quote(location)}/clusters/{quote(name)}"
    return f"{project}.svc.id.goog", f"https://container.googleapis.com/v1/{place}"


def _door(url: str, session: Session) -> contextlib.aclosing[JsonHttp]:
    tls = transport.ssl_context() if url.startswith("https:") else None
    return contextlib.aclosing(
        JsonHttp(url, where="Google's address", ssl=tls, timeout=session.timeout, headers={}, limit=1)
    )


async def _ask_metadata(metadata: JsonHttp, path: str, query: Mapping[str, str] | None = None) -> str:
    """What the metadata server says of the machine or pod."""
    answer = await metadata.request("GET", f"/computeMetadata/v1/{path}", query=query, headers=_METADATA)
    if answer.headers.get("metadata-flavor") != "Google":
        raise Unreachable("there is no metadata server of Google", remedy="set workloadIdentity or secretRef")
    if answer.status != 200:
        raise Denied(
            f"Google's metadata server does not know {path} (HTTP {answer.status})",
            remedy="set workloadIdentity with its three cluster fields, or secretRef",
        )
    return answer.content.decode("ascii", "replace").strip()


async def _ask(door: JsonHttp, path: str, body: Mapping[str, Any], token: str, wanted: str, doing: str) -> str:
    """A token that Google gives for another one."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = await door.request("POST", path, body=body, headers=headers)
    if answer.status == 200:
        found = answer.json()
        value = found.get(wanted) if isinstance(found, dict) else None
        if isinstance(value, str) and value:
            return value
        raise Unreachable(f"{door.address} answers, but not as Google does")
    if answer.status == 429:
        pause = transport.retry_after(answer.headers.get("retry-after"))
        raise Busy(f"{door.address} limits the rate of requests", retry_after=pause)
    if answer.status >= 500:
        raise Unreachable(f"{door.address} fails to {doing} (HTTP {answer.status})")
    raise Denied(
        f"{door.address} does not let us {doing} (HTTP {answer.status})",
        remedy="bind the ServiceAccount to it as roles/iam.workloadIdentityUser, and give it"
        " roles/iam.serviceAccountTokenCreator on itself",
    )
