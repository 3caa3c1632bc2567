"""``keyferry render``: manifests in, the Secret out, with no cluster and no store.

Everything is done by what serves the cluster: the same models, the same gathering, rewriting and templates. Only the
values come from a file, or from stores of the provider ``fake``.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import binascii
import datetime as dt
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from keyferry.api.externalsecret import ExternalSecret, Rewrite, SecretStoreRef
from keyferry.api.store import SecretStore
from keyferry.errors import BadSpec, KeyferryError, NotThere
from keyferry.kube.plan import Desired, creation
from keyferry.ports import Fetched, Layout, Query, Reading, Ref
from keyferry.providers import load
from keyferry.providers.fake import Fake, FakeConfig
from keyferry.shape import gojson, rewrite
from keyferry.shape import template as stage
from keyferry.shape.render import Renderer, World
from keyferry.sync.gather import GatherFailed, Told, gather
from keyferry.sync.template import copied, data_of, desired

_GROUP = "external-secrets.io"
_NAMES_SHOWN = 10


class UsageError(Exception):
    """A file or a flag cannot be used."""


@dataclass(slots=True)
class _Manifests:
    """The manifests of all files, by what they are."""

    secrets: list[ExternalSecret] = field(default_factory=list)
    stores: dict[tuple[str, str, str], SecretStore] = field(default_factory=dict)
    sources: dict[tuple[str, str, str], Mapping[str, bytes]] = field(default_factory=dict)


def main(arguments: Sequence[str], *, now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> int:
    """The command. Exit status: 0 rendered, 1 a Secret cannot be made, 2 a file or flag cannot be used."""
    given = _parser().parse_args(arguments)
    try:
        manifests = _manifests([each for path in given.filename for each in _documents(path)])
        values = _values(given.values) if given.values else None
        chosen = [es for es in manifests.secrets if given.name in {"", es.metadata.name}]
        if not chosen:
            raise UsageError("there is no ExternalSecret" + (f' "{given.name}"' if given.name else ""))
        renderer = Renderer(
            World(now=now, monotonic=time.monotonic, entropy=os.urandom),
            left=given.template_left_delimiter,
            right=given.template_right_delimiter,
        )
    except UsageError as error:
        sys.stderr.write(f"keyferry render: {error}\n")
        return 2
    failed = False
    for es in chosen:
        log: list[str] = []
        try:
            body = asyncio.run(_rendered(es, manifests, values, renderer, log))
        except KeyferryError as error:
            failed = True
            body = None
            message = str(error)
        if given.explain:
            sys.stdout.write("".join(f"# {line}\n" for line in log))
        if body is None:
            sys.stderr.write(f'keyferry render: ExternalSecret "{es.metadata.name}": {message}\n')
            continue
        sys.stdout.write(f"---\n{yaml.safe_dump(_plain(body) if given.plain else body, sort_keys=False)}")
    return 1 if failed else 0


async def _rendered(
    es: ExternalSecret,
    manifests: _Manifests,
    values: Mapping[str, Any] | None,
    renderer: Renderer,
    log: list[str],
) -> dict[str, Any]:
    def told(place: str, what: str, made: Mapping[str, bytes]) -> None:
        shown = ", ".join(f"{key} ({len(value)} bytes)" for key, value in sorted(made.items())) or "nothing"
        log.append(f"{place}: {what} {shown}")

    async def rename(values: Mapping[str, bytes], steps: Sequence[Rewrite]) -> tuple[dict[str, bytes], list[str]]:
        done = rewrite.rewrite(values, steps, renderer.renaming())
        log.extend(done.lost)
        return done.data, done.lost

    def lookup(ref: SecretStoreRef) -> SecretStore:
        return _store(manifests, ref, es, made_up=values is not None)

    try:
        gathered = await gather(es, lookup, _Reader(values), rename, told, after=0.0)
    except GatherFailed as failed:
        raise failed.error from None
    log += [f"{place}: the secret does not exist at the provider" for place in gathered.absent]
    body = creation(es, _wanted(es, manifests, gathered.data, renderer, told))
    # The owner has no UID before it is in a cluster.
    body["metadata"].pop("ownerReferences", None)
    return body


def _wanted(
    es: ExternalSecret,
    manifests: _Manifests,
    data: Mapping[str, bytes],
    renderer: Renderer,
    told: Told,
) -> Desired:
    template = es.spec.target.template
    if template is None:
        return copied(es, data)
    held = {}
    for kind, name in stage.sources(template):
        source = manifests.sources.get((kind, es.metadata.namespace, name))
        if source is None:
            raise BadSpec(
                f'templateFrom names {kind} "{name}", which is in no file', remedy="give the file that it is in with -f"
            )
        held[kind, name] = source
    made = stage.make(template, data, held, renderer, told=lambda place, values: told(place, "rendered", values))
    return desired(template, made, "")


def _store(manifests: _Manifests, ref: SecretStoreRef, es: ExternalSecret, *, made_up: bool) -> SecretStore:
    namespace = es.metadata.namespace if ref.kind == "SecretStore" else ""
    name = ref.name or ""
    found = manifests.stores.get((ref.kind, namespace, name))
    if found is not None:
        return found
    if made_up:
        metadata = {"name": name, "namespace": namespace, "uid": f"{ref.kind}/{name}"}
        return SecretStore.parse({"kind": ref.kind, "metadata": metadata, "spec": {"provider": {"fake": {"data": []}}}})
    raise BadSpec(
        f'{ref.kind} "{name}" is in no file', remedy="give the file that it is in with -f, or the values with --values"
    )


class _Reader:
    """``gather.Reader``: the values of a file, or of stores of the provider fake."""

    def __init__(self, values: Mapping[str, Any] | None) -> None:
        self._values = values

    async def layout(self, store: SecretStore) -> Layout:
        """As the store's own provider answers properties."""
        return load(store.spec.provider_name).layout

    async def read(self, store: SecretStore, caller: str, refs: Sequence[Ref], after: float) -> Reading[Ref]:  # noqa: ARG002 -- no store here asks who reads
        """From the file, if there is one."""
        if self._values is None:
            return Reading(await _fake(store).read(refs), after)
        layout = await self.layout(store)
        return Reading({ref: self._one(ref.key, self._values, layout) for ref in refs}, after)

    async def find(self, store: SecretStore, caller: str, query: Query, after: float) -> Reading[str]:  # noqa: ARG002 -- no store here asks who reads
        """By name only."""
        if self._values is None:
            found = await _fake(store).find(query)
            return Reading({name: each for name, each in found.items() if isinstance(each, Fetched)}, after)
        if query.tags is not None:
            raise BadSpec("a file of values has no tags", remedy="give the values under find.name or find.path")
        names = (name for name in self._values if query.matches(name) and name.startswith(query.path or ""))
        layout = await self.layout(store)
        return Reading({name: self._one(name, self._values, layout) for name in names}, after)

    @staticmethod
    def _one(key: str, values: Mapping[str, Any], layout: Layout) -> Fetched | KeyferryError:
        if key not in values:
            there = ", ".join(sorted(values)[:_NAMES_SHOWN]) or "no keys"
            return NotThere(f'the file of values has no key "{key}"', remedy=f"it has {there}")
        value = values[key]
        if layout.form == "keyed" and isinstance(value, dict):
            return Fetched({name: _text(member) for name, member in value.items()})
        return Fetched(_text(value))


def _fake(store: SecretStore) -> Fake:
    name = store.spec.provider_name
    if name != Fake.name:
        raise BadSpec(
            f'{store.kind} "{store.metadata.name}" is of provider {name}, which is not asked from here',
            remedy="give what it would answer in a file, with --values",
        )
    return Fake(FakeConfig.parse(store.spec.provider[name], at=f"spec.provider.{name}"))


def _text(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else gojson.dumps(value, html=False, sort=False)


def _documents(path: str) -> Iterator[dict[str, Any]]:
    for document in _loaded(path):
        if isinstance(document, dict) and document.get("kind") == "List":
            yield from document.get("items") or ()
        elif isinstance(document, dict):
            yield document
        elif document is not None:
            raise UsageError(f"{path}: there is a document that is no manifest")


def _loaded(path: str) -> list[Any]:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text("utf-8")
        return list(yaml.safe_load_all(text))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: it is no text in UTF-8") from None
    except yaml.MarkedYAMLError as error:
        place = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UsageError(f"{path}{place}: {error.problem}") from None


def _values(path: str) -> Mapping[str, Any]:
    documents = _loaded(path)
    if len(documents) != 1 or not isinstance(documents[0], dict) or not all(isinstance(k, str) for k in documents[0]):
        raise UsageError(f"{path}: it must hold one mapping of remote keys to values")
    return documents[0]


def _manifests(bodies: Sequence[Mapping[str, Any]]) -> _Manifests:
    manifests = _Manifests()
    for body in bodies:
        kind = body.get("kind")
        metadata = {"namespace": "default", **(body.get("metadata") or {})}
        name, namespace = str(metadata.get("name", "")), str(metadata["namespace"])
        ours = str(body.get("apiVersion", "")).partition("/")[0] == _GROUP
        try:
            if kind == "ExternalSecret" and ours:
                manifests.secrets.append(ExternalSecret.parse({**body, "metadata": metadata}))
            elif kind in {"SecretStore", "ClusterSecretStore"} and ours:
                namespace = namespace if kind == "SecretStore" else ""
                given = {**metadata, "namespace": namespace, "uid": f"{kind}/{name}"}
                manifests.stores[kind, namespace, name] = SecretStore.parse({**body, "metadata": given})
            elif kind in {"ConfigMap", "Secret"} and body.get("apiVersion") == "v1":
                plain = {key: str(value).encode() for key, value in (body.get("stringData") or {}).items()}
                manifests.sources[kind, namespace, name] = {**data_of(body), **plain}
        except (KeyferryError, binascii.Error) as error:
            raise UsageError(f'{kind} "{name}": {error}') from None
    return manifests


def _plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """The Secret with its texts as they are; the API server makes the same Secret of it."""
    texts, rest = {}, {}
    for key, value in body["data"].items():
        try:
            texts[key] = base64.b64decode(value).decode()
        except UnicodeDecodeError:
            rest[key] = value
    told = {key: value for key, value in body.items() if key != "data"}
    return told | ({"data": rest} if rest else {}) | ({"stringData": texts} if texts else {})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keyferry render",
        description="Print the Secret that an ExternalSecret makes, without a cluster.",
    )
    parser.add_argument(
        "-f",
        "--filename",
        action="append",
        required=True,
        help="file of manifests, - for standard input: ExternalSecrets, stores of the provider fake, ConfigMaps and "
        "Secrets that hold templates; may be given several times",
    )
    parser.add_argument(
        "--values", metavar="FILE", default="", help="YAML of remote keys and values, in place of what stores hold"
    )
    parser.add_argument("--name", default="", help="the ExternalSecret to render; all of them if left out")
    parser.add_argument("--explain", action="store_true", help="tell each stage in comments: keys and sizes, no values")
    parser.add_argument("--plain", action="store_true", help="print texts as stringData, not in base64")
    parser.add_argument("--template-left-delimiter", default="{{", help="as the operator has it")
    parser.add_argument("--template-right-delimiter", default="}}", help="as the operator has it")
    return parser
