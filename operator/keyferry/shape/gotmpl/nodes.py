"""What a template is made of, once parsed. ``at`` is an offset into the source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from keyferry.shape.gotmpl.literals import Numeral


@dataclass(slots=True)
class Dot:
    at: int


@dataclass(slots=True)
class Nil:
    at: int


@dataclass(slots=True)
class Bool:
    at: int
    value: bool


@dataclass(slots=True)
class Number:
    at: int
    value: Numeral


@dataclass(slots=True)
class String:
    at: int
    value: str


@dataclass(slots=True)
class Identifier:
    """A function's name."""

    at: int
    name: str


@dataclass(slots=True)
class Field:
    """``.a.b``."""

    at: int
    names: list[str]


@dataclass(slots=True)
class Variable:
    """``$x`` or ``$x.a.b``; the name has its dollar sign."""

    at: int
    name: str
    fields: list[str]


@dataclass(slots=True)
class Chain:
    """``(pipeline).a.b`` or ``function.a.b``."""

    at: int
    base: Pipe | Identifier
    names: list[str]


@dataclass(slots=True)
class Command:
    """A function, field or operand, and what stands behind it."""

    at: int
    args: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Pipe:
    """Commands joined by ``|``; the result goes to the variables, which are declared, or assigned to."""

    at: int
    variables: list[str] = field(default_factory=list)
    assigns: bool = False
    commands: list[Command] = field(default_factory=list)


Literal: TypeAlias = Nil | Bool | Number | String
Node: TypeAlias = Literal | Dot | Identifier | Field | Variable | Chain | Pipe


@dataclass(slots=True)
class Text:
    at: int
    text: str


@dataclass(slots=True)
class Action:
    at: int
    pipe: Pipe


@dataclass(slots=True)
class Arm:
    """A condition and what it leads to: ``if``, ``else if``, ``with``, ``else with``."""

    pipe: Pipe
    body: list[Statement]


@dataclass(slots=True)
class Branch:
    """``if`` or ``with``; ``rest`` is what stands behind ``else``."""

    at: int
    sets_dot: bool
    arms: list[Arm]
    rest: list[Statement]


@dataclass(slots=True)
class Range:
    at: int
    pipe: Pipe
    body: list[Statement]
    rest: list[Statement]


@dataclass(slots=True)
class Invocation:
    """``template``, or where a ``block`` stands."""

    at: int
    name: str
    pipe: Pipe | None


@dataclass(slots=True)
class Leave:
    """``break``, or ``continue`` where ``again``."""

    at: int
    again: bool


Statement: TypeAlias = Text | Action | Branch | Range | Invocation | Leave


class Definition:
    """The body of a template. ``empty``: it holds nothing but blanks, and does not replace another one."""

    __slots__ = ("body", "empty")

    def __init__(self, body: list[Statement]) -> None:
        self.body = body
        self.empty = all(isinstance(each, Text) and not each.text.strip(_BLANKS) for each in body)


_BLANKS = " \t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
