"""Two candidates, one Lease, and an API server that fails on command; all in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from keyferry.app.leader import Elector, while_leading
from keyferry.kubehttp import KubeError
from keyferry.settings import Election
from tests.support.virtual import elapsed

SETTINGS = Election(enabled=True, id="keyferry")
# The last renewal may be seen, and its end be noticed, up to 2.2 retry periods late each.
TAKEOVER = SETTINGS.lease_duration + 2 * 2.2 * SETTINGS.retry_period + 0.1


@dataclass
class Server:
    """One Lease at an API server that can be away or silent."""

    lease: dict[str, Any] | None = None
    version: int = 0
    trouble: KubeError | None = None
    silent: bool = False
    requests: int = 0
    written: list[float] = field(default_factory=list)

    async def _answer(self) -> None:
        self.requests += 1
        await asyncio.sleep(0.01)
        if self.silent:
            await asyncio.Event().wait()
        if self.trouble:
            raise self.trouble

    async def get(self) -> Mapping[str, Any]:
        await self._answer()
        if self.lease is None:
            raise KubeError(404, "NotFound", "no lease")
        return self.lease

    async def create(self, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        await self._answer()
        if self.lease is not None:
            raise KubeError(409, "AlreadyExists", "there is one")
        return self._store({"metadata": {}, "spec": spec})

    async def update(self, lease: Mapping[str, Any]) -> Mapping[str, Any]:
        await self._answer()
        if self.lease is None:
            raise KubeError(404, "NotFound", "no lease")
        if lease["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise KubeError(409, "Conflict", "newer")
        return self._store(lease)

    def _store(self, lease: Mapping[str, Any]) -> Mapping[str, Any]:
        self.version += 1
        self.written.append(elapsed())
        self.lease = {
            "metadata": {**lease["metadata"], "resourceVersion": str(self.version)},
            "spec": dict(lease["spec"]),
        }
        return self.lease

    @property
    def spec(self) -> Mapping[str, Any]:
        assert self.lease is not None
        spec: Mapping[str, Any] = self.lease["spec"]
        return spec

    @property
    def holder(self) -> str:
        return str(self.spec["holderIdentity"])


@dataclass
class Candidate:
    """A process that counts as working between ``began`` and ``ended``."""

    server: Server
    name: str
    skew: timedelta = timedelta(0)
    began: float | None = None
    ended: float | None = None
    leading: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        start = datetime(2030, 1, 1, tzinfo=UTC)
        self.elector = Elector(
            self.server,
            SETTINGS,
            identity=self.name,
            leading=self.leading.append,
            now=lambda: start + timedelta(seconds=elapsed()) + self.skew,
        )
        self.task = asyncio.create_task(while_leading(self.elector, self.work))

    async def work(self) -> None:
        self.began = elapsed()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = elapsed()

    async def die(self) -> None:
        """End as if killed: nothing is given back."""
        self.elector.release = no_release  # type: ignore[method-assign] # a release that never ends
        await self.stop()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


async def no_release() -> None:
    """A process that is killed gives nothing back."""


async def started(candidate: Candidate, within: float) -> None:
    async with asyncio.timeout(within):
        while candidate.began is None:  # noqa: ASYNC110 - the clock is virtual
            await asyncio.sleep(0.1)
