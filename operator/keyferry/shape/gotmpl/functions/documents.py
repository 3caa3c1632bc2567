"""JSON and YAML (sprig and the External Secrets Operator).

Where ``fromJson``, ``toJson``, ``toPrettyJson`` and ``toYaml`` fail, they give nothing and say nothing, and
``fromYaml`` gives its error as a value: so it is in Go. The bounds on depth and size are errors nevertheless.
"""

from __future__ import annotations

from typing import Any

from keyferry.shape import goyaml
from keyferry.shape.gotmpl.documents import Unfit, dumps, indented, loads, plain, too_deep
from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.values import Value, to_bytes

REGISTRY = Registry()


@REGISTRY.add("fromJson", "func(string) interface {}", run=True)
def from_json(run: Run, text: str) -> Value:
    """The value; nil where the text is no JSON, and in the place of numbers that are too large."""
    try:
        return loads(run, text)
    except Unfit as error:
        return error.kept


@REGISTRY.add("mustFromJson", "func(string) (interface {}, error)", run=True)
def must_from_json(run: Run, text: str) -> Value:
    return loads(run, text)


@REGISTRY.add("toJson", "func(interface {}) string", run=True)
def to_json(run: Run, value: Value) -> str:
    """JSON with sorted keys, and ``<``, ``>`` and ``&`` escaped; nothing where the value cannot be JSON."""
    try:
        return dumps(run, value)
    except Unfit:
        return ""


@REGISTRY.add("mustToJson", "func(interface {}) (string, error)", run=True)
def must_to_json(run: Run, value: Value) -> str:
    return dumps(run, value)


@REGISTRY.add("toPrettyJson", "func(interface {}) string", run=True)
def to_pretty_json(run: Run, value: Value) -> str:
    """JSON indented by two blanks; nothing where the value cannot be JSON."""
    try:
        return must_to_pretty_json(run, value)
    except Unfit:
        return ""


@REGISTRY.add("mustToPrettyJson", "func(interface {}) (string, error)", run=True)
def must_to_pretty_json(run: Run, value: Value) -> str:
    return indented(run, dumps(run, value))


@REGISTRY.add("toRawJson", "func(interface {}) string", run=True)
@REGISTRY.add("mustToRawJson", "func(interface {}) (string, error)", run=True)
def to_raw_json(run: Run, value: Value) -> str:
    """JSON in which ``<``, ``>`` and ``&`` stand as they are."""
    return dumps(run, value, html=False)


@REGISTRY.add("toYaml", "func(interface {}) string", run=True)
def to_yaml(run: Run, value: Value) -> str:
    """YAML without its last line break; nothing where the value cannot be YAML."""
    try:
        return goyaml.marshal(plain(run, value), run.make).removesuffix("\n")
    except (Unfit, goyaml.YamlError):
        return ""


@REGISTRY.add("fromYaml", "func(string) map[string]interface {}", run=True)
def from_yaml(run: Run, text: str) -> dict[str, Value]:
    """The mapping; where the text is none, a mapping whose key ``Error`` holds Go's error."""
    run.make(len(text))
    try:
        found: Any = goyaml.unmarshal_map(to_bytes(text), depth=run.limits.depth, count=run.spend)
    except goyaml.TooDeep:
        raise too_deep(run) from None
    except goyaml.YamlError as error:
        return {"Error": error.detail}
    values: dict[str, Value] = found
    return values
