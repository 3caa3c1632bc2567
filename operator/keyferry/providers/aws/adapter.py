"""The provider ``aws``: who the store is, and the service that it reads from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from keyferry.api.common import Model
from keyferry.errors import BadSpec, KeyferryError, Unreachable
from keyferry.ports import Capabilities, Context, Fetched, Layout, Query, Ref, Validation
from keyferry.providers.aws.config import AwsConfig
from keyferry.providers.aws.door import Caller, Door
from keyferry.providers.aws.identity import Identity
from keyferry.providers.aws.parameterstore import ParameterStore
from keyferry.providers.aws.places import Prefix
from keyferry.providers.aws.sdk import Sdk, Signer
from keyferry.providers.aws.secretsmanager import SecretsManager
from keyferry.providers.aws.sts import Sts, identity_of


class Aws:
    """``spec.provider.aws``."""

    name: ClassVar[str] = "aws"
    label: ClassVar[str] = "AWS/SecretsManager"
    capabilities: ClassVar[Capabilities] = Capabilities.READ_ONLY
    layout: ClassVar[Layout] = Layout("text", "literal-first", "error")
    Config: ClassVar[type[Model]] = AwsConfig

    def __init__(
        self, *, door: Door, service: SecretsManager | ParameterStore, identity: Identity, sts: Sts | None
    ) -> None:
        """``sts`` is None where nothing but the service is to be asked."""
        self._door = door
        self._service = service
        self._identity = identity
        self._sts = sts

    @classmethod
    async def open(cls, config: Model, context: Context) -> Self:
        """Build the adapter. Resolves what lies in the cluster, sends nothing to AWS.

        Raises:
            BadSpec: what the store says cannot be, or names what is not there.
            CallerNeeded: credentials or session tags depend on who asks, and nobody does.
        """
        if not isinstance(config, AwsConfig):
            raise TypeError(f"expected AwsConfig, got {type(config).__name__}")
        _check(config)
        api = "secretsmanager" if config.service == "SecretsManager" else "ssm"
        sdk = Sdk(region=config.region, timeout=context.timeout, environment=os.environ)
        caller = Caller(context)
        sts = Sts(sdk, context.store, caller)
        identity = await identity_of(config, context, sdk, sts, caller)
        signer = Signer()
        client = await caller.threads.run(lambda: sdk.client(api, signer))
        door = Door(client=client, signer=signer, identity=identity, caller=caller)
        kind = SecretsManager if config.service == "SecretsManager" else ParameterStore
        service = kind(door, region=config.region, prefix=Prefix(config.prefix))
        # Where somebody else stands in for the service and nobody for STS, AWS's own STS does not know the keys.
        askable = sdk.overridden("sts") or not sdk.overridden(api)
        return cls(door=door, service=service, identity=identity, sts=sts if askable else None)

    async def read(self, refs: Sequence[Ref]) -> Mapping[Ref, Fetched | KeyferryError]:
        """Read every ref, each once, as many as AWS allows by one call."""
        return await self._service.read(list(dict.fromkeys(refs)))

    async def find(self, query: Query) -> Mapping[str, Ref | Fetched]:
        """What the service finds; see there."""
        return await self._service.find(query)

    async def validate(self) -> Validation:
        """Take the store's credentials, and have STS recognize them. Rights are found out by reading.

        ``UNKNOWN`` where STS cannot be reached for that: a network may lead to the service alone.
        """
        await self._identity.current()
        if self._sts is None:
            return Validation.UNKNOWN
        try:
            await self._sts.recognize(self._identity)
        except Unreachable:
            return Validation.UNKNOWN
        return Validation.READY

    async def aclose(self) -> None:
        """Close the connections. Sessions of roles end by themselves. Idempotent."""
        self._door.close()


def _check(spec: AwsConfig) -> None:
    """What ESO's webhook checks. Raises ``BadSpec``."""
    if spec.service == "CertificateManager":
        raise BadSpec("service: CertificateManager is not served yet", remedy="use SecretsManager or ParameterStore")
    settings = spec.secrets_manager
    if settings is None or not settings.recovery_window_in_days:
        return
    if settings.force_delete_without_recovery:
        raise BadSpec("secretsManager.forceDeleteWithoutRecovery conflicts with recoveryWindowInDays", remedy="set one")
    if not 7 <= settings.recovery_window_in_days <= 30:
        raise BadSpec("secretsManager.recoveryWindowInDays is not between 7 and 30", remedy="set it to 7 to 30 days")
