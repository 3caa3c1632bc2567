"""The ways to log in: a key, the workload identity of GKE, Keyferry's own identity.

Each gives a credential of google-auth for the next login. What an adapter is born with, a key or a configuration, is
read once; a token to be exchanged is asked for anew for each login, so that it is never too old.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import google.oauth2.credentials
from google.auth import aws, identity_pool, impersonated_credentials, pluggable
from google.auth.exceptions import GoogleAuthError
from google.oauth2 import service_account

from keyferry import transport
from keyferry.errors import BadSpec, KeyferryError
from keyferry.ports import Context
from keyferry.providers.gcpsm.config import GcpsmAuth, GcpsmConfig, KeyAuth, WorkloadIdentity
from keyferry.providers.gcpsm.credentials import (
    ACTS_AS,
    SCOPES,
    TOKEN_SECONDS,
    BindingToken,
    MachineToken,
    acting_as,
    check_account,
    machine,
)
from keyferry.providers.gcpsm.door import Door, Failed
from keyferry.providers.gcpsm.federation import federation
from keyferry.providers.gcpsm.sites import Sites
from keyferry.providers.gcpsm.tokens import Credential, Prepare

T = TypeVar("T")

_TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 -- an address
_TOKEN_URIS: Final = (
    _TOKEN_URI,
    "https://accounts.google.com/o/oauth2/token",
    "https://www.googleapis.com/oauth2/v4/token",
)


async def login_of(spec: GcpsmConfig, context: Context, sites: Sites, door: Door) -> Prepare:
    """The login that a store asks for, of several the first, as in ESO; with what never changes resolved.

    Raises:
        BadSpec: the store asks for what cannot be, or names what is not there.
        CallerNeeded: credentials are the caller's, and there is none.
        Denied: the store's author may not reach the address that the store names.
        Unreachable: the metadata server does not answer.
    """
    auth = spec.auth or GcpsmAuth()
    if auth.secret_ref is not None:
        return _always(await _key(auth.secret_ref, context))
    if auth.workload_identity is not None:
        return await _workload_identity(auth.workload_identity, context, door)
    if auth.workload_identity_federation is not None:
        return await federation(auth.workload_identity_federation, context)
    return _always(await ask(lambda: _own(sites)))


async def project_of(spec: GcpsmConfig, door: Door) -> str:
    """The project that a store reads from. Raises ``BadSpec`` where there is none, ``Unreachable``."""
    if spec.project_id:
        return spec.project_id
    auth = spec.auth or GcpsmAuth()
    if auth.secret_ref is not None:
        raise BadSpec("projectID is not set", remedy="set it: with secretRef it is not asked of the metadata server")
    if auth.workload_identity is not None and auth.workload_identity.cluster_project_id:
        return auth.workload_identity.cluster_project_id
    return await ask(lambda: machine(door, "project/project-id"))


async def ask(call: Callable[[], T]) -> T:
    """The result of a blocking call. A failure at the door is raised as what it means."""

    def attempt() -> T | KeyferryError:
        try:
            return call()
        except Failed as failure:
            return failure.told

    outcome = await transport.Threads(1).run(attempt)
    if isinstance(outcome, KeyferryError):
        raise outcome
    return outcome


def _always(credential: Credential) -> Prepare:
    async def prepare() -> Credential:
        return credential

    return prepare


async def _key(spec: KeyAuth, context: Context) -> Credential:
    where = "auth.secretRef.secretAccessKeySecretRef"
    if spec.secret_access_key_secret_ref is None:
        raise BadSpec(f"{where} is not set", remedy="name the Secret that holds the service account's key")
    text = await context.credentials.secret(spec.secret_access_key_secret_ref, where=where)
    try:
        info = json.loads(text)
    except ValueError:
        info = None
    if not isinstance(info, dict) or info.get("type") != "service_account":
        raise BadSpec(
            f"{where}: the key does not hold the key of a service account",
            remedy="store the JSON file that Google gave out for it, as it is",
        )
    check_account(str(info.get("client_email")), f"{where}: client_email")
    info.setdefault("token_uri", _TOKEN_URI)
    # Whoever is named here is sent a login of the account.
    if info["token_uri"] not in _TOKEN_URIS:
        raise BadSpec(f"{where}: token_uri is not Google's", remedy=f"set it to {_TOKEN_URI}, or leave it out")
    if info.get("universe_domain", "googleapis.com") != "googleapis.com":
        raise BadSpec(f"{where}: universe_domain is not googleapis.com", remedy="other universes are not served")
    return await ask(lambda: _loaded(service_account.Credentials.from_service_account_info, info, where))


async def _workload_identity(spec: WorkloadIdentity, context: Context, door: Door) -> Prepare:
    where = "auth.workloadIdentity.serviceAccountRef"
    selector = spec.service_account_ref
    annotations = await context.credentials.service_account_annotations(selector, where=where)
    account = annotations.get(ACTS_AS)
    project = spec.cluster_project_id or await ask(lambda: machine(door, "project/project-id"))
    location = spec.cluster_location or await ask(lambda: machine(door, "instance/attributes/cluster-location"))
    name = spec.cluster_name or await ask(lambda: machine(door, "instance/attributes/cluster-name"))
    pool = f"{project}.svc.id.goog"
    cluster = f"https://container.googleapis.com/v1/projects/{project}/locations/{location}/clusters/{name}"

    async def prepare() -> Credential:
        with context.observe("GenerateServiceAccountToken"):
            token = await context.credentials.service_account_token(
                selector, where=where, audiences=(pool,), seconds=TOKEN_SECONDS
            )
        binding = BindingToken(token.value, pool, cluster)
        return acting_as(binding, account, where=f"the annotation {ACTS_AS}") if account else binding

    return prepare


def _own(sites: Sites) -> Credential:
    """Keyferry's own credential, in the order of Google's libraries: a file that is named, or the metadata server.

    The file is the administrator's: what it names is done.
    """
    info = sites.own_credentials()
    if info is None:
        return MachineToken()
    where = "GOOGLE_APPLICATION_CREDENTIALS"
    kind = str(info.get("type"))
    if kind == "external_account":
        source = info.get("credential_source")
        source = source if isinstance(source, dict) else {}
        family = aws if "environment_id" in source else pluggable if "executable" in source else identity_pool
        return _loaded(family.Credentials.from_info, info, where)
    if kind not in _OWN_KINDS:
        raise BadSpec(f"{where} names a credential of a kind that is not served", remedy="use a key, or federation")
    return _loaded(_OWN_KINDS[kind], info, where)


_OWN_KINDS: Final[Mapping[str, Callable[..., Credential]]] = {
    "authorized_user": google.oauth2.credentials.Credentials.from_authorized_user_info,
    "impersonated_service_account": (impersonated_credentials.Credentials.from_impersonated_service_account_info),
    "service_account": service_account.Credentials.from_service_account_info,
}


def _loaded(make: Callable[..., Credential], info: Mapping[str, Any], where: str) -> Credential:
    """The credential of a file's content. Raises ``BadSpec``, which shows nothing of it."""
    try:
        return make(info, scopes=SCOPES)
    except (GoogleAuthError, ValueError, TypeError, KeyError, AttributeError):
        pass
    raise BadSpec(f"{where} holds a credential that google-auth does not take", remedy="create a new one")
