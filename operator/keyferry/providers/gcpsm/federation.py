"""The ways to log in as a workload of elsewhere: ``auth.workloadIdentityFederation``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.auth import aws, identity_pool
from google.auth.exceptions import GoogleAuthError

from keyferry.api.common import SecretKeySelector, ServiceAccountSelector
from keyferry.errors import BadSpec
from keyferry.ports import Context
from keyferry.providers.gcpsm.config import AwsCredentials, ConfigMapReference, Federation
from keyferry.providers.gcpsm.configuration import WRITE, configuration
from keyferry.providers.gcpsm.credentials import (
    ACTS_AS,
    AWS,
    JWT,
    SCOPES,
    STS,
    TOKEN_SECONDS,
    GivenAwsCredentials,
    GivenToken,
    impersonation_url,
)
from keyferry.providers.gcpsm.endpoint import Endpoint
from keyferry.providers.gcpsm.tokens import Credential, Prepare

_AT: Final = "auth.workloadIdentityFederation"
_AWS_METADATA: Final = "169.254.169.254"


async def federation(spec: Federation, context: Context) -> Prepare:
    """The login of a store, with what never changes resolved.

    Raises ``BadSpec`` where the store does not say one way, or says it incompletely; and what resolving raises.
    """
    ways = [
        way for way in (spec.cred_config, spec.service_account_ref, spec.aws_security_credentials) if way is not None
    ]
    if len(ways) != 1:
        raise BadSpec(
            f"{_AT} needs exactly one of credConfig, serviceAccountRef and awsSecurityCredentials",
            remedy="set one of them",
        )
    if spec.cred_config is None and not spec.audience:
        raise BadSpec(
            f"{_AT}.audience is not set",
            remedy="set it to the full name of the pool's provider, "
            "//iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER",
        )
    match ways[0]:
        case ConfigMapReference() as ref:
            return await _configured(spec, ref, context)
        case ServiceAccountSelector() as selector:
            return await _service_account(spec, selector, context)
        case AwsCredentials() as given:
            return await _aws(spec, given, context)


async def _service_account(spec: Federation, selector: ServiceAccountSelector, context: Context) -> Prepare:
    where = f"{_AT}.serviceAccountRef"
    annotations = await context.credentials.service_account_annotations(selector, where=where)
    options = _options(spec, JWT, annotations.get(ACTS_AS))

    async def prepare() -> Credential:
        with context.observe("GenerateServiceAccountToken"):
            token = await context.credentials.service_account_token(selector, where=where, seconds=TOKEN_SECONDS)
        return identity_pool.Credentials(subject_token_supplier=GivenToken(token.value), **options)

    return prepare


async def _aws(spec: Federation, given: AwsCredentials, context: Context) -> Prepare:
    where = f"{_AT}.awsSecurityCredentials.awsCredentialsSecretRef"
    ref = given.aws_credentials_secret_ref
    options = _options(spec, AWS)

    async def value(key: str) -> str:
        selector = SecretKeySelector(name=ref.name, namespace=ref.namespace, key=key)
        text = (await context.credentials.secret(selector, where=where)).decode("ascii", "replace").strip()
        if not text or not text.isascii():
            raise BadSpec(f"{where}: the key {key} holds no credential of AWS", remedy="put it there as text")
        return text

    key_id, secret = await value("aws_access_key_id"), await value("aws_secret_access_key")
    try:
        session_token = await value("aws_session_token")
    except BadSpec:
        # Temporary credentials have one, others do not.
        session_token = None
    supplier = GivenAwsCredentials(given.region, key_id, secret, session_token)

    async def prepare() -> Credential:
        return aws.Credentials(aws_security_credentials_supplier=supplier, **options)

    return prepare


async def _configured(spec: Federation, ref: ConfigMapReference, context: Context) -> Prepare:
    where = f"{_AT}.credConfig"
    text = await context.credentials.config_map(ref.name, ref.key, namespace=ref.namespace, where=where)
    found = configuration(text, spec, where=where, seconds=context.timeout)
    if not isinstance(found.source, Endpoint):
        # Before the metadata server, google-auth asks Keyferry's environment for keys of AWS: the same identity.
        context.addresses.check(_AWS_METADATA, _AWS_METADATA)

    async def prepare() -> Credential:
        if isinstance(found.source, Endpoint):
            supplier = GivenToken(await found.source.token(context.addresses))
            return _built(identity_pool.Credentials, {**found.options, "subject_token_supplier": supplier}, where)
        return _built(aws.Credentials, {**found.options, "credential_source": found.source}, where)

    return prepare


def _options(spec: Federation, kind: str, annotated: str | None = None) -> dict[str, Any]:
    """The options of google-auth's credential for a token of this kind."""
    url = None
    if spec.gcp_service_account_email:
        url = impersonation_url(spec.gcp_service_account_email, where=f"{_AT}.gcpServiceAccountEmail")
    elif annotated:
        url = impersonation_url(annotated, where=f"the annotation {ACTS_AS}")
    return {
        "audience": spec.audience,
        "subject_token_type": kind,
        "token_url": STS,
        "service_account_impersonation_url": url,
        "scopes": SCOPES,
    }


def _built(kind: type[Credential], options: Mapping[str, Any], where: str) -> Credential:
    try:
        return kind(**options)
    except (GoogleAuthError, ValueError, TypeError):
        pass
    raise BadSpec(f"{where} holds no configuration that google-auth takes", remedy=WRITE)
