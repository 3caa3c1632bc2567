"""Brings the target Secret in step, with no request where nothing has to change."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from keyferry.api.externalsecret import ExternalSecret
from keyferry.errors import BadSpec, Conflict, Denied, NotReady, NotThere
from keyferry.kube.client import EXTERNAL_SECRETS, SECRETS, Kube, ObjectKey
from keyferry.kube.managed import ManagedSecrets
from keyferry.kube.plan import Desired, plan
from keyferry.shape.hashes import created_by, field_manager


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of the target; ``blocked`` is why a part of it could not be written."""

    action: Literal["created", "updated", "unchanged", "missing"]
    blocked: BadSpec | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Order:
    """A Secret to bring about. ``inputs`` is a hash of all that ``make`` makes it from, so that it need not be made."""

    inputs: bytes
    make: Callable[[], Awaitable[Desired]]


@dataclass(frozen=True, slots=True)
class _Last:
    """The Secret that an ExternalSecret was last found to be in step with, and what it was made from."""

    uid: str
    version: str
    order: bytes


class Targets:
    """Writes target Secrets. Remembers, per ExternalSecret, what the Secret was last in step with."""

    def __init__(self, kube: Kube, managed: ManagedSecrets, *, adopt: bool) -> None:
        self._kube = kube
        self._managed = managed
        self._adopt = adopt
        self._last: dict[ObjectKey, _Last] = {}
        self._nothing: dict[ObjectKey, tuple[str, str]] = {}
        """By ExternalSecret: its uid and the target that was not there the last time that it was to be deleted."""
        self._refused: set[ObjectKey] = set()
        """ExternalSecrets whose Secret could not simply be created: it is looked for first."""

    async def apply(self, key: ObjectKey, es: ExternalSecret, order: Order) -> Applied:
        """Create or update the target Secret as its creation policy says.

        Raises what ``order.make`` raises, ``BadSpec`` where the rules or the API server forbid the write, ``Conflict``
        where the Secret changed meanwhile, ``NotReady`` in a namespace that is going away, ``Denied`` and
        ``Unreachable``.
        """
        self._nothing.pop(key, None)
        fingerprint = _fingerprint(es, order)
        seen = self._managed.get(es.metadata.namespace, es.target_name)
        if seen is not None and self._last.get(key) == _Last(seen.uid, seen.version, fingerprint):
            return Applied("unchanged")
        desired = await order.make()
        if seen is None and key not in self._refused and es.spec.target.creation_policy != "Merge":
            # As good as always there is none, and the read that would find that out is saved.
            with contextlib.suppress(Conflict, Denied, BadSpec):
                return await self._carry_out(key, es, desired, None, fingerprint)
            self._refused.add(key)
        existing = await self._kube.get(SECRETS, es.metadata.namespace, es.target_name)
        return await self._carry_out(key, es, desired, existing, fingerprint)

    async def _carry_out(
        self,
        key: ObjectKey,
        es: ExternalSecret,
        desired: Desired,
        existing: Mapping[str, Any] | None,
        fingerprint: bytes,
    ) -> Applied:
        steps = plan(es, desired, existing, adopt=self._adopt)
        if steps.action == "missing":
            return Applied("missing")
        manager = field_manager(es.metadata.name)
        action: Literal["created", "updated", "unchanged"] = "unchanged"
        written: Mapping[str, Any] | None = existing
        if steps.body is not None and steps.action == "create":
            try:
                written = await self._kube.create(SECRETS, es.metadata.namespace, steps.body, manager=manager)
            except NotThere:
                raise NotReady(f'namespace "{es.metadata.namespace}" does not exist') from None
            action = "created"
        elif steps.body is not None and steps.action == "replace":
            try:
                written = await self._kube.replace(SECRETS, es.metadata.namespace, steps.body, manager=manager)
            except NotThere:
                raise Conflict(f'Secret "{es.target_name}" was deleted meanwhile') from None
            action = "updated"
        if written is not None:
            self._managed.note(written)
        if written is not None and steps.blocked is None:
            metadata = written["metadata"]
            self._last[key] = _Last(metadata["uid"], metadata["resourceVersion"], fingerprint)
        return Applied(action, steps.blocked)

    async def delete(self, es: ExternalSecret) -> bool:
        """Delete the target, if this ExternalSecret is its controller. Whether there was one to delete.

        What was found to be gone is not looked for again: only ``apply`` makes another.

        Raises ``BadSpec`` where the Secret is not this ExternalSecret's to delete.
        """
        key = ObjectKey("ExternalSecret", es.metadata.namespace, es.metadata.name)
        nothing = (es.metadata.uid, es.target_name)
        if self._nothing.get(key) == nothing and self._managed.get(es.metadata.namespace, es.target_name) is None:
            return False
        existing = await self._kube.get(SECRETS, es.metadata.namespace, es.target_name)
        if existing is None:
            self._nothing[key] = nothing
            return False
        metadata = existing["metadata"]
        if not any(
            reference.get("controller") and reference.get("uid") == es.metadata.uid
            for reference in metadata.get("ownerReferences") or []
        ):
            raise BadSpec(
                "could not delete secret",
                remedy=f'Secret "{es.target_name}" is not controlled by this ExternalSecret',
            )
        return await self._kube.delete(
            SECRETS, es.metadata.namespace, es.target_name, uid=metadata["uid"], version=metadata["resourceVersion"]
        )

    async def delete_if_owned(self, es: ExternalSecret) -> None:
        """Delete the target, if this ExternalSecret is its controller; leave it otherwise."""
        with contextlib.suppress(BadSpec):
            await self.delete(es)

    async def drop_finalizer(self, es: ExternalSecret, finalizer: str) -> None:
        """Take a finalizer off the ExternalSecret, so that its deletion can end."""
        left = [each for each in es.metadata.finalizers if each != finalizer]
        patch = {"metadata": {"finalizers": left, "resourceVersion": es.metadata.resource_version}}
        with contextlib.suppress(NotThere):
            await self._kube.merge(EXTERNAL_SECRETS, es.metadata.namespace, es.metadata.name, patch)

    async def delete_orphans(self, es: ExternalSecret) -> list[str]:
        """Delete the Secrets that this ExternalSecret made under an earlier target name; their names.

        A label is soon copied to another Secret, so that it takes the owner reference as well.
        """
        creator = created_by(es.metadata.namespace, es.metadata.name)
        gone = []
        for name, seen in self._managed.created_by(creator, es.metadata.namespace, es.metadata.name):
            if name != es.target_name and await self._kube.delete(
                SECRETS, es.metadata.namespace, name, uid=seen.uid, version=seen.version
            ):
                gone.append(name)
        return gone

    def forget(self, key: ObjectKey) -> None:
        """The ExternalSecret is gone."""
        self._last.pop(key, None)
        self._nothing.pop(key, None)
        self._refused.discard(key)


def _fingerprint(es: ExternalSecret, order: Order) -> bytes:
    target = es.spec.target
    parts = (
        es.metadata.uid,
        es.target_name,
        es.spec.target.creation_policy,
        bool(target.immutable),
        order.inputs.hex(),
    )
    return hashlib.sha256(orjson.dumps(parts)).digest()
