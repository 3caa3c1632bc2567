"""One of several processes works: the one that holds a Lease of ``coordination.k8s.io/v1``.

The protocol is client-go's, so that its tools and other holders understand us. The holder renews with the
resourceVersion it last saw, and stops its work when it could not renew for ``renew_deadline``. The others wait until
the Lease has not changed for its duration *by their own clock*, from when they saw it change; times written in it are
for people. A holder that ends gives the Lease back, and the next one takes it at its next try.

There is no fencing: a process that is frozen for longer than ``lease_duration`` may finish a request that it had begun.
Writes carry a resourceVersion for that.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import socket
import uuid
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from keyferry.errors import BadSpec, KeyferryError
from keyferry.kubehttp import KubeError, KubeHttp
from keyferry.settings import Election
from keyferry.telemetry import get_logger

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_RELEASE_TIMEOUT = 2.0
# client-go's: candidates that were started together must not ask together for ever.
_JITTER = 1.2

_T = TypeVar("_T")
Lease = Mapping[str, Any]

log = get_logger(__name__)


class LeaseLost(KeyferryError):
    """The Lease could not be renewed in time, or another process has it. Work has stopped; the process ends."""


class LeaseClient(Protocol):
    """The API server, as far as one Lease is concerned. Every method raises ``KubeError``."""

    async def get(self) -> Lease:
        """The Lease; a ``KubeError`` with ``not_found`` where there is none."""
        ...

    async def create(self, spec: Mapping[str, Any]) -> Lease:
        """Create the Lease; ``already_exists`` where another was faster."""
        ...

    async def update(self, lease: Lease) -> Lease:
        """Replace the Lease; ``conflict`` where its resourceVersion is no longer the newest."""
        ...


class KubeLease:
    """``LeaseClient`` for the Lease ``namespace/name``; one request may take ``timeout`` seconds."""

    def __init__(self, http: KubeHttp, *, namespace: str, name: str, timeout: float) -> None:
        self._http = http
        self._timeout = timeout
        self._name = name
        self._namespace = namespace
        self._all = f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace, safe='')}/leases"
        self._one = f"{self._all}/{quote(name, safe='')}"

    async def get(self) -> Lease:
        return await self._ask("GET", self._one, None)

    async def create(self, spec: Mapping[str, Any]) -> Lease:
        metadata = {"name": self._name, "namespace": self._namespace}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        return await self._ask("POST", self._all, lease)

    async def update(self, lease: Lease) -> Lease:
        return await self._ask("PUT", self._one, lease)

    async def _ask(self, method: str, path: str, body: Lease | None) -> Lease:
        answer: Lease = await self._http.request(method, path, body=body, timeout=self._timeout)
        return answer


def lease_namespace(settings: Election, environment: Mapping[str, str] = os.environ) -> str:
    """Where the Lease lives: the flag, POD_NAMESPACE, or the pod's ServiceAccount. Raises ``BadSpec`` for none."""
    found = settings.namespace or environment.get("POD_NAMESPACE", "")
    if not found:
        with suppress(OSError):
            found = _NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    if not found:
        raise BadSpec(
            "leader election: the namespace of the Lease is not known", remedy="set --leader-election-namespace"
        )
    return found


def new_identity() -> str:
    """A holder's name that no other process has, not even this pod's next one."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


class Elector:
    """One process's part in the election.

    ``leading`` is called with True when the Lease is taken and with False when it is no longer ours.
    """

    def __init__(
        self,
        client: LeaseClient,
        settings: Election,
        *,
        identity: str | None = None,
        leading: Callable[[bool], None] = lambda _: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.identity = identity or new_identity()
        self._client = client
        self._settings = settings
        self._leading = leading
        self._now = now
        self._held: Lease | None = None
        """The Lease as we wrote it last; None where it has to be read before it can be written."""
        self._seen: Mapping[str, Any] = {}
        self._seen_at = 0.0
        self._told = ""

    async def acquire(self) -> None:
        """Return once the Lease is ours. Trouble with the API server is logged and waited out."""
        while not await self._try(renewing=False):  # noqa: ASYNC110 - what is waited for is in the API server
            await asyncio.sleep(self._settings.retry_period * (1 + _JITTER * random.random()))  # noqa: S311 - spreads load
        log.info("took the Lease", lease=self._settings.id, identity=self.identity)
        self._leading(True)

    async def hold(self) -> None:
        """Renew until that is no longer possible, then raise ``LeaseLost``."""
        loop = asyncio.get_running_loop()
        renewed_at = loop.time()
        held = True
        try:
            while True:
                deadline = renewed_at + self._settings.renew_deadline
                # Faster while it fails: the API server may come back just before the deadline.
                pause = self._settings.retry_period if held else self._settings.retry_period / 4
                await asyncio.sleep(min(pause, max(0.0, deadline - loop.time())))
                # Counted from before the request: others count from when the server has written it, which is later.
                began = loop.time()
                held = False
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(deadline):
                        held = await self._try(renewing=True)
                if held:
                    renewed_at = began
                elif loop.time() >= deadline:
                    raise LeaseLost(f'the Lease "{self._settings.id}" could not be renewed in time')
        finally:
            self._leading(False)

    async def release(self) -> None:
        """Give the Lease back where it is ours, so that the next one need not wait. Trouble is logged."""
        try:
            async with asyncio.timeout(_RELEASE_TIMEOUT):
                # Read anew: a renewal that was cut off may or may not have been written.
                lease = await self._client.get()
                spec = lease.get("spec") or {}
                if spec.get("holderIdentity") != self.identity:
                    return
                # client-go's values of a released Lease.
                given_back = {**spec, "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self._micro_time()}
                await self._client.update({**lease, "spec": given_back})
        except (KubeError, TimeoutError) as error:
            log.warning("could not give the Lease back", lease=self._settings.id, error=error)
        else:
            log.info("gave the Lease back", lease=self._settings.id)

    async def _try(self, *, renewing: bool) -> bool:
        """Take or renew once; whether the Lease is ours afterwards. Raises ``LeaseLost`` only where it was ours."""
        lease, self._held = self._held, None
        try:
            lease = lease or await self._read()
            if lease is None:
                written = await self._client.create(self._mine({}))
            else:
                spec = lease.get("spec") or {}
                holder = spec.get("holderIdentity") or ""
                if holder not in ("", self.identity):
                    if renewing:
                        raise LeaseLost(f'the Lease "{self._settings.id}" was taken by another process')
                    if not self._expired():
                        self._tell("waiting for the Lease", holder=holder)
                        return False
                # The usual renewal is this one request: nobody else has written since we did.
                written = await self._client.update({**lease, "spec": self._mine(spec)})
        except KubeError as error:
            # Another was faster; the next try reads who.
            if not error.conflict and not error.already_exists:
                self._tell("cannot take or renew the Lease", error=error)
            return False
        self._held = written
        self._told = ""
        return True

    async def _read(self) -> Lease | None:
        try:
            lease = await self._client.get()
        except KubeError as error:
            if error.not_found:
                return None
            raise
        spec = lease.get("spec") or {}
        if spec != self._seen:
            self._seen = spec
            self._seen_at = asyncio.get_running_loop().time()
        return lease

    def _expired(self) -> bool:
        duration = self._seen.get("leaseDurationSeconds") or self._settings.lease_duration
        return asyncio.get_running_loop().time() >= self._seen_at + float(duration)

    def _mine(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """``spec`` with us as the holder, as of now. Fields that we do not know stay."""
        now = self._micro_time()
        mine = {
            **spec,
            "holderIdentity": self.identity,
            "leaseDurationSeconds": math.ceil(self._settings.lease_duration),
            "renewTime": now,
        }
        if spec.get("holderIdentity") != self.identity:
            mine["acquireTime"] = now
            mine["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1 if spec else 0
        return mine

    def _micro_time(self) -> str:
        return self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _tell(self, what: str, **fields: object) -> None:
        # Said once, not at every try.
        told = f"{what} {fields}"
        if told != self._told:
            self._told = told
            log.warning(what, lease=self._settings.id, **fields) if "error" in fields else log.info(
                what, lease=self._settings.id, **fields
            )


async def while_leading(elector: Elector, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Wait for the Lease, then run ``work`` for as long as it is ours; what ``work`` returns or raises.

    When the Lease is lost, ``work`` is cancelled at once and ``LeaseLost`` is raised when it has ended: the process is
    meant to exit, as those of controller-runtime do, since a clean start is cheap and a half-stopped worker is not.
    Cancel this to stop; a Lease that is ours is given back after ``work`` has ended.
    """
    try:
        await elector.acquire()
        holding = asyncio.create_task(elector.hold(), name="lease")
        working = asyncio.create_task(work(), name="work")
        try:
            await asyncio.wait({holding, working}, return_when=asyncio.FIRST_COMPLETED)
            if holding.done():
                await holding
            return await working
        finally:
            await _end(working)
            await _end(holding)
    finally:
        await elector.release()


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        # Asked for, so that asyncio does not report it as lost; whoever awaits the task gets it as well.
        task.exception()
