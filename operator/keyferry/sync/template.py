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
from keyferry.kube.plan import Desired
from keyferry.kube.target import Order
from keyferry.shape import rewrite
from keyferry.shape import template as stage
from keyferry.shape.hashes import object_hash
from keyferry.shape.render import Renderer

Held = Mapping[stage.Source, Mapping[str, bytes]]


class Templates:
    """Orders of Secrets. Remembers which objects hold the templates of which ExternalSecret."""

    def __init__(self, kube: Kube, dependencies: Dependencies, renderer: Renderer, executor: Executor) -> None:
        """``executor`` runs what renders, so that a template that takes its time holds nobody else up."""
        self._kube = kube
        self._dependencies = dependencies
        self._renderer = renderer
        self._executor = executor

    async def order(self, key: ObjectKey, es: ExternalSecret, data: dict[str, bytes]) -> Order:
        """The Secret of these values. Raises ``BadSpec`` where an object that holds templates cannot be had."""
        template = es.spec.target.template
        if template is None:
            self._dependencies.keep(key, ())
            return _copy(es, data)
        stage.check(template)
        held = await self._held(key, es, template)
        inputs = _inputs(template, data, held, self._renderer)

        async def make() -> Desired:
            work = functools.partial(stage.make, template, data, held, self._renderer)
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

    async def _held(self, key: ObjectKey, es: ExternalSecret, template: Template) -> Held:
        held: dict[stage.Source, Mapping[str, bytes]] = {}
        sources = self.sources(es)
        for source in sources:
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
            held[(source.kind, source.name)] = data_of(found)
        self._dependencies.keep(key, sources)
        return held


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
    return Desired(data=data, labels=es.metadata.labels, annotations=es.metadata.annotations)


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


def _inputs(template: Template, data: Mapping[str, bytes], held: Held, renderer: Renderer) -> str:
    parts = (
        object_hash(data),
        template.model_dump(),
        sorted((kind, name, object_hash(each)) for (kind, name), each in held.items()),
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
