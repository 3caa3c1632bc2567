"""Finds objects whose deletion no watch told of: kopf does not report what went during a gap of its watch."""

from __future__ import annotations

from keyferry.app.bells import Bells
from keyferry.app.world import World
from keyferry.kube.client import METADATA_LIST, NAMESPACES, Kube, ObjectKey, Resource
from keyferry.kubehttp import KubeError
from keyferry.telemetry import get_logger

log = get_logger(__name__)


class Sweep:
    """Lists the names of all objects and drops those that are gone."""

    def __init__(
        self, kube: Kube, world: World, bells: Bells, resources: tuple[Resource, ...], namespaces: tuple[str, ...]
    ) -> None:
        self._kube = kube
        self._world = world
        self._bells = bells
        self._resources = tuple(each for each in resources if each is not NAMESPACES)
        self._namespaces = namespaces

    async def run(self) -> None:
        """One sweep. An object is dropped if it was known before the list began and is not in it."""
        for resource in self._resources:
            before = {
                key: self._world.uid(key)
                for key in self._world.keys()  # noqa: SIM118 -- not a mapping
                if key.kind == resource.kind
            }
            try:
                there = await self._names(resource)
            except KubeError as error:
                log.info("sweep put off", resource=resource.plural, error=str(error))
                continue
            for key, uid in before.items():
                # One with another uid was made after the list.
                if key not in there and self._world.uid(key) == uid:
                    log.info("object went unnoticed", object=str(key))
                    self._bells.gone(key)

    async def _names(self, resource: Resource) -> set[ObjectKey]:
        there = set()
        for namespace in self._namespaces if resource.namespaced and self._namespaces else ("",):
            async for page in self._kube.pages(resource, namespace, accept=METADATA_LIST):
                for body in page.get("items") or ():
                    metadata = body["metadata"]
                    there.add(ObjectKey(resource.kind, metadata.get("namespace", ""), metadata["name"]))
        return there
