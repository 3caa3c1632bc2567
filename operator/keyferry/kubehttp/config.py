"""Where the API server is and who we are, read by the official client's loaders.

So kubeconfig files, credential plugins and in-cluster accounts mean here what they mean to other tools. No text that
leaves this module quotes a kubeconfig: the loaders' own errors do.
"""

from __future__ import annotations

import asyncio
import os
import ssl as tls
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException, load_kube_config
from kubernetes.aio.config.incluster_config import InClusterConfigLoader

from keyferry.errors import BadSpec
from keyferry.kubehttp.error import KubeError

# The official client publishes no types for its loaders.
_load_kube_config: Any = load_kube_config
_InClusterConfigLoader: Any = InClusterConfigLoader

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet mounts the pod's token and the cluster's CA."""
TOKEN_AGE = 60.0
"""Seconds after which the token file is read again, changed or not."""
PLUGIN_MARGIN = timedelta(minutes=1)
"""How long before its end a credential plugin's answer is asked for anew."""

Authorization = Callable[[str | None], Awaitable[str]]
"""``await authorization(refused)``: the header's value, "" for none; ``refused`` is the value that met a 401."""


@dataclass(frozen=True, slots=True, repr=False)
class Endpoint:
    """An API server and the way to it."""

    server: str
    """Scheme, host, port and path prefix."""
    ssl: tls.SSLContext | bool
    authorization: Authorization
    proxy: str | None = None
    server_hostname: str | None = None
    """The name that the server's certificate has to carry, where it is not the URL's host."""


async def from_environment(kubeconfig: str | None, context: str | None) -> Endpoint:
    """The cluster that the process is meant for; see ``KubeHttp.from_environment``. Raises ``BadSpec``."""
    found = Configuration()
    # The strict checks of newer Pythons refuse CAs that kubeadm and others have made for years.
    found.disable_strict_ssl_verification = True
    authorization: Authorization
    if kubeconfig is None and context is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
        _load_in_cluster(found)
        authorization = _TokenFile(SERVICE_ACCOUNT / "token")
    else:
        paths = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        authorization = _Kubeconfig(paths, context)
        await authorization.load(found)
    try:
        ssl = RESTClientObject(found).ssl_context
    except (OSError, ValueError):
        raise BadSpec("the CA or the client certificate of the cluster's configuration cannot be used") from None
    return Endpoint(found.host, ssl, authorization, found.proxy, found.tls_server_name)


class _TokenFile:
    """The token that the kubelet renews in place: read again when the file changes, or after ``TOKEN_AGE``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._header = ""
        self._changed = -1
        self._read_at = 0.0

    async def __call__(self, refused: str | None) -> str:
        try:
            # A file in memory, of a kilobyte: a thread would cost more than the read.
            changed = self._path.stat().st_mtime_ns
            if refused or changed != self._changed or time.monotonic() - self._read_at >= TOKEN_AGE:
                self._header = f"Bearer {self._path.read_text(encoding='ascii').strip()}"
                self._changed, self._read_at = changed, time.monotonic()
        except (OSError, ValueError):
            raise KubeError(401, "Unauthorized", "the service account's token cannot be read") from None
        return self._header


class _Kubeconfig:
    """The credential of a kubeconfig: loaded anew when it was refused, or when its plugin's answer nears its end."""

    def __init__(self, paths: str, context: str | None) -> None:
        self._paths = paths
        self._context = context
        self._header = ""
        self._expiry: datetime | None = None
        self._loading = asyncio.Lock()

    async def load(self, found: Configuration) -> None:
        """Fill ``found``. Raises ``BadSpec``."""
        if not _any_file(self._paths):
            remedy = "run inside a cluster, or name a file by --kubeconfig or KUBECONFIG"
            raise BadSpec(f"there is no kubeconfig at {self._paths}", remedy=remedy)
        try:
            loader = await _load_kube_config(
                self._paths, context=self._context, client_configuration=found, persist_config=False
            )
            self._header = await found.get_api_key_with_prefix("BearerToken") or ""
        except Exception:  # noqa: BLE001 - the loader lets every kind of error through; their texts quote the file
            named = f'the context "{self._context}"' if self._context else "the current context"
            raise BadSpec(
                f"{named} of the kubeconfig {self._paths} cannot be used", remedy="try it with kubectl"
            ) from None
        self._expiry = getattr(loader, "exec_plugin_expiry", None)

    async def __call__(self, refused: str | None) -> str:
        async with self._loading:
            if self._header == refused or (self._expiry and self._expiry - datetime.now(UTC) < PLUGIN_MARGIN):
                try:
                    await self.load(Configuration())
                except BadSpec as error:
                    raise KubeError(401, "Unauthorized", str(error)) from None
            return self._header


def _load_in_cluster(found: Configuration) -> None:
    """Fill ``found`` from the pod's service account. Raises ``BadSpec``."""
    try:
        _InClusterConfigLoader(
            token_filename=str(SERVICE_ACCOUNT / "token"),
            cert_filename=str(SERVICE_ACCOUNT / "ca.crt"),
            try_refresh_token=False,
        ).load_and_set(found)
    except (ConfigException, OSError, ValueError):
        raise BadSpec(
            f"the pod's service account at {SERVICE_ACCOUNT} cannot be used",
            remedy="set automountServiceAccountToken, and KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT",
        ) from None


def _any_file(paths: str) -> bool:
    return any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep) if path)
