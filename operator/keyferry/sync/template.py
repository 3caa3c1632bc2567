"""What the target Secret is made from: the values that were read, and the templates with their sources."""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import orjson

from keyferry.api.externalsecret import ExternalSecret, Rewrite
from keyferry.api.target import Template
from keyferry.errors import BadSpec
from keyferry.kube.client import BY_KIND, METADATA, Kube, ObjectKey
from keyferry.kube.dependencies import Dependencies
from keyferry.kube.plan import Desired, copied_labels
from keyferry.kube.target import Order
from keyferry.shape import rewrite
from keyferry.shape import template as stage
from keyferry.shape.hashes import object_hash
from keyferry.shape.render import Renderer


class Templates:
    """Orders of Secrets. Remembers which objects hold the templates of which ExternalSecret."""

    def __init__(self, kube: Kube, dependencies: Dependencies, renderer: Renderer, executor: Executor) -> None:
        """``executor`` runs what renders, so that a template that takes its time holds nobody else up."""
        self._kube = kube
        self._dependencies = dependencies
        self._renderer = renderer
        self._executor = executor
        self._digests: dict[ObjectKey, tuple[str, str]] = {}
        """Of objects that hold templates: the version that was read last, and the hash of its data."""
        self._tidy_at = 64

    async def order(self, key: ObjectKey, es: ExternalSecret, data: dict[str, bytes]) -> Order:
        """The Secret of these values. Raises ``BadSpec`` where an object that holds templates cannot be had."""
        template = es.spec.target.template
        if template is None:
            self._dependencies.keep(key, ())
            return _copy(es, data)
        stage.check(template)
        sources = self.sources(es)
        held: dict[ObjectKey, Mapping[str, bytes]] = {}
        digests: dict[ObjectKey, str] = {}
        for source in sources:
            if not self._is_known(key, source):
                held[source] = await self._read(key, template, source)
            digests[source] = self._digests[source][1]
        self._dependencies.keep(key, sources)
        inputs = _inputs(template, data, digests, self._renderer)

        async def make() -> Desired:
            for source in sources:
                if source not in held:
                    held[source] = await self._read(key, template, source)
            named = {(source.kind, source.name): each for source, each in held.items()}
            work = functools.partial(stage.make, template, data, named, self._renderer)
            made = await asyncio.get_running_loop().run_in_executor(self._executor, work)
            return desired(template, made, inputs)

        return Order(bytes.fromhex(inputs), make)

    async def rename(self, values: Mapping[str, bytes], steps: Sequence[Rewrite]) -> tuple[dict[str, bytes], list[str]]:
        """See ``gather.Rename``."""
        work = functools.partial(rewrite.rewrite, values, steps, self._renderer.renaming())
        if any(step.transform is not None for step in steps):
            done = await asyncio.get_running_loop().run_in_executor(self._executor, work)
        else:
            done = work()
        return done.data, done.lost

    async def watch(self, key: ObjectKey, es: ExternalSecret) -> None:
        """Look out for changes of the objects that hold the templates, without making anything."""
        for source in self.sources(es):
            since = self._dependencies.expect(key, source)
            if self._dependencies.is_unread(source):
                found = await self._kube.get(BY_KIND[source.kind], source.namespace, source.name, accept=METADATA)
                version = found["metadata"]["resourceVersion"] if found else ""
                self._dependencies.depend(key, source, version, since)

    @staticmethod
    def sources(es: ExternalSecret) -> list[ObjectKey]:
        """The objects that hold the templates."""
        template = es.spec.target.template
        named = stage.sources(template) if template is not None else []
        return [ObjectKey(kind, es.metadata.namespace, name) for kind, name in named]

    def _is_known(self, key: ObjectKey, source: ObjectKey) -> bool:
        """Whether the object is as it was read last, and a change of it would wake the ExternalSecret."""
        version, _ = self._digests.get(source, ("", ""))
        return bool(version) and source in self._dependencies.of(key) and self._dependencies.is_at(source, version)

    async def _read(self, key: ObjectKey, template: Template, source: ObjectKey) -> Mapping[str, bytes]:
        since = self._dependencies.expect(key, source)
        found = await self._kube.get(BY_KIND[source.kind], source.namespace, source.name)
        version = found["metadata"]["resourceVersion"] if found else ""
        self._dependencies.depend(key, source, version, since)
        if found is None:
            raise BadSpec(
                f"{_place(template, source)}: could not fetch template source: "
                f'{source.kind} "{source.name}" does not exist in namespace "{source.namespace}"',
                remedy="create it, or correct the reference",
            )
        data = data_of(found)
        if len(self._digests) >= self._tidy_at:
            known = self._digests.items()
            self._digests = {each: read for each, read in known if self._dependencies.is_at(each, read[0])}
            self._tidy_at = max(64, 2 * len(self._digests))
        self._digests[source] = (version, object_hash(data))
        return data


def desired(template: Template, made: stage.Made, inputs: str) -> Desired:
    """What the target Secret is to hold, of what the templates made."""
    return Desired(
        data=made.data,
        labels=made.labels,
        annotations=made.annotations,
        type=template.type or None,
        finalizers=template.metadata.finalizers,
        inputs=inputs if made.unrepeatable else "",
    )


def copied(es: ExternalSecret, data: Mapping[str, bytes]) -> Desired:
    """The Secret without a template: the data as read, with the labels and annotations of the ExternalSecret."""
    return Desired(data=data, labels=copied_labels(es), annotations=es.metadata.annotations)


def data_of(source: Mapping[str, Any]) -> dict[str, bytes]:
    """The texts in a ConfigMap or a Secret."""
    data: Mapping[str, str] = source.get("data") or {}
    if source["kind"] == "Secret":
        return {key: base64.b64decode(value) for key, value in data.items()}
    return {key: value.encode() for key, value in data.items()}


def _copy(es: ExternalSecret, data: Mapping[str, bytes]) -> Order:
    parts = (object_hash(data), es.metadata.labels, es.metadata.annotations)

    async def make() -> Desired:
        return copied(es, data)

    return Order(_digest(parts), make)


def _inputs(template: Template, data: Mapping[str, bytes], sources: Mapping[ObjectKey, str], renderer: Renderer) -> str:
    parts = (
        object_hash(data),
        template.model_dump(),
        sorted((source.kind, source.name, digest) for source, digest in sources.items()),
        (renderer.left, renderer.right),
    )
    return _digest(parts).hex()


def _digest(parts: tuple[Any, ...]) -> bytes:
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).digest()


def _place(template: Template, source: ObjectKey) -> str:
    for number, each in enumerate(template.template_from):
        named = each.config_map if source.kind == "ConfigMap" else each.secret
        if named is not None and named.name == source.name:
            return f"spec.target.template.templateFrom[{number}]"
    return "spec.target.template"
