"""Taking keys from STS: who the store is, from its ``auth`` and its roles.

The order is ESO's: ``auth.jwt`` before ``auth.secretRef`` before Keyferry's own environment; with these keys each of
``additionalRoles``, with those ``role``. External id, session tags and transitive tag keys belong to ``role`` alone.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Final

from botocore import xform_name

from keyferry.api.common import SecretKeySelector, ServiceAccountSelector
from keyferry.errors import BadSpec
from keyferry.ports import CallerNeeded, Context, StoreIdentity
from keyferry.providers.aws.answers import Failure, Purpose, judge, odd
from keyferry.providers.aws.config import AwsConfig, AwsSecretRef
from keyferry.providers.aws.door import Answer, Caller, sent
from keyferry.providers.aws.identity import Given, Identity, Keys, Lease, Own
from keyferry.providers.aws.sdk import Sdk, Signer

_ROLE: Final = "eks.amazonaws.com/role-arn"
_AUDIENCE: Final = "eks.amazonaws.com/audience"
_DEFAULT_AUDIENCE: Final = "sts.amazonaws.com"
_WEB_SESSION: Final = "external-secrets-provider-aws"
"""ESO's name for these sessions, which trust policies may ask for."""
_CHECK_SECONDS: Final = 5.0
"""How long the self-check waits for a connection: STS need not be reachable for every store."""


class Sts:
    """Asks STS. A client is made for each question: they come once an hour."""

    def __init__(self, sdk: Sdk, store: StoreIdentity, caller: Caller) -> None:
        self._sdk = sdk
        self._caller = caller
        self._session = session_name(store)
        self._place = f"STS in {sdk.region}"

    async def assume(self, identity: Identity, role: str, more: Mapping[str, Any]) -> Keys:
        """Keys of a session of a role, asked for by an identity. Raises a KeyferryError."""
        purpose = Purpose(
            f"assume role {role}",
            self._place,
            "sts:AssumeRole",
            remedy="let the trust policy of the role and the policies of the identity allow sts:AssumeRole, and "
            "sts:TagSession for session tags; check externalID",
            check="the role, externalID and session tags",
        )
        return await self._take(identity, purpose, {"RoleArn": role, "RoleSessionName": self._session, **more})

    async def assume_by_token(self, role: str, token: str) -> Keys:
        """Keys of a session of a role, asked for by a ServiceAccount's token. Raises a KeyferryError."""
        purpose = Purpose(
            f"assume role {role} with the token of the ServiceAccount",
            self._place,
            "sts:AssumeRoleWithWebIdentity",
            remedy="let the trust policy of the role allow sts:AssumeRoleWithWebIdentity to the ServiceAccount",
            check="the annotation eks.amazonaws.com/role-arn of the ServiceAccount",
        )
        asked = {"RoleArn": role, "RoleSessionName": _WEB_SESSION, "WebIdentityToken": token}
        return await self._take(Given(Keys("", "")), purpose, asked)

    async def recognize(self, identity: Identity) -> None:
        """Have STS say who an identity is, which takes no rights. Raises a KeyferryError."""
        purpose = Purpose("tell whose the credentials are", self._place, "sts:GetCallerIdentity")
        answer = await self._ask(identity, purpose, {}, patience=_CHECK_SECONDS)
        if not isinstance(answer.get("Arn"), str):
            raise odd(purpose)

    async def _take(self, identity: Identity, purpose: Purpose, asked: Mapping[str, Any]) -> Keys:
        """The keys that STS gives out."""
        given = (await self._ask(identity, purpose, asked)).get("Credentials")
        if isinstance(given, dict):
            found = [given.get(name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
            ends = given.get("Expiration")
            if all(isinstance(each, str) and each for each in found) and isinstance(ends, dt.datetime):
                access_key, secret_key, token = (str(each) for each in found)
                return Keys(access_key, secret_key, token, ends=ends.timestamp())
        raise odd(purpose)

    async def _ask(
        self, identity: Identity, purpose: Purpose, asked: Mapping[str, Any], *, patience: float | None = None
    ) -> Answer:
        operation = purpose.action.removeprefix("sts:")

        def send(keys: Keys) -> Answer | Failure:
            signer = Signer() if keys.access_key else None
            if signer is not None:
                signer.use(keys)
            client = self._sdk.client("sts", signer, patience=patience)
            try:
                return sent(client, xform_name(operation), asked, purpose)
            finally:
                client.close()

        return await self._caller.call(operation, identity, send)


async def identity_of(spec: AwsConfig, context: Context, sdk: Sdk, sts: Sts, caller: Caller) -> Identity:
    """Who the store is. Resolves what lies in the cluster; AWS is asked at the first use.

    Raises:
        BadSpec: what the store names is not there, or not complete.
        CallerNeeded: it depends on who asks, and nobody does.
    """
    identity = await _base(spec, context, sdk, sts, caller)
    for role in spec.additional_roles or ():
        identity = _assumed(sts, identity, role, {})
    if spec.role:
        identity = _assumed(sts, identity, spec.role, session_options(spec, context.store))
    return identity


def session_options(spec: AwsConfig, store: StoreIdentity) -> dict[str, Any]:
    """What the session of ``role`` is asked for with, besides its name. Raises ``CallerNeeded``."""
    tags = {tag.key: tag.value for tag in spec.session_tags or ()}
    if spec.session_tags_policy != "None":
        if not store.caller:
            raise CallerNeeded("sessionTagsPolicy tells AWS the namespace of each ExternalSecret")
        custom = (spec.custom_session_tags or {}) if spec.session_tags_policy == "Custom" else {}
        tags = {key: value for key, value in custom.items() if key and value}
        tags |= {"esoNamespace": store.caller, "esoStoreName": store.name, "esoStoreKind": store.kind}
    asked: dict[str, Any] = {}
    if spec.external_id:
        asked["ExternalId"] = spec.external_id
    if tags:
        asked["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    if spec.transitive_tag_keys:
        asked["TransitiveTagKeys"] = spec.transitive_tag_keys
    return asked


def session_name(store: StoreIdentity) -> str:
    """What CloudTrail shows as the session: the store. ESO's SDK invents a name with the time in it."""
    name = ".".join(filter(None, ("keyferry", store.namespace, store.name)))
    return re.sub(r"[^\w+=,.@-]", "-", name, flags=re.ASCII)[:64]


def _assumed(sts: Sts, identity: Identity, role: str, more: Mapping[str, Any]) -> Identity:
    return Lease(lambda: sts.assume(identity, role, more))


async def _base(spec: AwsConfig, context: Context, sdk: Sdk, sts: Sts, caller: Caller) -> Identity:
    auth = spec.auth
    if auth is not None and auth.jwt is not None:
        if auth.jwt.service_account_ref is None:
            raise BadSpec("auth.jwt.serviceAccountRef is not set", remedy="name the ServiceAccount")
        return await _by_token(auth.jwt.service_account_ref, context, sts)
    if auth is not None and auth.secret_ref is not None:
        return Given(await _given(auth.secret_ref, context))
    purpose = Purpose("take Keyferry's own credentials", f"STS in {sdk.region}", "sts:AssumeRoleWithWebIdentity")
    return Own(
        sdk.own, caller.threads, lambda error: judge(error, purpose, "what gives Keyferry its own AWS credentials")
    )


async def _by_token(selector: ServiceAccountSelector, context: Context, sts: Sts) -> Identity:
    where = "auth.jwt.serviceAccountRef"
    annotations = await context.credentials.service_account_annotations(selector, where=where)
    role = annotations.get(_ROLE)
    if not role:
        raise BadSpec(
            f'{where}: ServiceAccount "{selector.name}" has no annotation {_ROLE}',
            remedy="annotate it with a role's ARN",
        )
    audience = annotations.get(_AUDIENCE) or _DEFAULT_AUDIENCE

    async def take() -> Keys:
        token = await context.credentials.service_account_token(selector, where=where, audiences=[audience])
        return await sts.assume_by_token(role, token.value)

    return Lease(take)


async def _given(ref: AwsSecretRef, context: Context) -> Keys:
    async def text(selector: SecretKeySelector | None, field: str) -> str:
        where = f"auth.secretRef.{field}"
        if selector is None:
            raise BadSpec(f"{where} is not set", remedy="set accessKeyIDSecretRef and secretAccessKeySecretRef")
        value = (await context.credentials.secret(selector, where=where)).decode("ascii", "replace").strip()
        if not value or not value.isprintable() or "\ufffd" in value:
            raise BadSpec(f"{where} holds nothing that could be part of an AWS credential", remedy="check its value")
        return value

    access_key = await text(ref.access_key_id_secret_ref, "accessKeyIDSecretRef")
    secret_key = await text(ref.secret_access_key_secret_ref, "secretAccessKeySecretRef")
    token = ref.session_token_secret_ref
    return Keys(access_key, secret_key, await text(token, "sessionTokenSecretRef") if token is not None else "")
