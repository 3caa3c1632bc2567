"""A case as it is written, with what differs from run to run filled in."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from keyferry.api.duration import parse_duration
from tests.support.cases.clock import START

Json = dict[str, Any]
_TIME = re.compile(r"\bSTART(?:([+-])(\w+))?\b")


@dataclass(frozen=True)
class Case:
    """Steps in order, expectations by the name of their step."""

    steps: list[Json]
    expected: Json


@dataclass(frozen=True)
class Contains:
    """Matches any text with this one in it."""

    text: str

    def matches(self, given: object) -> bool:
        return isinstance(given, str) and self.text in given


def load(folder: Path, names: Mapping[str, str]) -> Case:
    """Read a case; ``names`` are its placeholders. Fails where the files do not fit together."""
    steps = _read(folder / "in.yaml", names)
    expected = _read(folder / "out.yaml", names)
    titles = [step["step"] for step in steps]
    unknown = set(expected) - set(titles)
    assert len(set(titles)) == len(titles), f"two steps of {folder.name} have the same name"
    assert not unknown, f"{folder.name} expects something of steps that it does not have: {sorted(unknown)}"
    assert any(expected.values()), f"{folder.name} expects nothing"
    return Case(steps, expected)


def stamp(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(path: Path, names: Mapping[str, str]) -> Any:
    text = path.read_text("utf-8")
    text = re.sub(rf"\b({'|'.join(names)})\b", lambda found: names[found[0]], text)
    return yaml.load(_TIME.sub(_moment, text), _Loader)


def _moment(found: re.Match[str]) -> str:
    sign, distance = found.groups()
    seconds = parse_duration(distance) if distance else 0.0
    return stamp(START + dt.timedelta(seconds=-seconds if sign == "-" else seconds))


class _Loader(yaml.SafeLoader):
    """Times stay text, as in JSON; a key that is written twice is a mistake."""

    yaml_implicit_resolvers = {  # noqa: RUF012 -- the parent's own form
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twins = {key for key in keys if keys.count(key) > 1}
        assert not twins, f"{node.start_mark}: written twice: {twins}"
        return super().construct_mapping(node, deep)


def _repeat(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> str:
    text, times = loader.construct_sequence(node)
    return str(text) * int(times)


def _contains(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Contains:
    return Contains(str(loader.construct_scalar(node)))


def _sha3(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return hashlib.sha3_224(str(loader.construct_scalar(node)).encode()).hexdigest()


_Loader.add_constructor("!repeat", _repeat)
_Loader.add_constructor("!contains", _contains)
_Loader.add_constructor("!sha3", _sha3)
