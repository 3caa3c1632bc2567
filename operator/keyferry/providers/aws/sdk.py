"""botocore: sessions, clients, endpoints.

A session costs 60 ms because it reads the descriptions of services from files; all sessions share one reader of them,
and then cost less than 10 ms. Nothing else is shared: each client has a session of its own whose credentials are those
given to it, and only ``own`` makes one that looks for credentials in the environment.

What AWS SDKs read of the environment counts here too: AWS_CA_BUNDLE, HTTPS_PROXY and NO_PROXY, AWS_USE_FIPS_ENDPOINT,
AWS_USE_DUALSTACK_ENDPOINT, AWS_ENDPOINT_URL. ESO's three endpoint variables win over the latter.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any, Final

from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, InvalidRegionError
from botocore.loaders import Loader, create_loader
from botocore.session import Session

from keyferry import transport
from keyferry.errors import BadSpec
from keyferry.providers.aws.answers import ForeignError, misconfigured
from keyferry.providers.aws.identity import Keys

PARALLEL: Final = 8
"""Calls of one adapter at a time, out of the process's shared threads."""

_descriptions: Final[Loader] = create_loader()

# At DEBUG, botocore logs answers with their values, and requests with their session tokens.
logging.getLogger("botocore").setLevel(logging.INFO)


class Signer(Credentials):
    """What a client signs with: in each thread, the keys that were given to it there last.

    So a request is signed with the keys that it was meant for, whatever others send through the same client meanwhile.
    """

    def __init__(self) -> None:
        super().__init__("", "")
        self._here = threading.local()

    def use(self, keys: Keys) -> None:
        """Sign what this thread sends with these from now on."""
        self._here.keys = keys

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """The keys of this thread, as botocore asks for them once per request."""
        keys: Keys = self._here.keys
        return ReadOnlyCredentials(keys.access_key, keys.secret_key, keys.token or None)


class _Given:
    """A session's source of credentials that knows one answer, in place of a chain that looks everywhere."""

    def __init__(self, signer: Signer | None) -> None:
        self._signer = signer

    def load_credentials(self) -> Signer | None:
        return self._signer


class Sdk:
    """Makes the clients of one adapter. Its methods read files: they belong into a thread."""

    def __init__(self, *, region: str, timeout: float, environment: Mapping[str, str]) -> None:
        """``timeout`` in seconds, for connecting and for each piece of an answer.

        Raises ``BadSpec`` where an endpoint of the environment is no URL.
        """
        self.region = region
        self._timeout = timeout
        self._endpoints: dict[str, str] = {}
        for service in ("secretsmanager", "ssm", "sts"):
            variable = f"AWS_{service.upper()}_ENDPOINT"
            if environment.get(variable):
                transport.server_url(environment[variable], where=f"{variable} of Keyferry's environment")
                self._endpoints[service] = environment[variable]

    def overridden(self, service: str) -> bool:
        """Whether the environment names an endpoint for this service."""
        return service in self._endpoints

    def client(self, service: str, signer: Signer | None, *, patience: float | None = None) -> Any:
        """A client that signs with ``signer``, or not at all. ``patience``: seconds to connect, if not the adapter's.

        Raises ``BadSpec`` where the region is none, and where the SDK's own configuration is wrong.
        """
        session = self._session(patience)
        session.register_component("credential_provider", _Given(signer))
        config = Config(signature_version=UNSIGNED) if signer is None else None
        try:
            # The names of services are literals in the stubs' overloads.
            make: Any = session.create_client
            client: Any = make(service, endpoint_url=self._endpoints.get(service), config=config)
        except InvalidRegionError:
            raise BadSpec("region is no region of AWS", remedy="write it like eu-central-1") from None
        except BotoCoreError as error:
            raise misconfigured(error) from None
        if service == "sts":
            client.meta.events.register("before-parse", _tell_foreign)
        return client

    def own(self) -> Session:
        """A session that finds credentials as every AWS SDK does: environment, files, web identity, container, node."""
        return self._session(None)

    def _session(self, patience: float | None) -> Session:
        session = Session()
        session.register_component("data_loader", _descriptions)
        session.set_config_variable("region", self.region)
        session.set_default_client_config(
            Config(
                connect_timeout=patience or self._timeout,
                read_timeout=self._timeout,
                # Retries are the store's (spec.retrySettings) and the schedule's.
                retries={"total_max_attempts": 1, "mode": "standard"},
                max_pool_connections=PARALLEL,
                tcp_keepalive=True,
                user_agent_extra="keyferry",
            )
        )
        return session


def _tell_foreign(response_dict: Mapping[str, Any], **_: Any) -> None:
    """Before botocore reads an answer as XML: raise what it would only trip over."""
    if response_dict["status_code"] >= 400 and b"<ErrorResponse" not in response_dict["body"]:
        raise ForeignError(response_dict["status_code"], response_dict["headers"].get("Retry-After"))
