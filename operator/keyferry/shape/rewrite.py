"""``dataFrom[].rewrite``: changes to the keys of what one entry read, one after the other (eso-facts 1.8, 10.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from keyferry.api.externalsecret import Rewrite, RewriteMerge, RewriteRegexp
from keyferry.errors import BadSpec, BadValue, KeyferryError
from keyferry.shape import extract, jsontext, keys
from keyferry.shape.gojson import dumps

__all__ = ["Rewritten", "Transform", "rewrite"]

Transform = Callable[[str, str], str]
"""Renders a template over one key, which it knows as ``.value``. Raises a KeyferryError."""
_NAMES_SHOWN = 10


@dataclass(slots=True)
class Rewritten:
    """Values under their new keys. ``lost`` tells of keys that became one, where ESO keeps any of the values."""

    data: dict[str, bytes] = field(repr=False)
    lost: list[str] = field(default_factory=list)


def rewrite(data: Mapping[str, bytes], steps: Sequence[Rewrite], transform: Transform) -> Rewritten:
    """``data`` after every step; what one step gives is what the next one takes.

    Where two keys become one, ESO keeps whichever Go's random map order brings last; here it is the alphabetically last
    of the old keys, and ``lost`` names the others, unless their values are equal.

    Raises ``BadSpec`` or ``BadValue`` that name the step; no text shows a value.
    """
    done = Rewritten(dict(data))
    for number, step in enumerate(steps):
        try:
            if step.merge is not None:
                done.data = _merge(step.merge, done.data)
            elif step.regexp is not None:
                done.data = _renamed(done.data, _replacing(step.regexp), done.lost)
            elif step.transform is not None:
                done.data = _renamed(done.data, partial(transform, step.transform.template), done.lost)
        except KeyferryError as error:
            raise error.within(f"rewrite[{number}]") from None
    return done


def _replacing(step: RewriteRegexp) -> Callable[[str], str]:
    pattern = keys.compiled(step.source)
    return lambda key: pattern.replace_all(key, step.target)


def _renamed(data: Mapping[str, bytes], rename: Callable[[str], str], lost: list[str]) -> dict[str, bytes]:
    renamed: dict[str, bytes] = {}
    sources: dict[str, str] = {}
    for source in sorted(data):
        key = rename(source)
        if renamed.get(key, data[source]) != data[source]:
            one, other, both = map(keys.shown, (sources[key], source, key))
            lost.append(f'"{one}" and "{other}" both become "{both}", which takes the value of "{other}"')
        renamed[key] = data[source]
        sources[key] = source
    return renamed


def _merge(step: RewriteMerge, data: Mapping[str, bytes]) -> dict[str, bytes]:
    """The members of all objects in one; those of ``priority`` come last and win, in the order of the list."""
    if step.strategy == "JSON" and not step.into:
        raise BadSpec("merge failed with missing 'into' field", remedy="name the key that takes the merged object")
    merged: dict[str, object] = {}
    conflicts: list[str] = []
    for key in [*sorted(data.keys() - set(step.priority)), *step.priority]:
        if key not in data:
            if step.priority_policy == "IgnoreNotFound":
                continue
            there = ", ".join(map(keys.shown, sorted(data)[:_NAMES_SHOWN])) or "no keys"
            raise BadValue(
                f'merge failed with key "{key}" not found in input map',
                remedy=f"priority names it, and there is {there}; correct priority, or set priorityPolicy: "
                "IgnoreNotFound",
            )
        members = _object(key, data[key])
        conflicts += [name for name in members if name in merged]
        merged |= members
    if conflicts and step.conflict_policy == "Error":
        raise BadValue(
            f"merge failed with conflicts: {', '.join(sorted(set(conflicts)))}",
            remedy="set conflictPolicy: Ignore, and priority to choose which value wins",
        )
    if step.strategy == "JSON":
        return {**data, step.into: dumps(merged, html=False)}
    return {name: extract.written(value) for name, value in merged.items()}


def _object(key: str, value: bytes) -> dict[str, object]:
    decoded = jsontext.loads(value, floats=True) if jsontext.is_json(value) else ""
    if decoded is None:
        # Go decodes null into a map without complaint.
        return {}
    if not isinstance(decoded, dict):
        raise BadValue(
            f'merge failed: the value of "{keys.shown(key)}" is not a JSON object',
            remedy="merge joins JSON objects; leave the key out by another find or extract",
        )
    return decoded
