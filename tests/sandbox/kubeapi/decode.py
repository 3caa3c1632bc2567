"""A request's body to an object of a resource: parse, coerce, prune, default."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson
import yaml

from . import builtins, meta, protobuf
from .registry import Resource
from .schema import apply_defaults, drop_nulls, prune, whole_numbers
from .status import ApiError, Json, bad_request, invalid, invalid_object, quote

MAX_BODY = 3 * 1024 * 1024


@dataclass(slots=True)
class Strictness:
    """fieldValidation: collects what is wrong with a body beyond its schema."""

    mode: str = "Warn"
    kind: str = ""  # built-in kinds name themselves in the error
    version: str = ""
    problems: list[str] | None = None

    def add(self, problems: list[str]) -> None:
        if self.problems is None:
            self.problems = []
        self.problems += problems

    def finish(self) -> list[str]:
        """Warnings to send; raises when strict."""
        problems = list(dict.fromkeys(self.problems or ()))
        if not problems or self.mode == "Ignore":
            return []
        if self.mode == "Strict":
            prefix = ""
            if self.kind:
                prefix = f'{self.kind} in version "{self.version}" cannot be handled as a {self.kind}: '
            raise bad_request(f"{prefix}strict decoding error: " + ", ".join(problems))
        return problems


def parse_body(body: bytes, content_type: str) -> Any:
    if len(body) > MAX_BODY:
        text = f"Request entity too large: limit is {MAX_BODY}"
        raise ApiError(413, "RequestEntityTooLarge", text)
    if content_type == protobuf.MEDIA:
        return protobuf.decode(body)
    if content_type == "application/yaml" or content_type.endswith("+yaml"):
        try:
            return orjson.loads(body)  # most applied YAML is JSON
        except orjson.JSONDecodeError:
            pass
        try:
            return yaml.load(body, Loader=_Loader)
        except yaml.YAMLError as exc:
            raise bad_request(f"error decoding YAML: {type(exc).__name__}") from None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        # The exception holds the document, which may be a Secret: only its place is told.
        text = f"invalid JSON at line {exc.lineno} column {exc.colno}"
        raise bad_request(f"couldn't get version/kind; json parse error: {text}") from None


class _Loader(yaml.SafeLoader):
    """Go's reader knows neither timestamps nor numbers to the base of sixty."""


_Loader.yaml_implicit_resolvers = {
    char: [
        (tag, expression)
        for tag, expression in resolvers
        if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int")
    ]
    for char, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^[-+]?(0|[1-9][0-9]*|0x[0-9a-fA-F]+|0o?[0-7]+)$"),
    list("-+0123456789"),
)


def duplicate_keys(body: bytes) -> list[str]:
    """Strict decoding also refuses keys given twice, which plain parsers swallow."""
    import json

    found: list[str] = []
    try:
        # Lists of pairs keep what dicts would swallow.
        _walk_pairs(json.loads(body, object_pairs_hook=_Pairs), "", found)
    except ValueError:
        return []
    return found


class _Pairs(list[tuple[str, Any]]):
    """An object as its pairs, told apart from an array."""


def _walk_pairs(value: Any, path: str, found: list[str]) -> None:
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for key, item in value:
            here = f"{path}.{key}" if path else key
            if key in seen:
                found.append(f"duplicate field {quote(here)}")
            seen.add(key)
            _walk_pairs(item, here, found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _walk_pairs(item, f"{path}[{index}]", found)


def check_type(obj: Any, resource: Resource) -> Json:
    if not isinstance(obj, dict):
        raise bad_request(
            "couldn't get version/kind; json parse error: json: cannot unmarshal into Go value of type struct"
        )
    version, kind = obj.get("apiVersion"), obj.get("kind")
    if resource.custom:
        if not kind:
            raise bad_request(
                f"the object provided is unrecognized (must be of type {resource.kind}): Object 'Kind' is missing"
            )
        version = version or ""
    else:
        version = version or resource.api_version
        kind = kind or resource.kind
    if version != resource.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version ({resource.api_version})"
        )
    if kind != resource.kind:
        if resource.custom:
            name = (obj.get("metadata") or {}).get("name", "")
            error = invalid("kind", kind, f"must be {resource.kind}")
            raise invalid_object(str(kind), resource.group, name, [error])
        raise bad_request(
            f'{kind} in version "{version}" cannot be handled as a {resource.kind}: converting '
            f"({version}.{kind}) to ({resource.kind}): unknown conversion"
        )
    return {**obj, "apiVersion": version, "kind": kind}


def decode(obj: Any, resource: Resource, strict: Strictness) -> Json:
    """The typed form of a whole object. The caller owns `obj` and loses it."""
    typed = check_type(obj, resource)
    typed["metadata"], unknown = meta.decode(typed.get("metadata"), resource.kind, resource.version)
    if resource.custom:
        whole_numbers(typed)
        drop_nulls(typed, resource.node)
        unknown += prune(typed, resource.node, root=True)
        apply_defaults(typed, resource.node)
    else:
        unknown += builtins.decode(typed, resource.node, resource.kind, resource.version)
    if resource.custom:
        unknown.sort()
    strict.add([f"unknown field {quote(path)}" for path in unknown])
    ordered = {k: typed[k] for k in ("apiVersion", "kind", "metadata")}
    ordered.update((k, v) for k, v in typed.items() if k not in ordered)
    return ordered
