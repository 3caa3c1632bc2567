"""AWS for the contract suite: both services, behind the sandbox's strict door, through the proxy that makes trouble."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from keyferry.ports import Fetched
from tests.contract.providers.backends import Backend
from tests.sandbox.aws import REGION, AwsSandbox, Rights, aws_environment
from tests.support.faults import FaultProxy


class SecretsManagerBackend(Backend):
    name = "aws"
    service: ClassVar[str] = "SecretsManager"
    cannot: ClassVar[Mapping[str, str]] = {
        "empty": "AWS takes no secret without a value",
        "large": "AWS takes 64 KiB at most",
        "unicode": "AWS takes ASCII letters, digits and some signs",
    }

    async def start(self) -> None:
        self.aws = self._life.enter_context(AwsSandbox())
        self.account = self.aws.account()
        self.rights = Rights()
        self.proxy = await self._life.enter_async_context(FaultProxy(self.aws.url))
        # Requests are signed for the host that they are sent to.
        self.aws.hosts.add(urlsplit(self.proxy.url).netloc)
        self._life.enter_context(aws_environment(self.proxy.url, AWS_CA_BUNDLE=self._bundle()))
        self._login()

    async def put(self, key: str, value: bytes, *, tags: Mapping[str, str] | None = None) -> str:
        try:
            given: str | bytes = value.decode()
        except UnicodeDecodeError:
            given = value
        return f"uuid/{self.aws.put_secret(self.account, key, given, tags=tags)}"

    async def delete(self, key: str) -> None:
        self.aws.admin(self.account, "secretsmanager", "DeleteSecret", SecretId=key, ForceDeleteWithoutRecovery=True)

    def config(self) -> Mapping[str, Any]:
        keys = {
            "accessKeyIDSecretRef": {"name": "login", "key": "id"},
            "secretAccessKeySecretRef": {"name": "login", "key": "key"},
        }
        return {"service": self.service, "region": REGION, "auth": {"secretRef": keys}}

    def value(self, found: object) -> bytes:
        assert isinstance(found, Fetched), repr(found)
        assert isinstance(found.document, bytes)
        return found.document

    async def rotate(self) -> None:
        old = self._user
        self._login()
        self.aws.directory.remove(old)

    async def deny(self) -> None:
        self.rights.allow.clear()

    def _bundle(self) -> str:
        """The file of the proxy's authority, as AWS SDKs ask for one."""
        file = Path(self._life.enter_context(tempfile.TemporaryDirectory())) / "ca.pem"
        file.write_bytes(self.proxy.ca_pem)
        return str(file)

    def _login(self) -> None:
        self._user = self.aws.directory.user(self.account, self.rights)
        self.secrets.append(self._user.secret_key)
        self.credentials.secrets["default", "login"] = {
            "id": self._user.access_key.encode(),
            "key": self._user.secret_key.encode(),
        }


class ParameterStoreBackend(SecretsManagerBackend):
    variant = "-parameterstore"
    service = "ParameterStore"
    cannot: ClassVar[Mapping[str, str]] = {
        "binary": "values of parameters are text",
        "empty": "AWS takes no parameter without a value",
        "large": "AWS takes 8 KiB at most",
        "unicode": "AWS takes ASCII letters, digits and some signs",
    }

    async def put(self, key: str, value: bytes, *, tags: Mapping[str, str] | None = None) -> str:
        return self.aws.put_parameter(self.account, key, value.decode(), tags=tags)

    async def delete(self, key: str) -> None:
        self.aws.admin(self.account, "ssm", "DeleteParameter", Name=key)


AWS: tuple[type[Backend], ...] = (SecretsManagerBackend, ParameterStoreBackend)
