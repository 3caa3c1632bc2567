"""Property paths of Pulumi, and the values of an opened environment that they lead to.

A path is names and indices: ``root.list[0]["a name with a ."]``. The grammar is that of Pulumi's documentation
("property paths"), read as loosely as Pulumi's own parser does: a name is everything up to the next dot or bracket.

A value of an environment is an object ``{"value", "secret", "unknown", "trace"}`` whose ``value`` is a scalar, a list
of values, or an object of values.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import orjson

from keyferry.errors import BadSpec, BadValue, NotThere

ANY: Final = "*"
"""The step that stands for every element; only the server knows what it selects."""

_STEP: Final = re.compile(
    r"""
    \.*                                                    # dots part names, and more than one as well as one
    (?:
        (?P<name>[^.\[]+)
      | \[ " (?P<quoted>(?:\\" | [^"])*) " \]
      | \[ (?P<index>[0-9]{1,9} | \*) \]
    )
    """,
    re.VERBOSE | re.DOTALL,
)

_PLAIN_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_NEAREST: Final = 3
"""Names that an error suggests at most."""

Step = str | int


@dataclass(frozen=True, slots=True, repr=False)
class Number:
    """A number as the server wrote it. The repr never shows it."""

    written: str

    @property
    def text(self) -> str:
        """As ESO writes it: whole numbers as they stand, others without exponent and trailing zeros."""
        if self.written.lstrip("-").isdigit() or not math.isfinite(float(self.written)):
            return self.written
        plain = format(Decimal(repr(float(self.written))), "f")
        return plain.rstrip("0").rstrip(".") if "." in plain else plain


def loads(content: bytes) -> Any:
    """A decoded answer whose numbers are ``Number``; None where it is no JSON."""
    try:
        return json.loads(content, parse_int=Number, parse_float=Number)
    except (ValueError, RecursionError):
        # The decoder's error holds the document.
        return None


def parse(path: str) -> tuple[Step, ...]:
    """The steps of a path. Raises ``BadSpec`` where it is none, or names nothing."""
    steps: list[Step] = []
    rest = path
    while rest.strip("."):
        step = _STEP.match(rest)
        if step is None:
            raise BadSpec(
                f'"{path}" is no property path: "{rest}" cannot be read',
                remedy='write it like root.list[0]["a name with a ."]',
            )
        index = step["index"]
        if index is not None:
            steps.append(ANY if index == ANY else int(index))
        else:
            steps.append(step["name"] if step["quoted"] is None else step["quoted"].replace(r"\"", '"'))
        rest = rest[step.end() :]
    if not steps:
        raise BadSpec(f'"{path}" names no property', remedy="give the path of one, like database.password")
    return tuple(steps)


def select(properties: Mapping[str, Any], path: str, steps: Sequence[Step]) -> Any:
    """The value at a path. Raises ``NotThere`` with the names that come nearest."""
    value: Any = {"value": properties}
    for count, step in enumerate(steps):
        within = value.get("value") if isinstance(value, dict) else None
        members = dict(enumerate(within)) if isinstance(within, list) else within
        if not isinstance(members, dict) or step not in members:
            raise NotThere(f'property "{path}" does not exist', remedy=_hint(within, steps[:count], step))
        value = members[step]
    return value


def document(value: Any, path: str) -> bytes:
    """A value as bytes: text as it is, null as nothing, lists and objects as JSON without what surrounds their values.

    Raises ``BadValue`` where it is not known, which is how Pulumi gives what it could not evaluate.
    """
    plain = _plain(value, path)
    match plain:
        case None:
            return b""
        case str():
            return plain.encode()
        case Number():
            return plain.text.encode()
        case _:
            return orjson.dumps(plain, default=_number, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def _plain(value: Any, path: str) -> Any:
    if not isinstance(value, dict) or value.get("unknown"):
        raise BadValue(
            f'property "{path}" has no value: Pulumi could not evaluate it',
            remedy="open the environment with Pulumi's own tools to see why",
        )
    inner = value.get("value")
    if isinstance(inner, dict):
        return {name: _plain(member, path) for name, member in inner.items()}
    if isinstance(inner, list):
        return [_plain(member, path) for member in inner]
    return inner


def _number(number: object) -> orjson.Fragment:
    if isinstance(number, Number):
        return orjson.Fragment(number.text)
    raise TypeError(type(number))


def _hint(within: Any, way: Sequence[Step], step: Step) -> str:
    """What is near: names beside the one that is missing, as paths; or how long a list is."""
    if isinstance(within, list):
        return f"{_written(way)} is a list of {len(within)}"
    if not isinstance(within, dict):
        return f"{_written(way)} is neither a list nor an object" if way else ""
    near = difflib.get_close_matches(str(step), sorted(within), _NEAREST)
    names = " or ".join(_written((*way, name)) for name in near)
    return f"did you mean {names}?" if names else ""


def _written(steps: Sequence[Step]) -> str:
    """Steps as a path."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_NAME.fullmatch(step):
            text += f".{step}" if text else step
        else:
            quoted = step.replace('"', r"\"")
            text += f'["{quoted}"]'
    return text
